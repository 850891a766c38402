from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import yaml

from schedules import Clock, Refused, load
from schedules.analysis.lint import lint
from schedules.analysis.preview import CHUNK
from schedules.curve import Curve
from schedules.kinds.sequences import Wrapped

CLOCK = Clock(1000, batch_size=10, examples_per_epoch=1000)


def linear(start, end, **more):
    return {"kind": "linear", "initial_value": start, "end_value": end, **more}


def sequence(**parts):
    return {"kind": "sequence", "parts": parts}


def found(config, name="learning_rate", clock=CLOCK):
    return lint({name: load(config, clock)}, clock)


def message(config, name="learning_rate", clock=CLOCK):
    return [(one.severity, one.step, one.text, one.hint) for one in found(config, name, clock)]


WARMUP = linear(0.0, 0.1, length=100)
PIECES = {"kind": "piecewise_constant", "boundaries": [300, 600], "values": [0.1, 0.01, 0.001]}

WELL = {
    "a warmup from 0 to the main part's start": sequence(warmup=WARMUP, main=linear(0.1, 0.0)),
    "a warmup of a few steps": sequence(
        warmup=linear(0.0, 0.1, length=3), main={"kind": "cosine", "initial_value": 0.1}
    ),
    "a warmup that ends between two steps": sequence(
        warmup=linear(0.0, 0.1, length="33.3%"), main=linear(0.1, 0.0)
    ),
    "a fall to exactly 0 at the last step": linear(0.1, 0.0, decay_steps=999),
    "stairs": PIECES,
    "stairs made of parts": sequence(
        high={"kind": "constant", "value": 0.1, "length": "50%"},
        low={"kind": "constant", "value": 0.01},
    ),
    "restarts": {
        "kind": "cosine_restarts",
        "initial_value": 0.1,
        "first_decay_steps": 100,
        "alpha": 0.01,
    },
    "restarts made of parts": sequence(
        first={"kind": "cosine", "initial_value": 0.1, "length": 400},
        second={"kind": "cosine", "initial_value": 0.05},
    ),
    "a constant": {"kind": "constant", "value": 0.1},
    "a plateau around a constant": {
        "kind": "plateau",
        "schedule": {"kind": "constant", "value": 0.1},
    },
    "a hand": {"kind": "manual", "initial_value": 0.1},
    "an exponential over an epoch": {
        "kind": "exponential",
        "initial_value": 0.1,
        "decay_steps": "1 epoch",
        "decay_rate": 0.9,
        "staircase": True,
    },
    "noise on a warmed-up cosine": {
        "kind": "noise",
        "std": 0.1,
        "schedule": sequence(warmup=WARMUP, main={"kind": "cosine", "initial_value": 0.1}),
    },
    "one cycle": {"kind": "one_cycle", "max_value": 0.1},
}


@pytest.mark.parametrize("config", WELL.values(), ids=WELL)
def test_nothing_is_said_against(config):
    assert message(config) == []


@pytest.mark.parametrize("config", [linear(0.1, 0.0), sequence(warmup=linear(0.0, 0.1)), PIECES])
def test_a_run_of_one_step_may_have_any_schedule(config):
    assert message(config, clock=Clock(1)) == []


def test_a_negative_learning_rate_is_refused_at_its_first_step():
    assert message(linear(0.1, -0.1)) == [
        ("refused", 501, "is -2e-4: training would climb", "schedule.end_value=0")
    ]


def test_a_learning_rate_that_is_always_zero_is_refused():
    [finding] = found({"kind": "constant", "value": 0})
    assert (finding.severity, finding.hint) == ("refused", "schedule.value=0.01")


def test_zero_in_the_middle_is_a_warning():
    zero = linear(0.1, 0.0, decay_steps=600)
    assert message(zero) == [
        (
            "warning",
            600,
            "is 0 and 398 more: such updates change nothing",
            "schedule.end_value=0.001",
        )
    ]


def test_what_is_not_finite_is_refused_and_nothing_else_is_said():
    growing = {"kind": "natural_exp", "initial_value": 1.0, "decay_rate": -1000}
    values = load(growing, CLOCK)(np.arange(1000))
    with np.errstate(over="ignore"):
        is_finite = np.isfinite(values.astype(np.float32))
    [finding] = found(growing)
    assert finding.severity == "refused"
    assert finding.step == int(np.argmin(is_finite)) < int(np.argmin(np.isfinite(values)))
    assert "schedule.decay_rate" in finding.hint


def test_a_jump_from_a_warmup_to_its_main_part_is_a_warning():
    jumping = sequence(warmup=WARMUP, main=linear(0.05, 0.0))
    assert message(jumping) == [
        (
            "warning",
            100,
            "jumps from 0.099 to 0.05 where main begins",
            "schedule.parts.main.initial_value=0.099",
        )
    ]


def test_a_jump_from_a_level_stretch_is_a_warning():
    level = {"kind": "constant", "value": 0.1, "length": "80%"}
    [finding] = found(sequence(stable=level, decay=linear(0.01, 0.001)))
    assert (finding.step, finding.hint) == (800, "schedule.parts.decay.initial_value=0.1")


def test_boundaries_past_the_end_of_the_run_are_a_warning():
    assert message(PIECES, clock=Clock(500)) == [
        (
            "warning",
            600,
            "would come to 0.001, but the run ends at 500",
            "run.length=600, or an earlier boundary",
        )
    ]


