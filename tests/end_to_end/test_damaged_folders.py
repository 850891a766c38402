"""Run folders in which one file is damaged, before everybody who reads them: words or work."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import hydra
import pytest
from omegaconf import DictConfig

from schedules import Refused
from tests.helpers.runs import SMALL, experiment, trained
from trainer import control, export, predict, report
from trainer.__main__ import reporting
from trainer.commands.api import train
from trainer.commands.export_file import Written
from trainer.commands.restored import Restored
from trainer.config.experiment import Experiment
from trainer.config.hydra import compose
from trainer.runs.folder import Folder
from trainer.runs.mailbox import Mailbox
from trainer.sweeps.jobs import SweepJob, failure_summary, wait_for_owner, write_failure
from trainer.training import assembly, rerun
from trainer.training.setup import RunSetup

pytestmark = pytest.mark.usefixtures("no_end_is_a_failure")

ASKED = ("run.length=20", "evaluate.every=10", "checkpoint.every=5")
SPARSE_BYTES = 2**33
NESTED = b"a: &a [x, x]\n" + b"".join(
    b"%c: &%c [*%c, *%c]\n" % (letter, letter, letter - 1, letter - 1) for letter in b"bcdefghij"
)

Damage = Callable[[Path], object]


def content(*lines: bytes) -> Damage:
    return lambda path: path.write_bytes(b"".join(lines))


def half(path: Path) -> None:
    whole = path.read_bytes() if path.exists() else b""
    path.write_bytes(whole[: len(whole) // 2])


def link(target: str) -> Damage:
    def damage(path: Path) -> None:
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    return damage


def huge(path: Path) -> None:
    with path.open("ab") as file:
        file.truncate(SPARSE_BYTES)


def instead(make: Callable[[Path], object]) -> Damage:
    def damage(path: Path) -> None:
        path.unlink(missing_ok=True)
        make(path)

    return damage


def spoilt_in_the_middle(path: Path) -> None:
    whole = path.read_bytes() if path.exists() else b""
    path.write_bytes(whole[:50] + b"\0\0\n\xff{" + whole[52:])


DAMAGE: dict[str, Damage] = {
    "empty": content(),
    "half": half,
    "zeros": content(b"\0" * 5000),
    "spoilt in the middle": spoilt_in_the_middle,
    "no text": content(b"\xff\xfe\x81" * 50),
    "braces": content(b"{{{\n"),
    "a number": content(b"3\n"),
    "a list": content(b"[]\n"),
    "an empty mapping": content(b"{}\n"),
    "other keys": content(b'{"a": 1}\n{"step": 3}\n'),
    "other types": content(
        b'{"step": "x", "event": 3, "status": [], "steps": {}, "metrics": 5, "trial": "x",'
        b' "compile": 7, "shape": 1, "body": [], "run": [1], "index": ["../../.."]}\n'
    ),
    "a number too large": content(b'{"step": 1' + b"0" * 400 + b', "loss": 1e999}\n'),
    "brackets": content(b"[" * 60_000),
    "aliases": content(NESTED, b"z: [" + b"*j, " * 4 + b"]\n"),
    "many values": content(b"x\n" * 100_000),
    "huge": huge,
    "a folder": instead(lambda path: path.mkdir()),
    "unreadable": lambda path: (path.touch(), path.chmod(0)),
    "a link to nothing": link("nothing"),
    "a link to itself": lambda path: link(path.name)(path),
    "a link out": link("/etc/passwd"),
    "endless": link("/dev/zero"),
    "a pipe": instead(os.mkfifo),
}
CHECKPOINT = "checkpoints/step-0000000010"
FILES = (
    "config.yaml",
    "result.json",
    "metrics.jsonl",
    "events.jsonl",
    "chosen.json",
    "preparation.json",
    "trial.json",
    ".lock",
    "schedule.svg",
    "tensorflow.log",
    "export/final.keras.json",
    f"{CHECKPOINT}/manifest.json",
    f"{CHECKPOINT}/state.npz",
    "../sweep.json",
)
NETWORK_FILES = ("config.yaml", "preparation.json", CHECKPOINT, "export", "tensorflow.log")
"""Where the files are that whoever wants the network reads; to try the others would take long."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two runs that stopped half-way, as jobs of a sweep; their network is built only once."""
    root = tmp_path_factory.mktemp("damaged") / "sweep"
    with pytest.MonkeyPatch.context() as patch:
        begun: dict[str, Any] = {}

        def kept(name: str, made: Callable[..., Any]) -> Callable[..., Any]:
            def once(*args: Any, **kwargs: Any) -> Any:
                if name not in begun:
                    begun[name] = made(*args, **kwargs)
                return begun[name]

            return once

        for place, name in ((RunSetup, "built"), (assembly, "compile_program"),
                            (assembly, "loaded")):  # fmt: skip
            patch.setattr(place, name, kept(name, getattr(place, name)))
        patch.setattr("trainer.config.hydra.hydra_compose", composed)
        network = kept("network", Restored.network)
        patch.setattr(Restored, "network", network)
        patch.setattr("trainer.commands.export.write_compared", written)
        for job in ("0", "1"):
            trained(root / job, *ASKED, "run.stop_after=10")
        (root / "sweep.json").write_text(json.dumps({"first": "0", "second": "1"}))
        yield root


@cache
def composed_once(*overrides: str) -> DictConfig:
    return hydra.compose("config", overrides=list(overrides))


