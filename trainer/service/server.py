"""The process that serves: its sockets, and its end."""

from __future__ import annotations

import asyncio
import asyncio.constants
import errno
import logging
import os
import resource
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from schedules.declaration import refuse

from ..runs.known_secrets import veil
from .running_service import RunningService

DEFAULT_PORT = 8321
HEADER_SECONDS = 15.0
"""How long a connection may stay silent before its first request."""
ENDING_SECONDS = 3
MAX_CONNECTIONS = 2000
MAX_HEADER_BYTES = 2**16


class ImpatientProtocol(H11Protocol):
    """Closes connections on which no whole request comes, which uvicorn would keep for ever."""

    _silence: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > MAX_CONNECTIONS:
            transport.close()
        else:
            self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._silence and self._is_answering():
            self._silence.cancel()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._silence:
            self._silence.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._silence:
            self._silence.cancel()
        self._silence = self.loop.call_later(HEADER_SECONDS, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if not self._is_answering() and not self.transport.is_closing():
            self.transport.close()

    def _is_answering(self) -> bool:
        cycle = getattr(self, "cycle", None)
        return cycle is not None and not cycle.response_complete


class Server(uvicorn.Server):
    """uvicorn, with streams that end when it is asked to."""

    def __init__(
        self,
        service: RunningService,
        app: Any,
        listening: Callable[[], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`listening` is called once connections are taken, which are encrypted by `tls`."""
        self._service = service
        self._listening = listening
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=ImpatientProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,  # addresses have words of links in them
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=ENDING_SECONDS,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
        config.load()
        config.ssl = tls
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ends by SIGINT and SIGTERM; uvicorn would then raise them again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # Whoever connects and says nothing would have a minute, and uvicorn has no option for it.
        asyncio.constants.SSL_HANDSHAKE_TIMEOUT = HEADER_SECONDS
        await super().startup(sockets)
        if self.started:
            self._listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._service.hub.close()
        await super().shutdown(sockets)


def listen_on_port(port: int | None, host: str = "127.0.0.1") -> socket.socket:
    """A socket of an address; without a number, the usual port or any free one.

    Raises:
        Refused: when another process has the port, or the address is none of this machine.
    """
    # Named as TCP, or asyncio would leave Nagle's algorithm on: each answer would take 40 ms more.
    kind, protocol = socket.SOCK_STREAM, socket.IPPROTO_TCP
    try:
        family, *_ = socket.getaddrinfo(host, 0, 0, kind, protocol)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        rule = f"can't be listened on: {error.strerror or error}"
        raise refuse("--host", host, rule, "an address of this machine") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for number in (DEFAULT_PORT, 0) if port is None else (port,):
        try:
            listener.bind((host, number))
        except (OSError, OverflowError) as error:
            if port is None and number:
                continue
            listener.close()
            rule = f"can't be listened on: {getattr(error, 'strerror', None) or error}"
            if getattr(error, "errno", None) == errno.EADDRNOTAVAIL:
                raise refuse("--host", host, rule, "an address of this machine") from None
            raise refuse("--port", number, rule, "--port 0 takes a free one") from None
        break
    listener.listen(1024)
    return listener


def listen_on_path(path: Path) -> socket.socket:
    """A Unix socket that only its owner may connect to; it takes the place of a dead server's.

    Raises:
        Refused: when another server has it, or the path can't be.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        if path.is_socket():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
                if other.connect_ex(str(path)) == 0:
                    raise refuse("--uds", str(path), "is another server's", "choose another path")
            path.unlink()
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        rule = f"can't be listened on: {error.strerror or error}"
        raise refuse("--uds", str(path), rule, "choose another path") from None
    finally:
        os.umask(mask)
    listener.listen(1024)
    return listener


def serve(server: Server, listener: socket.socket) -> None:
    """Serves until a signal ends it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # each connection takes a descriptor
        wanted = 2 * MAX_CONNECTIONS + 512
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_veiled)
    server.run(sockets=[listener])


def _veiled(record: logging.LogRecord) -> bool:
    """Takes the secrets out of what is logged."""
    record.msg, record.args = veil(record.getMessage()), ()
    return True
