import re

from hftrain.config import derive_seed
from hftrain.report.curation import curated
from hftrain.report.overview import run_seed
from hftrain.report.parts import Options, spread_out
from hftrain.report.reading import read_run
from hftrain.report.sections_alignment import preferences
from hftrain.report.sections_data import tokenizer
from hftrain.report.sections_language import fine_tuning
from hftrain.report.sections_results import evaluation


def test_trained_and_masked_tokens_are_told_apart(life):
    html = fine_tuning(read_run(life("tiny", "chat"))["chat"], Options(sample_rows=1))

    assert re.findall(r'"token trained">([^<]*)<', html) == [
        "coloured",
        "Hi",
        " there",
        ",",
        " friend",
        "&lt;|im_end|&gt;",
    ]
    assert '"token masked">Hello!<' in html


def test_answers_stand_from_best_to_worst_whatever_their_order(life):
    html = preferences(read_run(life("tiny", "preferences"))["preferences"], Options(sample_rows=1))

    assert re.findall(r'"rank">(\d)<', html) == ["1", "2", "3", "4"]
    assert html.count("cut off") == 1


def test_the_best_of_a_measure_is_bold_in_its_own_direction(life):
    html = evaluation(read_run(life("tiny", "evaluation"))["evaluation"], Options())

    assert re.findall(r"<b>([^<]*)</b>", html) == ["1.070", "2.130", "1.520", "94.0\N{NO-BREAK SPACE}%"]


def test_the_largest_drop_stands_first_with_its_examples(life):
    html = curated(read_run(life("tiny", "corpus"))["corpus"], Options(drop_examples=2))

    rules = re.findall(r"<summary>(\w+) · ([\d,]+)</summary>", html)
    assert rules[0] == ("too_few_words", "8,804") and rules[-1] == ("too_much_code", "212")
    assert html.count('class="sample"') == 4 * 2
    assert "25,494" in html and "of 39,120" in html


def test_samples_are_taken_evenly_from_first_to_last():
    assert spread_out(list(range(9)), 5) == [0, 2, 4, 6, 8]
    assert spread_out([1, 2], 5) == [1, 2]
    assert spread_out([1, 2, 3], 1) == [3]


def test_every_fixed_prompt_is_shown_with_every_model(life):
    html = evaluation(read_run(life("tiny", "evaluation"))["evaluation"], Options(sample_rows=1))

    assert html.count("<summary>") == 5
    assert html.count('class="column"') == 15


def test_byte_level_pieces_are_shown_as_the_text_they_stand_for(life):
    html = tokenizer(read_run(life("tiny", "tokenizer"))["tokenizer"], Options())

    assert '"piece">·the<' in html  # written Ġthe in the vocabulary
    assert '"piece">é<' in html  # written Ã©: the two bytes of é
    assert '"piece">····<' in html


def test_the_seed_of_a_run_is_the_one_that_its_stages_seeds_derive_from():
    manifests = [{"stage": stage, "seed": derive_seed(17, stage)} for stage in ("collect", "pretrain", "ppo")]

    assert run_seed(manifests) == 17
    assert run_seed([*manifests, {"stage": "sft", "seed": 5}]) is None
    assert run_seed([]) is None
