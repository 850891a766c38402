"""What a submission would start: its jobs, each checked as `python -m trainer` checks it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from schedules import Refused
from schedules.declaration import refuse
from schedules.declaration.yaml_files import mapping_in

from ...commands.checks import Checked, checked
from ...config.from_python import compose_values
from ...config.hydra import normalize_overrides, refusing_hydra_errors, to_plain
from ...config.hydra_application import application, composed
from ...config.hydra_loader import checked_configs
from ...config.rerun import rerun_config
from ...config.secret_values import with_secrets_in_environment
from ...sweeps.composed import Composer
from ...sweeps.grid import typed_overrides
from ...sweeps.jobs import quoted
from ...sweeps.search.search import Search
from ..permissions import Permissions
from ..problems import problem_member

SEARCH = "hydra_plugins.scheduled_training.Search"
MULTIRUN = "hydra.mode=MULTIRUN"


def planned_jobs(asked: Mapping[str, Any], permissions: Permissions) -> dict[str, Any]:
    """The answer to a request: `problems`, empty where all of it can be trained, and its jobs.

    `overrides` are those of a command line, which may leave several values open, `yaml` a config
    that they win over, `rerun` the folder of a run whose config is taken, and `folder` where it is
    to be. Each of the `jobs` has its `overrides` as one types them, the `arguments` of its process,
    its `folder` below that of a sweep, its `total_steps`, and its `key` in the index of a sweep.
    """
    answer: dict[str, Any] = {"problems": [], "sweep": False, "search": False, "jobs": []}
    typed = [str(override) for override in asked.get("overrides") or ()]
    try:
        if asked.get("rerun"):
            typed.insert(0, f"rerun={quoted(str(asked['rerun']))}")
        permissions.check_overrides(typed, may_search=True)
        _check_secrets(typed)
        with refusing_hydra_errors(typed):
            is_open = _leaves_open(typed)
        if asked.get("yaml"):
            typed = [*typed, *_said_by_yaml(str(asked["yaml"]), typed, is_open, permissions)]
            _check_secrets(typed)
        flags = "-m " if is_open else ""
        answer["command"] = f"python -m trainer {flags}{shlex.join(typed)}".rstrip()
        answer |= _Plan(typed, str(asked["folder"]), is_open, permissions).jobs()
    except Refused as refused:
        answer["problems"] = [problem_member(problem) for problem in refused.problems]
    return answer


class _Plan:
    """The jobs of overrides, as Hydra composes them."""

    def __init__(
        self, typed: Sequence[str], folder: str, is_open: bool, permissions: Permissions
    ) -> None:
        self._folder, self._permissions = folder, permissions
        self._granted = list(normalize_overrides(permissions.granted()))
        self._flags = get_args_parser().parse_args(["--multirun"] if is_open else [])
        self._flags.config_dir = permissions.config_dir
        self._typed = list(typed)
        self._flags.overrides = list(normalize_overrides([*typed, *permissions.granted()]))

    def jobs(self) -> dict[str, Any]:
        """The jobs, and whether they are those of a sweep or of a search.

        Raises:
            Refused: with the problems of all jobs.
        """
        with (
            refusing_hydra_errors(self._flags.overrides),
            checked_configs(),
            application(self._flags) as hydra,
        ):
            config = composed(hydra, self._flags)
            if config.hydra.mode != RunMode.MULTIRUN:
                return {"jobs": [self._run(config)]}
            setup_globals()
            arguments: Any = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
            params = dict(config.hydra.sweeper.get("params") or {})
            if str(config.hydra.sweeper.get("_target_")) == SEARCH:
                job = self._search(config, hydra.config_loader, arguments, params)
                return {"search": True, "jobs": [job]}
            return {"sweep": True, "jobs": list(self._grid(config, hydra, arguments, params))}

    def _run(self, config: DictConfig) -> dict[str, Any]:
        overrides: Any = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
        task = _task(config)
        _check_permitted(task, overrides, self._permissions)
        return self._job(self._typed, overrides, checked(task, config.hydra), "")

    def _grid(
        self, config: DictConfig, hydra: Any, arguments: Sequence[str], params: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        composer = PermittedComposer(config, hydra.config_loader, self._permissions)
        for number, job in enumerate(composer.jobs(arguments, params)):
            own = [override for override in job.overrides if override not in self._granted]
            folder = job.folder_name or str(number)
            found = self._job(list(typed_overrides(own)), job.overrides, job.checked, folder)
            yield {**found, "key": sha256("\0".join(job.overrides).encode()).hexdigest()}

    def _search(
        self,
        config: DictConfig,
        loader: Any,
        arguments: Sequence[str],
        params: Mapping[str, Any],
    ) -> dict[str, Any]:
        settings: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
        settings = {name: value for name, value in settings.items()
                    if name not in ("_target_", "params")}  # fmt: skip
        _check_permitted(_task(config), arguments, self._permissions)
        for override in OverridesParser.create().parse_overrides(list(arguments)):
            self._permissions.check_values(_choices(override))
        search = Search(config, loader, settings)
        search.lines(arguments, params)
        hydra_own: Any = OmegaConf.to_container(config.hydra.overrides.hydra, resolve=False)
        own = [o for o in (*hydra_own, *arguments) if o not in self._granted and o != MULTIRUN]
        folder = f"hydra.sweep.dir={quoted(self._folder)}"
        return {"overrides": self._typed, "arguments": ["-m", *own, folder], "folder": "",
                "total_steps": None}  # fmt: skip

    def _job(
        self, typed: Sequence[str], overrides: Sequence[str], valid: Checked, folder: str
    ) -> dict[str, Any]:
        path = str(Path(self._folder, folder))
        own = [override for override in overrides if override not in self._granted]
        return {
            "overrides": list(typed),
            "arguments": [*own, f"hydra.run.dir={quoted(path)}", "hydra.mode=RUN"],
            "folder": folder,
            "total_steps": valid.plan.total_steps,
        }


class PermittedComposer(Composer):
    """Composes the jobs of a sweep, of which each says only what a request may."""

    def __init__(self, config: DictConfig, loader: Any, permissions: Permissions) -> None:
        super().__init__(config, loader)
        self._permissions = permissions

    def check(self, composed: DictConfig, overrides: Sequence[str]) -> Checked:
        _check_permitted(_task(composed), overrides, self._permissions)
        return super().check(composed, overrides)


def _task(config: DictConfig) -> DictConfig:
    """The experiment of a composed config."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def _check_permitted(task: DictConfig, overrides: Sequence[str], permissions: Permissions) -> None:
    """Whether a config names only what the server was started to allow; before it opens anything.

    Raises:
        Refused: when it does not.
    """
    permissions.check_values(OmegaConf.to_container(task, resolve=False))
    with refusing_hydra_errors(overrides):
        values = to_plain(rerun_config(task, overrides))
    permissions.check_values(values)
    permissions.check_trackers(values)


