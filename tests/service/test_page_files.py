"""The files of the page: few, small, and nothing of it from elsewhere."""

from __future__ import annotations

import gzip
import re
from hashlib import sha256
from pathlib import Path

from trainer.service.api.task_routes import BEGINNINGS
from trainer.service.gate import UPLOADS

PAGE = Path(__file__).resolve().parents[2] / "trainer/service/page"
VENDOR = PAGE / "vendor"
SENT = [path for path in PAGE.rglob("*") if path.suffix in {".html", ".js", ".css", ".svg"}]
OWN = [path for path in SENT if path.parent == PAGE]
OPENED = "run_page.js"
"""The part that is loaded behind the list, before it is opened."""


def test_what_others_have_written_is_as_they_published_it() -> None:
    sums = dict(reversed(line.split()) for line in (VENDOR / "SHA256SUMS").read_text().splitlines())
    scripts = {path.name for path in VENDOR.iterdir() if path.suffix in {".js", ".css"}}
    assert scripts == sums.keys()
    for name, expected in sums.items():
        assert sha256((VENDOR / name).read_bytes()).hexdigest() == expected
        assert list(VENDOR.glob(f"{name.split('.')[0].split('-')[0]}.LICENSE"))


def test_the_page_is_small() -> None:
    first = imported("app.js", "first.js", OPENED)
    assert PAGE / "chart.js" in first
    assert not {PAGE / "compare.js", PAGE / "design.js"} & first  # they come when they are opened
    others = [path for path in SENT if path.suffix != ".js"] + [VENDOR / "uPlot.js"]
    assert sum(path.stat().st_size for path in {*first, *others}) < 200_000
    assert sum(len(gzip.compress(path.read_bytes())) for path in SENT) < 100_000


def test_a_browser_is_announced_of_all_modules_at_once_those_of_the_list_first() -> None:
    page = (PAGE / "index.html").read_text()
    announced = re.findall(r'<link rel="modulepreload" href="(.+?)"(.*)>', page)
    soon = imported("app.js", "first.js")
    later = imported(OPENED) - soon
    expected = dict.fromkeys(soon - {PAGE / "app.js", PAGE / "first.js"}, "")
    expected |= dict.fromkeys(later, ' fetchpriority="low"')
    assert len(announced) == len(expected)
    assert {PAGE / name: urgency for name, urgency in announced} == expected


def test_the_list_needs_no_charts() -> None:
    assert not {PAGE / "chart.js", PAGE / "plot.js"} & imported("app.js", "first.js")


def imported(*names: str) -> set[Path]:
    """Some modules, those that they import, and those that these import."""
    found, waiting = set[Path](), [PAGE / name for name in names]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            needed = re.findall(r'^import .* from "(.+)";', module.read_text(), re.MULTILINE)
            waiting += [(module.parent / name).resolve() for name in needed]
    return found


def test_addresses_are_relative_and_nothing_is_written_into_the_markup() -> None:
    for path in OWN:
        text = path.read_text()
        assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text), path.name
        assert not re.findall(r"""(?:src|href|from|fetch\(|import)\s*[=(]?\s*["'`]/""", text), (
            path.name
        )
        assert "innerHTML" not in text, path.name
    page = (PAGE / "index.html").read_text()
    assert not re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", page)


def test_every_kind_of_file_that_the_server_predicts_for_may_be_chosen() -> None:
    text = (PAGE / "run_actions.js").read_text()
    found = re.search(r"const TABLES = \{(.*?)\};", text, re.DOTALL)
    assert found
    ends = {f".{end}" for end in re.findall(r"(\w+):", found[1])}
    assert ends == {*filter(None, UPLOADS.values()), *BEGINNINGS.values(), ".jpeg"}
