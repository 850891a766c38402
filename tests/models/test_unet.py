"""U-Nets: what they are made of, and that they learn a class or a number at each place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from schedules import Refused
from tests.helpers.continuation import goes_on_exactly
from tests.helpers.runs import result, trained
from trainer import export
from trainer.data import Facts
from trainer.data.facts import Feature
from trainer.models import Model
from trainer.scheduled.dials import Dials


def facts(side: int, label: Feature, channels: int = 1) -> Facts:
    return Facts(10, Feature((side, side, channels)), label)


def squares(folder: Path) -> tuple[str, ...]:
    """Noisy images with a bright square, its places of class 1; and clean images."""
    random = np.random.default_rng(0)
    corner = random.integers(0, 5, (300, 2))
    at = np.arange(8)
    inside = [(at >= corner[:, k, None]) & (at < corner[:, k, None] + 3) for k in (0, 1)]
    mask = (inside[0][:, :, None] & inside[1][:, None, :]).astype(int)
    noisy = (mask + random.normal(0, 0.3, mask.shape))[..., None].astype(np.float32)
    path = folder / "squares.npz"
    np.savez(path, noisy=noisy, mask=mask, clean=mask[..., None].astype(np.float32))
    return "data=npz", f"data.path={path}", "data.inputs=noisy"


SMALL = ("model=unet", "model.depth=2", "model.width=4", "optimizer=adam",
         "schedule.initial_value=0.02", "run.length=40", "evaluate.every=40",
         "~log.tensorboard")  # fmt: skip


@pytest.mark.slow
def test_every_place_gets_its_class_in_the_same_bits_after_a_stop(tmp_path: Path) -> None:
    asked = (*squares(tmp_path), "data.labels=mask", *SMALL, "model.dropout=0.1")
    whole = goes_on_exactly(tmp_path, *asked, stops=(15,))
    assert result(whole)["metrics"]["eval_accuracy"] > 0.97  # 0.86 are background
    assert export.main([str(whole), "export=keras"]) == 0


@pytest.mark.parametrize("norm", ["group", "none"])
def test_noise_is_taken_off_an_image(norm: str, tmp_path: Path) -> None:
    asked = (*squares(tmp_path), "data.labels=clean", "data.task=regression", *SMALL)
    longer = ("run.length=60", "evaluate.every=60", "schedule.initial_value=0.01", "run.seed=2")
    assert trained(tmp_path / "run", *asked, f"model.norm={norm}", *longer) == 0
    assert result(tmp_path / "run")["metrics"]["eval_loss"] < 0.03  # 0.09 is the noise itself


def test_it_halves_and_doubles_as_the_paper_has_it() -> None:
    """23 convolutions of 64 to 1024 channels: figure 1 of Ronneberger et al. 2015."""
    declared = Model.declared({"kind": "unet", "depth": 4, "width": 64, "norm": "none"})
    model = declared.build(facts(16, Feature((16, 16), "int32", 2)), Dials([]))
    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)
    convolutions = [layer for layer in model.layers if isinstance(layer, kinds)]
    assert len(convolutions) == 23
    weights = sum(int(np.prod(w.shape)) for w in model.trainable_variables)
    assert weights == 31_030_658  # as counted for the paper's network with padding
    assert model.get_layer("bottom_b_relu").output.shape == (None, 1, 1, 1024)


@pytest.mark.parametrize(
    ("side", "label", "outputs"),
    [
        (8, Feature((8, 8), "int32", 3), (8, 8, 3)),
        (8, Feature((8, 8, 2)), (8, 8, 2)),
        (8, Feature((8, 8)), (8, 8, 1)),
    ],
)
def test_what_it_gives_follows_from_the_label(side: int, label: Feature, outputs: Any) -> None:
    declared = Model.declared({"kind": "unet", "depth": 1, "width": 2})
    declared.check(facts(side, label))
    assert declared.build(facts(side, label), Dials([])).output_shape == (None, *outputs)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (facts(12, Feature((12, 12), "int32", 2)), "model.depth = 3: halves images of 12x12.*=2"),
        (
            facts(9, Feature((9, 9), "int32", 2)),
            r"hint: bring images of 16x16.*data.size=\[16,16\]",
        ),
        (facts(8, Feature((), "int32", 2)), "at each place of images of 8x8.*has 2 classes.*=cnn"),
        (facts(8, Feature((4, 4), "int32", 2)), r"2 classes at each of \[4, 4\] places"),
        (Facts.of(10, (13,)), "takes images"),
    ],
)
def test_what_it_can_not_do_is_refused_before_it_is_built(declared: Facts, message: str) -> None:
    with pytest.raises(Refused, match=f"(?s){message}"):
        Model.declared({"kind": "unet"}).check(declared)


def test_following_the_hint_on_its_depth_works() -> None:
    for side in (12, 20, 24):
        data = facts(side, Feature((side, side), "int32", 2))
        with pytest.raises(Refused) as refused:
            Model.declared({"kind": "unet", "depth": 4}).check(data)
        [problem] = refused.value.problems
        depth = int(problem.hint.removeprefix("model.depth="))
        Model.declared({"kind": "unet", "depth": depth}).check(data)
