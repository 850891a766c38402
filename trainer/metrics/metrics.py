"""The part of a config that says which metrics evaluations compute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ConfigDict, model_validator

from schedules.declaration import Declaration, did_you_mean, join_path, refuse, within
from schedules.declaration.by_name import fill_in_kinds

from ..data import Facts
from ..data.facts import Feature
from ..losses.loss import Loss
from .metric import Metric

DEFAULT = {"classes": "accuracy", "numbers": "mean_absolute_error"}
"""The metric that every evaluation has unless the config makes it null, by the sort of labels."""


class Metrics(Declaration):
    """The metrics of evaluations besides the loss, by their names in rows.

    Each is of the kind of that name, or of the kind that it states. Labels that are classes get
    `accuracy` too, and numbers `mean_absolute_error`; null leaves that out. Where a training step
    trains and evaluates, it alone knows what outputs are, and numbers have none by default. Numbers
    that mark classes, as the loss tells, have those of classes besides.

    >>> from trainer.data import Facts
    >>> config = {"f1": {}, "top_3": {"kind": "top_k_accuracy", "k": 3}}
    >>> list(Metrics.declared(config).for_data(Facts.of(100, (8,), classes=10)))
    ['accuracy', 'f1', 'top_3']
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Metric | None]

    def for_data(self, facts: Facts, loss: Loss | None = None) -> dict[str, Metric]:
        """Returns the metrics for data of these facts, by name; `loss` is the one that suits them.

        Raises:
            Refused: when one does not suit the data.
        """
        if not facts.has_comparable_labels:
            return self.without_outputs()
        declared = self.__pydantic_extra__ or {}
        if isinstance(facts.labels, Mapping):
            return self._for_labels(declared, facts, loss)
        entries = _default(facts.label, loss) | declared
        metrics = {name: metric for name, metric in entries.items() if metric is not None}
        for name, metric in metrics.items():
            with within("metrics", name):
                if metric.label is not None:
                    rule = "is for data with several labels, and this has one"
                    raise refuse("label", metric.label, rule, "leave it out")
                metric.check(facts, marks=loss is not None and loss.marks())
        return metrics

    def without_outputs(self) -> dict[str, Metric]:
        """The metrics where outputs are not what labels are compared with: none.

        Raises:
            Refused: when one is declared.
        """
        for name, metric in (self.__pydantic_extra__ or {}).items():
            if metric is not None:
                rule = "compares outputs with labels, and the network's are of other shapes"
                hint = "return such numbers from the step: return loss, {'name': number}"
                raise refuse(f"metrics.{name}", metric.kind, rule, hint)
        return {}

    def _for_labels(
        self, declared: Mapping[str, Metric | None], facts: Facts, loss: Loss | None
    ) -> dict[str, Metric]:
        """The metrics of each of several labels, the label's name before their own."""
        assert isinstance(facts.labels, Mapping)
        metrics: dict[str, Metric] = {}
        for label, feature in facts.labels.items():
            marks = loss is not None and loss.marks(label)
            entries = {**_default(feature, loss), **declared}
            for name, metric in entries.items():
                if metric is None or metric.label not in (None, label):
                    continue
                if metric.label is None and not metric.suits(feature, marks=marks):
                    continue
                own = metric.model_copy(update={"label": label})
                with within("metrics", name):
                    own.check(facts.for_label(label), marks=marks)
                metrics[name if metric.label else f"{label}_{name}"] = own
        for name, metric in declared.items():
            if metric and metric.label is not None and metric.label not in facts.labels:
                rule = f"is no label: {', '.join(facts.labels)}"
                hint = did_you_mean(metric.label, facts.labels)
                raise refuse(f"metrics.{name}.label", metric.label, rule, hint)
        return metrics

    def code(self) -> Iterator[tuple[str, str]]:
        for name, metric in (self.__pydantic_extra__ or {}).items():
            for path, call in metric.code() if metric else ():
                yield join_path(name, path), call

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, config: Any) -> Any:
        return fill_in_kinds(config, Metric, "metrics", is_name=_is_name, keep_nulls=True)


def _default(label: Feature, loss: Loss | None) -> dict[str, Metric | None]:
    """The metric that a label has by default, by its name, if any."""
    if label.classes is None and loss is not None and loss.compared is None:
        return {}
    return {DEFAULT[label.task]: Metric.declared({"kind": DEFAULT[label.task]})}


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier() and name != "loss"
