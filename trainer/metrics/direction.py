"""Which way a number of an evaluation gets better, by its name in rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .metric import Direction, Metric

LOWER_IS_BETTER = {"loss", "error", "perplexity", "mse", "mae", "entropy", "nll"}
"""Words in the names of metrics to minimize."""
HIGHER_IS_BETTER = {"accuracy", "auc", "precision", "recall", "f1", "score", "iou", "r2"}
"""Words in the names of metrics to maximize."""


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


def likely_direction(name: str) -> Direction | None:
    """`min` or `max` for a name that has a word in it which usually says so.

    >>> likely_direction("my_val_loss"), likely_direction("top-1 accuracy"), likely_direction("x")
    ('min', 'max', None)
    """
    words = set(re.findall(r"[a-z0-9]+", name.lower()))
    if words & LOWER_IS_BETTER or any(word.endswith("loss") for word in words):
        return "min"
    return "max" if words & HIGHER_IS_BETTER else None
