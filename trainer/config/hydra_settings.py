"""What a config may say to Hydra: where runs go, and the plain settings of launchers and sweepers.

Hydra makes an object of every `_target_` among its callbacks, launchers and sweepers, configures
logging by classes that are named in it, and sets environment variables, all before a job is asked
for. Its own list of targets that it blocks is no boundary, by its own word. So a config may say
what is listed here, and the rest is for `allow_code` on the command line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import yaml
from omegaconf import DictConfig, OmegaConf

from schedules import Problem, Refused
from schedules.declaration import ABSENT

from .allow_code import is_allowed, is_typed_permission, typed_permission
from .launcher_settings import KNOWN, settings_of_code

CODE = "may run code, so a config may not say it without allow_code=true on the command line"
READ_IT = "read it first; then type allow_code=true"

NO_LOGGING = {"version": 1, "root": None, "disable_existing_loggers": False}
"""Hydra's option `none`, which is ours."""
WORD = re.compile(r"\w[\w.+-]*")
INTERPOLATION = re.compile(r"\$\{([^${}]*)\}")


class Asked(NamedTuple):
    """A composed config of Hydra, and what was typed for it."""

    config: DictConfig
    """With everything in it, `hydra` among the rest."""
    hydra: Mapping[str, Any]
    """The part that is Hydra's, with interpolations as they are written."""
    overrides: Sequence[str]
    allowed: bool | tuple[str, ...]

    def is_typed(self, path: str) -> bool:
        """Whether an override gives the value at a path."""
        keys = (override.partition("=")[0].lstrip("+~") for override in self.overrides)
        return any(f"{path}.".startswith(f"{key}.") for key in keys)


def check_hydra_settings(config: DictConfig, overrides: Sequence[str]) -> None:
    """Whether a composed config says to Hydra only what it may.

    Raises:
        Refused: with the path of everything else.
    """
    allowed = typed_permission(overrides)
    if allowed is True:
        return
    hydra: Any = OmegaConf.to_container(config.hydra, resolve=False)
    asked = Asked(config, hydra, overrides, allowed)
    if problems := [problem for check in CHECKS for problem in check(asked)]:
        raise Refused(problems)


def _callbacks(asked: Asked) -> Iterator[Problem]:
    for name, callback in _entries(asked.hydra["callbacks"]):
        targets = list(_targets(callback))
        if not targets or not all(is_allowed(str(target), asked.allowed) for target in targets):
            target = targets[0] if targets else callback
            yield _code(f"hydra.callbacks.{name}", target, str(target))


def _plugins(asked: Asked) -> Iterator[Problem]:
    for part in ("launcher", "sweeper"):
        path, settings = f"hydra.{part}", asked.hydra[part]
        target = settings.get("_target_") if isinstance(settings, dict) else None
        if not isinstance(target, str) or "$" in target:
            yield Problem(path, settings, "must be an option", f"hydra/{part}=… names one")
        elif target not in KNOWN:
            if not is_allowed(target, asked.allowed):
                yield _code(f"{path}._target_", target, target)
        else:
            for key, value in settings_of_code(target, path, settings, asked.config):
                yield _code(key, value)


def _params(asked: Asked) -> Iterator[Problem]:
    """What a sweeper makes overrides of, which then look as if they had been typed."""
    sweeper = asked.hydra["sweeper"]
    params = sweeper.get("params") if isinstance(sweeper, dict) else None
    for key, value in _entries(params):
        name = str(key).partition("=")[0]
        if "$" in f"{key}" or is_typed_permission(name) or re.match(r"\W*hydra\b", name):
            rule = "is for the command line, and no value to sweep over"
            yield Problem(f"hydra.sweeper.params.{key}", value, rule, "leave it out")


def _environment(asked: Asked) -> Iterator[Problem]:
    # Hydra has put what `env_copy` lists there already.
    for name, value in _entries(asked.hydra["job"]["env_set"]):
        rule = "would change the programs that are started, and is for the shell to say"
        hint = f"{name}=… before the command; or read it first, and type allow_code=true"
        yield Problem(f"hydra.job.env_set.{name}", value, rule, hint)


def _logging(asked: Asked) -> Iterator[Problem]:
    for part in ("job_logging", "hydra_logging"):
        declared = asked.hydra[part]
        if declared not in (NO_LOGGING, None) and declared not in _shipped_logging(part):
            yield _code(f"hydra.{part}", declared)
    verbose = asked.hydra["verbose"]
    words = verbose if isinstance(verbose, list) else [verbose]
    if not all(isinstance(word, bool | str) for word in words):
        rule = "must be true, false or names of loggers"
        yield Problem("hydra.verbose", verbose, rule, "hydra.verbose=true")


