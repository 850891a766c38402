"""Fills in which way the metrics get better that a config waits for, where it leaves that out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..metrics.direction import direction

WAITING = (("evaluate", "stop"), ("checkpoint", "keep_best"))
"""Where a config names a metric to go by, besides its schedules."""
SCHEDULED = ("schedule", "warmup", "cooldown", "optimizer", "ema", "loss", "model")
"""What may have schedules in it."""


def with_modes(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with `mode` wherever a metric is named without, as far as its direction is known.

    >>> config = with_modes({"evaluate": {"stop": {"metric": "eval_accuracy"}}})
    >>> config["evaluate"]["stop"]
    {'metric': 'eval_accuracy', 'mode': 'max'}
    """
    entries = config.get("metrics")
    entries = entries if isinstance(entries, Mapping) else {}

    def filled(node: Any) -> Any:
        """A part of the config, each plateau in it with its mode."""
        if isinstance(node, list):
            return [filled(entry) for entry in node]
        if not isinstance(node, Mapping):
            return node
        parts = {key: part if key == "kwargs" else filled(part) for key, part in node.items()}
        return _with_mode(parts, entries) if parts.get("kind") == "plateau" else parts

    result = {name: filled(part) if name in SCHEDULED else part for name, part in config.items()}
    for section, name in WAITING:
        part = result.get(section)
        if isinstance(part, Mapping) and isinstance(part.get(name), Mapping):
            result[section] = {**part, name: _with_mode(part[name], entries)}
    return result


def _with_mode(node: Mapping[str, Any], entries: Mapping[str, Any]) -> dict[str, Any]:
    """What names a metric, with the metric's direction where it states none."""
    metric = node.get("metric", "eval_loss")
    left_out = node.get("mode") is None and isinstance(metric, str)
    mode = direction(metric, entries) if left_out else None
    return {**node, "mode": mode} if mode else dict(node)
