import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from schedules import Clock, load
from schedules.analysis.preview import Preview, panels
from schedules.plots.svg import draw_svg, svg

CLOCK = Clock(625, batch_size=64, examples_per_epoch=4000)
RESTARTS = {
    "kind": "cosine_restarts",
    "initial_value": 0.1,
    "first_decay_steps": "2 epochs",
    "m_mul": 0.5,
}
WARMED = {
    "kind": "sequence",
    "parts": {
        "warmup": {"kind": "linear", "initial_value": 0, "end_value": 0.1, "length": "10%"},
        "decay": {"kind": "linear", "initial_value": 0.1, "end_value": 0},
    },
}


def picture(config, clock=CLOCK, **others):
    curves = {"learning_rate": load(config, clock)}
    curves |= {name: load(other, clock) for name, other in others.items()}
    return ET.fromstring(svg(curves, clock, "a run"))


def elements(root, tag, style):
    found = root.iter(f"{{http://www.w3.org/2000/svg}}{tag}")
    return [one for one in found if style in one.get("class", "").split()]


def texts(root):
    return ["".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")]


def axis(root, place, anchor):
    """The straight line from pixels to numbers through the labels of an axis."""
    labels = [one for one in elements(root, "text", "tick") if one.get("text-anchor") == anchor]
    labels = [one for one in labels if one.text not in ("steps", "epochs")]
    rows = {float(one.get("y")) for one in labels}
    if anchor == "middle":
        labels = [one for one in labels if float(one.get("y")) == max(rows)]
    pixels = [float(one.get(place)) for one in labels]
    return np.polyfit(pixels, [float(one.text.replace(",", "")) for one in labels], 1)


@pytest.mark.parametrize("config", [RESTARTS, WARMED], ids=lambda config: config["kind"])
def test_the_line_read_off_by_the_axes_is_the_curve(config):
    root = picture(config)
    lines = [one for one in elements(root, "path", "curve") if "L" in one.get("d")]
    points = np.array(re.findall(r"([\d.]+),([\d.]+)", lines[0].get("d")), float)
    steps = np.polyval(axis(root, "x", "middle"), points[:, 0]).round()
    values = np.polyval(axis(root, "y", "end"), points[:, 1] + 4)  # labels sit 4 below their line
    every = np.arange(625)
    read_off = np.interp(every, steps, values)
    assert np.abs(read_off - load(config, CLOCK)(every)).max() < 0.1 * 0.002


def test_epochs_stand_above_the_steps_they_end_at():
    root = picture(RESTARTS)
    ticks = elements(root, "text", "tick")
    steps = np.polyval(axis(root, "x", "middle"), [float(one.get("x")) for one in ticks])
    top = min(float(one.get("y")) for one in ticks)
    epochs = {
        float(one.text): step
        for one, step in zip(ticks, steps, strict=True)
        if float(one.get("y")) == top and one.text != "epochs"
    }
    assert set(epochs) == set(range(11))
    assert all(abs(step - 62.5 * epoch) < 0.1 for epoch, step in epochs.items())


def test_the_legend_resolves_every_length():
    message = " ".join(texts(picture(RESTARTS))).replace("\N{NO-BREAK SPACE}", " ")
    assert "first_decay_steps = 2 epochs = 125 steps" in message
    message = " ".join(texts(picture(WARMED))).replace("\N{NO-BREAK SPACE}", " ")
    assert "parts.warmup.length = 10% = 62.5 steps" in message


def test_the_parts_of_a_sequence_are_marked_where_they_begin():
    root = picture(WARMED)
    names = [one.text for one in elements(root, "text", "part")]
    assert names == ["warmup", "decay"]
    [mark] = elements(root, "path", "mark")
    x = float(re.match(r"M([\d.]+)", mark.get("d"))[1])
    assert np.polyval(axis(root, "x", "middle"), x) == pytest.approx(62.5, abs=0.1)


def test_every_scheduled_value_has_a_panel():
    root = picture(RESTARTS, momentum={"kind": "linear", "initial_value": 0.5, "end_value": 0.9})
    names = [one.text for one in elements(root, "text", "name")]
    assert names == ["learning_rate", "momentum"]


def test_plans_over_each_other_are_told_apart():
    figure = panels(
        {
            str(i): Preview({"learning_rate": load({"kind": "constant", "value": i}, CLOCK)}, CLOCK)
            for i in range(1, 14)
        }
    )
    root = ET.fromstring(draw_svg(figure, CLOCK))
    looks = {
        (one.get("class"), one.get("stroke-dasharray")) for one in elements(root, "path", "curve")
    }
    assert len(looks) == 13


def test_a_million_steps_make_a_small_picture():
    clock = Clock(1_000_000)
    assert len(svg({"learning_rate": load(WARMED, clock)}, clock)) < 10_000


def test_each_of_few_steps_is_a_dot():
    root = picture({"kind": "exponential", "initial_value": 1, "decay_rate": 0.1}, Clock(7))
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == 7


@pytest.mark.parametrize("total", [1, 2])
def test_the_shortest_runs_have_a_picture(total):
    assert "1" in texts(picture({"kind": "constant", "value": 1}, Clock(total)))


@pytest.mark.parametrize("total", [5000, 709_780, 709_790, 800_000])
def test_a_curve_that_overflows_is_drawn_as_far_as_it_can_be(total):
    growing = {"kind": "natural_exp", "initial_value": 1, "decay_rate": -1, "decay_steps": 1000}
    root = picture(growing, Clock(total))
    for one in elements(root, "path", "curve"):
        numbers = re.findall(r"[\d.]+|nan|inf", one.get("d"))
        assert all(0 <= float(number) <= 880 for number in numbers)


def test_words_from_outside_stay_words():
    curve = load(RESTARTS, CLOCK)
    root = ET.fromstring(svg({"<script>": curve}, CLOCK, "a<b & \"c\" 'd'"))
    assert "a<b & \"c\" 'd'" in texts(root)
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))


def test_nothing_is_fetched_from_elsewhere():
    text = svg({"learning_rate": load(RESTARTS, CLOCK)}, CLOCK)
    assert text.count("http") == text.count('xmlns="http')
    assert "prefers-color-scheme: dark" in text
