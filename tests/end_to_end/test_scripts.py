"""The set-up that `scripts/` share, in checkouts that need next to nothing installed."""

import contextlib
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
TOOLS = ["bash", "cmp", "cp", "dirname", "mkdir", "mv", "readlink", "rm", "sleep", "touch"]


class Checkout:
    """A small checkout on a machine that has only `TOOLS`, a Python and perhaps uv."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a checkout"
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in TOOLS:
            self.bin.joinpath(tool).symlink_to(shutil.which(tool) or "/nowhere")
        shutil.copytree(SCRIPTS, self.root / "scripts")
        self.lock = self.root / "requirements.lock"
        self.lock.write_text("# nothing\n")
        trainer = self.root / "trainer"
        trainer.mkdir()
        trainer.joinpath("__init__.py").touch()
        trainer.joinpath("__main__.py").write_text(
            "import os, sys\nprint(os.getcwd(), *sys.argv[1:], sep='|')\n"
        )

    @property
    def log(self) -> str:
        """What the installer wrote."""
        return (self.root / ".venv/install.log").read_text()

    def program(self, name: str, text: str) -> None:
        self.bin.joinpath(name).write_text(f"#!{shutil.which('bash')}\n{text}\n")
        self.bin.joinpath(name).chmod(0o755)

    def start(
        self,
        *arguments: str,
        script: str = "train",
        cwd: Path | None = None,
        stderr: int = subprocess.PIPE,
        **environ,
    ):
        return subprocess.Popen(
            ["bash", str(self.root / "scripts" / script), *arguments],
            cwd=cwd or self.root,
            env={"PATH": str(self.bin), "HOME": str(self.root), "PIP_NO_INDEX": "1", **environ},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def run(self, *arguments: str, **options) -> tuple[int, str, str]:
        """The exit code, the output and the errors."""
        process = self.start(*arguments, **options)
        output, errors = process.communicate(timeout=120)
        return process.returncode, output, errors


@pytest.fixture
def bare(tmp_path):
    """A checkout where Python and pip are all there is."""
    checkout = Checkout(tmp_path)
    checkout.program("python3", f'exec "{Path(sys.executable).resolve()}" "$@"')
    return checkout


@pytest.fixture
def quick(bare):
    """A checkout whose uv says what it is asked for, and installs nothing."""
    bare.program("uv", 'echo "uv $*" >&2')
    return bare


def test_pip_alone_is_enough(bare):
    code, output, errors = bare.run()
    assert code == 0, errors
    assert output == f"{bare.root}\n"
    assert (bare.root / ".venv/requirements.lock").read_text() == bare.lock.read_text()


def test_the_systems_pip_helps_where_ensurepip_is_missing(bare, tmp_path):
    pytest.importorskip("ensurepip", reason="its wheel of pip stands for the one on the network")
    tmp_path.joinpath("ensurepip.py").write_text("raise ImportError('as on Debian')")
    code, output, errors = bare.run(PYTHONPATH=str(tmp_path), PIP_FIND_LINKS=bundled())
    assert code == 0, errors
    assert output == f"{bare.root}\n"


def bundled() -> str:
    import ensurepip

    return str(Path(ensurepip.__file__).parent / "_bundled")


def test_uv_installs_where_it_is_present_with_hashes_required(quick):
    code, _, errors = quick.run()
    assert code == 0
    assert "uv pip install --python" not in errors
    assert "uv pip install --python" in quick.log
    assert "--require-hashes" in quick.log


def test_a_second_call_sets_nothing_up(quick):
    quick.run()
    assert quick.run() == (0, f"{quick.root}\n", "")


def test_it_runs_in_the_callers_folder_with_the_callers_words(quick, tmp_path):
    _, output, _ = quick.run("run.length=2 epochs", "-m", cwd=tmp_path)
    assert output == f"{tmp_path}|run.length=2 epochs|-m\n"


def test_what_the_callers_folder_holds_is_found_but_never_in_place_of_ours(quick, tmp_path):
    for package in ("trainer", "schedules"):
        quick.root.joinpath(package).mkdir(exist_ok=True)
        quick.root.joinpath(package, "__init__.py").touch()
        tmp_path.joinpath(package).mkdir()
        tmp_path.joinpath(package, "__init__.py").write_text("raise ImportError('not ours')")
    tmp_path.joinpath("functions.py").write_text("NAME = 'a function'")
    quick.root.joinpath("trainer/__main__.py").write_text(
        "import functions, schedules, sys\nprint(functions.NAME, *sys.argv[1:], sep='|')\n"
    )
    assert quick.run("run.seed=2", cwd=tmp_path)[:2] == (0, "a function|run.seed=2\n")


def test_it_can_be_called_through_a_link(quick, tmp_path):
    link = tmp_path / "train"
    link.symlink_to(quick.root / "scripts/train")
    called = quick.run(script=str(link))
    assert called[0] == 0, called
    assert (quick.root / ".venv").is_dir()


def test_another_lock_is_installed_into_the_same_venv(quick):
    quick.run()
    mark = quick.root / ".venv/mark"
    mark.touch()
    quick.lock.write_text("# something else\n")
    quick.run()
    assert quick.log.count("uv pip install") == 1
    assert mark.exists()


def test_a_venv_made_by_hand_is_kept(quick):
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", quick.root / ".venv"], check=True
    )
    mark = quick.root / ".venv/mark"
    mark.touch()
    code, _, errors = quick.run()
    assert code == 0, errors
    assert mark.exists()


def test_a_set_up_that_was_killed_is_begun_anew(quick):
    quick.program("uv", "echo begun >&2; exec sleep 60")
    process = quick.start()
    while not ((quick.root / ".venv/install.log").exists() and "begun" in quick.log):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    half = quick.root / ".venv/half"
    half.touch()

    quick.program("uv", "exit 0")
    code, output, _ = quick.run()
    assert (code, output) == (0, f"{quick.root}\n")
    assert not half.exists()


def test_a_set_up_that_fails_trains_nothing_and_is_not_trusted(quick):
    quick.program("uv", "echo no network >&2; exit 7")
    for _ in range(2):
        code, output, errors = quick.run()
        assert code != 0
        assert output == ""
        assert "\nno network\nset-up: the installer failed with exit code 7" in errors


PIP = "Collecting a\\nCollecting b\\n"
UV = "Downloaded a\\n"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (PIP, "fetching, 2 of 3 packages"),
        (f"{PIP}Installing collected packages: a, b\\n", "unpacking"),
        (f"Resolved 3 packages in 1ms\\nDownloading a (600.0MiB)\\n {UV}", "fetching, 1 of 3"),
        (f"{UV}Prepared 3 packages in 1ms\\n", "unpacking"),
    ],
)
def test_a_first_call_is_a_few_lines_and_in_a_terminal_one_that_moves(quick, written, message):
    quick.lock.write_text("# x==1\na==1 \\\n    --hash=sha256:0\nb==2\nc-d==3\n")
    quick.program("uv", f"printf '{written}'; sleep 2.5")
    terminal, inner = pty.openpty()
    process = quick.start(stderr=inner)
    os.close(inner)
    shown = b""
    with contextlib.suppress(OSError):  # the terminal's other end is closed
        while some := os.read(terminal, 4096):
            shown += some
    assert process.wait() == 0
    os.close(terminal)
    text = shown.decode()
    assert "set-up: installing 3 packages of requirements.lock" in text
    assert f"\r\x1b[Kset-up: {message}" in text
    assert "Collecting" not in text
    assert len(text.splitlines()) < 12
    process.stdout.close()


def test_two_calls_at_once_set_up_once(quick):
    quick.program("uv", f"echo installing >>'{quick.root}/calls'; sleep 1")
    calls = [quick.start() for _ in range(3)]
    outcomes = [call.communicate(timeout=60) for call in calls]
    assert [call.returncode for call in calls] == [0, 0, 0]
    assert [output for output, _ in outcomes] == [f"{quick.root}\n"] * 3
    assert (quick.root / "calls").read_text() == "installing\n"


def test_a_moved_checkout_sees_itself(quick, tmp_path):
    quick.run()
    moved = tmp_path / "moved"
    quick.root.rename(moved)
    quick.root = moved
    where = "import trainer; print(list(trainer.__path__))"
    found = subprocess.run(
        [moved / ".venv/bin/python", "-c", where], cwd=tmp_path, capture_output=True, text=True
    )
    assert found.stdout == f"['{moved}/trainer']\n"


def test_an_unsupported_python_is_named_with_what_to_install(tmp_path):
    checkout = Checkout(tmp_path)
    checkout.program("python3", '[[ $1 == --version ]] && echo "Python 3.9.2"')
    code, output, errors = checkout.run()
    assert code == 1
    assert output == ""
    assert "Python 3.9.2" in errors
    assert "hint: install python3.12" in errors


def test_a_newer_python3_gives_way_to_a_supported_one(quick):
    shutil.move(quick.bin / "python3", quick.bin / "python3.11")
    quick.program("python3", "exit 1")
    assert quick.run()[0] == 0


def test_uv_fetches_a_python_where_none_is_supported(quick):
    python = Path(sys.executable).resolve()
    quick.program("python3", "exit 1")
    quick.program("uv", f'[[ $1 == run ]] && echo "{python}" || exit 0')
    code, output, errors = quick.run()
    assert (code, output) == (0, f"{quick.root}\n"), errors


@pytest.mark.parametrize("script", sorted(SCRIPTS.iterdir()), ids=lambda script: script.name)
def test_a_script_can_be_executed_unless_it_is_sourced(script):
    assert os.access(script, os.X_OK) != (script.name == "environment")
