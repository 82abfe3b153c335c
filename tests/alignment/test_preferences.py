import json

from hftrain.alignment.judges import Verdict
from hftrain.alignment.preferences import (
    PairCounts,
    Question,
    RankedAnswer,
    RankedPrompt,
    contest_of,
    draw,
    pairs_of,
    prompt_key,
    ranked_by,
    ranks_of,
    read_questions,
)

PROMPT = [{"role": "user", "content": "Hi"}]


def conversation(*texts: str) -> list[dict[str, str]]:
    return [{"role": "user" if place % 2 == 0 else "assistant", "content": text} for place, text in enumerate(texts)]


def ranked(*answers: tuple[str, float | None, int], ended: bool = True) -> RankedPrompt:
    return RankedPrompt(PROMPT, tuple(RankedAnswer(text, ended, score, rank) for text, score, rank in answers))


def texts_of(pairs: list[dict[str, object]]) -> list[tuple[str, str]]:
    return [(pair["chosen"][0]["content"], pair["rejected"][0]["content"]) for pair in pairs]  # type: ignore[index]


def test_a_prompt_is_all_before_the_last_assistant_message() -> None:
    talk = [*conversation("Hi", "Hello", "Well?", "Very well"), {"role": "user", "content": "Bye"}]
    (question,) = read_questions([talk], []).train
    assert question.prompt == talk[:3]
    assert question.references == ("Very well",)


def test_conversations_that_ask_the_same_are_one_prompt_with_several_references() -> None:
    questions = read_questions(
        [conversation("Hi", "Hello"), conversation(" hI ", "Hey"), conversation("Hi", "Hey")], []
    )
    assert questions.train == [Question(PROMPT, ("Hello", "Hey"))]
    assert questions.counts.same_prompt == 2


def test_a_held_out_prompt_that_training_asks_too_is_left_out() -> None:
    train, heldout = (
        [conversation("Hi", "Hello")],
        [conversation("HI", "Hey"), conversation("Who?", "Me")],
    )
    questions = read_questions(train, heldout)
    assert [question.references for question in questions.heldout] == [("Me",)]
    assert questions.counts.seen_in_training == 1


def test_a_conversation_without_an_answer_to_a_user_gives_no_prompt() -> None:
    alone = [conversation("Hi"), [{"role": "assistant", "content": "Hello"}]]
    after_system = [[{"role": "system", "content": "Be kind"}, {"role": "assistant", "content": "Hello"}]]
    questions = read_questions(alone + after_system, [])
    assert questions.train == []
    assert questions.counts.without_prompt == 3


def numbered(count: int) -> list[Question]:
    return [Question([{"role": "user", "content": str(number)}], ()) for number in range(count)]


def test_drawing_keeps_the_order_and_depends_on_the_seed_alone() -> None:
    questions = numbered(50)
    first, again, other = (draw(questions, 5, seed=seed, fits=lambda _: True)[0] for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) == 5
    assert first == sorted(first, key=questions.index)


def test_without_a_limit_all_that_fit_are_drawn_and_the_others_counted() -> None:
    def is_short(question: Question) -> bool:
        return len(question.prompt[0]["content"]) == 1

    assert draw(numbered(14), None, seed=1, fits=is_short) == (numbered(10), 4)
    assert draw(numbered(14), 99, seed=1, fits=is_short) == (numbered(10), 4)
    assert len(draw(numbered(14), 10, seed=1, fits=is_short)[0]) == 10


def test_equal_answers_of_a_prompt_are_seen_once_and_counted() -> None:
    answers = [("one two", True), ("one", True), ("one two", True), ("one two", False)]
    contest = contest_of(Question(PROMPT, ()), answers)
    made = ranked_by(contest, Verdict((0.5, 1.0, 0.5)), duplicates=len(answers) - len(contest.candidates))
    assert [(each.text, each.ended, each.score, each.rank) for each in made.answers] == [
        ("one", True, 1.0, 1),
        ("one two", True, 0.5, 2),
        ("one two", False, 0.5, 2),
    ]
    assert made.duplicates == 1


def test_a_pair_that_the_judge_could_not_tell_apart_makes_no_pair_though_its_scores_differ() -> None:
    contest = contest_of(Question(PROMPT, ()), [("a", True), ("b", True), ("c", True)])
    made = ranked_by(contest, Verdict((0.25, 1.0, 0.5), frozenset({(0, 2)})))
    assert made.undecided == {(1, 2)}  # places among b, c, a
    counts = PairCounts()
    assert texts_of(pairs_of(made, counts, minimum_margin=0.1, limit=6)) == [("b", "a"), ("b", "c")]
    assert counts.ties == 1


def test_equal_scores_share_the_better_rank() -> None:
    assert ranks_of([0.5, 0.9, 0.1, 0.5]) == [2, 1, 4, 2]


def test_each_pair_that_differs_enough_is_made_the_clearest_first() -> None:
    counts = PairCounts()
    answers = ranked(("best", 0.9, 1), ("fair", 0.8, 2), ("poor", 0.2, 3))
    pairs = pairs_of(answers, counts, minimum_margin=0.2, limit=6)
    assert texts_of(pairs) == [("best", "poor"), ("fair", "poor")]
    assert [pair["margin"] for pair in pairs] == [0.7, 0.6]
    assert counts == PairCounts(ties=1)


def test_a_tie_makes_no_pair_even_where_no_margin_is_asked() -> None:
    counts = PairCounts()
    assert pairs_of(ranked(("a", 0.5, 1), ("b", 0.5, 1)), counts, minimum_margin=0.0, limit=6) == []
    assert counts.ties == 1


def test_an_answer_that_did_not_end_by_itself_is_in_no_pair() -> None:
    counts = PairCounts()
    answers = RankedPrompt(PROMPT, (RankedAnswer("done", True, 0.9, 1), RankedAnswer("cut", False, 0.1, 2)))
    assert pairs_of(answers, counts, minimum_margin=0.0, limit=6) == []
    assert counts == PairCounts(unfinished=1)


def test_a_prompt_gives_at_most_the_allowed_pairs_and_the_rest_is_counted() -> None:
    counts = PairCounts()
    answers = ranked(("a", 0.9, 1), ("b", 0.5, 2), ("c", 0.0, 3))
    assert texts_of(pairs_of(answers, counts, minimum_margin=0.1, limit=1)) == [("a", "c")]
    assert counts.over_limit == 2


def test_without_scores_the_margin_is_the_difference_of_the_ranks() -> None:
    pairs = pairs_of(
        ranked(("a", None, 1), ("b", None, 1), ("c", None, 3)),
        PairCounts(),
        minimum_margin=0.1,
        limit=6,
    )
    assert [(pair["margin"], *texts) for pair, texts in zip(pairs, texts_of(pairs), strict=True)] == [
        (2.0, "a", "c"),
        (2.0, "b", "c"),
    ]


def test_prompt_keys_see_through_case_and_white_space_but_not_through_roles() -> None:
    assert prompt_key(PROMPT) == prompt_key([{"role": "user", "content": " hi\n"}])
    assert prompt_key(PROMPT) != prompt_key([{"role": "system", "content": "Hi"}])
    assert json.loads(prompt_key(PROMPT)) == [["user", "hi"]]
