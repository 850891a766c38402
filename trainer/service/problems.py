"""How the service says no: `application/problem+json` (RFC 9457), with each problem by its path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from schedules.analysis.lint import Finding
from schedules.declaration import ABSENT, Problem, Refused
from schedules.declaration.mends import mend_of

from .json_values import jsonable

MEDIA_TYPE = "application/problem+json"


class ProblemItem(BaseModel):
    """One thing that can't be honoured; one edit at `path` mends it."""

    path: str
    """The override path, or the name of a parameter of the request."""
    value: Any = None
    """What was there; null where nothing was."""
    rule: str
    hint: str = ""
    source: str = ""
    """The override, or the file and line, that the value comes from."""
    mend: list[str] = []
    """The overrides that the hint is made of, to be taken as they are; none where it is prose."""
    text: str = ""
    """All of it, as a terminal shows it."""


class ProblemBody(BaseModel):
    """The body of every answer that is an error."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    problems: list[ProblemItem] = []


class ServiceError(Exception):
    """An answer that is an error."""

    def __init__(
        self,
        status: int,
        detail: str,
        problems: Iterable[Mapping[str, Any]] = (),
        **members: Any,
    ) -> None:
        self.status = status
        self.detail = detail
        self.problems = list(problems)
        self.members = members
        super().__init__(detail)

    def response(self, headers: Mapping[str, str] | None = None) -> JSONResponse:
        return JSONResponse(self.body(), self.status, headers, MEDIA_TYPE)

    def body(self) -> dict[str, Any]:
        """The members of the body."""
        title = HTTPStatus(self.status).phrase
        if self.problems:
            count = len(self.problems)
            title = f"{count} value{'s' if count > 1 else ''} can't be honoured"
        return {
            "type": "about:blank",
            "title": title,
            "status": self.status,
            "detail": self.detail,
            "problems": self.problems,
            **self.members,
        }


def request_problem(path: str, value: Any, rule: str, hint: str = "") -> dict[str, Any]:
    """What is wrong with one value of a request, as `problems` has it."""
    return {
        "path": path,
        "value": value,
        "rule": rule,
        "hint": hint,
        "source": "the request",
        "mend": [],
    }


def one_problem(path: str, value: Any, rule: str, hint: str = "") -> ServiceError:
    """A 422 for one value of a request."""
    return ServiceError(422, f"{path} {rule}", [request_problem(path, value, rule, hint)])


def problem_member(problem: Problem) -> dict[str, Any]:
    """A problem as JSON has it."""
    value = None if problem.value is ABSENT else problem.value
    return {
        "path": problem.path,
        "value": jsonable(value),
        "rule": problem.rule,
        "hint": problem.hint,
        "source": problem.source,
        "mend": mend_of(problem.hint),
        "text": str(problem),
    }


def finding_member(finding: Finding) -> dict[str, Any]:
    """What was found about a curve, as JSON has it."""
    return {
        "name": finding.name,
        "step": finding.step,
        "severity": finding.severity,
        "text": finding.text,
        "hint": finding.hint,
        "mend": mend_of(finding.hint),
    }


def refusal(refused: Refused, **members: Any) -> ServiceError:
    """A 422 with every reason of a refusal."""
    return ServiceError(
        422, str(refused), [problem_member(one) for one in refused.problems], **members
    )


async def answer_error(request: Request, error: Exception) -> JSONResponse:
    """The answer to an exception of a handler."""
    match error:
        case ServiceError():
            return error.response()
        case Refused():
            return refusal(error).response()
        case RequestValidationError():
            problems = [
                request_problem(".".join(map(str, one["loc"])), None, one["msg"])
                for one in error.errors()
            ]
            return ServiceError(422, "the request is not understood", problems).response()
        case HTTPException():
            return ServiceError(error.status_code, str(error.detail)).response(error.headers)
    return ServiceError(500, "the server made a mistake; its log has more").response()
