"""Going on from a folder: what does not fit changes nothing, and what fits goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from schedules import Refused
from tests.helpers.runs import events, files, plan, result, rows, trained
from trainer.config.experiment import Experiment
from trainer.runs.folder import Folder
from trainer.training.run_config import declare

ASKED = ("run.length=40", "schedule=constant", "checkpoint.every=10", "evaluate.every=10")
CONFIG = "resume.policy=config"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("stopped")
    assert trained(path, *ASKED, "run.stop_after=30", "run.steps_per_call=5") == 0
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("whole")
    assert trained(path, *ASKED) == 0
    return path


@pytest.fixture
def run(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "run"))


UNFIT = {
    "ema={momentum: 0.9}": r"^ema: has no mean of weights to go on from(.|\n)*hint: ema=null",
    "optimizer=adam": r"^optimizer = 'adam': is not what the checkpoint of step 30 has the state "
    r"of, which is momentum\n  hint: optimizer=momentum",
    "run.precision=mixed_float16": r"^run\.precision(.|\n)*hint: run\.precision=float32",
    "run.length=20": r"^run\.length = '20 steps': is shorter than the 30 updates",
}


@pytest.mark.parametrize("changed", UNFIT)
def test_a_config_that_does_not_fit_the_checkpoint_is_refused_and_nothing_is_written(
    changed: str, run: Path
) -> None:
    before = files(run)
    with pytest.raises(Refused, match=UNFIT[changed]):
        declare(Folder(run), plan(*ASKED, changed, CONFIG))
    assert files(run) == before


@pytest.mark.parametrize("changed", ["model.hidden=[17]", "optimizer.groups={all: {paths: ['*']}}"])
def test_what_only_the_built_network_tells_leaves_the_folder_to_its_own_command(
    changed: str, run: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(run)
    assert trained(run, *ASKED, changed, CONFIG) == 1
    assert "does not fit" in capsys.readouterr().err
    after = files(run)
    assert {name: after[name] for name in before if name != "tensorflow.log"} == {
        name: content for name, content in before.items() if name != "tensorflow.log"
    }
    assert trained(run, *ASKED) == 0
    assert rows(run) == rows(whole)
    assert result(run)["weights_digest"] == result(whole)["weights_digest"]


def test_an_average_that_is_left_out_is_refused(tmp_path: Path) -> None:
    averaged = (*ASKED, "ema={momentum: 0.9}")
    trained(tmp_path, *averaged, "run.stop_after=5")
    with pytest.raises(Refused, match="leaves out the mean of weights"):
        trained(tmp_path, *ASKED, CONFIG)
    assert trained(tmp_path, *averaged, "run.stop_after=10") == 0


REACTING = (
    "schedule=plateau",
    "schedule.patience=0",
    "schedule.min_delta=9",
    "schedule.factor=0.5",
)


@pytest.mark.parametrize("name", ["plateau", "manual"])
def test_a_schedule_that_reacts_follows_another_and_is_followed_by_one(
    name: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reacting = REACTING if name == "plateau" else ("schedule=manual",)
    assert trained(run, *ASKED, *reacting, CONFIG, "run.stop_after=35") == 0
    assert "had observed" not in capsys.readouterr().out
    other = REACTING if name == "manual" else ("schedule=manual",)
    assert trained(run, *ASKED, *other, CONFIG, "run.stop_after=37") == 0
    assert (
        "learning_rate: what another schedule had observed is left out" in capsys.readouterr().out
    )
    assert trained(run, *ASKED, CONFIG) == 0
    assert [row["learning_rate"] for row in rows(run) if "loss" in row][37:] == [0.01] * 3


def test_a_plateau_keeps_what_it_observed_when_only_its_numbers_change(tmp_path: Path) -> None:
    trained(tmp_path, *ASKED, *REACTING, "run.stop_after=25")
    trained(tmp_path, *ASKED, *REACTING, "schedule.factor=0.25", CONFIG, "run.stop_after=27")
    assert rows(tmp_path)[-1]["learning_rate"] == 0.02 * 0.25


@pytest.mark.parametrize(("lines", "step"), [(25, 20), (32, 20), (12, 10)])
@pytest.mark.parametrize("policy", ["refuse", "config", "checkpoint"])
def test_rows_that_are_gone_take_the_run_back_to_a_checkpoint_that_has_all_of_its_own(
    lines: int, step: int, policy: str, run: Path, whole: Path
) -> None:
    metrics = run / "metrics.jsonl"
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:lines]))
    assert trained(run, *ASKED, f"resume.policy={policy}") == 0
    (went_on,) = events(run, "went on")
    assert went_on["step"] == step
    assert all("metrics.jsonl has" in event["said"] for event in events(run, "damaged"))
    assert len(events(run, "damaged")) == (30 - step) // 10
    assert rows(run) == rows(whole)
    assert result(run)["weights_digest"] == result(whole)["weights_digest"]
    trained(run, *ASKED)  # and nothing is left that a later going on could stumble on
    assert result(run)["weights_digest"] == result(whole)["weights_digest"]


@pytest.mark.parametrize("left", ["", '{"step": 0}\n'])
def test_where_no_checkpoint_has_its_rows_nothing_is_changed(left: str, run: Path) -> None:
    (run / "metrics.jsonl").write_text(left)
    before = files(run)
    with pytest.raises(Refused, match="put the whole metrics"):
        declare(Folder(run), plan(*ASKED))
    assert files(run) == before


def test_the_config_of_the_folder_is_validated_once(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longer = plan(*ASKED, "run.length=50")
    validated = []
    declared = Experiment.declared.__func__  # type: ignore[attr-defined]

    def count(cls: type[Experiment], config: object) -> Experiment:
        validated.append(config)
        return declared(cls, config)

    monkeypatch.setattr(Experiment, "declared", classmethod(count))
    declare(Folder(run), longer)
    assert len(validated) == 1
    folder = yaml.safe_load((run / "config.yaml").read_text())
    assert folder["run"]["length"] == 40
