"""Between pydantic's validation errors and this project's problems, in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from .docstrings import field_docs
from .refusals import ABSENT, Problem, Refused, hint_for_key, join_path


def as_pydantic_error(refused: Refused) -> PydanticCustomError:
    """A refusal as an error that a validator may raise; its problems keep their own paths."""
    return PydanticCustomError("nested", "{refused}", {"refused": refused})


def problems_from(error: ValidationError, model: type[BaseModel]) -> Iterator[Problem]:
    """The problems that pydantic found in a config for `model`, in this project's terms."""
    for details in error.errors(include_url=False):
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
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return model
