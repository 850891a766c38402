"""Schedules that hear what evaluations find, or follow a hand, and carry it over."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import Clock, Refused, load

PLATEAU = {"kind": "plateau", "initial_value": 1.0, "factor": 0.5, "patience": 1}
WARMUP = {"kind": "linear", "initial_value": 0.0, "end_value": 1.0, "length": 10}
WARM_PLATEAU = {"kind": "sequence", "parts": {"warmup": WARMUP, "main": PLATEAU}}


def heard(curve, *metrics):
    for metric in metrics:
        curve.observe(metric)
    return curve(0)


def test_a_cut_follows_more_than_patience_evaluations_without_gain():
    curve = load(PLATEAU)
    assert [heard(curve, loss) for loss in (1.0, 1.0, 1.0, 1.0, 1.0)] == [1, 1, 0.5, 0.5, 0.25]


def test_a_gain_has_to_be_larger_than_min_delta():
    curve = load(PLATEAU | {"min_delta": 0.25})
    assert heard(curve, 2.0, 1.75, 1.75) == 0.5  # a gain of just min_delta is none
    curve = load(PLATEAU | {"min_delta": 0.25})
    assert heard(curve, 2.0, 1.5, 1.0) == 1.0


def gains_in_torch(metrics, mode, mode_of_threshold, threshold):
    """`ReduceLROnPlateau._is_better`, and what it starts from, as torch 2 has them."""
    best = math.inf if mode == "min" else -math.inf
    for a in metrics:
        if mode == "min" and mode_of_threshold == "rel":
            better = a < best * (1.0 - threshold)
        elif mode == "min":
            better = a < best - threshold
        elif mode_of_threshold == "rel":
            better = a > best * (threshold + 1.0)
        else:
            better = a > best + threshold
        best = a if better else best
        yield better


@given(
    st.lists(st.integers(1, 40).map(lambda n: n / 16), max_size=20),
    st.sampled_from(["min", "max"]),
    st.sampled_from(["rel", "abs"]),
    st.sampled_from([0.0, 0.0625, 0.5]),
)
def test_a_gain_is_what_torch_takes_for_one(metrics, mode, mode_of_threshold, threshold):
    more = {"mode": mode, "threshold_mode": mode_of_threshold, "min_delta": threshold}
    curve = load(PLATEAU | more | {"patience": 1000})
    for metric, better in zip(
        metrics, gains_in_torch(metrics, mode, mode_of_threshold, threshold), strict=True
    ):
        curve.observe(metric)
        assert (curve.state()[""]["without_gain"] == 0) == better


@pytest.mark.parametrize(("mode", "worse"), [("min", -0.95), ("max", -1.05)])
def test_a_metric_below_0_that_gets_worse_is_no_gain(mode, worse):
    curve = load(PLATEAU | {"mode": mode, "threshold_mode": "rel", "min_delta": 0.1})
    assert heard(curve, -1.0, worse, worse) == 0.5


def test_in_mode_max_more_is_better():
    assert heard(load(PLATEAU | {"mode": "max"}), 0.1, 0.2, 0.3, 0.4) == 1.0
    assert heard(load(PLATEAU | {"mode": "max"}), 0.4, 0.3, 0.2) == 0.5


def test_a_cooldown_passes_before_evaluations_count_again():
    curve = load(PLATEAU | {"patience": 0, "cooldown": 2})
    assert [heard(curve, 1.0) for _ in range(6)] == [1, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_cuts_go_no_lower_than_min_value_and_leave_a_lower_warmup_alone():
    ramp = {"kind": "linear", "initial_value": 0.0, "end_value": 1.0, "decay_steps": 10}
    curve = load({"kind": "plateau", "schedule": ramp, "patience": 0, "min_value": 0.4})
    assert heard(curve, *[1.0] * 9) == 0.0
    assert curve([2, 5, 10]).tolist() == [0.2, 0.4, 0.4]


def test_the_curve_under_a_plateau_goes_on_while_cuts_add_up():
    steps = {"kind": "multistep", "initial_value": 1.0, "milestones": [10], "gamma": 0.1}
    curve = load({"kind": "plateau", "schedule": steps, "factor": 0.5, "patience": 0})
    heard(curve, 1.0, 1.0)
    assert curve([9, 10]).tolist() == [0.5, 0.05]


def test_a_plateau_watches_its_own_metric():
    curve = load(PLATEAU | {"metric": "eval_accuracy", "mode": "max", "patience": 0})
    assert heard(curve, {"eval_loss": 1.0, "eval_accuracy": 0.5}) == 1.0
    assert heard(curve, {"eval_loss": 0.5, "eval_accuracy": 0.5}) == 0.5
    with pytest.raises(Refused) as refused:
        curve.observe({"eval_loss": 1.0, "eval_acc": 0.5})
    assert str(refused.value) == (
        "metric = 'eval_accuracy': is not among what was evaluated: eval_acc, eval_loss\n"
        "  hint: did you mean eval_acc?"
    )


def test_a_missing_metric_is_told_by_its_override():
    with pytest.raises(Refused, match=r"^parts\.main\.metric = 'eval_loss'"):
        load(WARM_PLATEAU, Clock(100)).observe({"loss": 1.0}, 50)


def test_only_the_part_in_force_hears_an_evaluation():
    curve = load(WARM_PLATEAU, Clock(100))
    for _ in range(10):
        curve.observe(1.0, 5)
    assert curve(50) == 1.0
    for _ in range(3):
        curve.observe(1.0, 10)
    assert curve(50) == 0.5


def test_an_evaluation_reaches_through_delays_and_repeats_to_the_part_in_force():
    repeated = {"kind": "repeat", "schedule": WARM_PLATEAU, "length": 20}
    curve = load({"kind": "delay", "length": 100, "value": 1.0, "schedule": repeated}, Clock(1000))
    for step in (50, 105, 125, 145):  # the wait, and three warmups
        for _ in range(3):
            curve.observe(1.0, step)
    assert curve(115) == 1.0
    for step in (115, 135, 155):
        curve.observe(1.0, step)
    assert curve(115) == 0.5


def test_a_hand_sets_every_manual_schedule():
    manual = {"kind": "manual", "initial_value": 0.1}
    curve = load({"kind": "sum", "schedules": [manual, manual, {"kind": "constant", "value": 1}]})
    assert curve(0) == pytest.approx(1.2)
    curve.set(0.5)
    assert curve([0, 10]).tolist() == [2.0, 2.0]
    curve.set(None)
    assert curve(0) == pytest.approx(1.2)


@pytest.mark.parametrize("value", [True, float("nan"), float("inf"), "0.1", [1.0]])
def test_a_hand_gives_finite_numbers_only(value):
    curve = load({"kind": "manual", "initial_value": 0.1})
    with pytest.raises(Refused, match="must be a finite number"):
        curve.set(value)
    assert curve(0) == 0.1


def test_without_a_manual_schedule_there_is_nothing_to_set():
    with pytest.raises(Refused, match="no part of this schedule is set by hand"):
        load(WARM_PLATEAU, Clock(100)).set(0.1)


NESTED = {
    "kind": "sequence",
    "parts": {
        "warmup": WARMUP,
        "main": {
            "kind": "product",
            "schedules": [PLATEAU, {"kind": "manual", "initial_value": 1.0}, PLATEAU]
            + [{"kind": "constant", "value": 1.0}] * 7
            + [{"kind": "plateau", "schedule": PLATEAU, "factor": 0.9, "patience": 0}],
        },
    },
}


@given(st.lists(st.floats(0, 1), max_size=15), st.floats(0, 1), st.lists(st.floats(0, 1)))
def test_state_carried_over_goes_on_as_if_nothing_had_happened(before, value, after):
    curve = load(NESTED, Clock(100))
    heard(curve, *before)
    curve.set(value)
    resumed = load(NESTED, Clock(100))
    resumed.restore(json.loads(json.dumps(curve.state(), allow_nan=False)))
    assert resumed.state() == curve.state()
    for metric in after:
        heard(curve, metric), heard(resumed, metric)
        assert resumed(range(30)).tolist() == curve(range(30)).tolist()


def test_asking_changes_nothing():
    curve = load(NESTED, Clock(100))
    state = curve.state()
    curve(range(1000))
    assert curve.state() == state == load(NESTED, Clock(100)).state()


def test_a_state_of_another_schedule_is_refused():
    state = load(NESTED, Clock(100)).state()
    with pytest.raises(Refused, match="is no state of this schedule"):
        load(PLATEAU).restore(state)
    with pytest.raises(Refused, match="is no state of a plateau"):
        load(PLATEAU).restore({"": {"best": 1.0, "worst": 2.0}})
    with pytest.raises(Refused, match="must be a finite number"):
        load({"kind": "manual", "initial_value": 1.0}).restore({"": "x"})


def test_a_curve_says_whether_it_reacts():
    assert load(NESTED, Clock(100)).reacts
    assert not load(
        {"kind": "scale", "factor": 1, "schedule": {"kind": "constant", "value": 1}}
    ).reacts
    assert load({"kind": "constant", "value": 1}).state() == {}
