"""Data in tables: which columns make an input and which a label, and what is refused of them."""

from __future__ import annotations

import csv
import gzip
import lzma
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schedules import Refused
from tests.helpers.runs import experiment
from tests.helpers.splits import refused
from trainer.config.plan import Plan
from trainer.data import Data, Facts

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
    assert data.facts() == Facts.of(30, (2,), None, 1)
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
    assert data.facts() == Facts.of(32, (2,), None, 2)
    assert data.load().preparation.columns == ("width", "height")


def test_text_in_the_target_names_classes(here: Path) -> None:
    data = declared(target="sort", inputs=["width"])
    assert data.facts() == Facts.of(32, (1,), 2, 1)
    split = data.load()
    assert split.preparation.names == ("apple", "pear")
    assert np.bincount(split.train.labels).tolist() == [16, 16]


def test_whole_numbers_name_classes_unless_the_task_says_otherwise(here: Path) -> None:
    assert declared(target="count", inputs=["width"]).facts().classes == ROWS
    data = declared(target="count", inputs=["width"], task="regression")
    assert data.facts() == Facts.of(32, (1,), None, 1)


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
        "inputs", "has nan in line 4 of", "clean it",
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
    "a label that is missing": (
        lambda: edited(lambda lines: lines.__setitem__(3, "1.0,1.0, ,2.0,2")),
        {"target": "sort", "inputs": ["width"]}, "target",
        "has nothing in line 4 of", "leave such rows out",
    ),
    "two spellings of a number": (
        lambda: edited(lambda lines: lines.__setitem__(3, "1.0,1.0,pear,2.0,01")),
        {"target": "count", "inputs": ["width"]}, "target",
        "has '1' in line 3 and '01' in line 4 of", "one way",
    ),
    "two spellings among names": (
        lambda: edited(lambda lines: lines.__setitem__(slice(2, 4), ["1,1,7,2,2", "1,1,7.0,2,2"])),
        {"target": "sort", "inputs": ["width"], "task": "classification"}, "target",
        "has '7' in line 3 and '7.0' in line 4 of", "one way",
    ),
    "a label that pandas takes for a missing one": (
        lambda: edited(lambda lines: lines.__setitem__(3, "1.0,1.0,None,2.0,2")),
        {"target": "sort", "inputs": ["width"]}, "target",
        "has 'None' in line 4 of", "data.task=classification, if it names a class",
    ),
    "names among numbers": (
        lambda: edited(lambda lines: lines.__setitem__(3, "1.0,1.0,pear,2.0,few")),
        {"target": "count", "inputs": ["width"]}, "target",
        "has 'few' in line 4 of", "data.task=classification",
    ),
    "names among numbers to predict": (
        lambda: edited(lambda lines: lines.__setitem__(3, "1.0,1.0,pear,?,2")),
        {"target": "price", "inputs": ["width"], "task": "regression"}, "target",
        "has '?' in line 4 of", "mend what is no number",
    ),
    "an underscore in an input": (
        lambda: edited(lambda lines: lines.__setitem__(3, "1_000,1.0,pear,2.0,2")),
        {"target": "price", "inputs": ["width"]}, "inputs", "has '1_000' in line 4 of", "numbers",
    ),
    "digits of another script": (
        lambda: edited(lambda lines: lines.__setitem__(3, "٣,1.0,pear,2.0,2")),
        {"target": "price", "inputs": ["width"]}, "inputs", "has '٣' in line 4 of", "numbers",
    ),
    "row numbers": (
        lambda: None, {"target": "price", "path": "counted.csv"},
        "inputs", "counts the rows of", "data.inputs=[width,height]",
    ),
    "an index without a name": (
        lambda: None, {"target": "price", "path": "indexed.csv"},
        "inputs", "would have column 1 of", "data.inputs=[width,height]",
    ),
    "an index that was read and written again": (
        lambda: None, {"target": "price", "path": "unnamed.csv"},
        "inputs", "would have column 1 of", "data.inputs=[width,height]",
    ),
    "another packer": (
        lambda: Path("a.csv").write_bytes(lzma.compress(text(TABLE).encode())),
        {"target": "price"}, "path", "is packed by xz", "unpack it: unxz < ",
    ),
    "half of a packed file": (
        lambda: Path("a.csv").write_bytes(gzip.compress(text(TABLE).encode())[:200]),
        {"target": "price", "inputs": ["width"]}, "path", "can't be read", "",
    ),
    "a packed bomb": (
        lambda: Path("a.csv").write_bytes(gzip.compress(b"a,price\n" + b"1" * 2**25)),
        {"target": "price"}, "path", "has a line of more than", "",
    ),
    "a missing file": (
        lambda: None, {"target": "price", "path": "b.csv"},
        "path", "is no file that exists", "did you mean a.csv?",
    ),
    "a missing folder": (
        lambda: None, {"target": "price", "path": "no/b.csv"}, "path", "there is no folder", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("file", ["counted", "indexed", "unnamed"])
def test_following_the_hint_leaves_row_numbers_out(file: str, here: Path) -> None:
    first = {"counted": "id", "indexed": "", "unnamed": "Unnamed: 0"}[file]
    numbered = {first: np.arange(ROWS), "width": WIDTH, "height": HEIGHT, "price": PRICE}
    Path("numbered.csv").write_text(text(numbered))
    asked = ("data=csv", "data.path=numbered.csv", "data.target=price", "data.batch_size=8")
    hint = refused(lambda: Plan.of(experiment(*asked))).hint
    override = hint.partition(" ")[0]
    assert experiment(*asked, override).data.facts().shape == (2,)
    assert declared(path="numbered.csv", target="price", inputs=[first]).facts().shape == (1,)


def test_what_names_a_class_may_look_like_a_number_or_a_hole(here: Path) -> None:
    names = np.array(["01", "None", "few", "2"])[np.arange(ROWS) % 4]
    Path("names.csv").write_text(text({"width": WIDTH, "sort": names}))
    split = declared(path="names.csv", target="sort", task="classification").load()
    assert split.preparation.names == ("01", "2", "None", "few")


def test_numbers_to_predict_may_be_spelt_in_any_way(here: Path) -> None:
    prices = np.array(["1", "01", "+1.0", "1e0", ".5"])[np.arange(ROWS) % 5]
    Path("prices.csv").write_text(text({"width": WIDTH, "price": prices}))
    for task in ("auto", "regression"):
        labels = declared(path="prices.csv", target="price", task=task).load().train.labels
        assert set(labels[:, 0].tolist()) == {1.0, 0.5}


def test_columns_that_mark_a_class_are_classes_by_their_names(here: Path) -> None:
    marks = {f"is_{name}": np.equal(SORT, name).astype(int) for name in ("pear", "apple")}
    Path("marked.csv").write_text(text({"width": WIDTH, **marks}))
    split = declared(path="marked.csv", target=[*marks]).load()
    assert split.preparation.names == ("is_pear", "is_apple")
    assert np.bincount(split.train.labels).tolist() == [16, 16]


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv"])
def test_a_table_that_gzip_packed_is_the_same_table(name: str, here: Path) -> None:
    plain = declared(target="sort", inputs=["width"]).load()
    Path(name).write_bytes(gzip.compress(text(TABLE).encode()))
    assert declared(path=name, target="sort", inputs=["width"]).load().digest == plain.digest


def test_a_table_that_memory_does_not_hold_waits_in_a_file_that_nobody_sees(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {"target": "sort", "inputs": ["width", "height"]}
    kept = declared(**asked).load().digest
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "cache"))
    monkeypatch.setattr("trainer.data.sources.number_rows.available_memory", lambda: 100)
    data = declared(**asked, keep="stream")
    assert isinstance(data.contents.raw.train.inputs, np.memmap)  # type: ignore[attr-defined]
    assert data.load().digest == kept
    assert not any(path.is_file() for path in (here / "cache").rglob("*"))


