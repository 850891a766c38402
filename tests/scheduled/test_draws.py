"""Keys of random numbers that no generator of a layer draws."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.scheduled.draws import Draws


def drawn(draws: Draws, purpose: str = "update", number: int = 0) -> list[float]:
    @tf.function
    def two() -> tuple[tf.Tensor, tf.Tensor]:
        with draws.keyed(purpose, number, fused=False):  # type: ignore[arg-type]
            return tf.random.normal([]), keras.random.normal([])

    return [float(x) for x in two()]


def test_seed_purpose_number_replica_and_place_each_make_other_numbers_and_nothing_else_does() -> (
    None
):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    plain, same, other, second = (Draws(seed, model) for seed in (1, 1, 2, 1))
    second.place = 1
    first = drawn(plain)
    assert drawn(same) == first
    rest = [drawn(other), drawn(second), drawn(plain, "evaluation"), drawn(plain, number=1)]
    everything = np.concatenate([first, *rest])
    assert len(set(everything.tolist())) == 10


def test_a_program_of_several_runs_does_not_let_them_draw_alike() -> None:
    draws = Draws(1, keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))
    draws.is_shared = True
    with pytest.raises(ValueError, match="draws random numbers"):
        drawn(draws)
