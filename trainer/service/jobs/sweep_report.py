"""The report of a sweep whose jobs have all left the queue, as `-m` writes it at its end."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from pathlib import Path

NO_RUN = 2
"""How `trainer.report` ends where no job of a sweep has begun."""

log = logging.getLogger(__name__)


def write_sweep_report(folder: Path) -> None:
    """Has a process write `sweep.csv` and `report.html` into the folder of a sweep.

    The server's own threads are left to requests: a thousand runs take seconds to read.
    """
    command = [sys.executable, "-m", "trainer.report", str(folder)]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError:
        log.exception("the report of %s", folder)
        return

    def wait() -> None:
        _, errors = process.communicate()
        if process.returncode not in (0, NO_RUN):
            log.error("the report of %s: %s", folder, errors.decode(errors="replace").strip())

    threading.Thread(target=wait, name="report", daemon=True).start()
