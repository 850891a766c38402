"""The one gate before every path and method: who asks, from where, and how much is sent.

A page of any other site can have the browser ask this server, on loopback too; a name that leads to
127.0.0.1 makes it the same site ("DNS rebinding"); and on a shared machine any user reaches the
port. So everything is refused that is not let in here, whatever the router knows.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .exposure import Exposure
from .problems import ServiceError
from .tokens import Tokens

MAX_BODY_BYTES = 2**20
BODY_SECONDS = 10.0
"""How long a request may take to send its body."""
UPLOADS = {
    "text/csv": ".csv",
    "application/octet-stream": "",
    "image/png": ".png",
    "image/jpeg": ".jpg",
}
"""The kinds of files of which predictions are asked, with their ends; no other site's page may send
them unasked. Of bytes without a kind the first ones tell."""
MAX_UPLOAD_BYTES = 2**25
UPLOAD_SECONDS = 60.0
MAX_DROPPED_BYTES = 2**26
"""How much of a body that is refused is read, and forgotten: a proxy or a browser that is still
sending passes no answer on. As much as `docs/operating.md` has nginx take."""
SILENT_SECONDS = 0.5
"""After how long without more of it the sender is taken to wait for the answer."""
_UPLOAD = re.compile(r"/api/v1/runs/[0-9a-f]{16}/predictions")
LINK = "link"
"""The parameter of `/` in which a link has its word."""
NO_LINK = """\
This page is for whoever has started the server. For a link that opens it, type on its machine:

  python -m trainer.serve --link
"""
SAFE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""What every answer has that does not say it otherwise."""
SANDBOX = {**SAFE_HEADERS, "Content-Security-Policy": "default-src 'none'; sandbox"}
"""The same for files of runs, which may hold pages and scripts of anybody."""


class Gate:
    """Lets in who may ask, and gives every answer its headers."""

    def __init__(self, app: ASGIApp, tokens: Tokens, exposure: Exposure) -> None:
        self._app = app
        self._tokens = tokens
        self._exposure = exposure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # a WebSocket: there are none
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        incoming = _Incoming(scope, receive)
        try:
            answer = self._answer_of_the_gate(scope)
            if answer is None:
                most, seconds = MAX_BODY_BYTES, BODY_SECONDS
                if _is_upload(scope):
                    most, seconds = MAX_UPLOAD_BYTES, UPLOAD_SECONDS
                body = await incoming.whole(most, seconds)
                await self._app(scope, _once(body, receive), send_safely)
                return
        except ServiceError as error:
            await incoming.drop()
            answer = error.response({"Connection": "close"})
        await answer(scope, receive, send_safely)

    def _answer_of_the_gate(self, scope: Scope) -> Response | None:
        """What is answered before anybody is let in; None where the request may go on.

        Raises:
            ServiceError: where it may not.
        """
        headers = Headers(scope=scope)
        self._check_origin(headers)
        _check_body(scope["method"], headers, _is_upload(scope))
        authorization, cookies = headers.get("authorization", ""), headers.get("cookie", "")
        is_admitted = self._tokens.admits(authorization, cookies)
        is_page = scope["path"] == "/" and scope["method"] == "GET"
        words = parse_qs(scope["query_string"].decode("latin-1")).get(LINK) if is_page else None
        if words:
            if self._tokens.use_link(words[0]):
                answer = RedirectResponse("./", 303)
                cookie = f"{self._tokens.cookie_name}={self._tokens.cookie}"
                # Without Path it is sent where the page is: below the path that a proxy has it at.
                secure = "; Secure" if self._exposure.is_encrypted else ""
                answer.headers["Set-Cookie"] = f"{cookie}; HttpOnly; SameSite=Strict{secure}"
                return answer
            return RedirectResponse("./", 303) if is_admitted else _no_link()
        if not is_admitted:
            if is_page:
                return _no_link()
            raise ServiceError(401, "needs the token: Authorization: Bearer …")
        return None

    def _check_origin(self, headers: Headers) -> None:
        """Whether the request is one of our own page, or of a program.

        Raises:
            ServiceError: where another site's page has sent it.
        """
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or _without_port(host) not in self._exposure.hosts:
            raise ServiceError(421, "this server is not known by that name; --trust-host adds one")
        origin = headers.get("origin", "").lower()
        is_own = urlsplit(origin).netloc == host.lower() or origin == self._exposure.origin
        if "origin" in headers and not is_own:
            raise ServiceError(403, "asked by a page of another site")
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            raise ServiceError(403, "asked by a page of another site")


