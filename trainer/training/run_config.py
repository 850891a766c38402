"""Beginning or going on in a folder: whether its run was declared alike, and what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import yaml
from omegaconf import OmegaConf

from schedules.declaration import ABSENT, Refused, refuse, yaml_text

from ..config.experiment import Experiment
from ..config.hydra import refusing_hydra_errors, to_plain
from ..config.plan import Plan
from ..runs.atomic_files import write
from ..runs.checkpoints import Checkpoints
from ..runs.events import own_events
from ..runs.folder import Folder
from ..runs.identity import flat, is_free
from ..runs.redaction import KeyPath, same_but_for_secrets, with_placeholders, with_secrets

STEPS_AT_ONCE = 100_000
"""Steps of a schedule that are compared at a time."""


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
    """Writes `config.yaml`, complete with every default, and gives the plan of the run to be made.

    `placeholders` has what is written in the place of secrets; `with_objects` puts what a program
    gave, and no file can hold, into an experiment that was read from the folder. A folder whose
    run was declared otherwise is met as `resume.policy` says; a run may always be made longer
    where that leaves every value that was applied as it was.

    Raises:
        Refused: with a table of the differences.
    """
    own_events(folder.path)  # what can't be repeated is refused before TensorFlow comes in
    if not folder.has_updates():
        folder.compile_choice.unlink(missing_ok=True)  # measured for who knows which config
    agreed = agree(folder, plan, placeholders, with_objects)
    if agreed is plan:
        declared = _written(plan.experiment, placeholders)
        header = "# The whole config of this run, every default included.\n"
        text = yaml.safe_dump(declared, sort_keys=False, allow_unicode=True)
        write(folder.config, header + text)
    return agreed


def agree(
    folder: Folder,
    plan: Plan,
    placeholders: Mapping[KeyPath, str] | None = None,
    with_objects: Callable[[Experiment], Experiment] = lambda experiment: experiment,
) -> Plan:
    """The plan of the run to be made, as `declare` gives it; says what differs, writes nothing.

    Raises:
        Refused: with a table of the differences.
    """
    if not folder.has_updates() or not folder.has_config():
        return plan
    experiment = plan.experiment
    differences = [
        difference
        for difference in _all_differences(folder, experiment, placeholders)
        if not is_free(difference.path) or _steers(difference.path, experiment)
    ]
    policy = experiment.resume.policy
    if differences and policy == "checkpoint":
        print(f"left as it was in {folder.config}:\n{_table(differences)}")
        return Plan.of(with_objects(_as_begun(folder, experiment)))
    if [difference.path for difference in differences] == ["run.length"]:
        length = _declared_in(folder, experiment).run.length
        run = experiment.run.model_copy(update={"length": length})
        # All else is the same, and here has the objects that a program may have given.
        _check_applied(folder, Plan.of(experiment.model_copy(update={"run": run})), plan)
    elif differences and policy == "refuse":
        rule = f"holds a run that was declared otherwise\n{_table(differences)}"
        hint = "resume.policy=config or =checkpoint; hydra.run.dir=… begins another"
        raise refuse("hydra.run.dir", str(folder.path), rule, hint)
    elif differences:
        print(f"other than in {folder.config}:\n{_table(differences)}")
    return plan


def differences_from(
    folder: Folder, plan: Plan, placeholders: Mapping[KeyPath, str] | None = None
) -> str:
    """A table of what is declared otherwise than for the folder's run, also where that may be."""
    if not folder.has_updates() or not folder.config.exists():
        return ""
    differences = list(_all_differences(folder, plan.experiment, placeholders))
    return _table(differences) if differences else ""


def _written(experiment: Experiment, placeholders: Mapping[KeyPath, str] | None) -> dict[str, Any]:
    """What `config.yaml` says of an experiment."""
    return with_placeholders(experiment.model_dump(mode="json"), placeholders or {})


def _all_differences(
    folder: Folder, experiment: Experiment, placeholders: Mapping[KeyPath, str] | None
) -> Iterator[Difference]:
    """What an experiment says otherwise than the config of the folder's run."""
    values = experiment.model_dump(mode="json")
    declared = flat(with_placeholders(deepcopy(values), placeholders or {}))
    return _differences(complete_config(folder, values), declared, values)


def complete_config(folder: Folder, secrets: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The values in `config.yaml` by their override paths, secrets as they are written there.

    A setting that a later version has added has its default: the run was made with that. A config
    with secrets is complete only together with the tree of values `secrets` that has them.
    """
    written = flat(folder.read_config())
    try:
        defaults = flat(Experiment.declared(_read(folder, secrets or {})).model_dump(mode="json"))
    except Refused:  # such as a secret that is not here: what is written is all there is
        return written
    return {**defaults, **written}


def _as_begun(folder: Folder, now: Experiment) -> Experiment:
    """The experiment that the folder's run began as, with what `now` is free to say."""
    before = _declared_in(folder, now)
    free = {name: getattr(now.run, name) for name in ("stop_after", "steps_per_call")}
    return before.model_copy(
        update={
            "run": before.run.model_copy(update=free),
            "checkpoint": now.checkpoint,
            "resume": now.resume,
            "export": now.export,
            "log": now.log.model_copy(update={"every": before.log.every}),
        }
    )


def _declared_in(folder: Folder, now: Experiment) -> Experiment:
    """The experiment in the folder's config, where code may run as `now` allows, and no other.

    It has the secrets of `now`.
    """
    values = _read(folder, now.model_dump(mode="json"))
    return Experiment.declared({**values, "allow_code": now.allow_code})


def _read(folder: Folder, secrets: Mapping[str, Any]) -> dict[str, Any]:
    """The values in `config.yaml`; `secrets` is the tree of values that has its secrets.

    Raises:
        Refused: also where a secret is in neither.
    """
    written = with_secrets(folder.unresolved_config(), secrets)
    with refusing_hydra_errors(()):
        return to_plain(OmegaConf.create(written))


def _check_applied(folder: Folder, before: Plan, now: Plan) -> None:
    """Refuses a length under which an update that was made would have applied another value."""
    done = Checkpoints(folder.checkpoints, 1).newest_step()
    length = str(now.experiment.run.length)
    if now.total_steps < done:
        rule = f"is shorter than the {done} updates that were made"
        raise refuse("run.length", length, rule, "hydra.run.dir=… begins another run")
    for start in range(0, done, STEPS_AT_ONCE):
        steps = np.arange(start, min(start + STEPS_AT_ONCE, done))
        for name, old in before.curves.items():
            new = now.curves[name]
            if (changed := old(steps) != new(steps)).any():
                t = int(steps[changed.argmax()])
                rule = (
                    f"was {before.experiment.run.length}, and would change values that were "
                    f"applied: {name} was {old(t):g} at step {t}, and would have been {new(t):g}"
                )
                hint = "give the schedule's lengths in steps or epochs, not in per cent"
                raise refuse("run.length", length, rule, hint)


def _steers(path: str, experiment: Experiment) -> bool:
    """Whether updates depend on a value that is else free: a rewind goes to what was saved."""
    rewinds = experiment.run.on_nonfinite == "rewind"
    return rewinds and path in ("checkpoint.every", "checkpoint.keep_every")


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
