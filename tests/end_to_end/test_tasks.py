"""The sections of docs/tasks.md, each beside Keras: losses, going on after a stop, and exports.

`test_docs.py` runs them as they are written, each block in a process of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import trainer
from tests.helpers import picture_twins, sequence_twins
from tests.helpers.tasks import SAME, Section, sections
from trainer.engine.forward import drawn_inputs
from trainer.models.exports import Export

pytestmark = pytest.mark.slow

SECTIONS = {section.title: section for section in sections()}
TWINS = picture_twins.TWINS | sequence_twins.TWINS
EXPORTED = {
    "Classify images from scratch": "softmax",
    "Fine-tune in two phases": "softmax",
    "Segment images": "softmax",
    "Compress images with an autoencoder": "linear",
    "Make images larger": "linear",
    "Distil a large network into a small one": "softmax",
    "Tell pairs that are alike": "linear",
    "Compute in half precision": "softmax",
    "Learn from unequal classes": "softmax",
    "Turn sequences into sequences": "softmax",
    "Let examples count for more, or less": "linear",
    "Mark with several labels at a time": "sigmoid",
    "Rank answers": "linear",
    "Fine-tune by LoRA": "softmax",
}
"""Sections whose network is of use to others as it is, and what predictions make of its outputs."""


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


@pytest.mark.parametrize("title", EXPORTED)
def test_an_exported_task_says_what_the_run_says(title: str, whole: Any) -> None:
    outcome = whole(title)
    SECTIONS[title].train(outcome.folder.parent, export=Export.declared({"kind": "keras"}))
    model = keras.models.load_model(outcome.folder / "export" / "final.keras")
    raw = drawn_inputs(model, 20)
    exported = keras.activations.get(EXPORTED[title])(model.predict(raw, verbose=0))
    # The file computes in float32 whatever the run did.
    is_half = outcome.model.dtype_policy.compute_dtype != "float32"
    within = {"atol": 0.05} if is_half else {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(exported, outcome.predict(raw), **within)


READ = {
    "Classify texts by a transformer": ("review", ["A great film!", "the plot is poor", "and", ""]),
    "Classify texts by an LSTM": ("remark", ["it was not good", "It was GOOD.", "not bad", "plot"]),
}


@pytest.mark.parametrize("title", READ)
def test_an_exported_reader_takes_texts(title: str, whole: Any) -> None:
    outcome, (name, texts) = whole(title), READ[title]
    SECTIONS[title].train(outcome.folder.parent, export=Export.declared({"kind": "keras"}))
    model = keras.models.load_model(outcome.folder / "export" / "final.keras")
    told = keras.ops.softmax(model({name: tf.constant([[text] for text in texts])}))
    expected = outcome.predict({name: np.array(texts)})
    np.testing.assert_allclose(told, expected, rtol=1e-4, atol=1e-5)
    assert len({*expected.argmax(axis=1)}) == 2


@pytest.mark.parametrize("section", SECTIONS.values(), ids=SECTIONS)
def test_a_task_is_short(section: Section) -> None:
    lines = {"bash": 0, "python": 0}
    for block in section.blocks:
        if block.language in lines:
            lines[block.language] += len(block.text.splitlines())
    assert lines["python"] <= 40
    assert lines["bash"] <= 15
