"""The part of a config that says what evaluations tell besides the loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ConfigDict, model_validator

from schedules.declaration import Declaration, carried
from schedules.refusal import Problem, Refused, did_you_mean, joined, within

from ..data import Facts
from .metric import Metric

USUAL = {"classes": "accuracy", "numbers": "mean_absolute_error"}
"""What is always told unless it is null, by what labels are."""


class Metrics(Declaration):
    """What evaluations tell besides the loss and what is usual, by the name it has in rows.

    Each is of the kind of that name, or of the one that it states. Classes always have their
    `accuracy` told, and numbers their `mean_absolute_error`; null leaves that out.

    >>> from trainer.data import Facts
    >>> asked = {"f1": {}, "top_3": {"kind": "top_k_accuracy", "k": 3}}
    >>> list(Metrics.declared(asked).told(Facts(100, (8,), classes=10)))
    ['accuracy', 'f1', 'top_3']
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Metric | None]

    def told(self, facts: Facts) -> dict[str, Metric]:
        """The metrics of data of these facts, by name.

        Raises:
            Refused: when one can't be worked out for it.
        """
        usual = USUAL[facts.task]
        named = {usual: Metric.declared({"kind": usual})} | (self.__pydantic_extra__ or {})
        found = {name: metric for name, metric in named.items() if metric is not None}
        for name, metric in found.items():
            with within("metrics", name):
                metric.check(facts)
        return found

    def code(self) -> Iterator[tuple[str, str]]:
        for name, metric in (self.__pydantic_extra__ or {}).items():
            for path, call in metric.code() if metric else ():
                yield joined(name, path), call

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, config: Any) -> Any:
        """Reads the name of each metric as its kind, where it states none."""
        if not isinstance(config, Mapping):
            return config
        read: dict[str, Any] = {}
        problems = []
        for name, written in config.items():
            named = isinstance(written, Mapping) and "kind" in written
            if isinstance(written, Metric):
                read[name] = written
            elif written is None:
                read[name] = None
            elif name == "loss" or not isinstance(name, str) or not name.isidentifier():
                rule = "is no name for a metric"
                problems.append(Problem(str(name), written, rule, "letters, digits and _"))
            elif not named and Metric.called(name) is None:
                hint = did_you_mean(name, Metric.kinds)
                problems.append(Problem(name, written, "is no known metric", hint))
            elif not isinstance(written, Mapping):
                rule = "must be a mapping, or null to leave it out"
                problems.append(Problem(name, written, rule, f"metrics.{name}={{}}"))
            else:
                read[name] = {"kind": name, **written}
        if problems:
            raise carried(Refused(problems))
        return read
