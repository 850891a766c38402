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

from ...commands.job import Assignment
from ...config.experiment import Experiment
from ...data.feeds.select import feeding, streams
from ...engine.compile_cache import remember, remembered
from ...engine.compile_choice import Chosen, measured
from ...engine.machine import settled
from ...engine.network import Network
from ...engine.program import Compiled
from ...runs.provenance import usable_cores
from ...runs.signals import Stop
from ...training.assembly import TooLarge
from ...training.progress import Joint
from ...training.run import FAILED, diverted, ended, trained
from ...training.session import Session, Unfit
from ...training.setup import Start, loaded
from .ensemble import Ensemble
from .grouping import fixed, shared
from .lanes import Arrays, Lane, LaneProgram, Lanes, Rows, SharedPace, stacked

Through = SimpleQueue[tuple["Entry", Session, "str | BaseException"]]

SETS_A_CORE = 2
"""Into how many sets networks are parted for each processor core.

Each set goes through the program in a thread, so that all cores are busy however small a product
of matrices is, and one set's updates hide what another's runs write meanwhile.
"""


@dataclass
class Entry:
    """A run, and its network as it is drawn for it alone."""

    assignment: Assignment
    start: Start
    drawn: Arrays
    chosen: Chosen | None
    """How to compile, where something has decided that already."""

    @property
    def experiment(self) -> Experiment:
        return self.assignment.experiment

    @property
    def name(self) -> str:
        return self.assignment.folder.path.name

    @property
    def make(self) -> tuple[object, ...]:
        """What the networks of one program have in common."""
        return tuple((name, array.shape, array.dtype.str) for name, array in self.drawn.items())


class Apart(Exception):  # noqa: N818  # says what is so
    """Why runs that are alike can't share a program all the same."""


class Ended(NamedTuple):
    """How a run ended: its exit code, and what kept it from saying so itself."""

    assignment: Assignment
    code: int = FAILED
    error: BaseException | None = None


def entered(
    alike: Sequence[Assignment],
) -> tuple[list[list[Entry]], list[tuple[Assignment, Exception]]]:
    """Draws the network of each run, and puts together those that one program can train.

    Besides, which can't go on from what is in their folders, and why.

    Raises:
        Refused: when the machine lacks the device, Keras can't follow a schedule, or there is
            nothing to learn from.
        Apart: when the examples don't stay on the device.
    """
    device, _ = settled(shared([assignment.experiment for assignment in alike]))
    data = loaded(alike[0].experiment)
    if streams(alike[0].experiment.data, data):
        raise Apart("each reads its examples as it needs them (data.keep)")
    made: dict[object, list[Entry]] = {}
    refused: list[tuple[Assignment, Exception]] = []
    for assignment in alike:
        try:
            with tf.device(device):
                start = Start.of(assignment.experiment, assignment.folder, data, device)
                entry = Entry(assignment, start, start.network().state(), start.chosen())
        except (Refused, Unfit) as error:
            refused.append((assignment, error))
        else:
            made.setdefault(entry.make, []).append(entry)
    return [group for entries in made.values() for group in _by_choice(entries)], refused


