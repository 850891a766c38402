"""The jobs that a sweep's overrides and experiment files make, without training any."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from schedules.declaration import Refused
from tests.helpers.runs import SMALL
from trainer.config.hydra import CONF, VERSION_BASE, normalize_overrides
from trainer.runs.atomic_files import write
from trainer.sweeps.composed import ComposedJob, Composer
from trainer.sweeps.multirun import Multirun


@pytest.fixture
def composed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., list[ComposedJob]]]:
    """The jobs of a sweep whose folder of experiments is `mine`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    with initialize_config_dir(str(CONF), version_base=VERSION_BASE):

        def jobs(*typed: str) -> list[ComposedJob]:
            composer, overrides, params = sweep(Composer, *typed)
            return composer.jobs(overrides, params)

        yield jobs


def sweep(of: Callable[..., Any], *typed: str) -> tuple[Any, list[str], dict[str, Any]]:
    """A `Composer` or a `Multirun`, and what `-m` gives it to work with."""
    own = [override for override in typed if override.startswith("hydra")]
    overrides = list(normalize_overrides(o for o in typed if o not in own))
    parsed = OverridesParser.create().parse_overrides(overrides)
    fixed = [o for o, p in zip(overrides, parsed, strict=True) if not p.is_sweep_override()]
    search_path = "hydra.searchpath=[file://mine]"
    config = compose(
        "config", [*fixed, *own, search_path, "hydra.mode=MULTIRUN"], return_hydra_config=True
    )
    params = dict(config.hydra.sweeper.params)
    return of(config, GlobalHydra.instance().config_loader()), overrides, params


def experiment(name: str, text: str) -> None:
    """An experiment file of one's own."""
    Path("mine", "experiment", f"{name}.yaml").write_text(f"# @package _global_\n{text}")


def varying(name: str, **params: str) -> None:
    """An experiment file that varies something."""
    lines = "".join(f"      {key}: {value}\n" for key, value in params.items())
    experiment(name, f"hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n{lines}")


def seeds_and_schedules(jobs: Sequence[ComposedJob]) -> list[tuple[int, str]]:
    plans = [job.checked.plan.experiment for job in jobs]
    return [(plan.run.seed, plan.schedule.kind) for plan in plans]


def test_several_experiments_each_vary_what_their_own_file_says(
    composed: Callable[..., list[ComposedJob]],
) -> None:
    varying("seeds", **{"run.seed": "[1, 2]"})
    varying("kinds", **{"schedule": "cosine,rex,linear", "run.seed": "7"})
    experiment("plain", "run: {seed: 5}\n")
    jobs = composed("experiment=seeds,kinds,plain", *SMALL)
    assert seeds_and_schedules(jobs) == [
        (1, "cosine"), (2, "cosine"), (7, "cosine"), (7, "rex"), (7, "linear"), (5, "cosine"),
    ]  # fmt: skip


def test_the_command_line_wins_over_what_each_of_several_experiments_varies(
    composed: Callable[..., list[ComposedJob]],
) -> None:
    varying("seeds", **{"run.seed": "[1, 2]", "schedule": "cosine,rex"})
    experiment("plain", "log: {every: 5}\n")
    jobs = composed("experiment=seeds,plain", "run.seed=8,9", *SMALL)
    expected = [(8, "cosine"), (8, "rex"), (9, "cosine"), (9, "rex"), (8, "cosine"), (9, "cosine")]
    assert seeds_and_schedules(jobs) == expected


def test_an_experiment_file_may_zip(composed: Callable[..., list[ComposedJob]]) -> None:
    varying("pairs", **{"run.seed": "zip(1,2)", "schedule": "zip(cosine,rex)"})
    assert seeds_and_schedules(composed("experiment=pairs", *SMALL)) == [(1, "cosine"), (2, "rex")]


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("defaults: [override /hydra/sweeper: optuna]\n", "hydra.sweeper"),
        ("defaults: [override /hydra/launcher: local]\n", "hydra.launcher"),
        ("hydra: {sweep: {dir: elsewhere}}\n", "hydra.sweep"),
    ],
)
def test_one_of_several_experiments_can_not_set_what_holds_for_the_whole_sweep(
    text: str, setting: str, composed: Callable[..., list[ComposedJob]]
) -> None:
    experiment("other", text)
    experiment("plain", "log: {every: 5}\n")
    with pytest.raises(Refused) as refused:
        composed("experiment=other,plain", *SMALL)
    (problem,) = refused.value.problems
    assert (problem.path, problem.value) == ("experiment", "other")
    assert problem.rule.startswith(f"sets {setting}, ")
    assert problem.hint == "sweep over it by itself: experiment=other"
    assert len(composed("experiment=other", "run.seed=1,2", *SMALL)) == 2


