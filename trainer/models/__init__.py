"""Declared kinds of networks, built with Keras.

Sees `data` and `scheduled`; modules import no Keras, methods do.
"""

from .model import Model

Model.kinds.declared_in(
    __name__,
    "applications",
    "convolutional",
    "dense",
    "in_memory",
    "keras_file",
    "keras_hub",
    "layer_list",
    "python",
    "recurrent",
    "tabular",
    "text",
    "transformer",
    "unet",
)

__all__ = ["Model"]
