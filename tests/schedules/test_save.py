import csv
import io
import json

import numpy as np
import pytest

from schedules import Clock, Refused, load
from schedules.analysis.preview import CHUNK, Preview, panels
from schedules.plots.save import FORMATS, save, write_file

LONG = CHUNK + 1000


@pytest.fixture(scope="module")
def curve():
    inner = {"kind": "natural_exp", "initial_value": 0.1, "decay_rate": 30}
    return load({"kind": "noise", "schedule": inner, "std": 0.1, "seed": 1}, Clock(LONG))


def written(name, curve, steps):
    return b"".join(FORMATS[name](curve, steps))


def test_csv_gives_every_bit_back(curve):
    rows = list(csv.reader(io.StringIO(written("csv", curve, range(LONG)).decode())))
    assert rows[0] == ["step", "value"]
    assert [int(step) for step, _ in rows[1:]] == list(range(LONG))
    assert [float(value) for _, value in rows[1:]] == curve(np.arange(LONG)).tolist()


def test_json_gives_every_bit_back(curve):
    steps = range(3, LONG, 2)
    table = json.loads(written("json", curve, steps))
    assert table["step"] == list(steps)
    assert table["value"] == curve(np.array(steps)).tolist()


def test_npy_gives_every_bit_back(curve):
    values = np.load(io.BytesIO(written("npy", curve, range(LONG))))
    assert values.dtype == np.float64
    assert values.tobytes() == curve(np.arange(LONG)).tobytes()


@pytest.mark.parametrize("name", FORMATS)
def test_a_table_replays_what_was_exported(name, tmp_path):
    clock = Clock(40)
    curve = load({"kind": "cosine", "initial_value": 0.3}, clock)
    path = tmp_path / f"rates.{name}"
    write_file(path, FORMATS[name](curve, range(40)))
    replayed = load({"kind": "table", "file": str(path)}, clock)
    assert replayed(np.arange(40)).tolist() == curve(np.arange(40)).tolist()


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(Refused, match="can't be written"):
        write_file(tmp_path / "taken" / "rates.csv", [b""])


def test_a_picture_of_no_known_format_is_refused(tmp_path):
    clock = Clock(4)
    figure = panels({"": Preview({"x": load({"kind": "constant", "value": 1}, clock)}, clock)})
    with pytest.raises(Refused, match=r"known: \.svg, \.png, \.html"):
        save(tmp_path / "picture.pdf", figure, clock)
    assert not list(tmp_path.iterdir())
