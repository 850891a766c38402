"""What a search relies on in Optuna beyond what that documents."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from trainer.runs.study import JOURNAL, live_trial, open_study, require_optuna


@pytest.mark.parametrize("number", [0, 1])
def test_a_trial_of_optuna_goes_on_from_its_record_in_another_study_object(
    tmp_path: Path, number: int
) -> None:
    require_optuna()
    begun = open_study(tmp_path / JOURNAL, "minimize")
    asked = [begun.ask() for _ in range(2)]
    values = [trial.suggest_float("x", 0, 1) for trial in asked]

    study = open_study(tmp_path / JOURNAL)
    record = study.get_trials(deepcopy=False)[number]
    trial = live_trial(study, record)
    assert trial.number == number
    assert trial.suggest_float("x", 0, 1) == values[number]
    trial.report(0.25, step=3)
    trial.set_user_attr("told", True)
    study.tell(trial, 0.5)

    ended = open_study(tmp_path / JOURNAL).get_trials()
    assert [each.state.is_finished() for each in ended] == [number == 0, number == 1]
    assert ended[number].intermediate_values == {3: 0.25}
    assert ended[number].user_attrs == {"told": True}
    assert isinstance(record, optuna.trial.FrozenTrial)
