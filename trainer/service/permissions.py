"""What a config that comes over HTTP may say: only what the server was started to allow.

Whoever may have a config composed may otherwise read the environment, have files opened anywhere,
and run code that a config names. So these are the server's to allow, and no request's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schedules import Problem, Refused
from schedules.declaration import join_path

from ..config.allow_code import KEY
from ..config.conf_folder import group_options

MOST_OVERRIDES = 1000
LONGEST_PATH = 4096
_PLAIN_INTERPOLATION = re.compile(r"\$\{\s*[\w.\[\]]+\s*\}")
_HYDRA = re.compile(r"hydra\b|[\w.]*/|[^=]*@")
_SEARCH = re.compile(
    r"hydra/sweeper=(grid|optuna)"
    r"|hydra\.sweeper\.(n_trials|n_jobs|metric|direction|sampler|pruner|seed)(\.\w+)*=.*"
)
"""What of Hydra's own may be said of what is submitted: what is searched, and how."""
_ADDRESSES = ("uri", "url", "host", "address", "endpoint", "server")
"""What settings of trackers are called that say where rows are sent."""


@dataclass(frozen=True)
class Permissions:
    """What the server was started with."""

    code: bool | tuple[str, ...] = False
    """Whether functions that a config names may run, or the modules whose may."""
    folders: tuple[Path, ...] = ()
    """Where files that a config names may be."""
    config_dir: str | None = None
    """A folder that adds options to any group."""
    trackers: tuple[str, ...] = ()
    """The addresses to which runs that are submitted may send their rows."""

    def check_overrides(self, overrides: Sequence[str], *, may_search: bool = False) -> None:
        """Whether overrides say only what a request may.

        Where something is submitted, it `may_search`.

        Raises:
            Refused: with a problem for each that may not.
        """
        if problems := list(self._problems(overrides, may_search)):
            raise Refused(problems)

    def check_written(self, values: Mapping[str, Any]) -> None:
        """Whether a config, as it is written, says only what a request may.

        Raises:
            Refused: with a problem for each value that may not be.
        """
        if problems := list(_unreadable(values, "")):
            raise Refused(problems)

    def check_values(self, values: Any) -> None:
        """Whether every text of a composed config that leads to a file stays in allowed folders.

        A relative path leads from the working folder, and a link wherever it does.

        Raises:
            Refused: with a problem for each that does not.
        """
        if problems := list(self._outside(values, "")):
            raise Refused(problems)

    def granted(self) -> list[str]:
        """The overrides that say what is allowed."""
        if isinstance(self.code, bool):
            return [f"{KEY}=true"] if self.code else []
        return [f"{KEY}=[{','.join(self.code)}]"]

    def check_trackers(self, values: Any) -> None:
        """Whether rows are sent only where the server may send them.

        Raises:
            Refused: with a problem for each address that is none of `trackers`.
        """
        log = values.get("log") if isinstance(values, dict) else None
        if problems := list(self._addresses(log, "log")):
            raise Refused(problems)

    def _addresses(self, value: Any, path: str) -> Iterator[Problem]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from self._addresses(inner, join_path(path, str(key)))
        elif isinstance(value, list | tuple):
            for place, inner in enumerate(value):
                yield from self._addresses(inner, join_path(path, place))
        elif isinstance(value, str) and value not in self.trackers:
            name = path.rpartition(".")[2]
            if "://" in value or any(name.endswith(word) for word in _ADDRESSES):
                rule = "is an address that this server may not send rows to"
                hint = "python -m trainer.serve --allow-tracker ADDRESS"
                yield Problem(path, value, rule, hint)

    def _problems(self, overrides: Sequence[str], may_search: bool) -> Iterator[Problem]:
        if len(overrides) > MOST_OVERRIDES:
            yield Problem("overrides", len(overrides), f"are more than {MOST_OVERRIDES}")
            return
        groups = group_options()
        for override in overrides:
            key = override.partition("=")[0].lstrip("+~").strip()
            if override.startswith("-"):
                yield Problem(key, override, "is a flag, and none are taken here", "leave it out")
            elif key == KEY:
                rule = "is for whoever starts the server to say"
                yield Problem(KEY, override, rule, "python -m trainer.serve --allow-code MODULE")
            elif may_search and _SEARCH.fullmatch(override) and not _has_resolver(override):
                continue
            elif _HYDRA.match(key):
                yield Problem(key, override, "is Hydra's, and not taken here", "leave it out")
            elif _has_resolver(override):
                yield _looked_up(key, override)
            elif key in groups and not override.startswith("~") and _leaves_folder(override):
                yield Problem(key, override, "must be an option of the group", "leave out /")
            elif key == "rerun" and "=" in override:
                yield from self._outside(override.partition("=")[2].strip("'\""), "rerun")

    def _outside(self, value: Any, path: str) -> Iterator[Problem]:
        """A problem for each text that leads to a file outside of the allowed folders."""
        if isinstance(value, str):
            if not self._may_lead_to(value):
                rule = "is outside of the folders that this server may read"
                hint = "python -m trainer.serve --allow-folder DIR"
                yield Problem(path, value, rule, hint)
        elif isinstance(value, dict):
            for key, inner in value.items():
                yield from self._outside(inner, join_path(path, str(key)))
        elif isinstance(value, list | tuple):
            for place, inner in enumerate(value):
                yield from self._outside(inner, join_path(path, place))

    def _may_lead_to(self, text: str) -> bool:
        """Whether a text is in an allowed folder, or nothing but a word."""
        if len(text) > LONGEST_PATH or "\0" in text:
            return "/" not in text
        try:
            written = Path(text).expanduser()
            real = Path(os.path.realpath(written))
        except (OSError, RuntimeError, ValueError):
            return False
        if any(real.is_relative_to(os.path.realpath(folder)) for folder in self.folders):
            return True
        return not written.is_absolute() and ".." not in written.parts and not os.path.lexists(text)


def _unreadable(value: Any, path: str) -> Iterator[Problem]:
    if isinstance(value, str):
        if _has_resolver(value):
            yield _looked_up(path, value)
        elif path in group_options() and _leaves_folder(f"={value}"):
            yield Problem(path, value, "must be an option of the group", "leave out /")
    elif isinstance(value, dict):
        for key, inner in value.items():
            grants = key == KEY and inner is not False
            if path == "" and (grants or _HYDRA.match(str(key))):
                yield Problem(str(key), inner, "is not taken here", "leave it out")
            yield from _unreadable(inner, join_path(path, str(key)))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _unreadable(inner, join_path(path, place))


def _looked_up(path: str, value: str) -> Problem:
    rule = "has something looked up when it is read, which is not done here"
    return Problem(path, value, rule, "write the value itself")


def _leaves_folder(override: str) -> bool:
    """Whether the option that an override names may be a file outside of the group's folder."""
    option = override.partition("=")[2]
    return ("/" in option or ".." in option) and not option.startswith("{")


def _has_resolver(text: str) -> bool:
    """Whether a text has an interpolation that is more than the path of another value.

    >>> _has_resolver("a=${oc.env:HOME}"), _has_resolver("a=${${b}:c}"), _has_resolver("a=${b.c}")
    (True, True, False)
    """
    before = ""
    while before != text:
        before, text = text, _PLAIN_INTERPOLATION.sub("", text)
    return "${" in text
