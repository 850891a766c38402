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

from . import plugins
from .clock import Clock, Duration
from .curve import load
from .declaration import Kind
from .documentation import purposes
from .preview import horizon
from .refusal import Refused, did_you_mean, refuse, shown
from .schedule import Schedule
from .terminal import spark

RUN = Clock(total_steps=625, batch_size=64, examples_per_epoch=4000)
"""The run that shapes are drawn on: ten epochs of the trainer's own data."""


def entries(kind: str | None = None, *, bold: bool = False) -> Iterator[str]:
    """An entry for each kind, or a long one for `kind`.

    Raises:
        Refused: when there is no such kind.
    """
    if kind is None:
        for name, each in sorted(Schedule.kinds.items()):
            yield "\n".join([*_heading(name, bold), _paragraphs(each)[0], *_parameters(each)])
        return
    member = Schedule.called(kind)
    if member is None:
        raise refuse("kind", kind, "is no known schedule", did_you_mean(kind, Schedule.kinds))
    yield "\n".join([*_heading(kind, bold), "\n\n".join(_paragraphs(member)), *_parameters(member)])


def _heading(kind: str, bold: bool) -> Iterator[str]:
    name = f"\x1b[1m{kind}\x1b[0m" if bold else kind
    yield f"{name}{' ' * (24 - len(kind))}{_shape(kind)}".rstrip()


def _shape(kind: str) -> str:
    """The curve of the values that `conf/schedule` starts this kind with."""
    for conf in _conf():
        file = conf / "schedule" / f"{kind}.yaml"
        if file.is_file():
            with suppress(Refused):
                curve = load(yaml.safe_load(file.read_text("utf-8")), RUN)
                return spark(curve, horizon(RUN))
    return ""


def _conf() -> Iterator[Path]:
    """Where conf files may be: inside the trainer, or beside it in a checkout, and plugins'."""
    spec = find_spec("trainer")
    for place in spec.submodule_search_locations or () if spec else ():
        yield Path(place) / "conf"
        yield Path(place).parent / "conf"
    yield from (folder for _, folder in plugins.conf())


def _paragraphs(member: type[Kind]) -> list[str]:
    """The docstring without its examples, indented."""
    told = inspect.getdoc(member) or ""
    paragraphs = [text for text in told.split("\n\n") if not text.startswith(">>>")]
    return [textwrap.indent(paragraph, "  ") for paragraph in paragraphs]


def _parameters(member: type[Kind]) -> Iterator[str]:
    fields = {name: field for name, field in member.model_fields.items() if name != "kind"}
    names = max(map(len, fields), default=0)
    defaults = {name: _default(field) for name, field in fields.items()}
    width = max(map(len, defaults.values()), default=0)
    for name in fields:
        told = " ".join(purposes(member).get(name, "").split())
        yield f"    {name:{names}}  {defaults[name]:{width}}  {told}".rstrip()


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    return str(value) if isinstance(value, Duration) else shown(value)
