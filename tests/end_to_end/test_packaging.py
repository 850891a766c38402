"""What a newcomer installs: the lock and the wheel."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import EntryPoints, PathDistribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

CHECKOUT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
LOCK = (CHECKOUT / "requirements.lock").read_text()

SYSTEMS = [
    {
        "python_version": python,
        "python_full_version": f"{python}.1",
        "sys_platform": platform,
        "platform_machine": machine,
        "platform_system": system,
        "platform_python_implementation": "CPython",
        "extra": "",
    }
    for python in ("3.11", "3.12", "3.13")
    for platform, system, machine in (
        ("linux", "Linux", "x86_64"),
        ("linux", "Linux", "aarch64"),
        ("darwin", "Darwin", "arm64"),
    )
]


def locked(system: dict[str, str]) -> dict[str, Version]:
    """What the lock installs on `system`."""
    pins = [line.rstrip("\\ ") for line in LOCK.splitlines() if re.match(r"\w", line)]
    chosen = [
        pin for pin in map(Requirement, pins) if not pin.marker or pin.marker.evaluate(system)
    ]
    names = [canonicalize_name(pin.name) for pin in chosen]
    assert len(names) == len(set(names)), "two versions of one package apply"
    return {
        name: Version(str(pin.specifier).removeprefix("=="))
        for name, pin in zip(names, chosen, strict=True)
    }


def test_the_lock_holds_names_versions_markers_and_hashes_and_no_address():
    pin = r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; [\w<>=!.*' ()]+)? \\"
    code = r"    --hash=sha256:[0-9a-f]{64}( \\)?"
    note = r" *#[^:/]*(:|scripts/lock)?[^:/]*"
    strange = [line for line in LOCK.splitlines() if not re.fullmatch(f"{pin}|{code}|{note}", line)]
    assert not strange


def test_every_pin_of_the_lock_has_a_hash():
    for block in re.split(r"\n(?=\w)", LOCK)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]


@pytest.mark.parametrize(
    "system", SYSTEMS, ids=lambda s: "-".join(map(s.get, ("python_version", "platform_machine")))
)
def test_the_lock_satisfies_pyproject_on_every_system(system):
    pins = locked(system)
    declared = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    for requirement in map(Requirement, declared):
        version = pins[canonicalize_name(requirement.name)]
        assert version in requirement.specifier, f"{requirement} is locked at {version}"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that holds what the wheel installs: a pure wheel's contents are just that."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    zipfile.ZipFile(wheel).extractall(site)
    return site


def run_installed(site: Path, *command: str) -> str:
    """The output of Python in a folder with nothing in it, on the wheel and not the checkout."""
    elsewhere = site.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, *command],
        cwd=elsewhere,
        env={"PYTHONPATH": str(site), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_two_packages_and_what_hydra_looks_for_and_nothing_else(installed):
    top = {path.name for path in installed.iterdir() if path.suffix != ".dist-info"}
    assert top == {"trainer", "schedules", "hydra_plugins"}
    (ours,) = (installed / "hydra_plugins").iterdir()  # the folder is shared with other packages
    assert ours.name == "scheduled_training"


def test_the_wheel_carries_every_module_config_and_data_file(installed):
    def files(folder: Path) -> set[Path]:
        found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return {path for path in found if "__pycache__" not in path.parts}

    conf = {"conf" / path for path in files(CHECKOUT / "conf")}
    assert files(installed / "schedules") == files(CHECKOUT / "schedules")
    assert files(installed / "trainer") == files(CHECKOUT / "trainer") | conf


def test_the_wheel_is_what_an_installed_python_imports(installed):
    code = "import schedules, trainer; print(schedules.__file__, trainer.__file__, sep='\\n')"
    for path in run_installed(installed, "-c", code).splitlines():
        assert Path(path).is_relative_to(installed)


def test_an_installed_trainer_finds_its_configs(installed):
    composed = run_installed(installed, "-m", "trainer", "--cfg", "job", "schedule=cosine_restarts")
    assert "kind: cosine_restarts" in composed


def test_the_console_scripts_lead_to_functions(installed):
    (metadata,) = installed.glob("*.dist-info")
    scripts: EntryPoints = PathDistribution(metadata).entry_points.select(group="console_scripts")
    assert {script.name for script in scripts} == {"trainer", "schedules"}
    for script in scripts:
        assert callable(script.load())
