"""What training minimises: declared kinds of losses, and the one that suits the data.

Sees `data` and `scheduled`; modules import no TensorFlow, methods do.
"""

from .auto import Auto
from .classes import CrossEntropy
from .loss import Loss
from .suited import suited_loss

Loss.kinds.declared_in(
    __name__, "auto", "classes", "distances", "given_step", "python", "several", "step"
)

__all__ = ["Auto", "CrossEntropy", "Loss", "suited_loss"]
