"""Hydra's loader of configs, which refuses what a config may not say before Hydra acts on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from traceback import walk_tb
from typing import Any

import hydra._internal.hydra as hydra_application
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from schedules.declaration import ABSENT, refuse

from .hydra_settings import check_hydra_settings, check_search_path

OF_A_RUN = "hydra.mode=RUN"
"""What Hydra's command line adds once it has found that a config is no sweep's."""


class CheckedConfigLoader(ConfigLoaderImpl):
    """Every config that Hydra composes comes from here: of a run, a sweep and each of its jobs.

    Callbacks, launchers and logging are made from what this returns, and packages of the search
    path are imported by what this calls.
    """

    _mode_read_from: tuple[str | None, list[str], DictConfig] | None = None
    """The config, and what it was composed of, that Hydra has just asked for its `hydra.mode`."""

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """The checked config; that of a run is the one its mode was read from, where there is one.

        Hydra composes every config twice, first as a sweep's for its mode alone. The two differ in
        choices that are still missing, which a sweep may make, and in whether values to sweep over
        are refused. Read: hydra-core 1.3.8, `get_mode` of `_internal/hydra.py`.
        """
        before, self._mode_read_from = self._mode_read_from, None
        if run_mode == RunMode.MULTIRUN and not validate_sweep_overrides:
            with suppress(HydraException):
                config = self._checked(config_name, overrides, RunMode.RUN, from_shell, False)
                self._mode_read_from = config_name, [*overrides], config
                return config
        if before and run_mode == RunMode.RUN and before[0] == config_name:
            added = overrides[len(before[1]) :]
            if overrides == [*before[1], *added] and added in ([], [OF_A_RUN]):
                parsed = OverridesParser.create().parse_overrides(overrides)
                self.validate_sweep_overrides_legal(parsed, run_mode, from_shell)
                config = before[2]
                self._apply_overrides_to_config(parsed[len(before[1]) :], config)
                config.hydra.overrides.hydra.extend(added)
                return config
        return self._checked(config_name, overrides, run_mode, from_shell, validate_sweep_overrides)

    def _checked(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool,
        validate_sweep_overrides: bool,
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
