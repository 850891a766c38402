"""Which way a number of an evaluation gets better, by its name in rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .metric import Direction, Metric


def direction(name: str, entries: Mapping[str, Any]) -> Direction | None:
    """`min` or `max` for `eval_loss` and every metric; None for a name that nobody knows.

    `entries` is what the config has under `metrics`: a name may be of another kind than its own.

    >>> direction("eval_loss", {}), direction("eval_accuracy", {}), direction("eval_speed", {})
    ('min', 'max', None)
    >>> direction("eval_top_3", {"top_3": {"kind": "top_k_accuracy", "k": 3}})
    'max'
    """
    metric = name.removeprefix("eval_")
    if metric == "loss":
        return "min"
    entry = entries.get(metric)
    if isinstance(entry, Metric):
        return entry.better
    kind = entry.get("kind", metric) if isinstance(entry, Mapping) else metric
    declared = Metric.find(kind)
    return declared.better if declared else None
