"""The members of a family of kinds, each imported when a config names it."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any


class Members(MutableMapping[str, type[Any]]):
    """Classes by their word; a module that declares some is imported when one of them is asked for.

    A word is looked for in the text of the modules, as its class states it, so that nothing has to
    list which module has which. To go through all members, all modules are imported.
    """

    def __init__(self) -> None:
        self._known: dict[str, type[Any]] = {}
        self._modules: list[str] = []

    def declared_in(self, package: str, *modules: str) -> None:
        """Tells of modules that declare members, by their names in a package."""
        self._modules += [f"{package}.{module}" for module in modules]

    def __getitem__(self, word: str) -> type[Any]:
        if word not in self._known:
            self._import([module for module in self._modules if _declares(module, word)])
        if word not in self._known:
            self._import(list(self._modules))
        return self._known[word]

    def __setitem__(self, word: str, member: type[Any]) -> None:
        self._known[word] = member

    def __delitem__(self, word: str) -> None:
        del self._known[word]

    def __iter__(self) -> Iterator[str]:
        self._import(list(self._modules))
        return iter(self._known)

    def __len__(self) -> int:
        self._import(list(self._modules))
        return len(self._known)

    def _import(self, modules: list[str]) -> None:
        for module in modules:
            import_module(module)
            if module in self._modules:  # a module may go through the members of its own family
                self._modules.remove(module)


def _declares(module: str, word: str) -> bool:
    """Whether the text of a module states the word of a kind; False where there is no text."""
    spec = find_spec(module)
    try:
        text = Path(spec.origin).read_bytes() if spec and spec.origin else b""
    except OSError:
        return False
    return f'kind: Literal["{word}"]'.encode() in text
