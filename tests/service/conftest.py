"""One browser for all tests of the page, and one server of its `root` for a whole module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.helpers.browser import admitted, chromium
from tests.helpers.served import Served, served


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def service(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(root, tmp_path_factory.mktemp("state") / "state") as found:
        found.ids()
        yield found


@pytest.fixture(scope="module")
def opened(browser: Browser, service: Served) -> Iterator[Page]:
    with admitted(browser, service) as found:
        yield found
