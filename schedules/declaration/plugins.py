"""Kinds and conf files of other packages, found by their entry points.

A package adds kinds of schedules, optimizers, models, data, losses and trackers by an entry point
in the group `scheduled_training.kinds`, which names the module that declares them, and options by
one in `scheduled_training.conf`, which names the folder with its conf files as a package:

    [project.entry-points."scheduled_training.kinds"]
    teeth = "teeth.kinds"
    [project.entry-points."scheduled_training.conf"]
    teeth = "teeth.conf"

Nothing is imported until a config names a kind that is not ours, or all kinds are listed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


KINDS = "scheduled_training.kinds"
CONF = "scheduled_training.conf"

_warnings: list[str] | None = None
"""What is wrong with some plugins, a line each; None until plugins are loaded."""


def load(families: Callable[[], Iterable[Any]]) -> list[str]:
    """Imports every plugin, once in a process; returns what is wrong with some, a line each.

    `families` returns the families of `Kind` that plugins may add to. A plugin that fails is left
    out. A plugin does not get a word that is ours, or that another plugin has taken. Plugins are
    loaded in the order of the names of their packages.
    """
    global _warnings
    if _warnings is None:
        _warnings = []
        for plugin in _entry_points(KINDS):
            _warnings.extend(_import_plugin(plugin, tuple(families())))
    return list(_warnings)


def conf_folders() -> Iterator[tuple[str, Path]]:
    """The folders of conf files that plugins bring, each with the plugin's name.

    Nothing is imported for it.
    """
    for plugin in _entry_points(CONF):
        root, *inner = plugin.value.split(".")
        try:
            spec = find_spec(root)
        except (ImportError, ValueError):
            continue
        for location in (spec and spec.submodule_search_locations) or ():
            if (folder := Path(location, *inner)).is_dir():
                yield plugin.name, folder


def _entry_points(group: str) -> list[EntryPoint]:
    from importlib.metadata import entry_points

    return sorted(entry_points(group=group), key=lambda plugin: (_package(plugin), plugin.name))


def _import_plugin(plugin: EntryPoint, families: Sequence[Any]) -> Iterator[str]:
    """Imports a plugin, and yields a line for each thing that is wrong with it."""
    subject = f"the plugin {plugin.name} of {_package(plugin)}"
    kinds_before = {family: dict(family.kinds) for family in families}
    had_tensorflow = "tensorflow" in sys.modules
    try:
        import_module(plugin.module)
    except (Exception, SystemExit) as error:  # whatever its author's code raises
        first_line = next(iter(str(error).splitlines()), "")
        yield f"{subject} can't be imported: {type(error).__name__}: {first_line}"
    if not had_tensorflow and "tensorflow" in sys.modules:
        rule = "imports TensorFlow, for which every command now waits; do so inside methods"
        yield f"{subject} {rule}"
    for family, members in kinds_before.items():
        for kind, member in members.items():
            if family.kinds[kind] is not member:
                family.kinds[kind] = member
                duplicate = f"another {family.__name__.lower()} called {kind}"
                yield f"{subject} has {duplicate}, which is left out"


def _package(plugin: EntryPoint) -> str:
    """The package that brings the plugin, with its version."""
    return f"{plugin.dist.name} {plugin.dist.version}" if plugin.dist else "a package"
