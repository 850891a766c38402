"""Which way to compile was measured as the fastest, kept from run to run in the user's cache.

Each choice is a file under `$XDG_CACHE_HOME/scheduled-training` (`~/.cache` where that is not
set). A file that can't be read counts as missing, which costs a measurement and no more.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, FiniteFloat

from schedules import Schedule
from schedules.declaration import Declaration
from schedules.declaration.plain_files import read_plain

from ..config.experiment import Experiment
from ..config.plan import Plan
from ..runs.atomic_files import write
from ..runs.provenance import processor, usable_cores
from ..runs.user_cache import cache_folder
from .compile_measuring import CompileChoice
from .machine import THREADS
from .program import Compiled

MEASURED = "measured at the start of this run"
QUICK = 5000
"""Updates a second from which on handing work from thread to thread may well cost more than it
brings."""
MARGIN = 1.05
"""How much faster all threads must be than one, which leaves the other cores to others."""
ALL = "all"
LARGEST = 2**16
"""The most bytes of a file that is read: ours have a few thousand."""


class _Kept(BaseModel):
    """What a file of the cache has."""

    compile: Compiled
    why: dict[str, str]
    rates: dict[str, FiniteFloat]
    """Updates a second by the number of threads, or `ALL` of them."""
    measured: str
    of: dict[str, Any]

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """What a file has, or None where it is missing or spoilt in whatever way."""
        try:
            kept = cls.model_validate_json(read_plain(file, LARGEST))
        except (OSError, ValueError):
            return None
        return kept if ALL in kept.rates else None


def folder() -> Path:
    """The folder with the choices."""
    return cache_folder() / "compiled"


def cached_choice(
    experiment: Experiment, device: str, together: int = 1, *, alone: bool = False
) -> CompileChoice | None:
    """The choice that an earlier run of a like experiment on a like machine measured.

    `together` networks go through one program. A run that is `alone` in its process, in which
    TensorFlow has not started, may get one thread, with a rate of 0 where no run has tried that.
    """
    if not experiment.run.compile_cache:
        return None
    kept = _Kept.read(_file(experiment, device, together))
    if kept is None:
        return None
    free = alone and experiment.run.threads == "auto" and THREADS not in os.environ
    one = free and kept.compile == "xla" and "CPU" in device and _one_is_better(kept.rates)
    threads, rate = (1, kept.rates.get("1", 0.0)) if one else (None, kept.rates[ALL])
    return CompileChoice(kept.compile, kept.why, f"remembered from {kept.measured}", threads, rate)


def cache_choice(
    experiment: Experiment, device: str, chosen: CompileChoice, together: int = 1
) -> CompileChoice:
    """Keeps a measured choice, where the disk allows, and returns it with its origin."""
    file = _file(experiment, device, together)
    before = _Kept.read(file) if chosen.threads else None
    if experiment.run.compile_cache and (before or not chosen.threads):
        kept = _Kept(
            compile=chosen.compile,
            why=chosen.why,
            rates={**(before.rates if before else {}), str(chosen.threads or ALL): chosen.rate},
            measured=time.strftime("%Y-%m-%d"),
            of=_cache_key(experiment, device, together),
        )
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            write(file, kept.model_dump_json(indent=1) + "\n")
    return replace(chosen, origin=MEASURED)


def _one_is_better(rates: Mapping[str, float]) -> bool:
    """Whether an operation should take one thread: as fast, or not tried where it may be."""
    if rates[ALL] < QUICK or len(usable_cores()) == 1:
        return False
    return "1" not in rates or rates["1"] * MARGIN >= rates[ALL]


def _file(experiment: Experiment, device: str, together: int) -> Path:
    key = json.dumps(_cache_key(experiment, device, together), sort_keys=True)
    return folder() / f"{sha256(key.encode()).hexdigest()[:32]}.json"


def _cache_key(experiment: Experiment, device: str, together: int) -> dict[str, Any]:
    """Everything that speed depends on: experiments with the same key are compiled alike."""
    run = experiment.run
    return {
        "model": _outline(experiment.model),
        "optimizer": _outline(experiment.optimizer),
        "loss": _outline(experiment.loss),
        "ema": _outline(experiment.ema),
        "data": _outline(experiment.data.facts()),
        "batch_size": experiment.data.batch_size,
        "feed": [experiment.data.keep, _outline(experiment.data.augment)],
        "values": list(experiment.driven()),
        "run": [run.micro_batches, run.precision, run.deterministic, run.on_nonfinite == "skip"],
        "steps_per_call": run.steps_per_call,
        "device": [device, _outline(experiment.device), *_hardware(device)],
        "threads": [run.threads, os.environ.get(THREADS)],
        "versions": {name: version(name) for name in ("tensorflow", "keras")},
        "together": together,
        **_resting(experiment),
    }


def _resting(experiment: Experiment) -> dict[str, Any]:
    """Which groups of weights are frozen where the run's speed is measured, if any ever are."""
    if not any(group.frozen_until for group in experiment.optimizer.groups.values()):
        return {}
    plan = Plan.of(experiment)
    return {"frozen": plan.frozen(plan.longest_stretch.start)}


def _outline(value: Any) -> Any:
    """A declaration, with no more of its fractions and schedules than whether there are any."""
    match value:
        case Schedule():
            return "scheduled"
        case Declaration():
            fields = {name: getattr(value, name) for name in type(value).model_fields}
            return {name: _outline(field) for name, field in fields.items()}
        case Mapping():
            return {str(name): _outline(entry) for name, entry in value.items()}
        case tuple() | list():
            return [_outline(entry) for entry in value]
        case float():
            return "0.0" if value == 0 else "not 0.0"
        case bool() | int() | None:
            return value
        case _:
            return str(value)


def _hardware(device: str) -> list[Any]:
    """What computes: a processor and how much of it, or a GPU."""
    import tensorflow as tf

    cpu = [processor(), len(usable_cores())]
    if "GPU" not in device:
        return cpu
    gpus = tf.config.list_physical_devices("GPU")
    details = (tf.config.experimental.get_device_details(gpu) for gpu in gpus)
    return [*cpu, *(str(detail.get("device_name")) for detail in details)]
