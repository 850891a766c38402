"""What each kind computes, and what holds for all of them."""

import json
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import schedules
from schedules import Clock, Curve, Schedule, load

CONF = Path(__file__).parents[2] / "conf"
FILES = sorted((CONF / "schedule").glob("*.yaml"))
TRIANGLES = {"base_value": 1.0, "max_value": 3.0, "step_size_up": 10}
CLOCK = Clock(625, batch_size=64, examples_per_epoch=4000)


def written(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


FROM_CONF = pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in FILES])


def values(kind, steps, clock=None, **parameters):
    return load({"kind": kind, **parameters}, clock or Clock(100))(steps)


def test_every_kind_has_a_file_and_every_file_a_comment():
    ours = {
        name for name, kind in Schedule.kinds.items() if kind.__module__.startswith("schedules")
    }
    assert ours <= {path.stem for path in FILES}
    for path in FILES:
        schema, purpose, *_ = path.read_text(encoding="utf-8").splitlines()
        assert schema == "# yaml-language-server: $schema=../schema.json"
        assert purpose.startswith("# ")


@FROM_CONF
def test_a_value_does_not_depend_on_what_else_is_asked(path):
    curve = load(written(path), CLOCK)
    full = curve(np.arange(700))
    assert full.dtype == np.float64
    assert [curve(step) for step in range(0, 700, 3)] == full[::3].tolist()
    shuffled = np.random.default_rng(0).permutation(700)
    assert curve(shuffled).tolist() == full[shuffled].tolist()
    assert curve(shuffled.reshape(7, 100)).tolist() == full[shuffled].reshape(7, 100).tolist()
    far = np.array([0, 5, 10**9, 2**40])
    assert [curve(int(step)) for step in far] == curve(far).tolist()


@FROM_CONF
def test_a_schedule_written_out_and_read_again_is_the_same(path):
    curve = load(written(path), CLOCK)
    again = json.loads(json.dumps(curve.schedule.model_dump(mode="json")))
    assert load(again, CLOCK)(range(700)).tolist() == curve(range(700)).tolist()
    assert Schedule.declared(again) == curve.schedule


@FROM_CONF
def test_every_file_trains_from_a_sensible_value(path):
    curve = load(written(path), CLOCK)
    applied = curve(range(625))
    assert np.isfinite(applied).all()
    assert (applied >= 0).all()
    assert 0 < applied.max() <= 0.1


@FROM_CONF
def test_a_million_steps_take_less_than_a_second(path):
    curve, steps = load(written(path), Clock(10**6, 64, 4000)), np.arange(10**6)
    took = []
    for _ in range(3):  # a shared machine may stall once
        start = time.perf_counter()
        curve(steps)
        took.append(time.perf_counter() - start)
    assert min(took) < 1


@FROM_CONF
def test_a_file_takes_any_clock_with_a_data_size(path):
    for total in (1, 7, 100, 10**6):
        assert np.isfinite(
            load(written(path), Clock(total, 64, 50_000))(range(min(total, 50)))
        ).all()


def test_nothing_asked_is_nothing_told():
    assert load({"kind": "constant", "value": 1})([]).shape == (0,)


@given(st.floats(0.01, 10), st.just(0.0) | st.floats(1e-9, 1), st.fractions("1/7", 10**7))
@settings(max_examples=50)
def test_both_ends_are_met_to_the_last_bit(v0, end, T):
    curves = {
        "linear": {"end_value": end},
        "polynomial": {"end_value": end, "power": 0.5},
        "one_minus_sqrt": {"end_value": end},
        "rex": {"end_value": end},
        "cosine": {"alpha": end / v0},
    }
    for kind, parameters in curves.items():
        first, last, after = values(
            kind,
            [0, math.ceil(T), 10**12],
            initial_value=v0,
            decay_steps=f"{T} steps",
            **parameters,
        )
        assert (first, last, after) == (v0, pytest.approx(end, rel=1e-15, abs=0), last)


