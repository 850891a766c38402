"""What is checked of a config and said of it before TensorFlow is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from schedules import Refused
from schedules.analysis.lint import Finding, lint
from schedules.analysis.preview import Look
from schedules.declaration import ABSENT, Problem, refuse, within
from schedules.plots.terminal import spark

from ..config.experiment import Experiment
from ..config.hydra import refusing_hydra_errors, to_plain
from ..config.plan import Plan
from ..config.rerun import rerun_config
from ..config.value_sources import with_file, with_sources
from ..data.raw_data import RawData
from ..data.sources.in_memory import GivenData
from ..data.summary import summary
from ..data.trees import leaves
from ..losses.given_step import GivenStep
from ..losses.step_loss import StepLoss
from ..runs.folder import Folder
from ..runs.orders import Hold, Order, Release
from ..runs.redaction import KeyPath, secret_placeholders
from ..scheduled.tape import Tape
from .given import check_objects


class Checked(NamedTuple):
    """The plan of an experiment that can be honoured, and what came up on the way."""

    plan: Plan
    placeholders: dict[KeyPath, str]
    """What is written in the place of secrets."""
    warnings: list[Finding]


def declared_alone(experiment: Experiment) -> Experiment:
    """The experiment as it is: no program gives it objects."""
    return experiment


def checked(
    config: DictConfig,
    hydra: Any,
    completed: Callable[[Experiment], Experiment] = declared_alone,
) -> Checked:
    """Validates a composed config; `hydra` is what Hydra knows of it.

    `completed` puts what a program gives in the place of what is declared.

    Raises:
        Refused: each problem with the override, or the file and line, that it comes from.
    """
    overrides: list[str] = OmegaConf.to_container(hydra.overrides.task, resolve=False)  # type: ignore[assignment]
    source = config.get("rerun")
    try:
        config = rerun_config(config, overrides)
        with refusing_hydra_errors(overrides):
            values = to_plain(config)
        placeholders = secret_placeholders(OmegaConf.to_container(config, resolve=False), values)
        experiment = completed(Experiment.declared(values))
        run = "experiment" if source is None else f"Experiment.from_file('{source}/config.yaml')"
        check_objects(experiment, f"train({run}")
        plan = Plan.of(experiment)
        return Checked(plan, placeholders, look_over(plan))
    except Refused as refused:
        if source is not None:
            raise with_file(refused, overrides, Folder(Path(source)).config) from None
        sources = hydra.runtime.config_sources
        folders = [Path(source.path) for source in sources if source.schema == "file"]
        raise with_sources(refused, overrides, hydra.runtime.choices, folders) from None


def look_over(plan: Plan, looks: Mapping[str, Look] | None = None) -> list[Finding]:
    """Looks at every scheduled value over the whole run, and gives what is worth a warning.

    Values of which there are `looks` already are not evaluated again.

    Raises:
        Refused: when a tracker or the export needs what is not installed, what is
            to be replayed can't be read, or a value can't train, with the first step at which it
            can't.
    """
    experiment = plan.experiment
    check_replay(plan)
    _ = plan.last_step  # refuses a `run.stop_after` that can't be counted
    experiment.log.check()
    experiment.model.check(experiment.data.facts())
    if isinstance(experiment.loss, GivenStep):
        experiment.loss.check()
    check_export(experiment)
    plan.check_metrics()
    findings = lint(plan.curves, plan.clock, plan.places, looks)
    refused = [finding for finding in findings if finding.severity == "refused"]
    if refused:
        raise Refused(
            Problem(plan.places[one.name].path or one.name, ABSENT, _rule(one), one.hint)
            for one in refused
        )
    return [*findings, *experiment.data.suspects()]


def check_replay(plan: Plan) -> None:
    """Whether the run can do what it is to repeat of another one.

    Raises:
        Refused: when the record can't be read, or orders what this run has not.
    """
    run, tape = plan.experiment.run, Tape(plan.curves, plan.bounds)
    commands = (row["orders"] for row in run.replayed_events() if row["event"] == "command")
    for written in chain.from_iterable(commands):
        order = Order.parse(written)
        try:
            if isinstance(order, Hold | Release) and order.name:
                tape.check(order.name, order.value if isinstance(order, Hold) else None)
        except Refused as refused:
            [problem] = refused.problems
            rule = f"orders {written}, and {problem.path} {problem.rule}"
            raise refuse("run.replay", str(run.replay), rule, problem.hint) from None


def check_export(experiment: Experiment) -> None:
    """Whether the run can leave the file that it is to leave.

    Raises:
        Refused: with what to set, or to install.
    """
    if experiment.export is not None:
        with within("export"):
            averaged, keeps_best = experiment.ema is not None, experiment.checkpoint.keep_best
            experiment.export.check(averaged, keeps_best is not None)
            data = experiment.data
            is_gone = isinstance(data, GivenData) and data.kept is not None
            learnt = data.contents.learnt if isinstance(data, RawData) and not is_gone else {}
            experiment.export.check_inputs(data.facts().inputs, learnt)


def preface(plan: Plan) -> str:
    """What is about to be trained, on what, and the shape of everything that is scheduled."""
    steps = range(plan.total_steps)
    width = max(map(len, plan.curves))
    lines = [
        f"{name:<{width}}  {spark(curve, steps)}  {curve(0):.4g} → {curve(steps[-1]):.4g}"
        for name, curve in plan.curves.items()
    ]
    facts = [plan.summary(), *summary(plan.experiment.data), *_evaluated(plan.experiment)]
    return "\n".join([*facts, *lines])


def _evaluated(experiment: Experiment) -> list[str]:
    """How a run is evaluated whose step alone knows what its outputs are."""
    loss, facts = experiment.loss, experiment.data.facts()
    if not isinstance(loss, StepLoss) or loss.evaluated is not None:
        return []
    if not facts.has_comparable_labels or all(one.classes for one in leaves(facts.labels)):
        return []
    return ["evaluated by the step: metrics.NAME={} compares outputs with labels"]


def announce(plan: Plan, warnings: list[Finding]) -> None:
    """Says what will happen."""
    print(preface(plan), *warnings, sep="\n")
    for _, name in plan.experiment.code():
        print(f"runs code that the config names: {name}")
    if plan.experiment.composition.compiled:
        print("what the model was compiled with:", *plan.experiment.composition.compiled)


def _rule(finding: Finding) -> str:
    return finding.text if finding.step is None else f"at step {finding.step:,} {finding.text}"
