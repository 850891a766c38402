"""Words of a command line that Hydra can't read as overrides, and what to type instead."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from schedules.declaration import Refused, did_you_mean, refuse

from .conf_folder import group_options
from .secret_values import may_hold_secrets

ASSIGNMENT = "key=value; quote what holds spaces or commas: 'key=\"a, b\"'"
PROGRAMS = ("export", "predict", "report", "control")
"""What `python -m trainer.…` has besides training."""
CALLS = {
    "choice": "choice(1,2)",
    "range": "range(0,3)",
    "interval": "interval(0,1)",
    "glob": "glob(*)",
    "sort": "sort(2,1)",
    "shuffle": "shuffle(1,2)",
    "int": "int(1.5)",
    "float": "float(1)",
    "str": "str(1)",
    "bool": "bool(1)",
    "tag": "tag(zip,choice(1,2))",
}
"""The functions that Hydra knows in an override, each with an example."""
LOOKS = ("list", "plot", "table", "lint")
"""The commands of `python -m schedules`."""


def parsed_value(override: str) -> Any:
    """The value of an override as Hydra reads it; for several values the text of all.

    Raises:
        HydraException: when Hydra can't read it.
    """
    parsed = OverridesParser.create().parse_overrides([override])[0]
    return override.partition("=")[2] if parsed.is_sweep_override() else parsed.value()


def unreadable_override(override: str, message: str) -> Refused:
    """The refusal of an override that Hydra can't read, with one that it can where there is one.

    `message` is what Hydra says of it.
    """
    override = override.lstrip("+")
    key, separator, value = override.partition("=")
    if may_hold_secrets(override):  # nobody can tell where they begin and end
        return refuse(key, "***", "can't be read", ASSIGNMENT)
    if not separator:
        return refuse("override", override, "is no override", _word_hint(override))
    if not re.fullmatch(r"[\w./@:-]+", key, re.ASCII) or not _reads(f"{key}=x"):
        return refuse("override", override, "is no override: its key can't be read", ASSIGNMENT)
    if call := re.fullmatch(r"(\w+)\((.*)\)", value):
        return refuse(key, value, *_rule_and_hint_of_call(key, call[1], call[2], message))
    if value[:1] in ("{", "["):
        return refuse(key, value, _bracket_rule(value), _bracket_hint(override))
    return refuse(key, value, f"can't be read{_reason(value)}", _quoted(override))


def _reads(override: str) -> bool:
    try:
        OverridesParser.create().parse_overrides([override])
    except HydraException:
        return False
    return True


def _quoted(override: str) -> str:
    """A hint with the override as a shell and Hydra read it: the value in quotes of its own."""
    key, _, value = override.partition("=")
    for text in (value, value.strip("'\"")):
        for mark in "\"'":
            quoted = f"{key}={mark}{text}{mark}"
            if mark not in text and _reads(quoted) and parsed_value(quoted) == text:
                return f"quote the value: {shlex.quote(quoted)}"
    return ASSIGNMENT


def _reason(value: str) -> str:
    """Which character a value must not have outside of quotes."""
    if not value.isascii():
        character = next(letter for letter in value if not letter.isascii())
        return f": {character} is outside of ASCII and not in quotes"
    for position, character in enumerate(value):
        if not _reads(f"key={value[: position + 1]}x"):
            return f": {character} is not in quotes"
    return ""


def _bracket_rule(value: str) -> str:
    return "is not closed" if _is_open(value) else "can't be read as a list or mapping"


def _bracket_hint(override: str) -> str:
    key, _, value = override.partition("=")
    if _is_open(value):
        example = "{kind: cosine, initial_value: 0.1}" if value.startswith("{") else "[1, 2]"
        quoted = shlex.quote(f"{key}={example}")
        return f"a shell splits words at spaces: quote the whole override, as in {quoted}"
    return "a mapping is written {key: value, key: value}, a list [1, 2]; quote other texts"


def _is_open(value: str) -> bool:
    return value.count("{") > value.count("}") or value.count("[") > value.count("]")


def _rule_and_hint_of_call(key: str, function: str, values: str, message: str) -> tuple[str, str]:
    """What is wrong with a call such as `range(3)`, and what to type instead."""
    if function not in CALLS:
        near = did_you_mean(function, CALLS)
        hint = near if near.startswith("did") else _quoted(f"{key}={function}({values})")
        return f"can't be read: Hydra has no function {function}", hint
    listed = f"{key}={values}"
    if function == "choice" and _reads(listed):
        null = "null" in values.split(",")
        rule = "can't be read: choice takes no null" if null else "can't be read"
        return rule, f"python -m trainer -m {shlex.quote(listed)}"
    reason = next((line for line in message.splitlines() if "while evaluating" in line), "")
    reason = re.sub(r"^\w+ while evaluating '.*?': ", "", reason)
    return f"can't be read: {reason}".removesuffix(": "), f"such as {key}={CALLS[function]}"


def _word_hint(word: str) -> str:
    """What to type instead of a word without `=`."""
    options = group_options()
    if word in options:
        return f"{word}=OPTION; {did_you_mean('', options[word])}"
    if word in PROGRAMS:
        return f"python -m trainer.{word}"
    if word in LOOKS:
        return f"python -m schedules {word}"
    if word.endswith(".yaml"):
        file = Path(word)
        group, option = file.parent.name, file.stem
        if option in options.get(group, ()):
            return f"{group}={option}"
        if group in options:
            return f"--config-dir {shlex.quote(str(file.parent.parent))} {group}={option}"
        return (
            "an option of a group: --config-dir DIR experiment=mine reads DIR/experiment/mine.yaml"
        )
    key, colon, value = word.partition(":")
    if colon and value and _reads(f"{key}={value}"):
        return f"{key}={value}"
    if groups := [group for group, names in options.items() if word in names]:
        return " or ".join(f"{group}={word}" for group in sorted(groups))
    return f"{ASSIGNMENT}; no spaces around ="


def option_refusal(override: str) -> Refused | None:
    """The refusal of an override that gives a group no option's name; None for any other one."""
    key, separator, value = override.partition("=")
    group = key.lstrip("+~").partition("@")[0]
    options = group_options()
    known = options.get(group)
    if not separator or (known is None and "/" not in group):
        return None
    try:
        parsed = parsed_value(override)
    except HydraException:
        return None
    if isinstance(parsed, str):
        return None
    hint = "an option of a group is a word"
    if parsed is None or isinstance(parsed, bool):
        if group == "experiment":
            hint = "leave it out"
        elif known:
            hint = f"{group}=none" if "none" in known and not parsed else did_you_mean("", known)
        return refuse(group, parsed, "is no option of this group", hint)
    return refuse(group, value, "is no option of this group", hint)


def several_values(key: str, value: object) -> Refused:
    """The refusal of several values where one run is to be made."""
    hint = "python -m trainer -m …"
    text = value if isinstance(value, str) else ""
    if "/" in text or " " in text:
        quoted = _quoted(f"{key}={text}")
        hint = f"{hint}; or {quoted}" if quoted != ASSIGNMENT else hint
    elif "." in key and re.fullmatch(r"[\w.+-]+(,[\w.+-]+)+", text):
        hint = f"{hint}; a list is written {shlex.quote(f'{key}=[{text}]')}"
    return refuse(key, value, "is several values, which needs a multirun", hint)
