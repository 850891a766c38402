"""Where a run computes: declared kinds of devices."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from schedules.declaration import Kind
from schedules.refusal import refuse


class Device(Kind, family=True):
    """The hardware that a run uses."""

    @abstractmethod
    def choose(self) -> str:
        """TensorFlow's name of the device, such as `/GPU:0`.

        Raises:
            Refused: when the machine has no such device.
        """


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


def _gpus() -> int:
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))
