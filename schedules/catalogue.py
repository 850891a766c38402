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
from .declaration import Declaration, Kind, Refused, did_you_mean, plugins, refuse, shown
from .declaration.docstrings import purposes
from .plots.terminal import spark
from .schedule import Schedule

RUN = Clock(total_steps=625, batch_size=64, examples_per_epoch=4000)
"""The run that shapes are drawn on: ten epochs of the trainer's own data."""


def entries(kind: str | None = None, *, bold: bool = False) -> Iterator[str]:
    """An entry for each kind, or a long one for `kind`.

    Raises:
        Refused: when there is no such kind.
    """
    if kind is None:
        for name, each in sorted(Schedule.kinds.items()):
            yield "\n".join([*_heading(name, bold), _indented(each)[0], *_parameters(each)])
        return
    member = Schedule.called(kind)
    if member is None:
        raise refuse("kind", kind, "is no known schedule", did_you_mean(kind, Schedule.kinds))
    yield "\n".join([*_heading(kind, bold), "\n\n".join(_indented(member)), *_parameters(member)])


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


def paragraphs(member: type[Kind]) -> list[str]:
    """What a kind tells of itself: the paragraphs of its docstring, without the examples."""
    told = inspect.getdoc(member) or ""
    return [text for text in told.split("\n\n") if not text.startswith(">>>")]


def parameters(member: type[Declaration]) -> Iterator[tuple[str, str, str]]:
    """Of each field its name, its default as it is written, and what it is for."""
    for name, field in member.model_fields.items():
        if name != "kind":
            yield name, _default(field), purposes(member).get(name, "")


def _indented(member: type[Kind]) -> list[str]:
    return [textwrap.indent(paragraph, "  ") for paragraph in paragraphs(member)]


def _parameters(member: type[Kind]) -> Iterator[str]:
    rows = [(name, default, " ".join(told.split())) for name, default, told in parameters(member)]
    names = max((len(name) for name, *_ in rows), default=0)
    width = max((len(default) for _, default, _ in rows), default=0)
    for name, default, told in rows:
        yield f"    {name:{names}}  {default:{width}}  {told}".rstrip()


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    return str(value) if isinstance(value, Duration) else shown(value)