@pytest.mark.parametrize(
    ("kind", "parameters", "step", "value"),
    [
        ("constant", {"value": 10.0}, 500, 10.0),
        ("exponential", {"initial_value": 10.0, "decay_steps": 10, "decay_rate": 0.5}, 20, 2.5),
        ("natural_exp", {"initial_value": 10.0, "decay_rate": math.log(2)}, 200, 2.5),
        ("inverse_time", {"initial_value": 10.0, "decay_steps": 10, "decay_rate": 2.0}, 20, 2.0),
        ("inverse_sqrt", {"initial_value": 10.0, "timescale": 10}, 90, 10 / math.sqrt(10)),
        ("noam", {"d_model": 100, "warmup_steps": 25}, 24, 0.02),
        ("noam", {"d_model": 100, "warmup_steps": 25}, 99, 0.01),
        ("noam", {"d_model": 100, "warmup_steps": 25, "factor": 2.0}, 4, 0.008),
        ("linear", {"initial_value": 10.0, "end_value": 2.0}, 25, 8.0),
        ("polynomial", {"initial_value": 10.0, "end_value": 2.0, "power": 2.0}, 50, 4.0),
        ("cosine", {"initial_value": 10.0, "alpha": 0.2}, 50, 6.0),
        ("cosine", {"initial_value": 10.0, "k_decay": 2.0}, 50, 5 + 5 * math.sqrt(0.5)),
        ("linear_cosine", {"initial_value": 10.0, "alpha": 0.5, "beta": 0.1}, 0, 16.0),
        ("linear_cosine", {"initial_value": 10.0, "num_periods": 2.0, "beta": 0.1}, 50, 6.0),
        ("one_minus_sqrt", {"initial_value": 10.0, "end_value": 2.0}, 25, 6.0),
        ("tanh", {"initial_value": 10.0, "lower": -2.0, "upper": 2.0}, 50, 5.0),
        ("rex", {"initial_value": 9.0}, 50, 6.0),
        ("cyclic", TRIANGLES, 25, 2.0),
        ("cyclic", TRIANGLES | {"mode": "triangular2"}, 30, 2.0),
        ("cyclic", TRIANGLES | {"mode": "exp_range", "gamma": 0.9}, 10, 1 + 2 * 0.9**10),
        ("one_cycle", {"max_value": 10.0, "pct_start": 0.5}, 0, 0.4),
        ("one_cycle", {"max_value": 10.0, "pct_start": 0.5}, 49, 10.0),
        ("one_cycle", {"max_value": 10.0, "pct_start": 0.5}, 99, 0.4e-4),
        ("one_cycle", {"max_value": 10.0, "pct_start": 0.001}, 100, 0.4e-4),
        ("multistep", {"initial_value": 10.0, "milestones": [5, "50%"]}, 50, 0.1),
        ("interpolate", {"points": [[10, 1.0], [20, 3.0]]}, 0, 1.0),
        ("interpolate", {"points": [[10, 1.0], [20, 3.0]]}, 15, 2.0),
        ("interpolate", {"points": [[10, 1.0], [20, 3.0]], "mode": "cosine"}, 15, 2.0),
        ("interpolate", {"points": [["50%", 7.0]]}, 99, 7.0),
    ],
)  # fmt: skip
def test_a_formula_in_numbers_that_a_head_can_check(kind, parameters, step, value):
    assert values(kind, step, **parameters) == pytest.approx(value, rel=1e-12)


def test_integers_from_yaml_are_numbers_like_any_other():
    assert values("exponential", 5, initial_value=1, decay_steps=10, decay_rate=1) == 1.0
    halved = values("exponential", 5, initial_value=1, decay_steps=10, decay_rate=0.5)
    assert halved == pytest.approx(math.sqrt(0.5))
    assert values("cosine", 5, initial_value=1, decay_steps=10) == pytest.approx(0.5)


def test_a_value_that_overflows_is_infinite_without_a_warning():
    grown = {"initial_value": 1.0, "decay_steps": 1, "decay_rate": 10.0}
    assert values("exponential", [1, 1000], **grown).tolist() == [10.0, math.inf]


def test_the_seeds_recipes_are_what_people_were_told():
    mnist = load(written(CONF / "schedule" / "mnist_tf1.yaml"), Clock(9000, 64, 55_000))
    assert mnist([859, 860, 1718, 1719]) == pytest.approx([0.01, 0.0095, 0.0095, 0.009025])
    epochs = load(written(CONF / "schedule" / "epoch_steps.yaml"), Clock(27_000, 100, 22_500))
    switched = [225 * epoch + late for epoch in (20, 60, 100) for late in (-1, 0)]
    assert epochs(switched).tolist() == [0.1, 0.01, 0.01, 0.001, 0.001, 0.0001]


