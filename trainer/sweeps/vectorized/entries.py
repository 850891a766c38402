"""The runs that enter one program: their networks drawn, and grouped by what must be the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from schedules import Refused

from ...commands.job import Job
from ...config.experiment import Experiment
from ...data.feeds.select import streams
from ...engine.compile_decision import binding_choice
from ...engine.compile_measuring import CompileChoice
from ...engine.machine import open_devices, settle
from ...engine.program import Compiled
from ...runs.checkpoints import CheckpointMismatchError
from ...training.setup import RunSetup, loaded
from .drawn_states import DrawnStates
from .grouping import shared_experiment
from .lanes import Arrays


class NotVectorizableError(Exception):
    """Why runs can't share a program though they have the same compile key."""


@dataclass
class Entry:
    """A run, and its network as it would be drawn without other runs."""

    job: Job
    setup: RunSetup
    initial_state: Arrays
    compile_choice: CompileChoice | None
    """How to compile, where the config, the run's folder or its checkpoint say so."""

    @property
    def experiment(self) -> Experiment:
        return self.job.plan.experiment

    @property
    def name(self) -> str:
        return self.job.folder.path.name

    @property
    def variables(self) -> tuple[tuple[str, tuple[int, ...], str], ...]:
        """Name, shape and type of each variable, which the networks of a program must share."""
        return tuple(
            (name, array.shape, array.dtype.str) for name, array in self.initial_state.items()
        )


class EntryGroups(NamedTuple):
    """The groups of runs that one program can train, and the jobs that can't go on, with why."""

    groups: list[list[Entry]]
    refused: list[tuple[Job, Exception]]


def group_entries(jobs: Sequence[Job]) -> EntryGroups:
    """Draws the network of each job, and groups those that one program can train.

    A job is refused alone when it can't go on from what is in its folder.

    Raises:
        Refused: when the machine lacks the device, Keras can't follow a schedule, or there is
            nothing to learn from.
        NotVectorizableError: when the examples don't stay on the device.
    """
    shared = shared_experiment([job.plan.experiment for job in jobs])
    device, _ = open_devices(shared)
    settle(shared)
    first = jobs[0].plan.experiment
    data = loaded(first)
    if streams(first.data, data):
        raise NotVectorizableError("each reads its examples as it needs them (data.keep)")
    by_variables: dict[object, list[Entry]] = {}
    refused: list[tuple[Job, Exception]] = []
    drawn = DrawnStates()
    for job in jobs:
        try:
            with tf.device(device):
                setup = RunSetup.of(job.plan, job.folder, data, device)
                choice = binding_choice(job.plan.experiment, job.folder, setup.past.saved)
                entry = Entry(job, setup, drawn.of(setup), choice)
        except (Refused, CheckpointMismatchError) as error:
            refused.append((job, error))
        else:
            by_variables.setdefault(entry.variables, []).append(entry)
    groups = [group for entries in by_variables.values() for group in _by_compilation(entries)]
    return EntryGroups(groups, refused)


def _by_compilation(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Groups entries by how they are to be compiled; one without a choice joins the first group."""
    groups: dict[Compiled, list[Entry]] = {}
    undecided: list[Entry] = []
    for entry in entries:
        if entry.compile_choice:
            groups.setdefault(entry.compile_choice.compile, []).append(entry)
        else:
            undecided.append(entry)
    first, *others = list(groups.values()) or [[]]
    return [[*first, *undecided], *others]
