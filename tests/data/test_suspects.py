"""Columns that are likely there by mistake: told before a run, all at once, with what mends it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from schedules import Refused
from tests.helpers.runs import experiment
from trainer.commands.checks import look_over
from trainer.config.plan import Plan
from trainer.data import Data
from trainer.data.sources import suspects
from trainer.data.sources.tables import Table

ROWS = 40
RANDOM = np.random.default_rng(8)
X = RANDOM.normal(size=ROWS).round(6)
SORT = np.array(["pear", "apple"])[np.arange(ROWS) % 2]
PRICE = (3 * X).round(6)
IDS = np.array([f"u{i:03}" for i in RANDOM.permutation(ROWS)])
PLAIN = {"x": X, "price": PRICE}

COLUMNS: dict[str, tuple[NDArray[Any], str, str]] = {
    "an index that skips": (3 + 2 * np.arange(ROWS), "whole numbers that only rise", ""),
    "a constant": (np.full(ROWS, 7), "has 7 in every row", ""),
    "a copy of the target": (PRICE, "is a copy of the target price", ""),
    "an id": (IDS, "has another text in every row", "{kind: category}"),
    "a constant text": (np.full(ROWS, "shop"), "has 'shop' in every row", "{kind: category}"),
}


def write(kind: str, table: dict[str, Any], path: str = "t") -> None:
    if kind == "parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.table(table), f"{path}.parquet")
        return
    rows = [",".join(map(str, row)) for row in zip(*table.values(), strict=True)]
    Path(f"{path}.csv").write_text("\n".join([",".join(table), *rows]) + "\n")


@pytest.fixture(params=["csv", "parquet"])
def kind(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return str(request.param)


def warnings(kind: str, *overrides: str) -> list[suspects.Finding]:
    asked = (f"data={kind}", f"data.path=t.{kind}", "data.target=price", "data.batch_size=8")
    findings = look_over(Plan.of(experiment(*asked, "model=tabular", *overrides)))
    return [finding for finding in findings if "column" in finding.name]


@pytest.mark.parametrize("case", COLUMNS.values(), ids=COLUMNS)
def test_what_is_likely_no_input_is_told_with_what_leaves_it_out(
    case: tuple[NDArray[Any], str, str], kind: str
) -> None:
    column, text, declared = case
    write(kind, {"odd": column, **PLAIN})
    asked = [f"data.columns.odd={declared}"] if declared else []
    [finding] = warnings(kind, *asked)
    assert finding.name == "the column odd"
    assert text in finding.text
    override = finding.hint.removesuffix(" leaves it out")
    assert override == "data.columns.odd={kind: ignore}"
    assert warnings(kind, override) == []


def test_a_plain_table_is_told_nothing_of(kind: str) -> None:
    write(kind, {**PLAIN, "sort": SORT, "age": 20 + np.arange(ROWS) % 30})
    assert warnings(kind, "data.columns.sort={kind: category}") == []


def test_an_index_that_the_config_names_is_meant(kind: str) -> None:
    write(kind, {"odd": 3 + 2 * np.arange(ROWS), "id": IDS, **PLAIN})
    named = ("data.inputs=[odd,id,x]", "data.columns.id={kind: category}")
    assert warnings(kind, *named) == []


def test_a_class_that_stands_twice_is_a_copy_of_the_target(kind: str) -> None:
    write(kind, {"x": X, "sort": SORT, "again": SORT, "number": np.arange(ROWS) % 2})
    asked = ("data.target=sort", "data.columns.again={kind: category}")
    [finding] = warnings(kind, *asked)
    assert "is a copy of the target sort" in finding.text


def test_the_past_of_a_target_in_windows_is_no_copy(kind: str) -> None:
    write(kind, PLAIN)
    assert warnings(kind, "data.window.length=4", "model=mlp") == []


def test_all_columns_are_told_of_at_once(kind: str) -> None:
    odd = {name: column for name, (column, _, declared) in COLUMNS.items() if not declared}
    write(kind, {**{name[-3:]: column for name, column in odd.items()}, **PLAIN})
    assert len(warnings(kind)) == 3
    write(kind, {**{f"c{i}": np.full(ROWS, i) for i in range(12)}, **PLAIN})
    found = warnings(kind)
    assert len(found) == suspects.SHOWN
    asked = (f"data={kind}", f"data.path=t.{kind}", "data.target=price", "data.batch_size=8")
    more = look_over(Plan.of(experiment(*asked)))[-1]
    assert "4 more of such columns: c8, c9, c10, c11" in more.text


def test_only_the_first_rows_are_looked_at(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(kind, {"odd": np.where(np.arange(ROWS) < 20, 1, X), **PLAIN})
    assert warnings(kind) == []
    monkeypatch.setattr(suspects, "ROWS_SEEN", 20)
    monkeypatch.setattr("trainer.data.sources.tables.ROWS_SEEN", 20)
    [finding] = warnings(kind)
    assert "in every row of the first 20" in finding.text


def problems(kind: str, **config: Any) -> list[tuple[str, Any]]:
    asked = {"kind": kind, "path": f"t.{kind}", "target": "price", **config}
    with pytest.raises(Refused) as caught:
        Data.declared(asked).facts()
    return [(problem.path, problem.value) for problem in caught.value.problems]


def test_all_columns_that_are_refused_are_told_at_once(kind: str) -> None:
    write(kind, {"sort": SORT, "id": IDS, **PLAIN})
    assert problems(kind) == [("inputs", "sort"), ("inputs", "id")]
    unknown = [("inputs", "xx"), ("inputs", "yy"), ("weights", "ww")]
    assert problems(kind, inputs=["xx", "x", "yy"], weights="ww") == unknown


def test_the_hint_for_a_column_of_parquet_declares_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    days = np.datetime64("2024-01-01") + np.arange(ROWS)
    write("parquet", {"sort": SORT, "day": days, "hour": days.astype("datetime64[ms]"), **PLAIN})
    asked = {"kind": "parquet", "path": "t.parquet", "target": "price"}
    with pytest.raises(Refused) as caught:
        Data.declared(asked).facts()
    overrides = [problem.hint.partition(" learns from it")[0] for problem in caught.value.problems]
    data = experiment("data=parquet", "data.path=t.parquet", "data.target=price",
                      "model=tabular", *overrides).data  # fmt: skip
    assert isinstance(data, Table)
    assert list(data.facts().inputs) == ["numbers", "sort", "day", "hour"]
    data.load()


@pytest.mark.parametrize("name", ["odd", "my odd", "Größe (m²)", "odd_2 x"])
def test_the_hint_holds_for_names_of_every_sort(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write("csv", {name: np.full(ROWS, 3), **PLAIN})
    [finding] = warnings("csv")
    override = finding.hint.removesuffix(" leaves it out")
    if override.endswith(" in a file"):
        Path("mine.yaml").write_text(f"# @package _global_\n{override.removesuffix(' in a file')}")
        (tmp_path / "experiment").mkdir()
        Path("mine.yaml").rename("experiment/mine.yaml")
        override = "experiment=mine"
        assert warnings("csv", override, f"hydra.searchpath=[file://{tmp_path}]") == []
        return
    [typed] = shlex.split(override) if "'" in override else [override]
    assert warnings("csv", typed) == []


def test_windows_have_hints_for_columns_of_text(kind: str) -> None:
    days = (np.datetime64("2024-01-01") + np.arange(ROWS)).astype(str)
    write(kind, {"day": days, **PLAIN})
    asked = (f"data={kind}", f"data.path=t.{kind}", "data.target=price", "data.batch_size=8",
             "data.window.length=4", "model=mlp")  # fmt: skip
    with pytest.raises(Refused) as caught:
        Plan.of(experiment(*asked))
    [problem] = caught.value.problems
    learns = {"csv": "data.columns.day={kind: date} takes dates", "parquet": "data.columns.day="}
    assert learns[kind] in problem.hint
    assert "data.columns.day={kind: ignore}" in problem.hint
    Plan.of(experiment(*asked, "data.columns.day={kind: ignore}"))
