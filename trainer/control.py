"""`python -m trainer.control RUN_DIR order…`: steers a running job, without TensorFlow."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from schedules.declaration import Refused, refuse
from schedules.interrupt import exiting_when_interrupted

from .runs.exit_codes import DONE, FAILED, REFUSED
from .runs.folder import Folder
from .runs.mailbox import Mailbox
from .runs.orders import Order, help_text
from .runs.terminal import lenient_streams

EPILOG = f"""\
orders, in force from the next call into TensorFlow on, and in force together:
{help_text()}

Every order but status is written to events.jsonl with its step, and
`python -m trainer run.replay=RUN_DIR/events.jsonl …` repeats it there.
"""


@exiting_when_interrupted()
@lenient_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """Sends orders, waits for the answer, prints it, and returns the exit code.

    0 when the orders were carried out, 1 when no process trains there or answers in time, 2 for a
    refused order.
    """
    parser = argparse.ArgumentParser(
        "python -m trainer.control",
        description="Steer a job that is running.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, help="the folder of the run", metavar="RUN_DIR")
    parser.add_argument("orders", nargs="+", metavar="order")
    parser.add_argument("--timeout", type=float, default=60, help="seconds to wait (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        return _send(options.run, options.orders, options.timeout)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return REFUSED
    except PermissionError:
        print(f"{options.run}: only the user whose run it is can steer it", file=sys.stderr)
        return FAILED
    except OSError as error:
        print(f"{options.run}: {error.strerror or error}", file=sys.stderr)
        return FAILED


def _send(run: Path, orders: Sequence[str], timeout: float) -> int:
    if not _is_run(run):
        folder = next((order for order in orders if _is_run(Path(order))), None)
        hint = "a run prints its own"
        if folder is not None:
            words = [folder, str(run), *(order for order in orders if order != folder)]
            hint = f"the folder comes first: python -m trainer.control {shlex.join(words)}"
        raise refuse("RUN_DIR", str(run), "is the folder of no run", hint)
    for order in orders:
        Order.parse(order)
    if not Folder(run).owner():
        print(f"nobody is training in {run}{_last_result(run)}")
        return DONE if set(orders) == {"status"} else FAILED
    mailbox = Mailbox(run)
    deadline = time.monotonic() + timeout
    while not mailbox.folder.exists():
        if time.monotonic() > deadline:
            print(f"the run in {run} is starting and takes no orders yet", file=sys.stderr)
            return FAILED
        time.sleep(0.02)
    answer = mailbox.wait_for_answer(mailbox.send(orders), timeout)
    if answer is None:
        print(f"no answer within {timeout:g} s; the orders are withdrawn", file=sys.stderr)
        return FAILED
    if "refused" in answer:
        print(answer["refused"], file=sys.stderr)
        return REFUSED
    for line in answer["told"]:
        print(f"step {answer['step']}: {line}")
    return DONE


def _is_run(folder: Path) -> bool:
    return Folder(folder).has_config()


def _last_result(run: Path) -> str:
    """How the last run in a folder ended; "" where it left no `result.json`."""
    result = Folder(run).read_result()
    if result is None:
        return ""
    metrics = "  ".join(f"{name} {value:.6g}" for name, value in result["metrics"].items())
    return f"; the last run was {result['status']} at step {result['steps']}  {metrics}"


if __name__ == "__main__":
    sys.exit(main())
