"""Windows over time: which rows make an example, which are held out, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.runs import experiment, result, trained
from tests.helpers.splits import loaded, refused
from trainer import Experiment, train
from trainer.commands.outcome import Outcome
from trainer.config.plan import Plan
from trainer.data import Data
from trainer.data.windows import Windows
from trainer.models.raw_inputs import check_raw
from trainer.predict import main as predict

ROWS = 60
RANDOM = np.random.default_rng(5)
TABLE = RANDOM.normal(size=(ROWS, 3)).round(6)
"""Two columns and the one that is to be predicted."""
SERIES = np.array(["b", "a", "c"])[np.arange(ROWS) % 3]
CUT = 48
"""Four fifths of the rows train."""


def write_csv(path: str, table: NDArray[Any], series: NDArray[Any] | None = None) -> None:
    names = "u,v,y" + ("" if series is None else ",shop")
    rows = [",".join(map(repr, row)) for row in table.tolist()]
    if series is not None:
        rows = [f"{row},{name}" for row, name in zip(rows, series, strict=True)]
    Path(path).write_text("\n".join([names, *rows]) + "\n")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_csv("t.csv", TABLE)
    return tmp_path


def table(**config: Any) -> dict[str, Any]:
    plain = {"kind": "csv", "path": "t.csv", "target": "y", "normalise": "none"}
    return {**plain, **config}


def arrays(part: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    return np.asarray(part.inputs), np.asarray(part.labels)


SIZES: dict[str, dict[str, int]] = {
    "one step ahead": {"length": 7},
    "many steps ahead": {"length": 7, "horizon": 4},
    "every third row": {"length": 5, "horizon": 2, "stride": 3},
    "rows apart": {"length": 4, "horizon": 3, "sampling_rate": 2},
    "all of it": {"length": 3, "horizon": 2, "stride": 2, "sampling_rate": 3},
}


@pytest.mark.parametrize("window", SIZES.values(), ids=SIZES)
def test_windows_are_those_that_keras_makes_of_the_rows(window: dict[str, int], here: Path) -> None:
    import keras

    split = loaded(**table(window=window))
    length, rate = window["length"], window.get("sampling_rate", 1)
    whole = length + window.get("horizon", 1)
    begins = {"train": 0, "test": CUT - length * rate}
    for part, rows in ((split.train, TABLE[:CUT]), (split.test, TABLE[begins["test"] :])):
        made = keras.utils.timeseries_dataset_from_array(
            rows, None, whole, window.get("stride", 1), rate, batch_size=ROWS
        )
        expected = np.concatenate([np.asarray(batch) for batch in made]).astype(np.float32)
        inputs, labels = arrays(part)
        np.testing.assert_array_equal(inputs, expected[:, :length])
        np.testing.assert_array_equal(labels, expected[:, length:, 2])


def test_a_target_that_keras_aligns_with_windows_is_the_same(here: Path) -> None:
    import keras

    made = keras.utils.timeseries_dataset_from_array(
        TABLE[:CUT], TABLE[6:CUT, 2], 6, batch_size=ROWS
    )
    [(x, y)] = [(np.asarray(x), np.asarray(y)) for x, y in made]
    inputs, labels = arrays(loaded(**table(window={"length": 6})).train)
    np.testing.assert_array_equal(inputs, x.astype(np.float32))
    np.testing.assert_array_equal(labels[:, 0], y.astype(np.float32))


@pytest.mark.parametrize("window", SIZES.values(), ids=SIZES)
def test_no_row_that_trains_is_in_the_label_of_a_test(window: dict[str, int]) -> None:
    counted = np.arange(float(ROWS))
    given = {"kind": "given", "window": window, "task": "regression"}
    declared: Any = Data.declared(given)
    split = declared.of((counted, counted)).load()
    trained_on = np.concatenate([x.ravel() for x in arrays(split.train)])
    inputs, tested = arrays(split.test)
    assert trained_on.max() < tested.min() == CUT
    assert (inputs.max(axis=1) < tested.min(axis=1)).all()


def test_a_window_stays_within_its_series_wherever_the_rows_stand(here: Path) -> None:
    rows = np.stack([np.arange(ROWS), np.arange(ROWS) % 3, np.arange(ROWS) * 2.0], axis=1)
    write_csv("s.csv", rows, SERIES)
    asked = table(path="s.csv", group_by="shop", window={"length": 4, "horizon": 2})
    split = loaded(**asked, inputs=["u", "v"], held_out={"fraction": 0.25})
    for part, count in ((split.train, 3 * (15 - 5)), (split.test, 3 * (5 - 1))):
        inputs, labels = arrays(part)
        assert len(inputs) == count
        assert (inputs[..., 1] == inputs[:, :1, 1]).all()  # one series each
        assert (np.diff(inputs[..., 0], axis=1) == 3).all()  # one after another in it
        np.testing.assert_array_equal(labels[:, 0], 2 * (inputs[:, -1, 0] + 3))
    parquet = {**asked, "kind": "parquet", "path": "s.parquet", "inputs": ["u", "v"]}
    _write_parquet("s.parquet", rows, SERIES)
    of_parquet = loaded(**parquet, held_out={"fraction": 0.25})
    np.testing.assert_array_equal(of_parquet.train.inputs, split.train.inputs)


def _write_parquet(path: str, rows: NDArray[Any], series: NDArray[Any] | None = None) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = dict(zip("uvy", rows.T, strict=True)) | ({} if series is None else {"shop": series})
    parquet.write_table(pyarrow.table(columns), path)


def _npz() -> dict[str, Any]:
    np.savez("t.npz", x=TABLE, y=TABLE[:, 2])
    return {"kind": "npz", "path": "t.npz", "inputs": "x", "labels": "y"}


def _packed() -> dict[str, Any]:
    np.savez_compressed("t.npz", x=TABLE, y=TABLE[:, 2])
    return {"kind": "npz", "path": "t.npz", "inputs": "x", "labels": "y"}


def _npy() -> dict[str, Any]:
    np.save("x.npy", TABLE)
    np.save("y.npy", TABLE[:, 2])
    return {"kind": "npy", "inputs": "x.npy", "labels": "y.npy"}


def _parquet() -> dict[str, Any]:
    _write_parquet("t.parquet", TABLE)
    return table(kind="parquet", path="t.parquet")


SOURCES: dict[str, Callable[[], dict[str, Any]]] = {
    "csv": table, "npz": _npz, "packed npz": _packed, "npy": _npy, "parquet": _parquet,
}  # fmt: skip


@pytest.mark.parametrize("keep", ["device", "stream"])
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_every_kind_of_rows_gives_the_same_windows(
    source: Callable[[], dict[str, Any]], keep: str, here: Path
) -> None:
    window = {"window": {"length": 5, "horizon": 2}, "normalise": "standardise"}
    split = loaded(**{**source(), **window, "keep": keep})
    expected: Any = Data.declared({"kind": "given", **window})
    given = expected.of((TABLE, TABLE[:, 2])).load()
    np.testing.assert_array_equal(split.train.inputs, given.train.inputs)
    np.testing.assert_array_equal(split.test.labels, given.test.labels)
    assert split.digest == given.digest
    assert np.asarray(split.train.inputs).shape == (CUT - 6, 5, 3)


@pytest.mark.parametrize("missing", [False, True], ids=["plain", "declared"])
def test_normalisation_is_learnt_of_the_rows_that_train_each_once(
    missing: bool, here: Path
) -> None:
    columns = {"u": {"kind": "number", "missing": "mean"}} if missing else {}
    asked = table(normalise="standardise", window={"length": 20}, columns=columns)
    preparation: Any = loaded(**asked).preparation.inputs
    np.testing.assert_allclose(preparation.shift, TABLE[:CUT].mean(axis=0))
    np.testing.assert_allclose(preparation.scale, TABLE[:CUT].std(axis=0))
    assert preparation.shape == (20, 3)


def test_a_row_is_kept_once_in_memory_and_on_the_device(here: Path) -> None:
    from trainer.data.feeds.feed import Resident
    from trainer.data.feeds.order import ExampleOrder

    split = loaded(**table(window={"length": 30}))
    assert isinstance(split.train.inputs, Windows)
    assert split.train.inputs.rows.shape == (CUT, 3)
    feed = Resident(split, ExampleOrder(1, len(split.train), 4))
    assert tuple(feed._train.inputs.rows.shape) == (CUT, 3)
    shared = {id(batch.inputs.rows) for batch in feed._tests}
    assert len(shared) == 1


def test_weights_of_windows_are_the_means_of_those_they_predict() -> None:
    weights = np.arange(float(ROWS))
    declared: Any = Data.declared({"kind": "given", "window": {"length": 3, "horizon": 2}})
    split = declared.of((TABLE, TABLE[:, 2], weights)).load()
    assert split.train.weights.tolist()[:3] == [3.5, 4.5, 5.5]


def test_tests_of_their_own_are_windows_of_all_their_rows(here: Path) -> None:
    write_csv("late.csv", TABLE[:10])
    split = loaded(**table(window={"length": 4}, test="late.csv"))
    assert (len(split.train), len(split.test)) == (ROWS - 4, 6)
    np.testing.assert_array_equal(split.test.inputs[:1], TABLE[:4][None].astype(np.float32))


RUN = ("run.compile=graph", "run.length=6", "data=csv", "data.path=t.csv", "data.target=y",
       "data.window={length: 8, horizon: 3}", "data.batch_size=8", "model=rnn",
       "model.units=4", "model.cell=simple")  # fmt: skip


def test_a_recurrent_network_trains_on_windows_and_goes_on_with_the_same_bits(here: Path) -> None:
    assert trained(Path("whole"), *RUN) == 0
    assert trained(Path("stopped"), *RUN, "run.stop_after=2", "data.keep=stream") == 0
    assert trained(Path("stopped"), *RUN, "data.keep=device") == 0
    digests = {result(Path(name))["weights_digest"] for name in ("whole", "stopped")}
    assert len(digests) == 1


def test_the_last_rows_predict_the_next_ones(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = Experiment.composed(*RUN)
    outcome: Outcome = train(experiment, Path("run"), quiet=True)
    expected = outcome.predict(TABLE[None, -8:])
    columns = dict(zip("yvu", TABLE[-8:, ::-1].T, strict=True))
    np.testing.assert_array_equal(outcome.predict(columns), expected)
    write_csv("last.csv", TABLE[-8:])
    for asked in (["data.path=last.csv"], ["--part", "next"]):
        assert predict(["run", *asked, "--output", "next.npy"]) == 0
        np.testing.assert_allclose(np.load("next.npy"), expected, rtol=1e-6)
    assert predict(["run", "--output", "test.npy"]) == 0
    assert np.load("test.npy").shape == (10, 3)
    assert "on 10 examples of csv (test)" in capsys.readouterr().out


DATES = np.datetime64("2024-02-25") + np.arange(ROWS)
WEATHER = np.array(["sun", "sun", "rain"])[np.arange(ROWS) % 3]
WEATHER[50] = "hail"  # which no row that trains has


def write_columns() -> None:
    rows = [
        f"{number!r},{date},{weather},{label!r}"
        for (number, _, label), date, weather in zip(TABLE.tolist(), DATES, WEATHER, strict=True)
    ]
    Path("c.csv").write_text("\n".join(["u,day,weather,y", *rows]) + "\n")


COLUMNS = ("data=csv", "data.path=c.csv", "data.target=y", "data.window={length: 5, horizon: 2}",
           "data.columns.day={kind: date}", "data.columns.weather={kind: category}")  # fmt: skip


@pytest.mark.parametrize("keep", ["device", "stream"])
@pytest.mark.parametrize("encode", ["id", "one_hot"])
def test_rows_of_windows_have_dates_and_categories(encode: str, keep: str, here: Path) -> None:
    write_columns()
    columns = {"day": {"kind": "date"}, "weather": {"kind": "category", "encode": encode}}
    asked = table(path="c.csv", window={"length": 5, "horizon": 2}, columns=columns, keep=keep)
    split = loaded(**asked)
    ids = np.select([WEATHER == "sun", WEATHER == "rain"], [1, 2])  # the most frequent one first
    weather = ids if encode == "id" else np.eye(3)[ids]
    turn = 2 * np.pi * np.array([date.weekday() for date in DATES.tolist()]) / 7
    for part, first, last in ((split.train, 0, CUT), (split.test, CUT - 5, ROWS)):
        starts = range(first, last - 6)
        assert len(part) == len(starts)
        expected = np.stack([weather[start : start + 5] for start in starts])
        np.testing.assert_array_equal(part.inputs["weather"][:], expected)
        days = np.asarray(part.inputs["day"][:])
        assert days.shape == (len(starts), 5, 6)
        sines = np.stack([np.sin(turn)[start : start + 5] for start in starts])
        np.testing.assert_allclose(days[..., 2], sines, atol=1e-6)
    other = loaded(**{**asked, "keep": "device" if keep == "stream" else "stream"})
    assert other.digest == split.digest
    assert not split.preparation.is_of_columns
    one = {"weather": split.preparation.inputs["weather"]}
    assert "in windows" in refused(lambda: check_raw(one, takes_text=True)).rule


@pytest.mark.slow
def test_a_recurrent_network_reads_columns_of_windows_and_predicts_from_the_last_rows(
    here: Path,
) -> None:
    write_columns()
    asked = (*COLUMNS, "model=rnn", "model.cell=simple", "model.units=3", "model.width=2",
             "data.batch_size=8", "run.length=4", "run.compile=graph")  # fmt: skip
    outcome: Outcome = train(Experiment.composed(*asked), Path("run"), quiet=True)
    last = {"numbers": TABLE[None, -5:, [0, 2]], "day": DATES[None, -5:].astype(str),
            "weather": WEATHER[None, -5:]}  # fmt: skip
    assert predict(["run", "--part", "next", "--output", "next.npy"]) == 0
    np.testing.assert_allclose(np.load("next.npy"), outcome.predict(last), rtol=1e-5)


def plan(*overrides: str) -> Plan:
    """The plan of a small run on windows."""
    return Plan.of(experiment("data=csv", "data.path=t.csv", "data.target=y", *overrides))


SMALL = ("data.batch_size=1", "model=mlp")

REFUSALS: dict[str, tuple[list[str], str, str, str]] = {
    "too few rows": (
        ["data.window.length=60"], "data.window.length",
        "and horizon 1 take 61 rows, and there are 60, of which 48 train", "data.window.length=47",
    ),
    "too few rows for the horizon": (
        ["data.window={length: 45, horizon: 10}"], "data.window.length",
        "and horizon 10 take 55 rows, and there are 60, of which 48 train", "data.window.length=38",
    ),
    "too few rows that are apart": (
        ["data.window={length: 24, sampling_rate: 2, horizon: 2}"], "data.window.length",
        "and horizon 2, 2 apart, take 51 rows, and there", "data.window.length=22",
    ),
    "no rows for a label": (
        ["data.window={length: 10, horizon: 20}"], "data.held_out.fraction",
        "holds out 12 of the 60 rows, and a label is of 20", "data.held_out.fraction=0.334",
    ),
    "too few tests of their own": (
        ["data.window.length=8", "data.test=few.csv"], "data.window.length",
        "and horizon 1 take 9 rows, and there are 6", "data.window.length=5",
    ),
    "a short series": (
        ["data.window.length=8", "data.path=s.csv", "data.group_by=shop"], "data.window.length",
        "take 9 rows, and the series b has 10, of which 8 train", "data.window.length=7",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS)
def test_following_the_hint_mends_what_rows_do_not_make(
    case: tuple[list[str], str, str, str], here: Path
) -> None:
    overrides, path, rule, hint = case
    write_csv("few.csv", TABLE[:6])
    write_csv("s.csv", TABLE[:30], SERIES[:30])
    problem = refused(lambda: plan(*SMALL, *overrides))
    assert problem.path == path
    assert rule in problem.rule
    assert problem.hint == hint
    plan(*SMALL, *overrides, hint)


NO_HINT: dict[str, tuple[list[str], str, str, str]] = {
    "a column of words": (
        ["data.window.length=8", "data.columns.u={kind: text}"], "data.columns.u.kind",
        "is not for windows", "data.group_by=u if it says which series",
    ),
    "a drawn split": (
        ["data.window.length=8", "data.held_out.seed=3"], "data.held_out.seed",
        "draws examples to hold out", "leave it out",
    ),
    "no windows of series": (
        ["data.group_by=u"], "data.group_by", "only windows are taken of series", "leave it out",
    ),
    "a series that is an input": (
        ["data.window.length=8", "data.group_by=u", "data.inputs=[u]"], "data.group_by",
        "is an input, a label or a weight too", "leave it out of those",
    ),
    "no series": (
        ["data.window.length=8", "data.group_by=w"], "data.group_by", "is no column of", "",
    ),
    "far too few rows": (
        ["data.window={length: 90, horizon: 50}"], "data.window.length", "take 140 rows", "bring",
    ),
    "a shape that cuts rows": (
        ["data.window.length=8", "data.shape=[12,2]"], "data.shape",
        "must end with the 3 numbers of a row", "leave it out",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NO_HINT.values(), ids=NO_HINT)
def test_windows_are_refused_in_words(case: tuple[list[str], str, str, str], here: Path) -> None:
    overrides, path, rule, hint = case
    problem = refused(lambda: plan(*SMALL, *overrides))
    assert problem.path == path
    assert rule in problem.rule
    assert hint in problem.hint


def test_a_column_of_names_may_say_which_series_a_row_is_of(here: Path) -> None:
    write_csv("s.csv", TABLE, SERIES)
    problem = refused(lambda: plan(*SMALL, "data.path=s.csv", "data.window.length=8"))
    assert "data.columns.shop={kind: category} learns from it" in problem.hint
    assert "data.group_by=shop if it says which series" in problem.hint


@pytest.mark.parametrize("kind", ["image_folder", "tfrecord"])
def test_data_without_an_order_has_no_windows(kind: str, here: Path) -> None:
    problem = refused(lambda: Data.declared({"kind": kind, "path": "x", "window": {"length": 3}}))
    assert problem.path == "window"
    assert f"which data={kind} has not" in problem.rule


def test_whole_numbers_are_asked_whether_they_name_classes() -> None:
    counts = np.arange(ROWS) % 4
    declared: Any = Data.declared({"kind": "given", "window": {"length": 4}})
    problem = refused(lambda: declared.of((counts, counts)).facts())
    assert "name classes or are to be predicted" in problem.rule
    for task, classes in (("regression", None), ("classification", 4)):
        assert f"task: {task}" in problem.hint
        given: Any = Data.declared({"kind": "given", "window": {"length": 4}, "task": task})
        assert given.of((counts, counts)).facts().classes == classes


def test_windows_without_labels_and_of_streams_are_refused() -> None:
    declared: Any = Data.declared({"kind": "given", "window": {"length": 4}})
    assert "data=(series, series)" in refused(lambda: declared.of(TABLE).facts()).hint

    def rows() -> Any:
        yield from zip(TABLE, TABLE[:, 2], strict=True)

    stream = (rows, (TABLE, TABLE[:, 2]))
    assert "as a whole" in refused(lambda: declared.of(stream).facts()).rule


def test_a_value_that_is_not_finite_is_told_by_its_row() -> None:
    broken = np.where(np.arange(ROWS)[:, None] == 3, np.nan, TABLE)
    declared: Any = Data.declared({"kind": "given", "window": {"length": 4}})
    given = declared.of((broken, TABLE[:, 2]))
    assert refused(lambda: given.load().check(given.facts())).rule.endswith("in row 3")
