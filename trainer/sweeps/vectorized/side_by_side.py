"""Runs that are alike, side by side: their networks in one program, their loops in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import ceil
from queue import Empty, SimpleQueue
from threading import Thread
from time import perf_counter
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from schedules import Refused

from ...commands.job import Job
from ...config.experiment import Experiment
from ...data.feeds.select import feeding, streams
from ...engine.compile_cache import remembered
from ...engine.compile_choice import CompileChoice
from ...engine.compile_decision import bound, compiled
from ...engine.machine import open_devices, settle
from ...engine.network import Network
from ...engine.program import Compiled
from ...engine.startup import diverted
from ...runs.checkpoints import CheckpointMismatchError
from ...runs.exit_codes import FAILED
from ...runs.provenance import usable_cores
from ...runs.signals import Stop
from ...training.assembly import Assembled, TooLarge, assembled
from ...training.progress import Joint
from ...training.run import ended, trained
from ...training.setup import RunSetup, loaded
from .ensemble import Ensemble
from .grouping import fixed, shared
from .lanes import Arrays, LaneNetwork, LaneProgram, Lanes, RowLayout, SharedPace, stacked

Through = SimpleQueue[tuple["Lane", Assembled, "str | BaseException"]]

SETS_A_CORE = 2
"""Into how many sets networks are parted for each processor core.

Each set goes through the program in a thread, so that all cores are busy however small a product
of matrices is, and one set's updates hide what another's runs write meanwhile.
"""


@dataclass
class Entry:
    """A run, and its network as it is drawn for it alone."""

    job: Job
    setup: RunSetup
    drawn: Arrays
    choice: CompileChoice | None
    """How to compile, where the config, its folder or its checkpoint say so."""

    @property
    def experiment(self) -> Experiment:
        return self.job.plan.experiment

    @property
    def name(self) -> str:
        return self.job.folder.path.name

    @property
    def make(self) -> tuple[object, ...]:
        """What the networks of one program have in common."""
        return tuple((name, array.shape, array.dtype.str) for name, array in self.drawn.items())


class NotVectorizableError(Exception):
    """Why runs that are alike can't share a program all the same."""


class Ended(NamedTuple):
    """How a run ended: its exit code, and what kept it from saying so itself."""

    job: Job
    code: int = FAILED
    error: BaseException | None = None


@dataclass(frozen=True)
class Lane:
    """A run in the place that it has in a program of several."""

    entry: Entry
    network: LaneNetwork
    program: LaneProgram

    def leave(self) -> None:
        """Lets the others go on without it."""
        self.program.lanes.leave(self.program.number)


def entered(alike: Sequence[Job]) -> tuple[list[list[Entry]], list[tuple[Job, Exception]]]:
    """Draws the network of each run, and puts together those that one program can train.

    Gives the groups, and the jobs that can't go on from what is in their folders, with why.

    Raises:
        Refused: when the machine lacks the device, Keras can't follow a schedule, or there is
            nothing to learn from.
        NotVectorizableError: when the examples don't stay on the device.
    """
    whole = shared([job.plan.experiment for job in alike])
    device, _ = open_devices(whole)
    settle(whole)
    first = alike[0].plan.experiment
    data = loaded(first)
    if streams(first.data, data):
        raise NotVectorizableError("each reads its examples as it needs them (data.keep)")
    made: dict[object, list[Entry]] = {}
    refused: list[tuple[Job, Exception]] = []
    for job in alike:
        try:
            with tf.device(device):
                setup = RunSetup.of(job.plan, job.folder, data, device)
                choice = bound(job.plan.experiment, job.folder, setup.past.saved)
                entry = Entry(job, setup, setup.network().state(), choice)
        except (Refused, CheckpointMismatchError) as error:
            refused.append((job, error))
        else:
            made.setdefault(entry.make, []).append(entry)
    return [group for entries in made.values() for group in _by_choice(entries)], refused


