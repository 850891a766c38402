"""What of a run's folder makes its model, for trackers that keep files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ENDED = ("done", "stopped")
"""How a run ends whose last checkpoint is worth keeping elsewhere."""
SETTINGS = (
    "config.yaml",
    "preparation.json",
    "given_data.json",
    "given_model.keras",
    "result.json",
)


def model_files(folder: Path, result: Mapping[str, Any] | None) -> dict[str, Path]:
    """The files of an ended run by their paths in its folder: its settings and newest checkpoint.

    A folder of these is one that `trainer.export` and `trainer.predict` take.
    """
    steps = {
        int(match[1]): path
        for path in folder.glob("checkpoints/step-*")
        if (match := re.fullmatch(r"step-(\d+)", path.name))
    }
    if not steps or not result or result["status"] not in ENDED:
        return {}
    newest = steps[max(steps)]
    files = [folder / name for name in SETTINGS] + sorted(newest.rglob("*"))
    return {str(file.relative_to(folder)): file for file in files if file.is_file()}
