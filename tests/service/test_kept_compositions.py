"""Compositions that are kept while a number is typed: the same config, or the same refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules import Refused
from trainer.config.from_python import Compose, compose_values, composed_tree
from trainer.service.design import kept_compositions
from trainer.service.design.kept_compositions import KeptCompositions

OVERRIDES = [
    "data=digits", "schedule=linear", "schedule=exponential", "optimizer=adam", "experiment=sgdr",
    "run.seed=3", "run.seed=-0", "run.length=1e3", "run.length=07", "run.length=5 epochs",
    "schedule.initial_value=0.5", "schedule.initial_value=1.", "schedule.nothing=4",
    "schedule={kind: constant, value: 0.1}", "schedule.value=2e-3", "~schedule",
    "optimizer.momentum=0.8", "optimizer.momentum={kind: constant, value: 0.9}",
    "optimizer.momentum.value=0.7", "optimizer.momentum=0.95", "model.hidden.0=3", "metrics.auc=1",
    "warmup.length=20", "warmup=linear", "checkpoint.keep_best.metric=1", "~run.seed", "run=1",
    "+run.seed=5", "log.tensorboard.x=1",
]  # fmt: skip
KEPT = KeptCompositions()


def outcome(overrides: list[str], compose: Compose, config_dir: Path | None = None) -> Any:
    try:
        return compose_values(overrides, config_dir, compose)[0]
    except Refused as refused:
        return str(refused)


@settings(max_examples=8)
@given(st.lists(st.sampled_from(OVERRIDES), max_size=6))
def test_any_overrides_give_what_hydra_gives(overrides: list[str]) -> None:
    expected = outcome(overrides, composed_tree)
    assert outcome(overrides, KEPT.compose) == expected
    assert outcome(overrides, KEPT.compose) == expected


def test_a_number_that_is_typed_composes_nothing_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    composed = []

    def counted(*arguments: Any) -> dict[str, Any]:
        composed.append(arguments)
        return composed_tree(*arguments)

    monkeypatch.setattr(kept_compositions, "composed_tree", counted)
    kept = KeptCompositions()
    for number in ("0.5", "0.25", "1e-3", "3"):
        found = outcome(["schedule=linear", f"schedule.initial_value={number}"], kept.compose)
        assert found["schedule"]["initial_value"] == float(number)
    assert len(composed) == 1


def test_an_option_that_is_edited_is_read_anew(tmp_path: Path) -> None:
    option = tmp_path / "schedule/mine.yaml"
    option.parent.mkdir()
    kept = KeptCompositions()
    for value in (0.1, 0.25):
        option.write_text(f"kind: constant\nvalue: {value}\n")
        found = outcome(["schedule=mine", "run.seed=1"], kept.compose, tmp_path)
        assert found["schedule"]["value"] == value
