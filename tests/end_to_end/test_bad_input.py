"""Each thing that can't be honoured, and all that is said of it: path, value, rule and hint."""

import numpy as np
import pytest

from schedules import Clock, Refused, load

HERE = "tests.end_to_end.test_bad_input"

LINEAR = {"kind": "linear", "initial_value": 1.0, "end_value": 0.0}
PIECES = {"kind": "piecewise_constant", "boundaries": [10, 20], "values": [1, 2, 3]}
STEPS = {"kind": "multistep", "initial_value": 1.0}
RESTARTS = {"kind": "cosine_restarts", "initial_value": 1.0, "first_decay_steps": 10}
DURATION = (
    "must be a number of steps, or a text such as "
    "'500 steps', '10 epochs', '60000 examples' or '20%'"
)
BOOLEANS = "YAML reads yes, no, on, off, true and false as booleans; write 1 or 0"
ASCENDING = "write them in ascending order, each of them once"


def sequence(**parts):
    return {"kind": "sequence", "parts": parts}


def custom(call, **kwargs):
    return {"kind": "custom", "call": call, "kwargs": kwargs}


def raising(steps):
    raise RuntimeError("not today")


def scalar(steps):
    return 0.1


def short(steps):
    return steps[1:] * 0.1


def texts(steps):
    return np.full(steps.shape, "a")


def infinite(steps):
    return 1.0 / (steps - 99)


