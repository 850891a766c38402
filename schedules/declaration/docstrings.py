"""What each field of a declaration is for: the string under it, read when somebody asks.

pydantic's own `use_attribute_docstrings` reads the source of every class while it is imported,
which costs a tenth of a second of every command line, and most commands show no documentation.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache

from pydantic import BaseModel


@cache
def purposes(model: type[BaseModel]) -> dict[str, str]:
    """The documentation of the fields of `model`, its own and those it inherits, by name.

    >>> from schedules import Schedule
    >>> purposes(Schedule.kinds["linear"])["end_value"]
    'The value from `decay_steps` on.'
    """
    found: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if owner is not BaseModel and issubclass(owner, BaseModel):
            found |= _own(owner)
    return found


def _own(model: type[BaseModel]) -> dict[str, str]:
    [declared] = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(declared, ast.ClassDef)
    found = {}
    for field, following in zip(declared.body, declared.body[1:], strict=False):
        match field, following:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = inspect.cleandoc(text)
    return found
