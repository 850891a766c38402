"""The garbage collector: kept out of imports, and left to others as they had it."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest

from schedules.declaration.gc_pause import gc_paused


@pytest.fixture(autouse=True)
def a_collector_in_its_usual_state() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.enable()
    gc.unfreeze()


@pytest.mark.parametrize("was", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_the_collector_is_off_within_and_as_before_afterwards(was: bool, fails: bool) -> None:
    (gc.enable if was else gc.disable)()
    try:
        with gc_paused():
            assert not gc.isenabled()
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert gc.isenabled() == was
    assert gc.get_freeze_count() == 0


def test_what_lasts_is_never_looked_through_again() -> None:
    with gc_paused(freeze=True):
        made = [[] for _ in range(1000)]  # type: ignore[var-annotated]
    assert gc.isenabled()
    assert gc.get_freeze_count() > len(made)


@pytest.mark.parametrize(
    ("imported", "frozen"),
    [
        ("schedules", False),
        ("trainer.commands.api", False),
        ("schedules.__main__", True),
        ("trainer.__main__", True),
    ],
)
def test_only_commands_take_what_they_import_for_good(imported: str, frozen: bool) -> None:
    asked = f"import gc, {imported}; print(gc.isenabled(), gc.get_freeze_count() > 0)"
    message = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True
    )
    assert message.stdout == f"True {frozen}\n"
