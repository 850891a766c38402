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

from schedules.declaration.gc_pause import gc_paused

with gc_paused(freeze=True):
    import argparse
    import json
    import os
    import re
    import shutil
    import sys
    import webbrowser
    from collections.abc import Sequence
    from contextlib import suppress
    from pathlib import Path
    from typing import NoReturn

    import schedules

    from .analysis.lint import lint
    from .analysis.preview import horizon, panels, span
    from .catalogue import entries
    from .command_line import add_config_options, message, read_previews
    from .declaration import Refused, did_you_mean, plugins, refuse
    from .declaration.kind import families
    from .interrupt import exiting_when_interrupted
    from .plots.save import FORMATS, save, write_file
    from .plots.terminal import has_display, plot, shows_colours


class _Parser(argparse.ArgumentParser):
    """A parser that knows overrides with dashes, and names no other program's usage for them."""

    def error(self, message: str) -> NoReturn:
        if match := re.fullmatch(r"unrecognized arguments: -+([\w./@]+=.*)", message):
            flag, _, value = match[1].partition("=")
            raise refuse(f"--{flag}", value, "is no flag: overrides have no dashes", match[1])
        super().error(message)


@exiting_when_interrupted()
def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs one command and exits with 0, or with 2 and the reason on stderr."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # a stream without an encoding, for example a test's
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    if name in ("-h", "--help", "help"):
        print(__doc__, end="")
        sys.exit(0)
    try:
        if name not in COMMANDS:
            is_override = "=" in name and not name.startswith("-")
            hint = f"python -m schedules plot {name}" if is_override else ""
            rule = "is no command"
            raise refuse("schedules", name, rule, hint or did_you_mean(name, COMMANDS))
        command = COMMANDS[name]
        parser = _Parser(
            f"python -m schedules {name}", description=command.__doc__, allow_abbrev=False
        )
        sys.exit(command(parser, rest))
    except Refused as refused:
        print(message(refused), file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader, for example `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def list_kinds(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    """Lists each kind with its formula, its parameters, their defaults and its shape."""
    parser.add_argument("kind", nargs="?", help="tell all of this kind alone")
    options = parser.parse_args(arguments)
    _load_plugins()
    print("\n\n".join(entries(options.kind, bold=shows_colours())))
    return 0


def write_table(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    """Writes the value at each step, in full precision."""
    add_config_options(parser)
    parser.add_argument(
        "--steps", metavar="A:B[:C]", help="from A up to B, every C-th; default: all"
    )
    parser.add_argument("--name", default="learning_rate", help="default: learning_rate")
    parser.add_argument(
        "--format", choices=FORMATS, help="default: as the output's suffix, else csv"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: stdout")
    options = parser.parse_intermixed_args(arguments)
    preview, *others = read_previews(options).values()
    if others:
        raise refuse("table", " ".join(options.overrides), "takes one config, without a sweep")
    if options.name not in preview.curves:
        hint = did_you_mean(options.name, preview.curves)
        raise refuse("--name", options.name, "is no scheduled value of this config", hint)
    suffix = options.output.suffix[1:] if options.output else ""
    table_pieces = FORMATS[options.format or (suffix if suffix in FORMATS else "csv")]
    run = horizon(preview.clock)
    steps = span(options.steps, run) if options.steps else run
    pieces = table_pieces(preview.curves[options.name], steps)
    if options.output is None:
        sys.stdout.buffer.writelines(pieces)
        sys.stdout.buffer.flush()
        return 0
    write_file(options.output, pieces)
    print(options.output)
    return 0


def draw(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    """Draws every scheduled value; comma sweeps and several files lie over each other."""
    add_config_options(parser)
    output = "FILE.svg|.png|.html"
    parser.add_argument("--output", type=Path, metavar=output, help="default: schedule.svg")
    parser.add_argument("--open", action="store_true", help="show a page that tells every value")
    options = parser.parse_intermixed_args(arguments)
    previews = read_previews(options)
    figure = panels(previews)
    clocks = [preview.clock for preview in previews.values()]
    longest = max(clocks, key=lambda clock: len(horizon(clock)))
    title = " ".join(options.overrides or [path.name for path in options.file or ()])
    path = options.output or Path("schedule.html" if options.open else "schedule.svg")
    page = path.with_suffix(".html")
    targets = dict.fromkeys([path, page] if options.open else [path])
    for target in targets:
        save(target, figure, longest, title)
    width = min(max(shutil.get_terminal_size().columns, 40), 110)
    colour = shows_colours()
    print(*(plot(panel, width, colour=colour) for panel in figure), sep="\n\n", end="\n\n")
    print(*targets, sep="\n")
    if options.open and has_display():
        webbrowser.open(page.resolve().as_uri())
    return 0


def lint_runs(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    """Looks over the whole run; exit code 2 when it finds what can't train."""
    add_config_options(parser)
    previews = read_previews(parser.parse_intermixed_args(arguments))
    exit_code = 0
    for label, preview in previews.items():
        findings = lint(preview.curves, preview.clock, preview.places)
        if len(previews) > 1:
            print(f"{label}:")
        if not findings:
            print(f"nothing to say against {', '.join(preview.curves)}")
        for finding in findings:
            if finding.severity == "refused":
                exit_code = 2
                print(finding, file=sys.stderr)
            else:
                print(finding)
    return exit_code


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
    "lint": lint_runs,
    "schema": print_schema,
}


def _load_plugins() -> None:
    """Loads the kinds of other packages; prints what is wrong with some."""
    for warning in plugins.load(families):
        print(f"warning: {warning}", file=sys.stderr)


if __name__ == "__main__":
    main()
