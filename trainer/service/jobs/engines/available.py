"""The engines that a server has."""

from __future__ import annotations

from .engine import Engine
from .local import LocalEngine
from .slurm import SlurmEngine


def available() -> dict[str, Engine]:
    """`local`, and `slurm` where its commands are there, by what submissions call them."""
    engines: dict[str, Engine] = {"local": LocalEngine()}
    if SlurmEngine.is_there():
        engines["slurm"] = SlurmEngine()
    return engines
