"""Where a refused value was written: in an override, or in a line of a config file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import yaml
from hydra.plugins.config_source import ConfigSource

from schedules.declaration import Problem, Refused

from .experiment import Experiment
from .key_hints import PACKAGE_HINT

Keys = Sequence[str]


class _File(NamedTuple):
    """A config file, and where its values stand in the whole config."""

    path: Path
    package: Keys = ()


def with_sources(
    refused: Refused,
    overrides: Sequence[str],
    choices: Mapping[str, str | None],
    folders: Sequence[Path],
) -> Refused:
    """The same refusal, each problem with the override or the file and line of its value.

    `choices` are the chosen options of each group, and `folders` those of config files, in the
    order in which they are searched.
    """
    files = list(_files(choices, folders))
    return Refused(
        replace(
            problem,
            source=_override(problem, overrides, choices) or _line_of(problem, files),
            hint=PACKAGE_HINT if problem.path in _unplaced(choices, files) else problem.hint,
        )
        for problem in refused.problems
    )


def with_file(refused: Refused, overrides: Sequence[str], file: Path) -> Refused:
    """The same refusal, each problem with the override, or the line of the only file."""
    return Refused(
        replace(
            problem, source=_override(problem, overrides, {}) or _line_of(problem, [_File(file)])
        )
        for problem in refused.problems
    )


def _override(problem: Problem, overrides: Sequence[str], choices: Mapping[str, str | None]) -> str:
    """The last override of the value or of what it is in; one that chooses an option is none."""
    for override in reversed(overrides):
        key, _, value = override.partition("=")
        key = key.lstrip("+~")
        is_option = key in choices and not override.startswith("~") and not value.startswith("{")
        if f"{problem.path}.".startswith(f"{key}.") and not is_option:
            return f"the override {override.lstrip('+')}"
    return ""


def _files(choices: Mapping[str, str | None], folders: Sequence[Path]) -> Iterator[_File]:
    """The files that the config is composed of, from those whose values win to those that lose."""
    chosen = [
        (file, group)
        for group, option in choices.items()
        if option and not group.startswith("hydra")
        for file in _found(folders, f"{group}/{option}.yaml")
    ]
    for file, _ in chosen:
        if _is_global(file):
            yield from _with_defaults(file)
    for file, group in chosen:
        if not _is_global(file):
            yield _File(file, group.split("/"))
    yield from map(_File, _found(folders, "config.yaml"))


def _found(folders: Sequence[Path], name: str) -> list[Path]:
    """The file of this name that Hydra reads, which is in the first folder that has it."""
    return [file for folder in folders if (file := folder / name).is_file()][:1]


def _is_global(file: Path) -> bool:
    header = ConfigSource._get_header_dict(file.read_text(encoding="utf-8")[:512])
    return header.get("package") == "_global_"


def _with_defaults(file: Path, depth: int = 0) -> Iterator[_File]:
    """A file, and behind it the files of its own group that its defaults name."""
    yield _File(file)
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    defaults = content.get("defaults") if isinstance(content, dict) else None
    for entry in reversed(defaults or ()):
        other = file.parent / f"{entry}.yaml"
        if isinstance(entry, str) and other.is_file() and depth < 10:
            yield from _with_defaults(other, depth + 1)


def _unplaced(choices: Mapping[str, str | None], files: Sequence[_File]) -> set[str]:
    """The groups that are no part of the config, and whose chosen file does not say where it is."""
    placed = {"/".join(file.package) for file in files}
    return {group for group in choices if group in placed} - set(Experiment.model_fields)


def _line_of(problem: Problem, files: Sequence[_File]) -> str:
    """The file and line of a problem's value, or of the nearest mapping around it; "" if none."""
    path = problem.path.split(".")
    nearest, depth = "", 0
    for file, package in files:
        if list(path[: len(package)]) != list(package):
            continue
        line, found = _nearest(file, path[len(package) :])
        if found + len(package) > depth and line:
            nearest, depth = f"{file}:{line}", found + len(package)
    return nearest


def _nearest(file: Path, path: Keys) -> tuple[int, int]:
    """The line of the innermost mapping or value on `path`, and how many keys lead there."""
    node = yaml.compose(file.read_text(encoding="utf-8"))
    line = 0
    if not path:
        return 1, 0
    for found, key in enumerate(path):
        entries = node.value if isinstance(node, yaml.MappingNode) else []
        entry = next((pair for pair in entries if pair[0].value == key), None)
        if entry is None:
            return line, found
        line, node = entry[0].start_mark.line + 1, entry[1]
    return line, len(path)
