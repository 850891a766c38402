"""The arguments of Keras' own layers, read from their source, so that Keras need not be imported.

Importing Keras takes seconds, and a misspelt argument is to be told in less than one.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

FAMILIES = {
    "core": ("Dense", "Embedding", "Identity"),
    "activations": ("Activation", "ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax"),
    "convolutional": (
        *(f"Conv{n}D" for n in (1, 2, 3)),
        *(f"Conv{n}DTranspose" for n in (1, 2, 3)),
        *(f"{what}Conv{n}D" for what in ("Depthwise", "Separable") for n in (1, 2)),
    ),
    "pooling": tuple(
        f"{what}Pooling{n}D"
        for what in ("Average", "Max", "GlobalAverage", "GlobalMax")
        for n in (1, 2, 3)
    ),
    "normalization": (
        *("BatchNormalization", "GroupNormalization", "LayerNormalization"),
        *("RMSNormalization", "UnitNormalization"),
    ),
    "regularization": (
        *("AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise"),
        *(f"SpatialDropout{n}D" for n in (1, 2, 3)),
    ),
    "reshaping": (
        *("Flatten", "Permute", "RepeatVector", "Reshape"),
        *(f"{what}{n}D" for what in ("Cropping", "UpSampling", "ZeroPadding") for n in (1, 2, 3)),
    ),
    "rnn": ("GRU", "LSTM", "SimpleRNN"),
    "preprocessing": ("Rescaling",),
}
"""The layers that a config may list: of one input and one output, and without code of their own."""

FAMILY_OF = {layer: family for family, layers in FAMILIES.items() for layer in layers}

SHARED = ("name", "trainable")
"""What every layer takes besides; `dtype` is for `run.precision` to say."""

LEFT_OUT = ("self", "dtype", "activity_regularizer", "stateful")


class Signature(NamedTuple):
    """The arguments of a layer."""

    known: tuple[str, ...]
    required: tuple[str, ...]


@cache
def signature(layer: str) -> Signature | None:
    """What the layer of that name takes; None where the source of Keras does not tell."""
    spec = find_spec("keras")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "src" / "layers" / FAMILY_OF[layer]
    for path in sorted(folder.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if f"\nclass {layer}(" in text:
            return _of(ast.parse(text), layer)
    return None


def _of(module: ast.Module, layer: str) -> Signature | None:
    [owner] = [n for n in module.body if isinstance(n, ast.ClassDef) and n.name == layer]
    for function in owner.body:
        if isinstance(function, ast.FunctionDef) and function.name == "__init__":
            given = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
            required = given[: len(given) - len(function.args.defaults)]
            named = [*given, *(a.arg for a in function.args.kwonlyargs), *SHARED]
            known, needed = (
                tuple(dict.fromkeys(name for name in names if name not in LEFT_OUT))
                for names in (named, required)
            )
            return Signature(known, needed)
    return None
