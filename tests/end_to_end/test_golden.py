"""Curves that named public libraries computed, and some that integer arithmetic did."""

import json
from pathlib import Path

import numpy as np
import pytest

from schedules import Clock, load

RECORDS = json.loads((Path(__file__).parents[1] / "fixtures" / "curves.json").read_text())


@pytest.mark.parametrize("record", [pytest.param(r, id=r["id"]) for r in RECORDS])
def test_a_curve_is_what_its_source_computed(record):
    curve = load(record["schedule"], Clock(**record.get("clock", {})))
    if "metrics" in record:
        found = []
        for metric in record["metrics"]:
            curve.observe(metric)
            found.append(curve(0))
    else:
        found = curve(record["steps"])
    np.testing.assert_allclose(found, record["values"], rtol=record["rtol"], atol=record["atol"])


@pytest.mark.parametrize(
    "record", [pytest.param(r, id=r["id"]) for r in RECORDS if r["id"].startswith("exact/restarts")]
)
def test_a_restart_is_a_peak_to_the_last_bit_and_the_step_before_it_is_a_valley(record):
    curve, restarts = load(record["schedule"], Clock(**record["clock"])), record["steps"]
    assert curve(restarts).tolist() == record["values"]
    assert curve([step - 1 for step in restarts]).max() < 0.01
