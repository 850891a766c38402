"""`mode=doctor`: what it finds, and whether two devices agree."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.runs import experiment, plan
from trainer.commands import doctor
from trainer.commands.doctor import Parity, examine, parity
from trainer.config.plan import Plan
from trainer.engine import compile_cache
from trainer.engine.compile_measuring import CompileChoice
from trainer.runs.folder import Folder
from trainer.training.run_config import declare

# Splits the CPU in two, which a process can do once, before TensorFlow is at work.
TWO = """
import tensorflow as tf
[cpu] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tests.helpers.runs import plan
from trainer.commands.doctor import parity
found = parity(plan("model.dropout=0.5", "optimizer=adam"), ("/CPU:0", "/CPU:1"))
print(found.losses, found.weights, found.agrees)
"""


def test_it_tells_of_the_machine_and_of_both_ways_to_compile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # what is remembered has its say
    asked = plan("mode=doctor", "run.compile=auto")
    folder = Folder(tmp_path)
    assert examine(declare(folder, asked), folder) == 0
    message = json.loads((tmp_path / "doctor.json").read_text())
    assert any(line.startswith("tensorflow 2.") for line in message["versions"])
    assert any("CPU:0" in line for line in message["devices"])
    assert "GiB free" in message["memory"]
    graph, xla, verdict = message["compile"]
    rates = [float(line.split()[1]) for line in (graph, xla)]
    assert verdict == f"a run would use {'graph' if rates[0] > rates[1] else 'xla'}"
    assert message["parity"] == ["no GPU to compare with the CPU"]
    assert verdict in capsys.readouterr().out
    assert not (tmp_path / "metrics.jsonl").exists()


def test_what_was_declared_or_is_remembered_is_what_a_run_would_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        "trainer.engine.compile_measuring.measure",
        lambda build, ask, device: (CompileChoice("graph", {"graph": "9"}), None),
    )
    auto = experiment("run.compile=auto")
    compile_cache.cache_choice(auto, "/CPU:0", CompileChoice("xla", {}))
    *_, message = doctor.compiling(Plan.of(auto), Folder(tmp_path))
    assert message.startswith("a run would use xla, remembered from 20")
    monkeypatch.setattr(compile_cache, "usable_cores", lambda: [0, 1])
    monkeypatch.delenv(compile_cache.THREADS, raising=False)
    compile_cache.cache_choice(auto, "/CPU:0", CompileChoice("xla", {}, rate=9000.0))
    *_, message = doctor.compiling(Plan.of(auto), Folder(tmp_path))
    assert message.startswith("a run would use xla on one thread, remembered from 20")
    *_, message = doctor.compiling(plan("run.compile=xla"), Folder(tmp_path))
    assert message == "a run would use xla, as declared"


def test_two_devices_that_compute_the_same_agree() -> None:
    done = subprocess.run([sys.executable, "-c", TWO], capture_output=True, text=True, timeout=120)
    assert done.stdout == "0.0 0.0 True\n", done.stderr


def test_a_device_that_computes_something_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = doctor._made

    def made(declared, device):
        losses, weights = right(declared, "/CPU:0")
        return losses, weights + (device == "/GPU:0") * np.float32(0.02)

    monkeypatch.setattr(doctor, "_made", made)
    found = parity(plan(), ("/CPU:0", "/GPU:0"))
    assert not found.agrees
    assert "DISAGREE" in str(found)
    assert (found.losses, found.weights > 0.01) == (0, True)


def test_devices_of_which_one_diverges_do_not_agree() -> None:
    assert doctor._apart(np.ones(3), np.ones(2)) != doctor._apart(np.ones(3), np.ones(3)) == 0
    assert not Parity(("a", "b"), float("nan"), 0.0).agrees
    assert Parity(("a", "b"), 1e-5, 1e-4).agrees
