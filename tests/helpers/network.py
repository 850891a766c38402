"""A machine without a network: whatever looks up or reaches more than itself is noted and fails."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest


def cut(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Cuts this process off; gives the list of hosts that are asked for from here on."""
    asked: list[str] = []

    def check(host: Any) -> None:
        name = host.decode() if isinstance(host, bytes) else host
        try:
            is_local = name in (None, "", "localhost") or ipaddress.ip_address(name).is_loopback
        except ValueError:
            is_local = False
        if not is_local:
            asked.append(str(name))
            raise OSError(f"no network here, and {name} was asked for")

    def guarded(function: Any) -> Any:
        def look_up(host: Any, *more: Any, **named: Any) -> Any:
            check(host)
            return function(host, *more, **named)

        return look_up

    class Guarded(socket.socket):
        def connect(self, address: Any) -> None:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                check(address[0])
            super().connect(address)

        def connect_ex(self, address: Any) -> int:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                check(address[0])
            return super().connect_ex(address)

    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        monkeypatch.setattr(socket, name, guarded(getattr(socket, name)))
    monkeypatch.setattr(socket, "socket", Guarded)
    return asked
