"""A server that others reach: TLS of its own, or of a proxy, and what is refused without."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers.certificates import self_made
from tests.helpers.served import TOKEN, Served, make_run, rows, served
from trainer.client import Client, ClientError
from trainer.serve import main
from trainer.service import server
from trainer.service.address import tell_address
from trainer.service.exposure import Exposure
from trainer.service.state_folder import state_folder, write_private

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_made(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def encrypted(
    files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A service with a certificate of its own, on loopback."""
    folder = tmp_path_factory.mktemp("encrypted")
    make_run(folder / "runs/a", rows(5))
    exposure = Exposure("127.0.0.1", ("gpu.example",), "", *files)
    before, server.HEADER_SECONDS = server.HEADER_SECONDS, 0.5
    try:
        with served(folder / "runs", folder / "state", exposure=exposure) as found:
            yield found
    finally:
        server.HEADER_SECONDS = before


def test_a_browser_comes_by_https_with_a_cookie_that_is_never_sent_in_the_clear(
    encrypted: Served, files: tuple[Path, Path]
) -> None:
    trust = ssl.create_default_context(cafile=str(files[0]))
    link = f"/?link={encrypted.service.tokens.new_link()}"
    with httpx.Client(verify=trust, base_url=f"https://127.0.0.1:{encrypted.port}") as browser:
        headers = {"Host": "gpu.example"}
        answer = browser.get(link, headers=headers, extensions={"sni_hostname": "gpu.example"})
    assert answer.status_code == 303
    attributes = answer.headers["set-cookie"].split("; ")[1:]
    assert set(attributes) == {"HttpOnly", "SameSite=Strict", "Secure"}


def test_a_cookie_is_sent_to_no_path_beside_that_of_the_page(tmp_path: Path) -> None:
    """Below a path of a proxy's there are other pages beside it."""
    (tmp_path / "runs").mkdir()
    with served(tmp_path / "runs", tmp_path / "state") as found:
        answer = found.stranger.get(f"/?link={found.service.tokens.new_link()}")
    assert "Path" not in answer.headers["set-cookie"]  # a browser takes the folder of the page
    assert answer.headers["location"] == "./"


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03"])
def test_who_does_not_encrypt_is_told_nothing_and_not_waited_for(
    sent: bytes, encrypted: Served
) -> None:
    with socket.create_connection(("127.0.0.1", encrypted.port), timeout=20) as connection:
        connection.sendall(sent)
        received = b""
        try:
            while part := connection.recv(2**16):
                received += part
        except ConnectionResetError:
            pass
    assert b"HTTP" not in received


def test_old_versions_of_tls_are_not_spoken(encrypted: Served) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", encrypted.port), timeout=20) as connection,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        context.wrap_socket(connection)


def test_the_client_trusts_the_very_certificate_and_no_other(
    encrypted: Served, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    write_private(state_folder() / "token", TOKEN)
    root = encrypted.service.root
    exposure = Exposure("127.0.0.1", ("gpu.example",), "", *files)
    tell_address(state_folder(), root, exposure.address(encrypted.port))
    client = Client(root)
    assert client.health()["root"] == str(root)
    assert client.link().startswith(f"https://127.0.0.1:{encrypted.port}/?link=")
    other, _ = self_made(tmp_path, "other")
    tell_address(state_folder(), root, {"port": encrypted.port, "certificate": str(other)})
    with pytest.raises(ClientError, match="certificate verify failed"):
        Client(root).health()


PROXY = "https://gpu.example/trainer/"


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("proxied")
    (folder / "runs").mkdir()
    exposure = Exposure(proxy=PROXY)
    with served(folder / "runs", folder / "state", exposure=exposure) as found:
        yield found


@pytest.mark.parametrize("host", ["gpu.example", "GPU.example:443", "127.0.0.1:8321"])
def test_pages_of_the_proxy_are_own_whatever_host_it_passes_on(host: str, proxied: Served) -> None:
    headers = {"Host": host, "Origin": "https://gpu.example", "Sec-Fetch-Site": "same-origin"}
    answer = proxied.stranger.get("/api/v1/health", headers={**BEARER, **headers})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://gpu.example.evil.example"},
        {"Origin": "https://gpu.example:444"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Host": "evil.example", "Origin": "https://gpu.example"},
        {"X-Forwarded-Host": "gpu.example", "Host": "evil.example"},
    ],
)
def test_nothing_else_passes_for_a_page_of_the_proxy(
    headers: dict[str, str], proxied: Served
) -> None:
    answer = proxied.stranger.get("/api/v1/health", headers={**BEARER, **headers})
    assert answer.status_code in (403, 421)


