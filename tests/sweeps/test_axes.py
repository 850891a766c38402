"""What a sweep varies: counted before it is made, and zipped where that is asked for."""

from __future__ import annotations

from itertools import product

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from schedules.declaration import Refused
from trainer.config.hydra import normalize_overrides
from trainer.config.sweep_words import MAX_JOBS
from trainer.sweeps.axes import value_count, values
from trainer.sweeps.grid import combinations, params_overrides
from trainer.sweeps.search.space import Space


def combined(*typed: str) -> list[list[str]]:
    """The values of each combination, in the order in which the overrides are typed."""
    found = combinations(list(normalize_overrides(typed)))
    return [[override.partition("=")[2] for override in overrides] for overrides in found]


def test_zipped_values_vary_together_and_are_crossed_with_the_others() -> None:
    pairs, seeds = [("0.1", "100"), ("0.01", "200")], ("1", "2", "3")
    typed = ("schedule.initial_value=zip(0.1,0.01)", "run.seed=1,2,3", "run.length=zip(100,200)")
    assert combined(*typed) == [[rate, seed, length] for (rate, length) in pairs for seed in seeds]


@pytest.mark.parametrize(
    ("zipped", "expected"),
    [
        ("zip(7,8,9)", ["7", "8", "9"]),
        ("zip(range(7,10))", ["7", "8", "9"]),
        ("zip(logspace(1,100,3))", ["1.0", "10.0", "100.0"]),
        ("zip( cosine , rex , {kind: x, b: 1})", ["cosine", "rex", "{kind:x,b:1}"]),
        ("zip([8],[16],[8,8])", ["[8]", "[16]", "[8,8]"]),
        ("tag(zip,choice(7,8,9))", ["7", "8", "9"]),
    ],
)  # fmt: skip
def test_whatever_can_be_swept_can_be_zipped(zipped: str, expected: list[str]) -> None:
    found = combined(f"a.b={zipped}", "run.seed=zip(1,2,3)")
    assert found == [[value, seed] for value, seed in zip(expected, "123", strict=True)]


def test_those_with_another_tag_are_zipped_among_themselves() -> None:
    typed = (
        "a.a=zip(1,2)", "a.b=tag(zip,other,choice(3,4,5))",
        "a.c=zip(6,7)", "a.d=tag(zip,other,range(8,11))",
    )  # fmt: skip
    ones, others = [("1", "6"), ("2", "7")], [("3", "8"), ("4", "9"), ("5", "10")]
    assert combined(*typed) == [[a, b, c, d] for (a, c), (b, d) in product(ones, others)]


def test_an_experiment_file_zips_as_a_command_line_does() -> None:
    params = {"schedule.initial_value": "zip(0.1,0.01)", "run.length": "zip(100,200)"}
    assert combinations(params_overrides(params, [])) == [
        ("++schedule.initial_value=0.1", "++run.length=100"),
        ("++schedule.initial_value=0.01", "++run.length=200"),
    ]


@pytest.mark.parametrize(
    ("typed", "path", "value", "rule"),
    [
        (["a.a=zip(1,2)", "a.b=zip(1,2,3)"], "a.b", "zip(1,2,3)", "has 3 values, and a.a"),
        (["a.a=zip(1,2)", "a.b=zip(range(0,1))"], "a.b", "zip(range(0,1))", "has 1 value, and"),
        (["a.a=zip()"], "a.a", "zip()", "must have values"),
        (["a.a=zip(interval(0,1))"], "a.a", "zip(interval(0,1))", "is a range without steps"),
        (["a.a=tag(log,range(1,3))"], "a.a", "tag(log,range(1,3))", "has the tag log"),
        (["a.a=range(3,1)"], "a.a", "range(3,1)", "holds nothing"),
        (["a.a=range(1,3,0)"], "a.a", "range(1,3,0)", "without an end"),
        (["a.a=range(1,inf)"], "a.a", "range(1,inf)", "without an end"),
        (["a.a=range(0,1e7)"], "a.a", "range(0,1e7)", "a sweep of 10,000,000 jobs"),
        (["a.a=zip(range(0,1e7))"], "a.a", "zip(range(0,1e7))", "a sweep of 10,000,000 jobs"),
        (["a.a=logspace(1,2,100000000)"], "a.a", "logspace(1,2,100000000)", "100,000,000 jobs"),
        (["a.a=linspace(1,2,1e300)"], "a.a", "linspace(1,2,1e300)", "a sweep of 1e+300 jobs"),
        (["a.a=range(0,101)", "a.b=range(0,100)"], "a.a", "range(0,101)", "of 10,100 jobs"),
    ],
)  # fmt: skip
def test_what_no_sweep_can_honour_is_refused_before_it_is_made(
    typed: list[str], path: str, value: str, rule: str
) -> None:
    with pytest.raises(Refused) as refused:
        combined(*typed)
    (problem,) = refused.value.problems
    assert (problem.path, problem.value) == (path, value)
    assert rule in problem.rule


def test_the_most_jobs_are_allowed() -> None:
    assert len(combined(f"a.a=range(0,{MAX_JOBS})")) == MAX_JOBS


@pytest.mark.parametrize(
    "typed",
    ["range(1,10)", "range(0,1,0.1)", "range(0,0.3,0.1)", "range(0.7,0,-0.1)", "range(10,1,-3)",
     "range(5)", "shuffle(range(1,5))", "float(range(1,5))", "a,b", "choice(1,2,3)"],
)  # fmt: skip
def test_values_are_counted_as_many_as_hydra_makes(typed: str) -> None:
    override = OverridesParser.create().parse_override(f"a={typed}")
    assert value_count(override) == len(values(override))


@pytest.mark.parametrize(
    ("typed", "rule"),
    [
        ("zip(1,2)", "a search draws each value by itself"),
        ("tag(mine,choice(1,2))", "has a tag that means nothing"),
        ("range(10000000,0,-1)", "a sweep of 10,000,000 jobs"),
        ("range(1,inf)", "without an end"),
    ],
)
def test_a_search_refuses_what_it_would_drop(typed: str, rule: str) -> None:
    with pytest.raises(Refused, match=rule):
        Space.parse(list(normalize_overrides([f"a.b={typed}"])))


def test_a_search_on_a_grid_counts_its_values_before_it_makes_them() -> None:
    space = Space.parse(["a=range(0,10000000)"])
    with pytest.raises(Refused, match="a sweep of 10,000,000 jobs"):
        space.enumerated()