def test_a_curve_is_its_own_and_leaves_the_declaration_alone():
    declared = Schedule.declared({"kind": "manual", "initial_value": 1.0})
    one, other = Curve(declared, Clock(10)), Curve(declared, Clock(10))
    one.set(2.0)
    assert (one(0), other(0)) == (2.0, 1.0)


def test_a_mapping_of_any_class_is_a_config():
    from types import MappingProxyType

    part = MappingProxyType({"kind": "constant", "value": 2.0})
    config = MappingProxyType({"kind": "sequence", "parts": MappingProxyType({"a": part})})
    assert load(config)(0) == 2.0


def test_the_published_schema_is_of_today():
    command = [sys.executable, "-m", "schedules", "schema"]
    today = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    kept = (CONF / "schema.json").read_text(encoding="utf-8")
    assert kept == today, "python -m schedules schema > conf/schema.json"


def test_every_reference_in_the_schema_leads_somewhere():
    schema = schedules.json_schema()
    text = json.dumps(schema)
    named = {name.split('"')[0] for name in text.split("#/$defs/")[1:]}
    assert named <= set(schema["$defs"])
    assert set(Schedule.kinds) <= named
    assert "kindOf" not in text
    part = json.loads((CONF / "part.schema.json").read_text(encoding="utf-8"))
    assert part["$ref"] == "schema.json#/$defs/Part"


def test_the_schema_says_what_a_kind_takes_and_where_schedules_nest():
    kinds = schedules.json_schema()["$defs"]
    for name, kind in Schedule.kinds.items():
        assert set(kinds[name]["properties"]) == set(kind.model_fields)
        assert kinds[name]["additionalProperties"] is False
    assert kinds["linear"]["properties"]["decay_steps"]["default"] == "100%"
    assert kinds["scale"]["properties"]["schedule"]["$ref"] == "#/$defs/Schedule"
    assert (
        kinds["sequence"]["properties"]["parts"]["additionalProperties"]["$ref"] == "#/$defs/Part"
    )
    assert set(kinds["linear_part"]["properties"]) == {*kinds["linear"]["properties"], "length"}


def test_importing_schedules_loads_no_tensorflow_and_no_hydra():
    heavy = "{'tensorflow', 'keras', 'hydra', 'omegaconf', 'trainer'}"
    code = f"import sys, schedules; sys.exit(', '.join({heavy} & set(sys.modules)) or None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("group", ["warmup", "cooldown"])
def test_every_warmup_and_cooldown_is_a_curve_of_factors_that_meets_the_schedule(group):
    from schedules.kinds.sequences import Wrapped

    for path in (CONF / group).glob("*.yaml"):
        around = written(path)
        if path.stem == "none":
            assert around == {group: None}
            continue
        config = {"schedule": {"kind": "constant", "value": 0.5}, group: around}
        curve = Curve(Wrapped.declared(config), Clock(1000))
        meets, ends = (range(50, 1000), 0) if group == "warmup" else (range(801), 1000)
        assert set(curve(meets)) == {0.5}
        assert curve(ends) <= 0.05


def test_hydra_composes_every_schedule_warmup_and_cooldown():
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(str(CONF), version_base="1.3"):
        for group in ("schedule", "warmup", "cooldown"):
            for path in (CONF / group).glob("*.yaml"):
                composed = compose("config", [f"{group}={path.stem}"])
                found = OmegaConf.to_container(composed[group]) if composed[group] else None
                assert found == (None if path.stem == "none" else written(path))


@pytest.mark.parametrize("kind", ["linear", "one_minus_sqrt", "rex", "polynomial", "tanh"])
def test_one_override_swaps_the_kind_of_a_part(kind):
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    override = f"schedule.parts.decay.kind={kind}"
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("config", ["schedule=wsd", override, "schedule.parts.warmup.length=10%"])
    curve = load(OmegaConf.to_container(composed.schedule), Clock(1000))
    alone = load({"kind": kind, "initial_value": 0.02, "end_value": 0.0}, Clock(200))
    assert curve(range(800, 1100)).tolist() == alone(range(300)).tolist()
    assert curve(50) == 0.01
