"""Stopping on a signal: the running call finishes, and a checkpoint is written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


class Stop:
    """While entered, notes the first signal in `received`; a second one ends the process at once.

    Until `worth_saving` is set there is nothing to write, and the first signal ends the process
    too. SIGUSR1 is an exception: it asks for a job to be queued again. A thread waits for the
    signals, since Python's own handlers run only after a call into TensorFlow has returned.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.worth_saving = False
        self._previous_handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            reader, self._writer = os.pipe()
            os.set_blocking(self._writer, False)
            self._previous_wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
            threading.Thread(target=self._watch, args=(reader,), daemon=True).start()
            self.listen()
        return self

    def listen(self) -> None:
        """Installs the handlers, also again where TensorFlow has replaced one meanwhile."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue  # `nohup` asked for that
                # A handler must be there for the number to be written to the pipe.
                handler = signal.signal(number, lambda number, frame: None)
                self._previous_handlers.setdefault(number, handler)

    def __exit__(self, *_: object) -> None:
        if self._previous_handlers:
            signal.set_wakeup_fd(self._previous_wakeup)
            os.close(self._writer)
        while self._previous_handlers:
            signal.signal(*self._previous_handlers.popitem())

    def requeue(self) -> None:
        """Queues a job of SLURM again and says so, if SIGUSR1 asked for that."""
        if self.received == signal.SIGUSR1:
            print(requeue_job())

    def _watch(self, reader: int) -> None:
        while number := os.read(reader, 1):
            self._note(number[0])
        os.close(reader)

    def _note(self, number: int) -> None:
        if number not in SIGNALS:
            return
        can_wait = self.worth_saving or number == signal.SIGUSR1
        if self.received is not None or not can_wait:
            name = signal.Signals(number).name
            with suppress(OSError):
                os.write(1, f"\nleft at once, as {name} asked; nothing was written\n".encode())
            os._exit(128 + number)
        self.received = number


class Interruption(Stop):
    """A stop for a process that is not ours, such as a notebook's: it never ends the process.

    While entered on the main thread, the first SIGINT is noted once there is something to save.
    Any other SIGINT raises KeyboardInterrupt at once. Signals are left alone on other threads, and
    where the process handles SIGINT outside of Python.
    """

    def __enter__(self) -> Self:
        handler = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(handler):
            self._previous_handlers[signal.SIGINT] = handler
            signal.signal(signal.SIGINT, lambda number, frame: self._note(number))
        return self

    def __exit__(self, *_: object) -> None:
        while self._previous_handlers:
            signal.signal(*self._previous_handlers.popitem())

    def _note(self, number: int) -> None:
        if self.received is not None or not self.worth_saving:
            raise KeyboardInterrupt
        self.received = number


_OF_A_PROGRAM = ContextVar("_OF_A_PROGRAM", default=False)


@contextmanager
def in_a_program() -> Iterator[None]:
    """Has `process_stop` leave the process alone within the block: it is not ours to end."""
    token = _OF_A_PROGRAM.set(True)
    try:
        yield
    finally:
        _OF_A_PROGRAM.reset(token)


def process_stop() -> Stop:
    """The stop that suits this process: an `Interruption` where a program called us."""
    return Interruption() if _OF_A_PROGRAM.get() else Stop()


def requeue_job() -> str:
    """Asks SLURM to run this job again, and returns a line that says whether it will."""
    job, scontrol = os.environ.get("SLURM_JOB_ID"), shutil.which("scontrol")
    if not job or not scontrol:
        return "no SLURM job to queue again"
    process = subprocess.run([scontrol, "requeue", job], capture_output=True, text=True)
    if process.returncode:
        print(process.stderr.strip(), file=sys.stderr)
        return f"scontrol could not queue job {job} again"
    return f"job {job} is queued again"
