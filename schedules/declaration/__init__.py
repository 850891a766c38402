"""What a user declares, and how it is refused: kinds, their fields, errors, plugins, YAML.

Sees no other room, and no library but pydantic and YAML's.
"""

from .declaration import Declaration
from .kind import Kind
from .refusals import ABSENT, Problem, Refused, did_you_mean, join_path, refuse, within, yaml_text
from .scalars import Flag, Float32, Number, Whole, float32_fault
from .validation_errors import as_pydantic_error, problems_from

__all__ = [
    "ABSENT",
    "Declaration",
    "Flag",
    "Float32",
    "Kind",
    "Number",
    "Problem",
    "Refused",
    "Whole",
    "as_pydantic_error",
    "did_you_mean",
    "float32_fault",
    "join_path",
    "problems_from",
    "refuse",
    "within",
    "yaml_text",
]
