"""Hydra's loader of configs, which refuses what a config may not say before Hydra acts on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any

import hydra._internal.hydra as hydra_application
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from schedules.declaration import ABSENT, refuse

from .hydra_settings import check_hydra_settings, check_search_path


class CheckedConfigLoader(ConfigLoaderImpl):
    """Every config that Hydra composes comes from here: of a run, a sweep and each of its jobs.

    Callbacks, launchers and logging are made from what this returns, and packages of the search
    path are imported by what this calls.
    """

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        try:
            config = super().load_configuration(
                config_name, overrides, run_mode, from_shell, validate_sweep_overrides
            )
            check_hydra_settings(config, overrides)
        except (AttributeError, KeyError, TypeError) as error:
            if [frame.f_globals["__name__"] for frame, _ in walk_tb(error.__traceback__)][
                -1
            ] == "os":
                path, name = "hydra.job.env_copy", str(error.args[0])
                raise refuse(path, name, "is not set in the environment", "leave it out") from None
            rule = f"has something else in the place of a setting of Hydra's: {error}"
            raise refuse("hydra", ABSENT, rule, "python -m trainer --cfg hydra shows all") from None
        return config

    def _process_config_searchpath(
        self,
        config_name: str | None,
        parsed_overrides: list[Override],
        repo: CachingConfigRepository,
    ) -> None:
        typed = [o.value() for o in parsed_overrides if o.get_key_element() == "hydra.searchpath"]
        primary = repo.load_config(config_path=config_name) if config_name else None
        written = OmegaConf.select(primary.config, "hydra.searchpath") if primary else None
        overrides = [str(override.input_line) for override in parsed_overrides]
        for entries in (*typed, written):
            if isinstance(entries, Sequence | ListConfig) and not isinstance(entries, str):
                check_search_path(list(entries), overrides)
        super()._process_config_searchpath(config_name, parsed_overrides, repo)


@contextmanager
def checked_configs() -> Iterator[None]:
    """Has Hydra's applications that start within the block load their configs by this loader.

    Hydra has no hook between composing and acting. Read: hydra-core 1.3.8, `_internal/hydra.py`.
    """
    application: Any = hydra_application
    before = application.ConfigLoaderImpl
    application.ConfigLoaderImpl = CheckedConfigLoader
    try:
        yield
    finally:
        application.ConfigLoaderImpl = before
