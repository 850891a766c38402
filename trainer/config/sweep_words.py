"""Words for several values for which Hydra has none: `logspace`, `linspace` and `zip`."""

from __future__ import annotations

import re

import numpy as np

from schedules.declaration import Refused, refuse

MAX_JOBS = 10_000
"""The most jobs that a sweep may have, and so the most values that one override may stand for."""

ZIP = "zip"
"""The tag of values that vary together."""
SPACE_CALL = re.compile(r"\b(logspace|linspace)\(([^()]*)\)")
ZIP_CALL = re.compile(r"zip\((.*)\)", re.DOTALL)
SWEEP_CALL = re.compile(r"(choice|range|interval|glob|sort|shuffle|tag)\(.*\)", re.DOTALL)


def write_out_spaces(argument: str) -> str:
    """The argument with `logspace(low,high,n)` and `linspace(low,high,n)` written out as n values.

    Both ends are among them; those between are rounded to six digits.

    >>> write_out_spaces("a=logspace(1e-4,1e-1,7)")
    'a=0.0001,0.000316228,0.001,0.00316228,0.01,0.0316228,0.1'
    >>> write_out_spaces("a=linspace(0,1,3)")
    'a=0.0,0.5,1.0'

    Raises:
        Refused: when these are not two numbers and a count, a logarithm has none, or there are
            more values than a sweep has jobs.
    """
    key, _, value = argument.lstrip("+~").partition("=")

    def values(match: re.Match[str]) -> str:
        is_log = match[1] == "logspace"
        space = np.geomspace if is_log else np.linspace
        try:
            low, high, count = match[2].split(",")
            if float(count) > MAX_JOBS:
                interval = f"interval({low},{high})"
                drawn = f"{key}=tag(log,{interval})" if is_log else f"{key}={interval}"
                raise too_many(key, value, float(count), f"hydra/sweeper=optuna with {drawn}")
            numbers = space(float(low), float(high), int(count))
            if not len(numbers):
                raise ValueError
        except Refused:
            raise
        except ValueError:
            hint = f"{match[1]}(0.001,0.1,3)"
            raise refuse(key, value, "must have two ends and a count", hint) from None
        return ",".join(repr(float(f"{number:.6g}")) for number in numbers)

    return SPACE_CALL.sub(values, argument)


def write_out_zip(argument: str) -> str:
    """The argument with `zip(…)`, values that vary together with those of others, as Hydra has it.

    >>> write_out_zip("a=zip(0.1,0.01)"), write_out_zip("a=zip(range(1,3))")
    ('a=tag(zip,choice(0.1,0.01))', 'a=tag(zip,range(1,3))')

    Raises:
        Refused: when there is no value.
    """
    key, _, value = argument.partition("=")
    zipped = ZIP_CALL.fullmatch(value)
    if not zipped:
        return argument
    if not (values := zipped[1].strip()):
        raise refuse(key, value, "must have values, one a job", f"{key}=zip(0.1,0.01)")
    values = values if SWEEP_CALL.fullmatch(values) else f"choice({values})"
    return f"{key}=tag({ZIP},{values})"


def too_many(key: str, value: object, count: float, hint: str) -> Refused:
    """The refusal of a sweep of so many jobs."""
    jobs = f"{count:,.0f}" if count < 1e15 else f"{count:g}"
    rule = f"makes a sweep of {jobs} jobs, and the most are {MAX_JOBS:,}"
    return refuse(key, value, rule, hint)
