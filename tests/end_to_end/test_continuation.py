"""Going on after a stop, for every optimizer with everything on that it can have."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.continuation import goes_on_exactly
from tests.helpers.kinds import KINDS, built
from tests.helpers.runs import SMALL, experiment

FEW = ("adafactor", "adam", "momentum", "muon")
"""The ones that every test run looks at: slots of their own, of Keras', few and many."""


def scheduled(kind: str) -> str:
    """An override that puts the last schedulable field on a line within its bounds."""
    limits = experiment(f"optimizer={kind}").optimizer.bounds()
    *_, name = (name for name in limits if "clip" not in name)
    low, high = limits[name].apart()
    return f"optimizer.{name}={{kind: linear, initial_value: {low}, end_value: {high}}}"


@pytest.mark.parametrize("mode", ["graph", pytest.param("xla", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "kind",
    [*built(FEW), *built(set(KINDS) - set(FEW), pytest.mark.slow)],
)
def test_every_optimizer_goes_on_in_the_same_bits(kind: str, mode: str, tmp_path: Path) -> None:
    asked = (
        *SMALL,
        f"run.compile={mode}",
        "run.length=14",
        f"optimizer={kind}",
        "schedule.initial_value=0.001",
        scheduled(kind),
        "optimizer.groups={biases: {paths: ['*/bias'], learning_rate_factor: 0.5}}",
        "model.dropout={kind: linear, initial_value: 0.5, end_value: 0.0}",
        "ema={momentum: 0.9}",
        "run.micro_batches=2",
        "data.augment={flip: horizontal, crop: 1, noise: 0.05}",
    )
    goes_on_exactly(tmp_path, *asked, stops=(5,))
