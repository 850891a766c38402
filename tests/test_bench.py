"""The benchmarks run, and time what they say."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from schedules import Schedule

FILE = Path(__file__).parent.parent / "scripts" / "bench" / "curves.py"


@pytest.fixture
def curves(monkeypatch):
    spec = importlib.util.spec_from_file_location("curves", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "seconds", lambda call, t: float(call(t).size))
    monkeypatch.setattr(module, "LIBRARIES", {})
    return module


def test_every_kind_is_timed_over_a_million_steps_and_over_500(curves, capsys):
    curves.main()
    header, rule, *rows = capsys.readouterr().out.splitlines()
    assert header.count("|") == rule.count("|") == 6
    assert [row.split()[1] for row in rows] == sorted(Schedule.kinds)
    assert {row.partition("|")[2].partition("|")[2] for row in rows} == {
        f" {1e9:.1f} ms | 1.00 | {5e8:.0f} µs | 1.0 |"
    }


def test_a_library_that_is_installed_gets_a_column_and_a_ratio(curves, monkeypatch):
    monkeypatch.setattr(
        curves, "LIBRARIES", {"numpy": lambda: {"cosine": lambda t: np.zeros(2 * len(t))}}
    )
    header, cosine, linear = curves.rows(["cosine", "linear"])
    assert header[-1] == "÷ numpy"
    assert (cosine[-1], linear[-1]) == ("0.50", "")
