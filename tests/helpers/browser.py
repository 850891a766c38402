"""Debian's Chromium in a test, with a page that a service has let in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from .served import Served

CHROMIUM = shutil.which("chromium") or ""
WAIT_MS = 60_000
"""For how long something is looked for that is not there yet."""
needs_browser = pytest.mark.skipif(not CHROMIUM, reason="bash scripts/browser installs it")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser within the block."""
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def admitted(browser: Browser, service: Served, **options: Any) -> Iterator[Page]:
    """A page that the service has let in; whatever it complains of is a failure."""
    context = browser.new_context(**{"viewport": {"width": 1600, "height": 900}, **options})
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text)
            if "Content Security Policy" in message.text else None)  # fmt: skip
    page.on("request", lambda request: complaints.append(f"asked for {request.url}")
            if not request.url.startswith((service.url, "data:")) else None)  # fmt: skip
    page.goto(f"{service.url}/?link={service.service.tokens.new_link()}")
    try:
        yield page
        page.unroute_all(behavior="wait")  # an answer still held can't be given to a closed page
        assert complaints == []
    finally:
        context.close()


def visit(page: Page, service: Served, place: str) -> None:
    """Opens a place of the page as somebody does who has its address."""
    page.goto("about:blank")
    page.goto(f"{service.url}/#/{place}")
