"""Commands of the service that pages name are understood, also those that can not be run there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from trainer import queue, serve, submit

CHECKOUT = Path(__file__).resolve().parents[2]
PARSERS = {"serve": serve._parser, "submit": submit._parser, "queue": queue._parser}
COMMAND = re.compile(rf"python -m trainer\.({'|'.join(PARSERS)})\b([^`\n]*)")
NAMED = sorted(
    {
        (door, words.partition("|")[0].partition(" > ")[0].strip())
        for page in (CHECKOUT / "README.md", *CHECKOUT.glob("docs/*.md"))
        for door, words in COMMAND.findall(page.read_text(encoding="utf-8"))
        if "…" not in words
    }
)


def test_there_are_such_commands() -> None:
    assert {door for door, _ in NAMED} == set(PARSERS)


@pytest.mark.parametrize(("door", "words"), NAMED)
def test_a_command_of_a_page_is_understood(door: str, words: str) -> None:
    parser = PARSERS[door]()
    parse = parser.parse_intermixed_args if door == "submit" else parser.parse_args
    parse(shlex.split(words, comments=True))
