"""Updates that are not finite: stopping, leaving them out, and going back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.runs import events, result, rows, trained
from trainer.engine.gradients import finite
from trainer.losses import CrossEntropy
from trainer.scheduled.dials import Dials

plain = CrossEntropy.training


def spoilt_loss(
    self: CrossEntropy, outputs: tf.Tensor, labels: tf.Tensor, dials: Dials
) -> tf.Tensor:
    """A loss that is NaN wherever the learning rate is above 1."""
    nan = tf.where(dials.value("learning_rate") > 1, float("nan"), 0.0)
    return plain(self, outputs, labels, dials) + nan


def spoilt_gradient(
    self: CrossEntropy, outputs: tf.Tensor, labels: tf.Tensor, dials: Dials
) -> tf.Tensor:
    """A loss that is as it should be, with gradients that are NaN there."""
    losses = plain(self, outputs, labels, dials)
    return tf.cond(
        dials.value("learning_rate") > 1,
        lambda: losses + tf.sqrt(0 * tf.reduce_sum(outputs)),
        lambda: losses,
    )


@pytest.mark.parametrize("compiled", [False, True])
def test_one_entry_that_is_not_finite_is_found_wherever_it_is(compiled: bool) -> None:
    """Large ones are no fault, even where their sum is."""
    look = tf.function(lambda x, *gs: finite(x, gs, xla=compiled), jit_compile=compiled)
    shapes = [(), (3, 3, 2, 5), (7, 4), (6, 1), (9,), ()]
    sound = [np.full(shape, 3e38, np.float32) for shape in shapes]
    sound[2][:2] = -3e38
    assert look(*sound)
    for k, shape in enumerate(shapes):
        for place in ([0] * len(shape), [side - 1 for side in shape]):
            for bad in (np.nan, np.inf, -np.inf):
                spoilt = [x.copy() for x in sound]
                spoilt[k][tuple(place)] = bad
                assert not look(*spoilt), (k, place, bad)


@pytest.fixture(params=[spoilt_loss, spoilt_gradient])
def spoilt(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CrossEntropy, "training", request.param)


def rates(**at: float) -> str:
    """A learning rate of 0.1, but for the steps that are named like `t13`."""
    values = [at.get(f"t{t}", 0.1) for t in range(20)]
    return f"schedule={{kind: table, values: {values}}}"


ASKED = ("run.length=20", "checkpoint.every=5", "evaluate.every=10", "run.steps_per_call=4")


@pytest.mark.usefixtures("spoilt")
@pytest.mark.parametrize("compiled", ["graph", "xla"])
def test_stop_ends_the_run_at_that_update(
    compiled: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained(tmp_path, *ASKED, rates(t13=2.0), f"run.compile={compiled}") == 1
    assert " at update 13, which applied learning_rate = 2" in capsys.readouterr().err
    assert [row["step"] for row in rows(tmp_path) if "loss" in row] == list(range(13))
    assert result(tmp_path)["status"] == "failed"


@pytest.mark.usefixtures("spoilt")
@pytest.mark.parametrize("compiled", ["graph", "xla"])
def test_skip_leaves_the_weights_and_counts_the_step(compiled: str, tmp_path: Path) -> None:
    """For plain SGD that is the same as a learning rate of 0."""
    skipping, standing = tmp_path / "skipping", tmp_path / "standing"
    asked = (*ASKED, "optimizer=sgd", "optimizer.momentum=0", f"run.compile={compiled}")
    assert trained(skipping, *asked, rates(t7=2.0, t13=3.0), "run.on_nonfinite=skip") == 0
    assert trained(standing, *asked, rates(t7=0.0, t13=0.0)) == 0
    assert result(skipping)["weights_digest"] == result(standing)["weights_digest"]
    assert result(skipping)["skipped"] == 2
    assert [row["at"] for row in events(skipping, "skipped")] == [[7], [13]]
    assert [row["step"] for row in rows(skipping) if "loss" in row] == list(range(20))


@pytest.mark.usefixtures("spoilt")
def test_skip_leaves_slots_and_averages_too(tmp_path: Path) -> None:
    """All updates but the first left out, weights, slots and averages are those after it."""
    asked = ("optimizer=adam", "ema={momentum: 0.5}", "run.on_nonfinite=skip", "model.dropout=0.5")
    trained(tmp_path / "one", "run.length=1", *asked, rates())
    trained(tmp_path / "all", "run.length=9", *asked, rates(**{f"t{t}": 2.0 for t in range(1, 9)}))
    for digest in ("weights_digest", "average_digest"):
        assert result(tmp_path / "all")[digest] == result(tmp_path / "one")[digest]


@pytest.mark.usefixtures("spoilt")
def test_rewind_goes_back_and_on_with_smaller_rates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (*ASKED, "run.on_nonfinite=rewind", "run.rewind_factor=0.25")
    assert trained(tmp_path, *asked, rates(t13=2.0)) == 0
    assert "back to step 10, learning rates times 0.25" in capsys.readouterr().out
    message = {row["step"]: row["learning_rate"] for row in rows(tmp_path) if "loss" in row}
    assert message == {t: 0.1 if t < 10 else 0.5 if t == 13 else 0.025 for t in range(20)}
    assert [row["step"] for row in rows(tmp_path) if "eval_loss" in row] == [10, 20]
    assert [(row["step"], row["at"]) for row in events(tmp_path, "rewound")] == [(10, 13)]
    assert result(tmp_path)["rewinds"] == 1


@pytest.mark.usefixtures("spoilt")
@pytest.mark.parametrize("stop", [3, 12, 17])
def test_going_on_is_exact_through_rewinds(stop: int, tmp_path: Path) -> None:
    asked = (*ASKED, "run.on_nonfinite=rewind", rates(t2=3.0, t13=6.0), "optimizer=adam")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    trained(whole, *asked)
    trained(broken, *asked, f"run.stop_after={stop}")
    trained(broken, *asked)
    assert result(whole)["rewinds"] == result(broken)["rewinds"] == 3
    assert rows(broken) == rows(whole)
    assert result(broken)["weights_digest"] == result(whole)["weights_digest"]


@pytest.mark.usefixtures("spoilt")
def test_rewinds_have_an_end(tmp_path: Path) -> None:
    asked = (*ASKED, "run.on_nonfinite=rewind", "run.rewind_limit=2", rates(t13=100.0))
    assert trained(tmp_path, *asked) == 1
    assert "at update 13" in result(tmp_path)["reason"]
    assert "after 2 rewinds" in result(tmp_path)["reason"]
    assert len(events(tmp_path, "rewound")) == 2


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    """The last update of all may be what throws them: no loss will tell."""
    asked = ("run.length=5", "checkpoint.every=4", "evaluate.every=100%", "optimizer=sgd")
    asked += ("optimizer.weight_decay=1e6", "run.steps_per_call=1")
    assert trained(tmp_path, *asked, rates(**{f"t{t}": 1e-9 for t in range(4)}, t4=3e38)) == 1
    assert "no longer finite at step 5" in result(tmp_path)["reason"]
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-0000000004"]
