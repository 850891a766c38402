"""Hydra's errors as refusals that name the override to change, or the file and line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from traceback import walk_tb

import yaml
from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue

from schedules.declaration import ABSENT, Problem, Refused, did_you_mean, refuse

NEEDS_MULTIRUN = "is several values, which needs a multirun"


def refusal_of(error: Exception, overrides: Sequence[str], keys: Iterable[str]) -> Refused:
    """A refusal that names the override at fault; `keys` are the names that may begin one."""
    message = str(error).split("\n")[0]
    match error:
        case MissingConfigException(missing_cfg_file=str(missing), options=options) if options:
            group, _, option = missing.rpartition("/")
            hint = did_you_mean(option, options)
            return refuse(group, option, "is no option of this group", hint)
        case ConfigCompositionException() if match := re.match(
            r"Could not override '(.+?)'", message
        ):
            key = match[1]
            hint = did_you_mean(key.split(".")[0].split("@")[0], keys)
            if key.startswith("hydra."):
                hint = "python -m trainer --cfg hydra shows what there is"
            return refuse(key, _value_of(key, overrides), "is no known key", hint)
        case ConfigCompositionException() if match := re.match(
            r"Ambiguous value .+'(.+?)=", message
        ):
            return refuse(
                match[1], _value_of(match[1], overrides), NEEDS_MULTIRUN, "python -m trainer -m …"
            )
        case ConfigCompositionException() if match := re.match(
            r"Sweep parameters '\+*(.+?)=(.*?)'", message
        ):
            return refuse(match[1], match[2], NEEDS_MULTIRUN, "python -m trainer -m …")
        case OverrideParseException(override=str(override)):
            rule = (
                f"is no override: {message}" if "Error parsing" not in message else "is no override"
            )
            hint = "key=value; quote what holds spaces or commas: 'key=\"a, b\"'"
            return refuse("override", override.lstrip("+"), rule, hint)
        case InterpolationResolutionError() | MissingMandatoryValue():
            return refuse(str(error.full_key), ABSENT, message)
        case _:
            return refuse("config", ABSENT, str(error).strip())


def is_of_hydra(error: BaseException) -> bool:
    """Whether an error was raised while Hydra composed, and not in the job that it runs."""
    frames = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    return any(name.startswith("hydra._internal.defaults_list") for name in frames)


def _value_of(key: str, overrides: Sequence[str]) -> object:
    for override in overrides:
        name, separator, value = override.partition("=")
        if separator and name.lstrip("+~") == key:
            return value
    return ABSENT


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

    def source(problem: Problem) -> str:
        for override in reversed(overrides):
            key = override.partition("=")[0].lstrip("+~")
            is_option = override.partition("=")[2] == choices.get(key)
            if f"{problem.path}.".startswith(f"{key}.") and not is_option:
                return f"the override {override.lstrip('+')}"
        group, *inner = problem.path.split(".")
        files = [(f"{group}/{choices[group]}.yaml", inner)] if choices.get(group) else []
        for name, path in [*files, ("config.yaml", [group, *inner])]:
            for file in (folder / name for folder in folders):
                if file.is_file() and (line := _line(file, path)):
                    return f"{file}:{line}"
        return ""

    return Refused(replace(problem, source=source(problem)) for problem in refused.problems)


def _line(file: Path, path: Sequence[str]) -> int:
    """The line of the value at `path`, or of the nearest mapping around it; 0 if none is there."""
    node = yaml.compose(file.read_text(encoding="utf-8"))
    line = 0
    for key in path:
        entries = node.value if isinstance(node, yaml.MappingNode) else []
        entry = next((pair for pair in entries if pair[0].value == key), None)
        if entry is None:
            break
        line, node = entry[0].start_mark.line + 1, entry[1]
    return line
