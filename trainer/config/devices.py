"""Where a run computes: declared kinds of devices."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from schedules.declaration import Flag, Kind, Number, Problem, Whole, refuse

from .cluster import Cluster

if TYPE_CHECKING:
    import tensorflow as tf


class Device(Kind, family=True):
    """The hardware that a run uses."""

    @abstractmethod
    def choose(self) -> str:
        """TensorFlow's name of the device, such as `/GPU:0`; of several, the first.

        Raises:
            Refused: when the machine has no such device.
        """

    def replicas(self) -> int:
        """Into how many equal parts every batch falls, as far as it is declared."""
        return 1

    def cluster(self) -> Cluster | None:
        """The processes that it takes, as the environment tells; None for this one alone.

        Raises:
            Refused: when the environment tells nothing, or contradicts itself.
        """
        return None

    def strategy(self) -> tf.distribute.Strategy | None:
        """How several devices work together; None for a single one.

        It has to come before anything else that TensorFlow is asked for.

        Raises:
            Refused: when the machine has no such devices.
        """
        return None


class Auto(Device):
    """The first GPU where there is one, else the CPU."""

    kind: Literal["auto"] = "auto"

    def choose(self) -> str:
        return "/GPU:0" if _gpus() else "/CPU:0"


class Cpu(Device):
    """The CPU, whatever else there is."""

    kind: Literal["cpu"] = "cpu"

    def choose(self) -> str:
        return "/CPU:0"


class Gpu(Device):
    """The first GPU."""

    kind: Literal["gpu"] = "gpu"

    def choose(self) -> str:
        if not _gpus():
            raise refuse("device", "gpu", "TensorFlow finds no GPU on this machine", "device=cpu")
        return "/GPU:0"


class Several(Device):
    """Devices that each learn from an equal part of every batch, and make the same update."""

    synchronized: Flag = True
    """Whether batch normalization takes its statistics over the whole batch, as one device would.

    If not, each replica takes those of its own part, which saves a round of messages a layer; the
    moving statistics are averaged.
    """


class Mirrored(Several):
    """Several GPUs of this machine, or for trying it out, parts of its CPU."""

    kind: Literal["mirrored"] = "mirrored"
    devices: tuple[Annotated[Whole, Field(ge=0)], ...] | None = Field(default=None, min_length=1)
    """Which GPUs, by their numbers; null for all of them."""
    logical: Annotated[Whole, Field(ge=1)] | None = None
    """How many logical devices the CPU is split into, in place of GPUs; null for GPUs."""

    def contradictions(self) -> Iterator[Problem]:
        if self.devices is None:
            return
        if self.logical is not None:
            rule = "cannot be combined with devices, which are GPUs"
            yield Problem("logical", self.logical, rule, "device.devices=null")
        if len(set(self.devices)) < len(self.devices):
            yield Problem("devices", list(self.devices), "must name each GPU once")

    def replicas(self) -> int:
        return self.logical or len(self.devices or (0,))

    def choose(self) -> str:
        return self._names()[0]

    def strategy(self) -> tf.distribute.Strategy:
        import tensorflow as tf

        # Between parts of a CPU, collective operations would be no faster, and hang where eager
        # and graph code take turns.
        crossing = tf.distribute.ReductionToOneDevice() if self.logical else None
        return tf.distribute.MirroredStrategy(self._names(), cross_device_ops=crossing)

    def _names(self) -> Sequence[str]:
        if self.logical:
            _split_cpu(self.logical)
            return [f"/CPU:{i}" for i in range(self.logical)]
        found = _gpus()
        wanted = range(found) if self.devices is None else self.devices
        if not found or max(wanted) >= found:
            path = "device" if self.devices is None else "device.devices"
            asked = self.kind if self.devices is None else list(wanted)
            known = f"{found}, by the numbers 0 to {found - 1}" if found > 1 else found or "no GPU"
            rule = f"TensorFlow finds {known} on this machine"
            hint = "device.logical=2 tries it out on a CPU" if not found else "device.devices=[0]"
            raise refuse(path, asked, rule, hint)
        return [f"/GPU:{i}" for i in wanted]


class MultiWorker(Several):
    """All GPUs, or the CPU, of several machines, each with a process that runs the same command.

    `TF_CONFIG` tells each process of the others, or SLURM's `srun` does. The first one leads: it
    alone prints, and writes to the run's folder.
    """

    kind: Literal["multi_worker"] = "multi_worker"
    port: Annotated[Whole, Field(ge=1024, le=65000)] = 12345
    """Where workers listen under SLURM, the second of a machine one higher."""
    patience: Annotated[Number, Field(gt=0)] = 300.0
    """The seconds to wait for the other workers when a run begins."""

    def cluster(self) -> Cluster:
        return Cluster.found(self.port)

    def choose(self) -> str:
        return "/GPU:0" if _gpus() else "/CPU:0"

    def strategy(self) -> tf.distribute.Strategy:
        from .rendezvous import joined

        return joined(self.cluster(), self.patience)


def _split_cpu(count: int) -> None:
    """Makes at least so many logical devices of the CPU."""
    import tensorflow as tf

    [cpu, *_] = tf.config.list_physical_devices("CPU")
    part = tf.config.LogicalDeviceConfiguration()
    try:
        tf.config.set_logical_device_configuration(cpu, [part] * count)
    except RuntimeError:  # TensorFlow has been at work in this process
        there = len(tf.config.list_logical_devices("CPU"))
        if there < count:
            rule = f"TensorFlow began with {there} in this process, and can't split the CPU again"
            hint = "a process of its own: hydra/launcher=local"
            raise refuse("device.logical", count, rule, hint) from None


def _gpus() -> int:
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))
