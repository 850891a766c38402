"""The folder of our configs: its groups, and the options that each has."""

from __future__ import annotations

from pathlib import Path

import yaml

PACKAGE = Path(__file__).resolve().parents[1]
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
"""The groups: inside the package where it is installed, beside it in a checkout."""


def group_options() -> dict[str, list[str]]:
    """The options of each group by the group's name.

    >>> group_options()["warmup"]
    ['constant', 'cosine', 'exponential', 'linear', 'none']
    """
    return {
        group.name: sorted(file.stem for file in group.glob("*.yaml"))
        for group in CONF.iterdir()
        if group.is_dir()
    }


def first_keys() -> list[str]:
    """The names that may begin an override."""
    declared = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))
    return sorted({*group_options(), *declared} - {"defaults"})
