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
        """The equal parts into which every batch is split, as far as that is declared."""
        return 1

    def cluster(self) -> Cluster | None:
        """The processes that train together, read from the environment; None for this one alone.

        Raises:
            Refused: when environment variables are missing, or contradict each other.
        """
        return None

    def strategy(self) -> tf.distribute.Strategy | None:
        """TensorFlow's strategy for several devices; None for a single one.

        Must be called before anything else of TensorFlow.

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
    """Devices that each take an equal part of every batch, and make the same update."""

    synchronized: Flag = True
    """Whether batch normalization takes its statistics over the whole batch, as one device would.

    Otherwise each replica takes those of its own part, which saves messages at each layer, and the
    moving statistics are averaged.
    """


class Mirrored(Several):
    """Several GPUs of this machine, or, to try this out, parts of its CPU."""

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
        return self._device_names()[0]

    def strategy(self) -> tf.distribute.Strategy:
        import tensorflow as tf

        # Between parts of a CPU, collective operations are no faster, and hang where eager and
        # graph code alternate.
        cross_device_ops = tf.distribute.ReductionToOneDevice() if self.logical else None
        return tf.distribute.MirroredStrategy(
            self._device_names(), cross_device_ops=cross_device_ops
        )

    def _device_names(self) -> Sequence[str]:
        if self.logical:
            _split_cpu(self.logical)
            return [f"/CPU:{i}" for i in range(self.logical)]
        count = _gpus()
        indices = range(count) if self.devices is None else self.devices
        if not count or max(indices) >= count:
            path = "device" if self.devices is None else "device.devices"
            value = self.kind if self.devices is None else list(indices)
            gpus = f"{count}, by the numbers 0 to {count - 1}" if count > 1 else count or "no GPU"
            rule = f"TensorFlow finds {gpus} on this machine"
            hint = "device.logical=2 tries it out on a CPU" if not count else "device.devices=[0]"
            raise refuse(path, value, rule, hint)
        return [f"/GPU:{i}" for i in indices]


class MultiWorker(Several):
    """All GPUs, or the CPU, of several machines, each with a process that runs the same command.

    Each process reads the addresses of the others from `TF_CONFIG`, or from the variables of
    SLURM's `srun`. The first process leads: only this one prints and writes to the run's folder.
    """

    kind: Literal["multi_worker"] = "multi_worker"
    port: Annotated[Whole, Field(ge=1024, le=65000)] = 12345
    """The port of the first worker of each machine under SLURM; the next has the next one."""
    patience: Annotated[Number, Field(gt=0)] = 300.0
    """The seconds to wait for the other workers when a run begins."""

    def cluster(self) -> Cluster:
        return Cluster.from_environment(self.port)

    def choose(self) -> str:
        return "/GPU:0" if _gpus() else "/CPU:0"

    def strategy(self) -> tf.distribute.Strategy:
        from .rendezvous import join_cluster

        return join_cluster(self.cluster(), self.patience)


def _split_cpu(count: int) -> None:
    """Splits the CPU into at least so many logical devices."""
    import tensorflow as tf

    [cpu, *_] = tf.config.list_physical_devices("CPU")
    part = tf.config.LogicalDeviceConfiguration()
    try:
        tf.config.set_logical_device_configuration(cpu, [part] * count)
    except RuntimeError:  # TensorFlow has been at work in this process
        existing = len(tf.config.list_logical_devices("CPU"))
        if existing < count:
            rule = (
                f"TensorFlow began with {existing} in this process, and can't split the CPU again"
            )
            hint = "a process of its own: hydra/launcher=local"
            raise refuse("device.logical", count, rule, hint) from None


def _gpus() -> int:
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))
