"""The picture of a range test: the loss over the learning rate, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from schedules.declaration.number_text import value_text
from schedules.moments import Values
from schedules.plots.axes import Scale, ticks
from schedules.plots.style import STYLE

from ..config.lr_find import Reading

WIDTH, HEIGHT = 880, 420
LEFT, RIGHT, CEILING, FLOOR = 76.0, WIDTH - 36.0, 60.0, HEIGHT - 50.0
HIGHEST = 1.5
"""How far above the first loss the picture reaches; what diverges leaves it."""


def svg(reading: Reading) -> str:
    """The losses as dots, the smoothed loss as a line, and the suggested rate."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}"'
            f' viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="learning-rate range test">',
            "<title>Learning-rate range test</title>",
            f"<style>\n{STYLE}</style>",
            '<rect class="ground" width="100%" height="100%"/>',
            *_elements(reading),
            "</svg>\n",
        ]
    )


def _elements(reading: Reading) -> Iterator[str]:
    powers = np.log10(reading.rates)
    x = Scale(float(powers[0]), float(powers[-1]), LEFT, RIGHT)
    highest = HIGHEST * reading.losses[0]
    drawn = np.concatenate([reading.losses, reading.smoothed])
    y = Scale.around(drawn[drawn <= highest], FLOOR, CEILING)

    yield _text("ink title", 20, 30, "Loss over learning rate")
    for loss in ticks(y.low, y.high, 6):
        yield f'<path class="grid" d="M{LEFT:.1f},{y(loss):.1f}H{RIGHT:.1f}"/>'
        yield _text("muted tick", LEFT - 10, y(loss) + 4, value_text(loss), "end")
    yield f'<path class="axis" d="M{LEFT:.1f},{FLOOR:.1f}H{RIGHT:.1f}"/>'
    for power in ticks(x.low, x.high, 12, whole=True):
        yield f'<path class="axis" d="M{x(power):.1f},{FLOOR:.1f}v4"/>'
        yield _text("muted tick", x(power), FLOOR + 18, value_text(10.0**power), "middle")
    yield from _curves(x(powers), reading, y, highest)
    if reading.suggested:
        at = x(float(np.log10(reading.suggested)))
        yield f'<path class="mark line1" d="M{at:.1f},{CEILING:.1f}V{FLOOR:.1f}"/>'
        yield _text(
            "fill1 part", at + 5, CEILING + 12, f"suggested {value_text(reading.suggested)}"
        )


def _curves(places: Values, reading: Reading, y: Scale, highest: float) -> Iterator[str]:
    shown = reading.losses <= highest
    dots = zip(places[shown], y(reading.losses[shown]), strict=True)
    yield '<g class="fill0" opacity="0.35">'
    yield from (f'<circle cx="{x:.1f}" cy="{loss:.1f}" r="2"/>' for x, loss in dots)
    yield "</g>"
    shown = reading.smoothed <= highest
    line = zip(places[shown], y(reading.smoothed[shown]), strict=True)
    path = "L".join(f"{x:.1f},{loss:.1f}" for x, loss in line)
    yield f'<path class="curve line0" d="M{path}"/>'


def _text(style: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
