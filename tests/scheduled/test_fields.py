"""Fields that take a number or a schedule."""

from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from schedules import Refused, Schedule
from schedules.declaration import Declaration, Number
from trainer.scheduled.fields import Bounds, Value, bounds, schedules_of, unscheduled

HALF = {"kind": "constant", "value": 0.5}
LIMITS = st.one_of(
    st.builds(Bounds, ge=st.integers(-9, 0), lt=st.integers(1, 9)),
    st.builds(Bounds, gt=st.integers(-9, 0), le=st.integers(1, 9)),
    st.builds(Bounds, ge=st.integers(-9, 9)),
    st.builds(Bounds, lt=st.integers(-9, 9)),
    st.just(Bounds()),
)


class Mixture(Declaration):
    share: Annotated[Value, Bounds(ge=0, le=1)]
    limit: Annotated[Value | None, Bounds(gt=0)] = None
    start: Annotated[Number, unscheduled("it is where all begins")] = 0.0


def test_a_field_takes_a_number_a_schedule_or_the_mapping_of_one():
    schedule = Schedule.declared(HALF)
    assert Mixture.declared({"share": 1}).share == 1.0
    assert Mixture.declared({"share": HALF}).share == schedule
    assert Mixture.declared({"share": schedule}).share is schedule


def test_a_whole_number_becomes_a_float():
    assert isinstance(Mixture.declared({"share": 1}).share, float)


def test_null_is_taken_only_where_a_field_may_be_off():
    assert Mixture.declared({"share": 0, "limit": None}).limit is None
    with pytest.raises(Refused, match="share = null: must be a number"):
        Mixture.declared({"share": None})


def test_all_problems_of_all_fields_are_told_at_once():
    config = {"share": 2, "limit": {"kind": "constant", "value": "x"}, "start": HALF}
    with pytest.raises(Refused) as refused:
        Mixture.declared(config)
    assert {problem.path: problem.rule for problem in refused.value.problems} == {
        "share": "must be at least 0 and at most 1",
        "limit.value": "must be a number",
        "start": "cannot be scheduled: it is where all begins",
    }


def test_only_the_fields_that_a_schedule_drives_are_schedules():
    assert schedules_of(Mixture.declared({"share": 0.5, "limit": HALF})) == {
        "limit": Schedule.declared(HALF)
    }


def test_a_field_that_cannot_be_scheduled_has_no_bounds():
    assert bounds(Mixture, "share") == Bounds(ge=0, le=1)
    assert bounds(Mixture, "start") is None


@given(LIMITS)
def test_two_values_apart_lie_within_the_bounds(limits):
    low, high = limits.apart()
    assert low < high
    assert limits.admit([low, high]).all()


@given(LIMITS, st.integers(-10, 10))
def test_a_number_is_taken_exactly_where_the_bounds_admit_it(limits, number):
    adapter = TypeAdapter(Annotated[Value, limits])
    try:
        adapter.validate_python(number)
        taken = True
    except ValueError:
        taken = False
    assert taken == limits.admit(number)


def test_the_json_schema_tells_the_bounds_and_the_alternative():
    properties = Mixture.model_json_schema()["properties"]
    number, schedule = properties["share"]["anyOf"]
    assert number == {"type": "number", "minimum": 0, "maximum": 1}
    assert schedule == TypeAdapter(Schedule).json_schema()
    assert properties["limit"]["anyOf"][-1] == {"type": "null"}
