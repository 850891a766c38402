import pytest

from schedules import Refused, Schedule
from schedules.catalogue import entries
from schedules.declaration.docstrings import field_docs

KINDS = sorted(Schedule.kinds)


def test_every_kind_has_an_entry():
    assert [entry.split()[0] for entry in entries()] == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_tells_shape_and_formula_and_every_parameter(kind):
    [entry] = entries(kind)
    heading, *rows = entry.splitlines()
    assert heading.startswith(kind)
    assert len(heading.split()) == 2, "no conf file to draw the shape of"
    message = {row.split()[0]: row for row in rows if row.startswith("    ")}
    fields = Schedule.kinds[kind].model_fields
    for name, field in fields.items():
        if name != "kind":
            assert name in field_docs(Schedule.kinds[kind]), f"{kind}.{name} has no docstring"
            assert ("required" in message[name]) == field.is_required()


def test_an_unknown_kind_is_refused_with_the_nearest():
    with pytest.raises(Refused, match="did you mean cosine"):
        list(entries("cosin"))
