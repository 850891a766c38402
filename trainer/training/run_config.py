"""Beginning or going on in a folder: whether its run was declared alike, and what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import yaml

from schedules.batch_sizes import BatchSizes
from schedules.declaration import ABSENT, refuse, yaml_text
from schedules.plots.svg import svg

from ..config.experiment import Experiment
from ..config.plan import Plan
from ..runs.atomic_files import write
from ..runs.checkpoint_files import Manifest
from ..runs.events import own_events
from ..runs.folder import Folder
from ..runs.identity import flat, is_free
from ..runs.redaction import KeyPath, same_but_for_secrets, with_placeholders
from .checkpoint_fit import check_fit, newest_manifest
from .folder_config import FolderConfig
from .longer_run import check_applied, is_lengthened


class Difference(NamedTuple):
    """A value that is another one than when the folder's run began."""

    path: str
    before: Any
    now: Any


def declare(
    folder: Folder,
    plan: Plan,
    placeholders: Mapping[KeyPath, str] | None = None,
    with_objects: Callable[[Experiment], Experiment] = lambda experiment: experiment,
) -> Plan:
    """Gives the plan of the run to be made, and writes `config.yaml`, complete with every default.

    `placeholders` has what is written in the place of secrets; `with_objects` puts what a program
    gave, and no file can hold, into an experiment that was read from the folder. A folder whose
    run was declared otherwise is met as `resume.policy` says; a run may always be made longer
    where that leaves every value that was applied as it was. What is then to be written is
    `config_text` of the plan, for `record` to write once the checkpoint has been found to fit.

    Raises:
        Refused: with a table of the differences, or what of the checkpoint does not fit.
    """
    own_events(folder.path)  # what can't be repeated is refused before TensorFlow comes in
    if not folder.has_updates():
        folder.compile_choice.unlink(missing_ok=True)  # measured for who knows which config
    agreed, when = _agreed(folder, plan, placeholders, with_objects)
    if when == "never":
        return agreed
    declared = with_placeholders(plan.experiment.model_dump(mode="json"), placeholders or {})
    text = "# The whole config of this run, every default included.\n"
    text += yaml.safe_dump(declared, sort_keys=False, allow_unicode=True)
    if when == "later":
        return replace(agreed, config_text=text)
    write(folder.config, text)
    return agreed


def agree(
    folder: Folder,
    plan: Plan,
    placeholders: Mapping[KeyPath, str] | None = None,
    with_objects: Callable[[Experiment], Experiment] = lambda experiment: experiment,
) -> Plan:
    """The plan of the run to be made, as `declare` gives it; says what differs, writes nothing.

    Raises:
        Refused: with a table of the differences, or what of the checkpoint does not fit.
    """
    agreed, _ = _agreed(folder, plan, placeholders, with_objects)
    return agreed


def record(folder: Folder, plan: Plan) -> None:
    """Writes down the config of a run that can begin or go on, and draws what it will do."""
    if plan.config_text:
        write(folder.config, plan.config_text)
    write(folder.picture, svg(plan.curves, plan.clock))


def differences_from(
    folder: Folder, plan: Plan, placeholders: Mapping[KeyPath, str] | None = None
) -> str:
    """A table of what is declared otherwise than for the folder's run, also where that may be."""
    if not folder.has_updates() or not folder.has_config():
        return ""
    begun = FolderConfig(folder, plan.experiment)
    differences = list(_all_differences(begun, plan.experiment, placeholders))
    return _table(differences) if differences else ""


