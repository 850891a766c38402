"""The parts of this machine that jobs run on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from schedules.declaration.plain_files import open_descriptor, open_plain

OUTPUT = "output.log"
"""The file in a job's folder that takes its standard output."""
ERRORS = "errors.log"
"""The file in a job's folder that takes its standard error."""


@dataclass(frozen=True)
class Place:
    """The processor cores, and the GPU if there are any, that one job at a time runs on."""

    cores: tuple[int, ...]
    gpu: str | None = None
    """By the name that CUDA knows it by; several with commas between."""

    def start(
        self,
        command: Sequence[str],
        folder: Path,
        cwd: Path | None = None,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Starts a process that sees only this part of the machine, and logs into `folder`."""
        root = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        # TensorFlow counts the cores that it may use; on a system without affinity it can't.
        thread_count = str(len(self.cores))
        threads = {"TF_NUM_INTRAOP_THREADS": thread_count, "OMP_NUM_THREADS": thread_count}
        gpu = {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}
        output_file, errors_file = (_log(folder / name) for name in (OUTPUT, ERRORS))
        with output_file as output, errors_file as errors:
            errors.truncate(0)
            process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=output,
                stderr=errors,
                cwd=cwd,
                env={**os.environ, "PYTHONPATH": paths, **threads, **gpu},
                start_new_session=True,  # the launcher passes Ctrl-C on, once
            )
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(process.pid, self.cores)
        return process

    def __str__(self) -> str:
        word = "cores" if len(self.cores) > 1 else "core"
        cores = f"{word} {', '.join(map(str, self.cores))}"
        return cores if self.gpu is None else f"GPU {self.gpu}, {cores}"


NOWHERE = Place(())
"""Where a job is that has not started."""


def automatic_count(cores: Sequence[int], gpus: Sequence[str]) -> int:
    """One job for each GPU, or without any one for every two cores, and two at least.

    >>> automatic_count(range(8), []), automatic_count([0, 1], []), automatic_count([0], [])
    (4, 2, 1)
    """
    return len(gpus) or max(len(cores) // 2, min(2, len(cores)))


def gpu_names(gpus: int | str | Sequence[int] = "auto") -> list[str]:
    """The GPUs to divide, by the names that CUDA knows them by."""
    if gpus != "auto":
        return [str(gpu) for gpu in (range(gpus) if isinstance(gpus, int) else gpus)]
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [gpu for gpu in visible.split(",") if gpu]
    if not (nvidia_smi := shutil.which("nvidia-smi")):
        return []
    listing = subprocess.run([nvidia_smi, "-L"], capture_output=True, text=True)
    count = sum(line.startswith("GPU ") for line in listing.stdout.splitlines())
    return [str(gpu) for gpu in range(count)] if listing.returncode == 0 else []


def last_lines(folder: Path, file: str = OUTPUT, count: int = 1) -> str:
    """The last lines of one of a job's log files."""
    with suppress(OSError), open_plain(folder / file, follow_links=False) as log:
        log.seek(max(0, os.fstat(log.fileno()).st_size - 4000))
        end = log.read(4000).decode(errors="replace")
        return "\n".join(end.splitlines()[-count:])
    return ""


def _log(path: Path) -> BinaryIO:
    """A log file to which a job adds, made where it is not there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    return os.fdopen(open_descriptor(path, flags), "ab")
