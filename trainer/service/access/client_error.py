"""What a service has answered instead of what was asked for, as one exception."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self

from schedules.declaration import ABSENT, Problem


class ClientError(Exception):
    """An answer that is an error, or that there is no answer; the message is for people.

    `problems` has each thing that is wrong with the request, by its path, with rule and hint.
    """

    def __init__(
        self,
        message: str,
        status: int = 0,
        problems: tuple[Problem, ...] = (),
        members: Mapping[str, Any] | None = None,
    ) -> None:
        self.status = status
        """That of HTTP; 0 where nothing was answered."""
        self.problems = problems
        self.members = dict(members or {})
        """All that the answer holds; `code` names what a program may want to tell apart."""
        super().__init__(message)

    @classmethod
    def of(cls, status: int, reason: str, content: bytes) -> Self:
        """The error in an answer's body, which may be that of a proxy.

        >>> print(ClientError.of(422, "", b'{"problems": [{"path": "a", "rule": "is none"}]}'))
        a: is none
        >>> print(ClientError.of(502, "Bad Gateway", b"<html>"))
        502 Bad Gateway
        """
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return cls(f"{status} {reason}", status)
        members = body.get("problems") or ()
        problems = tuple(map(_problem, members))
        text = str(body.get("detail") or body.get("title") or f"{status} {reason}")
        pairs = zip(members, problems, strict=True)
        texts = [member.get("text") or str(problem) for member, problem in pairs]
        if texts:
            text = "\n".join(texts)
        return cls(text, status, problems, body)


def _problem(member: Mapping[str, Any]) -> Problem:
    value = member.get("value")
    texts = (str(member.get(name) or "") for name in ("rule", "hint", "source"))
    return Problem(str(member.get("path", "")), ABSENT if value is None else value, *texts)