BAD = {
    "unsorted boundaries": (
        PIECES | {"boundaries": [20, 10]},
        "boundaries.1 = 10: must come after boundaries.0 = 20 steps",
        ASCENDING,
    ),
    "repeated boundaries": (
        PIECES | {"boundaries": [10, 10]},
        "boundaries.1 = 10: must come after boundaries.0 = 10 steps",
        ASCENDING,
    ),
    "boundaries that only their units put out of order": (
        PIECES | {"boundaries": ["1 epoch", "50 examples"]},
        "boundaries.1 = '50 examples': must come after boundaries.0 = 1 epoch",
        ASCENDING,
    ),
    "empty boundaries": (
        PIECES | {"boundaries": []},
        "boundaries = []: must have at least 1, and is empty",
        "where the value changes, in ascending order",
    ),
    "a boundary that is no list": (
        PIECES | {"boundaries": 10},
        "boundaries = 10: must be a list",
        "where the value changes, in ascending order",
    ),
    "fewer values than boundaries need": (
        PIECES | {"values": [1, 2]},
        "values = [1.0, 2.0]: must be 3 values, one more than boundaries, and is 2",
        "the first value holds before the first boundary, the last one after the last",
    ),
    "an unknown choice": (
        PIECES | {"boundary": "left"},
        "boundary = 'left': must be 'inclusive' or 'exclusive'",
        "whether a boundary's own step still has the value before it, or already the next one",
    ),
    "repeated milestones": (
        STEPS | {"milestones": [5, 7, 7]},
        "milestones.2 = 7: must come after milestones.1 = 7 steps",
        ASCENDING,
    ),
    "empty milestones": (
        STEPS | {"milestones": []},
        "milestones = []: must have at least 1, and is empty",
        "the moments at which the value is multiplied, in ascending order",
    ),
    "unsorted points": (
        {"kind": "interpolate", "points": [["50%", 1.0], ["20%", 0.5]]},
        "points.1.0 = '20%': must come after points.0.0 = 50%",
        ASCENDING,
    ),
    "a point without a value": (
        {"kind": "interpolate", "points": [[0, 1.0], [5]]},
        "points.1.1: is required",
        "",
    ),
    "a zero length": (
        LINEAR | {"decay_steps": 0},
        "decay_steps = 0: must be longer than 0",
        "such as 1, for a single step, or '10 epochs'",
    ),
    "a negative length": (
        LINEAR | {"decay_steps": "-5 epochs"},
        "decay_steps = '-5 epochs': must not be negative",
        "such as '10 epochs'",
    ),
    "an unknown unit": (
        LINEAR | {"decay_steps": "10 ephocs"},
        f"decay_steps = '10 ephocs': {DURATION}",
        "did you mean epochs?",
    ),
    "a boolean as a length": (
        LINEAR | {"decay_steps": True},
        f"decay_steps = true: {DURATION}",
        "such as '10 epochs'",
    ),
    "a length that is not a number": (
        LINEAR | {"decay_steps": float("nan")},
        f"decay_steps = nan: {DURATION}",
        "such as '10 epochs'",
    ),
    "a length beyond all runs": (
        LINEAR | {"decay_steps": 1e30},
        "decay_steps = 1e+30: must be between 1e-9 and 1e18",
        "such as '10 epochs'",
    ),
    "a boolean as a number": (
        LINEAR | {"initial_value": False},
        "initial_value = false: must be a number",
        BOOLEANS,
    ),
    "a number that is none": (
        LINEAR | {"initial_value": float("nan")},
        "initial_value = nan: must be finite",
        "give an ordinary number",
    ),
    "an infinite number": (
        LINEAR | {"end_value": float("-inf")},
        "end_value = -inf: must be finite",
        "give an ordinary number",
    ),
    "a number that plain YAML reads as text": (
        LINEAR | {"initial_value": "1e-4"},
        "initial_value = '1e-4': must be a number",
        "write it without quotes, as 0.0001",
    ),
    "a fraction as a whole number": (
        {"kind": "noam", "d_model": 3.5},
        "d_model = 3.5: must be a whole number",
        "the width of the model",
    ),
    "a text as a flag": (
        {"kind": "exponential", "initial_value": 1, "decay_rate": 1, "staircase": "yes"},
        "staircase = 'yes': must be true or false",
        "whether to decay at discrete intervals, all at once",
    ),
    "t_mul of zero": (
        RESTARTS | {"t_mul": 0},
        "t_mul = 0: must be greater than 0",
        "how much longer each cycle is than the one before",
    ),
    "t_mul below zero": (
        RESTARTS | {"t_mul": -1.5},
        "t_mul = -1.5: must be greater than 0",
        "how much longer each cycle is than the one before",
    ),
    "peaks without bound": (
        RESTARTS | {"t_mul": 0.5, "m_mul": 2.0},
        "m_mul = 2.0: must be at most 1 where t_mul is below 1, "
        "or the peaks grow beyond all bounds",
        "m_mul=1.0",
    ),
    "parts that don't fit": (
        sequence(up=LINEAR | {"length": 60}, down=LINEAR | {"length": "70%"}),
        "parts.down.length = '70%': must fit: "
        "the parts take 130 steps (up 60, down 70) of a span of 100",
        "make it shorter",
    ),
    "parts that leave nothing": (
        sequence(up=LINEAR | {"length": 100}, down=LINEAR),
        "parts.up.length = 100: must fit: "
        "the parts take 100 steps (up 100) of a span of 100 and leave nothing for down",
        "make it shorter",
    ),
    "two open-ended parts": (
        sequence(up=LINEAR, down=LINEAR),
        "parts.down.length: is required, since parts.up.length is left out too",
        "only one part can take what the others leave; write parts.down.length=10%, say",
    ),
    "a part of no length": (
        sequence(up=LINEAR | {"length": 0}, down=LINEAR),
        "parts.up.length = 0: must be longer than 0",
        "such as 1, for a single step, or '10 epochs'",
    ),
    "no parts": (
        sequence(),
        "parts = {}: must have at least 1, and is empty",
        "the parts by name, each a schedule and its `length`",
    ),
    "a part that no override can name": (
        sequence(**{"a.b": LINEAR}),
        "parts = 'a.b': is no name that an override could use",
        "use letters, digits and _, a letter first",
    ),
    "parts in a list": (
        {"kind": "sequence", "parts": [3]},
        "parts = [3]: must be a mapping",
        "the parts by name, each a schedule and its `length`",
    ),
    "a delay that leaves nothing": (
        {"kind": "delay", "schedule": LINEAR, "length": "1.5 epochs", "value": 1},
        "length = '1.5 epochs': must fit: "
        "the parts take 150 steps (delay 150) of a span of 100 and leave nothing for main",
        "make it shorter",
    ),
    "an unknown kind": (
        {"kind": "cosin", "initial_value": 1},
        "kind = 'cosin': is no known schedule",
        "did you mean cosine?",
    ),
    "a kind without its mapping": (
        {"kind": "scale", "factor": 1, "schedule": "cosine"},
        "schedule = 'cosine': must be a mapping with a `kind`",
        "write {kind: cosine, …}",
    ),
    "an unknown key": (
        LINEAR | {"decay_step": 5},
        "decay_step = 5: is no known key",
        "did you mean decay_steps?",
    ),
    "a missing key": (
        {"kind": "linear", "initial_value": 1},
        "end_value: is required",
        "the value from `decay_steps` on",
    ),
    "a bound above the other": (
        {"kind": "clip", "schedule": LINEAR, "min_value": 2, "max_value": 1},
        "min_value = 2.0: must not be above max_value = 1.0",
        "swap them",
    ),
    "no bound": (
        {"kind": "clip", "schedule": LINEAR},
        "min_value: or max_value is required",
        "give at least one bound",
    ),
    "a plateau of nothing": (
        {"kind": "plateau"},
        "initial_value: takes either schedule or initial_value, and has neither",
        "schedule: a curve to cut; initial_value: a constant to cut",
    ),
    "a plateau of two things": (
        {"kind": "plateau", "schedule": LINEAR, "initial_value": 1},
        "initial_value = 1.0: takes either schedule or initial_value, and has both",
        "schedule: a curve to cut; initial_value: a constant to cut",
    ),
    "three phases that take too long": (
        {"kind": "one_cycle", "max_value": 1, "pct_start": 0.6, "three_phase": True},
        "pct_start = 0.6: must be at most 0.5 with three_phase, "
        "which comes down as slowly as it rises",
        "pct_start=0.5",
    ),
    "a call that names no function": (
        custom("math"),
        "call = 'math': must read package.module:function",
        "such as math:cos",
    ),
    "a module that isn't there": (
        custom("no.such:thing"),
        "call = 'no.such:thing': can't be imported: ModuleNotFoundError: No module named 'no'",
        "is its folder on PYTHONPATH?",
    ),
    "a function that isn't there": (
        custom("numpy:sqrtt"),
        "call = 'numpy:sqrtt': is no function of numpy",
        "did you mean sqrt?",
    ),
    "a function that raises": (
        custom(f"{HERE}:raising"),
        f"call = '{HERE}:raising': raised RuntimeError: not today",
        "it was given steps of shape (2,)",
    ),
    "a function of one value": (
        custom(f"{HERE}:scalar"),
        f"call = '{HERE}:scalar': returned float64 of shape () for steps of (2,)",
        "return one number for each step",
    ),
    "a function of too few values": (
        custom(f"{HERE}:short"),
        f"call = '{HERE}:short': returned float64 of shape (1,) for steps of (2,)",
        "return one number for each step",
    ),
    "a function of no numbers": (
        custom(f"{HERE}:texts"),
        f"call = '{HERE}:texts': returned <U1 of shape (2,) for steps of (2,)",
        "return one number for each step",
    ),
    "a function of an infinite value": (
        custom(f"{HERE}:infinite"),
        f"call = '{HERE}:infinite': returned a value that is not finite at step 99",
        "return one finite number for each step",
    ),
    "an empty table": (
        {"kind": "table", "values": []},
        "values = []: must have at least 1, and is empty",
        "the values themselves; or give `file`",
    ),
    "a table of nothing": (
        {"kind": "table"},
        "file: takes either values or file, and has neither",
        "values: a list of numbers; file: a .csv, .json or .npy file of them",
    ),
}


