"""Hydra as its command line sets it up, for whoever looks at a config and runs nothing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_automatic_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import SearchPathException
from hydra.types import RunMode
from omegaconf import Container, DictConfig, OmegaConf

from schedules.declaration import refuse

from .conf_folder import CONF
from .hydra import VERSION_BASE
from .rerun import rerun_config


@contextmanager
def application(flags: argparse.Namespace) -> Iterator[Hydra]:
    """Hydra with the search path of a command line; a program's own Hydra waits meanwhile.

    Read: hydra-core 1.3.8, `_run_hydra` of `_internal/utils.py`, which composes only to run.
    """
    own, own_config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    GlobalHydra.instance().clear()
    version.setbase(VERSION_BASE)
    main = str(Path(__file__).resolve().parents[1] / "__main__.py")
    path = create_automatic_config_search_path(main, None, flags.config_path or str(CONF))
    if flags.config_dir is not None:
        folder = Path(flags.config_dir).absolute()
        if not folder.is_dir():
            raise SearchPathException(f"Additional config directory '{folder}' not found")
        anchor = SearchPathQuery(provider="schema")
        path.prepend(provider="command-line", path=f"file://{folder}", anchor=anchor)
    try:
        yield Hydra.create_main_hydra2("trainer", path)
    finally:
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = own, own_config


def composed(hydra: Hydra, flags: argparse.Namespace) -> DictConfig:
    """The config of the run or the sweep that a command line asks for; `hydra.mode` tells which."""
    name, overrides = flags.config_name or "config", list(flags.overrides)
    mode = RunMode.MULTIRUN if flags.multirun else hydra.get_mode(name, overrides) or RunMode.RUN
    if mode == RunMode.MULTIRUN:
        overrides.append("hydra.mode=MULTIRUN")
    config = hydra.compose_config(name, overrides, mode)
    HydraConfig.instance().set_config(config)
    return config


def print_config(hydra: Hydra, config: DictConfig, flags: argparse.Namespace) -> None:
    """Prints what `--cfg` asks for of a config, as YAML, to the letter as Hydra does.

    Of a run that is to be run again it is the config of that run.

    Raises:
        Refused: when there is nothing at the path that `--package` names.
    """
    OmegaConf.set_readonly(config.hydra, None)
    if flags.cfg != "hydra" and config.get("rerun") is not None:
        keys = [str(key) for key in config if key != "hydra"]
        task = OmegaConf.masked_copy(config, keys)
        again = rerun_config(task, config.hydra.overrides.task)
        shown: Any = OmegaConf.create({**again, "hydra": config.hydra})
    else:
        shown = config.copy()
    shown = hydra.get_sanitized_cfg(shown, flags.cfg)
    package = None if flags.package == "_global_" else flags.package
    if package is not None:
        shown = OmegaConf.select(shown, package)
        if shown is None:
            rule, hint = "is no path of the config", "--package run"
            raise refuse("--package", package, rule, hint)
        if isinstance(shown, Container):
            print(f"# @package {package}")
    if not isinstance(shown, Container):
        print(shown)
        return
    if flags.resolve:
        OmegaConf.resolve(shown)
    sys.stdout.write(OmegaConf.to_yaml(shown))
