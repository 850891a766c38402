"""Several devices, for which parts of the CPU stand in: the same training on any number of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from schedules import Refused
from tests.engine.test_program import EVERYTHING
from tests.helpers.runs import events, experiment, result, rows
from tests.training.test_divergence import rates
from trainer.config.devices import Mirrored
from trainer.runs.checkpoints import Checkpoints

SPOILT = tuple(f"spoils={rank}" for rank in range(4))
LEFT_OUT = ("run.stop_after=6", "spoils=0")
SCENES: dict[str, tuple[str, ...]] = {
    "plain": (),
    "everything": EVERYTHING,
    "normed": ("model.kind=normed", "run.micro_batches=2", "ema={momentum: 0.9}"),
    "skipped": ("run.on_nonfinite=skip", rates(t5=2.0), "model.kind=normed", *SPOILT),
}
"""What must come out the same on any number of devices."""
SLOW_SCENES: dict[str, tuple[str, ...]] = {
    "clipped": ("optimizer=sgd", "optimizer.global_clipnorm=0.05"),
    "dropout": ("model.dropout=0.5",),
    "averaging": ("optimizer=schedule_free_adamw", "run.micro_batches=2"),
    "half": ("run.precision=mixed_float16", "model.kind=normed", "run.micro_batches=2"),
    "xla": ("run.compile=xla", "run.micro_batches=2", "optimizer=adam", "model.dropout=0.5"),
}
"""More of it."""
FOUR = ("normed", "dropout", "xla")
"""The scenes that are played on four devices too."""
ALONE: dict[str, tuple[str, ...]] = {
    "noisy": ("model.kind=noisy",),
    "apart": ("model.kind=normed", "device.synchronized=false"),
    "normed xla": ("model.kind=normed", "run.compile=xla"),
    "stopped": (rates(t13=2.0), "spoils=1"),
    "skipped once": ("run.on_nonfinite=skip", rates(t5=2.0), "spoils=1"),
    "rewound": ("run.on_nonfinite=rewind", rates(t13=2.0), "checkpoint.every=5", "spoils=1"),
    "before": (rates(), "model.kind=normed", "run.stop_after=5"),
    "left out": ("run.on_nonfinite=skip", rates(t5=2.0), "model.kind=normed", *LEFT_OUT),
    "five": (
        "device.logical=5",
        "data.batch_size=65",
    ),
}
"""What is asked of two devices only."""
AUTO: dict[str, tuple[str, ...]] = {
    "auto": ("run.compile=auto", "run.length=5"),
    "auto normed": ("model.kind=normed", "run.compile=auto", "run.length=5"),
}


def on(count: int) -> tuple[str, ...]:
    device = ("device=cpu",) if count == 1 else ("device=mirrored", f"device.logical={count}")
    return ("run.length=20", "checkpoint.every=20", "run.steps_per_call=7", *device)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each scene and number of devices, trained once for all tests."""
    path = tmp_path_factory.mktemp("replicas")
    asked = on_several(SCENES) | {name: (*on(2), *overrides) for name, overrides in ALONE.items()}
    scene = SCENES["everything"]
    broken = [
        ("everything/broken", (*on(2), *scene, "run.stop_after=9")),
        ("everything/broken", (*on(2), *scene)),
        ("plain/fewer", (*on(2), "run.stop_after=9")),
        ("plain/fewer", on(1)),
        ("plain/fewer", (*on(1), "resume.policy=config")),
    ]
    codes = train_all([(path / name, o) for name, o in [*asked.items(), *broken]])
    (path / "codes.json").write_text(json.dumps(codes))
    return path


@pytest.fixture(scope="module")
def slow_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of scenes that only slow tests look at."""
    path = tmp_path_factory.mktemp("more_replicas")
    asked = on_several(SLOW_SCENES) | {name: (*on(2), *o) for name, o in AUTO.items()}
    train_all([(path / name, overrides) for name, overrides in asked.items()])
    return path


def on_several(scenes: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The overrides of each scene on each number of devices, by the folder they train in."""
    return {
        f"{name}/{count}": (*on(count), *overrides)
        for name, overrides in scenes.items()
        for count in ((1, 2, 4) if name in FOUR else (1, 2))
    }


