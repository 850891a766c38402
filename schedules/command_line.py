"""The configs that a command line declares, as previews: in overrides, or in files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from .analysis.preview import Preview
from .clock import Clock
from .curve import load
from .declaration import Refused, refuse
from .schedule import Schedule

CLOCK_OPTIONS = ("total_steps", "batch_size", "examples_per_epoch")
"""The options that set the clock of a schedule in a file."""


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that `read_previews` reads."""
    parser.add_argument(
        "overrides",
        nargs="*",
        type=_without_secrets,
        metavar="OVERRIDE",
        help="as for python -m trainer: schedule=cosine",
    )
    parser.add_argument(
        "--file",
        type=Path,
        action="append",
        metavar="FILE.yaml",
        help="one schedule, or a config",
    )
    parser.add_argument(
        "--config-dir", metavar="DIR", help="a folder that adds options to any group"
    )
    clock = parser.add_argument_group("the run of a schedule in a file, by default the trainer's")
    for name in CLOCK_OPTIONS:
        clock.add_argument(_option(name), type=int, metavar="N")


def read_previews(options: argparse.Namespace) -> dict[str, Preview]:
    """The previews by label: one for each file, or for each combination of a sweep.

    The label of a single preview is "".
    """
    clock_changes: dict[str, int] = {
        name: value for name in CLOCK_OPTIONS if (value := getattr(options, name)) is not None
    }
    if options.file:
        is_single = len(options.file) == 1
        return {
            "" if is_single else path.stem: _preview_of_file(path, options, clock_changes)
            for path in options.file
        }
    if clock_changes:
        name, value = next(iter(clock_changes.items()))
        hint = "run.length=1000 and data.batch_size=32 say it of a config"
        raise refuse(_option(name), value, "goes with --file", hint)
    return {
        label: _preview_of_overrides(overrides, options.config_dir)
        for label, overrides in _sweep(options.overrides)
    }


def message(refused: Refused) -> str:
    """What a refusal says, without secrets."""
    from trainer.runs.known_secrets import veil

    return veil(str(refused))


def _without_secrets(override: str) -> str:
    """An override with its secrets moved to the environment: it becomes a title and labels."""
    from trainer.config.secret_values import with_secrets_in_environment

    return next(with_secrets_in_environment([override]))


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _preview_of_overrides(overrides: Sequence[str], config_dir: str | None) -> Preview:
    from trainer.config.hydra import compose

    return _preview_of_config(compose(overrides, config_dir))


def _preview_of_config(config: Mapping[str, Any]) -> Preview:
    from trainer.config.experiment import Experiment
    from trainer.config.plan import Plan

    plan = Plan.of(Experiment.declared(config))
    return Preview(plan.curves, plan.clock, plan.places)


def _preview_of_file(
    path: Path, options: argparse.Namespace, clock_changes: Mapping[str, int]
) -> Preview:
    """The preview of the config in a file, or of the schedule in it.

    The clock of a schedule has the values that options state, and for the rest those of the run
    that the overrides declare. Without overrides, options alone make the clock. Code that the file
    names runs only where an override allows it: `allow_code` in the file does not.
    """
    from trainer.config.allow_code import is_typed_permission, typed_permission

    from .declaration.yaml_files import read_mapping

    config = read_mapping(path)
    allowed = typed_permission(options.overrides)
    try:
        if "kind" not in config and "schedule" in config:
            return _preview_of_config({**config, "allow_code": allowed})
        schedule = _allowed_schedule(config, allowed)
        if clock_changes and all(map(is_typed_permission, options.overrides)):
            clock = Clock()
        else:
            clock = _preview_of_overrides(options.overrides, options.config_dir).clock
        clock = replace(clock, **clock_changes)
        return Preview({"learning_rate": load(schedule, clock)}, clock)
    except Refused as refused:
        raise Refused(
            replace(problem, path=f"{path}: {problem.path}".removesuffix(": "))
            for problem in refused.problems
        ) from None


def _allowed_schedule(config: Mapping[str, Any], allowed: bool | tuple[str, ...]) -> Schedule:
    """The schedule of a file, if it names no code but what is allowed."""
    from trainer.config.allow_code import forbidden_code

    schedule = Schedule.declared(config)
    if problems := tuple(forbidden_code(schedule.code(), allowed)):
        raise Refused(problems)
    return schedule


def _sweep(overrides: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """The combinations of the values that overrides list, as Hydra's multirun reads them.

    Each is a label, which has the values that vary, and its overrides.
    """
    if not any(mark in override for override in overrides for mark in ",(*"):
        yield "", list(overrides)
        return
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException:  # composing them raises an error that says more
        yield "", list(overrides)
        return
    choices = [
        [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
        if override.is_sweep_override()
        else [str(override.input_line)]
        for override in parsed
    ]
    varies = [len(values) > 1 for values in choices]
    for combination in product(*choices):
        varied = [override for override, v in zip(combination, varies, strict=True) if v]
        label = varied[0].partition("=")[2] if len(varied) == 1 else " ".join(varied)
        yield label, list(combination)
