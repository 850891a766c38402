"""What is said and checked before TensorFlow is imported."""

from __future__ import annotations

import numpy as np
import pytest

from schedules.analysis.lint import Finding
from trainer.commands.checks import look_over
from trainer.config.conf_folder import CONF
from trainer.config.experiment import Experiment
from trainer.config.hydra import compose
from trainer.config.plan import Plan
from trainer.optimizers import Optimizer


def warnings(*overrides: str) -> list[Finding]:
    declared = Experiment.declared(compose(overrides))
    found = look_over(Plan.of(declared))
    return [finding for finding in found if "was tried with" in finding.text]


@pytest.mark.parametrize(
    ("overrides", "text", "hint"),
    [
        (["optimizer=adam"],
         "goes up to 0.02, 20 times as high as adam was tried with",
         "schedule.initial_value=0.001"),
        (["optimizer=lion", "schedule=one_cycle", "warmup=linear"],
         "goes up to 0.05, 50 times as high as lion was tried with",
         "schedule.max_value=0.001"),
        (["optimizer=sgd", "schedule=constant", "schedule.value=1e-7"],
         "goes up to 1e-7, 1,000,000 times lower than sgd was tried with",
         "schedule.value=0.1"),
        (["optimizer=adam", "schedule=wsd"],
         "goes up to 0.02, 20 times as high as adam was tried with",
         "schedule.parts.warmup.end_value=0.001 schedule.parts.stable.value=0.001 "
         "schedule.parts.decay.initial_value=0.001"),
    ],
)  # fmt: skip
def test_a_learning_rate_far_from_what_was_tried_is_told_with_what_mends_it(
    overrides: list[str], text: str, hint: str
) -> None:
    [finding] = warnings(*overrides)
    assert (finding.name, finding.severity) == ("learning_rate", "warning")
    assert (finding.text, finding.hint) == (text, hint)
    assert warnings(*overrides, *hint.split()) == []


@pytest.mark.parametrize(
    ("rate", "warned"), [(0.19, True), (0.21, False), (79.0, False), (81.0, True)]
)
def test_eight_times_above_and_fifty_times_below_is_far(
    rate: float, warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Optimizer.kinds["sgd"], "tried", 10.0)
    declared = ("optimizer=sgd", "schedule=constant", f"schedule.value={rate}")
    assert bool(warnings(*declared)) == warned


def test_what_nobody_tried_and_a_range_test_are_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    assert warnings("optimizer=adam", "mode=lr_find") == []
    monkeypatch.setattr(Optimizer.kinds["adam"], "tried", None)
    assert warnings("optimizer=adam") == []


@pytest.mark.parametrize("name", sorted(path.stem for path in CONF.glob("experiment/*.yaml")))
def test_the_experiments_that_ship_stay_near_what_was_tried(name: str) -> None:
    assert warnings(f"experiment={name}") == []


@pytest.mark.parametrize("kind", sorted(Optimizer.kinds))
def test_every_optimizer_has_a_learning_rate_that_it_admits(kind: str) -> None:
    declared = Optimizer.kinds[kind]
    assert declared.tried is not None
    assert np.all(declared.rate_bounds.admit(declared.tried))