def test_a_link_is_that_of_the_proxy_and_its_cookie_secure(proxied: Served) -> None:
    link = proxied.client.post("/links", json={}).json()["address"]
    assert link.startswith(f"{PROXY}?link=")
    answer = proxied.stranger.get(f"/?{link.partition('?')[2]}")
    assert answer.headers["set-cookie"].endswith("; Secure")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "--tls-cert FILE --tls-key FILE, or --behind-proxy https://NAME/"),
        (["--host", "::"], "is reached by others"),
        (["--host", ""], "is reached by others"),
        (["--host", "0.0.0.0", "--trust-host", "x"], "is reached by others"),
        (["--host", "0.0.0.0", "--tls-cert", "CERT", "--tls-key", "KEY"], "hint: --trust-host "),
        (["--host", "203.0.113.7", "--tls-cert", "CERT", "--tls-key", "KEY"], "of this machine"),
        (["--behind-proxy", "http://gpu.example/"], "with https"),
        (["--behind-proxy", "gpu.example"], "with https"),
        (["--tls-key", "KEY"], "hint: --tls-cert FILE"),
        (["--tls-cert", "CERT"], "is no certificate with its key"),
        (["--tls-cert", "CERT", "--tls-key", "OTHER"], "is no certificate with its key"),
        (["--tls-cert", "/nowhere", "--tls-key", "KEY"], "--tls-cert = '/nowhere'"),
        (["--tls-cert", "CERT", "--tls-key", "/nowhere"], "--tls-key = '/nowhere'"),
        (["--tls-cert", "CERT", "--tls-key", "OPEN"], "hint: chmod 600 "),
        (["--tls-cert", "CERT", "--tls-key", "LOCKED"], "hint: openssl pkey -in "),
        (["--uds", "x", "--tls-cert", "CERT"], "is on this machine alone"),
        (["--uds", "x", "--host", "0.0.0.0"], "is on this machine alone"),
    ],
)
def test_a_server_that_others_could_read_along_with_does_not_start(
    options: list[str], words: str, files: tuple[Path, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    certificate, key = files
    there = {"CERT": certificate, "KEY": key}
    if "OTHER" in options:
        there["OTHER"] = self_made(tmp_path)[1]
    if "OPEN" in options:
        there["OPEN"] = Path(shutil.copy(key, tmp_path / "open.key"))
        there["OPEN"].chmod(0o644)
    if "LOCKED" in options:
        there["LOCKED"] = tmp_path / "locked.key"
        lock = ["openssl", "pkey", "-in", str(key), "-aes128", "-passout", "pass:word", "-out"]
        subprocess.run([*lock, str(there["LOCKED"])], check=True)
        there["LOCKED"].chmod(0o600)
    named = [str(there.get(option, option)) for option in options]
    assert main([str(tmp_path), *(["--port", "0"] if "--uds" not in options else []), *named]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("given", "host", "link"),
    [
        ({}, "127.0.0.1", "http://127.0.0.1:5/?link=w"),
        ({"host": "::1"}, "[::1]", "http://[::1]:5/?link=w"),
        ({"host": "10.0.0.7", "certificate": "c"}, "10.0.0.7", "https://10.0.0.7:5/?link=w"),
        (
            {"host": "0.0.0.0", "certificate": "c", "names": ("gpu",)},
            "gpu",
            "https://gpu:5/?link=w",
        ),
        ({"proxy": "https://hub.example/t"}, "hub.example", "https://hub.example/t/?link=w"),
    ],
)
def test_a_link_names_a_host_that_is_let_in(given: dict[str, Any], host: str, link: str) -> None:
    exposure = Exposure(**given)
    exposure.check()
    assert exposure.link(5, "/?link=w") == link
    assert host in exposure.hosts
    assert "evil.example" not in exposure.hosts
