"""Declarations: frozen pydantic models that a config file fills, chosen by their `kind`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from . import plugins
from .docstrings import purposes
from .errors import ABSENT, Problem, Refused, did_you_mean, joined

if TYPE_CHECKING:
    pass


def _number(value: Any) -> Any:
    """Lets through what YAML calls a number, and nothing that Python would call one besides.

    YAML reads `no` as a boolean and `.nan` as a float; pydantic takes both for floats.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise PydanticCustomError("number", "must be a number", {"hint": _meant(value)})
    if not math.isfinite(value):
        raise PydanticCustomError("finite", "must be finite", {"hint": "give an ordinary number"})
    return value


def _meant(value: object) -> str:
    """What to type instead of something that is no number."""
    if isinstance(value, bool):
        return "YAML reads yes, no, on, off, true and false as booleans; write 1 or 0"
    if isinstance(value, str):
        with suppress(ValueError):
            return f"write it without quotes, as {float(value)}"
    return "give an ordinary number"


Number = Annotated[float, BeforeValidator(_number)]
"""A finite float; booleans, strings, NaN and infinities are refused."""

Flag = Annotated[bool, Strict()]
"""True or false, and not one of the many words that pydantic would take for them."""

Whole = Annotated[int, BeforeValidator(_number)]
"""An integer; a float with a fraction, a boolean or a string is refused."""


