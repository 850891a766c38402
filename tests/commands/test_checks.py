"""What is said and checked before TensorFlow is imported."""

from __future__ import annotations

import numpy as np
import pytest

from schedules.analysis.lint import Finding
from tests.helpers.networks import Trained
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


def learns(*overrides: str) -> bool:
    """Whether ten epochs of the digits bring a network far beyond guessing."""
    run = Trained("model.hidden=[64]", "run.length=10 epochs", *overrides, longest=250)
    run.update(0, 225)
    return run.program.evaluate()["accuracy"] > 0.6


@pytest.mark.parametrize("kind", sorted(Optimizer.kinds))
def test_every_optimizer_learns_by_its_word_alone_or_is_warned_of_with_what_mends_it(
    kind: str,
) -> None:
    asked = ("data=digits", "model=mlp", f"optimizer={kind}")
    found = look_over(Plan.of(Experiment.declared(compose(asked))))
    if not found:
        assert learns(f"optimizer={kind}")
        return
    [finding] = found
    mended = finding.hint.split()
    assert look_over(Plan.of(Experiment.declared(compose([*asked, *mended])))) == []
    assert learns(f"optimizer={kind}", *mended)


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        (("schedule=cosine",), "schedule=constant schedule.value=0.1"),
        (
            ("schedule=constant", "schedule.value=0.1", "cooldown=linear"),
            "schedule=constant schedule.value=0.1 cooldown=none",
        ),
        (("schedule=constant", "schedule.value=0.02"), "schedule.value=0.1"),
    ],
)
def test_a_rate_that_ftrl_would_forget_at_is_told_with_what_mends_it(
    asked: tuple[str, ...], hint: str
) -> None:
    ftrl = ("optimizer=ftrl", *asked)
    [finding] = look_over(Plan.of(Experiment.declared(compose(ftrl))))
    assert finding.hint == hint
    assert look_over(Plan.of(Experiment.declared(compose([*ftrl, *hint.split()])))) == []


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        (("schedule.patience=10", "run.length=100"), "schedule.patience=2"),
        (("evaluate.every=200", "run.length=100"), "evaluate.every=24"),
        (("schedule.min_value=0.05",), "schedule.min_value=0"),
        (("schedule=warmup_plateau", "run.length=60"), "schedule.parts.main.patience=0"),
        (
            ("schedule={kind: plateau, schedule: {kind: linear, initial_value: 0.05, end_value: 0},"
             " min_value: 0.05, patience: 1}",),
            "schedule.min_value=0",
        ),
        (
            ("schedule={kind: sequence, parts: {a: {kind: constant, value: 0.02}, "
             "b: {kind: plateau, initial_value: 0.02, length: 30, patience: 3}}}",),
            "evaluate.every=4",
        ),
    ],
)  # fmt: skip
def test_a_plateau_that_can_not_act_is_told_with_what_lets_it_act(
    asked: tuple[str, ...], hint: str
) -> None:
    plateau = ("data=digits", "model=mlp", *([] if "{" in asked[0] else ["schedule=plateau"]))
    [finding] = look_over(Plan.of(Experiment.declared(compose([*plateau, *asked]))))
    assert (finding.severity, finding.hint) == ("warning", hint)
    mended = Plan.of(Experiment.declared(compose([*plateau, *asked, hint])))
    assert look_over(mended) == []
    rate, step = mended.curves["learning_rate"], 0
    before = rate(np.arange(mended.total_steps))
    while (step := mended.evaluation.next(step)) < mended.total_steps:
        rate.observe({"eval_loss": 1.0}, step)
    assert (rate(np.arange(mended.total_steps)) < before).any()


@pytest.mark.parametrize("name", sorted(path.stem for path in CONF.glob("experiment/*.yaml")))
def test_the_experiments_that_ship_stay_near_what_was_tried(name: str) -> None:
    assert warnings(f"experiment={name}") == []


@pytest.mark.parametrize("kind", sorted(Optimizer.kinds))
def test_every_optimizer_has_a_learning_rate_that_it_admits(kind: str) -> None:
    declared = Optimizer.kinds[kind]
    assert declared.tried is not None
    assert np.all(declared.rate_bounds.admit(declared.tried))
