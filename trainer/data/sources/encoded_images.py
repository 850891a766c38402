"""Encoded images that are read and decoded on demand, by all cores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Problem, Refused

from ...runs.provenance import usable_cores
from ..inputs import Key
from .image_decoding import Decoding, UndecodableError, decoded

DECODED_AT_ONCE = range(8, 65)
"""How many images one call of the graph decodes: enough that calls cost little, few enough that all
cores have some to decode."""


class EncodedImages(ABC):
    """Images in a file format as `[n, height, width, channels]`, of whole numbers from 0 to 255."""

    def __init__(self, count: int, decoding: Decoding) -> None:
        self.decoding = decoding
        self.shape = (count, *decoding.shape)
        self.dtype = np.dtype(np.uint8)

    def __len__(self) -> int:
        return int(self.shape[0])

    @abstractmethod
    def content(self, row: int) -> bytes:
        """The image as it is stored."""

    @abstractmethod
    def refusal(self, row: int, problem: Problem) -> Refused:
        """The refusal of an image, where it was found."""

    def __getitem__(self, key: Key) -> NDArray[Any]:
        row_index = np.arange(len(self))[key]
        images = np.empty((len(row_index), *self.shape[1:]), self.dtype)
        pool, cores = _pool()
        count = min(max(-(-len(row_index) // cores), DECODED_AT_ONCE[0]), DECODED_AT_ONCE[-1])

        def fill(start: int) -> None:
            rows = row_index[start : start + count]
            images[start : start + count] = self._decoded(rows)

        for _ in pool.map(fill, range(0, len(row_index), count)):
            pass
        return images

    def _decoded(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        try:
            return decoded([self.content(int(row)) for row in rows], self.decoding)
        except UndecodableError as error:
            raise self.refusal(int(rows[error.place]), error.problem) from None


@lru_cache(maxsize=1)
def _pool() -> tuple[ThreadPoolExecutor, int]:
    """The threads that decode, and how many they are."""
    cores = len(usable_cores())
    return ThreadPoolExecutor(cores, "pictures"), cores
