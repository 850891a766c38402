"""Several processes that train together, on the loopback address."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.engine.test_program import EVERYTHING
from tests.helpers.runs import SMALL, events, experiment, result, rows, trained
from trainer import Experiment, Refused, train
from trainer.config.cluster import Cluster

TWO = ("10.0.0.1:2222", "10.0.0.2:2222")


def config(task: object, cluster: object = None) -> dict[str, str]:
    message = {"cluster": {"worker": list(TWO)} if cluster is None else cluster, "task": task}
    return {"TF_CONFIG": json.dumps(message)}


def slurm(**others: str) -> dict[str, str]:
    """The variables of the third of four tasks on three nodes."""
    message = {
        "SLURM_PROCID": "2",
        "SLURM_NODEID": "1",
        "SLURM_NTASKS": "4",
        "SLURM_STEP_NUM_TASKS": "4",
        "SLURM_STEP_NODELIST": "gpu[08-09],big",
        "SLURM_STEP_TASKS_PER_NODE": "2,1(x2)",
    }
    return {name: value for name, value in {**message, **others}.items() if value}


def test_tf_config_tells_who_trains() -> None:
    assert Cluster.from_environment(1, config({"type": "worker", "index": 1})) == (TWO, 1)
    both = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}
    assert Cluster.from_environment(1, config({"type": "worker", "index": 1}, both)) == (
        ("a:1", "b:1", "c:1"),
        2,
    )
    assert Cluster.from_environment(1, config({"type": "chief", "index": 0}, both)).leads


def test_slurm_tells_who_trains() -> None:
    """As `scontrol show hostnames` lists the nodes, and srun deals out tasks in blocks."""
    assert Cluster.from_environment(7000, slurm()) == (
        ("gpu08:7000", "gpu08:7001", "gpu09:7000", "big:7000"),
        2,
    )
    alone = {"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_JOB_NODELIST": "n1"}
    assert Cluster.from_environment(7000, {**alone, "SLURM_TASKS_PER_NODE": "1"}) == (
        ("n1:7000",),
        0,
    )


def test_tf_config_goes_before_slurm() -> None:
    both = {**slurm(), **config({"type": "worker", "index": 0})}
    assert Cluster.from_environment(1, both).addresses == TWO


ZEROTH = {"type": "worker", "index": 0}


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "device = 'multi_worker': finds neither TF_CONFIG nor the variables of SLURM's srun"),
        ({"TF_CONFIG": "{"}, "TF_CONFIG = '{': is no JSON"),
        ({"TF_CONFIG": "[1]"}, "TF_CONFIG.cluster: must be a mapping"),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'}, "TF_CONFIG.task: must be a mapping"),
        (
            config(ZEROTH, {"worker": ["a:1"], "ps": ["b:1"]}),
            "TF_CONFIG.cluster = 'ps': has no part in this training, where every process is a "
            "worker\n  hint: known: chief, worker",
        ),
        (
            config(ZEROTH, {"worker": ["a:1", "b:1", "a:1"]}),
            "TF_CONFIG.cluster = 'a:1': is the address of two workers",
        ),
        (
            config(ZEROTH, {"worker": ["a:1"], "chief": ["b:1", "c:1"]}),
            "TF_CONFIG.cluster.chief = ['b:1', 'c:1']: must be a single address",
        ),
        (
            config(ZEROTH, {"worker": ["a"]}),
            "TF_CONFIG.cluster.worker = 'a': must be an address\n  hint: host:12345",
        ),
        (config(ZEROTH, {"worker": []}), "TF_CONFIG.cluster.worker = []: must be a list"),
        (
            config({"type": "chief", "index": 0}),
            "TF_CONFIG.task.type = 'chief': is none of those that the cluster lists\n"
            "  hint: known: worker",
        ),
        (
            config({"type": "worker", "index": 2}),
            "TF_CONFIG.task.index = 2: must be a whole number from 0 to 1, as the cluster lists 2",
        ),
        (config({"type": "worker"}), "TF_CONFIG.task.index: must be a whole number from 0 to 1"),
        (config({"type": "worker", "index": True}), "TF_CONFIG.task.index = true: must be a whole"),
        (
            slurm(SLURM_STEP_NODELIST="gpu[08-09]"),
            "SLURM_STEP_TASKS_PER_NODE = '2,1(x2)': tells of 3 nodes, and SLURM_STEP_NODELIST = "
            "'gpu[08-09]' of 2",
        ),
        (
            slurm(SLURM_STEP_NUM_TASKS="5"),
            "SLURM_STEP_TASKS_PER_NODE = '2,1(x2)': are 4 tasks, and SLURM_STEP_NUM_TASKS says 5",
        ),
        (slurm(SLURM_PROCID="4"), "SLURM_PROCID = 4: must be below SLURM_STEP_NUM_TASKS = 4"),
        (slurm(SLURM_PROCID="x"), "SLURM_PROCID = 'x': must be a whole number"),
        (
            slurm(SLURM_NODEID="2"),
            "SLURM_NODEID = '2': runs task 2, which is on node 1 where tasks are dealt in blocks\n"
            "  hint: srun --distribution=block",
        ),
        (slurm(SLURM_STEP_NODELIST="gpu[08-"), "SLURM_STEP_NODELIST = 'gpu[08-': has a bracket"),
        (slurm(SLURM_STEP_TASKS_PER_NODE="two"), "SLURM_STEP_TASKS_PER_NODE = 'two': must be"),
        (
            slurm(SLURM_STEP_NODELIST=""),
            "SLURM_STEP_NODELIST: is missing, though SLURM_PROCID is there",
        ),
    ],
)
def test_workers_that_contradict_themselves_are_refused(
    environment: Mapping[str, str], message: str
) -> None:
    with pytest.raises(Refused) as refused:
        Cluster.from_environment(12345, environment)
    assert str(refused.value).startswith(message)


def ports(count: int) -> list[int]:
    """Ports that are free at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    found = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return found


