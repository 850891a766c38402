"""Members of a family under names of the user's: each of the kind of its name, or of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from schedules.declaration.errors import Problem, Refused, did_you_mean
from schedules.declaration.kind import Kind, carried


def named(
    config: Mapping[Any, Any],
    family: type[Kind],
    path: str,
    *,
    fields: Collection[str] = (),
    is_name: Callable[[object], bool] = lambda name: True,
    nulls: bool = False,
) -> dict[Any, Any]:
    """The config at `path`, with the name of each member as its kind where it states none.

    What is under one of `fields` stays as it is. So does a null where `nulls` mean something;
    elsewhere it is left out.

    >>> from trainer.trackers import Tracker
    >>> named({"csv": {}, "archive": {"kind": "csv"}, "tensorboard": None}, Tracker, "log")
    {'csv': {'kind': 'csv'}, 'archive': {'kind': 'csv'}}
    """
    sort = family.__name__.lower()
    read: dict[Any, Any] = {}
    problems = []
    for name, written in config.items():
        stated = isinstance(written, Mapping) and "kind" in written
        if name in fields or isinstance(written, family):
            read[name] = written
        elif written is None:
            if nulls:
                read[name] = None
        elif not is_name(name):
            rule = f"is no name for a {sort}"
            problems.append(Problem(str(name), written, rule, "letters, digits and _"))
        elif not stated and family.called(name) is None:
            hint = did_you_mean(name, {*fields, *family.kinds})
            problems.append(Problem(str(name), written, f"is no known {sort}", hint))
        elif not isinstance(written, Mapping):
            rule = "must be a mapping" + ", or null to leave it out" * nulls
            problems.append(Problem(name, written, rule, f"{path}.{name}={{}}"))
        else:
            read[name] = {"kind": name, **written}
    if problems:
        raise carried(Refused(problems))
    return read
