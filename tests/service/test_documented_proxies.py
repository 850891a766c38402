"""nginx, Caddy and systemd, as the documentation sets them up, with a real server behind them."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.helpers.certificates import self_made
from tests.helpers.served import TOKEN, Served, make_run, rows, served
from trainer.service.exposure import Exposure
from trainer.service.gate import MAX_UPLOAD_BYTES
from trainer.service.jobs.tasks import Tasks

pytestmark = pytest.mark.slow

OPERATING = Path(__file__).resolve().parents[2] / "docs/operating.md"
NAME = "gpu.example"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
NGINX = """\
daemon off; user {user}; pid {folder}/pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl; server_name gpu.example;
        ssl_certificate {certificate}; ssl_certificate_key {key};
        {snippet}
    }}
}}
"""
CADDY = "{{\n    admin off\n    auto_https disable_redirects\n}}\n{snippet}\n"
CADDY_SITE = "gpu.example:{port} {{\n    bind 127.0.0.1\n    tls {certificate} {key}"


def snippet(after: str) -> str:
    """The first block of text behind a line of the documentation."""
    found = re.search(rf"^{after}.*?^```text\n(.*?)^```", OPERATING.read_text(), re.M | re.S)
    assert found
    return found[1]


@dataclass(frozen=True)
class Proxied:
    """A server, and a client without a token that comes through the proxy before it."""

    service: Served
    client: httpx.Client
    run: Path
    origin: str


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def command(name: str, folder: Path, port: int, backend: int) -> list[str]:
    """What runs a proxy by the documented snippet, on loopback."""
    certificate, key = self_made(folder)
    places = {"folder": folder, "port": port, "certificate": certificate, "key": key,
              "user": pwd.getpwuid(os.getuid()).pw_name}  # fmt: skip
    text = snippet(name).replace("127.0.0.1:8321", f"127.0.0.1:{backend}")
    file = folder / "config"
    if name == "nginx":
        file.write_text(NGINX.format(snippet=text, **places))
        return ["nginx", "-p", str(folder), "-c", str(file), "-e", "stderr"]
    text = text.replace(f"{NAME} {{", CADDY_SITE.format(**places))
    file.write_text(CADDY.format(snippet=text))
    return ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"]


@contextmanager
def running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        for _ in range(500):
            assert process.poll() is None, (folder / "log").read_text()
            with socket.socket() as opened:
                if not opened.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module", params=["nginx", "Caddy"])
def proxied(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxied]:
    if not shutil.which(request.param.lower()):
        pytest.skip(f"needs {request.param}: apt-get install {request.param.lower()}")
    folder = tmp_path_factory.mktemp("proxied")
    run = make_run(folder / "runs/a", rows(30), None)
    port = free_port()
    origin = f"https://{NAME}:{port}"
    # Its address is beyond loopback by its words alone; what listens here is loopback.
    exposure = Exposure(host="0.0.0.0", proxy=f"{origin}/trainer/")
    exposure.check()
    with served(folder / "runs", folder / "state", exposure=exposure) as service:
        service.ids()
        trust = ssl.create_default_context()
        with running(command(request.param, folder, port, service.port), folder, port):
            trust.load_verify_locations(folder / "own.pem")
            with httpx.Client(
                base_url=f"https://127.0.0.1:{port}", headers={"Host": f"{NAME}:{port}"},
                verify=trust, timeout=30, trust_env=False,
            ) as client:  # fmt: skip
                sni = {"sni_hostname": NAME}
                client.event_hooks["request"].append(lambda asked: asked.extensions.update(sni))
                yield Proxied(service, client, run, origin)


def test_a_link_brings_a_browser_to_a_page_that_loads_and_may_act(proxied: Proxied) -> None:
    client = proxied.client
    moved = client.get("/trainer")
    assert (moved.is_redirect, moved.headers["location"].endswith("/trainer/")) == (True, True)
    link = proxied.service.client.post("/links", json={}).json()["address"]
    assert link.startswith(f"{proxied.origin}/trainer/?link=")
    admitted = client.get(link.removeprefix(proxied.origin))
    assert admitted.is_redirect
    assert admitted.headers["set-cookie"].endswith("; Secure")
    page = client.get("/trainer/")
    assert "text/html" in page.headers["content-type"]
    for address in re.findall(r'(?:src|href)="([^"#]+)"', page.text):
        assert client.get(f"/trainer/{address}").status_code == 200, address
    own = {"Origin": proxied.origin, "Sec-Fetch-Site": "same-origin"}
    paused = client.patch("/trainer/api/v1/queue", json={"paused": True}, headers=own)
    assert paused.status_code == 200, paused.text
    client.cookies.clear()
    assert client.get("/trainer/api/v1/runs").status_code == 401


def test_rows_come_through_as_they_are_written(proxied: Proxied) -> None:
    run = proxied.service.ids()["a"]
    with proxied.client.stream(
        "GET", "/trainer/api/v1/events", params={"topics": f"rows:{run}"}, headers=BEARER
    ) as answer:
        assert answer.status_code == 200
        lines = answer.iter_lines()
        while "event" not in next(lines):
            pass
        with (proxied.run / "metrics.jsonl").open("a") as opened:
            opened.write(rows(1, 30))
        assert next(line for line in lines if line.startswith("event: rows"))


def test_a_file_that_the_server_takes_is_not_refused_on_the_way(
    proxied: Proxied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tasks, "command", staticmethod(lambda *_: ["true"]))
    run = proxied.service.ids()["a"]
    answer = proxied.client.post(
        f"/trainer/api/v1/runs/{run}/predictions",
        content=b"a,b\n" * (MAX_UPLOAD_BYTES // 4),
        headers={**BEARER, "Content-Type": "text/csv"},
    )
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("more", [1, 2**22])
def test_a_file_that_is_too_large_for_the_server_is_refused_in_its_words(
    more: int, proxied: Proxied
) -> None:
    answer = proxied.client.post(
        f"/trainer/api/v1/runs/{proxied.service.ids()['a']}/predictions",
        content=b"x" * (MAX_UPLOAD_BYTES + more),
        headers={**BEARER, "Content-Type": "text/csv"},
    )
    assert (answer.status_code, answer.json()["detail"]) == (413, "a body has at most 32 MiB")


@pytest.mark.parametrize(
    "forwarded",
    [{"X-Forwarded-Host": NAME}, {"X-Forwarded-Proto": "https"}, {"X-Forwarded-For": "127.0.0.1"}],
)
def test_nobody_comes_in_by_what_he_says_was_forwarded(
    forwarded: dict[str, str], proxied: Proxied
) -> None:
    get = proxied.client.get
    assert get("/trainer/api/v1/runs", headers=forwarded).status_code == 401
    evil = {**BEARER, **forwarded, "Origin": "https://evil.example"}
    assert get("/trainer/api/v1/runs", headers=evil).status_code == 403
    direct = {**BEARER, **forwarded, "Host": "evil.example"}
    assert proxied.service.stranger.get("/api/v1/runs", headers=direct).status_code in (403, 421)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    python = tmp_path / "checkout/.venv/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/bin/true")
    unit = tmp_path / "trainer.service"
    unit.write_text(snippet("## As a unit of systemd").replace("%h", str(tmp_path)))
    checked = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(unit)], capture_output=True, text=True,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )  # fmt: skip
    assert (checked.returncode, checked.stderr) == (0, "")
