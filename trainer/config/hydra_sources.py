"""Hydra's config files, with bounds on what a file may cost to read and on where it may be."""

from __future__ import annotations

import warnings
from pathlib import Path

import yaml
from hydra._internal.core_plugins import file_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig

from schedules.declaration import refuse
from schedules.declaration.yaml_files import read_bounded


class FileConfigSource(file_config_source.FileConfigSource):
    """Reads config files only from inside their folder, and only where that is cheap.

    Thirty lines of aliases take YAML half a minute and a gigabyte, and `schedule=../../secret`
    names a file outside of every group. This class has the name of Hydra's own: launchers send it
    to their workers, where Hydra registers its own again and refuses another name.
    """

    def load_config(self, config_path: str) -> ConfigResult:
        file = Path(self.path, self._normalize_file_name(config_path))
        if file.exists():
            if not file.resolve().is_relative_to(Path(self.path).resolve()):
                rule = "leads out of the folder of configs"
                raise refuse(str(Path(config_path).parent), Path(config_path).name, rule)
            _check(file, config_path)
        return super().load_config(config_path)


def _check(file: Path, config_path: str) -> None:
    """Whether Hydra can read a file of a group: text in UTF-8, its defaults a list.

    Raises:
        Refused: when it can't, by the group and the option.
    """
    group, _, option = config_path.removesuffix(".yaml").rpartition("/")
    try:
        config = yaml.safe_load(read_bounded(file))
    except UnicodeDecodeError as error:
        byte = f"byte {error.start} is {error.object[error.start]:#04x}"
        rule = f"is no UTF-8, the encoding of YAML here: {byte} of {file}"
        raise refuse(group or "config", option, rule, "save the file as UTF-8") from None
    defaults = config.get("defaults", []) if isinstance(config, dict) else []
    if not isinstance(defaults, list):
        rule = f"has defaults = {defaults!r} in {file}, which must be a list"
        raise refuse(group or "config", option, rule, "defaults: [{override /optimizer: adam}]")


def use_bounded_files() -> None:
    """Registers this `FileConfigSource` with Hydra for the rest of the process."""
    # Our files for launchers are named like their plugins' schemas, and checked by these.
    warnings.filterwarnings("ignore", ".*\n'hydra/launcher/.*is validated against ConfigStore")
    Plugins.instance()  # registers Hydra's own sources first
    SourcesRegistry.instance().types["file"] = FileConfigSource
    # Where hydra-optuna-sweeper is installed too, its schema would refuse settings of ours.
    ConfigStore.instance().repo["hydra"].get("sweeper", {}).pop("optuna.yaml", None)


def search_path_arguments(config: DictConfig) -> list[str]:
    """The arguments by which another command line finds the same options of groups."""
    config_dirs = [
        word
        for source in config.hydra.runtime.config_sources
        if source.provider == "command-line"
        for word in ("--config-dir", source.path)
    ]
    overrides = config.hydra.overrides.hydra
    return [*config_dirs, *(o for o in overrides if o.startswith("hydra.searchpath="))]
