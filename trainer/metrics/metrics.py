"""The part of a config that says which metrics evaluations compute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ConfigDict, model_validator

from schedules.declaration import Declaration, join_path, within
from schedules.declaration.by_name import fill_in_kinds

from ..data import Facts
from .metric import Metric

DEFAULT = {"classes": "accuracy", "numbers": "mean_absolute_error"}
"""The metric that every evaluation has unless the config makes it null, by the sort of labels."""


class Metrics(Declaration):
    """The metrics of evaluations besides the loss, by their names in rows.

    Each is of the kind of that name, or of the kind that it states. Labels that are classes get
    `accuracy` too, and numbers `mean_absolute_error`; null leaves that out.

    >>> from trainer.data import Facts
    >>> config = {"f1": {}, "top_3": {"kind": "top_k_accuracy", "k": 3}}
    >>> list(Metrics.declared(config).for_data(Facts(100, (8,), classes=10)))
    ['accuracy', 'f1', 'top_3']
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Metric | None]

    def for_data(self, facts: Facts) -> dict[str, Metric]:
        """Returns the metrics for data of these facts, by name.

        Raises:
            Refused: when one does not suit the data.
        """
        default = DEFAULT[facts.task]
        entries = {default: Metric.declared({"kind": default})} | (self.__pydantic_extra__ or {})
        metrics = {name: metric for name, metric in entries.items() if metric is not None}
        for name, metric in metrics.items():
            with within("metrics", name):
                metric.check(facts)
        return metrics

    def code(self) -> Iterator[tuple[str, str]]:
        for name, metric in (self.__pydantic_extra__ or {}).items():
            for path, call in metric.code() if metric else ():
                yield join_path(name, path), call

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, config: Any) -> Any:
        return fill_in_kinds(config, Metric, "metrics", is_name=_is_name, keep_nulls=True)


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier() and name != "loss"
