"""Which cores and GPUs of this machine a job is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

Part = TypeVar("Part", int, str)


class Allotment(NamedTuple):
    """The part of a machine that one job runs on."""

    cores: tuple[int, ...]
    gpus: tuple[str, ...]


class ShortageError(Exception):
    """Why there is no room for a job."""

    def __init__(self, why: str, for_ever: bool) -> None:
        super().__init__(why)
        self.for_ever = for_ever
        """Whether no end of another job makes room."""


def allot(
    cores: Sequence[int],
    gpus: Sequence[str],
    taken: Sequence[Allotment],
    at_once: int,
    asked: tuple[int | None, int | None],
) -> Allotment:
    """The parts that the fewest other jobs are on; without a number asked for, a fair share.

    >>> allot([0, 1, 2, 3], [], [], 2, (None, None))
    Allotment(cores=(0, 1), gpus=())
    >>> allot([0, 1, 2, 3], [], [Allotment((0, 1), ())], 2, (2, None)).cores
    (2, 3)
    >>> allot([0], ["0", "1"], [Allotment((0,), ("0",))], 2, (None, None))
    Allotment(cores=(0,), gpus=('1',))

    Raises:
        ShortageError: when more are asked for than are free, or than there are.
    """
    return Allotment(
        _chosen("core", cores, [part for one in taken for part in one.cores], at_once, asked[0]),
        _chosen("GPU", gpus, [part for one in taken for part in one.gpus], at_once, asked[1]),
    )


def _chosen(
    word: str, parts: Sequence[Part], taken: Sequence[Part], at_once: int, asked: int | None
) -> tuple[Part, ...]:
    """Some of the parts; those that were asked for are nobody else's."""
    if not parts and not asked:
        return ()
    uses = Counter(taken)
    if asked is None:
        count = max(1, len(parts) // at_once)
        return tuple(sorted(sorted(parts, key=lambda part: uses[part])[:count]))
    free = [part for part in parts if not uses[part]]
    if asked > len(free):
        here = f"needs {asked} {word}{'s' if asked > 1 else ''}"
        for_ever = asked > len(parts)
        raise ShortageError(
            f"{here}, and the queue has {len(parts)}" if for_ever
            else f"{here}, of which {len(free)} are free",
            for_ever,
        )  # fmt: skip
    return tuple(free[:asked])
