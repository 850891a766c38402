"""A page of its own that shows the picture and, under the pointer, the value at every step."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path

from ..analysis.preview import Panel, steps_per_epoch
from ..clock import Clock
from .style import COLOURS
from .svg import LEFT, RIGHT, drawn


def page(figure: list[Panel], clock: Clock, title: str = "") -> str:
    """One HTML file that needs nothing else: no network, no other file.

    Of a long run it knows the telling steps, at least one a column of pixels.
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
    parts = {
        "title": escape(title or "Schedules"),
        "picture": drawn(figure, clock, title),
        "plan": json.dumps(plan).replace("<", r"\u003c"),  # a label must not end the script
    }
    template = Path(__file__).with_name("page.html").read_text("utf-8")
    return re.sub(r"@(\w+)@", lambda place: parts[place[1]], template)
