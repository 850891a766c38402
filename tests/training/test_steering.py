"""Hands on a running job: what is ordered, answered, recorded and played again."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.runs import events, result, rows, trained
from trainer.control import main
from trainer.runs.mailbox import LONGEST, Mailbox
from trainer.runs.orders import Order, Replay
from trainer.training.steering import Steering

ASKED = ("run.length=60", "run.steps_per_call=4", "checkpoint.every=25", "evaluate.every=30")
MOMENTUM = "optimizer.momentum={kind: linear, initial_value: 0.5, end_value: 0.9}"


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts letters into a run's folder just before given steps, as another process would."""

    def deliver(path: Path, **letters: list[str]) -> None:
        left = {int(name[1:]): orders for name, orders in letters.items()}
        obey = Steering.obey

        def obeying(steering: Steering) -> None:
            session = steering._session
            if session.folder.path == path and session.step in left:
                Mailbox(path).send(left.pop(session.step))
            obey(steering)

        monkeypatch.setattr(Steering, "obey", obeying)

    return deliver


def answers(path: Path) -> list[dict[str, object]]:
    found = sorted((path / "commands").glob("*.answer"))
    return [json.loads(file.read_text()) for file in found]


def applied(path: Path, name: str) -> list[float]:
    return [row[name] for row in rows(path) if "loss" in row]


def test_a_held_value_is_applied_from_the_step_of_the_answer_until_it_is_released(
    tmp_path: Path, at: Callable[..., None]
) -> None:
    free = tmp_path / "free"
    trained(free, *ASKED, MOMENTUM)
    at(tmp_path, t12=["learning_rate=0.5", "momentum=0.25"], t20=["release=momentum"],
       t38=["release"])  # fmt: skip
    trained(tmp_path, *ASKED, MOMENTUM)
    assert [answer["step"] for answer in answers(tmp_path)] == [12, 20, 38]
    assert answers(tmp_path)[0]["told"][1] == "momentum = 0.25 (was 0.58)"
    for name, value, begin, end in (("learning_rate", 0.5, 12, 38), ("momentum", 0.25, 12, 20)):
        expected = np.array(applied(free, name))
        expected[begin:end] = value
        np.testing.assert_array_equal(applied(tmp_path, name), expected)
    assert [row["step"] for row in events(tmp_path, "command")] == [12, 20, 38]


def test_a_manual_schedule_takes_the_value_itself(tmp_path: Path, at: Callable[..., None]) -> None:
    at(tmp_path, t8=["learning_rate=0.25"], t16=["release"])
    trained(tmp_path, *ASKED, "schedule={kind: scale, factor: 0.5, "
            "schedule: {kind: manual, initial_value: 0.1}}")  # fmt: skip
    assert applied(tmp_path, "learning_rate") == [0.05] * 8 + [0.125] * 8 + [0.05] * 44


ORDERED = {"t12": ["learning_rate=0.5"], "t29": ["momentum=0.1"], "t42": ["release=momentum"]}


def test_replaying_the_record_gives_the_same_weights(
    tmp_path: Path, at: Callable[..., None]
) -> None:
    steered, replayed, free = (tmp_path / name for name in ("steered", "replayed", "free"))
    at(steered, **ORDERED)
    trained(steered, *ASKED, MOMENTUM)
    trained(replayed, *ASKED, MOMENTUM, f"run.replay={steered}/events.jsonl",
            "run.steps_per_call=auto")  # fmt: skip
    trained(free, *ASKED, MOMENTUM)
    assert result(replayed)["weights_digest"] == result(steered)["weights_digest"]
    assert rows(replayed) == rows(steered)
    assert result(free)["weights_digest"] != result(steered)["weights_digest"]


