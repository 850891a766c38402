"""What a config may say to Hydra, and that the rest is refused before Hydra acts on it."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from schedules import Refused
from trainer.__main__ import main
from trainer.config.hydra import compose

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*is validated against ConfigStore")

COMMAND = {"_target_": "subprocess.check_call", "args": ["touch", "ran"]}
OPEN = {"_target_": "builtins.open", "file": "ran", "mode": "w"}
SLURM = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
HANDLER = {"class": "logging.FileHandler", "filename": "ran"}
MAKES = {"()": "builtins.open", "file": "ran", "mode": "w"}


def logging_of(handler: dict[str, Any]) -> dict[str, Any]:
    return {"version": 1, "root": {"handlers": ["one"]}, "handlers": {"one": handler}}


FORBIDDEN: dict[str, tuple[dict[str, Any], str]] = {
    "a callback": ({"callbacks": {"one": OPEN}}, "callbacks.one"),
    "a callback within a callback": (
        {"callbacks": {"one": {"inner": [OPEN]}}}, "callbacks.one"),
    "a callback elsewhere in the config": ({"callbacks": {"one": "${lr_find}"}}, "callbacks.one"),
    "a launcher": ({"launcher": COMMAND}, "launcher._target_"),
    "a sweeper": ({"sweeper": COMMAND}, "sweeper._target_"),
    "a launcher named by the environment": (
        {"launcher": {"_target_": "${oc.env:HOME}"}}, "launcher"),
    "no launcher": ({"launcher": None}, "launcher"),
    "an object in a launcher": ({"launcher": {"jobs": OPEN}}, "launcher.jobs"),
    "an object in a sweeper": ({"sweeper": {"params": {"run.seed": OPEN}}}, "sweeper.params"),
    "an object in a sampler": ({"sweeper": {
        "_target_": "hydra_plugins.scheduled_training.Search", "sampler": {"deep": [OPEN]}}},
        "sweeper.sampler"),
    "commands for SLURM": ({"launcher": {"_target_": SLURM, "setup": ["touch ran"]}},
                           "launcher.setup"),
    "a second line for SLURM": ({"launcher": {"_target_": SLURM, "partition": "a\ntouch ran"}},
                                "launcher.partition"),
    "another folder for SLURM": ({"launcher": {"_target_": SLURM, "submitit_folder": "/tmp"}},
                                 "launcher.submitit_folder"),
    "another cluster of Ray": ({"launcher": {
        "_target_": "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher",
        "ray": {"init": {"address": "ray://elsewhere:1"}}}}, "launcher.ray.init.address"),
    "an expression for joblib": ({"launcher": {
        "_target_": "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
        "pre_dispatch": "2**9**9"}}, "launcher.pre_dispatch"),
    "a log elsewhere": ({"job_logging": logging_of(HANDLER)}, "job_logging"),
    "a factory of logs": ({"job_logging": logging_of(MAKES)}, "job_logging"),
    "a factory of Hydra's logs": ({"hydra_logging": logging_of(MAKES)}, "hydra_logging"),
    "the environment": ({"job": {"env_set": {"PATH": "mine"}}}, "job.env_set.PATH"),
    "a copied environment": ({"job": {"env_copy": ["HOME"]}}, "job.env_set.HOME"),
    "a permission among Hydra's own notes": (
        {"overrides": {"task": ["allow_code=true"]}}, "overrides"),
    "another folder": ({"run": {"dir": "/tmp/there"}}, "run.dir"),
    "a folder above": ({"run": {"dir": "a/../../there"}}, "run.dir"),
    "a folder above by the clock": ({"run": {"dir": "${now:..}/there"}}, "run.dir"),
    "a folder of the environment": ({"run": {"dir": "${oc.env:HOME}/there"}}, "run.dir"),
    "a folder by another value": (
        {"run": {"dir": "${hydra.job.name}"}, "job": {"name": ".."}}, "run.dir"),
    "another folder of sweeps": ({"sweep": {"dir": "/tmp/there"}}, "sweep.dir"),
    "a job out of its sweep": ({"sweep": {"subdir": "../${hydra.job.num}"}}, "sweep.subdir"),
    "notes out of the run": ({"output_subdir": "../notes"}, "output_subdir"),
    "a name that is a path": ({"job": {"name": "../../log"}}, "job.name"),
    "a permission among the values of a sweep": (
        {"sweeper": {"params": {"allow_code": "true"}}}, "sweeper.params.allow_code"),
    "help with other names": ({"help": {"template": "$NAME"}}, "help.template"),
    "a level of logging": ({"verbose": 5}, "verbose"),
}  # fmt: skip


def experiment(folder: Path, hydra: dict[str, Any], **values: Any) -> Path:
    """A folder of configs with `experiment=mine`."""
    file = folder / "mine" / "experiment" / "mine.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    option = hydra.get("launcher") or {}
    name = {SLURM: "submitit_slurm"}.get(str(option.get("_target_")))
    known = {"joblib": "Joblib", "ray": "RayLauncher"}
    name = name or next((n for n, word in known.items() if word in str(option)), "local")
    defaults = [{"override /hydra/launcher": name}] if isinstance(option, dict) else []
    declared = {"defaults": defaults, "hydra": hydra, **values}
    file.write_text("# @package _global_\n" + yaml.safe_dump(declared))
    return folder / "mine"


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of the command."""
    monkeypatch.setattr(sys, "argv", ["trainer", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(str(ended.value.code))


@pytest.mark.parametrize("case", FORBIDDEN)
def test_a_file_does_not_say_it(case: str, tmp_path: Path) -> None:
    hydra, path = FORBIDDEN[case]
    mine = experiment(tmp_path, hydra, allow_code=True)
    with pytest.raises(Refused, match=rf"^hydra\.{path}"):
        compose(["experiment=mine"], str(mine))


@pytest.mark.parametrize("flags", [[], ["-m"], ["--cfg", "job"], ["--help"]])
@pytest.mark.parametrize("case", ["a callback", "a factory of Hydra's logs", "another folder"])
def test_every_door_refuses_it_before_hydra_acts(
    case: str,
    flags: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    hydra, path = FORBIDDEN[case]
    asked = ["experiment=mine", "--config-dir", str(experiment(tmp_path, hydra))]
    assert call(monkeypatch, *asked, *flags) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.partition(" = ")[0]) == ("", f"hydra.{path}")
    assert "Traceback" not in printed.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    "hydra",
    [
        *({part: None} for part in ("job", "run", "sweep", "overrides", "runtime", "help")),
        *({part: "word"} for part in ("callbacks", "launcher", "job_logging")),
        *(None, "word", [1], {"overrides": {"task": [{"a": 1}]}}, {"job": {"env_set": None}}),
        *({"overrides": {"hydra": None}}, {"job": {"env_copy": None}}, {"searchpath": 3}),
    ],
)
def test_what_is_of_another_shape_is_refused_or_left(hydra: Any, tmp_path: Path) -> None:
    mine = experiment(tmp_path, {})
    text = yaml.safe_dump({"hydra": hydra})
    (mine / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{text}")
    with suppress(Refused):
        compose(["experiment=mine"], str(mine))


def test_a_variable_that_is_not_set_is_told() -> None:
    with pytest.raises(Refused, match=r"^hydra\.job\.env_copy = 'NOWHERE': is not set"):
        compose(["hydra.job.env_copy=[NOWHERE]"])


@pytest.mark.parametrize(
    "typed",
    [
        "+hydra.callbacks.one={_target_: builtins.open, file: ran, mode: w}",
        "+hydra.job.env_set.PATH=mine",
        "hydra.launcher._target_=subprocess.check_call",
        "hydra.searchpath=[pkg://this]",
        "+hydra.overrides.task=['allow_code=true']",
    ],
)
def test_nor_does_an_override_until_code_is_allowed(typed: str) -> None:
    with pytest.raises(Refused, match=r"^hydra\."):
        compose([typed])
    if "overrides" not in typed:
        with pytest.raises(Refused, match=r"^hydra\."):
            compose([typed, "allow_code=[elsewhere]"])
    if "searchpath" not in typed:
        compose([typed, "allow_code=true"])


def test_a_list_of_modules_allows_callbacks_and_launchers_of_these() -> None:
    asked = ["+hydra.callbacks.one={_target_: mine.Callback}", "hydra.launcher._target_=mine.Here"]
    compose([*asked, "allow_code=[mine]"])
    with pytest.raises(Refused, match=r"allow_code=\[mine\]"):
        compose([*asked, "allow_code=[other]"])


def test_a_primary_config_does_not_import_packages(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("hydra: {searchpath: ['pkg://this']}\n")
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        assert call(patch, "--config-dir", str(tmp_path), "--config-name", "other") == 2
    assert "this" not in sys.modules


@pytest.mark.parametrize(
    "hydra",
    [
        {"run": {"dir": "runs/${now:%Y-%m-%d}/${schedule.kind}-${unique:}"}},
        {"run": {"dir": "${hydra.runtime.cwd}/runs/${run.seed}"}},
        {"sweep": {"dir": "sweeps", "subdir": "${hydra.job.override_dirname}"}},
        {"job": {"name": "nightly-2.1", "chdir": True}, "verbose": ["tensorflow"]},
        {"output_subdir": "notes", "mode": "MULTIRUN"},
        {"launcher": {"jobs": 3, "gpus": [0, 1]}},
        {"launcher": {"_target_": SLURM, "partition": "gpu", "mem_gb": 32, "name": "${run.seed}"}},
        {"sweeper": {"params": {"run.seed": [1, 2], "schedule": "cosine,\nrex"}}},
    ],
)
def test_a_file_says_where_runs_go_and_how_they_are_launched(
    hydra: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    compose(["experiment=mine"], str(experiment(tmp_path, hydra)))


@pytest.mark.parametrize("group", ["launcher", "sweeper", "job_logging", "hydra_logging"])
def test_every_option_that_is_shipped_may_be_chosen(group: str) -> None:
    import hydra.conf

    from trainer.config.hydra import CONF

    folders = [CONF / "hydra" / group, Path(*hydra.conf.__path__) / "hydra" / group]
    options = [file.stem for folder in folders for file in folder.glob("*.yaml")]
    for option in [*options, *(["basic"] if "log" not in group else [])]:
        compose([f"hydra/{group}={option}"])


@pytest.mark.parametrize("flag", ["--experimental-rerun", "--exp", "--experimental-rerun=x.pickle"])
def test_no_pickle_is_run_again(
    flag: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, flag, "x.pickle") == 2
    assert (
        "reads a pickle, which can run any code\n  hint: rerun=RUN_DIR" in capsys.readouterr().err
    )


@pytest.mark.parametrize("sweeper", ["grid", "basic", "optuna"])
@pytest.mark.parametrize(
    "key", ["allow_code", "++allow_code", "allow_code=true #", "hydra.run.dir", "+hydra/callbacks"]
)
def test_a_sweep_of_a_file_does_not_say_what_is_for_the_command_line(
    key: str, sweeper: str, tmp_path: Path
) -> None:
    mine = experiment(tmp_path, {"sweeper": {"params": {key: "true", "run.seed": "1,2"}}})
    with pytest.raises(Refused) as refused:
        compose(["experiment=mine", f"hydra/sweeper={sweeper}"], str(mine))
    message = f"hydra.sweeper.params.{key} = 'true': is for the command line"
    assert str(refused.value).startswith(message)
