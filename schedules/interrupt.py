"""Ctrl-C while one of our commands starts or runs: it exits with 130, without a traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

COMMANDS = ("trainer", "schedules")
EXIT_CODE = 128 + signal.SIGINT


def leave_while_importing() -> None:
    """Lets Ctrl-C end the process at once, if it is one of our commands, until `main` is called.

    Imports take a command's first half second, and there is nothing yet that could be saved. Other
    programs that import us keep their handler.
    """
    own_handler = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if own_handler and _is_ours(sys.orig_argv[1:]):
        signal.signal(signal.SIGINT, _leave)


@contextmanager
def exiting_when_interrupted() -> Iterator[None]:
    """Around the `main` of a command: Ctrl-C raises KeyboardInterrupt again, which then exits."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(EXIT_CODE)


def _leave(number: int, frame: Any) -> None:
    os._exit(EXIT_CODE)  # an exception may be caught by whatever is being imported


def _is_ours(arguments: list[str]) -> bool:
    """Whether Python was started with these arguments to run one of our commands.

    >>> _is_ours(["-X", "dev", "-m", "trainer.control", "here"]), _is_ours(["bin/trainer"])
    (True, True)
    >>> _is_ours(["-m", "pytest", "-m", "trainer"]), _is_ours(["trainer.py"]), _is_ours([])
    (False, False, False)
    """
    words = iter(arguments)
    for word in words:
        if word == "-m":
            return next(words, "").partition(".")[0] in COMMANDS
        if word in ("-X", "-W"):
            next(words, "")
        elif not word.startswith("-"):
            return word.rpartition("/")[2] in COMMANDS
    return False
