"""Numbers that float32 can't hold are refused wherever the device computes with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import pytest

from schedules import Clock, Refused, load
from schedules.analysis.lint import lint
from schedules.declaration import Declaration
from schedules.declaration.scalars import GREATEST, LEAST, float32_fault
from tests.helpers.runs import experiment, plan
from trainer.commands.checks import look_over
from trainer.data.augment import Augment
from trainer.losses import Loss
from trainer.models import Model
from trainer.optimizers import Optimizer
from trainer.optimizers.averages import Ema
from trainer.scheduled.fields import Bounds, bounds
from trainer.scheduled.tape import Tape

FAMILIES = (Optimizer, Loss, Model)
DECLARATIONS: dict[str, tuple[type[Declaration], dict[str, str]]] = {
    "ema": (Ema, {}),
    "augment": (Augment, {}),
    **{
        f"{family.__name__.lower()} {kind}": (member, {"kind": kind})
        for family in FAMILIES
        for kind, member in family.kinds.items()
    },
}


def numbers() -> Iterator[tuple[str, str]]:
    """Every field that holds a float, with its declaration."""
    for name, (declaration, _) in DECLARATIONS.items():
        for field, info in declaration.model_fields.items():
            if info.annotation is float or float in get_args(info.annotation):
                yield name, field


def rules(name: str, field: str, value: Any) -> list[str]:
    """What is said of a value in a field."""
    declaration, kind = DECLARATIONS[name]
    try:
        declaration.declared({**kind, field: value})
    except Refused as refused:
        return [problem.rule for problem in refused.problems if problem.path == field]
    return []


@pytest.mark.parametrize(("name", "field"), [*numbers()])
def test_every_number_of_every_declaration_is_one_of_float32(name: str, field: str) -> None:
    limits = bounds(DECLARATIONS[name][0], field) or Bounds()
    for value in (1e39, 1e300, 1e-50, 1e-320):
        [rule] = rules(name, field, value)
        if limits.admit(value):
            expected = "infinite in float32" if value > 1 else "0 in float32"
            assert expected in rule
    if limits.lt == 1:
        assert rules(name, field, 0.999999999) == [f"must be {limits}, and is 1 in float32"]


def test_the_edges_are_those_of_numpy() -> None:
    info = np.finfo(np.float32)
    assert (float(info.max), float(info.tiny)) == (GREATEST, LEAST)
    assert not float32_fault(GREATEST) + float32_fault(-LEAST)
    assert float32_fault(np.nextafter(GREATEST, np.inf))
    assert float32_fault(np.nextafter(LEAST, 0))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("schedule.initial_value=1e300", "at step 0 is 1e300, which is inf in float32"),
        ("schedule.initial_value=1e-50", "is 1e-50, which is 0 in float32 at every step"),
        ("optimizer.momentum={kind: constant, value: 0.99999999999}", "must be at least 0 and"),
        ("optimizer.clipnorm={kind: constant, value: 1e-50}", "at step 0 is 1e-50: is 0 in"),
        ("optimizer.clipnorm={kind: constant, value: 1e20}", "must be at most 1.8e+19, whose"),
        ("loss.label_smoothing={kind: constant, value: 1e39}", "is 1e39, which is inf in float32"),
        ("model.dropout={kind: constant, value: 0.999999999}", "below 1, and is 1 in float32"),
        ("ema.momentum={kind: constant, value: 1e39}", "is 1e39, which is inf in float32"),
        (
            "schedule={kind: table, values: [0.1, 0.1, 1e39, 0.1]}",
            "at step 2 is 1e39, which is inf in float32",
        ),
    ],
)
def test_the_whole_of_every_curve_is_looked_at_in_float32(asked: str, message: str) -> None:
    with pytest.raises(Refused) as refused:
        look_over(plan("run.length=10", asked))
    assert message in str(refused.value)


@pytest.mark.parametrize("value", ["1e300", "1e-50"])
def test_the_hint_for_a_rate_that_float32_lacks_is_the_override_that_mends_it(value: str) -> None:
    asked = ("run.length=10", "schedule=constant", f"schedule.value={value}")
    with pytest.raises(Refused) as refused:
        look_over(plan(*asked))
    look_over(plan(*asked, refused.value.problems[0].hint))


def test_a_rate_that_falls_below_float32_is_a_warning_with_its_step() -> None:
    clock = Clock(100)
    falling = {"kind": "exponential", "initial_value": 0.1, "decay_steps": 1, "decay_rate": 0.1}
    [finding] = lint({"learning_rate": load(falling, clock)}, clock)
    assert (finding.severity, finding.step) == ("warning", 37)  # 1e-38 is below 1.2e-38
    assert finding.text.startswith("is 1e-38, which is 0 in float32 and 61 more: such updates")


@pytest.mark.parametrize("order", [1e39, -1e39, 1e-50])
def test_an_order_that_float32_lacks_is_refused_and_changes_nothing(order: float) -> None:
    declared = plan()
    tape = Tape(declared.curves, declared.bounds)
    before = tape.read(0, 3)
    with pytest.raises(Refused, match=r"^learning_rate = "):
        tape.hold("learning_rate", order)
    np.testing.assert_array_equal(tape.read(0, 3), before)


@pytest.mark.parametrize(("order", "applied"), [(1e30, "1e+40"), (1e-20, "1e-50")])
def test_what_a_schedule_makes_of_an_order_is_looked_at_too(order: float, applied: str) -> None:
    factor = {1e30: 1e10, 1e-20: 1e-30}[order]
    by_hand = f"schedule={{kind: scale, factor: {factor}, schedule: {{kind: manual, "
    declared = plan(by_hand + "initial_value: 1}}")
    tape = Tape(declared.curves, declared.bounds)
    with pytest.raises(Refused) as refused:
        tape.hold("learning_rate", order)
    assert f"would apply {applied}, which is " in str(refused.value)
    assert tape.read(0, 1)[0, 0] == factor


@pytest.mark.parametrize(
    "layer",
    ["{kind: Dense, units: 10}, {kind: LeakyReLU, negative_slope: 1e39}",
     "{kind: GaussianNoise, stddev: 1e-50}, {kind: Dense, units: 10}"],
)  # fmt: skip
def test_a_layer_of_keras_takes_numbers_of_float32_alone(layer: str) -> None:
    flat = "{kind: Flatten}"
    with pytest.raises(Refused, match=r"model\.layers\.\d\.\w+ = .*in float32"):
        experiment("model=layers", f"model.layers=[{flat}, {layer}]")
