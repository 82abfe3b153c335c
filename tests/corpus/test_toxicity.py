import numpy
import profanity_check
import pytest

from hftrain.corpus import toxicity
from hftrain.corpus.batches import Batch
from hftrain.corpus.saved_models import Held
from hftrain.corpus.word_lists import listed_terms
from hftrain.errors import ArtifactError

CALM = "The cat sat on the mat and looked at the red ball while the children played in the garden until evening. "
RUDE = "You are a stupid idiot and a fool, so shut your fucking mouth, you ugly, pathetic moron. "
COMMENTS = [
    CALM,
    RUDE,
    "",
    "...",
    "a I 1 _ x",
    "Shit SHIT shit happens, wikipedia editors say; the FOOL!",
    "Straße café naïve ΣΊΣΥΦΟΣ 東京 don't",
    "the of and a",
    "under_score 2nd 3.14 e-mail@x.org",
]


def judged(texts: list[str], **limits: object) -> list[tuple[str, str, int] | None]:
    kept = {"maximum_score": 0.9, "minimum_share": 0.1, "maximum_explicit": 10.0, "listed": None}
    return toxicity.judge(Batch(texts), **{**kept, **limits})  # type: ignore[arg-type]


def test_the_probabilities_are_those_of_the_package() -> None:
    ours = toxicity.toxicity(Batch(COMMENTS), threshold=0.5)
    assert ours.windows_D.tolist() == [1] * len(COMMENTS)
    numpy.testing.assert_allclose(ours.highest_D, profanity_check.predict_prob(COMMENTS), atol=1e-9)


def test_a_window_is_judged_as_the_package_judges_its_words_alone() -> None:
    batch = Batch([CALM * 9 + RUDE * 4 + CALM * 9])
    ours = toxicity.toxicity(batch, threshold=0.5)
    words = batch.texts[0].replace(",", " ").replace(".", " ").split()
    cuts = [*range(0, len(words) - toxicity.WINDOW_WORDS, toxicity.WINDOW_WORDS), len(words) - toxicity.WINDOW_WORDS]
    theirs = profanity_check.predict_prob([" ".join(words[cut : cut + toxicity.WINDOW_WORDS]) for cut in cuts])
    assert ours.windows_D.tolist() == [len(cuts)]
    assert ours.highest_D[0] == pytest.approx(theirs.max())
    assert ours.toxic_windows_D[0] == (theirs > 0.5).sum() > 0


def test_an_insult_in_a_long_text_is_found_and_shown() -> None:
    batch = Batch([CALM, CALM * 50 + RUDE + CALM * 40])  # 21 words each time: 21 whole windows before the insult
    found = toxicity.toxicity(batch, threshold=0.8)
    where = found.worst_char(batch, 1)
    assert found.highest_D[0] < 0.2 < 0.8 < found.highest_D[1]
    assert batch.texts[1][where:].startswith(RUDE)


def test_one_quarrel_in_a_novel_is_let_pass_and_in_a_comment_is_not() -> None:
    novel, comment = judged([CALM * 200 + RUDE, RUDE], minimum_share=0.1)
    assert novel is None
    assert comment is not None
    assert comment[0] == "toxic"
    assert comment[1].endswith("at worst, 1 of 1 windows")
    assert judged([CALM * 200 + RUDE], minimum_share=0.0)[0] is not None


def test_a_text_in_another_language_is_not_asked_of_the_english_model() -> None:
    afrikaans = "Elkeen het die reg tot gelyke toegang tot die openbare dienste in sy land"
    assert toxicity.toxicity(Batch([afrikaans]), threshold=0.9).highest_D[0] > 0.9
    assert judged([afrikaans]) == [None]


def test_explicit_text_is_told_by_how_thick_its_terms_come() -> None:
    crude = "blowjob and cumshot and then a handjob"
    fable = "The cock said to the ass that a cock is no ass, and the ass was sad. " * 3
    one_term = CALM * 3 + "He said anal. "
    found = judged([crude, one_term, CALM * 60 + crude, fable], maximum_score=None)
    assert found == [("explicit", "3 terms, 428.6 among 1000 words; first 'blowjob'", 0), None, None, None]


def test_the_users_own_terms_may_not_be_there_at_all() -> None:
    own = listed_terms(["Project Chimera"])
    (found,) = judged([CALM + "It is about project chimera."], listed=own, maximum_score=None, maximum_explicit=None)
    assert found == ("listed_term", "1 terms, 38.5 among 1000 words; first 'project chimera'", len(CALM) + 12)


def test_neighbours_do_not_change_a_documents_score() -> None:
    together = toxicity.toxicity(Batch(COMMENTS), threshold=0.5).highest_D
    alone = [toxicity.toxicity(Batch([text]), threshold=0.5).highest_D[0] for text in COMMENTS]
    assert together.tolist() == alone


def test_an_empty_batch_has_no_scores() -> None:
    assert toxicity.toxicity(Batch([]), threshold=0.5).highest_D.tolist() == []
    assert judged([]) == []


def test_a_model_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toxicity, "_saved", lambda name: Held())
    with pytest.raises(ArtifactError, match="'Held' object has no attribute 'vocabulary_'"):
        toxicity.packaged_model.__wrapped__()
