"""The flags of a command line, which are Hydra's, checked before Hydra's own parser sees them."""

from __future__ import annotations

from argparse import ArgumentError
from collections.abc import Sequence

from hydra._internal.utils import get_args_parser

from schedules.declaration import ABSENT, did_you_mean, refuse
from schedules.declaration.refusals import hint_for_key

from .conf_folder import first_keys
from .key_hints import FIRST_KEY_HINTS

PICKLE_FLAG = "--experimental-rerun"
"""The parser takes any beginning of a flag for it."""

EITHER = ("run", "multirun", "cfg", "info", "shell-completion")
"""Flags of which there can be one; `-m --cfg job` tells what a sweep would do."""


def check_flags(arguments: Sequence[str]) -> None:
    """Checks whether Hydra knows the flags of a command line, and has their values.

    Raises:
        Refused: with what to type instead. Hydra would print the usage of its own parser, and run
            the pickle of a run again, which can hold any code.
    """
    parser = get_args_parser()
    parser.exit_on_error = False
    names = parser._option_string_actions
    for word in arguments:
        name, separator, value = word.partition("=")
        if name.startswith("--e") and PICKLE_FLAG.startswith(name):
            raise refuse(name, ABSENT, "reads a pickle, which can run any code", "rerun=RUN_DIR")
        if not word.startswith("-") or any(known.startswith(name) for known in names):
            continue
        key = name.lstrip("-")
        if separator:
            rule, hint = "is no flag: overrides have no dashes", f"{key}={value}"
        else:
            near = did_you_mean(name, names)
            hint = hint_for_key(key, first_keys(), FIRST_KEY_HINTS)
            rule, hint = "is no flag", near if near.startswith("did") else hint
        raise refuse(name, value if separator else ABSENT, rule, hint)
    try:
        flags, _ = parser.parse_known_args(list(arguments))
    except ArgumentError as error:
        rule = error.message.replace("expected one argument", "needs a value")
        raise refuse(error.argument_name or "flag", ABSENT, rule) from None
    if flags.resolve and not (flags.cfg or flags.help):
        rule = "is for a config that is shown"
        raise refuse("--resolve", ABSENT, rule, "--cfg job --resolve, or --help --resolve")
    if flags.package is not None and not flags.cfg:
        rule = "is for a config that is shown"
        raise refuse("--package", flags.package, rule, f"--cfg job --package {flags.package}")
    asked = [f"--{name}" for name in EITHER if getattr(flags, name.replace("-", "_"))]
    if len(asked) > 1 and set(asked) != {"--multirun", "--cfg"}:
        rule = "can't be together: each says what to do"
        raise refuse(" ".join(asked), ABSENT, rule, "leave out all but one")
