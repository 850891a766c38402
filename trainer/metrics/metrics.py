"""The part of a config that says what evaluations tell besides the loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ConfigDict, model_validator

from schedules.declaration import Declaration, joined, within
from schedules.declaration.by_name import named

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
        if not isinstance(config, Mapping):
            return config
        return named(config, Metric, "metrics", is_name=_is_name, nulls=True)


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier() and name != "loss"
