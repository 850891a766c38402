"""Hydra's errors as refusals that name the override to change, or the file and line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from traceback import walk_tb

import yaml
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue

from schedules.declaration import ABSENT, Kind, Refused, refuse
from schedules.declaration.kind import families
from schedules.declaration.refusals import hint_for_key

from .conf_folder import first_keys
from .key_hints import FIRST_KEY_HINTS
from .override_syntax import several_values, unreadable_override


def refusal_of(error: Exception, overrides: Sequence[str]) -> Refused:
    """A refusal that names the override at fault."""
    message = str(error).split("\n")[0]
    match error:
        case MissingConfigException(missing_cfg_file=str(missing), options=options) if options:
            group, _, option = missing.rpartition("/")
            family = next((one for one in families() if one.__name__.lower() == group), Kind)
            hint = family.nearest(option, options)
            return refuse(group, option, "is no option of this group", hint)
        case MissingConfigException(missing_cfg_file=str(missing)) if "primary config" in message:
            hint = "leave it out: values come from options of groups, and from --config-dir DIR"
            return refuse("--config-name", missing, "is no file that Hydra finds", hint)
        case OverrideParseException(override=str(override)):
            return unreadable_override(override, str(error))
        case _:
            return _of_composition(message, overrides) or _unnamed(error, message)


def _unnamed(error: Exception, message: str) -> Refused:
    """A refusal of what no override is to blame for."""
    match error:
        case InterpolationResolutionError() | MissingMandatoryValue():
            variable = re.search(r"Environment variable '(\w+)' not found", message)
            hint = f"export {variable[1]}=…" if variable else ""
            rule = re.sub(r"^KeyError raised while .*?: \"?(.*?)\"?$", r"\1", message)
            return refuse(str(error.full_key), ABSENT, rule, hint)
        case yaml.YAMLError():
            return refuse("config", ABSENT, f"is no YAML: {' '.join(str(error).split())}")
        case _:
            return refuse("config", ABSENT, str(error).strip())


def _of_composition(message: str, overrides: Sequence[str]) -> Refused | None:
    """The refusal of what Hydra could not compose, where its message tells of an override."""
    if match := re.match(r"Could not override '(.+?)'", message):
        key, value = match[1], _value_of(match[1], overrides)
        return refuse(key, value, "is no known key", _key_hint(key, value))
    if match := re.match(r"Ambiguous value .+'\+*(.+?)=", message):
        return several_values(match[1], _value_of(match[1], overrides))
    if match := re.match(r"Sweep parameters '\+*(.+?)=", message):
        return several_values(match[1], _value_of(match[1], overrides))
    if match := re.match(r"(.+?) appears more than once in the final defaults list", message) or (
        re.match(r"force-add of config groups is not supported: '\+\+(.+?)=", message)
    ):
        value = _value_of(match[1], overrides)
        return refuse(match[1], value, "is added, and is there already", f"{match[1]}={value}")
    if match := re.match(r"Additional config directory '(.+?)' not found", message):
        return _no_folder(match[1])
    return None


def _no_folder(path: str) -> Refused:
    if Path(path).is_file():
        rule, hint = "is a file, and must be a folder with groups", "…/experiment/mine.yaml in it"
        return refuse("--config-dir", path, rule, hint)
    return refuse("--config-dir", path, "is no folder that exists")


def _key_hint(key: str, value: object) -> str:
    """What to type instead of a key that Hydra doesn't know."""
    if key.startswith("hydra."):
        return "python -m trainer --cfg hydra shows what there is"
    return hint_for_key(key.split(".")[0].split("@")[0], first_keys(), FIRST_KEY_HINTS, value)


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