def test_a_curve_that_ends_far_from_its_end_is_a_warning():
    [finding] = found(linear(0.1, 0.0, decay_steps="20 epochs"))
    assert (finding.severity, finding.step) == ("warning", 999)
    assert "ends at 0.05005, far from its end at 0" in finding.text
    assert finding.hint == "schedule.decay_steps=100%"


def test_a_part_that_is_cut_short_is_named_by_its_path():
    cut = linear(0.1, 0.0, decay_steps=400, length=200)
    after = linear(0.05, 0.01)
    [finding] = found(sequence(first=cut, second=after))
    assert finding.hint == "schedule.parts.first.decay_steps=100%"


@pytest.mark.parametrize("name", ["momentum", "beta_1", "beta_2", "rho", "ema_momentum"])
def test_what_weighs_the_past_must_stay_below_1(name):
    assert message(linear(0.5, 1.0, decay_steps=500), name) == [
        (
            "refused",
            500,
            "is 1: must be at least 0 and below 1",
            f"optimizer.{name}.end_value=0.99",
        )
    ]
    [finding] = found(linear(-0.1, 0.9), name)
    assert (finding.step, finding.hint) == (0, f"optimizer.{name}.initial_value=0")


def test_other_values_may_be_anything_finite():
    assert message(linear(-3.0, 3.0), "weight_decay") == []


def test_a_schedule_that_never_changes_is_a_warning():
    still = {
        "kind": "exponential",
        "initial_value": 0.1,
        "decay_steps": 100_000,
        "decay_rate": 0.96,
        "staircase": True,
    }
    assert message(still) == [
        ("warning", None, "never changes: 0.1 at all 1,000 steps", "schedule.decay_steps=10%")
    ]


def test_a_warmup_stands_beside_the_schedule_in_a_config():
    config = {"warmup": linear(0.0, 1.0, length=100), "schedule": linear(0.1, -0.1)}
    [finding] = lint({"learning_rate": Curve(Wrapped.declared(config), CLOCK)}, CLOCK)
    assert finding.hint == "schedule.end_value=0"


def test_what_cannot_train_comes_first():
    curves = {
        "learning_rate": load(linear(0.1, 0.0, decay_steps=2000), CLOCK),
        "momentum": load({"kind": "constant", "value": 1.5}, CLOCK),
    }
    assert [finding.severity for finding in lint(curves, CLOCK)] == ["refused", "warning"]


@pytest.mark.parametrize("step", [0, CHUNK - 1, CHUNK, 3 * CHUNK + 5])
def test_one_bad_step_is_found_wherever_it_is(step):
    values = np.full(4 * CHUNK, 0.1)
    values[step] = -0.1
    clock = Clock(4 * CHUNK)
    findings = found({"kind": "table", "values": values.tolist()}, clock=clock)
    assert [(finding.severity, finding.step) for finding in findings] == [("refused", step)]


def test_where_something_begins_is_found_to_the_step_in_a_long_run():
    clock = Clock(10**9)
    assert [
        (finding.severity, finding.step) for finding in found(linear(0.1, -0.1), clock=clock)
    ] == [("refused", 5 * 10**8 + 1)]
    low = {"kind": "piecewise_constant", "boundaries": [123_456_789], "values": [0.1, 0.0]}
    [severity, step, text, _] = message(low, clock=clock)[0]
    assert (severity, step) == ("warning", 123_456_790)
    assert "and about 876,5" in text


CONFIGS = {
    file.stem: yaml.safe_load(file.read_text())
    for file in sorted((Path(__file__).parents[2] / "conf/schedule").glob("*.yaml"))
}


def broken():
    """Yields schedules of every kind with a number that may be refused, by what was done."""
    for kind, config in CONFIGS.items():
        for field, value in config.items():
            if type(value) is float:
                for wrong in (-1.0, 0.0, 1e40):
                    yield f"{kind} {field}={wrong:g}", {**config, field: wrong}
    yield "two below 0", linear(-1.0, -0.5)
    yield "a part below 0", sequence(first=linear(-1.0, 0.0, length="50%"), last=linear(0.1, -1.0))


def follow(config, hint):
    """The config with the overrides of a hint."""
    changed = deepcopy(config)
    for override in hint.split():
        path, _, value = override.partition("=")
        *keys, last = path.split(".")[1:]
        inner = changed
        for key in keys:
            inner = inner[key]
        inner[last] = float(value)
    return changed


def test_what_lint_says_to_type_mends_what_it_refuses():
    followed = 0
    for what, config in broken():
        try:
            findings = found(config)
        except Refused:  # the schema has told it
            continue
        for finding in findings:
            if finding.severity != "refused" or "=" not in finding.hint:
                continue
            left = found(follow(config, finding.hint))
            assert not [one.text for one in left if one.severity == "refused"], (what, finding)
            followed += 1
    assert followed >= 20


@pytest.mark.parametrize("name", ["momentum", "beta_1"])
@pytest.mark.parametrize(("start", "end"), [(-1.0, 0.9), (0.5, 1.0), (-1.0, -1.0), (2.0, 3.0)])
def test_it_does_for_what_weighs_the_past(name, start, end):
    config = linear(start, end)
    for finding in found(config, name):
        hint = finding.hint.replace(f"optimizer.{name}", "schedule")
        if finding.severity == "refused" and "=" in hint:
            left = found(follow(config, hint), name)
            assert not [one.text for one in left if one.severity == "refused"], finding