def composed(name: str, overrides: Sequence[str]) -> DictConfig:
    """What Hydra composes, which takes long, but once for all folders to run again."""
    others = [override for override in overrides if not override.startswith("rerun=")]
    config = deepcopy(composed_once(*others))
    for override in overrides:
        if override not in others:
            config.rerun = override.removeprefix("rerun=")
    return config


def written(*given: Any) -> Written:
    """An exported file that nobody looks into."""
    Path(given[-1]).write_bytes(b"")
    return Written(0.0, 1, True, {}, {})


def own_command(path: Path) -> None:
    with reporting([]):
        train(experiment(*ASKED), path, quiet=True)


def reruns(path: Path, target: Path) -> None:
    with reporting([]):
        declared = Experiment.declared(compose([*SMALL, f"rerun={path}"]))
        assert declared.run.length
        target.mkdir()
        rerun.prepare(path, Folder(target))
        rerun.compare(path, Folder(target))


def sums_up(path: Path) -> None:
    job = SweepJob(("run.seed=1",), "run.seed=1", path)
    wait_for_owner(job)
    assert job.status in (None, "stopped", "done", "failed")
    assert "1 of 2 jobs failed" in failure_summary([job], 2)
    write_failure(job, "it was refused")


def statuses(root: Path) -> dict[str, str]:
    with (root / "sweep.csv").open(newline="") as file:
        return {row["run"]: row["status"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_told_or_does_no_harm(
    file: str, damage: str, sound: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "sweep"
    shutil.copytree(sound, root, symlinks=True)
    bad = root / "1"
    (bad / file).parent.mkdir(exist_ok=True)
    if file.startswith("export"):
        (bad / file).with_suffix("").touch()
    DAMAGE[damage](bad / file)

    report.main([str(root)])
    assert statuses(root)["0"] == "stopped", "the others are told all the same"
    for orders in (["status"], ["stop"]):
        assert control.main([str(bad), *orders]) in (0, 1, 2)
    if file.startswith(NETWORK_FILES):
        asked = [str(bad), "--output", str(tmp_path / "predicted.csv")]
        assert predict.main(asked) in (0, 1, 2)
    if file.startswith(("export", "preparation.json")):
        assert export.main([str(bad), "export=keras"]) in (0, 1, 2)
    if file in ("config.yaml", "chosen.json", "result.json"):
        reruns(bad, tmp_path / "again")
    own_command(bad)
    sums_up(bad)
    report.main([str(root)])
    printed = capfd.readouterr().err
    assert "Traceback" not in printed
    assert "None" not in printed, "an error without words"


@pytest.mark.parametrize(
    ("file", "damage"),
    [("result.json", "half"), ("metrics.jsonl", "zeros"), ("config.yaml", "braces"),
     ("config.yaml", "aliases"), ("metrics.jsonl", "spoilt in the middle"),
     ("result.json", "a pipe"), ("metrics.jsonl", "endless")],
)  # fmt: skip
def test_a_report_says_which_file_of_a_run_can_not_be_read(
    file: str, damage: str, sound: Path, tmp_path: Path
) -> None:
    root = tmp_path / "sweep"
    shutil.copytree(sound, root)
    DAMAGE[damage](root / "1" / file)
    report.main([str(root)])
    assert statuses(root) == {"0": "stopped", "1": "unreadable"}
    assert f"{root}/1/{file}: " in (root / "report.html").read_text()


def test_the_hint_for_a_damaged_result_is_true(sound: Path, tmp_path: Path) -> None:
    """Without the file the same command goes on, and writes it anew."""
    shutil.copytree(sound / "0", tmp_path / "run")
    result = tmp_path / "run" / "result.json"
    half(result)
    with pytest.raises(Refused, match=r"result\.json: can't be read as a result: .*\n.*remove it"):
        train(experiment(*ASKED), tmp_path / "run", quiet=True)
    result.unlink()
    assert train(experiment(*ASKED), tmp_path / "run", quiet=True).status == "done"


@pytest.mark.parametrize("line", [b'{"a": 1}', b'{"event": "went on"}', b"3", b"[]", b"{{{",
                                  b'{"step": 3, "event": "command"}',
                                  b'{"step": 3, "event": "command", "orders": ["halt"],'
                                  b' "id": "1", "rewinds": 0}'])  # fmt: skip
def test_a_line_that_is_no_event_is_named_and_leaving_it_out_helps(
    line: bytes, sound: Path, tmp_path: Path
) -> None:
    shutil.copytree(sound / "0", tmp_path / "run")
    events = tmp_path / "run" / "events.jsonl"
    whole = b'{"step": 0, "event": "began"}\n'
    events.write_bytes(whole + line + b"\n")
    with pytest.raises(Refused, match=r"events\.jsonl: line 2 is no event: .*\n.*take the line"):
        train(experiment(*ASKED), tmp_path / "run", quiet=True)
    events.write_bytes(whole)
    assert train(experiment(*ASKED), tmp_path / "run", quiet=True).status == "done"


@pytest.mark.parametrize("damage", ["empty", "braces", "other keys", "brackets", "a pipe",
                                    "a folder", "endless", "huge"])  # fmt: skip
def test_an_answer_that_is_none_is_refused(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = Mailbox(tmp_path)
    mailbox.open()
    letter = mailbox.send(["status"])
    DAMAGE[damage](mailbox.folder / f"{letter.id}.answer")
    with pytest.raises(Refused, match="is no answer"):
        mailbox.wait_for_answer(letter, 1)