def _by_choice(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Puts those together that were compiled alike; whoever has not chosen joins the first."""
    groups: dict[Compiled | None, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.chosen.compile if entry.chosen else None, []).append(entry)
    free = groups.pop(None, [])
    first, *others = list(groups.values()) or [[]]
    return [[*first, *free], *others]


def train(entries: Sequence[Entry], watch: Callable[[], object]) -> Iterator[Ended]:
    """Trains the runs of one of the groups that `entered` gives, and tells of each as it ends.

    `watch` is called every second. A run that fails leaves the others alone.

    Raises:
        Apart: before anything was trained, when no program can be made for all.
    """
    began = perf_counter()
    with Stop() as stop:
        try:
            with diverted(entries[0].assignment.folder.chatter):
                network, chosen, lanes = _assembled(entries)
        except (TooLarge, MemoryError) as error:
            raise Apart("this machine has not the memory for so many at once") from error
        except Exception as error:  # of what a model may consist of, not all can be stacked
            why = str(error).partition("\n")[0]
            raise Apart(
                f"no program could be made for all: {type(error).__name__}: {why}"
            ) from error
        running: list[tuple[Entry, Session, LaneProgram]] = []
        for entry, lane, program in lanes:
            try:
                session = entry.start.session(lane, program, chosen, program.lanes.pace)
            except (Refused, Unfit) as error:
                program.lanes.leave(program.number)
                yield Ended(entry.assignment, error=error)
                continue
            session.label, session.together = f"{entry.name}  ", len(entries)
            if session.step:
                print(f"{session.label}going on at step {session.step}")
            running.append((entry, session, program))
        stop.worth_saving = True
        through: Through = SimpleQueue()
        with Joint([session for _, session, _ in running]) as progress:
            for each in running:
                Thread(target=_go, args=(*each, progress, stop, through), daemon=True).start()
            left = len(running)
            while left:
                try:
                    entry, session, reason = through.get(timeout=1)
                except Empty:
                    watch()
                    continue
                left -= 1
                yield _told(entry, session, reason, network, stop, perf_counter() - began)
    stop.requeue()


def _told(
    entry: Entry,
    session: Session,
    reason: str | BaseException,
    network: Network,
    stop: Stop,
    seconds: float,
) -> Ended:
    """Writes down how a run ended, its weights in the variables of `network`."""
    with closing(session):
        if isinstance(reason, BaseException):
            return Ended(entry.assignment, error=reason)
        network.restore(session.network.state())
        session.network = network
        early = session.step < entry.experiment.last_step() and not session.stands
        code = ended(session, stop.signal if early else None, reason, seconds)
        entry.assignment.compare()
        return Ended(entry.assignment, code or entry.assignment.leave())


def _assembled(
    entries: Sequence[Entry],
) -> tuple[Network, Chosen, list[tuple[Entry, Lane, LaneProgram]]]:
    """The network that all are like, how its program was compiled, and each run's lane in it."""
    first, count = entries[0].start, len(entries)
    whole = shared([entry.assignment.experiment for entry in entries])
    run, names = whole.run, list(whole.driven())
    sets = 1 if "GPU" in first.device else min(count, SETS_A_CORE * len(usable_cores()))
    size = ceil(count / sets)
    longest = max(entry.start.longest for entry in entries)
    rows = [Rows.of(names, entry.start.tape, fixed(entry.experiment, whole)) for entry in entries]
    with tf.device(first.device):
        keras.utils.clear_session(free_memory=False)
        network = Network.declared(whole, names, first.data.train.labels)
        feed = feeding(whole.data, first.data, first.stream)
        feeds = [feed.along(entry.start.stream) for entry in entries]

        def build(compiled: Compiled) -> Ensemble:
            skips = run.on_nonfinite == "skip"
            return Ensemble(network, feed, compiled, longest, size, run.micro_batches, skips)

        trial = stacked([entry.drawn for entry in entries[:size]])

        def ask(ensemble: Ensemble, count: int) -> None:
            read = [
                row.filled(entry.start.tape.read(0, count))
                for row, entry in zip(rows[:size], entries[:size], strict=True)
            ]
            handed = [each.hand(0, count, longest) for each in feeds[:size]]
            ensemble.update(trial, np.stack(read, axis=1), handed, np.full(size, True))

        chosen = next((entry.chosen for entry in entries if entry.chosen), None)
        chosen = chosen or remembered(whole, first.device, size)
        if chosen is None:
            chosen, ensemble = measured(build, ask)
            chosen = remember(whole, first.device, chosen, size)
        else:
            ensemble = build(chosen.compile)
            ask(ensemble, 0)
        found = []
        for begin in range(0, count, size):
            part = slice(begin, begin + size)
            pace = SharedPace(longest, adapts=run.steps_per_call == "auto")
            drawn = [entry.drawn for entry in entries[part]]
            lanes = Lanes(ensemble, drawn, feeds[part], pace)
            for number, (entry, row) in enumerate(zip(entries[part], rows[part], strict=True)):
                lane = Lane(**vars(network), lanes=lanes, number=number)
                found.append((entry, lane, LaneProgram(lanes, number, row)))
    return network, chosen, found


def _go(
    entry: Entry,
    session: Session,
    program: LaneProgram,
    progress: Joint,
    stop: Stop,
    through: Through,
) -> None:
    """One run's loop, in a thread of its own."""
    reason: str | BaseException
    try:
        with tf.device(session.device):
            reason = trained(session, progress, stop)
    except BaseException as error:
        reason = error
    program.lanes.leave(program.number)
    through.put((entry, session, reason))
