"""Looks at schedules without training anything, and without TensorFlow.

  python -m schedules list [KIND]      each kind: formula, parameters, defaults, shape
  python -m schedules plot             a picture, and a drawing in the terminal
  python -m schedules table            the value at each step
  python -m schedules lint             what would go wrong in a run, before the run
  python -m schedules schema           the JSON Schema of every kind

Overrides are those of `python -m trainer`, and the values those it would train with:

  python -m schedules plot schedule=cosine_restarts warmup=linear
  python -m schedules plot schedule=cosine,cosine_restarts,linear_cosine --output cosines.png
  python -m schedules plot schedule=exponential --open
  python -m schedules table schedule=exponential --steps 0:100 --output rates.csv
  python -m schedules lint "run.length=5 epochs" optimizer.momentum=0.95
  python -m schedules table --file my_schedule.yaml --total-steps 1000

`python -m schedules COMMAND --help` tells the options of a command.
"""

from __future__ import annotations

from schedules.declaration.gc_pause import spared

with spared(lasting=True):
    import argparse
    import json
    import os
    import shutil
    import sys
    import webbrowser
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import suppress
    from dataclasses import replace
    from itertools import product
    from pathlib import Path
    from typing import Any, NoReturn

    import schedules

    from .analysis.lint import lint
    from .analysis.preview import Preview, horizon, panels, span
    from .catalogue import entries
    from .clock import Clock
    from .declaration import Refused, did_you_mean, plugins, refuse
    from .declaration.kind import families
    from .plots.save import FORMATS, save, write_file
    from .plots.terminal import coloured, has_display, plot


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs one command and exits with 0, or with 2 and the reason on stderr."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # a stand-in, such as a test's, has no encoding
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    if name in ("-h", "--help", "help"):
        print(__doc__, end="")
        sys.exit(0)
    try:
        if name not in COMMANDS:
            raise refuse("schedules", name, "is no command", did_you_mean(name, COMMANDS))
        command = COMMANDS[name]
        parser = argparse.ArgumentParser(
            f"python -m schedules {name}", description=command.__doc__, allow_abbrev=False
        )
        sys.exit(command(parser, rest))
    except Refused as refused:
        print(refused, file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def list_kinds(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    """Tells of each kind its formula, its parameters, their defaults and its shape."""
    parser.add_argument("kind", nargs="?", help="tell all of this kind alone")
    asked = parser.parse_args(arguments)
    _load_plugins()
    print("\n\n".join(entries(asked.kind, bold=coloured())))
    return 0


def write_table(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    """Writes the value at each step, in full precision."""
    _sources(parser)
    parser.add_argument(
        "--steps", metavar="A:B[:C]", help="from A up to B, every C-th; default: all"
    )
    parser.add_argument("--name", default="learning_rate", help="default: learning_rate")
    parser.add_argument(
        "--format", choices=FORMATS, help="default: as the output's suffix, else csv"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: stdout")
    asked = parser.parse_intermixed_args(arguments)
    plan, *others = _previews(asked).values()
    if others:
        raise refuse("table", " ".join(asked.overrides), "takes one config, without a sweep")
    if asked.name not in plan.curves:
        hint = did_you_mean(asked.name, plan.curves)
        raise refuse("--name", asked.name, "is no scheduled value of this config", hint)
    suffix = asked.output.suffix[1:] if asked.output else ""
    write = FORMATS[asked.format or (suffix if suffix in FORMATS else "csv")]
    whole = horizon(plan.clock)
    steps = span(asked.steps, whole) if asked.steps else whole
    rows = write(plan.curves[asked.name], steps)
    if asked.output is None:
        sys.stdout.buffer.writelines(rows)
        sys.stdout.buffer.flush()
        return 0
    write_file(asked.output, rows)
    print(asked.output)
    return 0


def draw(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    """Draws every scheduled value; comma sweeps and several files lie over each other."""
    _sources(parser)
    output = "FILE.svg|.png|.html"
    parser.add_argument("--output", type=Path, metavar=output, help="default: schedule.svg")
    parser.add_argument("--open", action="store_true", help="show a page that tells every value")
    asked = parser.parse_intermixed_args(arguments)
    plans = _previews(asked)
    figure = panels(plans)
    clock = max((plan.clock for plan in plans.values()), key=lambda clock: len(horizon(clock)))
    title = " ".join(asked.overrides or [path.name for path in asked.file or ()])
    path = asked.output or Path("schedule.html" if asked.open else "schedule.svg")
    shown = path.with_suffix(".html")
    written = dict.fromkeys([path, shown] if asked.open else [path])
    for target in written:
        save(target, figure, clock, title)
    width = min(max(shutil.get_terminal_size().columns, 40), 110)
    print(*(plot(panel, width, colour=coloured()) for panel in figure), sep="\n\n", end="\n\n")
    print(*written, sep="\n")
    if asked.open and has_display():
        webbrowser.open(shown.resolve().as_uri())
    return 0


def look_over(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    """Looks over the whole run; exit code 2 when it finds what can't train."""
    _sources(parser)
    plans = _previews(parser.parse_intermixed_args(arguments))
    refused = False
    for label, plan in plans.items():
        found = lint(plan.curves, plan.clock, plan.places)
        if len(plans) > 1:
            print(f"{label}:")
        for finding in found:
            print(finding, file=sys.stderr if finding.severity == "refused" else sys.stdout)
        if not found:
            print(f"nothing to say against {', '.join(plan.curves)}")
        refused |= any(finding.severity == "refused" for finding in found)
    return 2 if refused else 0


def print_schema(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    """Prints the JSON Schema of every kind, by which editors complete and check YAML files."""
    parser.parse_args(arguments)
    _load_plugins()
    print(json.dumps(schedules.json_schema(), indent=2))
    return 0


COMMANDS = {
    "list": list_kinds,
    "plot": draw,
    "table": write_table,
    "lint": look_over,
    "schema": print_schema,
}


def _load_plugins() -> None:
    """Makes the kinds of other packages known, and says what is wrong with some."""
    for complaint in plugins.load(families):
        print(f"warning: {complaint}", file=sys.stderr)


def _sources(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "overrides", nargs="*", metavar="OVERRIDE", help="as for python -m trainer: schedule=cosine"
    )
    add("--file", type=Path, action="append", metavar="FILE.yaml", help="one schedule, or a config")
    add("--config-dir", metavar="DIR", help="a folder that adds options to any group")
    clock = parser.add_argument_group("the run of a schedule in a file, by default the trainer's")
    clock.add_argument("--total-steps", type=int, metavar="N")
    clock.add_argument("--batch-size", type=int, metavar="N")
    clock.add_argument("--examples-per-epoch", type=int, metavar="N")


def _previews(asked: argparse.Namespace) -> dict[str, Preview]:
    """What is asked for, by labels that tell one plan from another."""
    given = {
        name: value
        for name in ("total_steps", "batch_size", "examples_per_epoch")
        if (value := getattr(asked, name)) is not None
    }
    if asked.file:
        alone = len(asked.file) == 1
        return {"" if alone else path.stem: _from_file(path, asked, given) for path in asked.file}
    if given:
        name, value = next(iter(given.items()))
        hint = "run.length=1000 and data.batch_size=32 say it of a config"
        raise refuse("--" + name.replace("_", "-"), value, "goes with --file", hint)
    return {
        label: _preview(overrides, asked.config_dir) for label, overrides in _swept(asked.overrides)
    }


def _preview(overrides: Sequence[str], config_dir: str | None) -> Preview:
    from trainer.config.hydra import compose

    return _experiment(compose(overrides, config_dir))


def _experiment(config: Mapping[str, Any]) -> Preview:
    from trainer.config.experiment import Experiment
    from trainer.config.plan import Plan

    plan = Plan.of(Experiment.declared(config))
    return Preview(plan.curves, plan.clock, plan.places)


def _from_file(path: Path, asked: argparse.Namespace, given: Mapping[str, int]) -> Preview:
    """A schedule on the clock that is given, or on that of the run the overrides declare."""
    from .declaration.yaml_files import mapping  # OmegaConf takes its time

    declared = mapping(path)
    try:
        if "kind" not in declared and "schedule" in declared:
            return _experiment(declared)
        alone = given and not asked.overrides
        clock = Clock() if alone else _preview(asked.overrides, asked.config_dir).clock
        clock = replace(clock, **given)
        return Preview({"learning_rate": schedules.load(declared, clock)}, clock)
    except Refused as refused:
        raise Refused(
            replace(problem, path=f"{path}: {problem.path}".removesuffix(": "))
            for problem in refused.problems
        ) from None


def _swept(overrides: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Every combination of the values that overrides list, as Hydra's multirun reads them."""
    if not any(mark in override for override in overrides for mark in ",(*"):
        yield "", list(overrides)
        return
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException:  # composing tells it better
        yield "", list(overrides)
        return
    choices = [
        [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
        if override.is_sweep_override()
        else [str(override.input_line)]
        for override in parsed
    ]
    swept = [len(values) > 1 for values in choices]
    for chosen in product(*choices):
        varied = [override for override, varies in zip(chosen, swept, strict=True) if varies]
        label = varied[0].partition("=")[2] if len(varied) == 1 else " ".join(varied)
        yield label, list(chosen)


if __name__ == "__main__":
    main()
