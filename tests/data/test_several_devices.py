"""Streams and buckets on several devices, for which parts of the CPU stand in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.test_replicas import compare, compare_replicas, on, train_all
from tests.helpers.runs import result, rows

FROM = "data.call=tests.helpers.functions:{}".format
SMALL = ("data=python", "allow_code=true", "data.batch_size=16", "evaluate.every=10",
         "run.compile=graph", "run.micro_batches=2")  # fmt: skip
SCENES = {
    "function": (FROM("rows_anew"),),
    "pipeline": (FROM("endless_pipeline"),),
    "buckets": (
        FROM("sentences"), "data.ragged.length=longest", "data.buckets=3", "model=rnn",
        "model.cell=simple", "model.tokens=12", "model.units=3", "model.width=2",
    ),
}  # fmt: skip


@pytest.mark.slow
def test_several_devices_learn_from_the_examples_of_one_and_go_on_alike(tmp_path: Path) -> None:
    asked = []
    for name, overrides in SCENES.items():
        plan = (*SMALL, *overrides)
        asked += [(tmp_path / name / str(count), (*on(count), *plan)) for count in (1, 2)]
        asked += [
            (tmp_path / name / "parts", (*on(2), *plan, *stop))
            for stop in (("run.stop_after=9",), ())
        ]
    assert {code for _, code in train_all(asked)} == {0}
    # A recurrent layer keeps a seed of each replica's own, which it never draws from here.
    compare_replicas(tmp_path, [f"{name}/2" for name in SCENES if name != "buckets"])
    for name in SCENES:
        one, two, parts = (tmp_path / name / folder for folder in ("1", "2", "parts"))
        compare(one, two)
        assert result(two)["replicas"] == 2
        assert rows(parts) == rows(two)
        assert result(parts)["weights_digest"] == result(two)["weights_digest"]
