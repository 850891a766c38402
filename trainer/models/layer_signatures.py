"""The arguments of Keras' own layers, read from their source without importing Keras.

Importing Keras takes seconds, and a misspelt argument should be refused in less than one.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

FAMILIES = {
    "core": ("Dense", "EinsumDense", "Embedding", "Identity", "Masking", "ReversibleEmbedding"),
    "activations": ("Activation", "ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax"),
    "convolutional": (
        *(f"Conv{n}D" for n in (1, 2, 3)),
        *(f"Conv{n}DTranspose" for n in (1, 2, 3)),
        *(f"{sort}Conv{n}D" for sort in ("Depthwise", "Separable") for n in (1, 2)),
    ),
    "pooling": tuple(
        f"{sort}Pooling{n}D"
        for sort in (
            *("Average", "Max", "GlobalAverage", "GlobalMax"),
            *("AdaptiveAverage", "AdaptiveMax"),
        )
        for n in (1, 2, 3)
    ),
    "normalization": (
        *("BatchNormalization", "GroupNormalization", "LayerNormalization"),
        *("RMSNormalization", "SpectralNormalization", "UnitNormalization"),
    ),
    "regularization": (
        *("ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise"),
        *(f"SpatialDropout{n}D" for n in (1, 2, 3)),
    ),
    "reshaping": (
        *("Flatten", "Permute", "RepeatVector", "Reshape"),
        *(f"{sort}{n}D" for sort in ("Cropping", "UpSampling", "ZeroPadding") for n in (1, 2, 3)),
    ),
    "rnn": (
        *("Bidirectional", "GRU", "LSTM", "SimpleRNN", "TimeDistributed"),
        *(f"ConvLSTM{n}D" for n in (1, 2, 3)),
    ),
    "preprocessing": (
        *("CategoryEncoding", "Discretization", "MelSpectrogram", "Normalization", "Rescaling"),
    ),
    "preprocessing/image_preprocessing": (
        *("AugMix", "AutoContrast", "CenterCrop", "RandAugment", "Resizing", "Solarization"),
        *("RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast"),
        *("RandomCrop", "RandomElasticTransform", "RandomErasing", "RandomFlip"),
        *("RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert"),
        *("RandomPerspective", "RandomPosterization", "RandomRotation", "RandomSaturation"),
        *("RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom"),
    ),
}
"""The layers that a config may list, by their folder in Keras' source.

Each has one input and one output, and takes no code as an argument. Layers that attend or merge
have several inputs; those that look words up or hash them take text; `RNN` takes cells; CutMix and
MixUp change labels; STFTSpectrogram needs SciPy; and Equalization of Keras 3.15 fails in a model.
"""

FAMILY_BY_LAYER = {layer: family for family, layers in FAMILIES.items() for layer in layers}

NESTED = {
    "Bidirectional": ("layer", "backward_layer"),
    "SpectralNormalization": ("layer",),
    "TimeDistributed": ("layer",),
}
"""The arguments that are layers themselves, by the layer that has them."""

RECURRENT = ("GRU", "LSTM", "SimpleRNN", *(f"ConvLSTM{n}D" for n in (1, 2, 3)))
"""What a `Bidirectional` may go both ways with."""

ALSO_REQUIRED = {
    "CategoryEncoding": ("num_tokens",),
    "Discretization": ("bin_boundaries",),
    "Normalization": ("mean", "variance"),
}
"""Arguments that Keras would else learn from data by `adapt`, which a list does not."""

COMMON_ARGUMENTS = ("name", "trainable")
"""Arguments of every layer; `dtype` is missing, as `run.precision` sets it."""

EXCLUDED_ARGUMENTS = ("self", "dtype", "activity_regularizer", "stateful")
"""Arguments that a config can't give."""


class Signature(NamedTuple):
    """The names of a layer's arguments: all, and those without a default."""

    arguments: tuple[str, ...]
    required: tuple[str, ...]


@cache
def layer_signature(layer: str) -> Signature | None:
    """The signature of the layer of that name; None where Keras' source does not have it."""
    spec = find_spec("keras")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "src" / "layers" / FAMILY_BY_LAYER[layer]
    for path in sorted(folder.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if f"\nclass {layer}(" in text:
            return _init_signature(ast.parse(text), layer)
    return None


def _init_signature(module: ast.Module, layer: str) -> Signature | None:
    """The signature of the `__init__` of a class in a module."""
    [owner] = [
        node for node in module.body if isinstance(node, ast.ClassDef) and node.name == layer
    ]
    for function in owner.body:
        if isinstance(function, ast.FunctionDef) and function.name == "__init__":
            positional = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
            required = positional[: len(positional) - len(function.args.defaults)]
            keywords = [a.arg for a in function.args.kwonlyargs]
            arguments = [*positional, *keywords, *COMMON_ARGUMENTS]
            required += ALSO_REQUIRED.get(layer, ())
            return Signature(_without_excluded(arguments), _without_excluded(required))
    return None


def _without_excluded(names: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name not in EXCLUDED_ARGUMENTS))
