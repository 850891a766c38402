"""Why Hydra could not compose a config, told as the override to change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue

from schedules.refusal import ABSENT, Refused, did_you_mean, refuse


def explained(error: Exception, overrides: Sequence[str], known: Iterable[str]) -> Refused:
    """A refusal that names the override at fault; `known` are the words that may begin one."""
    message = str(error).split("\n")[0]
    match error:
        case MissingConfigException(missing_cfg_file=str(missing), options=options) if options:
            group, _, option = missing.rpartition("/")
            hint = did_you_mean(option, options)
            return refuse(group, option, "is no option of this group", hint)
        case ConfigCompositionException() if found := re.match(r"Could not override '(.+?)'", message):
            key = found[1]
            hint = did_you_mean(key.split(".")[0].split("@")[0], known)
            return refuse(key, _given(key, overrides), "is no known key", hint)
        case ConfigCompositionException() if found := re.match(r"Ambiguous value .+'(.+?)=", message):
            rule = "is several values, which needs a multirun"
            return refuse(found[1], _given(found[1], overrides), rule, "python -m trainer -m …")
        case OverrideParseException(override=str(override)):
            rule = f"is no override: {message}" if "Error parsing" not in message else "is no override"
            hint = "key=value; quote what holds spaces or commas: 'key=\"a, b\"'"
            return refuse("", override, rule, hint)
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
