"""Searches: what they try, how they go on, and runs that are trials of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from schedules.declaration import Refused
from tests.helpers.runs import SMALL, events, result, rows, trained
from tests.helpers.sweeps import CHECKOUT, ENVIRONMENT, table
from trainer.config.conf_folder import CONF
from trainer.config.hydra import VERSION_BASE, normalize_overrides
from trainer.runs.study import JOURNAL, open_study
from trainer.runs.trial import mark_as_trial
from trainer.sweeps.jobs import SweepError
from trainer.sweeps.search.search import Search
from trainer.sweeps.search.settings import Settings
from trainer.sweeps.search.space import Space

optuna = pytest.importorskip("optuna")

MOMENTUM = "++optimizer.momentum=interval(0.5,0.9)"
TPE = {"kind": "tpe", "n_startup_trials": 4}
"""What learns from four trials on, and not only from ten."""

Outcome = Callable[[dict[str, str]], dict[str, Any] | None]


class Pretended(Launcher):
    """Jobs that end at once, as a function of their values says; None is an interrupt."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.ran: list[dict[str, str]] = []
        self.together: list[int] = []

    def setup(self, **_: Any) -> None: ...

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[Any]:
        self.together.append(len(job_overrides))
        for job in job_overrides:
            message = (override.lstrip("+").split("=", 1) for override in job if "=" in override)
            values = dict(message)
            folder = Path("all") / values.pop("hydra.sweep.subdir")
            ended = self.outcome(values)
            if ended is None:
                raise KeyboardInterrupt
            self.ran.append(values)
            (folder / "result.json").write_text(json.dumps({"steps": 9, "metrics": {}, **ended}))
        return [JobReturn(status=JobStatus.COMPLETED) for _ in job_overrides]


def measured(values: dict[str, str]) -> dict[str, Any]:
    """A loss that is lowest at a momentum of 0.7."""
    loss = (float(values["optimizer.momentum"]) - 0.7) ** 2
    return {"status": "done", "metrics": {"eval_loss": loss, "eval_accuracy": 1 - loss}}


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Pretended]]:
    """Runs a search in `all` with jobs that are pretended."""
    monkeypatch.chdir(tmp_path)

    def run(outcome: Outcome, *arguments: str, **settings: Any) -> Pretended:
        launcher = Pretended(outcome)
        searched = Search(config, GlobalHydra.instance().config_loader(), settings)
        searched.run(arguments, {}, launcher)
        return launcher

    with initialize_config_dir(str(CONF), version_base=VERSION_BASE):
        asked = ["hydra.sweep.dir=all", "hydra.mode=MULTIRUN"]
        config = compose("config", overrides=asked, return_hydra_config=True)
        yield run


@pytest.mark.parametrize(
    ("override", "low", "middle", "last"),
    [
        ("a=interval(1,3)", "1.0", "2.0", "3.0"),
        ("a=tag(log,interval(1e-4,1))", "0.0001", "0.01", "1.0"),
        ("a=int(interval(1,9))", "1", "5", "9"),
        ("a=range(0,10,5)", "0", "0", "5"),
        ("a=range(0.0,1.0,0.25)", "0.0", "0.25", "0.75"),
        ("a=choice(x,y,z)", "x", "y", "z"),
        ("a=[16],[32,32]", "[16]", "[32,32]", "[32,32]"),
        ("++a={kind: x, b: 1},{kind: y}", "{kind:x,b:1}", "{kind:y}", "{kind:y}"),
    ],
)
def test_what_is_searched_is_written_as_in_any_sweep(
    override: str, low: str, middle: str, last: str
) -> None:
    (part,) = Space.parse([override]).parameters
    assert [part.value_at(share) for share in (0.0, 0.5, 1.0)] == [low, middle, last]


