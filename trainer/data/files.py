"""Files that hold data: where they are, and why one can't be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from schedules.declaration import ABSENT, did_you_mean, refuse

File = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
"""A path seen from the working directory; the config that a run leaves has it in full."""


@contextmanager
def reading(path: str, file: Path) -> Iterator[None]:
    """Turns what the system says of a file into a refusal of the override `path`.

    Raises:
        Refused: with the nearest file there is, where it is missing.
    """
    try:
        yield
    except FileNotFoundError:
        raise missing(path, file) from None
    except OSError as error:
        raise refuse(path, str(file), f"can't be read: {error.strerror or error}") from None


def missing(path: str, file: Path, what: str = "file") -> Exception:
    """The refusal of a file that isn't there, with the nearest one that is."""
    folder = file.parent
    while not folder.exists():
        folder = folder.parent
    if folder != file.parent:
        return refuse(path, str(file), f"is no {what}: there is no folder {file.parent}")
    near = [found.name for found in folder.iterdir()]
    hint = did_you_mean(file.name, near) if 0 < len(near) <= 20 else ""
    return refuse(path, str(file), f"is no {what} that exists", hint)


def unreadable(path: str, file: Path, why: object) -> Exception:
    """The refusal of a file whose content is not what it should be."""
    said = " ".join(str(why).split())
    return refuse(path, str(file), f"can't be read: {said}" if said else "can't be read")


def shape_of(path: str, inputs: tuple[int, ...], wanted: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape of one input: the one it has, or the `wanted` one where that holds as many numbers.

    Raises:
        Refused: when it doesn't, or when an input is a single number without saying so.
    """
    size = 1
    for side in inputs:
        size *= side
    if wanted is None:
        if not inputs:
            rule = "has inputs that are single numbers, and must have rows of them"
            raise refuse(path, ABSENT, rule, "data.shape=[1]")
        return inputs
    asked = 1
    for side in wanted:
        asked *= side
    if asked != size:
        rule = f"has {asked} numbers, and an input, of shape {list(inputs)}, has {size}"
        raise refuse("shape", list(wanted), rule)
    return wanted
