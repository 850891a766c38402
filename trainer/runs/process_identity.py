"""Which process it is: a number alone is given anew, to any other process, once it is free."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

_STATE, _START = 0, 19
"""The fields of `/proc/PID/stat` behind the name of the program, see proc(5)."""


class ProcessIdentity(BaseModel):
    """A process of one start of one machine."""

    model_config = ConfigDict(frozen=True)

    pid: int
    start_time: str
    """In the system's own words."""
    boot: str
    """Names the start of the machine since which its numbers count."""
    host: str

    @classmethod
    def of(cls, pid: int) -> Self:
        """The process that has the number now."""
        return cls(pid=pid, start_time=_start_time(pid), boot=boot_id(), host=socket.gethostname())

    def lives(self) -> bool:
        """Whether it is at work on this machine; one that only waits to be reaped is not.

        >>> import os
        >>> ProcessIdentity.of(os.getpid()).lives()
        True
        >>> ProcessIdentity.of(os.getpid()).model_copy(update={"start_time": "1"}).lives()
        False
        """
        return (
            is_of_this_boot(self.model_dump())
            and bool(self.start_time)
            and _start_time(self.pid) == self.start_time
        )


def is_of_this_boot(process: Mapping[str, str | int]) -> bool:
    """Whether a process, as it was recorded, began since this machine did."""
    return process.get("host") == socket.gethostname() and process.get("boot") == boot_id()


@cache
def boot_id() -> str:
    """What changes whenever the machine starts; "" where the system does not tell."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return _asked("sysctl", "-n", "kern.boottime")


def _start_time(pid: int) -> str:
    """When a process was started; "" where there is none, or it is dead and not reaped."""
    if Path("/proc/self/stat").exists():
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
            return "" if fields[_STATE] in (b"Z", b"X") else fields[_START].decode()
        return ""
    answer = _asked("ps", "-o", "state=,lstart=", "-p", str(pid))
    return "" if answer.startswith("Z") else answer.partition(" ")[2].strip()


def _asked(*command: str) -> str:
    with suppress(OSError):
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        return found.stdout.strip() if found.returncode == 0 else ""
    return ""