def _by_choice(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Puts those together that were compiled alike; whoever has no choice yet joins the first."""
    groups: dict[Compiled | None, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.choice.compile if entry.choice else None, []).append(entry)
    free = groups.pop(None, [])
    first, *others = list(groups.values()) or [[]]
    return [[*first, *free], *others]


def train(entries: Sequence[Entry], watch: Callable[[], object]) -> Iterator[Ended]:
    """Trains the runs of one of the groups that `entered` gives, and tells of each as it ends.

    `watch` is called every second. A run that fails leaves the others alone.

    Raises:
        NotVectorizableError: before anything was trained, when no program can be made for all.
    """
    began = perf_counter()
    with Stop() as stop:
        try:
            with diverted(entries[0].job.folder.chatter):
                choice, lanes = _assembled(entries)
        except (TooLarge, MemoryError) as error:
            why = "this machine has not the memory for so many at once"
            raise NotVectorizableError(why) from error
        except Exception as error:  # of what a model may consist of, not all can be stacked
            why = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
            raise NotVectorizableError(f"no program could be made for all: {why}") from error
        running: list[tuple[Lane, Assembled]] = []
        for lane in lanes:
            try:
                run = assembled(
                    lane.entry.setup,
                    lane.network,
                    lane.program,
                    choice,
                    lane.program.lanes.pace,
                    label=f"{lane.entry.name}  ",
                    together=len(entries),
                )
            except (Refused, CheckpointMismatchError) as error:
                lane.leave()
                yield Ended(lane.entry.job, error=error)
                continue
            if run.session.step:
                print(f"{run.session.label}going on at step {run.session.step}")
            running.append((lane, run))
        stop.worth_saving = True
        through: Through = SimpleQueue()
        totals = [lane.entry.job.plan.total_steps for lane, _ in running]
        steps = {run.session.folder.path: run.session.step for _, run in running}
        with Joint(totals, steps) as progress:
            for lane, run in running:
                arguments = (lane, run, progress, stop, through)
                Thread(target=_go, args=arguments, daemon=True).start()
            left = len(running)
            while left:
                try:
                    lane, run, reason = through.get(timeout=1)
                except Empty:
                    watch()
                    continue
                left -= 1
                yield _ended(lane.entry.job, run, reason, stop, perf_counter() - began)
    stop.requeue()


def _ended(
    job: Job, run: Assembled, reason: str | BaseException, stop: Stop, seconds: float
) -> Ended:
    """Writes down how a run ended."""
    session = run.session
    with closing(session):
        if isinstance(reason, BaseException):
            return Ended(job, error=reason)
        early = session.step < job.plan.last_step and not session.stands_still
        code = ended(run, stop.signal if early else None, reason, seconds)
        job.compare()
        return Ended(job, code or job.leave())


def _assembled(entries: Sequence[Entry]) -> tuple[CompileChoice, list[Lane]]:
    """How the program that trains all was compiled, and each run's lane in it."""
    first, count = entries[0].setup, len(entries)
    whole = shared([entry.experiment for entry in entries])
    run, names = whole.run, list(whole.driven())
    sets = 1 if "GPU" in first.device else min(count, SETS_A_CORE * len(usable_cores()))
    size = ceil(count / sets)
    longest = max(entry.setup.longest for entry in entries)
    layouts = [
        RowLayout.of(names, entry.setup.tape, fixed(entry.experiment, whole)) for entry in entries
    ]
    with tf.device(first.device):
        keras.utils.clear_session(free_memory=False)
        network = Network.declared(whole, names, first.data.train.labels)
        feed = feeding(whole.data, first.data, first.order)
        feeds = [feed.along(entry.setup.order) for entry in entries]

        def build(compiled: Compiled) -> Ensemble:
            skips = run.on_nonfinite == "skip"
            return Ensemble(network, feed, compiled, longest, size, run.micro_batches, skips)

        trial = stacked([entry.drawn for entry in entries[:size]])

        def ask(ensemble: Ensemble, count: int) -> None:
            rows = [
                layout.filled(entry.setup.tape.read(0, count))
                for layout, entry in zip(layouts[:size], entries[:size], strict=True)
            ]
            batches = [each.hand(0, count, longest) for each in feeds[:size]]
            ensemble.update(trial, np.stack(rows, axis=1), batches, np.full(size, True))

        choice = next((entry.choice for entry in entries if entry.choice), None)
        choice = choice or remembered(whole, first.device, size)
        choice, ensemble = compiled(choice, whole, first.device, build, ask, size)
        lanes = []
        for begin in range(0, count, size):
            part = slice(begin, begin + size)
            pace = SharedPace(longest, adapts=run.steps_per_call == "auto")
            several = Lanes(ensemble, [entry.drawn for entry in entries[part]], feeds[part], pace)
            for number, entry in enumerate(entries[part]):
                program = LaneProgram(several, number, layouts[begin + number])
                lanes.append(Lane(entry, LaneNetwork(several, number, network), program))
    return choice, lanes


def _go(lane: Lane, run: Assembled, progress: Joint, stop: Stop, through: Through) -> None:
    """One run's loop, in a thread of its own."""
    reason: str | BaseException
    try:
        with tf.device(run.setup.device):
            reason = trained(run, progress, stop)
    except BaseException as error:
        reason = error
    lane.leave()
    through.put((lane, run, reason))
