"""A worker that does not lead: its part of a run, which leaves nothing behind but a log."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from ..config.cluster import Cluster, WorkerLostError
from ..config.plan import Plan
from ..engine.startup import import_tensorflow, stderr_to
from ..runs.exit_codes import FAILED
from ..runs.folder import Folder
from ..runs.signals import Stop

if TYPE_CHECKING:
    from ..engine.program import Compiled, Program


def follow(plan: Plan, folder: Folder, cluster: Cluster) -> int:
    """Makes the updates that the first worker asks for, until it says that this was all.

    Gives the exit code of the first worker, or 1 when that or another one is gone.

    Raises:
        Refused: as `trainer.training.assembly.join` says.
    """
    try:
        log = folder.path / f"tensorflow-{cluster.task}.log"
        import_tensorflow(log)
        with Stop() as stop, stderr_to(log):
            return _obey(plan, folder, stop)
    except WorkerLostError as lost:
        print(f"worker {cluster.task}: {lost}", file=sys.stderr)
        return FAILED


def _obey(plan: Plan, folder: Folder, stop: Stop) -> int:
    from ..engine.replicas import ReplicatedNetwork
    from ..engine.workers import END, RESTORE, UncompilableError
    from . import assembly

    built, longest = assembly.join(plan, folder)
    network, workers = built.network, built.workers
    assert isinstance(network, ReplicatedNetwork)
    assert workers
    stop.listen()
    stop.worth_saving = True
    programs: dict[Compiled, Program] = {}
    while (message := workers.hear(stop)).verb != END:
        if message.verb == RESTORE:
            network.spread(workers.share(network.state()))
            continue
        way: Compiled = "xla" if message.third else "graph"
        if way not in programs:
            programs[way] = built.program(way)
        table = workers.add(np.zeros((longest, len(network.lead.dials.names))))
        with suppress(UncompilableError):  # the first worker finds that too
            programs[way].update(table, message.first, message.second)
    return message.first
