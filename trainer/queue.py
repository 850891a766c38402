"""`python -m trainer.queue`: what runs and waits at a service, moved, held, stopped and started."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from schedules.declaration import did_you_mean, refuse
from schedules.interrupt import exiting_when_interrupted

from .runs.exit_codes import DONE
from .runs.terminal import lenient_streams
from .service.access.client import Client
from .service.access.exit_code import exit_code
from .service.access.transport import Answer

EPILOG = """\
RUN is a run's id, the beginning of one, its name as the list has it, or its folder; `stop` also
takes the id of a sweep. All of it can be done on the page too.
"""


@exiting_when_interrupted()
@lenient_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """Does one thing to the queue, prints what is then, and returns the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code(lambda: _act(options))


def _act(options: argparse.Namespace) -> int:
    lines = options.act(Client.of_served(options.root), options)
    if lines:
        print("\n".join(lines))
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m trainer.queue",
        description="Show or change the queue of the server of ROOT.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--root", type=Path, metavar="ROOT",
                        help="the folder that is served (this one, or outputs)")  # fmt: skip
    parser.set_defaults(act=_listed)
    words = parser.add_subparsers(title="what to do", metavar="COMMAND")

    def command(
        name: str, act: Callable[[Client, argparse.Namespace], list[str]], text: str
    ) -> argparse.ArgumentParser:
        added = words.add_parser(name, help=text, description=text)
        added.set_defaults(act=act)
        return added

    command("list", _listed, "what runs, and what waits in the order in which it starts (default)")
    move = command("move", _moved, "another place among those that wait")
    move.add_argument("run", metavar="RUN")
    where = move.add_mutually_exclusive_group(required=True)
    where.add_argument("--before", metavar="RUN", help="before this one, with its priority")
    where.add_argument("--first", action="store_true", help="before all others")
    where.add_argument("--last", action="store_true", help="behind all others of its priority")
    where.add_argument("--priority", type=int, help="a higher one starts first")
    for name, act, text in (
        ("hold", _held(True), "don't start a run until it is released"),
        ("release", _held(False), "let a run start that was held"),
    ):
        command(name, act, text).add_argument("runs", nargs="+", metavar="RUN")
    stop = command("stop", _stopped, "end a run; one that waits never starts")
    stop.add_argument("runs", nargs="+", metavar="RUN")
    stop.add_argument("--how", choices=("stop", "terminate", "kill"), default="stop",
                      help="an order, SIGTERM or SIGKILL (%(default)s)")  # fmt: skip
    start = command("start", _started, "go on with a run that has stopped, or make it longer")
    start.add_argument("run", metavar="RUN")
    start.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="such as run.length=2000")
    command("pause", _set(paused=True), "start nothing more; what runs goes on")
    command("resume", _set(paused=False), "start what waits")
    at_once = command("at-once", _at_once, "how many runs train at a time")
    at_once.add_argument("count", type=int, metavar="N")
    return parser


def _listed(client: Client, options: argparse.Namespace) -> list[str]:
    del options
    return _lines(client.queue())


def _lines(queue: Answer) -> list[str]:
    """The queue as a table, and what keeps it from starting anything."""
    rows = [
        (*_facts(one), shlex.join(one["overrides"]), one["why"] or "") for one in queue["entries"]
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    news = [] if rows else ["nothing runs or waits"]
    if queue["paused"]:
        news.append("paused; python -m trainer.queue resume")
    if not queue["launching"]:
        news.append(f"this server starts nothing: {queue['why']}")
    return table + news


def _facts(one: Answer) -> tuple[str, ...]:
    return one["state"], one["id"], str(one["priority"]), one["name"]


def _moved(client: Client, options: argparse.Namespace) -> list[str]:
    run = _run(client, options.run)
    if options.priority is not None:
        client.set_run(run, priority=options.priority)
    elif options.last:
        client.set_run(run, before=None)
    elif options.before is not None:
        client.set_run(run, before=_run(client, options.before))
    else:
        others = [one["id"] for one in client.queue()["entries"]
                  if one["state"] in ("queued", "held", "lost") and one["id"] != run]  # fmt: skip
        if others:
            client.set_run(run, before=others[0])
    return _lines(client.queue())


def _held(held: bool) -> Callable[[Client, argparse.Namespace], list[str]]:
    def act(client: Client, options: argparse.Namespace) -> list[str]:
        runs = [_run(client, run) for run in options.runs]
        return [_state(client.set_run(run, held=held)) for run in runs]

    return act


def _stopped(client: Client, options: argparse.Namespace) -> list[str]:
    entries = client.queue()["entries"]
    sweeps = {one["sweep"] for one in entries if one["sweep"]}
    runs = [run if run in sweeps else _run(client, run) for run in options.runs]
    lines: list[str] = []
    for run in runs:
        if run in sweeps:
            lines += map(_state, client.stop_sweep(run, options.how)["runs"])
        else:
            lines.append(_state(client.stop(run, options.how)))
    return lines


def _started(client: Client, options: argparse.Namespace) -> list[str]:
    return [_state(client.start(_run(client, options.run), options.overrides))]


def _set(**settings: Any) -> Callable[[Client, argparse.Namespace], list[str]]:
    return lambda client, options: _lines(client.set_queue(**settings))


def _at_once(client: Client, options: argparse.Namespace) -> list[str]:
    return _lines(client.set_queue(at_once=options.count))


def _state(run: Answer) -> str:
    return "  ".join(filter(None, (run["id"], run["state"], run.get("why"))))


def _run(client: Client, word: str) -> str:
    """The id of the run that a word means.

    Raises:
        Refused: when it means none, or several.
    """
    if re.fullmatch("[0-9a-f]{16}", word):
        return word
    runs = client.runs(limit=10_000, columns=[])["runs"]
    names: dict[str, str] = {one["id"]: one["name"] for one in runs}
    titles = {one["id"]: one["title"] for one in runs if one["title"]}
    root = Path(client.health()["root"])
    path = Path(word).expanduser().resolve()
    below = path.relative_to(root).as_posix() if path.is_relative_to(root) else ""
    found = [run for run, name in names.items() if name in (word, below)]
    found = found or [run for run, title in titles.items() if title == word]
    found = found or [run for run in names if len(word) > 3 and run.startswith(word)]
    if len(found) == 1:
        return found[0]
    if found:
        raise refuse("RUN", word, "means several runs", " or ".join(found))
    raise refuse(
        "RUN", word, "is no run of this root", did_you_mean(word, {**names, **titles}.values())
    )


if __name__ == "__main__":
    sys.exit(main())
