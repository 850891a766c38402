"""Tables from files and functions from config."""

import json
import sys

import numpy as np
import pytest

from schedules import Clock, Curve, Refused, Schedule, load

CURVE = load({"kind": "cosine", "initial_value": 0.1}, Clock(50))
STEPS = range(50)
CONSTANT = {"kind": "constant", "value": 1.0}


def table(file, **parameters):
    return {"kind": "table", "file": str(file), **parameters}


def rows(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def npy(path, values):
    np.save(path, values)
    return path


def as_json(path, held):
    path.write_text(json.dumps(held), encoding="utf-8")
    return path


def test_a_curve_written_to_a_file_reads_back_to_the_last_bit(tmp_path):
    values = CURVE(STEPS)
    listed = values.tolist()
    files = [
        rows(tmp_path / "with_steps.csv", "step,value", *map("{},{!r}".format, STEPS, listed)),
        rows(tmp_path / "one_column.csv", *map(repr, listed)),
        rows(tmp_path / "headed.csv", "value", *map(repr, listed)),
        as_json(tmp_path / "with_steps.json", {"step": list(STEPS), "value": listed}),
        as_json(tmp_path / "listed.json", listed),
        npy(tmp_path / "values.npy", values),
    ]
    for file in files:
        assert load(table(file))(STEPS).tolist() == listed, file
        assert load(table(file))(10**9) == listed[-1]


def test_every_tells_how_far_apart_rows_are(tmp_path):
    file = rows(tmp_path / "curve.csv", "step,value", "0,3.0", "10,2.0", "20,1.0")
    assert load(table(file, every=10))([9, 10, 25, 99]).tolist() == [3.0, 2.0, 1.0, 1.0]
    assert load(table(file, every="20%"), Clock(50))(19) == 2.0
    with pytest.raises(Refused, match="row 1 is step 10 instead of 1\n  hint: set `every`"):
        load(table(file))


@pytest.mark.parametrize(
    ("name", "write", "rule"),
    [
        ("missing.csv", None, "is not there"),
        ("curve.txt", lambda file: rows(file, "1"), "must be a .csv, .json or .npy file"),
        ("empty.csv", rows, "holds no values"),
        ("headed.csv", lambda file: rows(file, "step,value"), "holds no values"),
        ("empty.json", lambda file: as_json(file, []), "holds no values"),
        ("empty.npy", lambda file: npy(file, []), "holds no values"),
        (
            "ragged.csv",
            lambda file: rows(file, "step,value", "0,1", "1"),
            "is ragged: row 2 has 1 columns, not 2",
        ),
        ("ragged.json", lambda file: as_json(file, {"step": [0, 1], "value": [1]}),
         "is ragged: 2 steps and 1 values"),
        ("wide.csv", lambda file: rows(file, "0,1", "1,1"),
         "must have one column, or two under the header step,value"),
        ("text.csv", lambda file: rows(file, "1", "two"),
         "can't be read: could not convert string to float: 'two'"),
        ("nan.csv", lambda file: rows(file, "1", "nan"),
         "must hold finite numbers, and value 1 is none"),
        ("flag.json", lambda file: as_json(file, [1, True]),
         'must be a list of numbers, or {"step": [...], "value": [...]}'),
        ("square.npy", lambda file: npy(file, np.ones((2, 2))),
         "must be one row of numbers, and is float64 of shape (2, 2)"),
        ("steps.csv", lambda file: rows(file, "step,value", "1,5"),
         "has steps of its own, and row 0 is step 1 instead of 0"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_is_refused(tmp_path, name, write, rule):
    file = tmp_path / name
    if write:
        write(file)
    with pytest.raises(Refused) as refused:
        load(table(file))
    [problem] = refused.value.problems
    assert (problem.path, problem.value, problem.rule) == ("file", str(file), rule)
    assert problem.hint


def test_a_misspelt_file_is_recognised(tmp_path):
    rows(tmp_path / "curve.csv", "1")
    with pytest.raises(Refused, match=r"did you mean .*curve\.csv"):
        load(table(tmp_path / "curv.csv"))


def test_a_function_sees_integer_steps_on_its_own_clock_and_the_keywords():
    call = {"kind": "custom", "call": "tests.schedules.test_custom:seen", "kwargs": {"slope": 2.0}}
    parts = {"wait": {"kind": "constant", "value": 0, "length": 10}, "then": call}
    curve = load({"kind": "sequence", "parts": parts}, Clock(100))
    assert curve([9, 10, 13]).tolist() == [0.0, 0.0, 6.0]


def seen(steps, *, slope):
    assert steps.dtype == np.int64
    steps *= 1  # it may write into what it was given
    return steps * slope


def test_a_function_that_fails_later_is_refused_then():
    curve = load({"kind": "custom", "call": "tests.schedules.test_custom:until_100"}, Clock(100))
    with pytest.raises(Refused, match="not finite at step 100"):
        curve(range(101))


def until_100(steps):
    return np.where(steps < 100, 1.0, np.nan)


@pytest.mark.parametrize(
    ("wrapped", "path"),
    [
        (lambda call: {"kind": "scale", "factor": 2.0, "schedule": call}, "schedule.call"),
        (lambda call: {"kind": "sum", "schedules": [CONSTANT, call]}, "schedules.1.call"),
        (lambda call: {"kind": "sequence", "parts": {"wait": {**CONSTANT, "length": 10},
                                                     "then": call}}, "parts.then.call"),
        (lambda call: {"kind": "delay", "length": 1, "value": 0.0,
                       "schedule": {"kind": "noise", "std": 0.1, "schedule": call}},
         "schedule.schedule.call"),
    ],
)  # fmt: skip
def test_a_function_that_fails_later_is_refused_by_its_path(wrapped, path):
    schedule = Schedule.declared(
        wrapped({"kind": "custom", "call": "tests.schedules.test_custom:until_100"})
    )
    curve = Curve(schedule, Clock(100), ("optimizer", "momentum"))
    with pytest.raises(Refused) as refused:
        curve(range(150))
    assert [problem.path for problem in refused.value.problems] == [f"optimizer.momentum.{path}"]


def test_tables_are_equal_by_what_was_declared_whether_or_not_they_have_been_read():
    one, same, other = (Schedule.declared({"kind": "table", "values": [0.1, last]})
                        for last in (0.2, 0.2, 0.3))  # fmt: skip
    for read in (one, same, other):
        assert one == same != other
        read.check(Clock(10))
    assert one == same != other


def test_code_is_named_before_anything_is_imported(tmp_path, monkeypatch):
    (tmp_path / "imported_by_a_config.py").write_text("def one(steps):\n    return steps * 0 + 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    call = {"kind": "custom", "call": "imported_by_a_config:one"}
    parts = {"main": {"kind": "scale", "factor": 2.0, "schedule": call}}
    declared = Schedule.declared({"kind": "sequence", "parts": parts})
    assert list(declared.code()) == [("parts.main.schedule.call", "imported_by_a_config:one")]
    assert "imported_by_a_config" not in sys.modules
    assert Curve(declared, Clock(10))(3) == 2.0
    assert "imported_by_a_config" in sys.modules
    assert list(CURVE.schedule.code()) == []
