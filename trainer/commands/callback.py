"""The progress of a run that a program watches: it calls back, and keeps the network."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Self, TextIO

from schedules import Refused
from schedules.declaration.functions import CODE_EXITS

from ..training.call import Call
from ..training.progress import Progress

if TYPE_CHECKING:
    import keras

Callback = Callable[[Call], object]


class Watch(Progress):
    """Shows progress, and hands each call to a program."""

    def __init__(self, total: int, callback: Callback | None, aloud: TextIO) -> None:
        super().__init__(total)
        self._callback = callback
        self._aloud = aloud
        self.model: keras.Model | None = None
        """The network, once a call was made."""
        self.raised: BaseException | None = None
        """What the program raised that a run takes for a failure, and that is the program's own."""

    def of(self, total: int) -> Self:
        """Itself, for a run of so many updates."""
        return self

    def show(self, call: Call) -> None:
        super().show(call)
        self.model = call.model
        if self._callback:
            with redirect_stdout(self._aloud):
                try:
                    self._callback(call)
                except (Refused, *CODE_EXITS) as error:
                    self.raised = error
                    raise
