"""What a run's numbers depend on besides its config: the code, the seeds, the processor cores."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

from .git import git


def provenance(seed: int) -> dict[str, Any]:
    """What `result.json` records for somebody who wants to run it again."""
    return {
        "seeds": {"run": seed},
        "cores": len(usable_cores()),
        "git": code(),
    }


def code() -> dict[str, Any] | None:
    """The commit of the working folder's repository, or else of this project's."""
    return git(Path.cwd()) or git(Path(__file__).parent)


def usable_cores() -> list[int]:
    """The processor cores this process may use; the order of sums depends on their number."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def processor() -> str:
    """The model name of the processor."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def processor_features() -> str:
    """The sets of instructions that the processor has; "" where the system has no list of them."""
    return _cpuinfo("flags") or _cpuinfo("Features")


def _cpuinfo(field: str) -> str:
    """What Linux says of the first core under a name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.partition(":")[0].strip() == field:
                return line.partition(":")[2].strip()
    return ""
