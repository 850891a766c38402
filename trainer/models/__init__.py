"""Declared kinds of networks, built with Keras.

Sees `data` and `scheduled`; modules import no Keras, methods do.
"""

from . import (  # noqa: F401  # each registers its kinds
    applications,
    convolutional,
    dense,
    in_memory,
    keras_file,
    keras_hub,
    layer_list,
    python,
    recurrent,
    tabular,
    text,
    transformer,
    unet,
)
from .model import Model

__all__ = ["Model"]
