"""Presets of KerasHub, of a few weights, saved to a folder as their users do."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras_hub

WORDS = ("the", "cat", "dog", "is", "good", "bad")
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
LONGEST = 12
"""How many tokens a text may have."""
OF_TOKENS = {
    "vocabulary_size": len(VOCABULARY),
    "num_layers": 1,
    "num_heads": 2,
    "hidden_dim": 8,
    "intermediate_dim": 16,
    "max_sequence_length": LONGEST,
}
"""The settings of a backbone that reads tokens."""


def bert(folder: Path, classes: int | None = None, vocabulary: Sequence[str] = VOCABULARY) -> Path:
    """A text classifier of so many classes, or a backbone with its tokenizer."""
    tokenizer = keras_hub.tokenizers.BertTokenizer(vocabulary=list(vocabulary))
    network = keras_hub.models.BertBackbone(**OF_TOKENS)
    if classes is None:
        return saved(folder, network, tokenizer)
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor(
        tokenizer, sequence_length=LONGEST
    )
    return saved(folder, keras_hub.models.BertTextClassifier(network, classes, preprocessor))


def distil_bert(folder: Path) -> Path:
    """A backbone that gives a row for each token, without a tokenizer."""
    network = keras_hub.models.DistilBertBackbone(**OF_TOKENS)
    return saved(folder, network)


def vit(folder: Path, classes: int | None = None, side: int = 8, channels: int = 1) -> Path:
    """An image classifier of so many classes, or a backbone."""
    network = keras_hub.models.ViTBackbone(
        image_shape=(side, side, channels),
        patch_size=side // 2,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        mlp_dim=16,
    )
    if classes is not None:
        network = keras_hub.models.ViTImageClassifier(network, classes)
    return saved(folder, network)


def vgg(folder: Path, classes: int | None = None) -> Path:
    """A backbone without attention; or its classifier, which ends in several layers in one."""
    network = keras_hub.models.VGGBackbone([1, 1], [4, 4], image_shape=(32, 32, 1))
    if classes is not None:
        network = keras_hub.models.VGGImageClassifier(network, classes, pooling_hidden_dim=8)
    return saved(folder, network)


def saved(folder: Path, *parts: Any) -> Path:
    """The folder, with all parts of a preset in it."""
    with warnings.catch_warnings():  # Keras copies variables in a way that numpy 2 warns of
        warnings.simplefilter("ignore", DeprecationWarning)
        for part in parts:
            part.save_to_preset(str(folder))
    return folder
