"""Where a run begins or goes on from, and what is put together there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial

import keras
import tensorflow as tf

from schedules.declaration import within

from ..config.experiment import Experiment
from ..data import Split
from ..data.feeds.feed import Feed
from ..data.feeds.order import Stream
from ..data.feeds.select import feeding, limited
from ..engine.compile_choice import Chosen, Pace, measured
from ..engine.network import Network
from ..engine.program import Compiled, Program
from ..engine.replicas import Mirrors, Replicas
from ..engine.replicated_program import Unison
from ..engine.workers import Workers
from ..runs.atomic_files import write
from ..runs.checkpoint_writer import Saving
from ..runs.checkpoints import Checkpoints, Saved
from ..runs.events import Events
from ..runs.folder import Folder
from ..runs.mailbox import Mail
from ..runs.trial import Trial
from ..scheduled.tape import Tape
from ..trackers.delivery import Couriers
from .metrics_log import Record
from .orders import Commands
from .profiling import Profiling
from .session import Session, Trains, Unfit

LONGEST = 2000
"""The most updates in a call where the config leaves it open: what the padded tables hold."""


def decided(folder: Folder) -> Chosen | None:
    """What an earlier process on this folder settled on.

    Raises:
        Unfit: when what it left can't be read.
    """
    if not folder.chosen.exists():
        return None
    try:
        return Chosen(**json.loads(folder.chosen.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise Unfit(f"{folder.chosen.name} can't be read: {error}") from None


def loaded(experiment: Experiment) -> Split:
    """The examples, looked over.

    Raises:
        Refused: when they can't be learnt from.
    """
    with within("data"):
        data = experiment.data.load()
    data.check(experiment.data.facts())
    return data


@dataclass
class Start:
    """Where a run begins or goes on from, before there is a network."""

    experiment: Experiment
    folder: Folder
    data: Split
    device: str
    tape: Tape
    stream: Stream
    checkpoints: Checkpoints
    saved: Saved | None = None
    """The newest checkpoint."""
    damaged: list[str] = field(default_factory=list)
    """What was wrong with newer ones."""

    @classmethod
    def of(cls, experiment: Experiment, folder: Folder, data: Split, device: str) -> Start:
        """What the folder holds already, and the tape and the order of the examples."""
        start = cls.apart(experiment, folder, data, device)
        start.checkpoints.clean()
        start.saved, start.damaged = start.checkpoints.newest()
        return start

    @classmethod
    def apart(cls, experiment: Experiment, folder: Folder, data: Split, device: str) -> Start:
        """The same without a look into the folder, which may be another process's."""
        driven = experiment.driven()
        bounds = {name: value.bounds for name, value in driven.items()}
        tape = Tape(experiment.curves(), bounds, experiment.total_steps())
        stream = Stream(experiment.run.seed, len(data.train), experiment.data.batch_size)
        keep = experiment.checkpoint.keep
        checkpoints = Checkpoints(folder.checkpoints, keep, experiment.keeps_forever)
        return cls(experiment, folder, data, device, tape, stream, checkpoints)

    @property
    def longest(self) -> int:
        """The most updates of a call: none goes beyond an evaluation or a checkpoint."""
        experiment = self.experiment
        asked = experiment.run.steps_per_call
        longest = min(
            LONGEST if asked == "auto" else asked,
            experiment.cadence(experiment.evaluate).longest,
            experiment.saving().longest,
        )
        return limited(experiment.data, self.data, longest)

    def network(self) -> Network:
        """The network before its first update, drawn from the run's seed.

        Raises:
            Refused: as `Network.declared` says.
        """
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(self.experiment.run.seed)
        return Network.declared(self.experiment, self.tape.names, self.data.train.labels)

    def built(
        self, strategy: tf.distribute.Strategy | None
    ) -> tuple[Network, Callable[[Compiled], Program]]:
        """The network on its device, or on those of a strategy, and what makes a program of it.

        Raises:
            Refused: as `network` and `Replicas` say.
        """
        run = self.experiment.run

        def feed() -> Feed:
            return feeding(self.experiment.data, self.data, self.stream)

        if strategy is not None:
            workers = None
            if cluster := self.experiment.device.cluster():
                workers = Workers(strategy, cluster)
                workers.agree(self.experiment, self.data.digest)
            replicas = Replicas(self.experiment, strategy, self.network, feed, workers)
            return replicas.network, partial(Unison, replicas, longest=self.longest)
        network, examples = self.network(), feed()

        def build(compiled: Compiled) -> Program:
            skips = run.on_nonfinite == "skip"
            return Program(network, examples, compiled, self.longest, run.micro_batches, skips)

        return network, build

    def ask(self, program: Program, count: int) -> None:
        """Makes the first `count` updates."""
        program.update(self.tape.read(0, count), 0)

    def compared(self, strategy: tf.distribute.Strategy | None) -> Chosen:
        """What measuring would choose, on a network made for it.

        Raises:
            Refused: as `built` says.
        """
        with tf.device(self.device):
            _, build = self.built(strategy)
            chosen, _ = measured(build, self.ask)
        return chosen

    def chosen(self) -> Chosen | None:
        """How to compile, where the config or an earlier process on this folder decided.

        Raises:
            Unfit: when what it left can't be read.
        """
        if self.experiment.run.compile != "auto":
            return Chosen(self.experiment.run.compile, {})
        if found := decided(self.folder):
            return found
        return Chosen(self.saved.about["compile"], {}, "as it began") if self.saved else None

    def session(self, network: Network, program: Trains, chosen: Chosen, pace: Pace) -> Session:
        """The run, at its newest checkpoint or at the beginning.

        Raises:
            Refused: when something waits for a metric that evaluations won't find.
            Unfit: when the checkpoint does not fit the network.
        """
        experiment, folder = self.experiment, self.folder
        write(folder.chosen, json.dumps(asdict(chosen), indent=1) + "\n")
        self.data.preparation.write(folder.preparation)
        mail = Mail(folder.path)
        mail.open()
        couriers = Couriers.of(experiment.log, folder)
        session = Session(
            experiment=experiment,
            folder=folder,
            network=network,
            program=program,
            tape=self.tape,
            stream=self.stream,
            record=Record(folder.path, couriers),
            couriers=couriers,
            events=Events(folder.path),
            commands=Commands(mail),
            saving=Saving(self.checkpoints, lambda step, error: session.saved_or_not(step, error)),
            workers=network.workers if isinstance(network, Mirrors) else None,
            chosen=chosen,
            pace=pace,
            profiling=Profiling(
                experiment.run.profile, folder.path, lambda said: session.say("profile", said)
            ),
            data=self.data,
            device=self.device,
            identity={
                "optimizer": experiment.optimizer.kind,
                "data": self.data.digest,
                "seed": experiment.run.seed,
                "compile": chosen.compile,
                "replicas": network.replicas,
            },
            trial=Trial.of(folder.path),
        )
        experiment.check_metrics()
        for reason in self.damaged:
            session.say("damaged", f"left out a damaged checkpoint, {reason}")
        _go_on(session, self.saved)
        return session


def _go_on(session: Session, saved: Saved | None) -> None:
    """Puts a session where its run's newest checkpoint was made, or at the beginning."""
    if saved is None:
        session.record.go_on(0, 0, again=True)
        session.commands.recall(session, 0)
        if session.experiment.run.on_nonfinite == "rewind":
            session.save()
        return
    free = ("data", "seed", "compile", "replicas")
    for name, value in session.identity.items():
        if saved.about[name] != value:
            differs = f"its {name} is {saved.about[name]}, and this run's is {value}"
            if name not in free:
                raise Unfit(differs)
            if session.experiment.resume.policy != "config":
                raise Unfit(f"{differs}\n  hint: resume.policy=config goes on all the same")
    session.restore(saved, again=True)
    session.events.add(session.step, "went on")