@pytest.mark.parametrize("sampler", [TPE, "cmaes"], ids=["tpe", "cmaes"])
def test_what_is_drawn_keeps_to_what_was_asked_for(
    sampler: object, search: Callable[..., Pretended]
) -> None:
    asked = (
        MOMENTUM, "++schedule.initial_value=tag(log,interval(0.001,0.1))", "run.length=50",
        "++data.batch_size=int(interval(16,20))", "schedule=choice(cosine,polynomial)",
    )  # fmt: skip
    ran = search(measured, *asked, n_trials=8, sampler=sampler).ran
    assert len(ran) == 8
    assert {values["run.length"] for values in ran} == {"50"}
    assert {values["schedule"] for values in ran} == {"cosine", "polynomial"}
    assert all(0.001 <= float(values["schedule.initial_value"]) <= 0.1 for values in ran)
    assert {int(values["data.batch_size"]) for values in ran} <= set(range(16, 21))
    assert len({values["optimizer.momentum"] for values in ran}) == 8


def test_a_search_nears_what_is_best_and_tells_the_command_for_it(
    search: Callable[..., Pretended], capsys: pytest.CaptureFixture[str]
) -> None:
    fixed = normalize_overrides(["schedule={kind: constant, value: 0.1}"])
    search(measured, MOMENTUM, *fixed, n_trials=14, sampler=TPE)
    best = yaml.safe_load(Path("all/best.yaml").read_text())
    assert abs(float(best["overrides"]["optimizer.momentum"]) - 0.7) < 0.05
    momentum = best["overrides"]["optimizer.momentum"]
    command = (
        f"python -m trainer optimizer.momentum={momentum} 'schedule={{kind: constant, value: 0.1}}'"
    )
    assert best["command"] == command
    assert capsys.readouterr().out.endswith(f"  {command}\n")


def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(
    search: Callable[..., Pretended],
) -> None:
    whole = search(measured, MOMENTUM, n_trials=7, sampler=TPE).ran
    Path("all").rename("whole")
    seen: list[dict[str, str]] = []

    def interrupted(values: dict[str, str]) -> dict[str, Any] | None:
        seen.append(values)
        return measured(values) if len(seen) < 6 else None

    with pytest.raises(KeyboardInterrupt):
        search(interrupted, MOMENTUM, n_trials=7, sampler=TPE)
    again = search(measured, MOMENTUM, n_trials=7, sampler=TPE)
    assert again.ran == whole[5:], "one was left, with the values that it had before"
    assert [trial.params for trial in open_study(Path("all") / JOURNAL).trials] == [
        trial.params for trial in open_study(Path("whole") / JOURNAL).trials
    ]
    assert search(measured, MOMENTUM, n_trials=7).ran == []
    assert len(search(measured, MOMENTUM, n_trials=8).ran) == 1
    with pytest.raises(Refused, match=r"run.length=9"):
        search(measured, MOMENTUM, "run.length=9", n_trials=14)
    with pytest.raises(Refused, match=r"was interval\(0.5,0.9\), is interval\(0.5,0.8\)"):
        search(measured, MOMENTUM.replace("0.9", "0.8"), n_trials=14)


def test_a_refused_proposal_is_a_failed_trial_and_the_search_goes_on(
    search: Callable[..., Pretended], capsys: pytest.CaptureFixture[str]
) -> None:
    ran = search(measured, MOMENTUM, "++run.micro_batches=choice(1,7)", n_trials=6).ran
    assert {values["run.micro_batches"] for values in ran} == {"1"}
    assert len(ran) < 6
    message = "run.micro_batches = 7: must divide data.batch_size = 64"
    assert capsys.readouterr().err.count(message) == 6 - len(ran)
    reasons = [row["reason"] for row in table(Path("all"))]
    assert sum(message in reason for reason in reasons) == 6 - len(ran)


def test_a_search_of_which_nothing_can_be_honoured_does_not_begin(
    search: Callable[..., Pretended],
) -> None:
    with pytest.raises(Refused, match=r"at least 0 and at most 1"):
        search(measured, "++optimizer.momentum=interval(2,3)")
    assert not Path("all").exists()


