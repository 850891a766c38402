"""Pictures in pixels, for places that take no SVG; the extra `plot` draws them."""

from __future__ import annotations

from ..declaration import refuse
from .style import STYLE

_SAMPLE_WITH_TEXT = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20">'
    f'<style>{STYLE}</style><text x="2" y="15">0</text></svg>'
)


def png(picture: str) -> bytes:
    """An SVG as PNG, at twice its size in pixels, on light ground.

    Raises:
        Refused: when the extra isn't installed, or the machine has no font to write with.
    """
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        rule, hint = "needs the extra `plot`", "pip install resvg-py, or write an .svg"
        raise refuse("--output", ".png", rule, hint) from None
    # Without a font the library silently leaves all text out.
    sample_without_text = _SAMPLE_WITH_TEXT.replace(">0<", "><")
    if svg_to_bytes(svg_string=_SAMPLE_WITH_TEXT) == svg_to_bytes(svg_string=sample_without_text):
        rule, hint = "needs a font", "apt-get install fonts-dejavu-core, or write an .svg"
        raise refuse("--output", ".png", rule, hint)
    return bytes(svg_to_bytes(svg_string=picture, zoom=2))
