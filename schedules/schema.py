"""The JSON Schema of every kind, for editors that complete and underline YAML."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema

from .clock import Duration
from .declaration import Declaration
from .declaration.docstrings import field_docs
from .kinds.parts import Part
from .schedule import Schedule

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema of a schedule, with every kind and `Part` under `$defs`.

    The value of `kind` chooses which rules apply, so an editor only mentions those of that kind.

    >>> json_schema()["$defs"]["linear"]["required"]
    ['kind', 'initial_value', 'end_value']
    """
    kinds = {kind: _model_schema(member) for kind, member in sorted(Schedule.kinds.items())}
    part = _model_schema(Part)
    length = part["properties"]["length"]
    flat_parts = {
        f"{kind}_part": schema | {"properties": schema["properties"] | {"length": length}}
        for kind, schema in kinds.items()
        if "length" not in schema["properties"]
    }
    part_of = {kind: f"{kind}_part" if f"{kind}_part" in flat_parts else kind for kind in kinds}
    families = {
        "Schedule": _choice({kind: kind for kind in kinds}),
        "Part": {"if": {"required": ["kind"]}, "then": _choice(part_of), "else": part},
    }
    definitions: dict[str, Any] = _with_references(families | kinds | flat_parts)
    return {"$schema": DIALECT, "$ref": "#/$defs/Schedule", "$defs": definitions}


class _SchemaGenerator(GenerateJsonSchema):
    """pydantic's generator; lengths are as a config file writes them, and titles are left out."""

    def encode_default(self, dft: Any) -> Any:
        return dft.config_value() if isinstance(dft, Duration) else super().encode_default(dft)

    def field_title_should_be_set(self, schema: CoreSchema) -> bool:
        return False


def _model_schema(model: type[Declaration]) -> dict[str, Any]:
    schema = model.model_json_schema(schema_generator=_SchemaGenerator)
    prose, _, _ = schema["description"].partition(">>>")
    kind = ["kind"] if "kind" in schema["properties"] else []
    required = kind + [name for name in schema.get("required", []) if name != "kind"]
    rules = {key: rule for key, rule in schema.items() if key not in ("title", "$defs")}
    docs = field_docs(model)
    properties = {
        name: {"description": docs[name]} | rule if name in docs else rule
        for name, rule in schema["properties"].items()
    }
    return rules | {
        "description": prose.strip(),
        "properties": properties,
        "required": required,
    }


def _choice(definitions: dict[str, str]) -> dict[str, Any]:
    """The schema of a mapping whose `kind` chooses one of `definitions`, names by kind."""
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


def _with_references(schema: Any) -> Any:
    """`schema` with a `$ref` in the place of each `kindOf`, which pydantic can't resolve."""
    if isinstance(schema, list):
        return [_with_references(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    replaced = {key: _with_references(value) for key, value in schema.items() if key != "kindOf"}
    if "kindOf" in schema:
        replaced["$ref"] = f"#/$defs/{schema['kindOf']}"
    return replaced
