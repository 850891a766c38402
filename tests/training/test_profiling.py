"""Profiles of a few calls, for TensorBoard."""

from pathlib import Path

import pytest
import tensorflow as tf

from tests.helpers.runs import events, result, trained
from trainer.training.profiling import WARM

ASKED = ("run.length=16", "run.steps_per_call=1")


def profiles(path: Path) -> list[Path]:
    return list(path.glob("plugins/profile/*/*.xplane.pb"))


def test_a_profile_of_a_few_calls_is_written_and_told_of_once(tmp_path: Path) -> None:
    trained(tmp_path / "plain", *ASKED)
    trained(tmp_path / "run", *ASKED, "run.profile={calls: 2}")
    (written,) = profiles(tmp_path / "run")
    assert b"MatMul" in written.read_bytes()
    (message,) = events(tmp_path / "run", "profile")
    assert f"tensorboard --logdir {tmp_path / 'run'}" in message["said"]
    assert message["step"] == WARM + 2 - 1  # said during the last call of it
    same = [result(tmp_path / name)["weights_digest"] for name in ("plain", "run")]
    assert same[0] == same[1]
    assert not profiles(tmp_path / "plain")


def test_a_folder_is_not_bound_by_it(tmp_path: Path) -> None:
    trained(tmp_path, *ASKED, "run.stop_after=4")
    assert trained(tmp_path, *ASKED, "run.profile={calls: 1}") == 0
    assert len(profiles(tmp_path)) == 1


def test_a_run_of_too_few_calls_says_so(tmp_path: Path) -> None:
    trained(tmp_path, "run.length=3", "run.steps_per_call=1", "run.profile={}")
    (message,) = events(tmp_path, "profile")
    assert "there were 3; a lower run.steps_per_call" in message["said"]


def test_one_that_ends_before_its_last_call_is_written_all_the_same(tmp_path: Path) -> None:
    trained(tmp_path, f"run.length={WARM + 2}", "run.steps_per_call=1", "run.profile={calls: 9}")
    assert len(profiles(tmp_path)) == 1


def test_a_profiler_that_is_busy_stops_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tf.profiler.experimental.start(str(tmp_path / "another"))
    try:
        assert trained(tmp_path, *ASKED, "run.profile={calls: 2}") == 0
    finally:
        tf.profiler.experimental.stop(save=False)
    (message,) = events(tmp_path, "profile")
    assert message["said"].startswith("no profile: ")
