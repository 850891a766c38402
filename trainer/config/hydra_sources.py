"""Hydra's config files, with bounds on what a file may cost to read and on where it may be."""

from __future__ import annotations

import warnings
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.core_plugins import file_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import Container, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from schedules.declaration import refuse
from schedules.declaration.yaml_files import read_bounded

from .secret_values import move_secrets_of_file


class FileConfigSource(file_config_source.FileConfigSource):
    """Reads config files only from inside their folder, where that is cheap, without secrets.

    Thirty lines of aliases take YAML half a minute and a gigabyte, and `schedule=../../secret`
    names a file outside of every group. This class has the name of Hydra's own: launchers send it
    to their workers, where Hydra registers its own again and refuses another name.
    """

    def load_config(self, config_path: str) -> ConfigResult:
        file = Path(self.path, self._normalize_file_name(config_path))
        if not file.exists():
            return super().load_config(config_path)
        if not file.resolve().is_relative_to(Path(self.path).resolve()):
            rule = "leads out of the folder of configs"
            raise refuse(str(Path(config_path).parent), Path(config_path).name, rule)
        text, config = _read(file, config_path)
        move_secrets_of_file(config)
        header = self._get_header_dict(text[:512])
        return ConfigResult(self.provider, f"{self.scheme()}://{self.path}", config, header)


def _read(file: Path, config_path: str) -> tuple[str, Container]:
    """The text and the values of a file of a group: text in UTF-8, its defaults a list.

    Raises:
        Refused: when Hydra can't take it, by the group and the option.
    """
    group, _, option = config_path.removesuffix(".yaml").rpartition("/")
    subject = group or "config"
    try:
        text = read_bounded(file)
        config = OmegaConf.load(StringIO(text))
    except UnicodeDecodeError as error:
        byte = f"byte {error.start} is {error.object[error.start]:#04x}"
        rule = f"is no UTF-8, the encoding of YAML here: {byte} of {file}"
        raise refuse(subject, option, rule, "save the file as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise refuse(subject, option, f"is no YAML: {error.problem}, in {file}:{line}") from None
    except (yaml.YAMLError, OSError, OmegaConfBaseException) as error:
        rule = f"can't be read from {file}: {str(error).splitlines()[0]}"
        raise refuse(subject, option, rule) from None
    if not isinstance(config, DictConfig):
        raise refuse(subject, option, f"must hold a mapping, in {file}")
    defaults = config._get_node("defaults")
    if defaults is not None and not isinstance(defaults, ListConfig):
        rule = f"has defaults = {defaults} in {file}, which must be a list"
        raise refuse(subject, option, rule, "defaults: [{override /optimizer: adam}]")
    return text, config


def use_bounded_files() -> None:
    """Registers this `FileConfigSource` with Hydra for the rest of the process."""
    # Our files for launchers are named like their plugins' schemas, and checked by these.
    warnings.filterwarnings("ignore", ".*\n'hydra/launcher/.*is validated against ConfigStore")
    Plugins.instance()  # registers Hydra's own sources first
    SourcesRegistry.instance().types["file"] = FileConfigSource
    # Where hydra-optuna-sweeper is installed too, its schema would refuse settings of ours.
    ConfigStore.instance().repo["hydra"].get("sweeper", {}).pop("optuna.yaml", None)


def hydra_overrides(config: DictConfig, *keys: str) -> list[str]:
    """The overrides of Hydra's own settings that begin with one of the `keys`, as written."""
    overrides: Any = OmegaConf.to_container(config.hydra.overrides.hydra, resolve=False)
    return [override for override in overrides if override.lstrip("+~").startswith(keys)]


def search_path_arguments(config: DictConfig) -> list[str]:
    """The arguments by which another command line finds the same options of groups."""
    config_dirs = [
        word
        for source in config.hydra.runtime.config_sources
        if source.provider == "command-line"
        for word in ("--config-dir", source.path)
    ]
    return [*config_dirs, *hydra_overrides(config, "hydra.searchpath=")]
