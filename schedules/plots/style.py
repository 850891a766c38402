"""How pictures look: colours that everybody can tell apart, on light ground and on dark."""

from __future__ import annotations

# Okabe & Ito's colours, which colour-blind readers can tell apart. The first of each pair is for
# white ground, and darker where that is necessary; the second is for black ground.
COLOURS = [
    ("#0072b2", "#56b4e9"),
    ("#d55e00", "#f0883e"),
    ("#009e73", "#2ec4a0"),
    ("#aa4499", "#d98cc5"),
    ("#b38600", "#e6b93c"),
    ("#555f6b", "#aab4bf"),
]
DASHES = ("none", "7 4", "2 4")
"""The dashes of lines: the next one is used when all colours have been used."""


def _lines(shade: int) -> str:
    return "\n".join(
        f".line{i} {{ stroke: {pair[shade]} }} .fill{i} {{ fill: {pair[shade]} }}"
        for i, pair in enumerate(COLOURS)
    )


STYLE = f"""\
text {{ font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-size: 12px }}
.title {{ font-size: 17px; font-weight: 600 }}
.name {{ font-size: 13px; font-weight: 600 }}
.tick, .part {{ font-size: 11px }}
.part {{ paint-order: stroke; stroke: #ffffff; stroke-width: 3; stroke-linejoin: round }}
.ground {{ fill: #ffffff }} .band {{ fill: #f3f5f8 }} .ink {{ fill: #1f2328 }} .muted {{ fill: #656d76 }}
.grid {{ stroke: #e3e7ec }} .axis {{ stroke: #8c959f }}
.curve {{ fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round }}
.area {{ opacity: 0.09 }}
.mark {{ stroke-dasharray: 3 3; opacity: 0.55 }}
{_lines(0)}
@media (prefers-color-scheme: dark) {{
.ground {{ fill: #0d1117 }} .band {{ fill: #161b22 }} .ink {{ fill: #e6edf3 }} .muted {{ fill: #9198a1 }}
.part {{ stroke: #0d1117 }} .grid {{ stroke: #262c36 }} .axis {{ stroke: #6e7681 }}
{_lines(1)}
}}
"""  # noqa: E501  # one rule a line
