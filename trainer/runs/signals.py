"""Stopping when asked: a signal lets the running call finish and a checkpoint be written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Stop:
    """While entered, the first signal is only noted in `signal`; a second one ends at once.

    Until `worth_saving` is set there is nothing to write down, and the first one ends at once too;
    but for SIGUSR1, which has a job to queue again. A thread looks after it, since Python's own
    handlers wait for a call into TensorFlow to return.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.worth_saving = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            reader, self._writer = os.pipe()
            os.set_blocking(self._writer, False)
            self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
            threading.Thread(target=self._watch, args=(reader,), daemon=True).start()
            self.listen()
        return self

    def listen(self) -> None:
        """Listens to the signals, once more where TensorFlow took one for itself meanwhile."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                # A handler must be there for the number to be written to the pipe.
                before = signal.signal(number, lambda number, frame: None)
                self._before.setdefault(number, before)

    def __exit__(self, *_: object) -> None:
        if self._before:
            signal.set_wakeup_fd(self._wakeup)
            os.close(self._writer)
        while self._before:
            signal.signal(*self._before.popitem())

    def requeue(self) -> None:
        """Queues a job of SLURM again, if that is what the signal asked for, and says so."""
        if self.signal == signal.SIGUSR1:
            print(requeue())

    def _watch(self, reader: int) -> None:
        while number := os.read(reader, 1):
            self._note(number[0])
        os.close(reader)

    def _note(self, number: int) -> None:
        if number not in SIGNALS:
            return
        kept = self.worth_saving or number == signal.SIGUSR1
        if self.signal is not None or not kept:
            name = signal.Signals(number).name
            os.write(1, f"\nleft at once, as {name} asked; nothing was written\n".encode())
            os._exit(128 + number)
        self.signal = number


class Interruption(Stop):
    """A stop for a process that is not ours, such as a notebook's: nothing in here ends it.

    While entered on the main thread, the first SIGINT is noted, once there is something to save;
    any other raises KeyboardInterrupt at once. Elsewhere, and where whoever owns the process has
    taken SIGINT out of Python's hands, signals are left alone.
    """

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread() and callable(
            before := signal.getsignal(signal.SIGINT)
        ):
            self._before[signal.SIGINT] = before
            signal.signal(signal.SIGINT, lambda number, frame: self._note(number))
        return self

    def __exit__(self, *_: object) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, number: int) -> None:
        if self.signal is not None or not self.worth_saving:
            raise KeyboardInterrupt
        self.signal = number


def requeue() -> str:
    """Asks SLURM to run this job again, and gives what came of it."""
    job, scontrol = os.environ.get("SLURM_JOB_ID"), shutil.which("scontrol")
    if not job or not scontrol:
        return "no SLURM job to queue again"
    asked = subprocess.run([scontrol, "requeue", job], capture_output=True, text=True)
    if asked.returncode:
        print(asked.stderr.strip(), file=sys.stderr)
        return f"scontrol could not queue job {job} again"
    return f"job {job} is queued again"
