"""The engines that a server has."""

from __future__ import annotations

from schedules.declaration import Refused, refuse

from ...access.place import Place
from .engine import Engine
from .local import LocalEngine
from .ray import RayEngine
from .slurm import SlurmEngine


def available(ray: str = "") -> dict[str, Engine]:
    """By what submissions call them, `local`, `slurm` where its commands are there, and `ray`.

    `ray` is where the cluster's dashboard is; "" for no cluster.

    Raises:
        Refused: when that is no address, or one whose answers others could read and change.
    """
    engines: dict[str, Engine] = {"local": LocalEngine()}
    if SlurmEngine.is_there():
        engines["slurm"] = SlurmEngine()
    if ray:
        try:
            engines["ray"] = RayEngine(Place.of_url(ray))
        except Refused:
            rule = "must be an address of this machine, or begin with https"
            hint = "ssh -L 8265:127.0.0.1:8265 HEAD_NODE, and --ray http://127.0.0.1:8265"
            raise refuse("--ray", ray, rule, hint) from None
    return engines
