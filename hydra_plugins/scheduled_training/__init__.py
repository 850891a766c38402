"""Our plugins for Hydra, which discovers them in the package `hydra_plugins` and nowhere else.

Hydra imports this module in every program of the environment, so methods import what they need.
"""

from __future__ import annotations

import os
import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from trainer.sweeps.multirun import Multirun
    from trainer.sweeps.objects import Objects
    from trainer.sweeps.search import search


class PluginConfFolders(SearchPathPlugin):
    """Adds the conf folders of plugins to our own search path, and to no other program's."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        hydra_module = sys.modules.get("trainer.config.hydra")
        main = [entry.path for entry in search_path.get_path() if entry.provider == "main"]
        if hydra_module and main and str(main[0]).removeprefix("file://") == str(hydra_module.CONF):
            from schedules.declaration import plugins

            for name, folder in plugins.conf_folders():
                search_path.append(f"plugin {name}", f"file://{folder}")


class LauncherSweeper(Sweeper):
    """The base class of our sweepers: makes the launcher, if its package is installed."""

    params: dict[str, Any]
    """What an experiment file leaves open."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        from hydra.core.plugins import Plugins

        from schedules.declaration import refuse

        self._config, self._loader = config, hydra_context.config_loader
        plugins = Plugins.instance()
        target = str(config.hydra.launcher.get("_target_"))
        if target not in plugins.class_name_to_class:
            name = config.hydra.runtime.choices["hydra/launcher"]
            rule = f"needs a package that is not installed: {target.split('.')[1]}"
            hint = f"pip install 'scheduled-training[{name.partition('_')[0]}]'"
            raise refuse("hydra/launcher", name, rule, hint)
        # Ray, of whatever launcher, may report its use to its makers otherwise.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self.job_launcher: Launcher = plugins.instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    @abstractmethod
    def jobs_with(self, objects: Objects) -> Multirun | search.Search:
        """What runs the jobs, with what a program gives for them."""

    def sweep(self, arguments: list[str]) -> Sequence[JobReturn]:
        from trainer.sweeps.objects import NO_OBJECTS

        return self.jobs_with(NO_OBJECTS).run(arguments, self.params, self.job_launcher)

    def lines(self, arguments: list[str]) -> list[str]:
        """What would be done."""
        from trainer.sweeps.objects import NO_OBJECTS

        return self.jobs_with(NO_OBJECTS).lines(arguments, self.params)


class Grid(LauncherSweeper):
    """Runs every combination of the listed values; see `trainer.sweeps.multirun`."""

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        self.params = dict(params or {})

    def jobs_with(self, objects: Objects) -> Multirun:
        from trainer.sweeps.multirun import Multirun

        return Multirun(self._config, self._loader, objects)


class Search(LauncherSweeper):
    """Optuna chooses values from the results of earlier trials; see `trainer.sweeps.search`."""

    def __init__(self, params: Mapping[str, Any] | None = None, **settings: Any) -> None:
        self.params, self._settings = dict(params or {}), settings

    def jobs_with(self, objects: Objects) -> search.Search:
        from trainer.sweeps.search import search

        return search.Search(self._config, self._loader, self._settings, objects)


class Local(Launcher):
    """Runs several jobs at a time here, each in its own process; see `trainer.sweeps.local`."""

    def __init__(self, jobs: int | str = "auto", gpus: int | str | Sequence[int] = "auto") -> None:
        self._jobs, self._gpus = jobs, gpus

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self._config = config

    @property
    def at_once(self) -> int:
        """How many jobs may run at a time."""
        from trainer.sweeps.local import Machine

        return len(Machine.divided(self._jobs, self._gpus).places)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        from trainer.sweeps.local import Machine

        machine = Machine.divided(self._jobs, self._gpus)
        return machine.launch(self._config, job_overrides, initial_job_idx)


class Vectorized(Launcher):
    """Runs jobs that differ only in numbers in one program; see `trainer.sweeps.vectorized`."""

    def __init__(self, jobs: int = 64) -> None:
        self._jobs = jobs

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        from trainer.sweeps.vectorized.launcher import VectorizedLauncher

        self._launcher = VectorizedLauncher(config, hydra_context, self._jobs)

    @property
    def at_once(self) -> int:
        """How many jobs keep the machine busy; more may run at a time."""
        from trainer.runs.provenance import usable_cores

        return min(self._jobs, 2 * len(usable_cores()))

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        return self._launcher.launch(job_overrides, initial_job_idx)
