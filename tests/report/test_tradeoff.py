import re

import pytest

from hftrain.report.tradeoff import Spot, tradeoff


def draw(spots):
    return tradeoff(spots, title="Quality against size", x_label="MB", y_label="% above full").svg


def test_each_thing_has_its_mark_its_name_and_its_remark():
    svg = draw({"one": Spot(1, 0.5, 10, "10/s", "a"), "two": Spot(5, 0.0, 40, "40/s", "b")})

    assert "one 10/s" in svg and "two 40/s" in svg
    assert svg.count("<circle") == 1 and svg.count("<polygon") == 1


def test_families_differ_by_shape_and_by_colour():
    svg = draw({name: Spot(1, at, 1, "", name) for at, name in enumerate("abcd")})

    marks = re.findall(r"<(circle|polygon)[^>]*(--series-\d)", svg)
    assert len({colour for _, colour in marks}) == 4
    assert len(set(re.findall(r'points="([^"]+)"', svg))) == 3


def test_the_area_grows_with_the_weight():
    svg = draw(
        {"slow": Spot(1, 0, 25, "", "a"), "fast": Spot(2, 1, 100, "", "a"), "unknown": Spot(3, 2, None, "", "a")}
    )

    assert sorted(map(float, re.findall(r' r="([\d.]+)"', svg))) == [4.0, 4.5, 9.0]


def test_names_beside_do_not_overlap_however_close_the_marks_are():
    svg = draw({f"format-{index}": Spot(2.0, 0.0, 1, "1/s", "a") for index in range(13)})

    heights = sorted(float(y) for y in re.findall(r'<text[^>]* y="([\d.]+)"[^>]*>format-', svg))
    assert len(heights) == 13
    assert min(after - before for before, after in zip(heights, heights[1:], strict=False)) >= 14


@pytest.mark.parametrize("spots", [{}, {"a": Spot(None, 1.0)}, {"a": Spot(1.0, float("nan"))}])
def test_nothing_that_can_be_drawn_is_said(spots):
    assert "no numbers yet" in draw(spots)


def test_text_from_outside_is_inert():
    svg = draw({"<script>": Spot(1, 1, 1, "</svg>", "<b>")})

    assert "<script>" not in svg and svg.count("</svg>") == 1