def test_a_table_that_neither_memory_nor_disk_holds_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trainer.data.sources.number_rows.available_memory", lambda: 100)
    monkeypatch.setattr("trainer.data.sources.number_rows.TemporaryFile", lambda **_: Full(full))
    problem = refused(lambda: declared(target="price", inputs=["width"]).facts())
    assert problem.path == "path"
    assert problem.rule.startswith("holds more than the free memory of this machine")


class Full:
    """A file on a disk that is full."""

    def __init__(self, write: Callable[..., None]) -> None:
        self.write = write


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_text_in_quotes_is_read_as_the_csv_module_reads_it(packed: bool, here: Path) -> None:
    names = ['say "so"', "two\nlines", "a,b", '""', "plain"]
    rows = [(f"{i}.5", names[i % 5]) for i in range(30_000)]
    with Path("quoted.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("width", "sort"), *rows])
    if packed:
        Path("quoted.csv").write_bytes(gzip.compress(Path("quoted.csv").read_bytes()))
    data = declared(path="quoted.csv", target="sort")
    part = data.contents.raw.train  # type: ignore[attr-defined]
    assert [(str(x), y) for (x,), y in zip(part.inputs, part.labels, strict=True)] == rows


SPOILT = {
    "text after a quote": ('1.0,"pear"s', "',' expected after"),
    "a quote that is not closed": ('1.0,"pear', "unexpected end of data"),
    "a quote that another line closes": ('1.0,"pear\n1.0,"apple"', "',' expected after"),
}


@pytest.mark.parametrize("name", SPOILT)
@pytest.mark.parametrize("after", [0, 100_000])
def test_quotes_that_would_swallow_text_are_refused(name: str, after: int, here: Path) -> None:
    line, why = SPOILT[name]
    rows = "1.0,pear\n2.0,apple\n"
    Path("spoilt.csv").write_text("width,sort\n" + rows * after + line + "\n" + rows)
    problem = refused(lambda: declared(path="spoilt.csv", target="sort").facts())
    assert problem.path == "path"
    assert "can't be read" in problem.rule
    assert why in problem.rule


def test_a_quote_within_text_that_is_not_quoted_is_text(here: Path) -> None:
    Path("inches.csv").write_text('width,sort\n1.5,5" pipe\n2.5,6"\n' * 1 + '1.5,6"\n' * 8)
    data = declared(path="inches.csv", target="sort").load()
    assert data.preparation.names == ('5" pipe', '6"')


def test_every_column_at_fault_is_told_at_once(here: Path) -> None:
    Path("many.csv").write_text("a,b,c,y\n1,2,3,4.5\n1,x,3,5.5\n1,2,,6.5\n")
    with pytest.raises(Refused) as caught:
        declared(path="many.csv", target="y").facts()
    message = [
        (problem.value, problem.rule.partition(" of ")[0]) for problem in caught.value.problems
    ]
    assert message == [("b", "has 'x' in line 3"), ("c", "has nothing in line 4")]


def test_tables_of_very_many_columns_are_read(here: Path) -> None:
    names = [f"c{i}" for i in range(20_000)]
    values = RANDOM.normal(size=(6, len(names)))
    lines = [",".join(map(repr, row)) for row in values.tolist()]
    Path("wide.csv").write_text("\n".join([",".join(names), *lines]) + "\n")
    data = declared(path="wide.csv", target="c7")
    np.testing.assert_array_equal(
        data.contents.raw.train.inputs,  # type: ignore[attr-defined]
        np.delete(values, 7, axis=1),
    )


def test_a_config_without_tables_does_without_pyarrow() -> None:
    code = "import sys, trainer.config.plan; print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", BAD)
