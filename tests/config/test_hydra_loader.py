"""What Hydra composes configs by: once a run, and with the result that Hydra itself has."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from trainer.__main__ import main
from trainer.config.hydra_application import application
from trainer.config.hydra_loader import OF_A_RUN, checked_configs


@pytest.mark.parametrize(
    ("words", "code"), [(["--cfg", "job"], None), (["schedule.initial_value=fast"], 2)]
)
def test_a_config_is_composed_once(
    words: list[str], code: int | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    composed: list[object] = []
    compose = ConfigLoaderImpl._load_configuration_impl

    def counted(loader: ConfigLoaderImpl, **asked: Any) -> DictConfig:
        composed.append(asked)
        return compose(loader, **asked)

    monkeypatch.setattr(ConfigLoaderImpl, "_load_configuration_impl", counted)
    monkeypatch.setattr(sys, "argv", ["trainer", *words])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    assert len(composed) == 1


@pytest.mark.parametrize(
    ("overrides", "added"),
    [
        (["schedule=linear", "hydra.run.dir=here"], [OF_A_RUN]),
        (["hydra.mode=MULTIRUN", "schedule=???"], []),
        (["run.seed=1,2"], [OF_A_RUN]),
        pytest.param([], [], marks=pytest.mark.slow),
        pytest.param(["hydra.mode=RUN"], [], marks=pytest.mark.slow),
        pytest.param(["hydra.mode=MULTIRUN", "run.seed=1,2"], [], marks=pytest.mark.slow),
        pytest.param(["run.seed=2"], ["run.seed=3"], marks=pytest.mark.slow),
        pytest.param(["schedule=???"], [OF_A_RUN], marks=pytest.mark.slow),
        pytest.param(["schedule=cosyne"], [OF_A_RUN], marks=pytest.mark.slow),
    ],
)
def test_modes_configs_and_errors_are_those_of_hydra_alone(
    overrides: list[str], added: list[str]
) -> None:
    def outcome() -> object:
        with application(get_args_parser().parse_args([])) as hydra:
            mode = hydra.get_mode("config", [*overrides])
            try:
                config = hydra.compose_config("config", [*overrides, *added], mode or RunMode.RUN)
            except HydraException as error:
                return mode, type(error), str(error)
            return mode, OmegaConf.to_yaml(config)

    with checked_configs():
        ours = outcome()
    assert ours == outcome()
