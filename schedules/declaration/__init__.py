"""What a user declares, and how it is refused: kinds, their fields, errors, plugins, YAML.

Sees no other room, and no library but pydantic and YAML's.
"""

from .errors import ABSENT, Problem, Refused, did_you_mean, joined, refuse, shown, within
from .kind import Declaration, Flag, Kind, Number, Whole, carried, problems

__all__ = [
    "ABSENT",
    "Declaration",
    "Flag",
    "Kind",
    "Number",
    "Problem",
    "Refused",
    "Whole",
    "carried",
    "did_you_mean",
    "joined",
    "problems",
    "refuse",
    "shown",
    "within",
]