class Declaration(BaseModel):
    """What a user declares: frozen, no unknown key, no value silently repaired."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True
    )
    elsewhere: ClassVar[Mapping[str, str]] = {}
    """Keys that people look for here, each with the override that does what they want."""

    def contradictions(self) -> Iterator[Problem]:
        """What is wrong between fields that are right one by one."""
        yield from ()

    def code(self) -> Iterator[tuple[str, str]]:
        """What this would import and run because its config says so: path and name.

        Asking imports nothing, so that a caller can refuse before anything does.
        """
        yield from ()

    @model_validator(mode="after")
    def _without_contradictions(self) -> Self:
        if found := tuple(self.contradictions()):
            raise carried(Refused(found))
        return self

    @classmethod
    def declared(cls, config: object) -> Self:
        """The declaration that `config` describes.

        Raises:
            Refused: naming every problem by its path inside `config`.
        """
        try:
            return cls.model_validate(config)
        except ValidationError as error:
            raise Refused(problems(cls, error)) from None


class Kind(Declaration):
    """A declaration that is one of a family and is chosen by the word under `kind`.

    `class Schedule(Kind, family=True)` founds a family, which keeps its members in `kinds`; a
    member states its word as the default of a `Literal` field. A field annotated with the family
    takes any member. The lookup is ours, not a pydantic union, because a union's error paths
    carry its tags and so are not the override that mends them.
    """

    if TYPE_CHECKING:

        @property
        def kind(self) -> str:
            """The word that chooses this member: a field of each, with a Literal of its own."""

    kinds: ClassVar[dict[str, type[Kind]]] = {}
    founds_family: ClassVar[bool] = False

    def __init_subclass__(cls, family: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.founds_family = family
        if family:
            cls.kinds = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__()
        word = cls.model_fields.get("kind")
        if word and not word.is_required():  # what members share may announce the field alone
            cls.kinds[word.default] = cls

    @classmethod
    def declared(cls, config: object) -> Self:
        if cls.founds_family:
            member = cls._member(config)
            if isinstance(member, Refused):
                raise member
            return config if isinstance(config, cls) else member.declared(config)
        return super().declared(config)

    @classmethod
    def _member(cls, config: object) -> type[Self] | Refused:
        """The member of the family that `config` names, or why there is none."""
        if isinstance(config, cls):
            return type(config)
        if not isinstance(config, Mapping):
            word = cls.called(config)
            hint = f"write {{kind: {config}, …}}" if word else _known(cls)
            return Refused([Problem("", config, "must be a mapping with a `kind`", hint)])
        if "kind" not in config:
            return Refused([Problem("kind", ABSENT, "is required", _known(cls))])
        kind = config["kind"]
        if member := cls.called(kind):
            return member
        hint = "; ".join(filter(None, (did_you_mean(kind, cls.kinds), *plugins.load(families))))
        return Refused([Problem("kind", kind, f"is no known {cls.__name__.lower()}", hint)])

    @classmethod
    def called(cls, kind: object) -> type[Self] | None:
        """The member of the family that goes by the word `kind`; plugins are loaded for a new one.

        None where there is none.
        """
        if not isinstance(kind, str):
            return None
        if kind not in cls.kinds:
            plugins.load(families)
        return cls.kinds.get(kind)  # type: ignore[return-value]  # it holds subclasses of cls

    @classmethod
    def _nested(cls, config: object) -> Self:
        """Validates a field of this family, carrying the problems' own paths outward."""
        try:
            return cls.declared(config)
        except Refused as refused:
            raise carried(refused) from None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        if not cls.founds_family:
            return handler(source)
        return core_schema.no_info_plain_validator_function(
            cls._nested,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda member: member.model_dump(mode="json")
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        if cls.founds_family:
            return {"kindOf": cls.__name__}  # whoever lists the family makes a $ref of it
        return handler(schema)


def carried(refused: Refused) -> PydanticCustomError:
    """A refusal as pydantic lets a validator raise it: its problems keep paths of their own."""
    return PydanticCustomError("nested", "{refused}", {"refused": refused})


def _known(family: type[Kind]) -> str:
    plugins.load(families)
    return f"known: {', '.join(sorted(family.kinds))}"


def problems(cls: type[BaseModel], error: ValidationError) -> Iterator[Problem]:
    """What pydantic found wrong with a `cls`, in this project's terms."""
    for found in error.errors(include_url=False):
        path = joined(*found["loc"])
        match found["type"]:
            case "nested":
                for problem in found["ctx"]["refused"].problems:
                    yield Problem(
                        joined(path, problem.path), problem.value, problem.rule, problem.hint
                    )
            case "missing":
                yield Problem(path, ABSENT, "is required", _purpose(cls, found["loc"]))
            case "extra_forbidden":
                owner = _model_at(cls, found["loc"][:-1])
                key = str(found["loc"][-1])
                elsewhere = getattr(owner, "elsewhere", {})
                hint = elsewhere.get(key) or did_you_mean(key, owner.model_fields)
                yield Problem(path, found["input"], "is no known key", hint)
            case "too_short" if found["input"]:
                continue  # what it lacks are the items that other problems tell of
            case "too_short":
                rule = f"must have at least {found['ctx']['min_length']}, and is empty"
                yield Problem(path, found["input"], rule, _purpose(cls, found["loc"]))
            case _:
                hint = found.get("ctx", {}).get("hint") or _purpose(cls, found["loc"])
                yield Problem(path, found["input"], _rule(found["msg"]), hint)


def _rule(message: str) -> str:
    """The library's words in this project's voice: a rule that follows `path = value`."""
    for theirs, ours in _WORDS.items():
        message = re.sub(theirs, ours, message)
    return message[:1].lower() + message[1:]


_WORDS = {
    "Input should be": "must be",
    "Value error, ": "",
    "a valid tuple": "a list",
    r"a valid dictionary( or instance of \w+)?": "a mapping",
    "a valid boolean": "true or false",
    "a valid integer.*": "a whole number",
}


def _purpose(cls: type[BaseModel], path: tuple[int | str, ...]) -> str:
    """What the innermost field on the path is for, in the words of its documentation."""
    words = purposes(_model_at(cls, path[:-1])).get(str(path[-1]), "") if path else ""
    return words[:1].lower() + words[1:].partition("\n\n")[0].removesuffix(".")


def _model_at(cls: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    """The model that owns the keys under `path`."""
    for part in path:
        field = cls.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            cls = annotation
    return cls


def families(above: type[Kind] | None = None) -> Iterator[type[Kind]]:
    """Every family of kinds that has been declared."""
    from .kind import Kind

    for family in (above or Kind).__subclasses__():
        if family.founds_family:
            yield family
        yield from families(family)
