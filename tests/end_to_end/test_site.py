"""The site: it builds strictly, asks the network for nothing, and has every kind on its page."""

import os
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from schedules import Schedule
from trainer.config.conf_folder import CONF

CHECKOUT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("material") is None, reason="needs the extra `docs`"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        ["bash", str(CHECKOUT / "scripts" / "docs"), str(folder)],
        env={**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_no_page_asks_another_host_for_anything(site):
    asked = re.compile(r'<(?:script|img|link|iframe)\b[^>]*?(?:src|href)="?(?:https?:)?//[^">]+')
    found = {path: asked.findall(path.read_text()) for path in site.rglob("*.html")}
    assert len(found) > 15
    assert {path.name: hits for path, hits in found.items() if hits} == {}
    assert not [css for css in site.rglob("*.css") if "url(http" in css.read_text()]


def test_every_kind_of_schedule_has_its_formula_parameters_and_picture(site):
    page = (site / "reference" / "schedules.html").read_text()
    ours = {k for k, member in Schedule.kinds.items() if member.__module__.startswith("schedules.")}
    assert {kind for kind in ours if f'id="{kind}"' not in page} == set()
    assert "k_decay" in page
    drawn = {path.stem for path in (site / "reference" / "pictures").glob("*.svg")}
    assert {file.stem for file in (CONF / "schedule").glob("*.yaml")} - drawn == set()


def test_every_option_of_every_group_is_on_a_page(site):
    message = "".join(path.read_text() for path in (site / "reference").glob("*.html"))
    options = {file.relative_to(CONF).as_posix() for file in CONF.glob("*/*.yaml")}
    unwrapped = {option for option in options if option.split("/")[0] not in ("warmup", "cooldown")}
    assert {option for option in unwrapped if f"conf/{option}" not in message} == set()


def test_every_page_of_the_docs_is_in_the_navigation(site):
    start = (site / "index.html").read_text()
    pages = {path.stem for path in CHECKOUT.glob("docs/*.md")}
    assert {page for page in pages if f"{page}.html" not in start} - {"index"} == set()
