"""Members of a family under names that the user chose; a name may be the member's kind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from schedules.declaration.kind import Kind
from schedules.declaration.refusals import Problem, Refused, did_you_mean, refuse
from schedules.declaration.validation_errors import as_pydantic_error


def fill_in_kinds(
    config: object,
    family: type[Kind],
    path: str,
    *,
    fields: Collection[str] = (),
    is_name: Callable[[object], bool] = lambda name: True,
    keep_nulls: bool = False,
) -> object:
    """The config at `path`, where each member without a `kind` has its name as its kind.

    What is no mapping is returned as it is, for pydantic to refuse, unless it is a kind's word.
    Entries under one of `fields` stay as they are. A null is kept with `keep_nulls`, else left out.

    >>> from trainer.trackers import Tracker
    >>> config = {"csv": {}, "archive": {"kind": "csv"}, "tensorboard": None}
    >>> fill_in_kinds(config, Tracker, "log")
    {'csv': {'kind': 'csv'}, 'archive': {'kind': 'csv'}}
    """
    if not isinstance(config, Mapping):
        if family.find(config):
            hint = f"{path}.{config}={{}}"
            raise as_pydantic_error(refuse("", config, "must be a mapping", hint))
        return config
    family_name = family.__name__.lower()
    members: dict[Any, Any] = {}
    problems = []
    for name, entry in config.items():
        has_kind = isinstance(entry, Mapping) and "kind" in entry
        if name in fields or isinstance(entry, family):
            members[name] = entry
        elif entry is None:
            if keep_nulls:
                members[name] = None
        elif not is_name(name):
            rule = f"is no name for a {family_name}"
            problems.append(Problem(str(name), entry, rule, "letters, digits and _"))
        elif not has_kind and family.find(name) is None:
            hint = did_you_mean(name, {*fields, *family.kinds})
            problems.append(Problem(str(name), entry, f"is no known {family_name}", hint))
        elif not isinstance(entry, Mapping):
            rule = (
                "must be a mapping, or null to leave it out" if keep_nulls else "must be a mapping"
            )
            problems.append(Problem(name, entry, rule, f"{path}.{name}={{}}"))
        else:
            members[name] = {"kind": name, **entry}
    if problems:
        raise as_pydantic_error(Refused(problems))
    return members


def words_as_kinds(config: Any) -> Any:
    """A mapping in which a word in the place of a member is the member of that kind.

    >>> words_as_kinds({"a": "cosine", "b": {"kind": "constant", "value": 1}})
    {'a': {'kind': 'cosine'}, 'b': {'kind': 'constant', 'value': 1}}
    """
    if not isinstance(config, Mapping):
        return config
    return {n: {"kind": one} if isinstance(one, str) else one for n, one in config.items()}
