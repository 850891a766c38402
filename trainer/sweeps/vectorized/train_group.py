"""Trains a group of runs side by side: their networks in one program, their loops in threads."""

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
from ...data.feeds.select import make_feed
from ...engine.compile_decision import compile_program, known_choice
from ...engine.compile_measuring import CompileChoice
from ...engine.declared_network import declared_network
from ...engine.program import Compiled
from ...engine.startup import stderr_to
from ...runs.checkpoints import CheckpointMismatchError
from ...runs.exit_codes import FAILED
from ...runs.provenance import usable_cores
from ...runs.signals import Stop, process_stop
from ...training.assembly import Assembled, TooLarge, assembled
from ...training.progress import Joint
from ...training.run import ended, trained
from .entries import Entry, NotVectorizableError
from .grouping import constant_values, shared_experiment
from .lanes import LaneNetwork, LaneProgram, Lanes, RowLayout, SharedPace, stack_states
from .vectorized_program import VectorizedProgram

SETS_PER_CORE = 2
"""Into how many sets the networks are divided for each processor core.

The sets go through the program in threads of their own. All cores are busy then, however small a
product of matrices is, and one set is trained while the runs of another write their rows.
"""


class RunEnd(NamedTuple):
    """How a run ended: its exit code, and the error if one kept it from writing its result."""

    job: Job
    code: int = FAILED
    error: BaseException | None = None


@dataclass(frozen=True)
class Lane:
    """A run, and its lane among those of a program."""

    entry: Entry
    network: LaneNetwork
    program: LaneProgram

    def leave(self) -> None:
        """Lets the other lanes go on without this one."""
        self.program.lanes.leave(self.program.number)


class LoopEnd(NamedTuple):
    """The loop of a run that is over."""

    lane: Lane
    run: Assembled
    failure: str | BaseException
    """Why it failed; an empty text if it did not."""


def train_group(entries: Sequence[Entry], watch: Callable[[], object]) -> Iterator[RunEnd]:
    """Trains the runs of one of the groups of `group_entries`; yields how each ends when it does.

    `watch` is called every second. A run that fails leaves the others alone.

    Raises:
        NotVectorizableError: before anything was trained, when no program can be made for all.
    """
    began = perf_counter()
    with process_stop() as stop:
        choice, lanes = _build_lanes_or_refuse(entries)
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
                yield RunEnd(lane.entry.job, error=error)
                continue
            if run.session.step:
                print(f"{run.session.label}going on at step {run.session.step}")
            running.append((lane, run))
        stop.worth_saving = True
        loop_ends: SimpleQueue[LoopEnd] = SimpleQueue()
        totals = [lane.entry.job.plan.total_steps for lane, _ in running]
        steps = {run.session.folder.path: run.session.step for _, run in running}
        with Joint(totals, steps) as progress:
            for lane, run in running:
                arguments = (lane, run, progress, stop, loop_ends)
                Thread(target=_run_loop, args=arguments, daemon=True).start()
            loops_left = len(running)
            while loops_left:
                try:
                    loop_end = loop_ends.get(timeout=1)
                except Empty:
                    watch()
                    continue
                loops_left -= 1
                yield _conclude(loop_end, stop, perf_counter() - began)
    stop.requeue()


def _run_loop(
    lane: Lane, run: Assembled, progress: Joint, stop: Stop, loop_ends: SimpleQueue[LoopEnd]
) -> None:
    """One run's loop, in a thread of its own."""
    failure: str | BaseException
    try:
        with tf.device(run.setup.device):
            failure = trained(run, progress, stop)
    except BaseException as error:
        failure = error
    lane.leave()
    loop_ends.put(LoopEnd(lane, run, failure))


def _conclude(loop_end: LoopEnd, stop: Stop, seconds: float) -> RunEnd:
    """Writes down how a run ended."""
    job, session = loop_end.lane.entry.job, loop_end.run.session
    with closing(session):
        if isinstance(loop_end.failure, BaseException):
            return RunEnd(job, error=loop_end.failure)
        stopped_early = session.step < job.plan.last_step and not session.stands_still
        signal_number = stop.received if stopped_early else None
        code = ended(loop_end.run, signal_number, loop_end.failure, seconds)
        job.compare()
        return RunEnd(job, code or job.leave())


def _build_lanes_or_refuse(entries: Sequence[Entry]) -> tuple[CompileChoice, list[Lane]]:
    """As `_build_lanes`.

    Raises:
        NotVectorizableError: when no program can be made for all.
    """
    try:
        with stderr_to(entries[0].job.folder.tensorflow_log):
            return _build_lanes(entries)
    except (TooLarge, MemoryError) as error:
        why = "this machine has not the memory for so many at once"
        raise NotVectorizableError(why) from error
    except Exception as error:  # of what a model may consist of, not all can be stacked
        why = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
        raise NotVectorizableError(f"no program could be made for all: {why}") from error


def _build_lanes(entries: Sequence[Entry]) -> tuple[CompileChoice, list[Lane]]:
    """Builds the program that trains all; returns how it was compiled, and each run's lane."""
    first, count = entries[0].setup, len(entries)
    shared = shared_experiment([entry.experiment for entry in entries])
    run, names = shared.run, list(shared.driven())
    sets = 1 if "GPU" in first.device else min(count, SETS_PER_CORE * len(usable_cores()))
    size = ceil(count / sets)
    longest = max(entry.setup.longest for entry in entries)
    layouts = [
        RowLayout.for_tape(names, entry.setup.tape, constant_values(entry.experiment, shared))
        for entry in entries
    ]
    with tf.device(first.device):
        keras.utils.clear_session(free_memory=False)
        network = declared_network(shared, names, first.data.train.labels, stateless=True)
        feed = make_feed(shared.data, first.data, first.order)
        feeds = [feed.in_order(entry.setup.order) for entry in entries]

        def build(compiled: Compiled) -> VectorizedProgram:
            skips_nonfinite = run.on_nonfinite == "skip"
            return VectorizedProgram(
                network, feed, compiled, longest, size, run.micro_batches, skips_nonfinite
            )

        trial_state = stack_states([entry.initial_state for entry in entries[:size]])

        def ask(vectorized: VectorizedProgram, count: int) -> None:
            rows = [
                layout.program_rows(entry.setup.tape.read(0, count))
                for layout, entry in zip(layouts[:size], entries[:size], strict=True)
            ]
            feed_inputs = [feed.args(0, count, longest) for feed in feeds[:size]]
            vectorized.update(trial_state, np.stack(rows, axis=1), feed_inputs, np.full(size, True))

        binding = (entry.compile_choice for entry in entries)
        choice = known_choice(shared, first.device, binding, together=size)
        choice, vectorized = compile_program(choice, shared, first.device, build, ask, size)
        lanes = []
        for begin in range(0, count, size):
            members = entries[begin : begin + size]
            states = [entry.initial_state for entry in members]
            pace = SharedPace(longest, adapts=run.steps_per_call == "auto")
            lane_set = Lanes(vectorized, states, feeds[begin : begin + size], pace)
            for number, entry in enumerate(members):
                program = LaneProgram(lane_set, number, layouts[begin + number])
                lanes.append(Lane(entry, LaneNetwork(lane_set, number, network), program))
    return choice, lanes
