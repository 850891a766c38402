"""What a config would train: its curves, what is said of them, and why it would be refused."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import yaml

from schedules import Refused
from schedules.analysis.preview import Look, downsample, horizon, length_lines, schedule_label
from schedules.curve import Curve
from schedules.declaration import refuse
from schedules.declaration.yaml_files import mapping_in

from ...commands.checks import look_over
from ...config.allow_code import KEY
from ...config.experiment import Experiment
from ...config.from_python import compose_values
from ...config.plan import Plan
from ...data.summary import summary
from ..json_values import jsonable
from ..permissions import Permissions
from ..problems import finding_member, problem_member
from .kept_compositions import KeptCompositions

DEFAULT_POINTS = 900
_COMPOSITIONS = KeptCompositions()


def preview(asked: Mapping[str, Any], permissions: Permissions) -> dict[str, Any]:
    """The answer to a request: `problems`, empty where it can be trained, and what is known of it.

    `overrides` are those of a command line, `values` a config that they win over, as YAML or a
    mapping. `from` and `to` bound the steps that are drawn, and `points` the pixels that they have.
    """
    answer: dict[str, Any] = {"problems": [], "findings": [], "curves": [], "config": None,
                              "yaml": "", "total_steps": None, "summary": []}  # fmt: skip
    overrides = [str(override) for override in asked.get("overrides") or ()]
    answer["command"] = shlex.join(["python", "-m", "trainer", *overrides])
    try:
        permissions.check_overrides(overrides)
        written = _mapping(asked.get("values"))
        permissions.check_written(written)
        sources: list[str | Mapping[str, Any]] = [written, *overrides, *permissions.granted()]
        kept = _COMPOSITIONS.compose
        values, _ = compose_values(list(filter(None, sources)), permissions.config_dir, kept)
        permissions.check_values(values)
        answer["config"] = jsonable(values)
        answer["yaml"] = _yaml(answer["config"])
        plan = Plan.of(Experiment.declared(values))
        answer["total_steps"] = plan.total_steps
        run = horizon(plan.clock)
        looks = {name: Look.at(curve, run) for name, curve in plan.curves.items()}
        answer["curves"] = list(_curves(plan, asked, looks))
        answer["summary"] = [plan.summary(), *summary(plan.experiment.data)]
        answer["findings"] = [finding_member(finding) for finding in look_over(plan, looks)]
    except Refused as refused:
        answer["problems"] = [problem_member(problem) for problem in refused.problems]
    return answer


def _yaml(config: Mapping[str, Any]) -> str:
    """A config as text that may be given back as `values`: what the server allows is not in it."""
    values = {name: value for name, value in config.items() if name != KEY}
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def _mapping(values: object) -> dict[str, Any]:
    """The values of a config that are given as YAML, or as they are.

    Raises:
        Refused: when they are no mapping.
    """
    if values is None or values == "":
        return {}
    found = mapping_in(values, "values") if isinstance(values, str) else values
    if not isinstance(found, dict):
        raise refuse("values", found, "must be a mapping")
    return found


def _curves(
    plan: Plan, asked: Mapping[str, Any], looks: Mapping[str, Look]
) -> Iterator[dict[str, Any]]:
    run = horizon(plan.clock)
    begin = max(0, int(asked.get("from") or 0))
    end = min(len(run), int(asked.get("to") or len(run)))
    steps = run[begin : max(end, begin + 1)]
    points = int(asked.get("points") or DEFAULT_POINTS)
    names = asked.get("names") or plan.curves
    for name, curve in plan.curves.items():
        if name in names:
            look = looks[name] if steps == run else None
            yield _curve(name, curve, steps, points, plan, look)


def _curve(
    name: str, curve: Curve, steps: range, points: int, plan: Plan, look: Look | None
) -> dict[str, Any]:
    drawn, values = downsample(curve, steps, points, look)
    ends = curve(np.array([0, plan.total_steps - 1]))
    return {
        "name": name,
        "path": plan.places[name].path,
        "label": schedule_label(curve.schedule),
        "steps": drawn.tolist(),
        "values": jsonable(values.tolist()),
        "first": jsonable(float(ends[0])),
        "last": jsonable(float(ends[1])),
        "marks": [[label, float(moment)] for label, moment in curve.marks()],
        "lengths": list(length_lines(curve)),
        "reacts": curve.reacts,
    }
