"""A scene with a real cluster of Ray, for a network of its own: `ray_scene.py RAY FOLDER`.

Ray listens on every address, so this is started where there is loopback alone. It prints what came
of jobs as JSON; whoever has started it ends the cluster with it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from trainer.service.access.place import Place
from trainer.service.jobs.engines.engine import Handle, Needs
from trainer.service.jobs.engines.ray import RayEngine

PORT = 8765
NAME = "0123456789abcdef"


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def main(ray: str, folder: Path) -> None:
    subprocess.run(
        [ray, "start", "--head", "--node-ip-address=127.0.0.1", "--port=0", "--num-cpus=2",
         "--dashboard-host=127.0.0.1", f"--dashboard-port={PORT}", "--include-dashboard=true",
         "--disable-usage-stats", f"--temp-dir={folder / 'ray'}"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    run = folder / "a run"
    run.mkdir()
    engine = RayEngine(Place.of_url(f"http://127.0.0.1:{PORT}"))
    needs = Needs(NAME, folder, (0,))
    recorded: list[Handle] = []

    def start(script: str) -> Handle:
        return engine.start(["/bin/sh", "-c", script], run, needs, recorded.append)

    def gone() -> bool:
        return engine.look(recorded[-1]) == "gone"

    found: dict[str, object] = {"before": engine.look({"id": NAME})}
    started = run / "started"
    handle = start(f"echo out; echo err >&2; echo x >> {started.name}; exit 3")
    wait(gone)
    found["failed"] = engine.exit_code(handle)
    found["logs"] = [(run / name).read_text() for name in ("output.log", "errors.log")]
    handle = start("trap 'echo saved; exit 0' TERM; echo up; while :; do sleep 0.1; done")
    wait(lambda: "up" in (run / "output.log").read_text())
    found["alive"] = engine.look(handle)
    start("echo twice")  # as a server does that has lost what the one before it has recorded
    engine.stop(handle, "terminate")
    wait(gone)
    found["output"] = (run / "output.log").read_text().split()
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