def _without_port(host: str) -> str:
    """The name in a `Host` header.

    >>> _without_port("LocalHost:8321"), _without_port("[::1]:80"), _without_port("127.0.0.1")
    ('localhost', '[::1]', '127.0.0.1')
    """
    name, _, port = host.rpartition(":")
    return (name if name and port.isdigit() else host).lower()


def _is_upload(scope: Scope) -> bool:
    """Whether a request may have a file as its body."""
    return scope["method"] == "POST" and _UPLOAD.fullmatch(scope["path"]) is not None


def _check_body(method: str, headers: Headers, is_upload: bool) -> None:
    """Whether the announced body is one that is read.

    Raises:
        ServiceError: where it is not.
    """
    length = headers.get("content-length", "0")
    announced = "transfer-encoding" in headers or length != "0"
    most = MAX_UPLOAD_BYTES if is_upload else MAX_BODY_BYTES
    if not length.isdecimal() or int(length) > most:
        raise ServiceError(413, f"a body has at most {most >> 20} MiB")
    if method not in ("POST", "PATCH", "PUT", "DELETE"):
        if announced:
            raise ServiceError(400, f"{method} has no body")
        return
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    # A page of another site may send forms and plain text without asking, but no JSON.
    if is_upload:
        if kind not in UPLOADS:
            raise ServiceError(415, f"Content-Type must be one of {', '.join(UPLOADS)}")
    elif kind != "application/json":
        raise ServiceError(415, "Content-Type must be application/json")


class _Incoming:
    """The body of a request."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        headers = Headers(scope=scope)
        self._receive = receive
        is_empty = headers.get("content-length", "0") == "0"
        self._is_over = is_empty and "transfer-encoding" not in headers
        self._is_expected = headers.get("expect", "").lower() == "100-continue"
        """Whether none of it is sent before it is asked for."""

    async def whole(self, most: int, seconds: float) -> bytes:
        """All of it, which is small enough to be held.

        Raises:
            ServiceError: where it is not, or comes too slowly.
        """
        body = bytearray()
        self._is_expected = False
        try:
            async with asyncio.timeout(seconds):
                while not self._is_over:
                    body += await self._piece()
                    if len(body) > most:
                        raise ServiceError(413, f"a body has at most {most >> 20} MiB")
                return bytes(body)
        except TimeoutError:
            self._is_over = True
            raise ServiceError(408, f"the body took longer than {seconds:g} s") from None

    async def drop(self) -> None:
        """Reads on to its end, or to a bound, and forgets it."""
        dropped = 0
        with suppress(TimeoutError, ServiceError):
            async with asyncio.timeout(UPLOAD_SECONDS):
                while not (self._is_over or self._is_expected) and dropped < MAX_DROPPED_BYTES:
                    dropped += len(await asyncio.wait_for(self._piece(), SILENT_SECONDS))

    async def _piece(self) -> bytes:
        message = await self._receive()
        self._is_over = not message.get("more_body")
        if message["type"] == "http.disconnect":
            raise ServiceError(400, "the body ended too soon")
        piece: bytes = message.get("body", b"")
        return piece


def _once(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that was read, and then what comes after it."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_body() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_body


def _no_link() -> Response:
    return PlainTextResponse(NO_LINK, 401)


def safe_file_headers(name: str) -> Mapping[str, str]:
    """The headers with which a run's file is sent: to be saved, and never to be shown or run."""
    plain = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)
    ascii_name = plain.encode("ascii", "replace").decode().replace("?", "_")
    return {**SANDBOX, "Content-Disposition": f'attachment; filename="{ascii_name}"'}
