"""Generators, made by a function that may be called again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from .source import Pass, Source


class FunctionSource(Source):
    """What a function's generator gives; the function is called once a pass.

    One with a parameter `epoch` gets the number of the pass, from 0 on.
    """

    what: ClassVar[str] = "a generator"
    rules: ClassVar[str] = "which must give the same when the function is called again"

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._takes_epoch = "epoch" in inspect.signature(function).parameters

    @property
    def how(self) -> str:
        return "replay"

    def open(self, number: int, seed: int) -> Pass:
        made = self._function(epoch=number) if self._takes_epoch else self._function()
        return IteratorPass(iter(made))


class IteratorPass(Pass):
    """A pass that is an iterator of Python's."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._iterator = iterator

    def next(self) -> Any:
        return next(self._iterator)
