from fractions import Fraction

import numpy as np
import pytest

from schedules import Clock, Refused, load
from schedules.analysis.lint import lint
from schedules.analysis.preview import (
    CHUNK,
    SEEN,
    Look,
    Preview,
    chunks,
    downsample,
    horizon,
    lengths,
    panels,
    seen_steps,
    span,
)
from schedules.analysis.scan import scan


class Recorder:
    """Stands for a curve and notes how much is asked of it at once."""

    def __init__(self, curve):
        self.curve, self.schedule, self.clock = curve, curve.schedule, curve.clock
        self.marks = curve.marks
        self.most = self.count = 0

    def __call__(self, steps):
        self.most = max(self.most, np.size(steps))
        self.count += np.size(steps)
        return self.curve(steps)


def noisy(total):
    inner = {"kind": "cosine", "initial_value": 0.1}
    return load({"kind": "noise", "schedule": inner, "std": 0.2, "seed": 3}, Clock(total))


@pytest.mark.parametrize("total", [1, 3599, 3600, 100_000, 200_001])
def test_a_picture_keeps_the_extremes_of_every_column(total):
    columns = 900
    curve = noisy(total)
    steps, values = downsample(curve, range(total), columns)
    width = -(-total // columns)
    drawn = np.full((columns, 2), np.nan)
    for column in range(columns):
        inside = values[(steps >= column * width) & (steps < (column + 1) * width)]
        if inside.size:
            drawn[column] = inside.min(), inside.max()
    whole = curve(np.arange(total))
    for column in range(-(-total // width)):
        part = whole[column * width : (column + 1) * width]
        assert tuple(drawn[column]) == (part.min(), part.max())
    assert steps[0] == 0
    assert steps[-1] == total - 1
    assert np.array_equal(values, curve(steps))
    assert np.all(np.diff(steps) > 0)


def test_one_step_out_of_a_million_shows():
    parts = {
        "before": {"kind": "constant", "value": 0.1, "length": 654_321},
        "spike": {"kind": "constant", "value": 9.0, "length": 1},
        "after": {"kind": "constant", "value": 0.1},
    }
    curve = load({"kind": "sequence", "parts": parts}, Clock(1_000_000))
    steps, values = downsample(curve, range(1_000_000))
    assert steps[values == 9.0].tolist() == [654_321]
    assert {654_320, 654_321, 654_322} <= set(steps.tolist())


def test_no_more_is_evaluated_at_once_than_a_chunk():
    curve = Recorder(noisy(10 * CHUNK + 7))
    for _ in chunks(curve, range(10 * CHUNK + 7)):
        pass
    downsample(curve, range(10 * CHUNK + 7))
    assert curve.most <= CHUNK


@pytest.mark.parametrize("look", [downsample, lambda curve, steps: scan(curve, steps, None)])
def test_a_longer_run_takes_no_more_to_look_at(look):
    counts = []
    for total in (SEEN, 50 * SEEN, 10**15):
        curve = Recorder(load({"kind": "cosine", "initial_value": 0.1}, Clock(total)))
        look(curve, range(total))
        assert curve.most <= CHUNK
        counts.append(curve.count)
    assert max(counts) <= counts[0] * 1.01


@pytest.mark.parametrize("total", [50, 200_001, 3 * SEEN])
def test_a_curve_that_was_looked_at_is_judged_and_drawn_by_that(total):
    curve = Recorder(load({"kind": "cosine", "initial_value": 0.1}, Clock(total)))
    look = Look.at(curve, range(total))
    looked, curve.count = curve.count, 0
    findings = lint({"learning_rate": curve}, curve.clock, looks={"learning_rate": look})
    drawn = downsample(curve, range(total), look=look)
    assert curve.count < looked / 2 + 4000
    assert findings == lint({"learning_rate": curve}, curve.clock)
    for found, expected in zip(drawn, downsample(curve, range(total)), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("total", [SEEN, SEEN + 1, 3 * SEEN - 1, 10**9, 10**15])
def test_the_steps_that_are_looked_at_are_in_order_and_leave_no_part_out(total):
    steps = seen_steps(load({"kind": "cosine", "initial_value": 0.1}, Clock(total)), range(total))
    assert (steps[0], steps[-1]) == (0, total - 1)
    assert steps.dtype == np.int64
    assert np.diff(steps).min() >= 1
    assert np.diff(steps).max() <= 2 * -(-total // SEEN)
    assert SEEN <= len(steps) + 2 <= SEEN + 6


@pytest.mark.parametrize("period", [953, 2 * 10**9 // SEEN, 10**6])
def test_no_period_goes_with_the_steps_of_a_long_run(period):
    teeth = {"kind": "cyclic", "base_value": 0.0, "max_value": 1.0, "step_size_up": period}
    curve = load(teeth, Clock(10**9))
    _, values = downsample(curve, range(10**9))
    assert (values.min(), values.max()) == pytest.approx((0.0, 1.0), abs=1e-3)


def test_chunks_cover_every_step_once():
    steps = range(5, 3 * CHUNK, 2)
    assert [step for part, _ in chunks(noisy(9), steps) for step in part] == list(steps)


def test_a_run_that_ends_between_two_steps_takes_the_step_it_cuts_into():
    assert horizon(Clock(Fraction(6875, 8))) == range(860)


def test_how_far_to_look_must_be_known():
    with pytest.raises(Refused, match="total_steps: is required"):
        horizon(Clock())


@pytest.mark.parametrize(
    ("written", "steps"),
    [("0:5", range(5)), ("10:", range(10, 50)), (":7", range(7)), ("40:90:25", range(40, 90, 25))],
)
def test_a_span_reads_as_a_slice_and_may_go_past_the_end(written, steps):
    assert span(written, range(50)) == steps


@pytest.mark.parametrize(
    "written", ["5", "a:b", "5:5", "9:3", "-1:3", "0:9:-1", "0:9:0", "1:2:3:4"]
)
def test_other_spans_are_refused(written):
    with pytest.raises(Refused, match="must be A:B or A:B:C") as refused:
        span(written, range(50))
    assert refused.value.problems[0].path == "--steps"


def test_lengths_of_parts_are_told_by_their_override_paths():
    parts = {
        "warmup": {"kind": "linear", "initial_value": 0, "end_value": 1, "length": "10%"},
        "main": {"kind": "cosine_restarts", "initial_value": 1, "first_decay_steps": "50%"},
    }
    curve = load({"kind": "sequence", "parts": parts}, Clock(100))
    assert [(path, str(written), steps) for path, written, steps in lengths(curve)] == [
        ("parts.warmup.length", "10%", 10),
        ("parts.main.first_decay_steps", "50%", 45),
    ]


def test_a_panel_holds_one_value_of_all_plans():
    def plan(total, **values):
        clock = Clock(total)
        curves = {
            name: load({"kind": "constant", "value": value}, clock)
            for name, value in values.items()
        }
        return Preview(curves, clock)

    figure = panels({"a": plan(10, learning_rate=1, momentum=2), "b": plan(20, learning_rate=3)})
    assert [(panel.name, [line.label for line in panel.lines]) for panel in figure] == [
        ("learning_rate", ["a", "b"]),
        ("momentum", ["a"]),
    ]
    assert [panel.steps for panel in figure] == [20, 20]
    assert [line.steps[-1] for line in figure[0].lines] == [9, 19]
