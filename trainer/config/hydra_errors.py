"""Why a config is refused, told as the override to change and where its value was written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import yaml
from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue

from schedules.declaration import ABSENT, Problem, Refused, did_you_mean, refuse

MANY = "is several values, which needs a multirun"


def explained(error: Exception, overrides: Sequence[str], known: Iterable[str]) -> Refused:
    """A refusal that names the override at fault; `known` are the words that may begin one."""
    message = str(error).split("\n")[0]
    match error:
        case MissingConfigException(missing_cfg_file=str(missing), options=options) if options:
            group, _, option = missing.rpartition("/")
            hint = did_you_mean(option, options)
            return refuse(group, option, "is no option of this group", hint)
        case ConfigCompositionException() if found := re.match(
            r"Could not override '(.+?)'", message
        ):
            key = found[1]
            hint = did_you_mean(key.split(".")[0].split("@")[0], known)
            if key.startswith("hydra."):
                hint = "python -m trainer --cfg hydra shows what there is"
            return refuse(key, _given(key, overrides), "is no known key", hint)
        case ConfigCompositionException() if found := re.match(
            r"Ambiguous value .+'(.+?)=", message
        ):
            return refuse(found[1], _given(found[1], overrides), MANY, "python -m trainer -m …")
        case ConfigCompositionException() if found := re.match(
            r"Sweep parameters '\+*(.+?)=(.*?)'", message
        ):
            return refuse(found[1], found[2], MANY, "python -m trainer -m …")
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


def _given(key: str, overrides: Sequence[str]) -> object:
    for override in overrides:
        name, separator, value = override.partition("=")
        if separator and name.lstrip("+~") == key:
            return value
    return ABSENT


def located(
    refused: Refused,
    overrides: Sequence[str],
    choices: Mapping[str, str | None],
    folders: Sequence[Path],
) -> Refused:
    """The same refusal, each problem with the override or the file and line it comes from.

    `choices` are the options chosen of each group, and `folders` where config files are looked
    for, the first one first.
    """

    def source(problem: Problem) -> str:
        for override in reversed(overrides):
            key = override.partition("=")[0].lstrip("+~")
            chosen = override.partition("=")[2] == choices.get(key)
            if f"{problem.path}.".startswith(f"{key}.") and not chosen:
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
    """The line of the value at `path`, or of what holds it; 0 where the first key is missing."""
    node = yaml.compose(file.read_text(encoding="utf-8"))
    line = 0
    for key in path:
        entries = node.value if isinstance(node, yaml.MappingNode) else []
        found = next((pair for pair in entries if pair[0].value == key), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line
