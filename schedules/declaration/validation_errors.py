"""Between pydantic's validation errors and this project's problems, in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from .docstrings import field_docs
from .refusals import ABSENT, Problem, Refused, hint_for_key, join_path


def as_pydantic_error(refused: Refused) -> PydanticCustomError:
    """A refusal as an error that a validator may raise; its problems keep their own paths."""
    return PydanticCustomError("nested", "{refused}", {"refused": refused})


def problems_from(error: ValidationError, model: type[BaseModel]) -> Iterator[Problem]:
    """The problems that pydantic found in a config for `model`, in this project's terms."""
    for details in _of_unions(error, model):
        location = details["loc"]
        path = join_path(*location)
        match details["type"]:
            case "nested":
                for problem in details["ctx"]["refused"].problems:
                    yield Problem(
                        join_path(path, problem.path), problem.value, problem.rule, problem.hint
                    )
            case "missing":
                yield Problem(path, ABSENT, "is required", _field_hint(model, location))
            case "extra_forbidden":
                owner = _model_at(model, location[:-1])
                key = str(location[-1])
                hints = getattr(owner, "key_hints", {})
                hint = hint_for_key(key, owner.model_fields, hints, details["input"])
                yield Problem(path, details["input"], "is no known key", hint)
            case "too_short" if details["input"]:
                continue  # other problems name the items that are missing
            case "too_short":
                rule = f"must have at least {details['ctx']['min_length']}, and is empty"
                yield Problem(path, details["input"], rule, _field_hint(model, location))
            case _:
                hint = details.get("ctx", {}).get("hint") or _field_hint(model, location)
                yield Problem(path, details["input"], _rule(details["msg"]), hint)


def _of_unions(error: ValidationError, model: type[BaseModel]) -> Iterator[Any]:
    """The errors of pydantic's, those of a field that takes one of several types as one.

    Pydantic tells of each type why it is not met, at a path that has the type in it. A type that is
    met, but for its bounds, is the one that was meant; where none is, the rule lists them all.
    """
    fields: dict[tuple[int | str, ...], list[Any]] = {}
    for details in error.errors(include_url=False):
        location = details["loc"]
        places = (i for i in range(1, len(location)) if _is_union(model, location[:i]))
        place = next(places, None)
        if place is None:
            yield details
        else:
            plain = {**details, "loc": location[:place] + location[place + 1 :]}
            fields.setdefault(location[:place], []).append(plain)
    for location, each in fields.items():
        matching = [details for details in each if not _is_of_type(details, location)]
        if matching:
            yield from matching
            continue
        rules = [_rule(details["msg"]).removeprefix("must be ") for details in each]
        yield {**each[0], "type": "union", "msg": f"must be {', or '.join(dict.fromkeys(rules))}"}


def _is_union(model: type[BaseModel], path: tuple[int | str, ...]) -> bool:
    """Whether the value at a path may be of several types, besides none at all."""
    field = _model_at(model, path[:-1]).model_fields.get(str(path[-1]))
    return field is not None and len(_members(field.annotation)) > 1


def _members(annotation: Any) -> list[Any]:
    """The types of a union, but for none at all; of another type, none."""
    if get_origin(annotation) not in (Union, UnionType):
        return []
    return [one for one in get_args(annotation) if one is not NoneType]


def _is_of_type(details: Any, location: tuple[int | str, ...]) -> bool:
    """Whether an error says of a value as a whole that it is of another type."""
    kind = details["type"]
    types = ("number", "literal_error", "int_from_float")
    return details["loc"] == location and (kind in types or kind.endswith("_type"))


def _rule(message: str) -> str:
    """A message of pydantic's as a rule that follows `path = value`."""
    for pattern, replacement in _REPLACEMENTS.items():
        message = re.sub(pattern, replacement, message)
    return message[:1].lower() + message[1:]


_REPLACEMENTS = {
    "Input should be": "must be",
    "Value error, ": "",
    "a valid tuple": "a list",
    r"a valid dictionary( or instance of \w+)?": "a mapping",
    "a valid boolean": "true or false",
    "a valid integer.*": "a whole number",
}


def _field_hint(model: type[BaseModel], path: tuple[int | str, ...]) -> str:
    """The first paragraph of the documentation of the innermost field on the path."""
    doc = field_docs(_model_at(model, path[:-1])).get(str(path[-1]), "") if path else ""
    return doc[:1].lower() + doc[1:].partition("\n\n")[0].removesuffix(".")


def _model_at(model: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    """The model that owns the keys under `path`."""
    for key in path:
        field = model.model_fields.get(str(key))
        annotation = field.annotation if field else None
        if len(members := _members(annotation)) == 1:
            annotation = members[0]
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return model