def _help(asked: Asked) -> Iterator[Problem]:
    for part, known in {"help": ("APP_CONFIG_GROUPS", "CONFIG"), "hydra_help": ()}.items():
        path = f"hydra.{part}.template"
        template = Template(str(OmegaConf.select(asked.config, path)))
        unknown = {*template.get_identifiers()} - {*known, "HYDRA_CONFIG_GROUPS", "FLAGS_HELP"}
        if unknown or not template.is_valid():
            hint = "$APP_CONFIG_GROUPS, $CONFIG; $$ is a dollar"
            yield Problem(path, asked.hydra[part]["template"], "has a $ that is no name", hint)


def _overrides(asked: Asked) -> Iterator[Problem]:
    """Hydra appends what is typed to what a file has there; who reads it can't tell them apart."""
    listed = asked.hydra["overrides"]
    if sorted(map(str, [*listed["hydra"], *listed["task"]])) != sorted(asked.overrides):
        extra = [o for part in ("hydra", "task") for o in listed[part] if o not in asked.overrides]
        yield Problem("hydra.overrides", extra, "is for Hydra to say", "leave it out")


def _folders(asked: Asked) -> Iterator[Problem]:
    """A file may put runs below the working folder; elsewhere is for whoever starts them to say."""
    for path in ("run.dir", "sweep.dir"):
        yield from _folder(asked, path, Path.cwd(), "the folder you stand in")
    yield from _folder(asked, "sweep.subdir", Path("/sweep"), "the sweep's folder")
    yield from _folder(asked, "output_subdir", Path("/run"), "the run's folder")
    name = asked.hydra["job"]["name"]
    if not asked.is_typed("hydra.job.name") and not WORD.fullmatch(str(name)):
        yield Problem("hydra.job.name", name, "must be a word", "hydra.job.name=trainer")


def _folder(asked: Asked, path: str, root: Path, within: str) -> Iterator[Problem]:
    value: Any = asked.hydra
    for key in path.split("."):
        value = value[key]
    path = f"hydra.{path}"
    if value is None or asked.is_typed(path):
        return
    text = INTERPOLATION.sub(lambda match: _substitute(asked.config, match[1]), str(value))
    place = os.path.normpath(root / text)
    if "$" in text or ".." in Path(text).parts or not Path(place).is_relative_to(root):
        rule = f"must be in {within}, or be said on the command line"
        yield Problem(path, value, rule, f"type {path}=…")


def _substitute(config: DictConfig, interpolation: str) -> str:
    """What an interpolation stands for, or `$` where that is not plain at once."""
    resolver, colon, argument = interpolation.partition(":")
    if colon:
        return {"now": argument, "unique": "unique"}.get(resolver, "$")
    if interpolation in ("hydra.job.num", "hydra.job.id", "hydra.job.override_dirname"):
        return "0"  # of the launcher, and of what was typed
    value: Any = OmegaConf.to_container(config, resolve=False)
    for key in interpolation.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    is_plain = isinstance(value, str | int | float) and "$" not in str(value)
    return str(value) if is_plain else "$"


CHECKS: Sequence[Callable[[Asked], Iterator[Problem]]] = (
    _callbacks, _plugins, _params, _help, _environment, _logging, _overrides, _folders,
)  # fmt: skip


def check_search_path(entries: Sequence[Any], overrides: Sequence[str]) -> None:
    """Whether folders that a config adds to the search path can be read without running code.

    Raises:
        Refused: for a package, which would be imported.
    """
    allowed = typed_permission(overrides)
    for entry in entries:
        scheme, separator, package = str(entry).partition("://")
        if separator and scheme != "file" and not is_allowed(package, allowed):
            raise Refused([_code("hydra.searchpath", str(entry), package)])


def _code(path: str, value: object, target: str = "") -> Problem:
    module = target.rpartition(".")[0] or target
    hint = f"{READ_IT} or allow_code=[{module}]" if WORD.fullmatch(module) else READ_IT
    return Problem(path, value, CODE, hint)


def _entries(node: object) -> list[tuple[Any, Any]]:
    """The entries of a mapping or a list; of what else stands in its place, itself."""
    if isinstance(node, dict):
        return list(node.items())
    if isinstance(node, list):
        return [(value, ABSENT) for value in node]
    return [] if node is None else [("", node)]


def _targets(node: object) -> Iterator[object]:
    """Every `_target_` at any depth, and every interpolation, which may hold one."""
    if isinstance(node, str) and "$" in node:
        yield node
    elif isinstance(node, dict):
        if "_target_" in node:
            yield node["_target_"]
        for key, value in node.items():
            yield from _targets(value) if key != "_target_" else ()
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)


@cache
def _shipped_logging(part: str) -> list[object]:
    """What Hydra's own options of logging say."""
    import hydra.conf

    folder = Path(*hydra.conf.__path__) / "hydra" / part
    return [yaml.safe_load(file.read_text("utf-8")) for file in folder.glob("*.yaml")]
