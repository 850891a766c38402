"""The first run on images in files: what it learnt from is told from other data all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from tests.helpers.runs import experiment, result, trained
from trainer.data import Data, examples
from trainer.data.feeds.select import example_order
from trainer.runs.checkpoints import Checkpoints
from trainer.training.call import Call
from trainer.training.progress import Progress

KINDS: dict[str, tuple[str, ...]] = {
    "image_folder": ("data=image_folder", "model.hidden=[4]"),
    "image_pairs": ("data=image_pairs", "data.targets=masks", "model=unet", "model.depth=1",
                    "model.width=2"),
}  # fmt: skip
RUN = ("data.path=images", "data.keep=stream", "data.held_out.fraction=0.2", "data.batch_size=2",
       "run.length=8", "run.steps_per_call=1", "evaluate.every=100%",
       "~log.tensorboard")  # fmt: skip
FOLDER = (*KINDS["image_folder"], *RUN)
FILES = [Path("images", "ab"[i % 2], f"{i:02}.png") for i in range(10)]


def write(file: Path, value: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((4, 4), value, np.uint8)
    pixels[0] = 0
    PIL.Image.fromarray(pixels).save(file)


def rewrite_all() -> None:
    """Other pixels in all files but one of each class."""
    for file in FILES[2:]:
        write(file, 77)


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of two classes and a mask for each, which nobody has looked at."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for i, file in enumerate(FILES):
        write(file, 20 * i)
        write(Path("masks", *file.parts[1:]), 255)


@pytest.fixture
def at_call(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """Lets something be done once a call has made the update of a number."""

    def arranged(step: int, act: Callable[[], object]) -> None:
        def show(_: Progress, call: Call) -> None:
            if step in call.steps:
                act()

        monkeypatch.setattr(Progress, "show", show)

    return arranged


def digest(**more: Any) -> str:
    given = {"kind": "image_folder", "path": "images", "keep": "stream", "cache": "off", **more}
    return Data.declared({"held_out": {"fraction": 0.2}, **given}).load().digest


def recorded(path: Path) -> Any:
    """The fingerprint in a run's newest checkpoint."""
    return Checkpoints(path / "checkpoints", 1).manifest(None).about["data"]  # type: ignore[union-attr]


PAIRS = {"kind": "image_pairs", "targets": "masks"}