def _agreed(
    folder: Folder,
    plan: Plan,
    placeholders: Mapping[KeyPath, str] | None,
    with_objects: Callable[[Experiment], Experiment],
) -> tuple[Plan, Literal["now", "later", "never"]]:
    """The plan of the run to be made, and when its config is to be written.

    Later is once the checkpoint has been found to fit.
    """
    if not folder.has_updates():
        if plan.experiment.init_from:
            plan.experiment.init_from.check()
        return plan, "now"
    past = newest_manifest(folder)
    if not folder.has_config():
        return _going_on(plan, None, past), "now"
    experiment = plan.experiment
    begun = FolderConfig(folder, experiment)
    differences = [
        difference
        for difference in _all_differences(begun, experiment, placeholders)
        if not is_free(difference.path) or _steers(difference.path, experiment)
    ]
    policy = experiment.resume.policy
    if differences and policy == "checkpoint":
        print(f"left as it was in {folder.config}:\n{_table(differences)}")
        return _going_on(Plan.of(with_objects(begun.as_begun(experiment))), begun, past), "never"
    if not differences:
        return _going_on(plan, begun, past), "now"
    if policy == "refuse" and not is_lengthened(differences, plan):
        rule = f"holds a run that was declared otherwise\n{_table(differences)}"
        hint = "resume.policy=config or =checkpoint; hydra.run.dir=… begins another"
        raise refuse("hydra.run.dir", str(folder.path), rule, hint)
    plan = _going_on(plan, begun, past)
    if past and plan.total_steps < past.step:
        rule = f"is shorter than the {past.step} updates that were made"
        hint = "hydra.run.dir=… begins another run"
        raise refuse("run.length", str(experiment.run.length), rule, hint)
    if policy == "refuse":
        if [difference.path for difference in differences] == ["run.length"]:
            # All else is the same, and here has the objects that a program may have given.
            run = experiment.run.model_copy(update={"length": begun.experiment.run.length})
            before = experiment.model_copy(update={"run": run})
        else:
            before = with_objects(begun.experiment)
        check_applied(past.step if past else 0, _going_on(Plan.of(before), begun, past), plan)
    else:
        print(f"other than in {folder.config}:\n{_table(differences)}")
    if past:
        check_fit(past, plan)
    return plan, "later"


def _going_on(plan: Plan, begun: FolderConfig | None, past: Manifest | None) -> Plan:
    """The plan with the batch size of every update that was made before.

    Raises:
        Refused: when it is another one now, and the run can't go on from the examples it has seen.
    """
    now = plan.experiment.data.batch_size
    if past is None:
        return plan
    if (recorded := past.about.get("batch_sizes")) is None:  # by an earlier version
        was = begun.experiment.data.batch_size if begun else now
        if was != now:
            rule = f"was {was}, and the checkpoint of step {past.step} does not say how many "
            rule += "examples were seen, as it is of an earlier version"
            hint = f"data.batch_size={was} up to the next checkpoint"
            raise refuse("data.batch_size", now, rule, hint)
        recorded = [(0, was)]
    sizes = BatchSizes.read(recorded).going_on(past.step, now)
    if len(sizes.since) == 1:
        return plan
    if plan.experiment.device.kind == "multi_worker":
        rule = "was another one before, which the workers that do not lead can't know"
        raise refuse("data.batch_size", now, rule, "device=auto or device=mirrored")
    return Plan.of(plan.experiment, sizes)


def _steers(path: str, experiment: Experiment) -> bool:
    """Whether updates depend on a value that is else free: a rewind goes to what was saved."""
    rewinds = experiment.run.on_nonfinite == "rewind"
    return rewinds and path in ("checkpoint.every", "checkpoint.keep_every")


def _all_differences(
    begun: FolderConfig, experiment: Experiment, placeholders: Mapping[KeyPath, str] | None
) -> Iterator[Difference]:
    """What an experiment says otherwise than the config of the folder's run."""
    values = experiment.model_dump(mode="json")
    declared = flat(with_placeholders(deepcopy(values), placeholders or {}))
    return _differences(begun.complete(), declared, values)


def _differences(
    before: Mapping[str, Any], now: Mapping[str, Any], values: Mapping[str, Any]
) -> Iterator[Difference]:
    """The values that are others than before; `values` is the tree of `now` with its secrets.

    Secrets are not compared, since the folder has none: another token is no other run.
    """
    plain = flat(values)
    for path in sorted(before.keys() | now.keys()):
        old, new = before.get(path, ABSENT), now.get(path, ABSENT)
        same = old in (new, plain.get(path, ABSENT)) or same_but_for_secrets(old, new)
        if not same:
            yield Difference(path, old, new)


def _table(differences: list[Difference]) -> str:
    """The differences, a line each, under a heading."""
    rows = [("", "in the folder", "now")]
    for path, *values in differences:
        before, now = ("not set" if value is ABSENT else yaml_text(value, 40) for value in values)
        rows.append((path, before, now))
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"  {path:<{first}}  {old:<{second}}  {new}" for path, old, new in rows)
