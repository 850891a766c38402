"""By which addresses a server is reached, and what keeps others from reading along."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from schedules.declaration import Refused, refuse

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""The hosts by which a browser on this machine may name the server."""


@dataclass(frozen=True)
class Exposure:
    """Loopback; or any address, behind TLS of its own or of a proxy."""

    host: str = "127.0.0.1"
    """The address that is listened on."""
    names: tuple[str, ...] = ()
    """The names by which users know the server, besides those of loopback."""
    proxy: str = ""
    """The address under which a proxy has the server, `https://gpu.example/trainer/`; "" for none.
    """
    certificate: Path | None = None
    """The file with the certificate of the server and those that vouch for it."""
    key: Path | None = None
    """The file with its key; none where that is in the file of the certificate."""

    def check(self) -> None:
        """Whether nobody beyond this machine reads along.

        Raises:
            Refused: with a problem for what is missing.
        """
        if self.proxy:
            parts = urlsplit(self.proxy)
            if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
                rule = "must be the address, with https, that users of the proxy type"
                raise refuse("--behind-proxy", self.proxy, rule, "--behind-proxy https://NAME/")
        if self.key and not self.certificate:
            raise refuse("--tls-key", str(self.key), "is of no use alone", "--tls-cert FILE")
        if self.is_beyond_loopback and not self.is_encrypted:
            rule = "is reached by others, who could read the token and what runs have written"
            hint = (
                "--tls-cert FILE --tls-key FILE, or --behind-proxy https://NAME/; "
                "or leave it out and forward the port by ssh -L"
            )
            raise refuse("--host", self.host, rule, hint)
        if self.is_beyond_loopback and not (self.names or self.proxy or self._own_name):
            rule = "has no name, and browsers are let in by the names that are known"
            raise refuse("--host", self.host, rule, f"--trust-host {socket.gethostname()}")

    @property
    def is_encrypted(self) -> bool:
        """Whether browsers come by https."""
        return bool(self.certificate or self.proxy)

    @property
    def is_beyond_loopback(self) -> bool:
        """Whether other machines reach what is listened on."""
        return not is_loopback(self.host)

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts that a request may be meant for, in lower case and without a port."""
        proxy = urlsplit(self.proxy).hostname or ""
        known = (*LOOPBACK, *self.names, self._own_name, bracketed(proxy))
        return frozenset(name.lower() for name in known if name)

    @property
    def origin(self) -> str:
        """The origin of pages that come through the proxy; "" without one."""
        parts = urlsplit(self.proxy)
        return f"{parts.scheme}://{parts.netloc}".lower() if self.proxy else ""

    def address(self, port: int) -> dict[str, Any]:
        """Where commands of the same user find the server."""
        certificate = {"certificate": str(self.certificate)} if self.certificate else {}
        host = {"host": self._own_name} if self.is_beyond_loopback and self._own_name else {}
        return {"port": port, **host, **certificate}

    def link(self, port: int, path: str) -> str:
        """The address of a path for users; the path alone for a socket, whose port is 0."""
        if self.proxy:
            return f"{self.proxy.rstrip('/')}{path}"
        if not port:
            return path
        name = (self.names or ("",))[0] if self.is_beyond_loopback else ""
        scheme = "https" if self.certificate else "http"
        return f"{scheme}://{name or self._own_name or LOOPBACK[0]}:{port}{path}"

    def tls(self) -> ssl.SSLContext | None:
        """What connections are encrypted by; None without a certificate.

        Raises:
            Refused: when certificate and key can't be used, or others can read the key.
        """
        if not self.certificate:
            return None
        option, file = ("--tls-key", self.key) if self.key else ("--tls-cert", self.certificate)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            self.certificate.stat(), file.stat()  # these name the file that is missing
            context.load_cert_chain(self.certificate, self.key, _no_password(option, file))
            if file.stat().st_mode & 0o007:
                raise refuse(option, str(file), "has a key that all may use", f"chmod 600 {file}")
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).replace("_", " ").lower()
            rule = f"is no certificate with its key: {reason}"
            raise refuse("--tls-cert", str(self.certificate), rule, "both as PEM") from None
        except OSError as error:
            rule = f"can't be read: {error.strerror}"
            wrong = "--tls-cert" if error.filename == str(self.certificate) else option
            raise refuse(wrong, str(error.filename or file), rule) from None
        return context

    @property
    def _own_name(self) -> str:
        """The address that is listened on, as a browser writes it; "" where that is any."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return self.host
        return "" if address.is_unspecified else bracketed(self.host)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("gpu")
    (True, True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bracketed(host: str) -> str:
    """A host as addresses have it.

    >>> bracketed("::1"), bracketed("gpu.example")
    ('[::1]', 'gpu.example')
    """
    return f"[{host}]" if ":" in host else host


def _no_password(option: str, file: Path) -> Any:
    def refusing() -> str:
        raise _encrypted(option, file)

    return refusing


def _encrypted(option: str, file: Path) -> Refused:
    rule = "is locked by a password, which nobody could type at a restart"
    return refuse(option, str(file), rule, f"openssl pkey -in {file} -out OTHER")
