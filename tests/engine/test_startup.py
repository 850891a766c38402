"""TensorFlow's start where it goes wrong: the terminal is told where its words are."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.engine.startup import import_tensorflow

ENDS = {
    "SIGABRT": "os.abort()",
    "SIGILL": "os.kill(os.getpid(), signal.SIGILL)",
    "SIGSEGV": "os.kill(os.getpid(), signal.SIGSEGV)",
    "exit": "os._exit(3)",
}


def started(tmp_path: Path, tensorflow: str) -> subprocess.CompletedProcess[str]:
    """The command line on a machine whose TensorFlow is this text."""
    for name, text in {"tensorflow": tensorflow, "keras": ""}.items():
        (tmp_path / f"{name}.py").write_text(f"import os, signal\n{text}\n")
    command = [sys.executable, "-m", "trainer", "data=digits", "model=mlp", "hydra.run.dir=run"]
    path = f"{tmp_path}:{Path(__file__).parents[2]}"
    return subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("end", ENDS)
def test_a_process_that_ends_in_tensorflow_tells_where_its_words_are(
    end: str, tmp_path: Path
) -> None:
    done = started(tmp_path, f"os.write(2, b'no AVX here')\n{ENDS[end]}")
    assert done.returncode == (3 if end == "exit" else -signal.Signals[end])
    log = tmp_path / "run" / "tensorflow.log"
    assert done.stderr == f"this process ended in TensorFlow, whose words are in {log}\n"
    assert "no AVX here" in log.read_text()


def test_a_tensorflow_that_can_not_be_imported_is_told_without_traceback(tmp_path: Path) -> None:
    done = started(tmp_path, "os.write(2, b'libcuda')\nraise ImportError('DLL load failed')")
    assert done.returncode == 2
    assert done.stderr == (
        "tensorflow: can't be imported: ImportError: DLL load failed\n"
        "  hint: the last that it wrote: libcuda\n"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("froze", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_a_program_that_freezes_what_it_begins_with_has_tensorflow_frozen_once(
    froze: bool, first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second time would freeze what other runs of the process have left, for good."""
    for name in ("tensorflow", "keras"):
        (tmp_path / f"{name}.py").write_text("held = [[] for _ in range(1000)]")
        monkeypatch.setitem(sys.modules, name, None)  # is undone at the end
        del sys.modules[name]
    monkeypatch.syspath_prepend(tmp_path)
    gc.unfreeze()
    try:
        if not first:
            import_tensorflow(tmp_path / "log")
        if froze:
            gc.freeze()
        before = gc.get_freeze_count()
        import_tensorflow(tmp_path / "log")
        assert (gc.get_freeze_count() >= before + 1000) == (froze and first)
        assert gc.isenabled()
    finally:
        gc.unfreeze()
