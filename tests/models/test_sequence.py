"""Models of sequences: of numbers or of tokens, with a label each or one at each step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from schedules import Refused
from tests.helpers.continuation import goes_on_exactly
from tests.helpers.runs import result, trained
from trainer import export
from trainer.data import Facts
from trainer.data.facts import Feature
from trainer.models import Model
from trainer.scheduled.dials import Dials
from trainer.scheduled.keras_internals import mask_of

LABEL, BY_STEP = Feature((), "int32", 3), Feature((6,), "int32", 3)
QUICK = ("optimizer=adam", "schedule.initial_value=0.02", "run.length=80", "evaluate.every=80",
         "~log.tensorboard", "model.dropout=0.05")  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "lstm": {"kind": "rnn", "units": 8, "width": 8},
    "both gru": {"kind": "rnn", "cell": "gru", "units": 6, "width": 8, "bidirectional": True},
    "two simple": {"kind": "rnn", "cell": "simple", "units": 8, "layers": 2, "width": 8},
    "transformer": {"kind": "text", "width": 16, "depth": 1, "heads": 2},
    "convolution": {"kind": "text", "encoder": "convolution", "width": 16, "depth": 1},
}


def overrides(declared: dict[str, Any]) -> tuple[str, ...]:
    fields = [f"model.{name}={value}" for name, value in declared.items() if name != "kind"]
    return (f"model={declared['kind']}", *fields)


def texts(folder: Path) -> tuple[str, ...]:
    """Texts of 3 to 6 tokens: which of 1, 2 and 3 is in one, and what each token leaves over 3."""
    random = np.random.default_rng(0)
    ids = random.integers(4, 12, (600, 6))
    lengths, kinds = random.integers(3, 7, 600), random.integers(0, 3, 600)
    ids[np.arange(600), random.integers(0, lengths)] = kinds + 1
    ids[np.arange(6) >= lengths[:, None]] = 0
    path = folder / "texts.npz"
    np.savez(path, ids=ids, kind=kinds, rest=ids % 3)
    return "data=npz", f"data.path={path}", "data.inputs=ids", "model.tokens=12"


def one(declared: dict[str, Any], time: int, label: Feature, **more: Any) -> keras.Model:
    facts = Facts(10, Feature((time,)), label)
    model = Model.declared({**declared, "tokens": 12, **more})
    model.check(facts)
    return model.build(facts, Dials([]))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in ("two simple", "both gru") else name
        for name in KINDS
    ],
)
def test_it_learns_what_a_text_is_in_the_same_bits_after_a_stop(name: str, tmp_path: Path) -> None:
    asked = (*overrides(KINDS[name]), *texts(tmp_path), "data.labels=kind", *QUICK)
    whole = goes_on_exactly(tmp_path, *asked, stops=(30,))
    assert result(whole)["metrics"]["eval_accuracy"] > 0.9
    assert export.main([str(whole), "export=keras"]) == 0


@pytest.mark.parametrize(
    "name", ["both gru", pytest.param("transformer", marks=pytest.mark.slow), "convolution"]
)
def test_it_learns_what_every_token_is_and_filling_counts_for_nothing(
    name: str, tmp_path: Path
) -> None:
    asked = (*overrides(KINDS[name]), *texts(tmp_path), "data.labels=rest")
    task = "data.task=classification"
    assert trained(tmp_path / "run", *asked, task, *QUICK, "run.length=50") == 0
    assert result(tmp_path / "run")["metrics"]["eval_accuracy"] > 0.95
    assert export.main([str(tmp_path / "run"), "export=saved_model"]) == 0


@pytest.mark.parametrize("label", [LABEL, BY_STEP], ids=["one label", "a label a step"])
@pytest.mark.parametrize("name", KINDS)
def test_filling_changes_nothing(name: str, label: Feature) -> None:
    """Two networks with the same weights, of texts with and without room for filling."""
    long = one(KINDS[name], 6, label)
    short = one(KINDS[name], 4, label if not label.shape else Feature((4,), "int32", 3))
    short.set_weights(long.get_weights())
    ids = np.array([[5, 2, 9, 4, 0, 0], [3, 1, 7, 0, 0, 0]], np.float32)
    found, expected = long(ids), short(ids[:, :4])
    if not label.shape:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        return
    np.testing.assert_array_equal(mask_of(found), ids != 0)
    is_token = ids[:, :4] != 0
    found = np.asarray(found)[:, :4][is_token]
    np.testing.assert_allclose(found, np.asarray(expected)[is_token], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_a_text_without_a_token_gives_numbers(name: str) -> None:
    assert np.isfinite(one(KINDS[name], 6, LABEL)(np.zeros((2, 6), np.float32))).all()


def test_the_order_of_tokens_is_seen() -> None:
    ids = np.array([[5, 2, 9, 4, 3, 1]], np.float32)
    for name, declared in KINDS.items():
        model = one(declared, 6, LABEL)
        assert not np.allclose(model(ids), model(ids[:, ::-1]), atol=1e-4), name


def test_steps_of_numbers_are_read_and_masked_ones_passed_over(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(600, 5, 2)).astype(np.float32)
    x[np.arange(5) >= random.integers(2, 6, 600)[:, None]] = 0
    np.savez(tmp_path / "walk.npz", x=x, y=x.sum(axis=(1, 2)))
    asked = ("data=npz", f"data.path={tmp_path / 'walk.npz'}", "data.inputs=x", "data.labels=y",
             "model=rnn", "model.cell=gru", "model.units=12", *QUICK, "model.mask=0")  # fmt: skip
    assert trained(tmp_path / "run", *asked, "run.length=150", "evaluate.every=150") == 0
    assert result(tmp_path / "run")["metrics"]["eval_loss"] < 0.2 * x.sum(axis=(1, 2)).var()
    model = Model.declared({"kind": "rnn", "units": 4, "mask": 0})
    long, short = (
        model.build(Facts(10, Feature((n, 2)), Feature((1,))), Dials([])) for n in (5, 3)
    )
    short.set_weights(long.get_weights())
    filled = np.concatenate([x[:4, :3], np.zeros((4, 2, 2), np.float32)], axis=1)
    np.testing.assert_allclose(long(filled), short(x[:4, :3]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["transformer", "convolution"])
@pytest.mark.parametrize("causal", [True, False])
def test_causal_tokens_see_none_of_those_after_them(kind: str, causal: bool) -> None:
    model = one({**KINDS[kind], "depth": 2}, 6, BY_STEP, causal=causal)
    ids = np.array([[5, 2, 9, 4, 3, 1]], np.float32)
    other = np.array([[5, 2, 9, 7, 0, 0]], np.float32)
    changed = np.abs(np.asarray(model(ids)) - np.asarray(model(other)))[0]
    before, after = changed[:3], changed[3:]
    assert after.max() > 1e-3
    assert bool(before.max() < 1e-6) == causal


@pytest.mark.parametrize(
    ("declared", "facts", "message"),
    [
        (
            {"kind": "rnn"},
            Facts.of(9, (6,), 2),
            r"model.tokens = null: .*=1000, or data.shape=\[6,1\]",
        ),
        (
            {"kind": "text"},
            Facts.of(9, (6,), 2),
            "model.tokens = null: must say how many.*tokens=1000",
        ),
        ({"kind": "text", "tokens": 9}, Facts.of(9, (6, 2), 2), "model.tokens = 9.*model=rnn"),
        ({"kind": "rnn", "tokens": 9}, Facts.of(9, (6, 2), 2), "model.tokens = 9.*leave it out"),
        ({"kind": "rnn", "tokens": 9, "mask": 0}, Facts.of(9, (6,), 2), "model.mask = 0.0: is for"),
        ({"kind": "rnn"}, Facts.of(9, (8, 8, 1), 2), "takes sequences.*model=cnn takes images"),
        (
            {"kind": "text", "tokens": 9},
            Facts(9, Feature((6,)), Feature((5,), "int32", 2)),
            r"for each of its 6 steps, and the data has 2 classes at each of \[5\] places",
        ),
    ],
)
def test_what_it_can_not_read_is_refused_before_it_is_built(
    declared: dict[str, Any], facts: Facts, message: str
) -> None:
    with pytest.raises(Refused, match=f"(?s){message}"):
        Model.declared(declared).check(facts)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"width": 15}, "width = 15: must be even.*model.width=16"),
        ({"width": 16, "heads": 3}, "heads = 3: must divide width, 16.*known: 1, 2, 4, 8, 16"),
        ({"tokens": 1}, "tokens = 1: leaves no token"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(
    declared: dict[str, Any], message: str
) -> None:
    with pytest.raises(Refused, match=f"(?s){message}"):
        Model.declared({"kind": "text", **declared})
