"""Nothing is lost: SIGKILL at any moment, and each thing that a checkpoint must hold for that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.networks import Trained
from tests.helpers.runs import events, result, rows, trained
from tests.helpers.storm import RECIPES, storm
from trainer.runs import checkpoints
from trainer.runs.checkpoint_files import Saved


def test_a_run_that_was_killed_again_and_again_is_the_run_that_was_not(tmp_path: Path) -> None:
    assert storm(tmp_path, "adam", kills=2, seed=1) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_hundred_kills_over_several_runs_change_no_bit(recipe: str, tmp_path: Path) -> None:
    assert storm(tmp_path, recipe, kills=20, seed=7) == 20


ASKED = (
    "run.length=40",
    "checkpoint.every=100%",
    "evaluate.every=10",
    "optimizer=adam",
    "model.dropout=0.3",
    "ema={momentum: 0.9}",
    "schedule={kind: plateau, initial_value: 0.01, patience: 0, min_delta: 9, factor: 0.5}",
)


def kept(path: Path) -> list[tuple[str, Any]]:
    """All that two runs must have in common."""
    ended = result(path)
    return [("weights", ended["weights_digest"]), ("average", ended["average_digest"]),
            ("rows", rows(path))]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole")
    trained(path, *ASKED)
    return path


def arrays(part: str) -> Any:
    """Forgets the arrays whose names have `part` in them: they are 0 again."""

    def forget(saved: Saved) -> Saved:
        assert any(part in name for name in saved.arrays)
        left = {n: np.zeros_like(a) if part in n else a for n, a in saved.arrays.items()}
        return Saved(saved.step, left, saved.about)

    return forget


def position(saved: Saved) -> Saved:
    return Saved(saved.step - 1, saved.arrays, saved.about)


def record(saved: Saved) -> Saved:
    return Saved(saved.step, saved.arrays, {**saved.about, "record": 0})


def tape(key: str) -> Any:
    def forget(saved: Saved) -> Saved:
        fresh = {
            "curves": {"learning_rate": {"": {"best": None}}},
            "hands": {},
            "slowdown": 0.5,
        }
        state = {**saved.about["tape"], key: fresh[key]}
        return Saved(saved.step, saved.arrays, {**saved.about, "tape": state})

    return forget


FORGOTTEN = {
    "nothing": lambda saved: saved,
    "first moments": arrays("momentums"),
    "second moments": arrays("velocities"),
    "the optimizer's count": arrays("iterations"),
    "dropout's seed": arrays("seed"),
    "the average": arrays("average/"),
    "one bias": arrays("dense_1/bias"),
    "the position": position,
    "the place in the record": record,
    "the plateau's state": tape("curves"),
    "the slowdown of rewinds": tape("slowdown"),
}


@pytest.mark.parametrize("thing", FORGOTTEN)
def test_each_thing_that_a_checkpoint_holds_is_needed(
    thing: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path, *ASKED, "run.stop_after=25")
    read = checkpoints.read
    monkeypatch.setattr(checkpoints, "read", lambda path: FORGOTTEN[thing](read(path)))
    if thing == "the optimizer's count":  # which the program checks for itself
        with pytest.raises(RuntimeError, match=r"its optimizers at \[1\]"):
            trained(tmp_path, *ASKED)
        return
    trained(tmp_path, *ASKED)
    assert (kept(tmp_path) == kept(whole)) == (thing == "nothing")


def test_the_state_right_after_going_on_is_the_state_that_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path, *ASKED, "run.stop_after=25")
    (path,) = (tmp_path / "checkpoints").iterdir()
    saved = checkpoints.read(path)
    found: dict[str, Any] = {}
    monkeypatch.setattr("trainer.training.loop.train", lambda run, progress, stop: found.update(
        arrays=run.session.network.state(), tape=run.session.tape.state(), step=run.session.step,
        record=run.session.log.position(), metrics=run.session.metrics))  # fmt: skip
    trained(tmp_path, *ASKED)
    arrays = found.pop("arrays")
    assert arrays.keys() == saved.arrays.keys()
    for name, array in saved.arrays.items():
        np.testing.assert_array_equal(arrays[name], array, strict=True)
    about = {name: saved.about[name] for name in ("tape", "record", "metrics")}
    assert found == {**about, "step": saved.step}


def test_a_state_is_every_variable_to_the_bit_and_updates_leave_it_alone() -> None:
    used = Trained("optimizer=adam", "ema={momentum: 0.9}", "model.dropout=0.3")
    used.update(0, 3)
    expected = {name: np.asarray(value).copy() for name, value in used.network.variables().items()}
    state = used.network.state()
    used.update(3, 3)
    assert list(state) == list(expected)
    for name, array in state.items():
        np.testing.assert_array_equal(array, expected[name], strict=True)
    assert state["global_step"] == 3


@pytest.mark.parametrize(
    ("changed", "message"),
    {
        "optimizer=nadam": "its optimizer is adam, and this run's is nadam",
        "run.seed=2": "its seed is 1, and this run's is 2",
        "run.compile=xla": "its compile is graph, and this run's is xla",
        "model.hidden=[17]": "is float32[64, 16] in the checkpoint and float32[64, 17] here",
        "model.hidden=[16, 4]": "the checkpoint and this network differ in ",
        "data=mnist5k": "its data is ",
    }.items(),
)  # fmt: skip
def test_a_checkpoint_of_another_run_is_refused_by_name(
    changed: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tmp_path, *ASKED, "run.stop_after=5")
    (tmp_path / "config.yaml").unlink()
    assert trained(tmp_path, *ASKED, changed) == 1
    assert message in capsys.readouterr().err


def test_killed_between_the_last_checkpoint_and_the_result(tmp_path: Path, whole: Path) -> None:
    trained(tmp_path, *ASKED)
    (tmp_path / "result.json").unlink()
    trained(tmp_path, *ASKED)
    assert kept(tmp_path) == kept(whole)
    assert result(tmp_path)["metrics"] == result(whole)["metrics"]


def test_killed_before_anything_was_written_but_the_folder(tmp_path: Path, whole: Path) -> None:
    (tmp_path / "config.yaml").write_text("")
    (tmp_path / "config.yaml").unlink()
    (tmp_path / ".config.yaml.1").write_text("run: {seed")
    (tmp_path / "events.jsonl").write_text('{"step": 3, "eve')
    trained(tmp_path, *ASKED)
    assert kept(tmp_path) == kept(whole)


def test_what_was_chosen_by_measuring_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured again, it might be the other way, and the bits other bits."""
    trained(tmp_path, *ASKED, "run.compile=auto", "run.stop_after=5")
    before = (tmp_path / "chosen.json").read_text()

    def refuse(*args: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr("trainer.engine.compile_decision.measure", refuse)
    trained(tmp_path, *ASKED, "run.compile=auto", "run.stop_after=10")
    assert (tmp_path / "chosen.json").read_text() == before
    (tmp_path / "chosen.json").unlink()
    trained(tmp_path, *ASKED, "run.compile=auto")
    assert result(tmp_path)["steps"] == 40


@pytest.mark.slow
def test_a_million_updates_take_no_more_memory_nor_files_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.training.session import Session

    seen: list[tuple[int, int]] = []
    save = Session.save

    def watching(session: Session) -> None:
        save(session)
        statm = Path("/proc/self/statm").read_text().split()
        seen.append((int(statm[1]) * 4096, len(list(Path("/proc/self/fd").iterdir()))))

    monkeypatch.setattr(Session, "save", watching)
    trained(tmp_path, "run.length=1000000", "model.hidden=[4]", "run.compile=xla",
            "log.every=1000", "checkpoint.every=2%", "evaluate.every=2%")  # fmt: skip
    assert len(seen) == 50
    early, late = np.array(seen[10:20]), np.array(seen[-10:])
    assert late[:, 0].mean() < early[:, 0].mean() + 20e6
    assert late[:, 1].max() <= early[:, 1].max()
    assert not events(tmp_path, "departed")
