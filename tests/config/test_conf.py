"""Every file under `conf/`: it composes, it validates, and it says what it is for."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.helpers import extras, records
from tests.helpers.runs import experiment
from trainer.config.conf_folder import CONF
from trainer.config.experiment import Experiment
from trainer.config.hydra import compose

OPTIONS = sorted(CONF.glob("*/*.yaml"))


ASKS = {
    "data=npz": ("data.path={here}/a.npz",),
    "data=npy": ("data.inputs={here}/x.npy", "data.labels={here}/y.npy"),
    "data=csv": ("data.path={here}/a.csv", "data.target=label"),
    "data=image_folder": ("data.path={here}/images",),
    "data=image_pairs": ("data.path={here}/images", "data.targets={here}/masks", "model=unet"),
    "data=huggingface": ("data.path={here}/hub",),
    "data=parquet": ("data.path={here}/a.parquet", "data.target=label"),
    "data=tfds": ("data.name=tiny", "data.data_dir={here}/tfds", "data.inputs=x"),
    "data=tfrecord": ("data.path={here}/a.tfrecord", "data.inputs=x"),
}
"""What must be said besides, by the options that ask for something of the user's own."""


NEEDS = {
    "data=huggingface": ("datasets", extras.hub),
    "data=tfds": ("tensorflow_datasets", extras.tfds),
}
"""The extras that some of them need, and what makes data for them."""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data of every sort."""
    folder = tmp_path_factory.mktemp("data")
    inputs, labels = np.zeros((100, 8)), np.arange(100) % 2
    np.savez(folder / "a.npz", inputs=inputs, labels=labels)
    np.save(folder / "x.npy", inputs)
    np.save(folder / "y.npy", labels)
    (folder / "a.csv").write_text("one,label\n" + "1.5,0\n2.5,1\n" * 50)
    for i, label in enumerate(labels):
        image = folder / "images" / f"class_{label}" / f"{i}.bmp"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(image)
        mask = folder / "masks" / f"class_{label}" / f"{i}.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), int(label)).save(mask)
    extras.parquet(folder)
    records.write(folder / "a.tfrecord", [{"x": [0.5, 1.5], "label": int(i)} for i in labels])
    return folder


def named(path: Path) -> str:
    return f"{path.parent.name}={path.stem}"


@pytest.mark.parametrize("path", OPTIONS, ids=named)
def test_every_option_of_every_group_makes_a_run_that_can_be_drawn(path: Path, here: Path) -> None:
    if named(path) in NEEDS:
        package, make = NEEDS[named(path)]
        pytest.importorskip(package, reason="an extra")
        make(here)
    asked = [text.format(here=here) for text in ASKS.get(named(path), ())]
    declared = Experiment.declared(compose([named(path), *asked]))
    assert next(iter(declared.curves())) == "learning_rate"


@pytest.mark.parametrize("path", OPTIONS, ids=named)
def test_every_file_opens_with_what_it_is_for(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = [line for line in lines if line.startswith("# ") and "schema=" not in line]
    assert [line for line in comments if "@package" not in line], "no comment says what it is for"


@pytest.mark.parametrize("path", sorted(CONF.glob("experiment/*.yaml")), ids=named)
def test_every_experiment_tells_its_command_and_its_result(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert f"python -m trainer experiment={path.stem}" in text
    assert "\n# Result, run.seed=" in text


def test_the_defaults_of_the_config_are_the_defaults_of_the_models() -> None:
    """One home per fact: config.yaml shows values, and a config without them means the same."""
    shown = compose()
    groups = {path.parent.name for path in OPTIONS}
    bare = {key: value for key, value in shown.items() if key in groups}
    assert Experiment.declared(bare) == Experiment.declared(shown)


def test_numbers_are_written_so_that_every_yaml_reader_takes_them_for_numbers() -> None:
    for path in OPTIONS:
        for value in _scalars(yaml.safe_load(path.read_text(encoding="utf-8"))):
            if isinstance(value, str):
                with pytest.raises(ValueError, match="could not convert"):
                    float(value)


def _scalars(tree: object) -> list[object]:
    if isinstance(tree, dict):
        return [leaf for branch in tree.values() for leaf in _scalars(branch)]
    if isinstance(tree, list):
        return [leaf for branch in tree for leaf in _scalars(branch)]
    return [tree]


@pytest.mark.parametrize(
    ("whole", "single"),
    [
        ("metrics={f1: {}}", "metrics.f1={}"),
        ("run={seed: 7, deterministic: false}", "run.seed=7 run.deterministic=false"),
        ("log={every: 7, csv: {}}", "log.every=7 log.csv={}"),
        ("ema={momentum: 0.9}", "ema.momentum=0.9"),
        ("optimizer={momentum: 0.5, clipnorm: 1}", "optimizer.momentum=0.5 optimizer.clipnorm=1"),
        ("data={batch_size: 8, keep: stream}", "data.batch_size=8 data.keep=stream"),
    ],
)
def test_values_may_be_set_one_by_one_or_together(whole: str, single: str) -> None:
    one_by_one = re.findall(r"(?:\{.*\}|\S)+", single)
    assert experiment(whole) == experiment(*one_by_one)
