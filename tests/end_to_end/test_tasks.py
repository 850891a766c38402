"""The sections of docs/tasks.md, each beside Keras: losses, going on after a stop, and exports.

`test_docs.py` runs them as they are written, each block in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import trainer
from tests.helpers import picture_twins, sequence_twins
from tests.helpers.tasks import SAME, Section, sections
from trainer import export
from trainer.data import Preparation
from trainer.data.trees import leaves, map_tree
from trainer.engine.forward import drawn_inputs
from trainer.runs.folder import Folder

pytestmark = pytest.mark.slow

SECTIONS = {section.title: section for section in sections()}
TWINS = picture_twins.TWINS | sequence_twins.TWINS
TEXTS = np.array(["A great film!", "the plot is poor", "it was not good", "It was GOOD.", "", "x"])
RAW: Mapping[str, Any] = {
    "Classify texts by a transformer": {"review": TEXTS},
    "Classify texts by an LSTM": {"remark": TEXTS},
    "Continue a text: a language model": np.arange(64).reshape(2, 32),
    "Learn from a table with categories and holes": {
        "town": np.array(["A", "C", "never seen"]),
        "note": np.array(["with a garden", "no garden", "a pond"]),
        "built": np.array([1950, np.nan, 2000]),
        "area": np.array([50.0, 100.0, 150.0]),
    },
    "Predict several things at a time": {
        "country": np.array(["D", "F", "never seen"]),
        "pages": np.array([3.0, 12.0, 25.0]),
        "age": np.array([20.0, 40.0, 60.0]),
    },
    "Mark with several labels at a time": {
        name: np.arange(4) - 1.5 for name in ("beat", "bass", "treble")
    },
    "Recommend by two towers": {"user": np.arange(7), "film": np.arange(7)[::-1]},
}
"""What the files of sections are tried with where they take no normal numbers."""
AS_PREDICTED: Mapping[str, Any] = {
    "Mark with several labels at a time": "sigmoid",
    "Predict several things at a time": {"buys": "softmax", "spends": "linear"},
    **dict.fromkeys(
        ["Classify images from scratch", "Fine-tune in two phases", "Segment images",
         "Distil a large network into a small one", "Compute in half precision",
         "Learn from unequal classes", "Classify texts by a transformer",
         "Classify texts by an LSTM", "Continue a text: a language model",
         "Turn sequences into sequences", "Fine-tune by LoRA"],
        "softmax",
    ),
}  # fmt: skip
"""What predictions make of a network's outputs, where they are not these."""
BY_STEP_ALONE = ("Draw points with a GAN", "Draw points by diffusion")
"""Sections whose network takes other inputs than the data has, which predictions need."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Gives what came of a section's run that was never stopped; each is made once."""
    made: dict[str, trainer.Outcome] = {}

    def outcome(title: str) -> trainer.Outcome:
        if title not in made:
            made[title] = SECTIONS[title].train(tmp_path_factory.mktemp("whole"))
            assert made[title].status == "done", made[title].reason
        return made[title]

    return outcome


