"""One run put together: from its declaration and its folder to everything the loop works with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from schedules.refusal import within

from .checkpoint import Checkpoints, Saved
from .choice import Chosen, Pace, measured
from .data import Split
from .experiment import Experiment
from .folder import Folder, write
from .live import probe
from .network import Network
from .program import Compiled, Placed, Program
from .record import Record
from .stream import Stream
from .tape import Tape

LONGEST = 2000
"""The most updates in a call where the config leaves it open: what the padded tables hold."""


class Unfit(Exception):  # noqa: N818  # says what the checkpoint is
    """A checkpoint that was made by another kind of run than this one."""


@dataclass
class Session:
    """What the loop reads and writes. `step` is the position: how many updates are done."""

    experiment: Experiment
    folder: Folder
    network: Network
    program: Program
    tape: Tape
    stream: Stream
    record: Record
    checkpoints: Checkpoints
    chosen: Chosen
    pace: Pace
    data: Split
    device: str
    identity: dict[str, Any]
    """What a checkpoint must have in common with the run that goes on from it."""
    step: int
    metrics: dict[str, float]
    """What the last evaluation found."""

    @classmethod
    def begin(cls, experiment: Experiment, folder: Folder) -> Session:
        """Builds the network on its device and goes on from the folder's newest checkpoint.

        Raises:
            Refused: when the machine lacks the device, or Keras can't follow a schedule.
            Unfit: when the checkpoint does not fit the network.
        """
        if experiment.run.deterministic:
            tf.config.experimental.enable_op_determinism()
        device = experiment.device.choose()
        with within("optimizer"):
            probe(experiment.optimizer)
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(experiment.run.seed)
        data = experiment.data.load()
        tape = Tape(experiment.curves())
        batch_size = experiment.data.batch_size
        stream = Stream(experiment.run.seed, len(data.train), batch_size)
        asked = experiment.run.steps_per_call
        longest = min(LONGEST if asked == "auto" else asked, experiment.total_steps())
        with tf.device(device):
            network = Network.declared(experiment, tape.names)
            placed = Placed.of(data)

        def build(compiled: Compiled) -> Program:
            parts = experiment.run.micro_batches
            return Program(network, placed, compiled, longest, batch_size, parts)

        def ask(program: Program, count: int) -> None:
            program.update(tape.read(0, count), stream.indices(0, count))

        with tf.device(device):
            chosen = _chosen(experiment, folder.chosen)
            if chosen is None:
                chosen, program = measured(build, ask)
            else:
                program = build(chosen.compile)
                ask(program, 0)  # compiles, so that the first updates are as fast as the rest
        write(folder.chosen, json.dumps(asdict(chosen), indent=1) + "\n")
        checkpoints = Checkpoints(folder.checkpoints, experiment.checkpoint.keep)
        identity = {
            "optimizer": experiment.optimizer.kind,
            "data": data.digest,
            "seed": experiment.run.seed,
            "compile": chosen.compile,
        }
        saved = _restored(checkpoints, identity, network, tape)
        try:
            record = Record(folder.path, saved.about["record"] if saved else 0)
        except EOFError as error:
            raise Unfit(str(error)) from None
        return cls(
            experiment=experiment,
            folder=folder,
            network=network,
            program=program,
            tape=tape,
            stream=stream,
            record=record,
            checkpoints=checkpoints,
            chosen=chosen,
            pace=Pace(longest, adapts=asked == "auto"),
            data=data,
            device=device,
            identity=identity,
            step=saved.step if saved else 0,
            metrics=saved.about["metrics"] if saved else {},
        )

    def epoch(self, step: int) -> float:
        """How many passes over the training examples `step` updates are."""
        return step * self.stream.batch_size / self.stream.examples

    def evaluate(self) -> None:
        """Looks at the test examples; the schedules that react to it hear what was found."""
        found = self.program.evaluate()
        self.metrics = {f"eval_{name}": value for name, value in found.items()}
        for curve in self.tape.curves.values():
            curve.observe(self.metrics, self.step)
        self.record.write([{"step": self.step, "epoch": self.epoch(self.step), **self.metrics}])

    def save(self) -> Path:
        """Writes a checkpoint of this very moment."""
        about = {
            "record": self.record.position(),
            "metrics": self.metrics,
            "curves": {name: curve.state() for name, curve in self.tape.curves.items()},
            **self.identity,
        }
        return self.checkpoints.save(self.step, self.network.state(), about)


def _restored(
    checkpoints: Checkpoints, identity: Mapping[str, Any], network: Network, tape: Tape
) -> Saved | None:
    """The newest checkpoint, put back into the network and the curves."""
    saved, damaged = checkpoints.newest()
    for reason in damaged:
        print(f"left out a damaged checkpoint, {reason}")
    if saved is None:
        return None
    for name, value in identity.items():
        if saved.about[name] != value:
            raise Unfit(f"its {name} is {saved.about[name]}, and this run's is {value}")
    try:
        network.restore(saved.arrays)
    except ValueError as error:
        raise Unfit(str(error)) from None
    for name, curve in tape.curves.items():
        curve.restore(saved.about["curves"][name])
    return saved


def _chosen(experiment: Experiment, path: Path) -> Chosen | None:
    """What the config or an earlier process on this folder decided."""
    if experiment.run.compile != "auto":
        return Chosen(experiment.run.compile, {})
    return Chosen(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None
