"""What networks of one program begin with, each beside the same network drawn alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.config.experiment import Experiment
from trainer.config.hydra import compose
from trainer.config.plan import Plan
from trainer.data import Split
from trainer.runs.folder import Folder
from trainer.sweeps.vectorized.drawn_states import DrawnStates
from trainer.training.setup import RunSetup, loaded

SMALL = ("data=digits", "model=mlp", "model.hidden=[6]")
ASKED = {
    "slots of zeros and seeds of dropout": ("optimizer=momentum", "model.dropout=0.2"),
    "several slots and averages": ("optimizer=adam", "+ema={momentum: 0.9}"),
    "averages of a rule": ("optimizer=schedule_free_adamw",),
}


@pytest.fixture(scope="module")
def data() -> Split:
    return loaded(Experiment.declared(compose([*SMALL])))


def setup_of(data: Split, folder: Path, *asked: str) -> RunSetup:
    plan = Plan.of(Experiment.declared(compose([*SMALL, *asked])))
    return RunSetup.of(plan, Folder(folder), data, "/CPU:0")


@pytest.mark.parametrize("kind", ASKED)
def test_every_seed_has_the_bits_that_it_has_alone_and_two_networks_are_built(
    kind: str, data: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [(*ASKED[kind], f"run.seed={seed}") for seed in (1, 2, 3, 3)]
    setups = [setup_of(data, tmp_path, *each) for each in asked]
    alone = [setup.network().state() for setup in setups[:3]]
    built: list[int] = []
    network = RunSetup.network

    def counted(setup: RunSetup) -> object:
        built.append(setup.plan.experiment.run.seed)
        return network(setup)

    monkeypatch.setattr(RunSetup, "network", counted)
    drawn = DrawnStates()
    states = [drawn.of(setup) for setup in setups]
    for state, expected in zip(states, [*alone, alone[2]], strict=True):
        assert list(state) == list(expected)
        for name, value in expected.items():
            assert state[name].dtype == value.dtype
            assert state[name].tobytes() == value.tobytes(), name
    assert built == [1, 2]


def test_runs_that_differ_in_numbers_of_their_own_are_drawn_once(
    data: Split, tmp_path: Path
) -> None:
    drawn = DrawnStates()
    one, like, other = (
        setup_of(data, tmp_path, *asked)
        for asked in (
            (),
            ("schedule.initial_value=0.5", "run.length=9"),
            ("model.activation=tanh", "model.hidden=[5]"),
        )
    )
    assert drawn.of(one) is drawn.of(like)
    assert (64, 5) in {array.shape for array in drawn.of(other).values()}
