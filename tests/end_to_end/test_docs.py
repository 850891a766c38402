"""The pages for people: what they say to type works, in the order they say it.

An HTML comment right above a fenced block tells more about it: `not run: reason`, `slow: reason`,
or `goes to: path`, for a block that the reader is to add at the end of a file.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = [
    str(page.relative_to(CHECKOUT))
    for page in (CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *CHECKOUT.glob("docs/*.md"))
    if page.exists()
]
FENCED = re.compile(
    r"^(?:<!-- (?P<word>[a-z ]+): (?P<rest>.+) -->\n+)?"
    r"^```(?P<language>\w*).*\n(?P<text>(?:.*\n)*?)```$",
    re.MULTILINE,
)
RUN = {"bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
SHOWN = {"yaml", "toml", "json", "csv", "text", ""}
HERE = "bash scripts/test\n"
"""The command that runs this; it would never end."""


class Block(NamedTuple):
    page: str
    line: int
    language: str
    text: str
    word: str | None
    rest: str | None


def blocks(page: str) -> list[Block]:
    text = (CHECKOUT / page).read_text()
    return [
        Block(
            page,
            text[: found.start("text")].count("\n"),
            *found.group("language", "text", "word", "rest"),
        )
        for found in FENCED.finditer(text)
    ]


def marked(block: Block):
    marks = [
        *[pytest.mark.skip(reason=block.rest)] * (block.word == "not run"),
        *[pytest.mark.skip(reason="runs this very test")] * (HERE in block.text),
        *[pytest.mark.slow] * (block.word == "slow"),
    ]
    return pytest.param(block, marks=marks, id=f"{block.page}:{block.line}")


ALL = [block for page in PAGES for block in blocks(page)]
FOLLOWED = [block for block in ALL if block.language in RUN or block.word == "goes to"]


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Gives a copy of the checkout for a page, with the running environment for its `.venv`."""
    ignored = shutil.ignore_patterns(".*", "__pycache__", "outputs", "multirun", "build", "dist")
    folder = tmp_path_factory.mktemp("docs")

    def copy(page: str) -> Path:
        target = folder / page.replace("/", "-")
        if not target.exists():
            shutil.copytree(CHECKOUT, target, ignore=ignored)
            if sys.prefix != sys.base_prefix:
                (target / ".venv").symlink_to(sys.prefix)
        return target

    return copy


@pytest.mark.parametrize("block", [marked(block) for block in FOLLOWED])
def test_a_reader_can_follow(block, copies):
    checkout = copies(block.page)
    if block.word == "goes to":
        target = checkout / block.rest
        target.parent.mkdir(parents=True, exist_ok=True)
        above = f"{target.read_text()}\n\n" if target.exists() else ""
        target.write_text(above + block.text)
        return
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*RUN[block.language], block.text],
        cwd=checkout,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(checkout)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize("page", PAGES)
def test_every_fence_was_read(page):
    fences = re.findall("^ *```", (CHECKOUT / page).read_text(), re.MULTILINE)
    assert len(fences) == 2 * len(blocks(page))


def test_no_command_hides_behind_another_language():
    assert {block.language for block in ALL} <= {*RUN, *SHOWN}


def test_every_remark_above_a_block_is_understood():
    assert {block.word for block in ALL} <= {None, "not run", "slow", "goes to"}


@pytest.mark.parametrize("page", PAGES)
def test_links_into_the_checkout_lead_somewhere(page):
    prose = FENCED.sub("", (CHECKOUT / page).read_text())
    links = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", prose)
    folder = (CHECKOUT / page).parent
    assert [link for link in links if not (folder / link).exists()] == []
