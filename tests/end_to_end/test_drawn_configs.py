"""Whatever a config says, it is answered: no traceback, process, network or file elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from shutil import rmtree

import pytest
from hypothesis import HealthCheck, given, settings

from tests.helpers.drawn_configs import Drawn, drawn_configs
from tests.helpers.watched import Commands, commands


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with commands(tmp_path_factory.mktemp("home")) as process:
        yield process


EXAMPLES = os.environ.get("DRAWN_CONFIGS")
"""How many are drawn anew, as `scripts/fuzz` says; else a few, which are always the same."""


@settings(
    max_examples=int(EXAMPLES or 12),
    derandomize=EXAMPLES is None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(drawn_configs())
def test_a_config_does_nothing_but_be_answered(
    watched: Commands, tmp_path: Path, drawn: Drawn
) -> None:
    folder = next(path for i in count() if not (path := tmp_path / str(i)).exists())
    folder.mkdir()
    answered = watched.run(folder, drawn.arguments(folder))
    assert answered.faults(folder) == [], answered
    rmtree(folder)


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        ("hit", "imports canary"),
        ("write", "writes "),
        ("make", "writes "),
        ("start", "starts subprocess.Popen"),
        ("connect", "connects to socket.connect"),
        ("end", "ends with -9"),
    ],
)
def test_what_it_must_not_do_would_be_seen(
    watched: Commands, tmp_path: Path, function: str, fault: str
) -> None:
    callback = f"+hydra.callbacks.one={{_target_: canary.{function}}}"
    folder = tmp_path / "here"
    folder.mkdir()
    faults = watched.run(folder, [callback, "data=digits", "allow_code=true"]).faults(folder)
    assert [message for message in faults if message.startswith(fault)], faults
