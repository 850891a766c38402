"""Networks side by side in one program, each beside the same network alone."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.kinds import KINDS, built
from tests.helpers.networks import Trained
from trainer.data.feeds.select import make_feed
from trainer.engine.declared_network import declared_network
from trainer.engine.program import Program
from trainer.scheduled.tape import Tape
from trainer.sweeps.vectorized.grouping import compile_key, constant_values, shared_experiment
from trainer.sweeps.vectorized.lanes import (
    LaneNetwork,
    Lanes,
    RowLayout,
    SharedPace,
    stack_states,
)
from trainer.sweeps.vectorized.vectorized_program import STEP, VectorizedProgram

SMALL = ("model.hidden=[6]", "schedule=cosine")
UPDATES = 6

# Numbers in which the two networks differ though no schedule drives them; besides weight decay.
APART: dict[str, tuple[str, ...]] = {
    "sgd": ("optimizer.momentum={}",),
    "momentum": ("optimizer.momentum={}",),
    "nesterov": ("optimizer.momentum={}",),
    "rmsprop": ("optimizer.momentum={}", "optimizer.rho={}"),
    "adam": ("optimizer.beta_1={}",),
    "nadam": ("optimizer.beta_1={}",),
    "adadelta": ("optimizer.rho={}",),
    "ftrl": ("optimizer.l1_regularization_strength={}",),
    "adafactor": ("optimizer.clip_threshold={}",),
    "lion": ("optimizer.beta_1={}",),
    "muon": ("optimizer.momentum={}", "optimizer.adam_weight_decay={}"),
}


class Beside:
    """Two networks in one program, and each of them alone, a few updates on."""

    def __init__(self, first: tuple[str, ...], second: tuple[str, ...], compiled: Any = "graph"):
        self.alone = [Trained(*SMALL, *asked, compiled=compiled) for asked in (first, second)]
        declared = [run.declared for run in self.alone]
        assert compile_key(declared[0]) == compile_key(declared[1])
        whole = shared_experiment(declared)
        names = list(whole.driven())
        maker = Trained(*SMALL, *first)
        self.state = stack_states([run.network.state() for run in self.alone])
        keras.utils.clear_session(free_memory=False)
        network = declared_network(whole, names, stateless=True)
        feed = make_feed(whole.data, maker.data, maker.stream)
        parts, skips = whole.run.micro_batches, whole.run.on_nonfinite == "skip"
        self.program = VectorizedProgram(network, feed, compiled, 50, 2, parts, skips)
        self.feeds = [feed.in_order(run.stream) for run in self.alone]
        self.rows = [
            RowLayout.for_tape(names, Tape(run.curves), constant_values(run.declared, whole))
            for run in self.alone
        ]
        self.losses: list[Any] = []

    def update(self, step: int = 0, count: int = UPDATES, only: Any = (True, True)) -> Any:
        tables = [
            rows.program_rows(Tape(run.curves).read(step, count))
            for rows, run in zip(self.rows, self.alone, strict=True)
        ]
        feed_args = [feed.args(step, count, 50) for feed in self.feeds]
        message = self.program.update(self.state, np.stack(tables, 1), feed_args, np.array(only))
        self.state = message.state
        return message

    def compare(self, lane: int, tolerance: float = 2e-5, evaluates: bool = False) -> None:
        """Trains one of them alone, and compares everything about it."""
        run = self.alone[lane]
        losses = run.update(0, UPDATES)
        message = self.update()
        np.testing.assert_allclose(message.losses[:, lane], losses, rtol=tolerance)
        for name, expected in run.network.state().items():
            found = np.asarray(self.state[name])[lane]
            assert found.dtype == expected.dtype
            scale = np.abs(expected).max()
            np.testing.assert_allclose(
                found, expected, rtol=tolerance, atol=tolerance * scale, err_msg=name
            )
        if not evaluates:
            return
        evaluated = self.program.evaluate(self.state)[lane]
        assert evaluated == pytest.approx(run.program.evaluate(), rel=1e-4)


QUICK = ("adam", "adafactor", "momentum")
"""One of each sort: with moments of every number, of rows and columns, and of TensorFlow's own."""