@pytest.mark.parametrize("section", SECTIONS.values(), ids=SECTIONS)
def test_a_task_that_is_stopped_goes_on_with_the_same_bits(
    section: Section, whole: Any, tmp_path: Path
) -> None:
    entire = whole(section.title)
    stopped = section.train(tmp_path, {**SAME, "stop_after": entire.steps // 2 + 1})
    assert (stopped.status, stopped.steps) == ("stopped", entire.steps // 2 + 1)
    assert section.train(tmp_path).result["weights_digest"] == entire.result["weights_digest"]


@pytest.mark.parametrize("section", SECTIONS.values(), ids=SECTIONS)
def test_a_task_learns_what_keras_learns_from_the_same_batches(
    section: Section, whole: Any, tmp_path: Path
) -> None:
    ours = whole(section.title).history["loss"]
    train, noise = TWINS[section.title]
    theirs = train(section.twin(tmp_path))
    assert len(theirs) == len(ours)
    assert np.mean(theirs) == pytest.approx(ours.mean(), rel=noise)


ELSEWHERE = """
import json, sys
import keras
import numpy as np
import onnxruntime
import tensorflow as tf

with np.load("raw.npz") as file:
    raw = dict(file)
def of(name):
    return raw.get(name, raw.get("inputs"))
for path in sys.argv[1:]:
    if path.endswith(".keras"):
        model = keras.models.load_model(path)
        given = {one.name: tf.constant(of(one.name)) for one in model.inputs}
        single = isinstance(model, keras.Sequential) or not isinstance(model.input, dict)
        by_name = len(given) > 1 or not single
        outputs = model(given if by_name else [*given.values()][0])
        if isinstance(outputs, list):
            outputs = dict(zip(model.output_names, outputs))
    elif path.endswith(".onnx"):
        session = onnxruntime.InferenceSession(path)
        types = {"tensor(float)": np.float32, "tensor(int32)": np.int32}
        fed = {one.name: of(one.name).astype(types[one.type]) for one in session.get_inputs()}
        names = [one.name for one in session.get_outputs()]
        outputs = dict(zip(names, session.run(names, fed)))
    else:
        serve = tf.saved_model.load(path).signatures["serving_default"]
        specs = serve.structured_input_signature[1]
        fed = {n: of(n).astype(one.dtype.as_numpy_dtype) for n, one in specs.items()}
        outputs = serve(**{n: tf.constant(x) for n, x in fed.items()})
    named = outputs if isinstance(outputs, dict) else {"outputs": outputs}
    np.savez(path + ".npz", **{name: np.asarray(x, np.float32) for name, x in named.items()})
assert not {"trainer", "schedules"} & set(sys.modules)
"""


@pytest.mark.parametrize("title", SECTIONS)
def test_the_files_of_a_task_say_elsewhere_what_the_run_says(
    title: str, whole: Any, tmp_path: Path
) -> None:
    """One is left from the program and two by the command; a process reads them without us."""
    outcome = whole(title)
    raw = RAW.get(title)
    if raw is None:
        raw = map_tree(np.asarray, drawn_inputs(outcome.model, 20))
        raw = raw if len(outcome.model.inputs) > 1 else leaves(raw)[0]
    if title in BY_STEP_ALONE:
        given = raw if isinstance(raw, dict) else [raw]
        expected: Any = np.asarray(outcome.model(given, training=False))
    else:
        expected = outcome.predict(raw)
    prepared = Preparation.read(Folder(outcome.folder).preparation)
    has_text = any(x.dtype.kind == "U" for x in leaves(raw))
    files = [outcome.export("keras", weights="final")]
    for kind in ("saved_model", "onnx"):
        asked = ["export.inputs=prepared"] if kind == "onnx" and has_text else []
        assert (
            export.main([str(outcome.folder), f"export={kind}", "export.weights=final", *asked])
            == 0
        )
        files.append(files[0].with_suffix(f".{kind}"))
    for some in (files[:2], files[2:]):
        taken = prepared.apply(raw) if some == files[2:] and has_text else raw
        columns = prepared.is_of_columns and taken is raw
        named = taken if isinstance(taken, dict) else {"inputs": taken}
        np.savez(
            tmp_path / "raw.npz", **{n: x[:, None] if columns else x for n, x in named.items()}
        )
        command = [sys.executable, "-I", "-c", ELSEWHERE, *map(str, some)]
        subprocess.run(command, cwd=tmp_path, check=True)
    # The files compute in float32 whatever the run did.
    is_half = outcome.model.dtype_policy.compute_dtype != "float32"
    within = {"atol": 0.05} if is_half else {"rtol": 1e-4, "atol": 1e-5}
    several = isinstance(expected, dict)
    made = AS_PREDICTED.get(title, "linear")
    for path in files:
        with np.load(f"{path}.npz") as outputs:
            assert {*outputs} == ({*expected} if several else {"outputs"})
            for name, values in expected.items() if several else [("outputs", expected)]:
                activation = made[name] if isinstance(made, dict) else made
                found = keras.activations.get(activation)(outputs[name])
                np.testing.assert_allclose(found, values, **within, err_msg=path.name)


@pytest.mark.parametrize("section", SECTIONS.values(), ids=SECTIONS)
def test_a_task_is_short(section: Section) -> None:
    lines = {"bash": 0, "python": 0}
    for block in section.blocks:
        if block.language in lines:
            lines[block.language] += len(block.text.splitlines())
    assert lines["python"] <= 40
    assert lines["bash"] <= 15
