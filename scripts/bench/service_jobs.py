"""Ten thousand short jobs through one server: what it has resident while they go.

Started with a folder, it is that server: `python -m trainer.serve` but that a job is a shell which
writes a row and a result and ends, and that what is submitted is not checked, as both would take
hours.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from part import Mark, Part  # noqa: E402  # beside this file
from service_lists import API  # noqa: E402
from service_scale import ServiceScale  # noqa: E402
from service_server import Client, resident, serving, wait  # noqa: E402

A_SUBMISSION = 100
"""How many jobs are submitted at once."""
WARM = 0.05
"""After which share of the jobs memory is looked at first."""
JOB = """
echo '{"step": 0, "loss": 0.5}' > metrics.jsonl
echo 'run: {length: 1}' > config.yaml
echo '{"status": "done", "steps": 1}' > result.json
"""


def jobs(scale: ServiceScale) -> Part:
    """Submits them a hundred at a time, and looks at the server's memory after each hundred."""
    sizes: dict[int, float] = {}
    count = scale.jobs
    with TemporaryDirectory(prefix="bench-service-") as folder:
        root = Path(folder) / "runs"
        root.mkdir()
        with serving(root, Path(folder) / "state", [__file__]) as served:
            client = served.client
            begin = time.perf_counter()
            for first in range(0, count, A_SUBMISSION):
                number = min(A_SUBMISSION, count - first)
                client.ask(f"{API}/runs", {"overrides": [f"jobs={number}"]})
                wait(lambda: not client.json(f"{API}/queue")["entries"], pause=0.05)
                sizes[first + number] = resident(served.process.pid)
            seconds = time.perf_counter() - begin
            wait(lambda: listed(client, "done") == count, pause=0.2)
            sweeps = -(-count // A_SUBMISSION)  # each has a process that writes its report
            wait(lambda: len([*root.glob("queue/*/report.html")]) == sweeps, pause=0.2)
        results = sum(1 for _ in root.glob("queue/*/*/result.json"))
    if results != count:
        raise RuntimeError(f"of {count} jobs {results} have a result")
    early = next(size for ended, size in sizes.items() if ended >= WARM * count)
    what = f"growth of the server's memory from {WARM:.0%} of {count:,} short jobs to the last"
    marks = [Mark(what, sizes[count] - early, at_most=10, form="{:.1f} MB")]
    shown = sorted({*list(sizes)[:: max(1, len(sizes) // 10)], count})
    rows = [[f"{ended:,}", f"{sizes[ended]:.1f}"] for ended in shown]
    title = f"{count:,} short jobs through one server, {count / seconds:.0f} a second"
    return Part(marks, title, ["jobs that have ended", "MB resident"], rows)


def listed(client: Client, state: str) -> int:
    """How many runs of a state the list has."""
    return int(client.json(f"{API}/runs?limit=1&state={state}")["total"])


def serve(arguments: list[str]) -> int:
    """The server of such jobs."""
    from trainer import serve as server
    from trainer.runs.submission import Submission
    from trainer.service.design.previewer import Previewer
    from trainer.service.jobs.launcher import Launcher

    def command(_: Launcher, submission: Submission) -> list[str]:
        return ["/bin/sh", "-c", f"cd {shlex.quote(submission.arguments[0])}{JOB}"]

    async def answer(_: Previewer, asked: Mapping[str, Any], __: object) -> dict[str, Any]:
        submission = asked["submission"]
        number = int(submission["overrides"][0].partition("=")[2])
        made = [
            {"overrides": [f"run.seed={n}"], "arguments": [f"{submission['folder']}/{n}"],
             "folder": str(n), "key": str(n), "total_steps": 1}
            for n in range(number)
        ]  # fmt: skip
        return {"problems": [], "sweep": True, "search": False, "command": "", "jobs": made}

    Launcher.command = command  # type: ignore[method-assign]
    Previewer.answer = answer  # type: ignore[method-assign]
    return server.main(arguments)


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:]))