def test_a_trial_that_diverged_counts_as_the_worst_and_one_that_was_killed_as_nothing(
    search: Callable[..., Pretended],
) -> None:
    def outcome(values: dict[str, str]) -> dict[str, Any]:
        momentum = float(values["optimizer.momentum"])
        if momentum > 0.8:
            return {"status": "failed", "reason": "the loss became nan", "diverged": True}
        if momentum < 0.6:
            return {"status": "failed", "reason": "killed by SIGKILL"}
        return measured(values)

    search(outcome, MOMENTUM, n_trials=8, metric="eval_accuracy")
    trials = open_study(Path("all") / JOURNAL).trials
    assert len({trial.state for trial in trials}) == 2
    for trial in trials:
        drawn = trial.params["optimizer.momentum"]
        if drawn > 0.8:
            assert trial.value == -float("inf")
        elif drawn < 0.6:
            assert trial.state == optuna.trial.TrialState.FAIL
        else:
            assert trial.value == pytest.approx(1 - (drawn - 0.7) ** 2, abs=1e-5)


def test_when_no_trial_measured_anything_the_search_has_failed(
    search: Callable[..., Pretended],
) -> None:
    def failing(values: dict[str, str]) -> dict[str, Any]:
        return {"status": "failed", "reason": "no luck"}

    with pytest.raises(SweepError, match="3 of 3 jobs failed"):
        search(failing, MOMENTUM, n_trials=3)


def test_the_same_values_are_not_trained_twice_and_a_finite_search_ends(
    search: Callable[..., Pretended],
) -> None:
    ran = search(measured, "++optimizer.momentum=0.6,0.7,0.8", n_trials=40, sampler="random").ran
    assert sorted(values["optimizer.momentum"] for values in ran) == ["0.6", "0.7", "0.8"]


def test_a_grid_tries_every_combination_once_in_the_order_of_a_sweep(
    search: Callable[..., Pretended],
) -> None:
    asked = ("++optimizer.momentum=0.6,0.7", "++run.seed=range(1,4)")
    launcher = search(measured, *asked, n_trials=99, n_jobs=4, sampler="grid")
    pairs = [(values["optimizer.momentum"], values["run.seed"]) for values in launcher.ran]
    assert pairs == [(m, s) for m in ("0.6", "0.7") for s in "123"]
    assert launcher.together == [4, 2]


def test_a_folder_with_another_sweep_is_refused(search: Callable[..., Pretended]) -> None:
    Path("all/0").mkdir(parents=True)
    with pytest.raises(Refused, match="holds a sweep that is no search"):
        search(measured, MOMENTUM)


@pytest.mark.parametrize(
    ("asked", "message"),
    {
        "++a=1": "hydra/sweeper = 'optuna': is a search, and no value is left open",
        "a=interval(2,1)": "a = 'interval(2,1)': must have its lower end first",
        "a=tag(log,interval(0,1))": "a = 'interval(0,1)': must begin above 0",
        "a=tag(lg,interval(1,2))": "a = 'tag(lg,…)': has a tag that means nothing here",
        "a=range(3,1)": "a = 'range(3,1)': is a range that holds nothing",
        "a=tag(log,range(1,9,2))": "can't have both steps and a logarithm",
    }.items(),
)
def test_what_can_not_be_searched_is_refused(asked: str, message: str) -> None:
    with pytest.raises(Refused) as refused:
        Space.parse([asked])
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_trials": 0}, "hydra.sweeper.n_trials = 0"),
        ({"n_jobs": "many"}, "hydra.sweeper.n_jobs = 'many': must be a whole number"),
        ({"sampler": "tpo"}, "did you mean tpe?"),
        ({"sampler": {"kind": "tpe", "n_startup": 3}}, "did you mean n_startup_trials?"),
        ({"pruner": {"kind": "hyperband", "reduction_factor": 1}}, "can't judge trials"),
        ({"metric": "eval_beauty"}, "hydra.sweeper.direction=minimize, or maximize"),
        ({"metric": "eval_acuracy", "direction": "maximize"}, "did you mean eval_accuracy?"),
    ],
)
def test_settings_that_mean_nothing_are_refused_before_anything_is_made(
    settings: dict[str, Any], message: str, search: Callable[..., Pretended]
) -> None:
    with pytest.raises(Refused) as refused:
        search(measured, MOMENTUM, **settings)
    assert message in str(refused.value)
    assert not Path("all").exists()


def test_which_way_is_better_is_known_from_the_name_of_a_metric() -> None:
    names = ("eval_loss", "eval_accuracy", "eval_top5_accuracy", "eval_val_loss")
    ways = [Settings(metric=name).resolved_direction() for name in names]
    assert ways == ["minimize", "maximize", "maximize", "minimize"]
    assert Settings(metric="eval_loss", direction="maximize").resolved_direction() == "maximize"


