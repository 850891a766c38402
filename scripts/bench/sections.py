"""The parts of the table that scripts of their own measure: networks, sweeps and images."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from statistics import median

import images as image_ways
import networks as kinds
from contest import ratio
from part import Mark, Part, Scale

HERE = Path(__file__).resolve().parent
RATE_MARKS = {"bilstm_masked": 1.5, "transformer": 1.5}
"""How many times the updates of `model.fit` networks should make."""
START_MARKS = {"first": 1.3, "second": 1.1}
"""How many times as long as with `model.fit` a start may take until the first update."""


def networks(scale: Scale) -> Part:
    """Updates a second of recurrent networks and transformers."""
    marks, rows = [], []
    for name in kinds.RATES:
        ours, fit, fit_50 = kinds.compared(name, min(scale.rounds, 5), scale.seconds)
        if name in RATE_MARKS:
            what = f"{name}, beside `model.fit`"
            marks.append(Mark(what, ratio(ours, fit), RATE_MARKS[name]))
        for entry in (ours, fit, fit_50):
            rate = entry.absent if entry.rate is None else f"{entry.rate:,.1f}"
            beside = ratio(entry, fit)
            rows.append([f"{name}: {entry.peer}", rate, f"{beside:.2f}x" if beside else ""])
    title = "Updates a second of other networks, batches of 64"
    return Part(marks, title, ["", "median", "beside `fit`"], rows)


def starts(scale: Scale) -> Part:
    """Seconds from Enter to the first update, of networks that take long to compile."""
    marks, rows = [], []
    for name in kinds.STARTS if scale.starts > 1 else kinds.STARTS[-1:]:
        found = kinds.compared_starts(name, 1 if scale.starts < 5 else 2)
        for which, each in found.items():
            ratios = [
                one.seconds / fit.seconds for one, fit in zip(each, found["fit"], strict=True)
            ]
            if which in START_MARKS:
                what = f"{which} start of {name}, beside `model.fit`"
                marks.append(Mark(what, median(ratios), at_most=START_MARKS[which]))
            seconds, at_work = (median(column) for column in zip(*each, strict=True))
            cells = [f"{seconds:.2f}", f"{at_work:.2f}", f"{median(ratios):.2f}x"]
            rows.append([f"{name}: {which}", *cells])
    title = "Seconds from Enter to the first update"
    return Part(marks, title, ["", "seconds", "of processors", "beside `fit`"], rows)


def vectorized(scale: Scale) -> Part:
    """Jobs side by side in one program, beside the same jobs one after another."""
    asked = [
        sys.executable,
        str(HERE / "vectorized.py"),
        "--jobs",
        str(scale.jobs),
        "--rounds",
        "1",
    ]
    few = () if scale.jobs > 8 else ("run.length=50",)
    done = subprocess.run([*asked, *few], capture_output=True, text=True, check=True)
    found = re.findall(r"^(\w+): side by side is ([\d.]+) times as fast", done.stdout, re.MULTILINE)
    times = {name: float(value) for name, value in found}
    what = f"{scale.jobs} jobs of a sweep side by side, beside one after another"
    rows = [[name, f"{value:.2f}x"] for name, value in times.items()]
    title = f"{scale.jobs} jobs side by side: how many times as fast"
    return Part([Mark(what, times["whole"], 5)], title, ["", ""], rows)


def images(scale: Scale, torch: str) -> Part:
    """Images in files, decoded and trained on; `torch` is a Python that has torchvision."""
    options = ["--images", str(scale.images), "--files", str(scale.files), "--torch", torch]
    rounds, (first, second) = image_ways.compared(image_ways.arguments(options))
    marks = [Mark(what, found, least) for what, found, least in image_ways.ratios(rounds)]
    what = f"{scale.files:,} files listed and checked"
    marks.append(Mark(what, first, at_most=3, form="{:.2f} s"))
    marks.append(Mark(f"{what} again", second, at_most=3, form="{:.2f} s"))
    rows = [[way, f"{pace.first:,.0f}", f"{pace.later:,.0f}"] for way, pace in rounds[0].items()]
    title = f"Images a second: {scale.images:,} JPEGs of 256x256, trained on at 128x128"
    return Part(marks, title, ["", "first epoch", "later epochs"], rows)
