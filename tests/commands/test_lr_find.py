"""The learning-rate range test: its sweep, what it makes of losses, and what it says to type."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path

import numpy as np
import pytest

from schedules import Clock, Curve, Refused
from schedules.analysis.heights import overrides_for_peak
from tests.helpers.runs import experiment, plan
from trainer.commands.lr_find import find
from trainer.commands.lr_find_picture import svg
from trainer.config.conf_folder import CONF
from trainer.config.lr_find import RangeTest, Reading
from trainer.runs.folder import Folder

FINDING = ("mode=lr_find", "schedule=constant")


def found(path: Path, *overrides: str) -> int:
    path.mkdir(exist_ok=True)
    return find(plan(*FINDING, *overrides), Folder(path))


def test_the_sweep_rises_by_the_same_factor_at_every_update() -> None:
    curve = RangeTest(start=1e-4, end=1.0).curve(Clock(1000))
    rates = curve(np.arange(300))
    np.testing.assert_allclose(rates, np.geomspace(1e-4, 1.0, 300), rtol=1e-12)


def test_a_sweep_that_is_too_short_or_falls_is_refused() -> None:
    with pytest.raises(Refused, match=r"lr_find.length = 19: must be at least 20 updates"):
        experiment(*FINDING, "lr_find.length=19").curves()
    with pytest.raises(Refused, match=r"lr_find.end = 1e-07: must be above start = 1e-06"):
        experiment(*FINDING, "lr_find.end=1e-7")


def test_everything_else_is_what_the_run_would_apply_first() -> None:
    momentum = "optimizer.momentum={kind: linear, initial_value: 0.5, end_value: 0.9}"
    asked = ("run.length=40 epochs", momentum)
    planned, swept = experiment(*asked).curves(), experiment("mode=lr_find", *asked).curves()
    steps = np.arange(300)
    np.testing.assert_array_equal(swept["momentum"](steps), planned["momentum"](steps))
    assert swept["learning_rate"](0) == 1e-6


def valley() -> Reading:
    """Falls to its lowest at the rate 0.1, then rises without end."""
    rates = np.geomspace(1e-4, 10, 100)
    return Reading(rates, 2.5 - 2.3 * np.exp(-np.square(np.log10(rates) + 1)))


def test_the_smoothed_loss_weighs_the_past_exponentially() -> None:
    losses = np.random.default_rng(1).normal(size=30)
    smoothed = Reading(np.ones(30), losses).smoothed
    for t in range(30):
        weights = 0.9 ** np.arange(t, -1, -1)
        assert smoothed[t] == pytest.approx(np.average(losses[: t + 1], weights=weights))


def test_a_tenth_of_the_rate_with_the_lowest_loss_is_suggested() -> None:
    reading = valley()
    # Smoothing looks back by a few of the hundred updates.
    assert 0.1 < reading.rates[reading.best] < 0.3
    assert reading.suggested == pytest.approx(reading.rates[reading.best] / 10, rel=0.05)


def test_a_loss_that_only_rises_suggests_nothing() -> None:
    rates = np.geomspace(1e-4, 10, 50)
    assert Reading(rates, 2.0 + rates).suggested is None
    assert Reading().suggested is None


def test_a_sweep_has_diverged_once_the_loss_is_four_times_its_lowest() -> None:
    losses = [1.0] * 30 + [9.0] * 3
    states = [Reading(np.ones(n), np.array(losses[:n])).diverged for n in range(1, 34)]
    # 1 + 8 * (1 - 0.9**n) passes 4 with the fifth 9; three of them do not do.
    assert not any(states)
    assert Reading(np.ones(35), np.array([*losses, 9.0, 9.0])).diverged


def test_what_is_not_finite_ends_a_reading_and_is_left_out() -> None:
    reading = Reading().followed_by(np.arange(4.0), np.array([2.0, 1.0, np.nan, 1.0]))
    assert reading.diverged
    assert reading.losses.tolist() == [2.0, 1.0]
    assert not Reading().followed_by(np.arange(2.0), np.ones(2)).diverged


def test_a_range_test_leaves_its_table_its_picture_and_what_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert found(tmp_path, "lr_find.length=150", "lr_find.start=1e-4") == 0
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"lr_find.csv", "lr_find.svg", "tensorflow.log"}
    rows = list(csv.DictReader((tmp_path / "lr_find.csv").read_text().splitlines()))
    assert float(rows[0]["learning_rate"]) == 1e-4
    losses = np.array([float(row["smoothed_loss"]) for row in rows])
    rates = np.array([float(row["learning_rate"]) for row in rows])
    suggested = float(f"{rates[losses.argmin()] / 10:.2g}")
    assert 0.001 < suggested < 1
    assert f"type: schedule.value={suggested!r}\n" in capsys.readouterr().out


def test_a_range_test_starts_a_fresh_network_each_time(tmp_path: Path) -> None:
    tables = []
    for name in ("one", "two"):
        found(tmp_path / name, "lr_find.length=40")
        tables.append((tmp_path / name / "lr_find.csv").read_text())
    assert tables[0] == tables[1]


BODY = "body: {{paths: ['dense_1/*'], {}}}"


@pytest.mark.parametrize(
    ("later", "from_the_beginning"),
    [
        ("frozen_until: 50%", ""),
        (
            "learning_rate_factor: {kind: piecewise_constant, boundaries: [50%], values: [0, 0.3]}",
            "learning_rate_factor: 0.3",
        ),
    ],
)
def test_what_learns_later_in_the_run_learns_throughout_the_sweep(
    later: str, from_the_beginning: str, tmp_path: Path
) -> None:
    tables = []
    for name, setting in (("later", later), ("whole", from_the_beginning)):
        groups = f"optimizer.groups={{{BODY.format(setting)}}}".replace(", }", "}")
        found(tmp_path / name, "lr_find.length=100", "lr_find.start=1e-3", "lr_find.end=5", groups)
        table = np.loadtxt(tmp_path / name / "lr_find.csv", delimiter=",", skiprows=1)
        tables.append(table[:40])  # as far as both are sure to come
    np.testing.assert_allclose(*tables, rtol=1e-4)


def test_what_is_frozen_for_good_is_so_in_the_sweep() -> None:
    groups = f"optimizer.groups={{{BODY.format('frozen_until: 100%')}}}"
    assert experiment(*FINDING, groups).curves()["groups.body.frozen"](0) == 1


def test_where_no_rate_lowers_the_loss_none_is_suggested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert found(tmp_path, "lr_find.length=20", "lr_find.end=1e-5") == 1
    assert "no learning rate lowered the loss" in capsys.readouterr().out


def test_a_sweep_that_begins_beyond_all_bounds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"lr_find.start = 1e\+30: is a rate at which"):
        found(tmp_path, "lr_find.start=1e30", "lr_find.end=1e31")


def test_the_picture_marks_the_suggested_rate() -> None:
    drawn = svg(valley())
    assert f"suggested {valley().suggested}" in drawn
    assert "nan" not in drawn


def typed(*overrides: str, rate: float) -> str:
    declared = experiment(*overrides)
    return overrides_for_peak(
        Curve(declared.driven()["learning_rate"].schedule, declared.clock()), rate
    )


KINDS = sorted(path.stem for path in (CONF / "schedule").glob("*.yaml"))
BY_HAND = {"interpolate", "maximum", "minimum", "product", "sum"}
"""Schedules whose heights are items of a list, which no override reaches."""


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_to_type_brings_the_schedule_to_that_height(kind: str) -> None:
    asked = (f"schedule={kind}", "allow_code=true", "run.length=20 epochs")
    message = typed(*asked, rate=0.0037)
    assert message.startswith("schedule.") == (kind not in BY_HAND)
    if kind in BY_HAND:
        assert "whose greatest value is 0.0037" in message
        return
    curve = experiment(*asked, *shlex.split(message)).curves()["learning_rate"]
    assert curve(np.arange(450)).max() == pytest.approx(0.0037, rel=0.06)


def test_a_warmup_is_counted_in() -> None:
    asked = ("warmup=linear", "schedule=cosine", "cooldown=linear")
    assert typed(*asked, rate=0.004) == "schedule.initial_value=0.004"
