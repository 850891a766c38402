"""Weights to begin with: by name, from a run or a file of Keras, whatever the process numbered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from schedules import Refused
from tests.helpers.runs import events, experiment, plan, result, trained
from trainer import Experiment, train
from trainer.models.initial_weights import InitialWeights
from trainer.runs.folder import Folder
from trainer.training.run_config import declare

pytestmark = pytest.mark.filterwarnings(
    # Keras reads its variables so when it saves them.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
RANDOM = np.random.default_rng(12)
DATA = (RANDOM.normal(size=(16, 6, 6, 1)).astype(np.float32), RANDOM.integers(0, 3, size=16))


def backbone(name: str = "base") -> keras.Model:
    x = inputs = keras.Input((6, 6, 1))
    x = layers.Conv2D(3, 3)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(3, 1, name="narrow")(x)
    return keras.Model(inputs, layers.Flatten()(x), name=name)


def network(outputs: int = 3, head: str = "end") -> keras.Model:
    """Keras counts the layers of all networks of a process; here some come between."""
    for _ in range(3):
        layers.Conv2D(1, 1)
    inputs = keras.Input((6, 6, 1))
    x = layers.Dense(4)(backbone()(inputs))
    x = layers.Dense(4)(x)
    return keras.Model(inputs, layers.Dense(outputs, name=head)(x))


def drawn(model: keras.Model, seed: int) -> keras.Model:
    random = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(random.uniform(0.1, 1, size=weight.shape))  # a variance is not negative
    return model


def values(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(weight).copy() for weight in model.weights]


def begin(model: keras.Model, folder: Path, *asked: str) -> Any:
    plain = ("schedule=constant", "schedule.value=0", "optimizer=sgd", "run.compile=graph")
    given = Experiment.composed(*plain, "run.length=1", "data.batch_size=16", *asked)
    # At a rate of 0 the weights stay; the running means of a frozen network do, too.
    return train(given, folder, model=model, data=(DATA, DATA), quiet=True)


FROZEN = "model.frozen=['base']"


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_a_network_begins_with_what_keras_saved(suffix: str, tmp_path: Path) -> None:
    source, path = drawn(network(), 1), tmp_path / f"saved{suffix}"
    source.save_weights(path) if suffix == ".weights.h5" else source.save(path)
    model = drawn(network(), 2)
    begin(model, tmp_path / "run", f"init_from={path}", FROZEN)
    for one, other in zip(values(model), values(source), strict=True):
        np.testing.assert_array_equal(one, other)
    [event] = events(tmp_path / "run", "init_from")
    assert set(event["weights"].values()) == {"taken"}
    assert event["path"] == str(path)
    assert len(event["digest"]) == 64


def test_a_file_of_weights_from_an_older_keras_is_read_by_its_paths(tmp_path: Path) -> None:
    import h5py

    kernel = RANDOM.normal(size=(64, 16)).astype(np.float32)
    path = tmp_path / "old.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"dense_1"]
        group = file.create_group("dense_1")
        group.attrs["weight_names"] = [b"dense_1/kernel:0"]
        group["dense_1/kernel:0"] = kernel
    source = InitialWeights.declared(str(path)).read()
    np.testing.assert_array_equal(source.arrays["dense/kernel"], kernel)


def test_a_run_begins_with_the_averages_of_another(tmp_path: Path) -> None:
    trained(tmp_path / "first", "run.length=5", "ema.momentum=0.5")
    trained(tmp_path / "second", "run.length=5", f"init_from={tmp_path / 'first'}", "run.seed=9",
            "optimizer=sgd", "schedule=constant", "schedule.value=0")  # fmt: skip
    assert (
        result(tmp_path / "second")["weights_digest"]
        == (result(tmp_path / "first")["average_digest"])
    )


def test_slots_and_averages_begin_from_what_was_taken(tmp_path: Path) -> None:
    trained(tmp_path / "first", "run.length=5")
    still = ("optimizer=schedule_free_adamw", "schedule=constant", "schedule.value=0")
    trained(tmp_path / "second", "run.length=2", f"init_from={tmp_path / 'first'}", *still)
    found = result(tmp_path / "second")
    assert found["metrics"]["eval_loss"] == pytest.approx(
        result(tmp_path / "first")["metrics"]["eval_loss"], rel=1e-4
    )


def test_a_bare_backbone_finds_its_place_within_another_network(tmp_path: Path) -> None:
    bare = drawn(backbone("other"), 3)
    path = tmp_path / "bare.h5"
    bare.save(path)
    model = drawn(network(), 4)
    before = values(model)
    begin(model, tmp_path / "run", f"init_from={path}", FROZEN)
    after, count = values(model), len(bare.weights)
    for one, other in zip(after[:count], values(bare), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(after[count:], before[count:], strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_table_says_what_was_taken_resized_and_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "saved.weights.h5"
    drawn(network(outputs=5), 1).save_weights(path)
    asked = f"init_from={{path: {path}, resized: ['end/*'], fresh: ['dense_1']}}"
    begin(drawn(network(), 2), tmp_path / "run", asked, FROZEN)
    [event] = events(tmp_path / "run", "init_from")
    assert event["said"].splitlines() == [
        f"weights of {path}: 10 taken, 2 resized, 2 left",
        "    taken    base/*: 8",
        "    taken    dense/*: 2",
        "    left     dense_1/kernel [4, 4]",
        "    left     dense_1/bias [4]",
        "    resized  end/kernel [4, 3] from [4, 5]",
        "    resized  end/bias [3] from [5]",
        "    unused   dense_1/0, dense_1/1",
    ]


def test_what_is_resized_keeps_what_both_have(tmp_path: Path) -> None:
    source, path = drawn(network(outputs=2), 1), tmp_path / "saved.weights.h5"
    source.save_weights(path)
    model = drawn(network(), 2)
    before = values(model)[-2]
    begin(model, tmp_path / "run", f"init_from={{path: {path}, resized: ['end']}}", FROZEN)
    np.testing.assert_array_equal(values(model)[-2][:, :2], values(source)[-2])
    np.testing.assert_array_equal(values(model)[-2][:, 2:], before[:, 2:])


def test_other_shapes_are_refused_with_a_hint_that_works(tmp_path: Path) -> None:
    path = tmp_path / "saved.keras"
    drawn(network(outputs=5), 1).save(path)
    with pytest.raises(Refused) as refused:
        begin(network(), tmp_path / "run", f"init_from={path}")
    (problem,) = refused.value.problems
    assert problem.value == str(path)
    assert str(problem).endswith(
        "saved.keras': has other shapes: end/kernel is [4, 3] and there [4, 5]; "
        "end/bias is [3] and there [5]\n  hint: init_from.fresh=['end/*'] leaves it as it is"
    )
    followed = f"init_from={{path: {path}, fresh: ['end/*']}}"
    assert begin(network(), tmp_path / "run", followed).status == "done"


def test_a_run_goes_on_without_its_source(tmp_path: Path) -> None:
    first, source = tmp_path / "first", tmp_path / "source"
    trained(first, "run.length=5")
    asked = ("run.length=6", f"init_from={source}")
    first.rename(source)
    trained(tmp_path / "whole", *asked)
    trained(tmp_path / "broken", *asked, "run.stop_after=3")
    source.rename(first)
    trained(tmp_path / "broken", *asked)
    broken = result(tmp_path / "broken")
    assert broken["weights_digest"] == result(tmp_path / "whole")["weights_digest"]
    assert len(events(tmp_path / "broken", "init_from")) == 1


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("nowhere", None, "is not there"),
        ("notes.txt", b"x", "is of no kind that is read"),
        ("empty", "folder", "is a folder without checkpoints of a run"),
        ("bad.keras", b"x", "can't be read"),
        ("bad.h5", b"x", "can't be read"),
    ],
)
def test_what_can_not_be_read_is_refused(
    name: str, content: Any, rule: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content:
        path.write_bytes(content)
    with pytest.raises(Refused, match=rule):
        InitialWeights.declared(str(path)).read()


def test_a_missing_source_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"init_from = 'nowhere': is not there"):
        declare(Folder(tmp_path), plan("init_from=nowhere"))
    assert not (tmp_path / "config.yaml").exists()


def test_a_source_without_any_weight_of_the_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.weights.h5"
    inputs = keras.Input((2,))
    keras.Model(inputs, layers.Dense(1, name="else")(inputs)).save_weights(path)
    with pytest.raises(Refused, match="has no weight of this network: else/0, else/1, …"):
        begin(network(), tmp_path / "run", f"init_from={path}")


def test_a_path_alone_and_a_mapping_are_the_same_declaration() -> None:
    assert experiment("init_from=a.h5").init_from == experiment("init_from={path: a.h5}").init_from
