"""The OpenAPI document, with the errors as they are answered."""

from __future__ import annotations

from typing import Any

from ..problems import MEDIA_TYPE, ProblemBody

_REFERENCE = "#/components/schemas/{model}"


def contract(document: dict[str, Any]) -> dict[str, Any]:
    """The document that FastAPI generates, without its own errors, which are never sent."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    problem = ProblemBody.model_json_schema(ref_template=_REFERENCE)
    schemas |= problem.pop("$defs", {}) | {"ProblemBody": problem}
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    answer = {
        "description": "what is wrong",
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(model="ProblemBody")}}},
    }
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = answer
    return document
