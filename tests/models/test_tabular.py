"""The network for tables: what it makes of ids, words and numbers."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from tests.helpers.runs import experiment
from tests.helpers.splits import refused
from trainer.data import Facts
from trainer.data.facts import Feature
from trainer.models.tabular import Tabular
from trainer.scheduled.dials import Dials

FACTS = Facts(
    10,
    {"numbers": Feature((2,)), "job": Feature((1,), "int32", 5), "note": Feature((3,), "int32", 7)},
    {"sort": Feature((), "int32", 3), "price": Feature((1,))},
)


def test_a_row_is_numbers_embeddings_and_the_mean_of_the_words_that_are_there() -> None:
    keras.utils.set_random_seed(0)
    model = Tabular(hidden=(), embedding=4).build(FACTS, Dials(()))
    jobs, words = (model.get_layer(f"embedding_{n}").embeddings.numpy() for n in ("job", "note"))
    notes = np.array([[3, 6, 0], [0, 0, 0]])
    inputs = {"numbers": np.float32([[1, 2], [3, 4]]), "job": np.array([[4], [0]]), "note": notes}
    means = np.stack([(words[3] + words[6]) / 2, np.zeros(4)])
    row = np.concatenate([inputs["numbers"], jobs[[4, 0]], means], axis=1)
    given = model(inputs)
    for name, width in (("sort", 3), ("price", 1)):
        last = model.get_layer(f"logits_{name}")
        assert given[name].shape == (2, width)
        np.testing.assert_allclose(given[name], row @ last.kernel.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("feature", "rule"),
    [
        (Feature((1,), "string"), "takes numbers, and the input job is text"),
        (Feature((1,), "int32"), "must know how many ids there are"),
    ],
)
def test_what_it_can_not_look_up_is_refused(feature: Feature, rule: str) -> None:
    facts = Facts(10, {"job": feature}, Feature((1,)))
    assert rule in refused(lambda: Tabular().check(facts)).rule


def test_whole_numbers_of_arrays_are_numbers_once_the_hint_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", age=np.arange(20), size=np.ones(20), price=np.arange(20) / 7)
    asked = ("data=npz", "data.path=a.npz", "data.inputs=[age,size]", "data.labels=price")

    def check(*more: str) -> None:
        declared = experiment(*asked, "model=tabular", "data.batch_size=8", *more)
        declared.model.check(declared.data.facts())

    problem = refused(check)
    assert "must know how many ids there are" in problem.rule
    override = problem.hint.partition(",")[0]
    assert override == "data.normalise=standardise"
    check(override)
