"""What is understood of a data set, in words: inputs, labels, and what is held out."""

from __future__ import annotations

from collections.abc import Sequence

from .data import Data
from .facts import Facts
from .held_out import HeldOut
from .raw_data import Contents, RawData

NAMES_SHOWN = 8
"""How many names of columns or of classes are said."""


def summary(data: Data) -> list[str]:
    r"""Lines that say how a data set was read, for people to see whether it was meant so.

    >>> from trainer.data import Data
    >>> print(*summary(Data.declared({"kind": "digits"})), sep="\n")
    inputs    [8, 8, 1]
    labels    10 classes: 0 to 9
    examples  1,438 to train
    """
    facts = data.facts()
    if not isinstance(data, RawData) or data.known_labels() is None:
        return _lines(
            f"{list(facts.shape)}", _labels(facts, (), ""), f"{facts.examples:,} to train"
        )
    contents = data.contents
    columns = _listed(contents.raw.columns or ())
    inputs = f"{list(facts.shape)}" + (f": {columns}" if columns else "")
    return _lines(inputs, _labels_of(data, contents), _examples(data, contents))


def _lines(inputs: str, labels: str, examples: str) -> list[str]:
    return [f"inputs    {inputs}", f"labels    {labels}", f"examples  {examples}"]


def _labels_of(data: RawData, contents: Contents) -> str:
    is_marked = contents.facts.classes and contents.raw.train.labels.shape[1:] not in ((), (1,))
    field, named = data.labels_override
    names = named if isinstance(named, list) else [str(named)] if field == "target" else []
    how = ", one-hot" if is_marked else ""
    return _labels(contents.facts, contents.labels.names or (), how, names)


def _labels(facts: Facts, names: Sequence[str], how: str, targets: Sequence[str] = ()) -> str:
    """The task that labels set: classes by number and name, or numbers to predict."""
    if facts.classes is None:
        what = "a number" if facts.targets == 1 else f"{facts.targets} numbers"
        return f"{what} to predict" + (f": {_listed(targets)}" if targets else "")
    numbered = _listed([f"{i} {name}" for i, name in enumerate(names)])
    return f"{facts.classes} classes{how}: {numbered or f'0 to {facts.classes - 1}'}"


def _examples(data: RawData, contents: Contents) -> str:
    train = f"{contents.facts.examples:,} to train"
    if contents.raw.test is not None:
        return f"{train}, {len(contents.raw.test.labels):,} of its own to test"
    held_out = data.held_out or HeldOut()
    count = len(contents.raw.train.labels) - contents.facts.examples
    return f"{train}, {count:,} held out: {held_out.fraction:g} of all, by seed {held_out.seed}"


def _listed(names: Sequence[str]) -> str:
    """The first names, and how many there are of more."""
    shown = ", ".join(names[:NAMES_SHOWN])
    return shown if len(names) <= NAMES_SHOWN else f"{shown} … {len(names):,} in all"
