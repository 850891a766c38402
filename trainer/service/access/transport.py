"""Requests to a service, each on a connection of its own, sent again where that does no harm."""

from __future__ import annotations

import http.client
import json
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

from ..state_folder import read_private, state_folder
from ..tokens import FILE
from .client_error import ClientError
from .event_stream import Event, read_events
from .place import Place, no_server

PREFIX = "/api/v1"
PAUSES = (0.1, 0.5, 2.0)
"""How many seconds pass before a request is sent once more whose answer was lost."""
PING_SECONDS = 40.0
"""After how long a stream that says nothing is taken to be broken: the server says something each
15 s."""

Answer = dict[str, Any]
"""A body of JSON, as `/openapi.json` describes it."""


def new_key() -> str:
    """An `Idempotency-Key` that no other request has."""
    return str(uuid.uuid4())


class Transport:
    """Asks one service, wherever `find` says that it is."""

    def __init__(self, find: Callable[[], Place], token: str, seconds: float) -> None:
        """`token` is that of this user where it is ""."""
        self._find = find
        self._token = token
        self.seconds = seconds
        self.patience = 0.0
        """For how many seconds a server that is away is asked again."""
        self.place = find()

    def get(self, path: str, more: Mapping[str, Any] | None = None, **query: Any) -> Answer:
        """A body; of the query, what is None is left out."""
        given = {**(more or {}), **query}
        words = {name: value for name, value in given.items() if value is not None}
        return self.json("GET", f"{path}?{urlencode(words)}" if words else path)

    def post(self, path: str, body: Mapping[str, Any] | None = None, **how: Any) -> Answer:
        """A body; see `asked`."""
        return self.json("POST", path, body or {}, **how)

    def json(
        self, method: str, path: str, body: Mapping[str, Any] | bytes | None = None, **how: Any
    ) -> Answer:
        """A body; see `asked`."""
        with closing(self.asked(method, path, body, **how)) as answer:
            try:
                found = json.loads(answer.read() or b"{}")
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise ClientError(f"{self.place}: what it answered is cut off: {error}") from None
        return found if isinstance(found, dict) else {"answer": found}

    def asked(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None = None,
        *,
        key: str = "",
        is_repeatable: bool = False,
        seconds: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        """The answer to a request; it is repeated where it has a key or changes nothing twice.

        Raises:
            ClientError: when it is an error, or none comes.
        """
        headers = {**(headers or {}), **({"Idempotency-Key": key} if key else {})}
        pauses = list(PAUSES if key or is_repeatable or method == "GET" else ())
        was_sent, begun = False, time.monotonic()
        while True:
            try:
                return self._send(method, PREFIX + path, headers, body, seconds)
            except (ConnectionRefusedError, FileNotFoundError) as error:
                if time.monotonic() - begun < self.patience:
                    pauses.insert(0, PAUSES[1])
                elif not (was_sent and pauses):
                    raise self._away(error) from None
            except (OSError, http.client.HTTPException) as error:
                was_sent = True
                if not pauses or isinstance(error, ssl.SSLCertVerificationError):
                    raise self._away(error) from None
            time.sleep(pauses.pop(0))
            self._look_again()

    def events(self, topics: str, last_id: str, patience: float) -> Iterator[Event]:
        """The events of a stream, which is opened again where it breaks.

        Raises:
            ClientError: when the server is away for longer than `patience` in seconds.
        """
        query = urlencode({"topics": topics})
        lost = time.monotonic()
        while True:
            headers = {"Last-Event-ID": last_id} if last_id else {}
            try:
                answer = self._send("GET", f"{PREFIX}/events?{query}", headers, None, PING_SECONDS)
                with closing(answer):
                    for event in read_events(answer):
                        last_id = event.id or last_id
                        yield event
                        lost = time.monotonic()
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() - lost > patience:
                    raise self._away(error) from None
            time.sleep(PAUSES[0])
            self._look_again()

    def _send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Mapping[str, Any] | bytes | None = None,
        seconds: float | None = None,
    ) -> http.client.HTTPResponse:
        place = self.place
        connection = place.connection(seconds or self.seconds)
        token = self._token or read_private(state_folder() / FILE)
        content = json.dumps(body).encode() if isinstance(body, Mapping) else body
        try:
            connection.request(method, place.prefix + path, content, {
                "Authorization": f"Bearer {token}",
                "Connection": "close",
                "Host": "localhost" if place.is_own else place.netloc,
                **({"Content-Type": "application/json"} if method != "GET" else {}),
                **headers,
            })  # fmt: skip
            answer = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        if answer.status >= 300:
            with closing(answer):
                raise ClientError.of(answer.status, answer.reason, answer.read())
        return answer

    def _look_again(self) -> None:
        """A server that was started anew may listen elsewhere."""
        self.place = self._find()

    def _away(self, error: Exception) -> Exception:
        if self.place.root and isinstance(error, ConnectionRefusedError | FileNotFoundError):
            return no_server(self.place.root)
        return ClientError(f"{self.place}: no answer: {error}")
