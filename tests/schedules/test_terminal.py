import numpy as np
import pytest

from schedules import Clock, load
from schedules.analysis.preview import Preview, panels
from schedules.plots.terminal import BLOCKS, plot, spark, sparkline

CLOCK = Clock(1000, batch_size=10, examples_per_epoch=1000)
RISING = {"kind": "linear", "initial_value": 0.0, "end_value": 1.0}
FALLING = {"kind": "linear", "initial_value": 1.0, "end_value": 0.0}


def panel(**configs):
    plans = {
        label: Preview({"learning_rate": load(config, CLOCK)}, CLOCK)
        for label, config in configs.items()
    }
    return panels(plans)[0]


def cells(text, rows):
    """The braille cells, a string a row of the canvas."""
    lines = text.splitlines()[1 : rows + 1]
    return [line.partition("┤" if "┤" in line else "│")[2] for line in lines]


@pytest.mark.parametrize("columns", [40, 80, 110])
def test_a_plot_fits_its_columns(columns):
    drawn = plot(panel(up=RISING), columns).splitlines()[:15]
    assert max(map(len, drawn)) <= columns


def test_a_straight_line_climbs_one_dot_after_another():
    canvas = cells(plot(panel(up=RISING), 60, 10), 10)
    # From left to right, the row in which each column's topmost dot lies never goes down.
    tops = [
        next(row for row in range(10) if column < len(canvas[row]) and canvas[row][column] != " ")
        for column in range(max(map(len, canvas)))
        if any(column < len(row) and row[column] != " " for row in canvas)
    ]
    assert tops == sorted(tops, reverse=True)
    assert tops[0] == 9
    assert tops[-1] == 0


def test_what_falls_is_the_mirror_of_what_climbs():
    up, down = (spark(load(config, CLOCK), range(1000)) for config in (RISING, FALLING))
    assert up == down[::-1]
    assert up[0] == BLOCKS[0]
    assert up[-1] == BLOCKS[-1]


def test_lines_have_colours_of_their_own_where_there_is_colour():
    coloured = plot(panel(up=RISING, down=FALLING), colour=True)
    assert "\x1b[38;5;39m" in coloured
    assert "\x1b[38;5;208m" in coloured
    assert "\x1b" not in plot(panel(up=RISING, down=FALLING))


def test_the_first_and_last_and_the_extremes_are_told():
    wave = {"kind": "interpolate", "points": [[0, 0.2], [500, 0.9], [999, 0.4]]}
    assert "first 0.2 · lowest 0.2 · highest 0.9 · last 0.4" in plot(panel(wave=wave))


def test_what_is_not_finite_is_drawn_around():
    growing = {"kind": "natural_exp", "initial_value": 1.0, "decay_rate": -1000}
    assert "highest inf" in plot(panel(growing=growing))
    assert sparkline([0.0, np.nan, 1.0, -1.7e308]) == "▁?█?"


@pytest.mark.parametrize("total", [1, 2, 3])
def test_the_shortest_runs_have_a_plot(total):
    clock = Clock(total)
    [one] = panels(
        {"": Preview({"momentum": load({"kind": "constant", "value": 0.9}, clock)}, clock)}
    )
    assert plot(one).startswith(f"momentum over {total} step")