def started(path: Path, *overrides: str, count: int = 2) -> list[subprocess.Popen[str]]:
    """Workers that train in `path`, the first one first."""
    addresses = [f"127.0.0.1:{port}" for port in ports(count)]
    command = [sys.executable, "-m", "trainer", *SMALL, "device=multi_worker", *overrides]
    return [
        subprocess.Popen(
            [*command, f"hydra.run.dir={path}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **config({"type": "worker", "index": i}, {"worker": addresses})},
        )
        for i in range(count)
    ]


def ended(workers: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Their exit codes, and what they printed."""
    outputs = [worker.communicate(timeout=240) for worker in workers]
    return [(w.returncode, *printed) for w, printed in zip(workers, outputs, strict=True)]


def wait_for(path: Path, workers: list[subprocess.Popen[str]]) -> None:
    while not any(path.glob("step-*")):
        assert all(worker.poll() is None for worker in workers), ended(workers)
        time.sleep(0.05)


def the_same(path: Path, alone: Path) -> None:
    """Whether the rows of two workers are those of a process alone, to what float32 rounds."""
    for one, other in zip(rows(alone), rows(path), strict=True):
        for name, value in one.items():
            exact = not name.startswith("eval") and name != "loss"
            close: Any = value if exact or value is None else pytest.approx(value, rel=1e-4)
            assert other[name] == close, name


@pytest.mark.slow
def test_two_workers_stop_together_go_on_and_learn_what_one_does(tmp_path: Path) -> None:
    asked = ("run.length=60", "evaluate.every=20", "run.steps_per_call=3", *EVERYTHING)
    path, alone = tmp_path / "two", tmp_path / "one"
    both = started(path, *asked, "run.stop_after=30")
    (first, printed, _), (second, silence, _) = ended(both)
    assert (first, second, silence) == (0, 0, "")
    assert "stopped at step 30" in printed
    assert [code for code, *_ in ended(started(path, *asked))] == [0, 0]
    trained(alone, *asked)
    the_same(path, alone)
    assert result(path)["replicas"] == 2
    assert (path / "tensorflow-1.log").exists()


LONG = ("run.length=3000", "evaluate.every=100%", "checkpoint.every=1000", "log.every=100")


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1])
def test_a_signal_to_any_worker_stops_all_of_them(which: int, tmp_path: Path) -> None:
    both = started(tmp_path, *LONG, "run.length=1000000")
    wait_for(tmp_path / "checkpoints", both)
    both[which].send_signal(signal.SIGTERM)
    (first, printed, _), (second, *_) = ended(both)
    assert (first, second) == (143, 143)
    assert "stopped by SIGTERM" in printed


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1])
def test_when_a_worker_is_killed_the_others_end_and_all_go_on(which: int, tmp_path: Path) -> None:
    path, alone = tmp_path / "two", tmp_path / "one"
    both = started(path, *LONG)
    wait_for(path / "checkpoints", both)
    both[which].kill()
    message = ended(both)
    code, _, errors = message[1 - which]
    assert code == 1
    assert "no worker at 127.0.0.1:" in errors
    assert "start all workers again" in errors
    assert [code for code, *_ in ended(started(path, *LONG))] == [0, 0]
    assert events(path, "went on")[0]["step"] >= 1000
    assert events(path, "departed") == []
    trained(alone, *LONG)
    the_same(path, alone)


def test_workers_wait_for_each_other_only_so_long(tmp_path: Path) -> None:
    first, second = started(tmp_path, "device.patience=3")
    second.kill()
    second.communicate()
    [(code, _, errors)] = ended([first])
    assert code == 1
    assert errors.startswith("waited 3 seconds for the other workers; not there: 127.0.0.1:")


def test_a_config_that_workers_cannot_share_is_refused_by_all(tmp_path: Path) -> None:
    both = started(tmp_path / "run", "data.batch_size=5")
    for code, _, errors in ended(both):
        assert code == 2
        assert errors.startswith("data.batch_size = 5: must be a multiple of 2: 2 replicas")


def test_a_folder_of_its_own_for_each_worker_is_refused() -> None:
    command = [sys.executable, "-m", "trainer", "device=multi_worker"]
    environment = {**os.environ, **config({"type": "worker", "index": 1})}
    refused = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr.startswith("hydra.run.dir: must be given, since all workers have to mean")


def test_without_its_environment_the_config_is_still_a_config() -> None:
    assert experiment("device=multi_worker").device.kind == "multi_worker"


def test_a_program_cannot_be_one_of_several_workers() -> None:
    with pytest.raises(Refused) as refused:
        train(Experiment.composed("device=multi_worker"))
    assert str(refused.value).startswith("device = 'multi_worker': is for the command line")
