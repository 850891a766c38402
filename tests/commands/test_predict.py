"""What a run says of examples that it never saw: raw, unlabelled, and of columns in any order."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schedules import Refused
from tests.helpers.runs import experiment
from trainer import predict as door
from trainer import train

ROWS = 60
AGES = np.arange(ROWS) % 30 + 20.5
JOBS = np.array(["nurse", "smith", "king"])[np.arange(ROWS) % 3]
SORTS = np.array(["cat", "dog"])[np.arange(ROWS) % 2]
PRICES = AGES / 100
ASKED = ("data=csv", "data.path=a.csv", "data.targets=[sort,price]",
         "data.columns.job={kind: category}", "model=tabular", "model.hidden=[4]",
         "data.batch_size=16", "run.compile=graph", "run.length=4")  # fmt: skip


def write(path: str, **columns: Any) -> None:
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(columns), *zip(*columns.values(), strict=True)])


def read(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write("a.csv", age=AGES, job=JOBS, sort=SORTS, price=PRICES)
        return train(experiment(*ASKED), folder / "run", quiet=True)


@pytest.fixture
def here(trained: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained.folder.parent)
    return Path(trained.folder)


def test_an_outcome_predicts_raw_columns_as_it_learnt_them(trained: Any, here: Path) -> None:
    jobs = np.array(["king", "never seen", "nurse"])
    outputs = trained.predict({"more": np.zeros(3), "job": jobs, "age": AGES[:3]})
    kept = trained.predict({"age": AGES[:3], "job": np.array(["king", "king", "nurse"])})
    assert outputs["sort"].shape == (3, 2)
    np.testing.assert_allclose(outputs["sort"].sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(outputs["price"][[0, 2]], kept["price"][[0, 2]])
    unknown = trained.predict({"age": AGES[:3], "job": np.array(["a", "b", "c"])})
    np.testing.assert_array_equal(outputs["price"][1], unknown["price"][1])
    with pytest.raises(Refused, match="lack age"):
        trained.predict({"job": jobs})
    with pytest.raises(Refused, match="not finite"):
        trained.predict({"job": jobs, "age": np.array([1, np.nan, 2])})


def test_a_table_without_labels_is_predicted_row_by_row(trained: Any, here: Path) -> None:
    jobs = [*JOBS[:7], "never seen"]
    write("new.csv", note=["x"] * 8, job=jobs, age=AGES[:8])
    assert door.main([str(here), "data.path=new.csv", "--output=p.csv"]) == 0
    rows, outputs = read("p.csv"), trained.predict({"job": np.array(jobs), "age": AGES[:8]})
    assert list(rows[0]) == ["index", "sort_prediction", "sort_probability_cat",
                             "sort_probability_dog", "price_prediction"]  # fmt: skip
    found = [[float(row["sort_probability_cat"]), float(row["price_prediction"])] for row in rows]
    expected = np.stack([outputs["sort"][:, 0], outputs["price"][:, 0]], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    likelier = np.array(["cat", "dog"])[outputs["sort"].argmax(axis=1)]
    assert [row["sort_prediction"] for row in rows] == likelier.tolist()


def test_other_labelled_rows_are_prepared_by_what_the_run_learnt(trained: Any, here: Path) -> None:
    jobs = np.roll(np.where(np.arange(ROWS) % 5, JOBS, "never seen"), 1)
    write("other.csv", price=PRICES, sort=SORTS, job=jobs, age=AGES[::-1])
    asked = [str(here), "data.path=other.csv", "--part=all", "--output=o.csv"]
    assert door.main(asked) == 0
    got = sorted(float(row["sort_probability_cat"]) for row in read("o.csv"))
    outputs = trained.predict({"job": jobs, "age": AGES[::-1]})
    np.testing.assert_allclose(got, np.sort(outputs["sort"][:, 0]), rtol=1e-5)


def test_a_table_that_lacks_a_column_is_refused(
    trained: Any, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("short.csv", job=JOBS)
    assert door.main([str(here), "data.path=short.csv", "--output=s.csv"]) == 2
    assert "data.inputs = 'age': is no column of" in capsys.readouterr().err


def test_outputs_that_are_no_rows_are_refused_before_tensorflow_and_written_as_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).normal(size=(24, 8, 8, 1)).astype(np.float32)
    labels = np.arange(24 * 64).reshape(24, 8, 8) % 3
    np.savez("a.npz", inputs=images, labels=labels)
    asked = ("data=npz", "data.path=a.npz", "data.batch_size=8", "model=unet", "model.depth=1",
             "model.width=2", "run.length=1", "run.compile=graph")  # fmt: skip
    outcome = train(experiment(*asked), "run", quiet=True)
    with monkeypatch.context() as patch:
        patch.setattr("trainer.predict.import_tensorflow", lambda log: pytest.fail("too late"))
        assert door.main(["run"]) == 2
    hint = capsys.readouterr().err.partition("hint: ")[2].strip()
    assert hint == "--output=predictions.npy"
    assert door.main(["run", "--part=all", hint]) == 0
    np.testing.assert_allclose(np.load("predictions.npy").sum(axis=-1), 1, rtol=1e-5)
    assert outcome.predict(images).shape == (24, 8, 8, 3)


def test_several_outputs_that_only_a_step_compares_are_named_by_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras
    import tensorflow as tf

    monkeypatch.chdir(tmp_path)
    x = keras.Input((3,))
    pair = [keras.layers.Dense(2, name="mean")(x), keras.layers.Dense(2, name="spread")(x)]

    def step(model: Any, batch: Any) -> Any:
        return tf.add_n([tf.reduce_mean(tf.square(y)) for y in model(batch[0], training=True)])

    inputs = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    asked = ("run.length=1", "run.compile=graph", "data={kind: given, batch_size: 4}")
    declared = experiment(*asked)
    model = keras.Model(x, pair)
    outcome = train(declared, "run", model=model, data=(inputs, inputs), loss=step, quiet=True)
    outputs = outcome.predict(inputs)
    for name, value in zip(("mean", "spread"), model(inputs), strict=True):
        np.testing.assert_allclose(outputs[name], value, atol=1e-6)
    np.save("x.npy", inputs)
    assert door.main(["run", "--inputs=x.npy", "--output=p.csv"]) == 0
    first = read("p.csv")[0]
    assert list(first) == ["index", "mean_prediction_0", "mean_prediction_1",
                           "spread_prediction_0", "spread_prediction_1"]  # fmt: skip
    assert float(first["mean_prediction_1"]) == pytest.approx(float(outputs["mean"][0, 1]))
