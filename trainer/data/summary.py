"""What is understood of a data set, in words: inputs, labels, and what is held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .column_preparation import CategoryPreparation, DatePreparation, TextPreparation
from .data import Data
from .facts import Facts, Feature
from .held_out import HeldOut
from .kept_rows import KeptRows, size_text
from .preparation import NUMBERS
from .raw_data import RawData
from .raw_examples import Contents
from .trees import leaves

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
    inputs, labels = _inputs(facts), _labels(facts)
    examples = f"{facts.examples:,} to train" if facts.examples else "of a number not known"
    if isinstance(data, RawData):
        contents = data.contents
        columns = _listed(contents.raw.columns or ())
        inputs += f": {columns}" if columns and not isinstance(facts.inputs, Mapping) else ""
        if contents.learnt.keys() - {""}:
            inputs = _columns(contents)
        labels, examples = _labels_of(data, contents), _examples(data, contents)
    lines = [f"inputs    {inputs}", f"labels    {labels}", f"examples  {examples}"]
    if isinstance(data, RawData) and data.window is not None:
        lines.append(f"windows   {data.window.described()}")
    lines += _lengths(data)
    lines += ["weights   of each example"] if facts.weighted else []
    return [*lines, *_kept(data)]


def _lengths(data: Data) -> list[str]:
    """The lengths of batches, and how much of their steps fills up, where there are several."""
    if not isinstance(data, RawData) or (buckets := data.contents.facts.buckets) is None:
        return []
    raw, indices = data.contents.raw.train, data.contents.row_indices
    assert raw.lengths is not None
    within, without = buckets.padding(raw.lengths if indices is None else raw.lengths[indices[0]])
    listed = ", ".join(map(str, buckets.lengths))
    return [
        f"buckets   batches of up to {listed} steps, of which {within:.0%} fill up rows; "
        f"{without:.0%} without buckets"
    ]


def _kept(data: Data) -> list[str]:
    """Where images are kept as they are decoded, if they are."""
    if not isinstance(data, RawData):
        return []
    inputs = [one for part in data.contents.raw.parts for one in leaves(part.inputs)]
    kept = [one for one in inputs if isinstance(one, KeptRows)]
    if not kept:
        return []
    size = size_text(sum(one.size for one in kept))
    return [f"decoded   kept in {kept[0].folder}: {size}"]


def _inputs(facts: Facts) -> str:
    if not isinstance(facts.inputs, Mapping):
        return f"{list(facts.shape)}"
    return _listed([f"{name} {list(feature.shape)}" for name, feature in facts.inputs.items()])


def _columns(contents: Contents) -> str:
    """What each column of a table is taken for."""
    numbers = _listed(contents.raw.columns or ())
    words = [f"{NUMBERS} {numbers}"] if numbers else []
    for name, one in contents.learnt.items():
        if isinstance(one, CategoryPreparation):
            words.append(f"{name} a category of {len(one.vocabulary):,}")
        elif isinstance(one, TextPreparation):
            words.append(f"{name} text of {len(one.vocabulary):,} words")
        elif isinstance(one, DatePreparation):
            words.append(f"{name} a date")
    return "; ".join(words)


def _labels_of(data: RawData, contents: Contents) -> str:
    """The labels, with their names as the data has them."""
    labels, raw = contents.labels, contents.raw.train.labels
    if labels is None or isinstance(labels, Mapping) or isinstance(raw, Mapping) or raw is None:
        by_name = labels if isinstance(labels, Mapping) else {}
        return _labels(contents.facts, {name: one.names or () for name, one in by_name.items()})
    feature = contents.facts.label
    is_marked = feature.classes and not feature.shape and raw.shape[1:] not in ((), (1,))
    field, named = data.labels_override
    names = named if isinstance(named, list) else [str(named)] if field == "target" else []
    return _label(feature, labels.names or (), ", one-hot" if is_marked else "", names)


def _labels(facts: Facts, names: Mapping[str, Sequence[str]] | None = None) -> str:
    """Every label: the task that it sets."""
    if not facts.has_comparable_labels:
        return "none"
    if facts.labels == facts.inputs:
        return "the inputs, to be given back"
    if not isinstance(facts.labels, Mapping):
        return _label(facts.label)
    known = names or {}
    each = [f"{n} {_label(one, known.get(n, ()))}" for n, one in facts.labels.items()]
    return "; ".join(each)


def _label(
    label: Feature, names: Sequence[str] = (), how: str = "", targets: Sequence[str] = ()
) -> str:
    """The task that a label sets: classes by number and name, or numbers to predict."""
    if label.classes is None:
        one = label.shape == (1,)
        row = f"{label.shape[0]} numbers" if len(label.shape) == 1 else f"{list(label.shape)}"
        return f"{'a number' if one else row} to predict" + (
            f": {_listed(targets)}" if targets else ""
        )
    places = f" at each of {list(label.shape)} places" if label.shape else ""
    numbered = _listed([f"{i} {name}" for i, name in enumerate(names)])
    return f"{label.classes} classes{places}{how}: {numbered or f'0 to {label.classes - 1}'}"


def _examples(data: RawData, contents: Contents) -> str:
    stream, examples = contents.raw.stream, contents.facts.examples
    if stream is not None and contents.raw.test is not None:
        tests = f"{len(contents.raw.test):,} of its own to test"
        return f"from {stream.source.described()}; {tests}"
    assert examples is not None
    train = f"{examples:,} to train"
    if contents.raw.test is not None:
        if (share := contents.raw.last_share) is not None:
            count = len(contents.raw.test)
            return f"{train}, {count:,} held out: those of the last {share:g} of the rows"
        return f"{train}, {len(contents.raw.test):,} of its own to test"
    held_out = data.held_out or HeldOut()
    count = len(contents.raw.train) - examples
    return f"{train}, {count:,} held out: {held_out.fraction:g} of all, by seed {held_out.seed}"


def _listed(names: Sequence[str]) -> str:
    """The first names, and how many there are of more."""
    shown = ", ".join(names[:NAMES_SHOWN])
    return shown if len(names) <= NAMES_SHOWN else f"{shown} … {len(names):,} in all"
