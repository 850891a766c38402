"""The images that ship with the package."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.helpers.splits import loaded, refused
from trainer.data import Data
from trainer.data.summary import summary


@pytest.mark.parametrize("kind", ["digits", "mnist5k"])
def test_images_are_to_be_given_back_where_they_are_the_labels(kind: str) -> None:
    data = Data.declared({"kind": kind, "labels": "inputs"})
    facts = data.facts()
    assert facts.labels is facts.inputs
    assert "labels    the inputs, to be given back" in summary(data)
    split, classes = loaded(kind=kind, labels="inputs"), loaded(kind=kind)
    assert split.train.labels is split.train.inputs
    np.testing.assert_array_equal(split.test.inputs, classes.test.inputs)


HINTS: dict[str, Any] = {
    "window": {"length": 3}, "ragged": {"length": 3}, "buckets": 3, "windows": {"length": 3},
}  # fmt: skip


@pytest.mark.parametrize("kind", ["digits", "mnist5k", "synthetic"])
@pytest.mark.parametrize("field", HINTS)
def test_what_it_has_not_is_hinted_by_the_kinds_that_have_it(kind: str, field: str) -> None:
    problem = refused(lambda: Data.declared({"kind": kind, field: HINTS[field]}))
    named = problem.hint.partition("data=")[2].partition(" has")[0].partition(" takes")[0]
    known = field.removesuffix("s") if field == "windows" else field
    for other in named.replace(" or ", ", ").split(", "):
        member = Data.find(other)
        assert member is not None
        assert known in member.model_fields
        assert known != "window" or getattr(member, "has_order", False)