@pytest.mark.parametrize("stop", [13, 26, 30, 45])
def test_going_on_repeats_what_was_ordered_after_the_checkpoint(
    stop: int, tmp_path: Path, at: Callable[..., None]
) -> None:
    """Also from a checkpoint that is older than some of the orders."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    at(whole, **ORDERED)
    trained(whole, *ASKED, MOMENTUM)
    at(broken, **ORDERED)
    trained(broken, *ASKED, MOMENTUM, f"run.stop_after={stop}")
    for checkpoint in sorted((broken / "checkpoints").iterdir())[-1:]:
        (checkpoint / "state.npz").write_bytes(b"gone")
    trained(broken, *ASKED, MOMENTUM)
    assert rows(broken) == rows(whole)
    assert result(broken)["weights_digest"] == result(whole)["weights_digest"]
    assert not events(broken, "departed")
    assert len({row["id"] for row in events(broken, "command")}) == len(events(broken, "command"))


def test_stop_checkpoint_evaluate_and_status_change_no_bit(
    tmp_path: Path, at: Callable[..., None]
) -> None:
    whole, asked = tmp_path / "whole", tmp_path / "asked"
    plateau = ("schedule=plateau", "schedule.patience=0", "schedule.min_delta=9")
    trained(whole, *ASKED, *plateau)
    at(asked, t8=["status"], t12=["checkpoint"], t16=["evaluate"], t20=["stop"])
    assert trained(asked, *ASKED, *plateau) == 0
    assert (result(asked)["status"], result(asked)["steps"]) == ("stopped", 20)
    status, saved, evaluated, stopped = answers(asked)
    assert status["told"][0].startswith("of 60  learning_rate ")
    assert saved["told"] == ["saved step-0000000012"]
    assert evaluated["told"][0].startswith("eval_loss ")
    assert stopped == {"step": 20, "told": ["stopping"]}
    trained(asked, *ASKED, *plateau)
    assert rows(asked) == rows(whole)
    assert result(asked)["weights_digest"] == result(whole)["weights_digest"]


@pytest.mark.parametrize(
    ("order", "message"),
    {
        "learning_rte=0.1": "learning_rte = 0.1: is not scheduled in this run\n"
        "  hint: did you mean learning_rate?",
        "momentum=0.5": "momentum = 0.5: is not scheduled in this run\n"
        "  hint: known: learning_rate",
        "learning_rate=-1": "learning_rate = -1.0: must be at least 0",
        "learning_rate=nan": "learning_rate = 'nan': must be a finite number\n"
        "  hint: learning_rate=0.01",
        "release=momentum": "momentum = null: is not scheduled in this run\n"
        "  hint: known: learning_rate",
        "halt": "order = 'halt': is no order\n"
        "  hint: known: checkpoint, evaluate, learning_rate=0.01, release, status, stop",
    }.items(),
)  # fmt: skip
def test_an_order_that_can_not_be_done_is_refused_whole(
    order: str, message: str, tmp_path: Path, at: Callable[..., None]
) -> None:
    free = tmp_path / "free"
    trained(free, *ASKED)
    at(tmp_path, t8=["learning_rate=0.5", order])
    trained(tmp_path, *ASKED)
    assert answers(tmp_path) == [{"refused": message}]
    assert not (tmp_path / "events.jsonl").read_text()
    assert rows(tmp_path) == rows(free)


def test_only_the_owner_may_enter_and_no_junk_is_obeyed(tmp_path: Path) -> None:
    folder = tmp_path / "commands"
    folder.mkdir(mode=0o777)
    mail = Mailbox(tmp_path)
    mail.open()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (tmp_path / "elsewhere").write_text('["stop"]')
    (folder / "1.letter").symlink_to(tmp_path / "elsewhere")
    (folder / "2.letter").write_text("{not json")
    (folder / "3.letter").write_text('{"orders": "stop"}')
    (folder / "4.letter").write_text('["' + "x" * LONGEST + '"]')
    os.mkfifo(folder / "5.letter")
    sent = mail.send(["stop"])
    (folder / "6.letter").write_text("[" * 60_000)
    (folder / "7.letter").symlink_to("/dev/zero")
    (folder / "8.letter").write_text('["stop", 3]')
    (folder / ".9.letter.999999999").write_text("of a process that died")
    mail.open()
    assert list(mail.take()) == [sent]
    left = {path.name for path in folder.iterdir()}
    assert left == {f"{sent.id}.taken", *(f"{number}.answer" for number in range(1, 9))}
    message = [json.loads((folder / f"{number}.answer").read_text()) for number in range(1, 9)]
    assert {why["refused"].partition(":")[0] for why in message} == {"order"}
    assert list(mail.take()) == []


def test_a_letter_that_ended_the_process_is_not_read_again(tmp_path: Path) -> None:
    """It is answered by the next one, which does not look into it."""
    mail = Mailbox(tmp_path)
    mail.open()
    sent = mail.send(["learning_rate=0.25"])
    assert [letter.orders for letter in mail.take()] == [("learning_rate=0.25",)]
    assert trained(tmp_path, *ASKED) == 0
    answer = mail.wait_for_answer(sent, 1)
    assert answer
    assert "send it again" in answer["refused"]
    assert 0.25 not in applied(tmp_path, "learning_rate")
    assert not list((tmp_path / "commands").iterdir())


def test_a_letter_that_nests_too_deep_ends_no_run(tmp_path: Path, at: Callable[..., None]) -> None:
    at(tmp_path, t20=["stop"])
    Mailbox(tmp_path).open()
    (tmp_path / "commands" / "1.letter").write_text("[" * 60_000)
    assert trained(tmp_path, *ASKED) == 0
    assert result(tmp_path)["steps"] == 20
    refused, stopped = answers(tmp_path)
    assert "can't be read: it nests deeper than" in str(refused["refused"])
    assert stopped["told"] == ["stopping"]


def test_orders_that_fill_no_letter_are_refused_where_they_are_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text("")
    Mailbox(tmp_path).open()
    monkeypatch.setattr("trainer.runs.folder.Folder.owner", lambda self: "process 1 on nowhere")
    assert main([str(tmp_path), *["status"] * 10_000]) == 2
    assert "are longer than the 64 KiB of a letter" in capsys.readouterr().err


def test_an_order_after_a_rewind_waits_for_as_many_when_it_is_repeated() -> None:
    rows = [
        {"event": "command", "step": 30, "rewinds": 0, "orders": ["learning_rate=1"]},
        {"event": "command", "step": 20, "rewinds": 1, "orders": ["learning_rate=2"]},
        {"event": "command", "step": 10, "rewinds": 0, "orders": ["stop"]},
        {"event": "rewound", "step": 10},
    ]
    replay = Replay(rows)
    assert replay.next(0, 0, end=99) == 30
    assert replay.due(25, 0) == []
    assert replay.due(30, 0) == rows[:1]
    assert replay.next(10, 1, end=99) == 20
    assert replay.due(20, 1) == rows[1:2]


def test_steering_is_holding_and_releasing() -> None:
    orders = map(Order.parse, ["a=1", "release", "release=a", "stop", "checkpoint", "status"])
    assert [order.steers for order in orders] == [True, True, True, False, False, False]


# Steers a run from a process of its own, and says on stderr whether TensorFlow came in.
WATCHED = """
import sys
from trainer.control import main
code = main()
print("imported:", *({"tensorflow", "keras"} & set(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def test_the_command_line_waits_for_the_answer_and_prints_it(tmp_path: Path) -> None:
    from tests.helpers.runs import SMALL

    asked = [*SMALL, "log.every=1000", "run.length=3000000", f"hydra.run.dir={tmp_path}/run"]
    job = subprocess.Popen([sys.executable, "-m", "trainer", *asked], stdout=subprocess.DEVNULL)

    def control(*orders: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WATCHED, str(tmp_path / "run"), *orders]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    try:
        while not (tmp_path / "run" / "commands").exists():
            assert job.poll() is None
        message = control("learning_rate=0.001", "status")
        assert (message.returncode, message.stderr) == (0, "imported:\n")
        held, status = message.stdout.splitlines()
        step = int(held.split()[1].rstrip(":"))
        assert held.startswith(f"step {step}: learning_rate = 0.001 (was ")
        assert status.startswith(f"step {step}: of 3000000  learning_rate 0.001")
        refused = control("learning_rte=0.1")
        assert refused.returncode == 2
        assert "did you mean learning_rate?" in refused.stderr
        assert control("stop").stdout.endswith(": stopping\n")
        assert job.wait(30) == 0
    finally:
        job.kill()
    ended = control("status")
    assert ended.returncode == 0
    assert ended.stdout.startswith("nobody is training in ")
    assert "the last run was stopped at step" in ended.stdout
    assert control("stop").returncode == 1
    (held,) = (row for row in events(tmp_path / "run", "command") if row["orders"][0][0] == "l")
    applied = [
        row for row in rows(tmp_path / "run") if "loss" in row and row["step"] >= held["step"]
    ]
    assert {row["learning_rate"] for row in applied} == {0.001}


def test_a_folder_without_a_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "status"]) == 2
    assert "is the folder of no run" in capsys.readouterr().err


def test_orders_that_nobody_takes_up_are_withdrawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yaml").write_text("")
    Mailbox(tmp_path).open()
    monkeypatch.setattr("trainer.runs.folder.Folder.owner", lambda self: "process 1 on nowhere")
    assert main([str(tmp_path), "stop", "--timeout", "0.1"]) == 1
    assert "no answer within 0.1 s" in capsys.readouterr().err
    assert list((tmp_path / "commands").iterdir()) == []
