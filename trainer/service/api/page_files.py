"""The page: its files from memory, zipped once, at addresses that a browser may keep for good.

The document names its files below `v/VERSION/`, and modules name each other relative to themselves.
So a browser asks once for each file of a version, and at once for those of another.
"""

from __future__ import annotations

import gzip
import re
from email.utils import formatdate
from hashlib import sha256
from mimetypes import guess_type
from pathlib import Path
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

DOCUMENT = "index.html"
ZIPPED_BYTES = 500
"""From how many bytes on a file is sent zipped; none of them has secrets."""
VERSIONS = "v/"
_NAMED = re.compile(rb'(?<=(?:src|ref)=")[^":]+')
"""What the document names: files of the page, and the contract of the API."""
REVALIDATED = "no-cache"
KEPT = "private, max-age=31536000, immutable"


class _Sent(NamedTuple):
    """A file as it is sent."""

    content: bytes
    zipped: bytes
    tag: str
    changed: str


class PageFiles:
    """The files below a folder that a page consists of."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, tuple[tuple[int, int], _Sent]] = {}
        self._version = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers GET and HEAD.

        Raises:
            HTTPException: a 405 for other methods, a 404 where there is no such file.
        """
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        place = scope["path"].removeprefix("/") or DOCUMENT
        answer = self._answer(place, Headers(scope=scope))
        await answer(scope, receive, send)

    def _answer(self, place: str, asked: Headers) -> Response:
        named = ""
        if place.startswith(VERSIONS):
            named, _, place = place.removeprefix(VERSIONS).partition("/")
        is_document = place == DOCUMENT
        if is_document or not self._version:
            self._version = self._present_version()
        sent = self._sent(place)
        tag = f'"{self._version}"' if is_document else sent.tag
        # Of another version is what a page asks for that was opened before an upgrade.
        is_kept = named == self._version and not is_document
        headers = {
            "Cache-Control": KEPT if is_kept else REVALIDATED,
            "ETag": tag,
            "Last-Modified": sent.changed,
            "Vary": "Accept-Encoding",
        }
        if tag in (one.strip() for one in asked.get("if-none-match", "").split(",")):
            return Response(status_code=304, headers=headers)
        content, zipped = sent.content, sent.zipped
        if is_document:
            content, zipped = self._versioned(content), b""
        if zipped and "gzip" in asked.get("accept-encoding", ""):
            content = zipped
            headers["Content-Encoding"] = "gzip"
        return Response(content, headers=headers, media_type=guess_type(place)[0])

    def _present_version(self) -> str:
        """A word that is another one whenever any file is."""
        found = []
        for path in sorted(self._folder.rglob("*")):
            status = path.stat()
            found.append((path.name, status.st_size, status.st_mtime_ns))
        return sha256(repr(found).encode()).hexdigest()[:12]

    def _sent(self, place: str) -> _Sent:
        path = self._folder.joinpath(*place.split("/"))
        names = place.split("/")
        if ".." in names or "" in names or not path.is_file():
            raise HTTPException(404)
        status = path.stat()
        state = status.st_size, status.st_mtime_ns
        known = self._read.get(path)
        if known and known[0] == state:
            return known[1]
        content = path.read_bytes()
        zipped = gzip.compress(content) if len(content) >= ZIPPED_BYTES else b""
        tag = f'"{sha256(content).hexdigest()[:24]}"'
        sent = _Sent(content, zipped, tag, formatdate(status.st_mtime, usegmt=True))
        self._read[path] = state, sent
        return sent

    def _versioned(self, document: bytes) -> bytes:
        """The document with its files at the places of the present version."""

        def placed(found: re.Match[bytes]) -> bytes:
            is_file = (self._folder / found[0].decode()).is_file()
            return f"{VERSIONS}{self._version}/".encode() * is_file + found[0]

        return _NAMED.sub(placed, document)
