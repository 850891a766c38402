"""The JSON Schema of every kind, for editors that complete and underline YAML."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema

from .clock import Duration
from .declaration import Declaration
from .declaration.docstrings import purposes
from .kinds.parts import Part
from .schedule import Schedule

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema of a schedule, with every kind and `Part` under `$defs`.

    Which kind's rules apply is chosen by `kind`, so that an editor speaks of that kind alone.

    >>> json_schema()["$defs"]["linear"]["required"]
    ['kind', 'initial_value', 'end_value']
    """
    kinds = {kind: _published(member) for kind, member in sorted(Schedule.kinds.items())}
    part = _published(Part)
    parts = {
        f"{kind}_part": schema | {"properties": schema["properties"] | {"length": length}}
        for kind, schema in kinds.items()
        for length in [part["properties"]["length"]]
        if "length" not in schema["properties"]
    }
    flat = {kind: f"{kind}_part" if f"{kind}_part" in parts else kind for kind in kinds}
    families = {
        "Schedule": _chosen({kind: kind for kind in kinds}),
        "Part": {"if": {"required": ["kind"]}, "then": _chosen(flat), "else": part},
    }
    definitions: dict[str, Any] = _linked(families | kinds | parts)
    return {"$schema": DIALECT, "$ref": "#/$defs/Schedule", "$defs": definitions}


class _Published(GenerateJsonSchema):
    """pydantic's schema with lengths as a config file writes them, and without echoing titles."""

    def encode_default(self, dft: Any) -> Any:
        return dft.written() if isinstance(dft, Duration) else super().encode_default(dft)

    def field_title_should_be_set(self, schema: CoreSchema) -> bool:
        return False


def _published(model: type[Declaration]) -> dict[str, Any]:
    schema = model.model_json_schema(schema_generator=_Published)
    prose, _, _ = schema["description"].partition(">>>")
    kind = ["kind"] if "kind" in schema["properties"] else []
    required = kind + [name for name in schema.get("required", []) if name != "kind"]
    rules = {key: rule for key, rule in schema.items() if key not in ("title", "$defs")}
    told = purposes(model)
    properties = {
        name: {"description": told[name]} | rule if name in told else rule
        for name, rule in schema["properties"].items()
    }
    return rules | {
        "description": prose.strip(),
        "properties": properties,
        "required": required,
    }


def _chosen(definitions: dict[str, str]) -> dict[str, Any]:
    """A mapping whose `kind` chooses among definitions."""
    return {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": list(definitions)}},
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {"$ref": f"#/$defs/{name}"},
            }
            for kind, name in definitions.items()
        ],
    }


def _linked(schema: Any) -> Any:
    """`schema` with each `kindOf`, which pydantic can't resolve, turned into a `$ref`."""
    if isinstance(schema, list):
        return [_linked(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    linked = {key: _linked(value) for key, value in schema.items() if key != "kindOf"}
    return linked | ({"$ref": f"#/$defs/{schema['kindOf']}"} if "kindOf" in schema else {})
