"""Every kind of every group, as a form needs it."""

from __future__ import annotations

from functools import cache
from typing import Any

import annotated_types
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from schedules import Duration
from schedules.catalogue import paragraphs
from schedules.declaration import Declaration, plugins
from schedules.declaration.docstrings import field_docs
from schedules.declaration.kind import families

from ...config.experiment import Experiment
from ..json_values import jsonable


@cache
def catalogue() -> dict[str, Any]:
    """By group and kind: the text of its documentation, its source, and its fields.

    `settings` are those of a run that have no kind.
    """
    plugins.load(families)
    groups = {}
    for family in families():
        kinds = {
            name: {"text": paragraphs(member), "fields": _fields(member)}
            for name, member in sorted(family.kinds.items())
        }
        groups[family.__name__.lower()] = kinds
    settings = {
        name: _fields(field.annotation)
        for name, field in Experiment.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Declaration)
        and "kind" not in field.annotation.model_fields and field.annotation not in set(families())
    }  # fmt: skip
    return {"groups": groups, "settings": settings}


def _fields(model: type[Declaration]) -> list[dict[str, Any]]:
    docs = field_docs(model)
    return [
        {"name": name, "type": _type(field), "required": field.is_required(),
         "default": _default(field), "help": docs.get(name, ""), **_bounds(field)}
        for name, field in model.model_fields.items() if name != "kind"
    ]  # fmt: skip


def _type(field: FieldInfo) -> str:
    """The type as Python writes it, without the modules."""
    annotation = field.annotation
    if isinstance(annotation, type) and not getattr(annotation, "__args__", None):
        return annotation.__name__
    text = str(annotation).replace("typing.", "")
    return ", ".join(part.rpartition(".")[2] if "[" not in part else part
                     for part in text.split(", "))  # fmt: skip


def _default(field: FieldInfo) -> Any:
    if field.is_required():
        return None
    try:
        value = field.get_default(call_default_factory=True)
    except (TypeError, ValidationError):
        return None
    if isinstance(value, Duration):
        return value.config_value()
    if hasattr(value, "model_dump"):
        return jsonable(value.model_dump(mode="json"))
    return jsonable(value)


def _bounds(field: FieldInfo) -> dict[str, Any]:
    bounds: dict[str, Any] = {}
    for rule in field.metadata:
        for word in ("ge", "gt", "le", "lt"):
            if isinstance(rule, getattr(annotated_types, word.capitalize())):
                bounds[word] = getattr(rule, word)
    return bounds
