"""What training minimises: declared kinds of losses, and the one that suits the data.

Sees `data` and `scheduled`; modules import no TensorFlow, methods do.
"""

from . import given_step, python, step  # noqa: F401  # each registers its kinds
from .auto import Auto
from .classes import CrossEntropy
from .distances import MeanSquaredError
from .loss import Loss
from .suited import suited_loss

__all__ = ["Auto", "CrossEntropy", "Loss", "MeanSquaredError", "suited_loss"]