@pytest.fixture
def better(tmp_path: Path) -> Path:
    """A search in which three trials were good from their first evaluation on, and one is open."""
    study = open_study(tmp_path / JOURNAL, "minimize")
    for _ in range(3):
        trial = study.ask()
        for count in (1, 2, 3, 4):
            trial.report(0.01, count)
        study.tell(trial, 0.01)
    study.ask()
    mark_as_trial(tmp_path / "3", 3, "eval_loss", {"kind": "median", "n_startup_trials": 3})
    return tmp_path


@pytest.fixture
def announced(tmp_path: Path) -> Path:
    (tmp_path / "3").mkdir()
    return tmp_path


def test_a_run_that_is_behind_stops_with_a_checkpoint_and_can_be_gone_on_with(
    announced: Path, better: Path
) -> None:
    asked = ("run.length=20", "evaluate.every=5", "checkpoint.every=100%")
    assert trained(better / "3", *asked) == 0
    ended = result(better / "3")
    assert (ended["status"], ended["steps"]) == ("pruned", 5)
    assert [row["step"] for row in events(better / "3", "pruned")] == [5]
    (checkpoint,) = (better / "3" / "checkpoints").iterdir()
    assert checkpoint.name == "step-0000000005"
    reported = open_study(better / JOURNAL).trials[3].intermediate_values
    assert reported == {1: rows(better / "3")[-1]["eval_loss"]}
    open_study(better / JOURNAL).tell(3, state=optuna.trial.TrialState.PRUNED)
    assert trained(better / "3", *asked) == 0
    assert (result(better / "3")["status"], result(better / "3")["steps"]) == ("done", 20)
    trained(better / "alone", *asked)
    digests = {result(better / name)["weights_digest"] for name in ("3", "alone")}
    assert len(digests) == 1, "what it was a part of changes nothing"


def command(*asked: str) -> list[str]:
    searched = (
        "hydra/sweeper=optuna", "schedule.initial_value=tag(log,interval(0.001,0.5))",
        "schedule=choice(cosine,rex)", "hydra.sweeper.n_trials=6", "hydra.sweep.dir=all",
        "hydra.sweeper.pruner={kind: median, n_startup_trials: 1}",
    )  # fmt: skip
    # -m in the middle, where Hydra by itself does not take it.
    small = (*SMALL, "run.length=40", "evaluate.every=10", "log.every=20")
    return [sys.executable, "-m", "trainer", *small, "-m", *searched, *asked]


def test_a_real_search_prunes_is_killed_and_goes_on(tmp_path: Path) -> None:
    process = subprocess.Popen(command(), cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    while not (tmp_path / "all" / "2" / "trial.json").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = subprocess.run(
        command(), cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=200
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "6 trials, 2 of them ended already" in done.stdout
    ends = table(tmp_path / "all")
    assert [row["run"] for row in ends] == list("012345")
    assert {row["status"] for row in ends} == {"done", "pruned"}
    steps = {row["status"]: row["steps"] for row in ends}
    assert (steps["done"], steps["pruned"]) == ("40", "10")
    best = min(ends, key=lambda row: (row["status"], float(row["eval_loss"])))
    assert f"best: trial {best['run']}, eval_loss" in done.stdout
    assert f"schedule.initial_value={best['schedule.initial_value']}" in done.stdout
    assert "pruned" in (tmp_path / "all" / "report.html").read_text()


def test_without_optuna_a_search_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "optuna.py").write_text("raise ImportError\n")
    paths = os.pathsep.join([str(tmp_path / "absent"), str(CHECKOUT)])
    refused = subprocess.run(
        command(), cwd=tmp_path, env={**ENVIRONMENT, "PYTHONPATH": paths}, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert refused.returncode == 2
    assert refused.stderr == (
        "hydra/sweeper = 'optuna': needs a package that is not installed: optuna>=4\n"
        "  hint: pip install 'scheduled-training[optuna]'\n"
    )
    assert not (tmp_path / "all").exists()
