"""Where a service is, and connections to it that send its token to nobody else."""

from __future__ import annotations

import os
import shlex
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from schedules.declaration import Refused, refuse

from ..address import told_address
from ..exposure import bracketed, is_loopback
from ..state_folder import state_folder
from .client_error import ClientError

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


@dataclass(frozen=True)
class Place:
    """A port of a host, or a Unix socket."""

    host: str = "127.0.0.1"
    port: int = 0
    uds: str = ""
    """The path of the socket; "" for a port."""
    prefix: str = ""
    """The path below which a proxy has the service: `/trainer`."""
    is_encrypted: bool = False
    certificate: str = ""
    """A file of certificates that are trusted; "" for those that the system trusts."""
    is_own: bool = True
    """Whether it must be a process of the same user that listens, or has the pinned certificate."""
    root: str = ""
    """The folder whose server has told the place; "" where somebody has given it."""

    @classmethod
    def of_url(cls, url: str, certificate: str = "", *, is_own: bool = False) -> Self:
        """The place in an address such as `http://127.0.0.1:8321` or `https://gpu.example/trainer`.

        Raises:
            Refused: when it is none, or would have the token sent for all to read.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if host is None or parts.scheme not in ("http", "https"):
            raise refuse("url", url, "is no address of a service", "http://127.0.0.1:8321")
        is_encrypted = parts.scheme == "https"
        if not is_encrypted and not is_loopback(host):
            rule = "would send the token for all to read"
            raise refuse("url", url, rule, f"https://{parts.netloc}{parts.path}")
        return cls(
            host,
            port or (443 if is_encrypted else 80),
            prefix=parts.path.rstrip("/"),
            is_encrypted=is_encrypted,
            certificate=certificate,
            is_own=is_own,
        )

    @classmethod
    def of_address(cls, address: Mapping[str, Any]) -> Self:
        """The place that a server has told in its file."""
        certificate = str(address.get("certificate", ""))
        return cls(
            str(address.get("host", "127.0.0.1")),
            int(address.get("port", 0)),
            str(address.get("uds", "")),
            is_encrypted=bool(certificate),
            certificate=certificate,
        )

    @classmethod
    def of_root(cls, root: Path) -> Self:
        """The place that the server of a root has told.

        Raises:
            Refused: when none has.
        """
        address = told_address(state_folder(), root)
        if address is None:
            raise no_server(str(root))
        return replace(cls.of_address(address), root=str(root))

    def __str__(self) -> str:
        if self.uds:
            return self.uds
        scheme = "https" if self.is_encrypted else "http"
        return f"{scheme}://{self.netloc}{self.prefix}"

    @property
    def netloc(self) -> str:
        """Host and port as addresses have them."""
        if self.uds:
            return "localhost"
        return f"{bracketed(self.host)}:{self.port}"

    def connection(self, seconds: float) -> HTTPConnection:
        """An open connection, on which every answer may take so many seconds.

        Raises:
            OSError: when nobody listens there.
            ClientError: when it is another user who does.
        """
        if self.uds:
            connection: HTTPConnection = _SocketConnection(self.uds, seconds)
        elif self.is_encrypted:
            context = self._tls()
            connection = HTTPSConnection(self.host, self.port, timeout=seconds, context=context)
        else:
            connection = HTTPConnection(self.host, self.port, timeout=seconds)
        connection.connect()
        if self.is_own and not self.is_encrypted and not self._is_listened_on_by_user():
            connection.close()
            raise ClientError(f"{self}: is another user's; the token was not sent there")
        return connection

    def _tls(self) -> ssl.SSLContext:
        if not (self.is_own and self.certificate):
            return ssl.create_default_context(cafile=self.certificate or None)
        # That very certificate, whatever names it has: another of its chain may be anybody's.
        text = Path(self.certificate).read_text(encoding="ascii")
        own = text[text.index(_BEGIN) : text.index(_END) + len(_END)]
        context = ssl.create_default_context(cadata=own)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.check_hostname = False
        return context

    def _is_listened_on_by_user(self) -> bool:
        """Whether no other user is known to have the socket: a file may tell of a dead server."""
        if self.uds:
            return Path(self.uds).lstat().st_uid == os.getuid()
        return all(user == os.getuid() for user in _listeners(self.port))


def no_server(root: str) -> Refused:
    """What is told of a root that nobody serves, or that can't be served."""
    if not Path(root).is_dir():
        return no_folder(root)
    return refuse("ROOT", root, "has no server", f"python -m trainer.serve {shlex.quote(root)}")


def no_folder(root: str) -> Refused:
    """What is told of a root that is not there."""
    return refuse("ROOT", root, "is no folder", "the folder that runs are in")


class _SocketConnection(HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(self.timeout)
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise


def _listeners(port: int) -> list[int]:
    """The users who listen on a port, as Linux tells."""
    found = []
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            is_listening = fields[3] == "0A"
            if is_listening and int(fields[1].rpartition(":")[2], 16) == port:
                found.append(int(fields[7]))
    return found
