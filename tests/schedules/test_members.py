"""Members of a family: each module of them is imported when a config names one that it has."""

import sys
from pathlib import Path

import pytest

from schedules import Refused
from schedules.declaration import Kind
from schedules.declaration.members import Members

MODULE = """
from typing import Literal
from {package} import Fruit

class {name}(Fruit):
    kind: Literal["{word}"] = "{word}"
"""


@pytest.fixture
def fruit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A family with a member in each of two modules, and one whose text does not show its word."""
    package = f"fruit_{tmp_path.name}"
    folder = tmp_path / package
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from schedules.declaration import Kind\n"
        "class Fruit(Kind, family=True): ...\n"
        "Fruit.kinds.declared_in(__name__, 'apples', 'pears', 'hidden')\n"
    )
    for module, name in {"apples": "Apple", "pears": "Pear"}.items():
        text = MODULE.format(package=package, name=name, word=name.lower())
        (folder / f"{module}.py").write_text(text)
    hidden = MODULE.format(package=package, name="Quince", word="quince")
    (folder / "hidden.py").write_text(hidden.replace('Literal["quince"]', "Literal['quince']"))
    monkeypatch.syspath_prepend(tmp_path)
    family: type[Kind] = __import__(package).Fruit
    yield family, lambda: {name for name in sys.modules if name.startswith(f"{package}.")}
    for name in [name for name in sys.modules if name.startswith(package)]:
        del sys.modules[name]


def test_a_config_imports_the_module_of_the_kind_that_it_names_alone(fruit) -> None:
    family, imported = fruit
    assert family.declared({"kind": "pear"}).kind == "pear"
    assert {name.partition(".")[2] for name in imported()} == {"pears"}


def test_a_kind_whose_word_its_module_does_not_show_is_found_all_the_same(fruit) -> None:
    family, imported = fruit
    assert family.declared({"kind": "quince"}).kind == "quince"
    assert len(imported()) == 3


def test_a_word_that_is_no_kind_is_refused_with_all_that_there_are(fruit) -> None:
    family, _ = fruit
    with pytest.raises(Refused, match="did you mean quince") as refused:
        family.declared({"kind": "quinze"})
    assert "is no known fruit" in str(refused.value)


def test_going_through_the_members_imports_all_once(fruit) -> None:
    family, imported = fruit
    assert sorted(family.kinds) == ["apple", "pear", "quince"]
    assert len(family.kinds) == len(imported()) == 3
    assert "apple" in family.kinds
    assert "plum" not in family.kinds


def test_members_are_put_in_and_taken_out_as_in_a_mapping() -> None:
    members = Members()
    members["fig"] = Kind
    assert dict(members) == {"fig": Kind}
    del members["fig"]
    assert not members
