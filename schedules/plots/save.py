"""Curves in files: tables that other programs replay, pictures, pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np

from ..analysis.preview import CHUNK, Panel, chunks
from ..clock import Clock
from ..curve import Curve
from ..declaration import refuse
from .page import page
from .png import png
from .svg import draw_svg


def csv_pieces(curve: Curve, steps: range) -> Iterator[bytes]:
    """Rows of `step,value`; every value reads back as the same float64.

    >>> from schedules import Clock, load
    >>> curve = load({"kind": "linear", "initial_value": 0.3, "end_value": 0}, Clock(10))
    >>> print(b"".join(csv_pieces(curve, range(2))).decode(), end="")
    step,value
    0,0.3
    1,0.27
    """
    yield b"step,value\n"
    for part, values in chunks(curve, steps):
        rows = zip(part, values.tolist(), strict=True)
        yield "".join([f"{step},{value!r}\n" for step, value in rows]).encode()


def json_pieces(curve: Curve, steps: range) -> Iterator[bytes]:
    """`{"step": [...], "value": [...]}`; every value reads back as the same float64."""
    yield b'{"step": ['
    for start in range(0, len(steps), CHUNK):
        yield _json_items(list(steps[start : start + CHUNK]), is_first=start == 0)
    yield b'], "value": ['
    for part, values in chunks(curve, steps):
        yield _json_items(values.tolist(), is_first=part.start == steps.start)
    yield b"]}\n"


def _json_items(items: list[int] | list[float], *, is_first: bool) -> bytes:
    """The items of a JSON list without its brackets, after a comma unless they are the first."""
    text = json.dumps(items)[1:-1]
    return (text if is_first else f", {text}").encode()


def npy_pieces(curve: Curve, steps: range) -> Iterator[bytes]:
    """The values alone, as `numpy.load` reads them."""
    header = BytesIO()
    description = {"descr": "<f8", "fortran_order": False, "shape": (len(steps),)}
    np.lib.format.write_array_header_1_0(header, description)
    yield header.getvalue()
    for _, values in chunks(curve, steps):
        yield values.astype("<f8").tobytes()


FORMATS: dict[str, Callable[[Curve, range], Iterator[bytes]]] = {
    "csv": csv_pieces,
    "json": json_pieces,
    "npy": npy_pieces,
}
"""The writers of tables, by the suffix of the file; each yields the file in pieces."""


def save(path: Path, figure: list[Panel], clock: Clock, title: str = "") -> None:
    """Writes the picture as SVG, PNG or a page, by the suffix of `path`.

    Raises:
        Refused: when the suffix is another, or the file can't be written.
    """
    match path.suffix.lower():
        case ".svg":
            content = draw_svg(figure, clock, title).encode()
        case ".html":
            content = page(figure, clock, title).encode()
        case ".png":
            content = png(draw_svg(figure, clock, title))
        case _:
            rule = "must end in the suffix of its format"
            raise refuse("--output", str(path), rule, "known: .svg, .png, .html")
    write_file(path, [content])


def write_file(path: Path, pieces: Iterable[bytes]) -> None:
    """Writes a file piece by piece, and makes the folders above it.

    Raises:
        Refused: when it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.writelines(pieces)
    except OSError as error:
        raise refuse("--output", str(path), f"can't be written: {error.strerror}") from None
