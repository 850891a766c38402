"""Training on streams, through the door for programs and the command line's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from schedules import Refused
from trainer import Call, Experiment, train
from trainer.commands.outcome import Outcome

N = 100
X = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
Y = (X.sum(axis=1) > 0).astype(np.int32)
TEST = X[:40], Y[:40]
PLAIN = (
    "model=mlp",
    "model.hidden=[4]",
    "run.compile=graph",
    "run.steps_per_call=4",
    "data.batch_size=16",
    "run.length=20",
    "evaluate.every=10",
)


def varied() -> tf.data.Dataset:
    def noisy(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return x + tf.random.normal(tf.shape(x)), y

    return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(N).batch(30).map(noisy)


def endless() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(20).repeat()


def permuted(epoch: int) -> Iterator[Any]:
    for i in np.random.default_rng(epoch).permutation(N):
        yield X[i], int(Y[i])


KINDS: dict[str, Callable[[], Any]] = {
    "replayed": varied,
    "saved": endless,
    "function": lambda: permuted,
}


def run(stream: Any, folder: Path, *overrides: str, **given: Any) -> Outcome:
    experiment = Experiment.composed(*PLAIN, *overrides)
    return train(experiment, folder, data=(stream, TEST), quiet=True, **given)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_run_goes_on_with_the_same_bits(kind: str, tmp_path: Path) -> None:
    whole = run(KINDS[kind](), tmp_path / "whole")
    assert whole.status == "done"
    run(KINDS[kind](), tmp_path / "parts", "run.stop_after=7")
    again = run(KINDS[kind](), tmp_path / "parts", "run.stop_after=13")
    assert (again.status, again.steps) == ("stopped", 13)
    parts = run(KINDS[kind](), tmp_path / "parts")
    assert parts.result["weights_digest"] == whole.result["weights_digest"]
    assert parts.metrics == whole.metrics


def test_a_run_that_lost_its_last_rows_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    """As after a kill: from an older checkpoint than the last update that was made."""
    whole = run(endless(), tmp_path / "whole", "checkpoint.every=6")
    killed = tmp_path / "killed"

    def stop(call: Call) -> None:
        if call.steps.stop >= 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(endless(), killed, "checkpoint.every=6", callback=stop)
    newest = max((killed / "checkpoints").glob("step-*"))
    if newest.name != "step-0000000012":
        (newest / "manifest.json").unlink()
    parts = run(endless(), killed, "checkpoint.every=6")
    assert parts.result["weights_digest"] == whole.result["weights_digest"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_micro_batches_take_a_stream(kind: str, tmp_path: Path) -> None:
    whole = run(KINDS[kind](), tmp_path / "one")
    parts = run(KINDS[kind](), tmp_path / "parts", "run.micro_batches=4")
    assert parts.metrics["eval_loss"] == pytest.approx(whole.metrics["eval_loss"], rel=1e-4)


def test_epochs_are_passes_where_their_length_is_known(tmp_path: Path) -> None:
    outcome = run(varied(), tmp_path, "run.length=2 epochs")
    assert outcome.steps == -(-2 * N // 16)
    assert outcome.history["epoch"][-1] == pytest.approx(outcome.history["step"][-1] * 16 / N)


def test_rows_have_no_epoch_where_its_length_is_not_known(tmp_path: Path) -> None:
    seen: list[float] = []
    outcome = run(endless(), tmp_path, callback=lambda call: seen.append(call.epoch))
    assert outcome.status == "done"
    assert np.isnan(seen).all()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert not any("epoch" in row for row in rows)


def test_data_epoch_says_how_many_examples_an_epoch_has(tmp_path: Path) -> None:
    outcome = run(
        endless(),
        tmp_path,
        "run.length=2 epochs",
        "data={kind: given, epoch: 64, batch_size: 16}",
        "evaluate.every=1 epoch",
    )
    assert outcome.steps == 8
    assert outcome.history["epoch"].max() <= 2.0


@pytest.mark.parametrize(
    "override", ["run.length", "evaluate.every", "checkpoint.every", "run.stop_after", "log.every"]
)
def test_epochs_of_no_known_length_are_refused_with_what_to_type(
    override: str, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match="does not know how many examples one has") as caught:
        run(endless(), tmp_path / "none", f"{override}=1 epoch")
    assert caught.match(f"{override}='1000 steps'")
    assert caught.match("data.epoch=60000")
    assert not (tmp_path / "none").exists()


def test_balanced_weights_are_refused_since_a_stream_is_not_counted(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="class_weights"):
        run(endless(), tmp_path, "loss.class_weights=balanced")


def test_a_config_may_name_a_function_that_returns_a_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "streamed_job.py").write_text(
        "import numpy as np\n"
        "X = np.random.default_rng(0).normal(size=(60, 4))\n"
        "Y = (X.sum(axis=1) > 0).astype(int)\n"
        "def examples(epoch):\n"
        "    for i in np.random.default_rng(epoch).permutation(60):\n"
        "        yield X[i], Y[i]\n"
        "def data():\n"
        "    return examples, (X[:20], Y[:20])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    data = ("data=python", "data.call=streamed_job:data", "allow_code=[streamed_job]")
    experiment = Experiment.composed(*PLAIN, *data)
    whole = train(experiment, tmp_path / "whole", quiet=True)
    train(Experiment.composed(*PLAIN, *data, "run.stop_after=9"), tmp_path / "parts", quiet=True)
    parts = train(experiment, tmp_path / "parts", quiet=True)
    assert parts.result["weights_digest"] == whole.result["weights_digest"]


def test_another_stream_in_the_folder_is_refused(tmp_path: Path) -> None:
    run(endless(), tmp_path, "run.stop_after=7")
    other = tf.data.Dataset.from_tensor_slices((X + 1, Y)).repeat()
    with pytest.raises(Refused, match=r"data\.digest"):
        run(other, tmp_path)