def train_all(asked: Sequence[tuple[Path, Sequence[str]]]) -> list[tuple[str, Any]]:
    """Trains in a process of its own; gives the exit codes, or why not, with their folders."""
    lines = json.dumps([(str(path), list(overrides)) for path, overrides in asked])
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.replicated"],
        input=lines,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: list[tuple[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def codes(folder: Path, name: str) -> list[Any]:
    """How the runs in a folder ended: their exit codes, or why they were refused."""
    message = json.loads((folder / "codes.json").read_text())
    return [code for path, code in message if path == str(folder / name)]


def replicas(path: Path) -> list[dict[str, Any]]:
    """The variables of each replica."""
    found: list[dict[str, Any]] = json.loads((path / "replicas.json").read_text())
    return found


def state(path: Path) -> dict[str, Any]:
    saved, _ = Checkpoints(path / "checkpoints", 1).newest()
    assert saved
    return saved.arrays


def test_one_device_learns_what_several_do(folder: Path) -> None:
    compare_all(folder, SCENES)


@pytest.mark.slow
def test_one_device_learns_what_several_do_in_more_scenes(slow_folder: Path) -> None:
    compare_all(slow_folder, SLOW_SCENES)


def compare_all(folder: Path, scenes: Iterable[str]) -> None:
    """The values that were applied are the same to the bit, all else to what float32 rounds."""
    for name in scenes:
        for count in (2, 4) if name in FOUR else (2,):
            rough = 500.0 if name == "half" else 1.0  # float16 has so many bits less
            compare(folder / name / "1", folder / name / str(count), rough)
            assert result(folder / name / str(count))["replicas"] == count


def compare(alone: Path, several: Path, rough: float = 1.0) -> None:
    where = str(several)
    for one, other in zip(rows(alone), rows(several), strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            if name in ("loss", "eval_loss") and value is not None:
                assert other[name] == pytest.approx(value, rel=1e-5 * rough), where
            elif name != "eval_accuracy":
                assert other[name] == value, where
    before, after = state(alone), state(several)
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_allclose(
            after[name], array, rtol=1e-3, atol=1e-5 * rough, err_msg=f"{name} in {where}"
        )


def test_all_replicas_end_in_the_same_bits(folder: Path) -> None:
    alone = ("apart", "skipped once", "rewound", "everything/broken")
    compare_replicas(folder, (*on_several(SCENES), *alone))


@pytest.mark.slow
def test_all_replicas_end_in_the_same_bits_in_more_scenes(slow_folder: Path) -> None:
    compare_replicas(slow_folder, on_several(SLOW_SCENES))


def compare_replicas(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        if name.endswith("/1"):
            continue
        first, *others = replicas(folder / name)
        assert others
        for other in others:
            for path, values in other.items():
                # The first one counts, and judges, for all.
                if path != "global_step" and not path.startswith("loss/"):
                    assert values == first[path], f"{path} in {name}"


def test_going_on_ends_in_the_same_bits(folder: Path) -> None:
    whole, broken = folder / "everything" / "2", folder / "everything" / "broken"
    assert codes(folder, "everything/broken") == [0, 0]
    assert rows(broken) == rows(whole)
    for digest in ("weights_digest", "average_digest"):
        assert result(broken)[digest] == result(whole)[digest]


def test_going_on_with_another_number_takes_a_word(folder: Path) -> None:
    first, refused, last = codes(folder, "plain/fewer")
    assert (first, last) == (0, 0)
    assert "device.kind" in refused
    assert "resume.policy=config" in refused
    compare(folder / "plain" / "1", folder / "plain" / "fewer")


def test_layers_that_cannot_share_random_numbers_draw_apart(folder: Path) -> None:
    one, other = (
        {name: seed for name, seed in each.items() if "seed" in name}
        for each in replicas(folder / "noisy")
    )
    assert one
    for name, (seed, drawn) in one.items():
        assert other[name][0] != seed
        assert other[name][1] == drawn


def test_batch_normalization_may_look_at_the_part_of_each_replica(folder: Path) -> None:
    """It then learns otherwise, and keeps the mean of what the replicas saw."""
    whole, parts = (rows(folder / name) for name in ("skipped/2", "apart"))
    assert whole[1]["loss"] != pytest.approx(parts[1]["loss"], rel=1e-5)
    assert rows(folder / "apart")[-1]["eval_loss"] < parts[0]["loss"]


@pytest.mark.slow
def test_auto_takes_what_is_faster_where_both_can_be_had(slow_folder: Path) -> None:
    both, graph = (result(slow_folder / name) for name in AUTO)
    assert all("updates/s" in why for why in both["compile_measured"].values())
    assert graph["compile"] == "graph"
    assert "batch normalization" in graph["compile_measured"]["xla"]


def test_batch_normalization_over_several_devices_refuses_xla(folder: Path) -> None:
    [refused] = codes(folder, "normed xla")
    assert refused.startswith("run.compile = 'xla': can't reach from one device to another")


@pytest.mark.parametrize(("name", "code"), [("stopped", 1), ("skipped once", 0), ("rewound", 0)])
def test_what_one_replica_finds_not_finite_all_of_them_leave(
    name: str, code: int, folder: Path
) -> None:
    path = folder / name
    assert codes(folder, name) == [code]
    message = result(path)
    assert (message["steps"], message["skipped"], message["rewinds"]) == {
        "stopped": (7, 0, 0),  # after the last whole call
        "skipped once": (20, 1, 0),
        "rewound": (20, 0, 1),
    }[name]
    if name == "rewound":
        assert events(path, "rewound")[0]["at"] == 13


def test_an_update_that_is_left_out_leaves_what_the_model_keeps_of_its_inputs(
    folder: Path,
) -> None:
    before, after = (replicas(folder / name)[0] for name in ("before", "left out"))
    assert (before.pop("global_step"), after.pop("global_step")) == (5, 6)
    for name in before:
        if "seed" not in name:
            assert after[name] == before[name], name


def test_more_parts_of_the_cpu_than_a_process_began_with_are_refused(folder: Path) -> None:
    assert codes(folder, "five") == [
        "device.logical = 5: TensorFlow began with 4 in this process, and can't split the CPU "
        "again\n  hint: a process of its own: hydra/launcher=local"
    ]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("device.logical=4", "data.batch_size=10"),
            "data.batch_size = 10: must be a multiple of 4: 4 replicas\n"
            "  hint: data.batch_size=8 or data.batch_size=12",
        ),
        (
            ("device.logical=4", "data.batch_size=6", "run.micro_batches=2"),
            "data.batch_size = 6: must be a multiple of 8: 4 replicas times 2 micro-batches\n"
            "  hint: data.batch_size=8",
        ),
        (
            ("device.devices=[0,1]", "data.batch_size=3"),
            "data.batch_size = 3: must be a multiple of 2: 2 replicas\n"
            "  hint: data.batch_size=2 or data.batch_size=4",
        ),
        (("device.devices=[0,0]",), "device.devices = [0, 0]: must name each GPU once"),
        (
            ("device.devices=[0]", "device.logical=2"),
            "device.logical = 2: cannot be combined with devices, which are GPUs\n"
            "  hint: device.devices=null",
        ),
        (("device.logical=0",), "device.logical = 0: must be greater than or equal to 1"),
    ],
)
def test_devices_that_cannot_share_a_batch_are_refused(
    overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(Refused) as refused:
        experiment("device=mirrored", *overrides).curves()
    assert str(refused.value).startswith(message)


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there are GPUs")
@pytest.mark.parametrize(
    ("asked", "path"), [({}, "device"), ({"devices": [0, 1]}, "device.devices")]
)
def test_gpus_that_are_not_there_are_refused(asked: dict[str, Any], path: str) -> None:
    with pytest.raises(Refused) as refused:
        Mirrored.declared(asked).choose()
    [problem] = refused.value.problems
    assert problem.path == path
    assert problem.rule == "TensorFlow finds no GPU on this machine"
    assert problem.hint == "device.logical=2 tries it out on a CPU"