def _check_secrets(overrides: Sequence[str]) -> None:
    """Whether no secret is said, which would be in the clear in the run's folder.

    Raises:
        Refused: for the first one.
    """
    for override, moved in zip(overrides, with_secrets_in_environment(overrides), strict=True):
        if override != moved:
            rule = "is a secret, and what is submitted is written to the run's folder"
            hint = "leave it out, and start the server with it in the environment"
            raise refuse(override.partition("=")[0], "***", rule, hint)


def _leaves_open(typed: Sequence[str]) -> bool:
    """Whether overrides leave several values open, of which each is a job."""
    normalized = list(normalize_overrides(typed))
    return any(o.is_sweep_override() for o in OverridesParser.create().parse_overrides(normalized))


def _choices(override: Override) -> dict[str, Any]:
    """The values that a search may choose of an override, by numbers."""
    value: Any = override.value()
    listed = getattr(value, "list", None) or ()
    return {
        f"{override.key_or_group}.{number}": one.text if isinstance(one, QuotedString) else one
        for number, one in enumerate(listed)
    }


def _said_by_yaml(
    text: str, typed: Sequence[str], is_open: bool, permissions: Permissions
) -> list[str]:
    """The overrides that say what a config in YAML says besides those that are typed.

    Raises:
        Refused: when it is no config, or overrides can't say it.
    """
    values = mapping_in(text, "yaml")
    if not isinstance(values, dict):
        raise refuse("yaml", values, "must be a mapping")
    permissions.check_written(values)
    if is_open:
        rule = "can't be given with overrides that leave several values open"
        raise refuse("yaml", "…", rule, "say its values by overrides")
    folder, granted = permissions.config_dir, permissions.granted()
    wanted, _ = compose_values([values, *typed, *granted], folder)
    present, _ = compose_values([*typed, *granted], folder)
    added = list(_differences(present, wanted, ""))
    found, _ = compose_values([*typed, *added, *granted], folder)
    if found != wanted:
        raise refuse("yaml", "…", "says what overrides can't", "say its values by overrides")
    return added


def _differences(present: Any, wanted: Any, path: str) -> Iterator[str]:
    """The overrides that make one config of another."""
    above = f"{path}." if path else ""
    for key, value in wanted.items():
        before = present.get(key)
        if key in present and before == value:
            continue
        is_other_kind = isinstance(value, dict) and "kind" in value and (
            not isinstance(before, dict) or before.get("kind") != value["kind"])  # fmt: skip
        if isinstance(value, dict) and isinstance(before, dict) and value and not is_other_kind:
            yield from _differences(before, value, f"{above}{key}")
        else:
            if isinstance(value, dict) and isinstance(before, dict):
                yield f"~{above}{key}"
            yield f"++{above}{key}={_element(value)}"
    for key in present:
        if key not in wanted:
            yield f"~{above}{key}"


def _element(value: Any) -> str:
    """A value in Hydra's grammar of overrides, with texts in quotes."""
    match value:
        case str():
            return str(QuotedString(value, Quote.single).with_quotes())
        case dict():
            return f"{{{','.join(f'{key}:{_element(inner)}' for key, inner in value.items())}}}"
        case list() | tuple():
            return f"[{','.join(map(_element, value))}]"
    return str(Override._get_value_element_as_str(value))
