"""Declarations: frozen pydantic models that a config file fills."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    model_validator,
)

from .refusals import Problem, Refused
from .validation_errors import as_pydantic_error, problems_from


class Declaration(BaseModel):
    """What a user declares: frozen, no unknown key, no value silently repaired."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True
    )
    key_hints: ClassVar[Mapping[str, str]] = {}
    """For unknown keys that people expect here, the override that does what they want."""

    def contradictions(self) -> Iterator[Problem]:
        """The problems between fields that are right one by one."""
        yield from ()

    def code(self) -> Iterator[tuple[str, str]]:
        """The functions that this would import and run because its config names them.

        Each is a path and a name. Asking imports nothing, so a caller can refuse them first.
        """
        yield from ()

    @model_validator(mode="after")
    def _without_contradictions(self) -> Self:
        if problems := tuple(self.contradictions()):
            raise as_pydantic_error(Refused(problems))
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
            raise Refused(problems_from(error, cls)) from None
