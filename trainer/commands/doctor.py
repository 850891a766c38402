"""`mode=doctor`: what this machine has, what would be compiled, and whether its devices agree."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..config.experiment import Experiment
from ..config.plan import Plan
from ..engine.startup import import_tensorflow, stderr_to, versions
from ..runs.atomic_files import write
from ..runs.exit_codes import DONE, FAILED
from ..runs.folder import Folder
from ..runs.provenance import processor, usable_cores

UPDATES = 10
"""How many each device makes to be compared: what is rounded otherwise grows with their number."""
AGREED = 1e-2
"""What share of the largest value two devices may differ by: sums in another order give 1e-5."""


class Parity(NamedTuple):
    """The same first updates on two devices, compared."""

    devices: tuple[str, str]
    losses: float
    """The largest difference of a loss, as a share of the largest loss."""
    weights: float
    """The same of the weights after the last update."""

    @property
    def agrees(self) -> bool:
        """Whether the devices compute the same, but for roundings."""
        return max(self.losses, self.weights) < AGREED  # false for NaN too

    def __str__(self) -> str:
        verdict = "agree" if self.agrees else "DISAGREE"
        return (
            f"{' and '.join(self.devices)} {verdict} over {UPDATES} updates: losses differ by "
            f"{self.losses:.1e} of the largest, weights by {self.weights:.1e}"
        )


def examine(plan: Plan, folder: Folder) -> int:
    """Prints what it finds and leaves it in `doctor.json`.

    Gives the exit code: 0, or 1 where a GPU computes something else than the CPU.

    Raises:
        Refused: when the machine lacks the device, or model and data don't fit.
    """
    experiment = plan.experiment
    print(f"{plan.summary()}, on this machine:")
    import_tensorflow(folder.tensorflow_log)
    with stderr_to(folder.tensorflow_log):
        report = dict(machine(experiment))
    _show(report)
    with stderr_to(folder.tensorflow_log):
        report["compile"] = compiling(plan, folder)
    _show({"compile": report["compile"]})
    parities = []
    if any("GPU" in device for device in report["devices"]):
        with stderr_to(folder.tensorflow_log):
            parities = [parity(plan, ("/CPU:0", "/GPU:0"))]
    report["parity"] = [str(each) for each in parities] or ["no GPU to compare with the CPU"]
    _show({"parity": report["parity"]})
    write(folder.path / "doctor.json", json.dumps(report, indent=1) + "\n")
    return DONE if all(each.agrees for each in parities) else FAILED


def machine(experiment: Experiment) -> Iterator[tuple[str, Any]]:
    """What there is to compute with, by name."""
    import tensorflow as tf

    yield "versions", [f"{name} {version}" for name, version in versions().items()]
    yield "processor", f"{processor()}, {len(usable_cores())} of {os.cpu_count()} cores usable"
    yield "memory", _memory()
    devices = tf.config.list_physical_devices()
    details = map(tf.config.experimental.get_device_details, devices)
    yield (
        "devices",
        [
            " ".join(
                filter(None, (device.name.removeprefix("/physical_device:"), *_described(detail)))
            )
            for device, detail in zip(devices, details, strict=True)
        ],
    )
    build = tf.sysconfig.get_build_info()
    cuda = build.get("cuda_version", "none")
    yield "built for", f"CUDA {cuda}, cuDNN {build.get('cudnn_version', 'none')}"
    threads = tf.config.threading
    counts = {
        "within an operation": threads.get_intra_op_parallelism_threads(),
        "among operations": threads.get_inter_op_parallelism_threads(),
    }
    yield "threads", [f"{name}: {count or 'one a core'}" for name, count in counts.items()]
    yield "runs on", experiment.device.choose()


def compiling(plan: Plan, folder: Folder) -> list[str]:
    """How fast each way is for this config, and which one a run would take."""
    import tensorflow as tf

    from ..engine.compile_cache import cached_choice
    from ..engine.compile_measuring import measure
    from ..engine.machine import open_devices, settle
    from ..training.setup import RunSetup, loaded

    experiment = plan.experiment
    device, strategy = open_devices(experiment)
    settle(experiment)
    setup = RunSetup.of(plan, folder, loaded(experiment), device)
    with tf.device(device):
        choice, _ = measure(setup.built(strategy).program, setup.ask, device)
    lines = [f"{way}: {why}" for way, why in choice.why.items()]
    if experiment.run.compile != "auto":
        return [*lines, f"a run would use {experiment.run.compile}, as declared"]
    known = cached_choice(experiment, device, alone=True)
    if known and (known.threads or known.compile != choice.compile):
        way = f"{known.compile} on one thread" if known.threads else known.compile
        hint = "run.compile_cache=false measures anew"
        return [*lines, f"a run would use {way}, {known.origin}; {hint}"]
    return [*lines, f"a run would use {choice.compile}"]


def parity(plan: Plan, devices: tuple[str, str]) -> Parity:
    """Makes the first updates on each of two devices, in a plain graph."""
    (losses, weights), (others, other_weights) = (_made(plan, name) for name in devices)
    return Parity(devices, _apart(losses, others), _apart(weights, other_weights))


def _made(plan: Plan, device: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """The losses of the first updates on a device, and all weights after them."""
    import tensorflow as tf

    from ..training.setup import RunSetup, loaded

    folder = Folder(Path(os.devnull))
    setup = RunSetup.of(plan, folder, loaded(plan.experiment), device)
    count = min(UPDATES, plan.total_steps)
    with tf.device(device):
        built = setup.built(None)
        losses, *_ = built.program("graph").update(setup.tape.read(0, count), 0)
    weights = [np.ravel(weight) for weight in built.network.model.trainable_variables]
    return losses, np.concatenate(weights)


def _apart(a: NDArray[Any], b: NDArray[Any]) -> float:
    if len(a) != len(b):  # one of them stopped at a loss that was not finite
        return float("nan")
    return float(np.abs(a - b).max() / np.abs(a).max())


def _memory() -> str:
    path = Path("/proc/meminfo")
    if not path.exists():
        return "unknown"
    lines = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    kilobytes = {words[0].rstrip(":"): int(words[1]) for words in lines}
    free, total = (kilobytes[name] / 2**20 for name in ("MemAvailable", "MemTotal"))
    return f"{free:.1f} of {total:.1f} GiB free"


def _described(details: Mapping[str, Any]) -> Iterator[str]:
    if "device_name" in details:
        yield f"({details['device_name']})"
    if "compute_capability" in details:
        yield "compute capability " + ".".join(map(str, details["compute_capability"]))


def _show(report: Mapping[str, Any]) -> None:
    for name, value in report.items():
        for i, line in enumerate(value if isinstance(value, list) else [value]):
            print(f"  {name if not i else '':<10} {line}")
