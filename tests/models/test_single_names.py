"""One input, or one label, is the only one whether it has a name or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.runs import experiment
from tests.helpers.splits import refused
from trainer import train
from trainer.data import Facts
from trainer.data.facts import Feature
from trainer.models import Model
from trainer.scheduled.dials import Dials

IMAGE, SEQUENCE, TOKENS, ROW = (
    Feature((8, 8, 1)),
    Feature((6, 2)),
    Feature((6,), "int32"),
    Feature((5,)),
)
CLASS = Feature((), "int32", 3)
MASK = Feature((8, 8), "int32", 3)
KINDS: dict[str, tuple[dict[str, Any], Feature, Feature]] = {
    "cnn": ({}, IMAGE, CLASS),
    "layers": ({"layers": [{"kind": "Dense", "units": 3}]}, ROW, CLASS),
    "mlp": ({}, ROW, CLASS),
    "resnet": ({"depth": 8}, IMAGE, CLASS),
    "rnn": ({}, SEQUENCE, CLASS),
    "tabular": ({}, ROW, CLASS),
    "text": ({"tokens": 9}, TOKENS, CLASS),
    "unet": ({"depth": 1, "width": 4}, IMAGE, MASK),
    "vit": ({}, IMAGE, CLASS),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_changes_nothing_of_a_network(kind: str) -> None:
    fields, x, y = KINDS[kind]
    model = Model.declared({"kind": kind, **fields})
    plain, named = Facts(10, x, y), Facts(10, {"scan": x}, {"finding": y})
    model.check(named)
    shapes = []
    for facts in (plain, named):
        built = model.build(facts, Dials([]))
        shapes.append([weight.shape for weight in built.weights])
    assert shapes[0] == shapes[1]
    assert [one.name for one in built.inputs] == ["scan"]


SEVERAL = [kind for kind in KINDS if kind != "tabular"]


@pytest.mark.parametrize("kind", SEVERAL)
def test_several_inputs_or_labels_are_refused_with_the_model_that_takes_them(kind: str) -> None:
    fields, x, y = KINDS[kind]
    model = Model.declared({"kind": kind, **fields})
    if kind != "rnn":  # which reads several side by side, a step a row
        problem = refused(lambda: model.check(Facts(10, {"a": x, "b": x}, y)))
        assert problem.rule == "has one input, and the data has a, b"
        assert "model=tabular takes several" in problem.hint
    if kind != "layers":  # which looks at what it gives once it is built
        problem = refused(lambda: model.check(Facts(10, x, {"a": y, "b": y})))
        assert problem.rule == "has one output, and the data has the labels a, b"
        assert "model=tabular gives several" in problem.hint


REVIEWS = "review,opinion\n" + "".join(
    f"{'the film was ' * (i % 3)}{('awful', 'lovely')[i % 2]} indeed,{('bad', 'good')[i % 2]}\n"
    for i in range(80)
)
TEXT = "data.columns.review={kind: text, vocabulary: 50, length: 12}"


def reviews(folder: Path, *overrides: str) -> tuple[str, ...]:
    path = folder / "reviews.csv"
    path.write_text(REVIEWS)
    return ("data=csv", f"data.path={path}", "data.target=opinion", TEXT, *overrides)


@pytest.mark.parametrize("model", ["text", "rnn"])
def test_a_column_of_text_is_tokens_that_the_data_counts(model: str, tmp_path: Path) -> None:
    small = ("model.width=8", *(["model.units=8"] if model == "rnn" else ["model.depth=1"]))
    fast = ("optimizer=adam", "schedule.initial_value=0.02", "run.length=80", "run.compile=graph")
    asked = experiment(*reviews(tmp_path, f"model={model}", *small, *fast, "data.batch_size=16"))
    outcome = train(asked, tmp_path / "run", quiet=True)
    assert outcome.metrics["eval_accuracy"] == 1.0
    message = {"review": np.array(["Indeed, lovely!", "an awful film"])}
    assert np.asarray(outcome.predict(message)).argmax(axis=1).tolist() == [1, 0]
    table = outcome.model.get_layer("embedding").embeddings
    words = ("the", "film", "was", "awful", "lovely", "indeed")
    assert table.shape == (2 + len(words), 8)


def test_fewer_tokens_than_the_data_has_are_refused(tmp_path: Path) -> None:
    asked = experiment(*reviews(tmp_path, "model=text", "model.tokens=5"))
    problem = refused(lambda: asked.model.check(asked.data.facts()))
    assert problem.rule == "leaves some out of the 8 token ids that the data has"
    asked = experiment(*reviews(tmp_path, "model=text", "model.tokens=8"))
    asked.model.check(asked.data.facts())


def test_ids_are_no_numbers_to_dense_layers(tmp_path: Path) -> None:
    asked = experiment(*reviews(tmp_path, "model=mlp"))
    problem = refused(lambda: asked.model.check(asked.data.facts()))
    assert problem.rule == "takes numbers, and the data has ids, of which there are 8"
    assert problem.hint.startswith("model=tabular")
    asked = experiment(*reviews(tmp_path, "model=tabular"))
    asked.model.check(asked.data.facts())
