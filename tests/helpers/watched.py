"""The command line in a process that is watched: what it writes, starts and connects to.

`python -m tests.helpers.watched` imports the trainer once and then forks for every command that it
reads, so that a command takes a fraction of a second and leaves nothing to the next one. Runs are
stopped where training would begin.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.runs.user_cache import cache_folder

CHECKOUT = Path(__file__).resolve().parents[2]
SECONDS = 10
"""The processor time that a command may take."""
BYTES = 4 * 2**30
"""The addresses that a command may take."""
STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile",
          "os.fork", "os.forkpty", "pty.spawn", "webbrowser.open")  # fmt: skip
CONNECTS = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname",
            "socket.sendto", "urllib.Request")  # fmt: skip
CHANGES = ("os.mkdir", "os.rmdir", "os.rename", "os.remove", "os.link", "os.symlink", "os.truncate",
           "os.chmod", "os.chown", "os.utime", "shutil.rmtree", "shutil.copyfile",
           "shutil.move")  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


CANARY = """
import os, socket, subprocess, sys

sys.audit("canary")  # an import by importlib is no event of Python's own

def hit(*args, **kwargs):
    return 0.01

def write():
    open("../written", "w").close()

def make():
    os.mkdir("made")

def start():
    subprocess.run([sys.executable, "-V"])

def connect():
    socket.socket().connect_ex(("127.0.0.1", 9))

def end():
    os.kill(os.getpid(), 9)
"""
"""A module that nothing but a config names."""


@dataclass(frozen=True)
class Watched:
    """What a command did."""

    code: int
    """What it exited with; minus a signal's number, where one ended it."""
    output: str
    errors: str
    written: tuple[str, ...]
    """The files that it wrote, made, moved or removed."""
    started: tuple[str, ...]
    connected: tuple[str, ...]
    imported: tuple[str, ...]
    """The canary, if it was."""

    def faults(self, folder: Path) -> list[str]:
        """What it should not have done, having been called in `folder`."""
        faults = [f"starts {what}" for what in self.started]
        faults += [f"connects to {what}" for what in self.connected]
        faults += [f"imports {what}" for what in self.imported]
        inside = (str(folder / "outputs"), str(folder / "multirun"), str(folder / "runs"))
        for path in self.written:
            if path != os.devnull and not path.startswith(inside):
                faults.append(f"writes {path}")
        if self.code not in (0, 1, 2):
            faults.append(f"ends with {self.code}")
        if "Traceback" in self.errors:
            faults.append("shows a traceback")
        return faults


class Commands:
    """A process that runs commands, one after another."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, folder: Path, arguments: Sequence[str]) -> Watched:
        """Runs `python -m trainer` with arguments in a folder."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([str(folder), *arguments]), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        lists = {name: tuple(value) for name, value in answer.items() if isinstance(value, list)}
        return Watched(**{**answer, **lists})


@contextmanager
def commands(home: Path) -> Iterator[Commands]:
    """A process for commands, whose user has an empty home."""
    (home / ".cache").mkdir(parents=True, exist_ok=True)
    (home / "canary.py").write_text(CANARY)
    environment = {
        **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(home)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SECRET": "a secret of the environment",
    }
    command = [sys.executable, "-P", "-m", "tests.helpers.watched"]
    process = subprocess.Popen(
        command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=home
    )
    try:
        yield Commands(process)
    finally:
        process.communicate()


def serve() -> None:
    """Answers a line with a command by a line that says what it did, until there is none."""
    import trainer.__main__
    import trainer.sweeps.search.search  # noqa: F401
    from trainer.commands.job import Job
    from trainer.config.hydra import compose
    from trainer.sweeps import multirun

    Job.run = lambda self: 0  # type: ignore[method-assign]
    multirun.launch_jobs = lambda jobs, launcher, first=0: []  # type: ignore[assignment]
    compose()
    for line in sys.stdin:
        folder, *arguments = json.loads(line)
        print(json.dumps(_answer(folder, arguments)), flush=True)


def _answer(folder: str, arguments: list[str]) -> dict[str, Any]:
    files = [Path(folder).parent / f"{Path(folder).name}.{name}" for name in ("out", "err", "log")]
    descriptors = [os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC) for file in files]
    if (child := os.fork()) == 0:
        _command(folder, arguments, descriptors)
    status = _wait(child)
    output, errors, log = (file.read_text("utf-8", "replace") for file in files)
    for descriptor, file in zip(descriptors, files, strict=True):
        os.close(descriptor)
        file.unlink()
    seen: dict[str, list[str]] = {"written": [], "started": [], "connected": [], "imported": []}
    for entry in log.splitlines():
        kind, what = json.loads(entry)
        seen[kind].append(what)
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "output": output, "errors": errors, **seen}


def _wait(child: int) -> int:
    """The status of a process, which is ended where it waits for what never comes."""
    began = time.monotonic()
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() - began > 12 * SECONDS:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)


def _command(folder: str, arguments: list[str], descriptors: list[int]) -> None:
    """Runs a command in this process, and ends it."""
    code = 70
    try:
        os.chdir(folder)
        os.dup2(descriptors[0], 1)
        os.dup2(descriptors[1], 2)
        sys.stdin = open(os.devnull)  # noqa: PTH123, SIM115  # as long as the process
        sys.stdout, sys.stderr = (
            os.fdopen(n, "w", encoding="utf-8", closefd=False) for n in (1, 2)
        )
        sys.argv = ["trainer", *arguments]
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.addaudithook(_hook(descriptors[2]))
        from trainer.__main__ import main

        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _named(path: str | bytes | os.PathLike[str]) -> str:
    return os.path.abspath(os.fsdecode(path))  # noqa: PTH100  # follows no links


def _folder(descriptor: int) -> str:
    """The folder that a path given beside a descriptor is in."""
    entry = f"/proc/self/fd/{descriptor}"
    return os.readlink(entry) if os.path.isdir(entry) else ""  # noqa: PTH112, PTH115


def _hook(descriptor: int) -> Any:
    cache = str(cache_folder())

    def note(kind: str, what: object) -> None:
        if kind == "written" and str(what).startswith(cache):
            return  # what a report keeps of the runs that it has read
        os.write(descriptor, (json.dumps([kind, str(what)]) + "\n").encode())

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = args
            writes = set(mode or "") & set("wax+") or (flags or 0) & WRITING
            if writes and not isinstance(path, int):
                note("written", _named(path))
        elif event in CHANGES:
            numbers = [arg for arg in args if type(arg) is int and arg >= 0]
            folder = next(filter(None, map(_folder, numbers)), "")
            for path in args:
                if isinstance(path, str | bytes | os.PathLike):
                    note("written", _named(os.path.join(folder, os.fsdecode(path))))  # noqa: PTH118
        elif event in STARTS:
            note("started", f"{event} {args}")
        elif event in CONNECTS:
            note("connected", f"{event} {args[1:]}")
        elif event == "canary":
            note("imported", event)

    return hook


if __name__ == "__main__":
    serve()
