"""A SLURM of one machine on loopback, from the programs of Debian's `slurm-wlm` and `munge`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
START_SECONDS = 30
CONFIG = """\
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/node.pid
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 Port={node} CPUs={cores}
PartitionName=all Nodes={host} Default=YES
"""


def missing() -> str:
    """What a cluster lacks on this machine; "" for nothing."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)}: not there (apt-get install slurm-wlm munge)"
    return "" if os.geteuid() == 0 else "slurmd asks for root"


@contextmanager
def real_slurm(folder: Path) -> Iterator[None]:
    """A cluster whose jobs run on this machine; within the block its commands find it."""
    folder.mkdir(mode=0o755)
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    for name in ("spool", "state"):
        (folder / name).mkdir()
    ports = _free_ports(2)
    config = folder / "slurm.conf"
    config.write_text(
        CONFIG.format(
            host=socket.gethostname().partition(".")[0],
            folder=folder,
            controller=ports[0],
            node=ports[1],
            cores=os.cpu_count(),
        )
    )
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
    munge = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(config)
    try:
        with ExitStack() as programs:
            for command in (
                ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munge],
                ["slurmctld", "-D"],
                ["slurmd", "-D"],
            ):
                programs.enter_context(_running(command, folder / f"{command[0]}.log"))
                if command[0] == "munged":
                    _wait_for((folder / "munge.socket").exists)
            _wait_for(lambda: "idle" in _states())
            yield
    finally:
        del os.environ["SLURM_CONF"]
        if before is not None:
            os.environ["SLURM_CONF"] = before


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[None]:
    with (
        log.open("w") as opened,
        subprocess.Popen(command, stdout=opened, stderr=opened) as process,
    ):
        try:
            yield
        finally:
            process.terminate()


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the cluster does not start"
        time.sleep(0.1)


def _states() -> str:
    """The states of the nodes; "" while nothing answers."""
    return subprocess.run(
        ["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True, check=False
    ).stdout


def _free_ports(count: int) -> list[int]:
    with ExitStack() as sockets:
        bound = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in bound:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in bound]
