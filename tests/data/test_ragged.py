"""Rows of different lengths: filled up or cut to one, masked, and the same when predicted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from schedules import Refused
from tests.helpers import records
from tests.helpers.splits import assert_refused
from trainer import Experiment, train
from trainer.data import Data, Preparation
from trainer.data.facts import Feature
from trainer.models.raw_inputs import raw_features
from trainer.predict import main as predict

N = 40
RANDOM = np.random.default_rng(4)
LENGTHS = RANDOM.integers(1, 9, N)
LENGTHS[3], LENGTHS[5] = 9, 1
TOKENS = [RANDOM.integers(1, 12, n).tolist() for n in LENGTHS]
STEPS = [RANDOM.normal(3, 2, (n, 2)) for n in LENGTHS]
LABELS = np.arange(N) % 2


def objects(rows: Any) -> NDArray[Any]:
    array = np.empty(len(rows), object)
    for i, row in enumerate(rows):
        array[i] = np.asarray(row)
    return array


def tensor(rows: Any) -> Any:
    import tensorflow as tf

    return tf.ragged.constant(rows)


FORMS: dict[str, Callable[[Any], Any]] = {
    "lists": lambda rows: rows, "an object array": objects, "a RaggedTensor": tensor,
}  # fmt: skip


def given(inputs: Any, labels: Any = LABELS, **config: Any) -> Any:
    declared: Any = Data.declared({"kind": "given", **config})
    return declared.of(((inputs, labels), (inputs, labels)))


@pytest.mark.parametrize("keep", ["device", "stream"])
@pytest.mark.parametrize("side", ["post", "pre"])
@pytest.mark.parametrize("length", [5, "longest"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_rows_are_those_that_keras_pads(
    form: Callable[[Any], Any], length: Any, side: str, keep: str
) -> None:
    import keras

    ragged = {"length": length, "side": side, "value": 7}
    split = given(form(TOKENS), ragged=ragged, keep=keep).load()
    expected = keras.utils.pad_sequences(
        TOKENS, 9 if length == "longest" else length, padding=side, truncating=side, value=7
    )
    np.testing.assert_array_equal(split.train.inputs, expected)


@pytest.mark.parametrize("normalise", ["none", "standardise"])
def test_what_is_held_out_is_padded_as_what_trains(normalise: str) -> None:
    asked = {"kind": "given", "ragged": {"length": "longest"}, "normalise": normalise}
    declared: Any = Data.declared(asked)
    split = declared.of((objects(STEPS), LABELS)).load()
    assert (split.train.inputs.shape, split.test.inputs.shape) == ((32, 9, 2), (8, 9, 2))
    streamed: Any = Data.declared({**asked, "keep": "stream"})
    assert streamed.of((objects(STEPS), LABELS)).load().digest == split.digest


@pytest.mark.parametrize("side", ["post", "pre"])
def test_normalisation_is_learnt_of_what_rows_hold_and_filling_stays_0(side: str) -> None:
    ragged = {"length": "longest", "side": side}
    data = given(objects(STEPS), ragged=ragged, normalise="standardise")
    split = data.load()
    split.check(data.facts())
    rows = np.concatenate(STEPS)
    preparation: Any = split.preparation.inputs
    np.testing.assert_allclose(preparation.shift, rows.mean(axis=0))
    np.testing.assert_allclose(preparation.scale, rows.std(axis=0))
    for row, steps in zip(split.train.inputs, STEPS, strict=True):
        own = (steps - rows.mean(axis=0)) / rows.std(axis=0)
        held, rest = (row[: len(own)], row[len(own) :])
        if side == "pre":
            held, rest = row[len(row) - len(own) :], row[: len(row) - len(own)]
        np.testing.assert_allclose(held, own, rtol=1e-5, atol=1e-6)
        assert (rest == 0).all()


def test_a_preparation_that_is_kept_pads_alike(tmp_path: Path) -> None:
    ragged = {"length": 6, "side": "pre"}
    split = given(objects(STEPS), ragged=ragged, normalise="standardise").load()
    split.preparation.write(tmp_path / "preparation.json")
    kept = Preparation.read(tmp_path / "preparation.json")
    assert kept == split.preparation
    from trainer.data.ragged import rows_or_array

    np.testing.assert_array_equal(kept.apply(rows_or_array(objects(STEPS))), split.train.inputs)
    short = np.stack([steps[:1] for steps in STEPS])
    assert kept.apply(short).shape == (N, 6, 2)


def test_a_masked_network_does_not_see_how_far_rows_are_filled_up(tmp_path: Path) -> None:
    """The mask takes no part in it: the same network on longer filling gives the same."""
    outcomes = []
    for length in ("longest", 15):
        asked = (f"data={{kind: given, ragged: {{length: {length}}}}}", "data.batch_size=8",
                 "model=rnn", "model.tokens=12", "model.units=4", "model.width=3", "run.length=6",
                 "model.cell=simple",
                 "run.compile=graph")  # fmt: skip
        folder = tmp_path / str(length)
        data = ((TOKENS, LABELS), (TOKENS, LABELS))
        outcomes.append(train(Experiment.composed(*asked), folder, data=data, quiet=True))
    first, second = outcomes
    assert first.metrics["eval_loss"] == pytest.approx(second.metrics["eval_loss"], rel=1e-5)
    predicted = first.predict(TOKENS[:4])
    np.testing.assert_allclose(predicted, second.predict(TOKENS[:4]), rtol=1e-4)
    np.testing.assert_allclose(first.predict([TOKENS[5]]), first.predict(TOKENS[5:6]))


def test_labels_at_each_step_are_padded_with_the_inputs(tmp_path: Path) -> None:
    tags = [[token % 3 for token in row] for row in TOKENS]
    data = given(TOKENS, tags, ragged={"length": "longest"}, task="classification")
    assert data.facts().label.outputs == (9, 3)
    asked = ("data={kind: given, ragged: {length: longest}, task: classification}", "model=rnn",
             "model.tokens=12", "model.units=4", "data.batch_size=8", "run.length=3",
             "model.cell=simple",
             "run.compile=graph")  # fmt: skip
    same = ((TOKENS, tags), (TOKENS, tags))
    outcome = train(Experiment.composed(*asked), tmp_path, data=same, quiet=True)
    # Filling counts for nothing: the accuracy is a share of the steps that rows hold.
    steps = sum(LENGTHS)
    right = outcome.metrics["eval_accuracy"] * steps
    assert right == pytest.approx(round(right), abs=1e-3)


def test_each_input_has_a_length_of_its_own() -> None:
    inputs = {"words": TOKENS, "steps": objects(STEPS), "age": np.ones((N, 2))}
    facts = given(inputs, ragged={"length": {"words": 4}}).facts()
    assert {name: one.shape for name, one in facts.inputs.items()} == {
        "words": (4,), "steps": (9, 2), "age": (2,),
    }  # fmt: skip
    assert facts.inputs["words"].dtype == "int32"


RAGGED = {"length": "longest"}
REFUSALS: dict[str, tuple[Callable[[], object], str, str, str]] = {
    "nothing says how": (
        lambda: given(TOKENS).facts(), "inputs", "has rows of 1 to 9 steps",
        "data={kind: given, ragged: {length: longest}}",
    ),
    "nothing to fill up": (
        lambda: given(np.ones((N, 4)), ragged=RAGGED).facts(), "ragged",
        "all have one", "leave it out",
    ),
    "a value that is normalised": (
        lambda: given(objects(STEPS), ragged={**RAGGED, "value": 2}, normalise="scale").facts(),
        "ragged.value", "is normalised with the data", "{value: 0}",
    ),
    "a fraction among ids": (
        lambda: given(TOKENS, ragged={**RAGGED, "value": 0.5}).facts(), "ragged.value",
        "is no whole number", "{value: 0}",
    ),
    "a value that is not finite": (
        lambda: given([*TOKENS[:-1], [1.0, np.nan]], ragged=RAGGED).facts(), "inputs",
        "not finite, in example 39", "clean",
    ),
    "windows of them": (
        lambda: Data.declared({"kind": "npz", "path": "a", "ragged": RAGGED,
                               "window": {"length": 3}}), "ragged", "each row is a step", "leave",
    ),
    "rows of no steps": (
        lambda: given(tensor([[], []]), np.arange(2), ragged=RAGGED).facts(), "inputs",
        "no steps", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS)
def test_rows_that_can_not_be_padded_are_refused(
    case: tuple[Callable[[], object], str, str, str],
) -> None:
    assert_refused(*case)


def _parquet(tokens: Any, labels: Any) -> dict[str, Any]:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"words": tokens, "label": labels}), "a.parquet")
    return {"kind": "parquet", "path": "a.parquet", "target": "label"}


def _records(tokens: Any, labels: Any) -> dict[str, Any]:
    rows = [{"words": row, "label": int(label)} for row, label in zip(tokens, labels, strict=True)]
    records.write(Path("a.tfrecord"), rows)
    return {"kind": "tfrecord", "path": "a.tfrecord", "inputs": ["words"]}


def _hub(tokens: Any, labels: Any) -> dict[str, Any]:
    datasets = pytest.importorskip("datasets", reason="an extra")
    columns = {"words": tokens, "label": labels.tolist()}
    datasets.disable_progress_bars()
    datasets.Dataset.from_dict(columns).save_to_disk("hub")
    return {"kind": "huggingface", "path": "hub", "inputs": ["words"], "normalise": "none"}


SOURCES = {"parquet": _parquet, "tfrecord": _records, "huggingface": _hub}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_rows_in_files_are_padded_as_those_that_are_given(
    source: Callable[[Any, Any], dict[str, Any]], here: Path
) -> None:
    asked = source(TOKENS, LABELS)
    data = Data.declared({**asked, "ragged": RAGGED})
    expected: Any = Data.declared({"kind": "given", "ragged": RAGGED})
    assert data.load().digest == expected.of(({"words": TOKENS}, LABELS)).load().digest
    with pytest.raises(Refused, match=r"ragged=\{length: longest\}"):
        Data.declared(asked).load()


def test_lists_of_one_length_are_an_input_as_they_are(here: Path) -> None:
    asked = _parquet([[1.0, 2.0, float(i)] for i in range(N)], LABELS)
    split = Data.declared({**asked, "normalise": "none"}).load()
    assert split.train.inputs["words"].shape == (32, 3)
    # An exported model takes such rows as they are, and no single cells by their columns.
    assert raw_features(split.preparation) == {"words": Feature((3,))}


def test_predictions_have_the_length_that_the_network_learnt(here: Path) -> None:
    _parquet(TOKENS, LABELS)
    asked = ("data=parquet", "data.path=a.parquet", "data.target=label", "model=rnn",
             "data.ragged.length=longest", "model.tokens=12", "model.units=4", "model.width=3",
             "data.batch_size=8", "run.length=2", "run.compile=graph",
             "model.cell=simple")  # fmt: skip
    outcome = train(Experiment.composed(*asked), Path("run"), quiet=True)
    short, others = ([[1 + i % 11 for i in range(j, j + n)] for j in range(5)] for n in (4, 30))
    assert outcome.predict({"words": short}).shape == (5, 2)
    expected = outcome.predict({"words": others})
    np.testing.assert_allclose(expected, outcome.predict({"words": [x[:9] for x in others]}))
    Path("a.parquet").rename("kept.parquet")
    _parquet(others, np.arange(5) % 2)
    Path("a.parquet").rename("others.parquet")
    Path("kept.parquet").rename("a.parquet")
    assert predict(["run", "data.test=others.parquet", "--output", "others.npy"]) == 0
    np.testing.assert_allclose(np.load("others.npy"), expected, rtol=1e-5)
