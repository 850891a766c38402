"""No parameter of an address is passed over: one that a path does not know is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette.requests import Request

from schedules.declaration import did_you_mean

from ..problems import ServiceError, request_problem


async def known_parameters(request: Request) -> None:
    """A dependency of every route of the API.

    Raises:
        ServiceError: a 422 for each parameter that the route has not.
    """
    known = sorted(set(_names(request.scope["route"].dependant)))
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        hint = f"known: {', '.join(known)}" if known else "this address has no parameters"
        rule = "is no parameter of this address"
        problems = [
            request_problem(f"query.{name[:80]}", request.query_params[name][:80], rule,
                            did_you_mean(name, known) or hint)
            for name in unknown
        ]  # fmt: skip
        raise ServiceError(422, "the request is not understood", problems)


def _names(dependant: Any) -> Iterator[str]:
    """The names of the parameters of a route, and of what it depends on."""
    yield from (field.alias for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _names(inner)
