import sys
from functools import partial

import pytest
import resvg_py

from schedules import Clock, Refused, load
from schedules.plots.png import png
from schedules.plots.svg import svg

CLOCK = Clock(100)
PICTURE = svg({"learning_rate": load({"kind": "cosine", "initial_value": 0.1}, CLOCK)}, CLOCK)


def test_png_is_drawn_from_the_svg():
    image = png(PICTURE)
    assert image.startswith(b"\x89PNG")
    assert int.from_bytes(image[16:20], "big") == 2 * 880


def test_a_machine_without_fonts_is_told_so(monkeypatch):
    blind = partial(resvg_py.svg_to_bytes, skip_system_fonts=True)
    monkeypatch.setattr(resvg_py, "svg_to_bytes", blind)
    with pytest.raises(Refused, match="needs a font"):
        png(PICTURE)


def test_without_the_extra_what_to_install_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(Refused, match="pip install resvg-py"):
        png(PICTURE)