def test_tables_that_can_not_be_learnt_from_are_refused(name: str, here: Path) -> None:
    spoil, asked, path, rule, hint = BAD[name]
    for file, first in (("counted", "id"), ("indexed", ""), ("unnamed", "Unnamed: 0")):
        numbered = {first: np.arange(ROWS), "width": WIDTH, "height": HEIGHT, "price": PRICE}
        Path(f"{file}.csv").write_text(text(numbered))
    if asked.get("path") == "numbers.csv":
        Path("numbers.csv").write_text("width,height,price\n1,2,3\n")
    spoil()
    problem = refused(lambda: declared(**asked).facts())
    assert problem.path == path
    assert rule in problem.rule
    assert hint in problem.hint


def calls_to_load(columns: int, rows: int) -> int:
    """How many functions are called to load a table of numbers, in Python and from it."""
    names = [f"c{i}" for i in range(columns)]
    cells = np.random.default_rng(0).normal(size=(rows, columns)).round(3)
    Path("numbers.csv").write_text(text(dict(zip(names, cells.T, strict=True))))
    data = declared(path="numbers.csv", target="c0", task="regression")
    count = 0

    def counts(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(counts)
    try:
        data.load()
    finally:
        sys.setprofile(None)
    return count


def test_what_a_table_costs_grows_with_its_columns_and_not_with_their_square(here: Path) -> None:
    calls_to_load(8, 50)  # what is imported or made once
    few, many, longer = calls_to_load(50, 50), calls_to_load(200, 50), calls_to_load(50, 1000)
    assert many < 4.4 * few
    assert longer < 1.1 * few  # rows are gone through in C
