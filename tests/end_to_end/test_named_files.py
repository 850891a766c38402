"""Every file that a config or an option names: refused by name where it is no file to read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from schedules import Clock, Refused, load
from schedules.declaration.yaml_files import read_mapping
from tests.helpers.runs import plan
from trainer.commands.checks import look_over
from trainer.config.from_python import from_file
from trainer.config.hydra import compose

pytestmark = pytest.mark.usefixtures("no_end_is_a_failure")

Named = Callable[[Path], object]


def planned(*overrides: str) -> Named:
    """Looks over a run whose overrides name the file as FILE."""
    return lambda file: look_over(plan(*(text.replace("FILE", str(file)) for text in overrides)))


def table(file: Path) -> object:
    return load({"kind": "table", "file": str(file)}, Clock())


def option_of_a_group(file: Path) -> object:
    """A YAML file of the user's own, in a folder of configs."""
    folder = file.parent / "conf" / "schedule"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").symlink_to(file)
    return compose(["schedule=mine"], str(folder.parent))


def image(file: Path) -> object:
    classes = [file.parent / "images" / name for name in "ab"]
    for folder in classes:
        folder.mkdir(parents=True)
        (folder / "1.png").symlink_to(file)
    return look_over(plan("data=image_folder", f"data.path={file.parent}/images"))


NAMED: dict[str, tuple[str, Named]] = {
    "run.replay": (".jsonl", planned("run.replay=FILE")),
    "data.path of csv": (".csv", planned("data=csv", "data.path=FILE", "data.target=y")),
    "data.path of npz": (".npz", planned("data=npz", "data.path=FILE")),
    "data.inputs of npy": (".npy", planned("data=npy", "data.inputs=FILE", "data.labels=FILE")),
    "data.path of tfrecord": (".tfrecord", planned("data=tfrecord", "data.path=FILE")),
    "data.path of parquet": (".parquet", planned("data=parquet", "data.path=FILE",
                                                 "data.target=y")),
    "an image": (".png", image),
    "file of a table in csv": (".csv", table),
    "file of a table in json": (".json", table),
    "file of a table in npy": (".npy", table),
    "model.path": (".keras", planned("model=keras_file", "model.path=FILE")),
    "model.weights": (".h5", planned("model=applications", "model.name=MobileNetV2",
                                     "data=mnist5k", "model.weights=FILE")),
    "--file": (".yaml", read_mapping),
    "a config in Python": (".yaml", from_file),
    "an option of a group": (".yaml", option_of_a_group),
}  # fmt: skip


NO_FILES: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "an empty device": lambda path: path.symlink_to("/dev/null"),
    "a folder": lambda path: path.mkdir(),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to itself": lambda path: path.symlink_to(path.name),
}


@pytest.mark.parametrize("what", NO_FILES)
@pytest.mark.parametrize("named", NAMED)
def test_what_is_no_file_is_refused_by_name(named: str, what: str, tmp_path: Path) -> None:
    suffix, read = NAMED[named]
    file = tmp_path / f"named-file{suffix}"
    NO_FILES[what](file)
    with pytest.raises((Refused, OSError)) as refused:
        read(file)
    places = ("named-file", "1.png", "has no images", "schedule = 'mine'", "mine.yaml")
    assert any(place in str(refused.value) for place in places)


EVENT = '{"step": 3, "event": "went on"}\n'
COMMAND = (
    '{"step": 5, "event": "command", "orders": ["learning_rate=0.5"], "id": "1", "rewinds": 0}\n'
)


@pytest.mark.parametrize(
    "content",
    {
        "another program's": "root:x:0:0:root:/root:/bin/bash\n",
        "a result": '{\n "status": "done",\n "steps": 3\n}\n',
        "rows": '{"step": 3, "loss": 0.5}\n',
        "an event and more": EVENT + "more\n",
        "a number": "3\n",
        "a list": "[]\n",
        "no step": '{"event": "went on"}\n',
        "a command without orders": '{"step": 3, "event": "command", "id": "1", "rewinds": 0}\n',
        "an order that is none": COMMAND.replace("learning_rate=0.5", "halt"),
        "an order that is no text": COMMAND.replace('"learning_rate=0.5"', "5"),
        "a step that is text": EVENT.replace("3", '"3"'),
        "brackets": "[" * 60_000 + "\n",
        "half a line": EVENT[:20],
        "zeros": "\0" * 100 + "\n",
    }.items(),
    ids=lambda case: case[0],
)
def test_a_file_that_is_no_record_is_not_replayed(content: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(content[1])
    with pytest.raises(Refused, match=r"^run\.replay = '.*file': is no record of events: line "):
        look_over(plan(f"run.replay={file}"))


@pytest.mark.parametrize(
    ("order", "why"),
    [("momentum=0.5", "momentum is not scheduled in this run"),
     ("release=momentum", "momentum is not scheduled in this run"),
     ("learning_rate=-1", "learning_rate must be at least 0")],
)  # fmt: skip
def test_orders_that_this_run_can_not_do_are_refused_before_it_begins(
    order: str, why: str, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(COMMAND.replace("learning_rate=0.5", order))
    with pytest.raises(Refused, match=rf"^run\.replay = '.*': orders {order}, and {why}"):
        look_over(plan(f"run.replay={file}"))


def test_a_record_that_is_just_being_written_is_replayed_as_far_as_it_goes(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(EVENT + COMMAND + EVENT[:20])
    events = plan(f"run.replay={file}").experiment.run.replayed_events()
    assert [event["event"] for event in events] == ["went on", "command"]


@pytest.mark.parametrize("named", ["file of a table in npy", "file of a table in csv"])
def test_a_table_that_is_larger_than_it_says_is_refused(named: str, tmp_path: Path) -> None:
    suffix, read = NAMED[named]
    file = tmp_path / f"named-file{suffix}"
    header = np.lib.format
    with file.open("wb") as opened:
        header.write_array_header_1_0(opened, {"shape": (10**15,), "fortran_order": False,
                                               "descr": "<f8"})  # fmt: skip
        opened.truncate(2**33)
    with pytest.raises(Refused, match="it has more than 256 MiB"):
        read(file)
    with file.open("r+b") as opened:
        opened.truncate(200)
    with pytest.raises(Refused, match=r"can't be read|must"):
        read(file)
