"""Jobs as processes of this machine, which outlive the server that has started them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from ....runs.process_identity import ProcessIdentity
from ....sweeps.places import Place
from .engine import Engine, Handle, Needs, Word

GATE = ("/bin/sh", "-c", 'read -r go && [ "$go" = go ] && exec "$@" </dev/null', "job")
"""Runs what follows once a line comes by its standard input, in the same process; else ends.

So a process that nobody has recorded never does anything: a server that dies first closes the pipe.
"""
SIGNALS = {"terminate": signal.SIGTERM, "kill": signal.SIGKILL}


class LocalEngine(Engine):
    """Each job in a session of its own, with logs in its folder and without pipes."""

    is_here = True
    poll_seconds = 0.5
    """Where the system has no descriptors of processes: macOS."""

    def __init__(self) -> None:
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        """By process number the jobs that this server has started, to be reaped."""
        self._descriptors: dict[int, int] = {}

    def start(
        self, command: Sequence[str], folder: Path, needs: Needs, record: Callable[[Handle], None]
    ) -> Handle:
        place = Place(needs.cores, ",".join(needs.gpus) or None)
        process = place.start([*GATE, *command], folder, needs.cwd, subprocess.PIPE)
        assert process.stdin
        try:
            identity = ProcessIdentity.of(process.pid)
            handle: Handle = identity.model_dump()
            record(handle)
        except BaseException:
            process.stdin.close()
            process.wait()
            raise
        with suppress(OSError):  # it has been killed already
            process.stdin.write(b"go\n")
            process.stdin.close()
        self._children[process.pid] = process
        return handle

    def look(self, handle: Handle) -> Word:
        identity = _identity(handle)
        if identity is None:
            return "gone"
        if child := self._children.get(identity.pid):
            return "alive" if child.poll() is None else "gone"
        return "alive" if identity.lives() else "gone"

    def stop(self, handle: Handle, how: Literal["terminate", "kill"]) -> None:
        identity = _identity(handle)
        if identity and identity.lives():
            with suppress(ProcessLookupError, PermissionError):
                if how == "kill":
                    os.killpg(identity.pid, SIGNALS[how])
                else:
                    os.kill(identity.pid, SIGNALS[how])

    def watch(self, handle: Handle) -> int | None:
        identity = _identity(handle)
        if identity is None or not hasattr(os, "pidfd_open"):
            return None
        if identity.pid not in self._descriptors:
            try:
                descriptor = os.pidfd_open(identity.pid)
            except OSError:
                return None
            if not identity.lives():  # the number may be another's by now
                os.close(descriptor)
                return None
            self._descriptors[identity.pid] = descriptor
        return self._descriptors[identity.pid]

    def exit_code(self, handle: Handle) -> int | None:
        child = self._children.get(int(handle.get("pid", 0)))
        return child.poll() if child else None

    def forget(self, handle: Handle) -> None:
        pid = int(handle.get("pid", 0))
        if child := self._children.pop(pid, None):
            child.wait()
        if (descriptor := self._descriptors.pop(pid, None)) is not None:
            os.close(descriptor)


def _identity(handle: Handle) -> ProcessIdentity | None:
    with suppress(ValidationError):
        return ProcessIdentity.model_validate(handle)
    return None
