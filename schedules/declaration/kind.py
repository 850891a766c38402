"""Kinds: declarations that are chosen by the word under `kind`, one family each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import (
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic_core import CoreSchema, core_schema

from . import plugins
from .declaration import Declaration
from .members import Members
from .refusals import ABSENT, Refused, did_you_mean, refuse
from .validation_errors import as_pydantic_error


class Kind(Declaration):
    """A declaration that is one of a family and is chosen by the word under `kind`.

    `class Schedule(Kind, family=True)` founds a family, which keeps its members in `kinds`, and
    imports them when they are named. A member states its word as the default of a `Literal` field.
    A field annotated with the family takes any member. The lookup is ours because the error paths
    of a pydantic union contain the union's tags; they would not be the overrides that mend the
    errors.
    """

    if TYPE_CHECKING:

        @property
        def kind(self) -> str:
            """The word that chooses this member: each has a field of this name and a Literal."""

    kinds: ClassVar[Members] = Members()
    is_family: ClassVar[bool] = False
    foreign_names: ClassVar[Mapping[str, str]] = {}
    """The words by names that other libraries have, in lower case and without underscores."""

    def __init_subclass__(cls, family: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.is_family = family
        if family:
            cls.kinds = Members()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__()
        field = cls.model_fields.get("kind")
        if field and not field.is_required():  # a base class of members may only annotate the field
            cls.kinds[field.default] = cls

    @classmethod
    def declared(cls, config: object) -> Self:
        if not cls.is_family:
            return super().declared(config)
        if isinstance(config, cls):
            return config
        return cls._member_for(config).declared(config)

    @classmethod
    def _member_for(cls, config: object) -> type[Self]:
        """The member of the family that `config` names.

        Raises:
            Refused: when there is none.
        """
        if not isinstance(config, Mapping):
            hint = f"write {{kind: {config}, …}}" if cls.find(config) else cls._all_kinds()
            raise refuse("", config, "must be a mapping with a `kind`", hint)
        if "kind" not in config:
            raise refuse("kind", ABSENT, "is required", cls._all_kinds())
        kind = config["kind"]
        if member := cls.find(kind):
            return member
        hints = [cls.nearest(kind, cls.kinds), *plugins.load(families)]
        rule = f"is no known {cls.__name__.lower()}"
        raise refuse("kind", kind, rule, "; ".join(filter(None, hints)))

    @classmethod
    def find(cls, kind: object) -> type[Self] | None:
        """The member of the family whose word is `kind`, or None where there is none.

        Plugins are loaded when the word is not known yet.
        """
        if not isinstance(kind, str):
            return None
        if kind not in cls.kinds:
            plugins.load(families)
        return cls.kinds.get(kind)

    @classmethod
    def nearest(cls, word: object, options: Iterable[str]) -> str:
        """A hint that names the option that `word` is elsewhere, or the one spelt most like it."""
        options = list(options)
        name = cls.foreign_names.get(str(word).lower().replace("_", ""))
        return did_you_mean(name if name in options else word, options)

    @classmethod
    def _all_kinds(cls) -> str:
        plugins.load(families)
        return f"known: {', '.join(sorted(cls.kinds))}"

    @classmethod
    def _validate_field(cls, config: object) -> Self:
        """Validates a field of this family; its problems keep their own paths."""
        try:
            return cls.declared(config)
        except Refused as refused:
            raise as_pydantic_error(refused) from None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        if not cls.is_family:
            return handler(source)
        return core_schema.no_info_plain_validator_function(
            cls._validate_field,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda member: member.model_dump(mode="json")
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        if cls.is_family:
            return {"kindOf": cls.__name__}  # `schedules.schema` makes a $ref of it
        return handler(schema)


def families(root: type[Kind] = Kind) -> Iterator[type[Kind]]:
    """Every family of kinds that has been declared."""
    for subclass in root.__subclasses__():
        if subclass.is_family:
            yield subclass
        yield from families(subclass)
