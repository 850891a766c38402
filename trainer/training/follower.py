"""A worker that does not lead: its part of a run, which leaves nothing behind but a log."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from ..config.cluster import Cluster, Lost
from ..config.experiment import Experiment
from ..runs.folder import Folder
from ..runs.signals import Stop
from .run import FAILED, diverted, wake

if TYPE_CHECKING:
    from ..engine.program import Compiled, Program


def follow(experiment: Experiment, folder: Folder, cluster: Cluster) -> int:
    """Makes the updates that the first worker asks for, until it says that this was all.

    Gives the exit code of the first worker, or 1 when that or another one is gone.

    Raises:
        Refused: as `trainer.training.assembly.join` says.
    """
    try:
        log = folder.path / f"tensorflow-{cluster.task}.log"
        wake(log)
        with Stop() as stop, diverted(log):
            return _obey(experiment, folder, stop)
    except Lost as lost:
        print(f"worker {cluster.task}: {lost}", file=sys.stderr)
        return FAILED


def _obey(experiment: Experiment, folder: Folder, stop: Stop) -> int:
    from ..engine.workers import END, RESTORE, Uncompilable
    from . import assembly

    network, build, longest = assembly.join(experiment, folder)
    workers = network.workers
    assert workers
    stop.listen()
    stop.worth_saving = True
    programs: dict[Compiled, Program] = {}
    while (said := workers.hear(stop)).verb != END:
        if said.verb == RESTORE:
            network.spread(workers.share(network.state()))
            continue
        way: Compiled = "xla" if said.third else "graph"
        if way not in programs:
            programs[way] = build(way)
        table = workers.add(np.zeros((longest, len(network.dials.names))))
        with suppress(Uncompilable):  # the first worker finds that too
            programs[way].update(table[: said.second], said.first)
    return said.first
