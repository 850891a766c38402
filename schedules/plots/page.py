"""An HTML page with the picture; it shows the values at the step under the pointer."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path

from ..analysis.preview import Panel, steps_per_epoch
from ..clock import Clock
from .style import COLOURS
from .svg import LEFT, RIGHT, draw_svg


def page(figure: list[Panel], clock: Clock, title: str = "") -> str:
    """One HTML file that needs no network and no other file.

    It has the steps of the downsampled lines: at least one for each column of pixels.
    """
    per_epoch = steps_per_epoch(clock)
    plan = {
        "left": LEFT,
        "right": RIGHT,
        "steps": max(panel.steps for panel in figure),
        "perEpoch": per_epoch and float(per_epoch),
        "colours": len(COLOURS),
        "panels": [
            {
                "name": panel.name,
                "lines": [
                    {
                        "label": line.label,
                        "steps": line.steps.tolist(),
                        "values": [repr(value) for value in line.values.tolist()],
                    }
                    for line in panel.lines
                ],
            }
            for panel in figure
        ],
    }
    replacements = {
        "title": escape(title or "Schedules"),
        "picture": draw_svg(figure, clock, title),
        "plan": json.dumps(plan).replace("<", r"\u003c"),  # a label must not end the script
    }
    template = Path(__file__).with_name("page.html").read_text("utf-8")
    return re.sub(r"@(\w+)@", lambda match: replacements[match[1]], template)
