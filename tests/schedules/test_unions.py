"""How values are refused of fields that take one of several types."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from schedules.declaration import Declaration, Number, Refused, Whole

Size = Annotated[Whole, Field(ge=2)]


class Inner(Declaration):
    length: Size | Literal["longest"] | Mapping[str, Size] = 2


class Outer(Declaration):
    buckets: Size | tuple[Size, ...] | None = None
    name: str | tuple[str, ...] = ""
    missing: Literal["refuse", "mean"] | Number = "mean"
    inner: Inner | None = None
    columns: Mapping[str, Inner] = {}


CASES: dict[str, tuple[Any, str, str]] = {
    "a bound of the type that it has": ({"buckets": 1}, "buckets", "must be greater than or"),
    "none of the types": ({"buckets": "a"}, "buckets", "must be a number, or a list"),
    "no whole number": ({"buckets": 2.5}, "buckets", "must be a whole number, or a list"),
    "an entry of a list": ({"buckets": [2, 1]}, "buckets.1", "must be greater than or"),
    "a number for a name": ({"name": 3}, "name", "must be a valid string, or a list"),
    "another word": ({"missing": "x"}, "missing", "must be 'refuse' or 'mean', or a number"),
    "within another declaration": ({"inner": {"length": 0}}, "inner.length", "must be greater"),
    "an entry of a mapping": ({"inner": {"length": {"a": 0}}}, "inner.length.a", "must be greater"),
    "a name that is a type's": ({"columns": {"str": {"lenght": 0}}}, "columns.str.lenght", "known"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_value_is_refused_once_at_the_path_of_its_override(case: tuple[Any, str, str]) -> None:
    config, path, rule = case
    with pytest.raises(Refused) as caught:
        Outer.declared(config)
    [problem] = caught.value.problems
    assert problem.path == path
    assert rule in problem.rule
