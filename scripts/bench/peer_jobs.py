"""The jobs that peers are compared on, declared as users declare them, and the rule of all."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import gettempdir
from typing import Any, NamedTuple

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from trainer.config.experiment import Experiment  # noqa: E402
from trainer.config.hydra import compose  # noqa: E402  # from this checkout, installed or not
from trainer.data.feeds.order import ExampleOrder  # noqa: E402

TEXTS = Path(gettempdir()) / "scheduled-training-bench-texts.npz"
"""4,000 made-up texts of 20 to 100 ids of tokens each, filled up with zeros."""
ENDLESS = "run.length=10000000"
STEPS = ("data=synthetic", "data.shape=[28,28]", "data.classes=10", ENDLESS)
"""Sequences of 28 steps of 28 numbers, as the rows of images would be."""
TOKENS = ("data=npz", f"data.path={TEXTS}", "model.tokens=5000", ENDLESS)
WIDTH = 64
"""The columns of a table of embeddings."""


def embedding_job(vocabulary: int) -> tuple[str, ...]:
    """A table that each example looks up 64 rows of, whose mean a dense layer makes a number of."""
    layers = (
        f"{{kind: Embedding, input_dim: {vocabulary}, output_dim: {WIDTH}}}",
        "{kind: GlobalAveragePooling1D}",
        "{kind: Dense, units: 1}",
    )
    return (
        "model=layers",
        f"model.layers=[{', '.join(layers)}]",
        "data=python",
        "data.call=scripts.bench.identifiers:looked_up",
        f"data.kwargs={{vocabulary: {vocabulary}}}",
        "allow_code=[scripts.bench.identifiers]",
        "checkpoint.every=100%",  # one of 2,000,000 rows has 512 MB, and no peer writes any
        ENDLESS,
    )


JOBS = {
    "mlp": ("model=mlp", "data=digits", ENDLESS),
    "cnn": ("model=cnn", "data=mnist5k", ENDLESS),
    "embedding": embedding_job(200_000),
    "embedding_small": embedding_job(20_000),
    "embedding_large": embedding_job(2_000_000),
    "resnet": ("model=resnet", "data=mnist5k", ENDLESS),
    "vit": ("model=vit", "data=mnist5k", ENDLESS),
    "mobilenet": (
        "model=applications",
        "data=synthetic",
        "model.name=MobileNetV2",
        "data.shape=[32,32,3]",
        ENDLESS,
    ),
    "lstm": ("model=rnn", *STEPS),
    "gru": ("model=rnn", "model.cell=gru", *STEPS),
    "bilstm_masked": ("model=rnn", "model.bidirectional=true", *TOKENS),
    "transformer": ("model=text", *TOKENS),
}
"""Run for longer than anybody waits, so that no run ends by itself."""
RATE, MOMENTUM, HORIZON = 0.02, 0.9, 10**6


class Job(NamedTuple):
    """What all peers are given."""

    declared: Experiment
    data: Any
    stream: ExampleOrder
    is_large: bool = False
    """Whether its weights take as long to write as many updates do."""


def job(name: str, overrides: list[str]) -> Job:
    """The declared job, its examples, and the order they come in."""
    if not TEXTS.exists():
        _write_texts(TEXTS)
    declared = Experiment.declared(compose([*JOBS[name], "evaluate.every=100%", *overrides]))
    data = declared.data.load()
    order = ExampleOrder(1, len(data.train), declared.data.batch_size)
    return Job(declared, data, order, is_large=name.startswith("embedding"))


def _write_texts(path: Path) -> None:
    """Writes what `TEXTS` says, with labels that most often stand among a text's tokens."""
    random = np.random.default_rng(1)
    labels = random.integers(0, 10, 4000)
    ids = random.integers(10, 5000, (4000, 100))
    ids = np.where(random.random(ids.shape) < 0.05, labels[:, None] + 1, ids)
    ids[np.arange(100) >= random.integers(20, 101, (4000, 1))] = 0
    partial = path.with_name(f"{os.getpid()}-{path.name}")
    np.savez(partial, inputs=ids.astype(np.int32), labels=labels)
    partial.replace(path)
