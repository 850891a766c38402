"""The map in CONTRIBUTING.md: it names every room, and nothing that is not there."""

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAP = PAGE.partition("## The map")[2].partition("\n## ")[0]
NAMED = re.findall(r"`([\w/.]+)`", MAP)


def rooms(package: str) -> list[str]:
    """The folders of a package that hold modules."""
    return sorted(path.parent.name for path in (CHECKOUT / package).glob("*/__init__.py"))


@pytest.mark.parametrize("package", ["schedules", "trainer"])
def test_it_names_every_room(package):
    assert [room for room in rooms(package) if f"{room}/" not in NAMED] == []


def test_the_order_of_the_rooms_is_the_one_that_is_checked():
    import tomllib

    contracts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(c["layers"] for c in contracts["contracts"] if c.get("containers") == ["trainer"])
    order = [set(layer.split(" | ")) for layer in layers[1:]]
    table = MAP.partition("from the top to the ground")[2].partition("The rooms of `schedules/`")[0]
    drawn = [set(re.findall(r"`(\w+)/`", line.split("|")[1])) for line in table.splitlines()
             if line.startswith("| `")]  # fmt: skip
    assert drawn == order


def test_every_file_that_it_names_is_there():
    files = {name for name in NAMED if name.endswith(".py") and "/" in name}
    assert len(files) > 20
    assert [name for name in files if not (CHECKOUT / name).is_file()] == []


@pytest.mark.parametrize("room", [f"trainer/{r}" for r in rooms("trainer")]
                         + [f"schedules/{r}" for r in rooms("schedules")])  # fmt: skip
def test_every_room_says_what_it_is_for_and_what_it_may_see(room):
    text = (CHECKOUT / room / "__init__.py").read_text(encoding="utf-8")
    docstring = text.split('"""')[1].strip()
    purpose, _, rest = docstring.partition("\n\n")
    assert purpose.endswith(".")
    assert "Sees " in rest
