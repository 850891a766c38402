"""The launchers and sweepers that a config may choose, and the settings that it may give them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

SUBMITIT = frozenset(
    {
        "name", "timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "nodes",
        "mem_gb", "stderr_to_stdout",
    }
)  # fmt: skip
"""What both of submitit's launchers take and is no more than a number or a word.

Others are folders to write to.
"""
SLURM = SUBMITIT | {
    "partition", "qos", "comment", "constraint", "exclude", "gres", "cpus_per_gpu",
    "gpus_per_task", "mem_per_gpu", "mem_per_cpu", "account", "signal_delay_s", "max_num_timeout",
    "array_parallelism",
}  # fmt: skip
"""Not `setup`, whose lines are commands, nor `additional_parameters`, which may hold some."""
RAY = frozenset(
    {"ray.init.num_cpus", "ray.init.num_gpus", "ray.remote.num_cpus", "ray.remote.num_gpus"}
)

KNOWN: Mapping[str, frozenset[str]] = {
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher": frozenset(),
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper": frozenset(
        {"max_batch_size", "params"}
    ),
    "hydra_plugins.scheduled_training.Local": frozenset({"jobs", "gpus"}),
    "hydra_plugins.scheduled_training.Vectorized": frozenset({"jobs"}),
    "hydra_plugins.scheduled_training.Grid": frozenset({"params"}),
    "hydra_plugins.scheduled_training.Search": frozenset(
        {"n_trials", "n_jobs", "metric", "direction", "sampler", "pruner", "seed", "params"}
    ),
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher": frozenset(
        {"n_jobs", "backend", "prefer", "require", "verbose", "timeout", "batch_size"}
    ),
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher": SUBMITIT,
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher": SLURM,
    "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher": RAY,
}
"""By class, the settings that may have any plain value."""
SHIPPED: Mapping[str, Sequence[Any]] = {
    "submitit_folder": ["${hydra.sweep.dir}/.submitit/%j"],
    "pre_dispatch": ["2*n_jobs"],  # joblib evaluates it
    "mmap_mode": ["r"],
    "ray.init.address": ["auto", "local"],  # another cluster could send objects to unpickle
}
"""The values that other settings may have, besides none at all."""


def settings_of_code(
    target: str, path: str, settings: Mapping[str, Any], config: DictConfig
) -> Iterator[tuple[str, Any]]:
    """Yields the settings at `path` that may have a known class run code, or write elsewhere.

    `config` is the whole composed config, and `settings` has its interpolations as written.
    """
    for key, value in _leaves(settings, KNOWN[target]):
        if key in KNOWN[target]:
            node = OmegaConf.select(config, f"{path}.{key}")
            is_node = isinstance(node, DictConfig | ListConfig)
            resolved = OmegaConf.to_container(node, resolve=True) if is_node else node
            if not _is_plain(resolved, of_one_line=key != "params"):
                yield f"{path}.{key}", value
        elif key != "_target_" and value and value not in SHIPPED.get(key, ()):
            yield f"{path}.{key}", value


def _leaves(
    tree: Mapping[str, Any], whole: frozenset[str], path: str = ""
) -> Iterator[tuple[str, Any]]:
    """The values of nested mappings by their paths; what is at a path of `whole` is one value."""
    for key, value in tree.items():
        inner = f"{path}{key}"
        if isinstance(value, dict) and inner not in whole:
            yield from _leaves(value, whole, f"{inner}.")
        else:
            yield inner, value


def _is_plain(value: object, *, of_one_line: bool) -> bool:
    """Whether a value is a number or a text, or lists and mappings of such, and no object.

    A line of a text that a launcher writes into a script of its own would be a command.
    """
    if isinstance(value, Mapping):
        names = (str(key) for key in value)
        return not any(name.startswith("_") for name in names) and all(
            _is_plain(inner, of_one_line=of_one_line) for inner in value.values()
        )
    if isinstance(value, list):
        return all(_is_plain(inner, of_one_line=of_one_line) for inner in value)
    if isinstance(value, str):
        return not of_one_line or value.isprintable()
    return value is None or isinstance(value, bool | int | float)
