"""Where a run's bits come from besides its config: the code, the seeds, the processor cores."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any


def provenance(seed: int) -> dict[str, Any]:
    """What `result.json` records so that somebody else can run it again."""
    return {
        "seeds": {"run": seed},
        "cores": len(usable_cores()),
        "git": code(),
    }


def code() -> dict[str, Any] | None:
    """The commit of what is trained: of the folder one stands in, or else of this project."""
    return git(Path.cwd()) or git(Path(__file__).parent)


def usable_cores() -> list[int]:
    """The processor cores this process may use, on whose number the order of sums hangs."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def processor() -> str:
    """What the processor calls itself."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def git(folder: Path) -> dict[str, Any] | None:
    """The commit that is checked out around `folder`, and whether tracked files differ from it.

    None outside of a repository, and where there is no git.
    """
    try:
        commit = _asked(folder, "rev-parse", "HEAD")
        changed = _asked(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(changed)}


def _asked(folder: Path, *words: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
