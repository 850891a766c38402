"""A run that is stopped and goes on, held against the same run in one go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras

from tests.helpers.runs import result, rows, trained


def goes_on_exactly(
    folder: Path,
    *overrides: str,
    stops: Sequence[int],
    at_the_end: Sequence[str] = (),
) -> Path:
    """Trains once in one go and once in pieces, and gives the folder of the run in one go.

    The last piece has the overrides `at_the_end` besides.

    Raises:
        AssertionError: when the two differ in any bit of the weights, their averages or the rows.
    """
    whole, broken = folder / "whole", folder / "broken"
    assert trained(whole, *overrides) == 0
    for stop in stops:
        trained(broken, *overrides, f"run.stop_after={stop}")
        assert (result(broken)["status"], result(broken)["steps"]) == ("stopped", stop)
    keras.layers.Dense(3)  # Keras counts its names on from here
    trained(broken, *overrides, *at_the_end)
    for digest in ("weights_digest", "average_digest"):
        assert result(broken).get(digest) == result(whole).get(digest)
    assert rows(broken) == rows(whole)
    return whole
