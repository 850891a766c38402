"""`python -m trainer.control RUN_DIR order…`: hands on a running job, without TensorFlow."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from schedules.declaration import Refused, refuse

from .runs.folder import Folder
from .runs.mailbox import Mail, Order

DONE, FAILED, REFUSED = 0, 1, 2

ORDERS = """\
orders, in force from the next call into TensorFlow on, and in force together:
  learning_rate=0.01   hold a scheduled value; any name that metrics.jsonl has
  release=momentum     give a value back to its schedule
  release              give all of them back
  checkpoint           save now
  evaluate             look at the test examples; changes nothing in the run
  status               the step, what is applied, the last metrics
  stop                 save and stop; the same command as before goes on

Every order but status is written to events.jsonl with its step, and
`python -m trainer run.replay=RUN_DIR/events.jsonl …` repeats it there.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Sends orders, waits for the answer, prints it, and gives the exit code.

    0 when it was done, 1 when nobody trains there or answers in time, 2 for a refused order.
    """
    parser = argparse.ArgumentParser(
        "python -m trainer.control",
        description="Steer a job that is running.",
        epilog=ORDERS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, help="the folder of the run", metavar="RUN_DIR")
    parser.add_argument("orders", nargs="+", metavar="order")
    parser.add_argument("--timeout", type=float, default=60, help="seconds to wait (%(default)s)")
    asked = parser.parse_args(arguments)
    try:
        return _sent(asked.run, asked.orders, asked.timeout)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return REFUSED


def _sent(run: Path, orders: Sequence[str], timeout: float) -> int:
    if not (run / "config.yaml").is_file():
        raise refuse("RUN_DIR", str(run), "is the folder of no run", "a run prints its own")
    for order in orders:
        Order.parse(order)
    if not Folder(run).owner():
        print(f"nobody is training in {run}{_ended(run)}")
        return DONE if set(orders) == {"status"} else FAILED
    mail = Mail(run)
    told = mail.answered(mail.send(orders), timeout)
    if told is None:
        print(f"no answer within {timeout:g} s; the orders are withdrawn", file=sys.stderr)
        return FAILED
    if "refused" in told:
        print(told["refused"], file=sys.stderr)
        return REFUSED
    for line in told["told"]:
        print(f"step {told['step']}: {line}")
    return DONE


def _ended(run: Path) -> str:
    """How the last run in a folder ended, where it said so."""
    result = run / "result.json"
    if not result.is_file():
        return ""
    ended = json.loads(result.read_text(encoding="utf-8"))
    metrics = "  ".join(f"{name} {value:.6g}" for name, value in ended["metrics"].items())
    return f"; the last run was {ended['status']} at step {ended['steps']}  {metrics}"


if __name__ == "__main__":
    sys.exit(main())
