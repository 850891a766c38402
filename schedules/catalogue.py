"""Every kind of schedule in a few lines: formula, parameters, defaults, shape."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from .analysis.preview import horizon
from .clock import Clock, Duration
from .curve import load
from .declaration import Declaration, Kind, Refused, did_you_mean, plugins, refuse, yaml_text
from .declaration.docstrings import field_docs
from .plots.terminal import spark
from .schedule import Schedule

EXAMPLE_CLOCK = Clock(total_steps=625, batch_size=64, examples_per_epoch=4000)
"""The clock that shapes are drawn on: ten epochs of the trainer's own data."""


def entries(kind: str | None = None, *, bold: bool = False) -> Iterator[str]:
    """An entry for each kind, or a long one for `kind`.

    Raises:
        Refused: when there is no such kind.
    """
    if kind is None:
        for name, member in sorted(Schedule.kinds.items()):
            summary = _indented_paragraphs(member)[0]
            yield "\n".join([_heading(name, bold), summary, *_parameter_rows(member)])
        return
    selected = Schedule.find(kind)
    if selected is None:
        raise refuse("kind", kind, "is no known schedule", did_you_mean(kind, Schedule.kinds))
    text = "\n\n".join(_indented_paragraphs(selected))
    yield "\n".join([_heading(kind, bold), text, *_parameter_rows(selected)])


def _heading(kind: str, bold: bool) -> str:
    name = f"\x1b[1m{kind}\x1b[0m" if bold else kind
    return f"{name}{' ' * (24 - len(kind))}{_shape(kind)}".rstrip()


def _shape(kind: str) -> str:
    """A sparkline of this kind, with the values in its file in `conf/schedule`; "" without one."""
    for conf in _conf_folders():
        file = conf / "schedule" / f"{kind}.yaml"
        if file.is_file():
            with suppress(Refused):
                curve = load(yaml.safe_load(file.read_text("utf-8")), EXAMPLE_CLOCK)
                return spark(curve, horizon(EXAMPLE_CLOCK))
    return ""


def _conf_folders() -> Iterator[Path]:
    """Where conf files may be: inside the trainer, beside it in a checkout, and in plugins."""
    spec = find_spec("trainer")
    for location in spec.submodule_search_locations or () if spec else ():
        yield Path(location) / "conf"
        yield Path(location).parent / "conf"
    yield from (folder for _, folder in plugins.conf_folders())


def paragraphs(member: type[Kind]) -> list[str]:
    """The paragraphs of a kind's docstring, without the examples."""
    docstring = inspect.getdoc(member) or ""
    return [text for text in docstring.split("\n\n") if not text.startswith(">>>")]


def parameters(member: type[Declaration]) -> Iterator[tuple[str, str, str]]:
    """The name of each field, its default as a config writes it, and its documentation."""
    for name, field in member.model_fields.items():
        if name != "kind":
            yield name, _default(field), field_docs(member).get(name, "")


def _indented_paragraphs(member: type[Kind]) -> list[str]:
    return [textwrap.indent(paragraph, "  ") for paragraph in paragraphs(member)]


def _parameter_rows(member: type[Kind]) -> Iterator[str]:
    rows = [(name, default, " ".join(doc.split())) for name, default, doc in parameters(member)]
    name_width = max((len(name) for name, _, _ in rows), default=0)
    default_width = max((len(default) for _, default, _ in rows), default=0)
    for name, default, doc in rows:
        yield f"    {name:{name_width}}  {default:{default_width}}  {doc}".rstrip()


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    return str(value) if isinstance(value, Duration) else yaml_text(value)
