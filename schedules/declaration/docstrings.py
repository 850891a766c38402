"""The documentation of each field of a declaration: the string under it, read on demand.

pydantic's own `use_attribute_docstrings` reads the source of every class while it is imported.
That costs every command a tenth of a second, and most commands show no documentation.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from types import ModuleType

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


@cache
def _classes(module: ModuleType) -> dict[str, ast.ClassDef]:
    """The classes at the top of a module by their names.

    `inspect.getsource` of a class parses its whole module, each time anew.
    """
    body = ast.parse(inspect.getsource(module)).body
    return {node.name: node for node in body if isinstance(node, ast.ClassDef)}


def _class_node(model: type[BaseModel]) -> ast.ClassDef:
    module = inspect.getmodule(model)
    if module and (found := _classes(module).get(model.__qualname__)):
        return found
    [node] = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(node, ast.ClassDef)
    return node


def _docs_in_class_body(model: type[BaseModel]) -> dict[str, str]:
    class_node = _class_node(model)
    docs = {}
    for field, following in zip(class_node.body, class_node.body[1:], strict=False):
        match field, following:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                docs[name] = inspect.cleandoc(text)
    return docs