def test_more_jobs_than_a_sweep_may_have_are_refused_in_experiment_files_too(
    composed: Callable[..., list[ComposedJob]],
) -> None:
    varying("many", **{"run.seed": "range(0,6000)"})
    varying("more", **{"run.seed": "range(0,6001)"})
    with pytest.raises(Refused, match="makes a sweep of 12,001 jobs"):
        composed("experiment=many,more", *SMALL)


@pytest.mark.parametrize(
    ("subdir", "names"),
    [
        ("seed_${run.seed}", ["seed_1", "seed_2"]),
        ("${hydra.job.num}", [None, None]),
        ("job-${hydra.job.num}", ["job-0", "job-1"]),
        ("${schedule.kind}/${run.seed}", ["cosine/1", "cosine/2"]),
    ],
)
def test_a_jobs_folder_is_named_as_asked(
    subdir: str, names: list[str | None], composed: Callable[..., list[ComposedJob]]
) -> None:
    jobs = composed("run.seed=1,2", f"hydra.sweep.subdir={subdir}", "data=digits", "model=mlp")
    assert [job.folder_name for job in jobs] == names


@pytest.mark.parametrize(
    ("subdir", "rule"),
    [
        ("same", "gives the folder same to the jobs run.seed=1 and run.seed=2"),
        ("../${run.seed}", "must name a folder inside of hydra.sweep.dir"),
        ("/${run.seed}", "must name a folder inside of hydra.sweep.dir"),
        ("${run.sed}", "run.sed"),
    ],
)
def test_a_jobs_folder_is_its_own_and_in_the_sweeps(
    subdir: str, rule: str, composed: Callable[..., list[ComposedJob]]
) -> None:
    with pytest.raises(Refused, match=rule):
        composed("run.seed=1,2", f"hydra.sweep.subdir={subdir}", *SMALL)


def test_the_folder_of_a_single_run_is_refused(
    composed: Callable[..., list[ComposedJob]],
) -> None:
    with pytest.raises(Refused, match=r"hydra.run.dir = 'here'.*\n.*hydra.sweep.dir=here"):
        composed("run.seed=1,2", "hydra.run.dir=here", *SMALL)


class Pretended(Launcher):
    """Jobs that are done at once."""

    def __init__(self) -> None:
        self.launched: list[str] = []

    def setup(self, **_: Any) -> None: ...

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[Any]:
        parser = OverridesParser.create()
        for job in job_overrides:
            name = str(parser.parse_override(job[-1]).value())
            self.launched.append(name)
            write(Path("all", name, "result.json"), json.dumps({"status": "done", "metrics": {}}))
        return [JobReturn(status=JobStatus.COMPLETED) for _ in job_overrides]


def test_named_folders_are_launched_reported_and_gone_on_with(
    composed: Callable[..., list[ComposedJob]],
) -> None:
    def run(seeds: str) -> list[str]:
        named = ("hydra.sweep.subdir='${schedule.kind}/it''s ${run.seed}'".replace("''", "\\'"),)
        asked = (*SMALL, f"run.seed={seeds}", "schedule=cosine,rex", "hydra.sweep.dir=all", *named)
        multirun, overrides, params = sweep(Multirun, *asked)
        launcher = Pretended()
        multirun.run(overrides, params, launcher)
        return launcher.launched

    assert run("1") == ["cosine/it's 1", "rex/it's 1"]
    assert run("1,2") == ["cosine/it's 2", "rex/it's 2"]
    table = Path("all/sweep.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in table[1:]] == [
        "cosine/it's 1", "cosine/it's 2", "rex/it's 1", "rex/it's 2",
    ]  # fmt: skip