@pytest.mark.parametrize(("config", "message", "hint"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused_with_path_value_rule_and_hint(config, message, hint):
    with pytest.raises(Refused) as refused:
        load(config, Clock(100, batch_size=10, examples_per_epoch=1000))
    assert str(refused.value) == message + (f"\n  hint: {hint}" if hint else "")


@pytest.mark.parametrize(
    ("clock", "length", "message"),
    [
        (Clock(100), "1 epoch", "needs a clock with examples_per_epoch, and this one has none"),
        (Clock(100), "9 examples", "needs a clock with batch_size, and this one has none"),
        (Clock(), "10%", "needs a clock with total_steps, and this one has none"),
    ],
)
def test_a_unit_without_its_size_is_refused_by_name(clock, length, message):
    for path, config in {
        "decay_steps": LINEAR | {"decay_steps": length},
        "parts.up.length": sequence(up=LINEAR | {"length": length}),
        "schedules.0.decay_steps": {"kind": "sum", "schedules": [LINEAR | {"decay_steps": length}]},
        "boundaries.0": {"kind": "piecewise_constant", "boundaries": [length], "values": [1, 2]},
        "points.1.0": {"kind": "interpolate", "points": [[0, 1], [length, 2]]},
    }.items():
        with pytest.raises(Refused) as refused:
            load(config, clock)
        assert (
            str(refused.value)
            == f"{path} = '{length}': {message}\n  hint: write the length in steps"
        )


def test_every_problem_of_a_config_is_told_at_once():
    config = sequence(up=LINEAR | {"initial_value": "x", "end_value": True, "length": -1}, down={})
    with pytest.raises(Refused) as refused:
        load(config, Clock(100))
    assert sorted(problem.path for problem in refused.value.problems) == [
        "parts.down.kind",
        "parts.up.end_value",
        "parts.up.initial_value",
        "parts.up.length",
    ]


@pytest.mark.parametrize("config", [None, 3, [], "cosine", {}, {"kind": 5}, {"kind": ["cosine"]}])
def test_what_is_no_declaration_at_all_is_refused(config):
    with pytest.raises(Refused, match="kind"):
        load(config)


@pytest.mark.parametrize("steps", [-1, 1.0, "3", True, [0, -1], [0.5], None])
def test_what_is_no_step_is_refused(steps):
    with pytest.raises(ValueError, match="steps must be whole numbers from 0 on"):
        load({"kind": "constant", "value": 1})(steps)
