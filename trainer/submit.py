"""`python -m trainer.submit OVERRIDES…`: puts a run or a sweep into the queue of a service."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from schedules.interrupt import exiting_when_interrupted

from .runs.exit_codes import DONE
from .runs.terminal import lenient_streams
from .service.access.client import Client
from .service.access.exit_code import exit_code
from .service.access.following import follow

EPILOG = """\
The overrides are those of `python -m trainer`: several values of one, with -m, make a sweep. All is
checked before anything is in the queue, and a relative path leads from the folder that the server
was started in. To see what there is, or to change it: python -m trainer.queue.

exit codes: 0 when it is in the queue, 1 when it can't be now, 2 when it is refused; with --follow
that of the run, or the highest of a sweep's. Ctrl+C ends the following, and no run.
"""


@exiting_when_interrupted()
@lenient_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """Submits, prints the ids and a link, and returns the exit code."""
    options = _parser().parse_intermixed_args(arguments)
    return exit_code(lambda: _submit(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m trainer.submit",
        description="Put a run or a sweep into the queue of the server of ROOT.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE",
                        help="as for python -m trainer")  # fmt: skip
    parser.add_argument("-m", "--multirun", action="store_true",
                        help="a job for each of several values")  # fmt: skip
    parser.add_argument("--root", type=Path, metavar="ROOT",
                        help="the folder that is served (this one, or outputs)")  # fmt: skip
    parser.add_argument("--priority", type=int, default=0,
                        help="a higher one starts first (%(default)s)")  # fmt: skip
    parser.add_argument("--name", default="", help="what the list calls it")
    parser.add_argument("--cores", type=int, help="how many processor cores a job needs")
    parser.add_argument("--gpus", type=int, help="how many GPUs a job needs")
    parser.add_argument(
        "--engine", help="what starts it: local (the server's machine), slurm or ray"
    )
    parser.add_argument("--dry", action="store_true", help="only tell what would start")
    parser.add_argument("--follow", action="store_true",
                        help="print what the run prints until it has ended")  # fmt: skip
    return parser


def _submit(options: argparse.Namespace) -> int:
    if not options.multirun:
        _check_single(options.overrides)
    client = Client.of_served(options.root)
    settings: dict[str, Any] = {"priority": options.priority, "name": options.name}
    for name in ("cores", "gpus", "engine"):
        if getattr(options, name) is not None:
            settings[name] = getattr(options, name)
    if options.dry:
        planned = client.submit(options.overrides, is_dry=True, **settings)
        for run in planned["runs"]:
            steps = run["total_steps"]
            length = f"  {steps:,} updates" if steps else ""
            print(f"{shlex.join(run['overrides']) or 'the defaults'}{length}")
        print(planned["command"])
        return DONE
    server = client.health()
    submitted = client.submit(options.overrides, **settings)
    for run in submitted["runs"]:
        print(f"{run['id']}  {run['state']}  {run['name']}")
    print(f"{server['address']}{submitted['link']}", flush=True)
    _warn_of_paths(options.overrides, server)
    if not options.follow:
        return DONE
    try:
        return follow(client, [run["id"] for run in submitted["runs"]])
    except KeyboardInterrupt:
        target = submitted["sweep"] or submitted["runs"][0]["id"]
        stop = f"python -m trainer.queue --root {shlex.quote(server['root'])} stop {target}"
        print(f"\nit goes on without you; to end it: {stop}", file=sys.stderr)
        raise


def _check_single(overrides: Sequence[str]) -> None:
    """Whether each override has one value.

    Raises:
        Refused: as `python -m trainer` refuses it.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    from .config.hydra import normalize_overrides
    from .config.override_syntax import several_values

    try:
        found = OverridesParser.create().parse_overrides(list(normalize_overrides(overrides)))
    except HydraException:
        return  # the server tells what is wrong
    for override, written in zip(found, overrides, strict=True):
        if override.is_sweep_override():
            raise several_values(override.key_or_group, written.partition("=")[2])


def _warn_of_paths(overrides: Sequence[str], server: dict[str, Any]) -> None:
    """Tells where relative paths lead from, where that is elsewhere."""
    folder = Path(server["folder"])
    for override in overrides:
        path = override.partition("=")[2].strip("'\"")
        is_path = os.sep in path and not Path(path).is_absolute()
        if is_path and folder != Path.cwd() and Path(path).exists():
            print(f"{override}: leads from {folder}, where the server was started", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
