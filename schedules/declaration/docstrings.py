"""The documentation of each field of a declaration: the string under it, read on demand.

pydantic's own `use_attribute_docstrings` reads the source of every class while it is imported.
That costs every command a tenth of a second, and most commands show no documentation.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache

from pydantic import BaseModel


@cache
def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """The documentation of the fields of `model`, inherited ones included, by name.

    >>> from schedules import Schedule
    >>> field_docs(Schedule.kinds["linear"])["end_value"]
    'The value from `decay_steps` on.'
    """
    docs: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if base is not BaseModel and issubclass(base, BaseModel):
            docs |= _docs_in_class_body(base)
    return docs


def _docs_in_class_body(model: type[BaseModel]) -> dict[str, str]:
    [class_node] = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(class_node, ast.ClassDef)
    docs = {}
    for field, following in zip(class_node.body, class_node.body[1:], strict=False):
        match field, following:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                docs[name] = inspect.cleandoc(text)
    return docs
