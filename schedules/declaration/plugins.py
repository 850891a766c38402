"""Kinds and conf files of other packages, found by their entry points.

A package adds kinds of schedules, optimizers, models, data, losses and trackers by an entry point
in the group `scheduled_training.kinds`, which names the module that declares them, and options by
one in `scheduled_training.conf`, which names the folder with its conf files as a package:

    [project.entry-points."scheduled_training.kinds"]
    teeth = "teeth.kinds"
    [project.entry-points."scheduled_training.conf"]
    teeth = "teeth.conf"

Nothing is imported until a kind is asked for that is not ours, or all of them are listed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from .kind import Kind

KINDS = "scheduled_training.kinds"
CONF = "scheduled_training.conf"

_complaints: list[str] | None = None


def load(families: Callable[[], Iterable[type[Kind]]]) -> list[str]:
    """Imports every plugin, once in a process; gives what is wrong with some, a line each.

    `families` gives the families whose kinds it may add to. A plugin that fails is left out. One
    that takes a word of ours, or of another plugin before it by the name of its package, does not
    get that word.
    """
    global _complaints
    if _complaints is None:
        _complaints = []
        for plugin in _found(KINDS):
            _complaints.extend(_loaded(plugin, tuple(families())))
    return list(_complaints)


def conf() -> Iterator[tuple[str, Path]]:
    """The folders of conf files that plugins bring, by their names; nothing is imported for it."""
    for plugin in _found(CONF):
        root, *inner = plugin.value.split(".")
        try:
            spec = find_spec(root)
        except (ImportError, ValueError):
            continue
        for place in (spec and spec.submodule_search_locations) or ():
            if (folder := Path(place, *inner)).is_dir():
                yield plugin.name, folder


def _found(group: str) -> list[EntryPoint]:
    from importlib.metadata import entry_points

    return sorted(entry_points(group=group), key=lambda plugin: (_package(plugin), plugin.name))


def _loaded(plugin: EntryPoint, families: Sequence[type[Kind]]) -> Iterator[str]:
    """Imports one, and tells what is wrong with it."""
    who = f"the plugin {plugin.name} of {_package(plugin)}"
    before = {family: dict(family.kinds) for family in families}
    without = "tensorflow" not in sys.modules
    try:
        import_module(plugin.module)
    except (Exception, SystemExit) as error:  # whatever its author's code raises
        line = next(iter(str(error).splitlines()), "")
        yield f"{who} can't be imported: {type(error).__name__}: {line}"
    if without and "tensorflow" in sys.modules:
        yield f"{who} imports TensorFlow, for which every command now waits; do so inside methods"
    for family, known in before.items():
        for word, member in known.items():
            if family.kinds[word] is not member:
                family.kinds[word] = member
                called = f"{family.__name__.lower()} called {word}"
                yield f"{who} has another {called}, which is left out"


def _package(plugin: EntryPoint) -> str:
    """The package that brings it, with its version."""
    return f"{plugin.dist.name} {plugin.dist.version}" if plugin.dist else "a package"
