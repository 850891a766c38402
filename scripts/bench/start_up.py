"""How long commands take until something is there: the prompt again, or the first update."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

CHECKOUT = Path(__file__).resolve().parents[2]
NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"

COMMANDS = {
    "`python -m trainer --cfg job`": ("trainer", "--cfg", "job"),
    "a refused config": ("trainer", "schedule.initial_value=fast"),
    "`python -m schedules plot`": ("schedules", "plot"),
}
FIRST = ("data=digits", "model=mlp", "log.every=1", "hydra.run.dir=here")
"""A run whose first update is awaited."""


def command(module: str, *words: str) -> float:
    """The seconds that `python -m module words` takes.

    Raises:
        AssertionError: when it imported TensorFlow or Keras on the way.
    """
    watch = (
        "import sys, runpy, atexit\n"
        "atexit.register(lambda: print(*{'tensorflow', 'keras'} & set(sys.modules), "
        "file=sys.stderr))\n"
        f"sys.argv = [{module!r}, *{words!r}]\n"
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n"
    )
    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", watch],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - began
    imported = done.stderr.splitlines()[-1].split() if done.stderr.strip() else []
    if {"tensorflow", "keras"} & set(imported):
        raise AssertionError(f"{module} imported {imported}")
    return seconds


def importing() -> float:
    """The seconds that `import tensorflow` takes in a fresh process."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import tensorflow"], capture_output=True, check=True)
    return time.perf_counter() - began


def first_update(cache: Path, *overrides: str) -> float:
    """The seconds from the start of `python -m trainer` to the row of its first update."""
    with TemporaryDirectory() as folder:
        metrics = Path(folder) / "here" / "metrics.jsonl"
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "trainer", *FIRST, *overrides],
            cwd=folder,
            env=environment(XDG_CACHE_HOME=str(cache)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not (metrics.exists() and metrics.stat().st_size):
                if process.poll() is not None:
                    raise AssertionError(f"the run ended with {process.returncode}")
                time.sleep(0.005)
            return time.perf_counter() - began
        finally:
            process.kill()
            process.wait()


def environment(**more: str) -> Mapping[str, str]:
    """The environment, with this checkout found first, and whatever `more` says.

    Python keeps what it compiles, as it does unless it is told otherwise and as an installed
    package has it: a checkout in which it may not is read from its sources at every start.
    """
    kept = {name: value for name, value in os.environ.items() if name != NO_BYTECODE}
    return {**kept, "PYTHONPATH": str(CHECKOUT), **more}
