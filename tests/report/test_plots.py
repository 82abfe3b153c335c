import re

import pytest

from hftrain.report import plots
from hftrain.report.axes import round_ticks, tick_texts, ticks_inside
from hftrain.report.marks import MOST_POINTS, finite_runs


def draw(series, **more):
    return plots.lines(series, title="Loss", x_label="step", y_label="nats", **more).svg


def test_ticks_of_a_known_range():
    assert round_ticks(1.07, 2.87) == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert round_ticks(-3, 7) == [-5, 0, 5, 10]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1e-7, 3e-7), (5, 5), (0, 0), (-3e290, 1e290), (1e299, 1e299)])
def test_ticks_are_round_and_hold_the_values(low, high):
    found = round_ticks(low, high)

    assert found[0] <= low and found[-1] >= high
    steps = [after - before for before, after in zip(found, found[1:], strict=False)]
    assert steps == pytest.approx([steps[0]] * len(steps))
    assert re.fullmatch(r"[125]e[+-]\d+", f"{steps[0]:.0e}")
    assert 3 <= len(found) <= 8


@pytest.mark.parametrize(("low", "high"), [(0.15, 1), (10, 32), (1, 600), (-2.1, 2.1)])
def test_ticks_inside_a_range_are_three_or_more(low, high):
    found = ticks_inside(low, high)

    assert len(found) >= 3
    assert low <= found[0] and found[-1] <= high


def test_steps_are_counted_in_whole_numbers():
    svg = draw({"loss": [(1, 3.0), (2, 2.0), (3, 1.5)]})

    assert re.findall(r'text-anchor="middle"[^>]*>([^<]*)<', svg) == ["1", "2", "3"]


def test_ticks_are_written_alike():
    assert tick_texts([0.0, 0.5, 1.0]) == ["0.0", "0.5", "1.0"]
    assert tick_texts([-5.0, 0.0, 5.0]) == ["−5", "0", "5"]
    assert tick_texts([0, 20_000, 40_000]) == ["0", "20k", "40k"]
    assert tick_texts([0.0, 0.001, 0.002]) == ["0", "1e−3", "2e−3"]
    assert tick_texts([0.94, 0.945, 0.95], is_share=True) == ["94.0 %", "94.5 %", "95.0 %"]


def test_a_curve_goes_through_its_points():
    svg = draw({"loss": [(0, 0.0), (10, 1.0)]})

    # ticks 0.0 0.5 1.0: the left edge stands 0.62*2+0.4 letters of 12 and 10 units in; "1.00" takes 0.62*3+0.4 and 8
    start, end = re.search(r'<path d="M([\d. ]+)L([\d. ]+)"', svg).groups()
    assert start == "29.7 194" and end == "344.9 44"


def test_a_value_that_is_no_number_leaves_a_gap():
    assert finite_runs([(0, 1.0), (1, float("nan")), (2, 3), (3, None), (4, "x"), (5, 2.5)]) == [
        [(0.0, 1.0)],
        [(2.0, 3.0)],
        [(5.0, 2.5)],
    ]
    assert draw({"loss": [(0, 1.0), (1, 2.0), (2, float("inf")), (3, 1.0), (4, 2.0)]}).count("M") == 2


def test_thinning_keeps_the_ends_and_the_spikes():
    points = [(step, 1.0) for step in range(10_000)]
    points[4321] = (4321, 99.0)
    [kept] = finite_runs(points)

    assert len(kept) <= MOST_POINTS + 2
    assert (4321.0, 99.0) in kept
    assert kept[0][0] == 0 and kept[-1][0] == 9999
    assert [x for x, _ in kept] == sorted({x for x, _ in kept})


def test_names_of_series_and_levels_are_escaped():
    svg = draw({"<b>": [(0, 1)], "other": [(1, 2)]}, references={"<i>": 1.5})

    assert "<b>" not in svg and "&lt;b&gt;" in svg
    assert "<i>" not in svg and "&lt;i&gt;" in svg


@pytest.mark.parametrize("series", [{}, {"loss": []}, {"loss": [(None, None)]}])
def test_a_plot_of_nothing_says_so(series):
    assert "no numbers yet" in draw(series)


def test_an_axis_reaches_what_it_must_show():
    assert "0 %" not in draw({"ended": [(0, 0.94), (1, 0.98)]}, y_is_share=True).replace("100 %", "")
    assert ">0 %<" in draw({"ended": [(0, 0.94), (1, 0.98)]}, y_is_share=True, y_shows=(0, 1))


def test_a_histogram_counts_every_value_once():
    svg = plots.histogram({"margins": [0.0, 0.1, 0.9, 1.0]}, title="Margins", x_label="margin", bin_count=3).svg

    # bins [0, 0.5) and [0.5, 1] hold half of the values each; 50 % of an axis to 60 % is 125 of 150 units above 194
    assert re.search(r'd="M\S+ 194V69H\S+V69H372V194"', svg)


def test_counted_bins_need_one_edge_more_than_counts():
    right = plots.binned([0, 1, 2], {"a": [3, 1]}, title="t", x_label="x").svg
    wrong = plots.binned([0, 1], {"a": [3, 1]}, title="t", x_label="x").svg

    assert "75" not in right and "80 %" in right
    assert "no numbers yet" in wrong


def test_a_funnel_ends_with_what_is_left():
    svg = plots.funnel(1000, {"duplicate": 100, "short": 300}, title="Documents", unit="documents").svg

    assert "−100 · 10.0 %" in svg and "−300 · 30.0 %" in svg
    assert ">600 · 60.0 %<" in svg


def test_a_bar_without_a_number_is_listed_without_one():
    svg = plots.bars({"whole": 10, "unknown": None}, title="Size", unit="bytes").svg

    assert "unknown" in svg and ">–<" in svg


def test_before_and_after_stand_in_their_order_with_their_levels():
    svg = plots.before_after(0.5, 0.8, title="Accuracy", references={"chance": 0.5}, interval=(0.7, 0.9)).svg

    ring, dot = (float(x) for x in re.findall(r'cx="([\d.]+)"', svg))
    assert ring < dot and "chance" in svg


def test_a_notebook_sees_the_picture_on_white_and_a_page_in_its_own_colours():
    plot = plots.bars({"a": 1}, title="Size")

    assert 'fill="#ffffff"' in plot._repr_svg_()
    assert 'fill="#ffffff"' not in plot.svg
    assert plot._repr_svg_().startswith("<svg ") and "<title>Size</title>" in plot.svg
