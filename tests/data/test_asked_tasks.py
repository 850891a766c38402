"""Labels that may be classes or numbers are what the loss takes them for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.helpers.splits import refused
from trainer import Experiment
from trainer.data.sources.in_memory import GivenData

N = 24
INPUTS = np.arange(N * 4, dtype=np.float32).reshape(N, 4)
TOKENS = np.arange(N * 5).reshape(N, 5) % 3
WHOLE = (np.arange(N) % 3).astype(np.float64)
AMBIGUOUS = {"rows of whole numbers": TOKENS, "whole numbers in fractions": WHOLE}


def experiment(data: Any, *asked: str, **settings: Any) -> Experiment:
    """An experiment with such a loss and given arrays, whose facts were not asked for before."""
    given = GivenData(**settings).of(data)
    return Experiment.composed("model=mlp", *asked).with_parts({"data": given})


@pytest.mark.parametrize("labels", AMBIGUOUS.values(), ids=AMBIGUOUS)
@pytest.mark.parametrize(
    ("loss", "classes"),
    [("cross_entropy", 3), ("focal", 3), ("mean_squared_error", None), ("huber", None)],
)
def test_a_loss_of_classes_or_of_numbers_decides(
    loss: str, classes: int | None, labels: Any
) -> None:
    label = experiment((INPUTS, labels), f"loss={loss}").data.facts().label
    assert label.classes == classes
    assert label.shape == (labels.shape[1:] or (() if classes else (1,)))


@pytest.mark.parametrize("labels", AMBIGUOUS.values(), ids=AMBIGUOUS)
@pytest.mark.parametrize("loss", ["auto", "binary_cross_entropy"])
def test_a_loss_for_either_does_not(loss: str, labels: Any) -> None:
    problem = refused(lambda: experiment((INPUTS, labels), f"loss={loss}").data.facts())
    assert "task: classification" in problem.hint
    assert "task: regression" in problem.hint


def test_each_of_several_labels_is_what_its_own_loss_takes_it_for() -> None:
    data = INPUTS, {"tokens": TOKENS, "counts": TOKENS}
    asked = "loss.outputs={tokens: cross_entropy, counts: mean_squared_error}"
    labels: Any = experiment(data, asked).data.facts().labels
    assert (labels["tokens"].classes, labels["counts"].classes) == (3, None)


def test_what_a_loss_takes_whole_numbers_in_windows_for() -> None:
    rows = np.arange(60) % 3
    settings: dict[str, Any] = {"window": {"length": 4}}
    classes = experiment((INPUTS[:, 0].repeat(3)[:60], rows), "loss=cross_entropy", **settings)
    assert classes.data.facts().label.classes == 3
    numbers = experiment((rows, rows), "loss=mean_squared_error", **settings)
    assert numbers.data.facts().label.classes is None
    open_to_both = experiment((rows, rows), **settings)
    assert "task: regression" in refused(open_to_both.data.facts).hint


def test_another_loss_with_the_same_data_reads_them_anew() -> None:
    first = experiment((INPUTS, TOKENS), "loss=cross_entropy")
    assert first.data.facts().label.classes == 3
    other = Experiment.composed("loss=mean_squared_error")
    assert first.with_parts({"loss": other.loss}).data.facts().label.classes is None