@pytest.mark.parametrize(
    ("kind", "cache"),
    [("image_folder", "auto"), pytest.param("image_folder", "off", marks=pytest.mark.slow),
     pytest.param("image_pairs", "auto", marks=pytest.mark.slow)],
)  # fmt: skip
def test_the_first_updates_wait_for_no_fingerprint_and_the_first_checkpoint_has_it(
    kind: str,
    cache: str,
    tmp_path: Path,
    at_call: Callable[[int, Callable[[], object]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[int] = []
    looked: list[int] = []
    fingerprint = examples._fingerprint
    monkeypatch.setattr(
        examples, "_fingerprint", lambda arrays: (looked.append(len(made)), fingerprint(arrays))[1]
    )
    at_call(0, lambda: made.append(len(looked)))
    run = (*KINDS[kind], *RUN, f"data.cache={cache}")
    assert trained(tmp_path / "run", *run, "run.stop_after=2") == 0
    assert made == [0]  # none was looked at before the first update
    assert looked == [1]  # and all of them once it was made
    expected = digest(**(PAIRS if kind == "image_pairs" else {}))
    assert recorded(tmp_path / "run") == result(tmp_path / "run")["data_digest"] == expected


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["auto", "off"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_stopped_in_its_first_epoch_goes_on_as_if_it_had_not_been(
    kind: str, cache: str, tmp_path: Path
) -> None:
    run = (*KINDS[kind], *RUN, f"data.cache={cache}")
    assert trained(tmp_path / "parts", *run, "run.stop_after=2") == 0
    for name in ("parts", "whole"):
        assert trained(tmp_path / name, *run) == 0
    first, second = result(tmp_path / "parts"), result(tmp_path / "whole")
    for name in ("weights_digest", "data_digest"):
        assert first[name] == second[name]


@pytest.mark.slow
def test_files_that_change_before_they_are_looked_at_are_no_data_to_go_on_with(
    tmp_path: Path,
    at_call: Callable[[int, Callable[[], object]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = (*FOLDER, "data.cache=off")
    at_call(0, rewrite_all)
    assert trained(tmp_path / "run", *run, "run.stop_after=2") == 0
    assert "changed while it was read" in recorded(tmp_path / "run")
    assert str(tmp_path / "images") in result(tmp_path / "run")["data_digest"]
    at_call(0, lambda: None)
    capsys.readouterr()
    assert trained(tmp_path / "run", *run) == 1
    error = capsys.readouterr().err
    assert "its data is unknown: " in error
    assert "resume.policy=config goes on all the same" in error
    assert trained(tmp_path / "run", *run, "resume.policy=config") == 0
    assert recorded(tmp_path / "run") == digest()


@pytest.mark.slow
@pytest.mark.parametrize("when", ["kept", "later"])
def test_files_that_change_after_they_were_kept_or_looked_at_are_other_data(
    when: str,
    tmp_path: Path,
    at_call: Callable[[int, Callable[[], object]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before, run = digest(), (*FOLDER, "evaluate.every=4")
    if when == "kept":  # after the fifth update, of all images but those of the evaluation
        at_call(5, rewrite_all)
    assert trained(tmp_path / "run", *run, "run.stop_after=7") == 0
    if when == "later":
        rewrite_all()
    assert recorded(tmp_path / "run") == before
    assert trained(tmp_path / "run", *run) == 1
    assert f"its data is {before}, and this run's is {digest()}" in capsys.readouterr().err


def test_an_image_that_can_not_be_decoded_ends_a_run_that_comes_to_it_and_no_other(
    tmp_path: Path,
) -> None:
    run = (*FOLDER, "data.cache=off", "run.seed=1")
    declared = experiment(*run).data
    contents = declared.contents  # type: ignore[attr-defined]  # of raw data
    order = example_order(declared, declared.load(), 1).indices(0, 4).ravel()
    last = contents.raw.train.inputs.names[contents.row_indices[0][order[-1]]]
    Path(last).write_bytes(Path(last).read_bytes()[:60])
    for name, length, code, status in (("short", 1, 0, "done"), ("run", 8, 1, "failed")):
        assert trained(tmp_path / name, *run, f"run.length={length}") == code
        ended = result(tmp_path / name)
        assert ended["status"] == status
        where = "data_digest" if status == "done" else "reason"
        assert "can't be decoded" in ended[where]
        assert str(Path(*Path(last).parts[-2:])) in ended[where]  # a long path is cut
    assert recorded(tmp_path / "short") == result(tmp_path / "short")["data_digest"]


@pytest.mark.slow
def test_a_run_killed_in_its_first_epoch_has_the_bits_of_a_whole_one(tmp_path: Path) -> None:
    asked = [*FOLDER, "model=mlp", "run.compile=graph", "log.every=1", "checkpoint.every=2"]
    kill = (
        "import os, sys; from trainer import Experiment, train\n"
        "train(Experiment.composed(*sys.argv[2:]), sys.argv[1],\n"
        "      callback=lambda call: 2 in call.steps and os.kill(os.getpid(), 9))\n"
    )
    checkout = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-c", kill, "killed", *asked]
    killed = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": checkout})
    assert killed.returncode == -signal.SIGKILL
    for name in ("killed", "whole"):
        assert trained(tmp_path / name, *asked) == 0
    first, second = result(tmp_path / "killed"), result(tmp_path / "whole")
    for name in ("weights_digest", "data_digest"):
        assert first[name] == second[name]
