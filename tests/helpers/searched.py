"""A search as Optuna has left it: its journal, and a run for each trial."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.helpers.served import make_run
from trainer.runs.study import JOURNAL, open_study, require_optuna


def make_search(
    folder: Path,
    runs: Sequence[tuple[str, str]],
    highest_rate: float,
    value: Callable[[int, Mapping[str, float]], float],
) -> None:
    """Writes a run for each pair of rows and config, and its trial with drawn rate and momentum.

    `value` gives what a trial, by its number and what was drawn for it, has measured.
    """
    folder.mkdir(parents=True)
    require_optuna()
    import optuna  # an extra

    study = open_study(folder / JOURNAL, "minimize")
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    for number, (lines, config) in enumerate(runs):
        trial = study.ask()
        trial.suggest_float("schedule.initial_value", 0.1, highest_rate)
        trial.suggest_float("optimizer.momentum", 0.0, 0.9)
        study.tell(trial, value(number, trial.params))
        run = make_run(folder / str(number), lines, "done", config)
        about = {"trial": number, "metric": "loss", "pruner": {"kind": "none"}}
        (run / "trial.json").write_text(json.dumps(about))
