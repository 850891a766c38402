"""Data in tables: which columns make an input and which a label, and what is refused of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schedules import Refused
from trainer.data import Data

ROWS = 40
RANDOM = np.random.default_rng(4)
WIDTH, HEIGHT = RANDOM.normal(size=(2, ROWS)).round(6)
SORT = np.array(["pear", "apple"])[np.arange(ROWS) % 2]
PRICE = (3 * WIDTH + HEIGHT).round(6)
TABLE = {"width": WIDTH, "height": HEIGHT, "sort": SORT, "price": PRICE, "count": np.arange(ROWS)}


def text(table: dict[str, Any], between: str = ",") -> str:
    rows = [between.join(map(str, row)) for row in zip(*table.values(), strict=True)]
    return "\n".join([between.join(table), *rows]) + "\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text(text(TABLE))
    return tmp_path


def declared(**config: Any) -> Data:
    return Data.declared({"kind": "csv", "path": "a.csv", **config})


def test_columns_are_inputs_or_labels_as_they_are_named(here: Path) -> None:
    data = declared(target="price", inputs=["height", "width"], held_out={"fraction": 0.25})
    assert data.facts() == (30, (2,), None, 1)
    split = data.load()
    known = {tuple(row) for row in np.stack([HEIGHT, WIDTH, PRICE], axis=1).astype(np.float32)}
    for part in (split.train, split.test):
        found = np.concatenate([part.inputs, part.labels], axis=1)
        assert {tuple(row) for row in found} < known
    assert split.preparation.columns == ("height", "width")


def test_all_columns_but_the_target_are_inputs_unless_named(here: Path) -> None:
    del_sort = {name: column for name, column in TABLE.items() if name != "sort"}
    Path("numbers.csv").write_text(text(del_sort))
    data = declared(path="numbers.csv", target=["price", "count"])
    assert data.facts() == (32, (2,), None, 2)
    assert data.load().preparation.columns == ("width", "height")


def test_text_in_the_target_names_classes(here: Path) -> None:
    data = declared(target="sort", inputs=["width"])
    assert data.facts() == (32, (1,), 2, 1)
    split = data.load()
    assert split.preparation.names == ("apple", "pear")
    assert np.bincount(split.train.labels).tolist() == [16, 16]


def test_whole_numbers_name_classes_unless_the_task_says_otherwise(here: Path) -> None:
    assert declared(target="count", inputs=["width"]).facts().classes == ROWS
    data = declared(target="count", inputs=["width"], task="regression")
    assert data.facts() == (32, (1,), None, 1)


def test_every_usual_way_to_write_a_table_is_read(here: Path) -> None:
    plain = declared(target="sort", inputs=["width", "height"]).load()
    quoted = text({f'"{name}"': column for name, column in TABLE.items()})
    Path("quoted.csv").write_text(quoted + "\n\n")
    Path("tabs.csv").write_text(text(TABLE, "\t").replace("\n", "\r\n"), newline="")
    Path("excel.csv").write_text("\ufeff" + text(TABLE, ";"))
    for path, more in (
        ("quoted.csv", {}),
        ("tabs.csv", {"delimiter": "tab"}),
        ("excel.csv", {"delimiter": "semicolon"}),
    ):
        split = declared(path=path, target="sort", inputs=["width", "height"], **more).load()
        assert split.digest == plain.digest


def test_a_second_table_may_have_the_tests_in_other_places(here: Path) -> None:
    turned = dict(reversed(TABLE.items()))
    Path("b.csv").write_text(text(turned))
    split = declared(test="b.csv", target="sort", inputs=["width", "height"]).load()
    np.testing.assert_array_equal(split.train.inputs, split.test.inputs)
    np.testing.assert_array_equal(split.train.labels, split.test.labels)


def edited(change: Callable[[list[str]], object]) -> None:
    lines = text(TABLE).splitlines()
    change(lines)
    Path("a.csv").write_text("\n".join(lines))


BAD: dict[str, tuple[Callable[[], Any], dict[str, Any], str, str, str]] = {
    "a missing target": (
        lambda: None, {"target": "prize"}, "target", "is no column of", "did you mean price?",
    ),
    "a missing input": (
        lambda: None, {"target": "price", "inputs": ["widht"]},
        "inputs", "is no column of", "did you mean width?",
    ),
    "a target among inputs": (
        lambda: None, {"target": "price", "inputs": ["price"]},
        "inputs", "must not have the target price", "",
    ),
    "text": (
        lambda: None, {"target": "price"},
        "inputs", "has 'pear' in line 2 of", "leave the column out",
    ),
    "a hole": (
        lambda: edited(lambda lines: lines.__setitem__(3, ",1.0,pear,2.0,2")),
        {"target": "price", "inputs": ["width"]},
        "inputs", "has nothing in line 4 of", "leave the column out",
    ),
    "not a number": (
        lambda: edited(lambda lines: lines.__setitem__(3, "nan,1.0,pear,2.0,2")),
        {"target": "price", "inputs": ["width"]},
        "inputs", "has nan in row 3 of", "clean it",
    ),
    "a short row": (
        lambda: edited(lambda lines: lines.__setitem__(5, "1.0,2.0")),
        {"target": "price", "inputs": ["width"]}, "path",
        "has 2 values in line 6, and 5 columns", "data.delimiter",
    ),
    "another delimiter": (
        lambda: Path("a.csv").write_text(text(TABLE, ";")), {"target": "price"},
        "path", "has one column only by commas: 'width;height", "data.delimiter=semicolon",
    ),
    "no rows": (
        lambda: edited(lambda lines: lines.__delitem__(slice(1, None))), {"target": "price"},
        "path", "has no rows", "",
    ),
    "an empty file": (
        lambda: Path("a.csv").write_text(""), {"target": "price"}, "path", "is empty", "",
    ),
    "two columns of one name": (
        lambda: edited(lambda lines: lines.__setitem__(0, "width,width,sort,price,count")),
        {"target": "price", "inputs": ["width"]}, "inputs", "more than one column", "rename",
    ),
    "another coding": (
        lambda: Path("a.csv").write_bytes(b"\xff\xfe\x00price"), {"target": "price"},
        "path", "can't be read: 'utf-8' codec", "",
    ),
    "only the target": (
        lambda: Path("a.csv").write_text("price\n1\n"), {"target": "price"},
        "target", "leaves no column", "",
    ),
    "tests in other columns": (
        lambda: Path("b.csv").write_text("width,price\n1,2\n"),
        {"target": "price", "inputs": None, "test": "b.csv", "path": "numbers.csv"},
        "test", "has the columns width, and the training file width, height", "data.inputs",
    ),
    "a missing file": (
        lambda: None, {"target": "price", "path": "b.csv"},
        "path", "is no file that exists", "did you mean a.csv?",
    ),
    "a missing folder": (
        lambda: None, {"target": "price", "path": "no/b.csv"}, "path", "there is no folder", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_tables_that_can_not_be_learnt_from_are_refused(name: str, here: Path) -> None:
    spoil, asked, path, rule, hint = BAD[name]
    if asked.get("path") == "numbers.csv":
        Path("numbers.csv").write_text("width,height,price\n1,2,3\n")
    spoil()
    with pytest.raises(Refused) as refused:
        declared(**asked).facts()
    [problem] = refused.value.problems
    assert problem.path == path
    assert rule in problem.rule
    assert hint in problem.hint