@pytest.mark.parametrize("kind", [*built(QUICK), *built(set(KINDS) - set(QUICK), pytest.mark.slow)])
def test_every_optimizer_does_to_a_network_what_it_does_to_it_alone(kind: str) -> None:
    def asked(seed: int, rate: float, number: float) -> tuple[str, ...]:
        own = [setting.format(number) for setting in APART.get(kind, ())]
        return (
            f"optimizer={kind}", f"run.seed={seed}", f"schedule.initial_value={rate}", *own,
            f"optimizer.weight_decay={number / 10}", "optimizer.clipnorm=0.5",
        )  # fmt: skip

    Beside(asked(1, 0.01, 0.5), asked(2, 0.05, 0.9)).compare(1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        # Its own random numbers, in parts of a batch; its own average, and labels smoothed or not.
        (
            (
                *("model.dropout=0.2", "ema.momentum=0.5", "loss.label_smoothing=0", "run.seed=3"),
                *("data.augment={flip:horizontal,noise:0.1}", "run.micro_batches=2"),
            ),
            (
                *("model.dropout=0.6", "ema.momentum=0.9", "loss.label_smoothing=0.3"),
                *("data.augment={flip:horizontal,noise:0.1}", "run.micro_batches=2", "run.seed=4"),
            ),
        ),
        # A layer that never trains.
        (
            ("model.frozen=['dense_1']", "optimizer=adam", "run.seed=3"),
            ("model.frozen=['dense_1']", "optimizer=adam", "run.seed=4"),
        ),
        # A norm over all variables of one network, and not of its neighbour.
        (
            ("optimizer.layer_decay=0.5", "optimizer.global_clipnorm=0.01"),
            ("optimizer.layer_decay=0.5", "optimizer.global_clipnorm=0.5"),
        ),
        (
            ("optimizer.groups={biases:{paths:['*/bias'],momentum:{kind:constant,value:0.1}}}",),
            ("optimizer.groups={biases:{paths:['*/bias'],momentum:{kind:constant,value:0.8}}}",),
        ),
        # Evaluated by an average that the rule keeps.
        (
            ("optimizer=schedule_free_adamw", "run.micro_batches=2"),
            ("optimizer=schedule_free_adamw", "run.micro_batches=2", "run.seed=2"),
        ),
        (("run.precision=mixed_bfloat16",), ("run.precision=mixed_bfloat16", "run.seed=2")),
        (
            ("model=cnn", "model.filters=[2]", "model.hidden=[]"),
            ("model=cnn", "model.filters=[2]", "model.hidden=[]", "run.seed=2"),
        ),
    ],
)
def test_whatever_else_an_update_is_made_of_is_what_it_is_alone(
    first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    both = Beside(first, second)
    both.compare(
        1,
        tolerance=1e-2 if "run.precision=mixed_bfloat16" in first else 2e-5,
        evaluates=True,
    )


@pytest.mark.parametrize("asked", ["optimizer=schedule_free_adamw", "ema={momentum: 0.9}"])
def test_the_averages_of_a_network_are_told_by_the_digest_that_it_has_alone(asked: str) -> None:
    both = Beside((asked,), (asked, "run.seed=2"))
    for run in both.alone:
        run.update(0, UPDATES)
    states = [run.network.state() for run in both.alone]
    lanes = Lanes(both.program, states, both.feeds, SharedPace(50, adapts=False))
    for number, run in enumerate(both.alone):
        message = LaneNetwork(lanes, number, both.program.network).average_digest()
        assert message == run.network.average_digest() != run.network.digest()


def test_compiled_by_xla_they_are_what_they_are_alone_and_traced_once() -> None:
    both = Beside(("optimizer=adam",), ("optimizer=adam", "run.seed=2"), compiled="xla")
    both.compare(1)
    both.update(UPDATES, 3)
    assert both.program.traces == 1


def test_a_network_that_is_not_finite_stays_and_leaves_the_other_alone() -> None:
    both = Beside(("schedule.initial_value=1e30",), ("run.seed=2",))
    message = both.update()
    assert message.made[0] < UPDATES
    assert not message.finite[message.made[0] - 1, 0]
    assert message.made[1] == UPDATES
    assert all(np.isfinite(np.asarray(value)).all() for value in both.state.values())
    expected = both.alone[1].update(0, UPDATES)
    np.testing.assert_allclose(message.losses[:, 1], expected, rtol=2e-5)


def test_where_updates_are_skipped_each_network_skips_its_own() -> None:
    skips = "run.on_nonfinite=skip"
    bad = "schedule={kind:table,values:[0.01,1e30,0.01,0.01,0.01,0.01]}"
    both = Beside((skips, bad), (skips, "schedule.initial_value=0.01"))
    message = both.update()
    assert message.made.tolist() == [UPDATES, UPDATES]
    assert not message.finite[:, 0].all()
    assert message.finite[:, 1].all()
    alone = both.alone[0]
    program = Program(alone.network, both.feeds[0], "graph", 50, skips=True)
    losses = program.update(Tape(alone.curves).read(0, UPDATES), 0).losses
    np.testing.assert_allclose(message.losses[:, 0], losses, rtol=2e-5)


def test_a_network_that_takes_no_part_stays_as_it_is() -> None:
    both = Beside((), ("run.seed=2",))
    before = {name: np.asarray(value) for name, value in both.state.items()}
    both.update(only=(False, True))
    for name, value in both.state.items():
        assert np.array_equal(np.asarray(value)[0], before[name][0]), name
    assert np.asarray(both.state[STEP]).tolist() == [0, UPDATES]


def test_a_vectorized_program_takes_no_network_whose_optimizers_are_not_stateless() -> None:
    alone = Trained(*SMALL)
    feed = make_feed(alone.declared.data, alone.data, alone.stream)
    with pytest.raises(ValueError, match="must be stateless"):
        VectorizedProgram(alone.network, feed, "graph", 50, 2)


def test_a_network_is_the_same_whatever_its_neighbour() -> None:
    tf.config.experimental.enable_op_determinism()
    one = Beside((), ("run.seed=2",)).update()
    other = Beside(("run.seed=7", "schedule.initial_value=0.3"), ("run.seed=2",)).update()
    for name, value in one.state.items():
        assert np.array_equal(np.asarray(value)[1], np.asarray(other.state[name])[1]), name
