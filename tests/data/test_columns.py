"""Columns that are declared: categories, words, dates and missing numbers, as Keras has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schedules import Refused
from tests.helpers.runs import experiment
from tests.helpers.splits import refused
from trainer import train
from trainer.data import Data, Preparation
from trainer.data.column import Category, Date, Text
from trainer.data.summary import summary
from trainer.data.trees import named_leaves

RANDOM = np.random.default_rng(5)
ROWS = 90
JOBS = np.array(["nurse", "smith", "king", "ärztin"])[RANDOM.integers(0, 4, ROWS)]
CODES = RANDOM.choice([7, 10, 9, 120, 3], ROWS)
NOTES = np.array(
    [" ".join(RANDOM.choice(["The", "cat", "sat,", "on", "ÄRA", "it's", "mat."], 4)) for _ in JOBS]
)
AGES = RANDOM.integers(20, 60, ROWS)
INCOMES = np.array([str(x) for x in RANDOM.normal(1000, 50, ROWS).round(3)])
INCOMES[::9] = ""
DAYS = np.array([f"2024-{1 + i % 12:02}-{1 + i % 28:02} {i % 24:02}:30" for i in range(ROWS)])
PRICES = RANDOM.normal(size=ROWS).round(5)
SORTS = np.array(["a", "b"])[np.arange(ROWS) % 2]
TABLE = {
    "job": JOBS, "age": AGES, "code": CODES, "note": [f'"{note}"' for note in NOTES],
    "income": INCOMES, "day": DAYS, "price": PRICES, "sort": SORTS, "counts": 1 + AGES % 3,
}  # fmt: skip
COLUMNS: dict[str, Any] = {
    "job": {"kind": "category"},
    "code": {"kind": "category"},
    "note": {"kind": "text", "vocabulary": 6, "length": 3},
    "income": {"kind": "number", "missing": "mean"},
    "day": {"kind": "date"},
    "counts": {"kind": "ignore"},
    "sort": {"kind": "ignore"},
}
LABELS: dict[str, Any] = {
    "targets": ["price", "sort"],
    "weights": "counts",
    "columns": {n: one for n, one in COLUMNS.items() if n not in ("counts", "sort")},
}


def write(table: dict[str, Any], path: str = "a.csv") -> None:
    rows = [",".join(map(str, row)) for row in zip(*table.values(), strict=True)]
    Path(path).write_text("\n".join([",".join(table), *rows]) + "\n", encoding="utf-8")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(TABLE)
    return tmp_path


def declared(**config: Any) -> Any:
    asked = {"kind": "csv", "path": "a.csv", "target": "price", "columns": COLUMNS, **config}
    if "targets" in config and "target" not in config:
        del asked["target"]
    return Data.declared(asked)


def test_categories_are_the_ids_of_kerass_lookups() -> None:
    from keras import layers

    strings, integers = layers.StringLookup(), layers.IntegerLookup()
    strings.adapt(JOBS[:60])
    integers.adapt(CODES[:60])
    ours = Category().learn(JOBS[:60], "job")
    assert list(ours.vocabulary) == strings.get_vocabulary()[1:]
    np.testing.assert_array_equal(ours.apply(JOBS)[:, 0], strings(JOBS))
    numbers = Category().learn(CODES[:60], "code")
    assert list(map(int, numbers.vocabulary)) == integers.get_vocabulary()[1:]
    np.testing.assert_array_equal(numbers.apply(CODES)[:, 0], integers(CODES))
    marked = Category(encode="one_hot").learn(JOBS[:60], "job")
    hot = layers.StringLookup(output_mode="one_hot", vocabulary=strings.get_vocabulary()[1:])
    np.testing.assert_array_equal(marked.apply(JOBS), hot(JOBS))


@pytest.mark.parametrize("size", [3, 6, 20000])
def test_words_are_the_ids_of_kerass_text_vectorization(size: int) -> None:
    from keras import layers

    theirs = layers.TextVectorization(max_tokens=size, output_sequence_length=3)
    theirs.adapt(NOTES[:60])
    ours = Text(vocabulary=size, length=3).learn(NOTES[:60], "note")
    assert list(ours.vocabulary) == theirs.get_vocabulary()[2:]
    strange = np.array(["", "A [cat]\tsat_on\u00a0it", "ÄRA ära THE!", *NOTES])
    np.testing.assert_array_equal(ours.apply(strange), theirs(strange))


def test_numbers_are_filled_and_normalised_as_keras_normalises_them(here: Path) -> None:
    from keras import layers

    data = declared(normalise="standardise", held_out={"fraction": 0.3})
    split = data.load()
    trains, _ = data.contents.row_indices
    raw = np.array([[float(a), float(x or "nan")] for a, x in zip(AGES, INCOMES, strict=True)])
    train = raw[trains]
    mean = np.nanmean(train[:, 1])
    filled = np.where(np.isnan(train), mean, train).astype(np.float32)
    theirs = layers.Normalization()
    theirs.adapt(filled)
    np.testing.assert_allclose(split.train.inputs["numbers"], theirs(filled), rtol=1e-3, atol=1e-3)
    assert split.preparation.columns == ("age", "income")
    assert split.preparation.inputs["numbers"].fill == (None, pytest.approx(mean))


@pytest.mark.parametrize("missing", ["median", "zero", -5.0])
def test_what_is_missing_is_what_is_declared(missing: Any, here: Path) -> None:
    columns = {**COLUMNS, "income": {"kind": "number", "missing": missing}}
    data = declared(columns=columns, test="a.csv")
    [at] = [i for i, name in enumerate(data.load().preparation.columns) if name == "income"]
    known = [float(x) for x in INCOMES if x]
    filler = {"median": np.median(known), "zero": 0.0}.get(missing, missing)
    filled = data.load().train.inputs["numbers"][INCOMES == "", at]
    np.testing.assert_array_equal(filled, np.float32(filler))


def test_only_the_training_part_is_learnt_from(here: Path) -> None:
    rare = {**TABLE, "job": np.array([f"job{i}" for i in range(ROWS)])}
    write(rare)
    data = declared()
    trains, tests = data.contents.row_indices
    ids = data.load().test.inputs["job"]
    assert len(data.load().preparation.inputs["job"].vocabulary) == len(trains)
    assert (len(tests), set(ids.ravel().tolist())) == (18, {0})
    assert data.facts().inputs["job"].classes == len(trains) + 1


def test_dates_are_parts_or_places_in_cycles() -> None:
    days = np.array(["2023-01-02", "2024-12-29 12:00:00"])
    parts = Date(encode="parts").learn(days, "day")
    undone = parts.apply(days) * parts.scale + parts.shift
    expected = [[2023, 1, 2, 0, 0, 0], [2024, 12, 29, 6, 12, 0]]
    np.testing.assert_allclose(undone, expected, atol=1e-4)
    cyclic = Date().learn(days, "day").apply(days)
    angles = 2 * np.pi * np.array([[1 / 365.25, 0, 0], [363 / 365.25, 6 / 7, 0.5]])
    np.testing.assert_allclose(cyclic[:, ::2], np.sin(angles), atol=1e-6)
    np.testing.assert_allclose(cyclic[:, 1::2], np.cos(angles), atol=1e-6)
    german = Date(format="%d.%m.%Y").learn(np.array(["29.02.2024"]), "day")
    iso = Date().learn(np.array(["2024-02-29"]), "day")
    np.testing.assert_array_equal(
        german.apply(np.array(["29.02.2024"])), iso.apply(np.array(["2024-02-29"]))
    )


def test_a_preparation_is_kept_and_takes_columns_in_any_order(here: Path) -> None:
    split = declared(test="a.csv").load()
    split.preparation.write("preparation.json")
    kept = Preparation.read("preparation.json")
    assert kept == split.preparation
    incomes = np.array([float(x or "nan") for x in INCOMES])
    raw = {"price": PRICES, "note": NOTES, "day": DAYS, "income": incomes, "job": JOBS,
           "code": CODES, "age": AGES}  # fmt: skip
    prepared = kept.apply(raw)
    for name, array in named_leaves(split.train.inputs):
        np.testing.assert_array_equal(prepared[name], array)  # type: ignore[index]
    del raw["age"]
    assert "lack age" in refused(lambda: kept.apply(raw)).rule


def test_columns_of_numbers_alone_stay_one_array(here: Path) -> None:
    columns = {"income": {"kind": "number", "missing": "zero"}}
    data = declared(columns=columns, inputs=["age", "income"])
    assert data.facts().shape == (2,)
    assert data.load().train.inputs.shape == (72, 2)


def test_labels_of_several_sorts_and_weights_are_named_by_their_columns(here: Path) -> None:
    data = declared(**LABELS, test="a.csv")
    facts, train = data.facts(), data.load().train
    assert facts.weighted
    assert {name: one.classes for name, one in facts.labels.items()} == {"price": None, "sort": 2}
    np.testing.assert_array_equal(train.labels["price"][:, 0], PRICES.astype(np.float32))
    np.testing.assert_array_equal(train.labels["sort"], np.arange(ROWS) % 2)
    np.testing.assert_array_equal(train.weights, 1 + AGES % 3)
    assert data.load().preparation.columns == ("age", "income")


def test_parquet_has_the_same_columns_as_a_csv_file(here: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    incomes = [float(x) if x else None for x in INCOMES]
    typed = {**TABLE, "note": NOTES, "income": incomes,
             "day": DAYS.astype("datetime64[s]")}  # fmt: skip
    parquet.write_table(pyarrow.table(typed), "a.parquet")
    here_too = declared(kind="parquet", path="a.parquet", **LABELS).load()
    assert here_too.digest == declared(**LABELS).load().digest


BAD: dict[str, tuple[dict[str, Any], dict[str, Any], str, str, str]] = {
    "no label": ({}, {"target": None}, "target", "is required", "data.target="),
    "two sorts of labels": (
        {}, {"target": "price", "targets": ["price"]}, "target", "is not needed", "leave out",
    ),
    "a column that is not there": (
        {}, {"columns": {**COLUMNS, "jop": {"kind": "category"}}},
        "columns", "is no column of", "did you mean job?",
    ),
    "a label among the columns": (
        {}, {"columns": {**COLUMNS, "price": {"kind": "number"}}},
        "columns.price", "is no input", "data.task",
    ),
    "an empty category": (
        {"job": ["", *JOBS[1:]]}, {}, "inputs", "has nothing in line 2 of", "missing: unknown",
    ),
    "no date": (
        {"day": ["soon", *DAYS[1:]]}, {}, "inputs", "has 'soon' in line 2 of", "format:",
    ),
    "an impossible date": (
        {"day": ["2023-02-29", *DAYS[1:]]}, {}, "inputs", "has '2023-02-29' in line 2 of", "",
    ),
    "a missing number": (
        {}, {"columns": {**COLUMNS, "income": {"kind": "number"}}},
        "inputs", "has nothing in line 2 of", "data.columns.income={kind: number, missing: mean}",
    ),
    "a negative weight": (
        {"counts": [-1, *AGES[1:]]},
        {"weights": "counts", "columns": {k: v for k, v in COLUMNS.items() if k != "counts"}},
        "weights", "has '-1' in line 2 of", "from 0 on",
    ),
    "weights that are inputs": (
        {}, {"weights": "age", "inputs": ["age"], "columns": {}},
        "weights", "is an input or a label too", "leave it out",
    ),
    "an unknown kind": (
        {}, {"columns": {"job": {"kind": "categorie"}}},
        "columns.job.kind", "is no known column", "did you mean category?",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_columns_that_can_not_be_learnt_from_are_refused(name: str, here: Path) -> None:
    changed, asked, path, rule, hint = BAD[name]
    write({**TABLE, **changed})
    problem = refused(lambda: declared(**asked).facts())
    assert problem.path == path
    assert rule in problem.rule
    assert hint in problem.hint


def test_following_the_hints_declares_every_column(here: Path) -> None:
    asked = ["data=csv", "data.path=a.csv", "data.target=price", "data.batch_size=8"]
    for _ in range(2):
        try:
            data = experiment(*asked).data
            data.facts()
        except Refused as found:
            asked += [problem.hint.partition("}")[0] + "}" for problem in found.problems]
    assert set(data.facts().inputs) == {"numbers", "job", "note", "day", "sort"}


def test_the_start_of_a_run_says_what_every_column_is_taken_for(here: Path) -> None:
    columns = {**COLUMNS, "code": {"kind": "ignore"}}
    message = summary(declared(columns=columns, test="a.csv"))[0]
    known = "job a category of 4; note text of 4 words; day a date"
    assert message == f"inputs    numbers age, income; {known}"


def test_a_run_of_every_sort_of_column_goes_on_to_the_same_bits(here: Path) -> None:
    declares = [f"data.columns.{n}={{{_text(one)}}}" for n, one in LABELS["columns"].items()]
    asked = ("data=csv", "data.path=a.csv", "data.targets=[price,sort]", "data.weights=counts",
             *declares, "model=tabular", "model.hidden=[8]", "data.batch_size=16",
             "run.compile=graph", "run.length=6")  # fmt: skip
    whole = train(experiment(*asked), here / "whole", quiet=True)
    half = train(experiment(*asked, "run.stop_after=3"), here / "half", quiet=True)
    assert half.status == "stopped"
    done = train(experiment(*asked), here / "half", quiet=True)
    assert done.result["weights_digest"] == whole.result["weights_digest"]
    assert {"eval_loss_price", "eval_sort_accuracy"} <= set(whole.metrics)


def _text(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in fields.items())
