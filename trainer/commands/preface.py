"""What a run will do, said and checked before TensorFlow is imported."""

from __future__ import annotations

from collections.abc import Mapping

from schedules import Curve
from schedules.analysis.lint import Finding, lint
from schedules.declaration import ABSENT, Problem, Refused, within
from schedules.plots.terminal import spark

from ..config.experiment import Experiment
from ..losses.step import Given as GivenStep


def looked_over(experiment: Experiment, curves: Mapping[str, Curve]) -> list[Finding]:
    """Looks at every scheduled value over the whole run, and gives what is worth a warning.

    Raises:
        Refused: when the optimizer, a tracker or the export needs what is not installed, or a
            value can't train, with the first step at which it can't.
    """
    with within("optimizer"):
        experiment.optimizer.check_installed()
    experiment.log.check()
    experiment.model.check(experiment.data.facts())
    if isinstance(experiment.loss, GivenStep):
        experiment.loss.check()
    experiment.check_export()
    experiment.check_metrics()
    places = experiment.places()
    findings = lint(curves, experiment.clock(), places)
    refused = [finding for finding in findings if finding.severity == "refused"]
    if refused:
        raise Refused(
            Problem(places[found.name].path or found.name, ABSENT, _rule(found), found.hint)
            for found in refused
        )
    return findings


def _rule(found: Finding) -> str:
    return found.text if found.step is None else f"at step {found.step:,} {found.text}"


def preface(experiment: Experiment, curves: Mapping[str, Curve]) -> str:
    """What is about to be trained, and the shape of everything that is scheduled."""
    steps = range(experiment.total_steps())
    width = max(map(len, curves))
    lines = [
        f"{name:<{width}}  {spark(curve, steps)}  {curve(0):.4g} → {curve(steps[-1]):.4g}"
        for name, curve in curves.items()
    ]
    return "\n".join([experiment.summary(), *lines])
