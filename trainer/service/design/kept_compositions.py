"""What Hydra has composed, kept while a person changes a number of it.

Composing takes longer than all that follows from it, and a number changes nothing of it but itself:
while one is typed or dragged, what was composed without it is taken again.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from copy import deepcopy
from os import PathLike
from pathlib import Path
from typing import Any

from ...config.from_python import composed_tree

MOST = 20
"""How many compositions are kept."""

_NUMBER = re.compile(
    r"(?P<key>[a-z_]\w*(?:\.[a-z_]\w*)+)="
    r"(?:(?P<whole>-?(?:0|[1-9]\d{0,17}))|(?P<real>-?(?:\d{1,20}\.\d{0,20}|\d{1,20}(?=e))"
    r"(?:e[-+]?\d{1,3})?))"
)
_OPTION = re.compile(r"\w+=[\w-]+")

Key = tuple[tuple[str, ...], tuple[str, ...], str, tuple[tuple[str, int], ...]]


class KeptCompositions:
    """Composes as `composed_tree` does."""

    def __init__(self) -> None:
        self._trees: OrderedDict[Key, dict[str, Any]] = OrderedDict()

    def compose(
        self,
        options: Sequence[str],
        overrides: Sequence[str],
        config_dir: str | PathLike[str] | None,
    ) -> dict[str, Any]:
        """What Hydra composes of options and overrides.

        Raises:
            Refused, HydraException, OmegaConfBaseException: when it can't.
        """
        others, numbers = _split(overrides)
        key = (tuple(options), tuple(others), str(config_dir), _stamp(config_dir))
        if numbers and key in self._trees:
            tree = deepcopy(self._trees[key])
            if all(_set(tree, path, value) for path, value in numbers):
                self._trees.move_to_end(key)
                return tree
            return composed_tree(options, overrides, config_dir)
        tree = composed_tree(options, others, config_dir)
        self._trees[key] = tree
        while len(self._trees) > MOST:
            self._trees.popitem(last=False)
        tree = deepcopy(tree)
        if all(_set(tree, path, value) for path, value in numbers):
            return tree
        return composed_tree(options, overrides, config_dir)


def _split(overrides: Sequence[str]) -> tuple[list[str], list[tuple[str, int | float]]]:
    """The overrides without the numbers that may as well come last, and those.

    One may not where a later override changes what is around it; an option of a group doesn't,
    since Hydra takes these before all else.

    >>> _split(["run.seed=3", "schedule.end_value=1e-3", "schedule={kind: rex}", "data=digits"])
    (['schedule.end_value=1e-3', 'schedule={kind: rex}', 'data=digits'], [('run.seed', 3)])
    """
    others: list[str] = []
    numbers: list[tuple[str, int | float]] = []
    changed: set[str] = set()
    for override in reversed(overrides):
        first = re.split(r"[.=@]", override.lstrip("+~"), maxsplit=1)[0].strip()
        number = _NUMBER.fullmatch(override)
        if number and first not in changed:
            whole, real = number["whole"], number["real"]
            numbers.append((number["key"], int(whole) if whole is not None else float(real)))
            continue
        others.append(override)
        if not _OPTION.fullmatch(override):
            changed.add(first)
    return others[::-1], numbers[::-1]


def _set(tree: dict[str, Any], path: str, value: float) -> bool:
    """Sets a value at an override path; False where Hydra would have more to do."""
    *above, last = path.split(".")
    node: Any = tree
    for name in above:
        if not isinstance(node.get(name), dict):
            return False
        node = node[name]
    if isinstance(node.get(last), dict | list):
        return False
    node[last] = value
    return True


def _stamp(config_dir: str | PathLike[str] | None) -> tuple[tuple[str, int], ...]:
    """What changes with the files of a folder of options."""
    if config_dir is None:
        return ()
    files = sorted(Path(config_dir).rglob("*.yaml"))
    return tuple((str(file), file.stat().st_mtime_ns) for file in files)
