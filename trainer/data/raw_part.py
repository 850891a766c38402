"""The examples of a part as the data has them, nothing of them changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from .inputs import Inputs
from .trees import Tree, leaves


@dataclass(frozen=True)
class RawPart:
    """Raw inputs and their labels, as the data has them."""

    inputs: Tree[Inputs]
    """One array, or several by name."""
    labels: Tree[Inputs] | None
    """One array, or several by name; None where the inputs themselves are to be given back."""
    weights: NDArray[Any] | None = None
    """What each example counts for, where the data says so."""

    def __len__(self) -> int:
        return len(leaves(self.inputs)[0])
