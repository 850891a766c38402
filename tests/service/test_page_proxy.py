"""The page in a browser that comes through a proxy, which encrypts and has it below a path."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.helpers.browser import chromium, needs_browser
from tests.helpers.certificates import self_made
from tests.helpers.served import make_run, rows, served
from trainer.service.exposure import Exposure

pytestmark = [needs_browser, pytest.mark.slow]

PREFIX = "/some/trainer"


class Proxy(BaseHTTPRequestHandler):
    """What `proxy_pass http://127.0.0.1:8321/;` below a location does."""

    protocol_version = "HTTP/1.1"
    port = 0
    strays: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        if not self.path.startswith(f"{PREFIX}/"):
            self.strays.append(self.path)
            self.send_error(404)
            return
        backend = http.client.HTTPConnection("127.0.0.1", self.port)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        passed = {name: value for name, value in self.headers.items() if name != "Connection"}
        backend.request(self.command, self.path.removeprefix(PREFIX), body or None, passed)
        answer = backend.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "date"):
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            while part := answer.read1(2**16):
                self.wfile.write(part)
                self.wfile.flush()
        except OSError:  # the browser has gone
            pass
        finally:
            backend.close()

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def proxy(folder: Path) -> Iterator[ThreadingHTTPServer]:
    class Here(Proxy):
        strays: list[str] = []  # noqa: RUF012

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*self_made(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), Here) as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield listening
        finally:
            listening.shutdown()
            thread.join()


def test_the_page_works_below_a_path_and_asks_for_nothing_beside_it(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs/a", rows(30), None)
    with proxy(tmp_path) as listening:
        url = f"https://localhost:{listening.server_address[1]}{PREFIX}/"
        exposure = Exposure(proxy=url)
        with (
            served(tmp_path / "runs", tmp_path / "state", exposure=exposure) as service,
            chromium() as browser,
        ):
            handler = listening.RequestHandlerClass
            handler.port = service.port  # type: ignore[attr-defined]
            identifier = service.ids()["a"]
            context = browser.new_context(ignore_https_errors=True)
            page = context.new_page()
            page.goto(service.client.post("/links", json={}).json()["address"])
            expect(page).to_have_url(f"{url}#/runs")
            expect(page.get_by_role("link", name="a", exact=True)).to_be_visible()
            page.goto(f"{url}#/run/{identifier}")
            expect(page.get_by_text("30 of 30 rows").first).to_be_visible()
            with (run / "metrics.jsonl").open("a") as opened:
                opened.write(rows(5, 30))
            expect(page.get_by_text("35 of 35 rows").first).to_be_visible()
            page.goto(f"{url}#/design")
            expect(page.get_by_role("heading", name="learning_rate")).to_be_visible()
            [cookie] = context.cookies()
            assert (cookie["path"], cookie["secure"]) == (PREFIX, True)
            assert handler.strays == []  # type: ignore[attr-defined]
            context.close()
