"""How the page comes to a browser: each file once, zipped once, and what it shows first at once."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Route, expect

from tests.helpers.browser import admitted, needs_browser
from tests.helpers.served import Served, make_run, rows, served
from trainer.service.api import application

NAMED = re.compile(r'(?:src|href)="(.+?)"')


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    make_run(root / "first", rows(3))
    make_run(root / "second", rows(3))
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A page of our own, which may be changed."""
    (tmp_path / "page").mkdir()
    (tmp_path / "page/index.html").write_text('<script src="app.js"></script>' * 50)
    (tmp_path / "page/app.js").write_text("// a script\n" * 100)
    return tmp_path / "page"


@pytest.fixture
def browsed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[httpx.Client]:
    """Somebody who is let in to a server of that page."""
    monkeypatch.setattr(application, "PAGE", folder)
    (tmp_path / "runs").mkdir()
    with served(tmp_path / "runs", tmp_path / "state") as service:
        headers = {"Authorization": service.client.headers["Authorization"]}
        with httpx.Client(base_url=service.url, headers=headers) as client:
            yield client


def test_a_browser_keeps_the_files_of_a_version_and_asks_anew_after_a_change(
    folder: Path, browsed: httpx.Client
) -> None:
    document = browsed.get("/")
    assert document.headers["Cache-Control"] == "no-cache"
    [place] = set(NAMED.findall(document.text))
    first = browsed.get(f"/{place}")
    assert first.text == (folder / "app.js").read_text()
    assert "immutable" in first.headers["Cache-Control"]
    assert first.headers["Content-Type"].startswith("text/javascript")

    same = browsed.get("/", headers={"If-None-Match": document.headers["ETag"]})
    assert (same.status_code, same.content) == (304, b"")

    (folder / "app.js").write_text("// another script\n")
    changed = browsed.get("/", headers={"If-None-Match": document.headers["ETag"]})
    [moved] = set(NAMED.findall(changed.text))
    assert moved != place
    assert browsed.get(f"/{moved}").text == "// another script\n"
    before = browsed.get(f"/{place}")  # what a page asks for that was opened before
    assert (before.text, before.headers["Cache-Control"]) == ("// another script\n", "no-cache")


def test_a_file_is_read_and_zipped_once(
    browsed: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    zipped, compress = list[bytes](), gzip.compress

    def counted(content: bytes) -> bytes:
        zipped.append(content)
        return compress(content)

    monkeypatch.setattr(gzip, "compress", counted)
    answers = [browsed.get("/app.js") for _ in range(3)]
    assert len(zipped) == 1
    assert {answer.headers["Content-Encoding"] for answer in answers} == {"gzip"}
    assert {answer.content for answer in answers} == set(zipped)
    plain = browsed.get("/app.js", headers={"Accept-Encoding": "identity"})
    assert (plain.content, "Content-Encoding" in plain.headers) == (zipped[0], False)


@pytest.mark.parametrize(
    "place",
    ["none.js", "v/0/none.js", "vendor", "v", "v/0", "../secret", "%2e%2e/secret", "//app.js"],
)
def test_only_files_of_the_page_are_there(place: str, folder: Path, browsed: httpx.Client) -> None:
    (folder / "vendor").mkdir()
    (folder.parent / "secret").write_text("secret")
    found = browsed.get(httpx.URL(f"{browsed.base_url}").copy_with(raw_path=b"/" + place.encode()))
    assert (found.status_code, found.json()["status"]) == (404, 404)


def test_a_page_is_only_read(browsed: httpx.Client) -> None:
    assert (browsed.head("/app.js").status_code, browsed.head("/app.js").content) == (200, b"")
    answer = browsed.post("/app.js", json={})
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_whatever_the_document_names_is_there(service: Served) -> None:
    headers = {"Authorization": service.client.headers["Authorization"]}
    named = NAMED.findall(service.stranger.get("/", headers=headers).text)
    assert "openapi.json" in named
    for place in named:
        assert service.stranger.get(f"/{place}", headers=headers).status_code == 200, place


@needs_browser
def test_the_list_is_asked_for_before_its_modules_are_there_and_only_once(
    browser: Browser, service: Served
) -> None:
    with admitted(browser, service) as page:
        asked: list[str] = []
        held: list[Route] = []
        page.goto("about:blank")
        page.on("request", lambda request: asked.append(request.url))
        page.route("**/run_list.js", lambda route: held.append(route))
        with page.expect_request("**/api/v1/runs?*"):
            page.goto(f"{service.url}/?again", wait_until="commit")
        while not held:
            page.wait_for_timeout(10)
        held[0].continue_()
        expect(page.get_by_role("link", name="second")).to_be_visible()
    assert len([url for url in asked if "/api/v1/runs?" in url]) == 1


@needs_browser
def test_runs_behind_the_first_ones_are_listed_once(browser: Browser, tmp_path: Path) -> None:
    for number in range(103):
        make_run(tmp_path / "runs" / f"run-{number}")
    with served(tmp_path / "runs", tmp_path / "state") as service:
        service.ids()
        with admitted(browser, service) as page:
            expect(page.locator("a", has_text="Compare the first 100")).to_be_visible()
            frame = page.locator(".rows")
            frame.evaluate("(frame) => frame.scrollTo(0, frame.scrollHeight)")
            last = page.locator("tbody tr[aria-rowindex='104']")
            expect(last).to_be_visible()
            frame.evaluate("(frame) => frame.scrollTo(0, frame.scrollHeight)")
            heights = page.locator("tbody tr[aria-hidden]").evaluate_all(
                "(found) => found.map((row) => row.getBoundingClientRect().height)"
            )
            drawn = page.locator("tbody tr:not([aria-hidden])").count()
            assert round(sum(heights) / 40) + drawn == 103
