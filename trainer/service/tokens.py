"""Who may ask: the bearer of the user's token, or a browser that has come by a link of one use."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Self

from .state_folder import read_private, write_private

FILE = "token"
BYTES = 32
MAX_LINKS = 100
"""How many links may wait to be used; the oldest is forgotten."""


class Tokens:
    """The user's token, what a browser's cookie has in its place, and the links that wait.

    A cookie is derived from the token by HMAC, so that it outlives the server, does not reveal the
    token, and ends with it: whoever removes the file locks everybody out.
    """

    def __init__(self, token: str, port: int) -> None:
        self._token = token
        self._links: dict[str, None] = {}
        self.port = port
        """The port of the server; 0 for a socket."""
        self.cookie_name = f"trainer-{port}"
        """Browsers don't tell ports apart: two servers on one host need two names."""
        self.cookie = hmac.new(token.encode(), b"cookie", hashlib.sha256).hexdigest()

    @classmethod
    def in_folder(cls, folder: Path, port: int) -> Self:
        """The token in a file of the folder, which is made at the first start.

        Raises:
            Refused: when others can read the file.
            OSError: when the disk refuses.
        """
        token = read_private(folder / FILE)
        if not token:
            token = secrets.token_urlsafe(BYTES)
            write_private(folder / FILE, token)
        return cls(token, port)

    def new_link(self) -> str:
        """A word that lets one browser in, once."""
        word = secrets.token_urlsafe(BYTES)
        self._links[word] = None
        for oldest in list(self._links)[:-MAX_LINKS]:
            del self._links[oldest]
        return word

    def use_link(self, word: str) -> bool:
        """Whether the word of a link lets a browser in; it does so only once."""
        known = [link for link in self._links if _same(word, link)]
        for link in known:
            del self._links[link]
        return bool(known)

    def admits(self, authorization: str, cookies: str) -> bool:
        """Whether the headers of a request, `Authorization` and `Cookie`, are those of a user."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and _same(token.strip(), self._token):
            return True
        values = (part.strip().partition("=") for part in cookies.split(";"))
        return any(name == self.cookie_name and _same(value, self.cookie)
                   for name, _, value in values)  # fmt: skip


def _same(one: str, other: str) -> bool:
    """Whether two texts are the same, in a time that does not tell how far they are."""
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())
