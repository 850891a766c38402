"""Nothing is asked of any network unless a config says so."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from schedules import Refused
from tests.helpers import network
from tests.helpers.runs import experiment, trained
from tests.helpers.splits import refused
from trainer.commands.checks import look_over
from trainer.config.plan import Plan
from trainer.data import Data
from trainer.trackers import Tracked
from trainer.trackers.mlflow import Mlflow
from trainer.trackers.wandb import Wandb

ELSEWHERE = "https://example.org/a"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    monkeypatch.chdir(tmp_path)
    return network.cut(monkeypatch)


def test_whoever_asks_is_noticed(asked: list[str]) -> None:
    with pytest.raises(OSError, match="no network here"):
        socket.create_connection(("192.0.2.1", 80), 0.1)
    with pytest.raises(OSError, match="no network here"):
        socket.getaddrinfo("example.org", 443)
    assert asked == ["192.0.2.1", "example.org"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    assert len(asked) == 2


@pytest.mark.parametrize(
    "overrides",
    [
        ("log.csv={}",),
        ("data=synthetic", "model=applications", "model.name=MobileNetV2", "data.shape=[32,32,3]",
         "data.examples=20", "data.batch_size=4", "model.kwargs={alpha: 0.35}"),
    ],
)  # fmt: skip
def test_a_run_asks_for_nothing(
    overrides: tuple[str, ...], asked: list[str], tmp_path: Path
) -> None:
    assert trained(tmp_path / "run", *overrides, "run.length=2") == 0
    assert asked == []


@pytest.mark.parametrize(
    "overrides",
    [
        ("data=npz", f"data.path={ELSEWHERE}.npz"),
        ("data=npy", f"data.inputs={ELSEWHERE}.npy", f"data.labels={ELSEWHERE}.npy"),
        ("data=csv", f"data.path={ELSEWHERE}.csv", "data.target=a"),
        ("data=parquet", f"data.path={ELSEWHERE}.parquet", "data.target=a"),
        ("data=image_folder", f"data.path={ELSEWHERE}"),
        ("data=tfrecord", f"data.path={ELSEWHERE}.tfrecord"),
        ("data=huggingface", "data.path=ylecun/mnist"),
        ("data=huggingface", f"data.path={ELSEWHERE}"),
        ("data=tfds", "data.name=mnist"),
        ("data=tfds", "data.name=huggingface:mnist"),
        ("model=keras_file", f"model.path={ELSEWHERE}.keras"),
        ("model=applications", "model.name=ResNet50", "model.weights=imagenet"),
        ("model=applications", "model.name=ResNet50", f"model.weights={ELSEWHERE}.h5"),
        ("model=keras_hub", "model.preset=bert_tiny_en_uncased"),
        ("model=keras_hub", "model.preset='hf://google/bert'"),
    ],
)
def test_what_is_elsewhere_is_refused_and_not_asked_for(
    overrides: tuple[str, ...], asked: list[str]
) -> None:
    with pytest.raises(Refused):
        look_over(Plan.of(experiment(*overrides)))
    assert asked == []


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts modules in the place of a package, and of its namesake where that is installed."""
    monkeypatch.syspath_prepend(tmp_path / "packages")

    def put(name: str, **modules: str) -> None:
        for module in [*sys.modules]:
            if module.partition(".")[0] == name:
                monkeypatch.delitem(sys.modules, module)
        for module, source in {"__init__": "", **modules}.items():
            file = tmp_path / "packages" / name / f"{module}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source)
            path = name if module == "__init__" else f"{name}.{module}"
            monkeypatch.setitem(sys.modules, path, None)  # so that it is taken out at the end
            del sys.modules[path]

    return put


NOTES = "import os\nseen = dict(os.environ)\n"


@pytest.mark.parametrize(
    ("name", "tracker", "variable", "value"),
    [
        ("wandb", Wandb(), "WANDB_ERROR_REPORTING", "false"),
        ("mlflow", Mlflow(), "MLFLOW_DISABLE_TELEMETRY", "true"),
    ],
)
def test_trackers_report_to_nobody_else(
    name: str, tracker: Any, variable: str, value: str, package: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(variable, raising=False)
    package(name, __init__=NOTES)
    with pytest.raises(AttributeError):  # the package has nothing to call
        tracker.open(Tracked(tmp_path, name, {}))
    assert sys.modules[name].seen[variable] == value
    monkeypatch.setenv(variable, "of the user's own")
    package(name, __init__=NOTES)
    with pytest.raises(AttributeError):
        tracker.open(Tracked(tmp_path, name, {}))
    assert sys.modules[name].seen[variable] == "of the user's own"


LOADING = """
from datasets import config
from huggingface_hub import constants
class DownloadConfig:
    def __init__(self, local_files_only):
        self.local_files_only = local_files_only
def load_dataset(*_, download_config, **__):
    raise ConnectionError(
        f"{download_config.local_files_only} {config.HF_HUB_OFFLINE} {constants.HF_HUB_OFFLINE}"
    )
"""
CONSTANT = "import os\nHF_HUB_OFFLINE = os.environ.get('HF_HUB_OFFLINE') == '1'\n"


@pytest.mark.parametrize("by_user", [None, "1"])
@pytest.mark.parametrize("imported", [False, True])
def test_hugging_face_asks_only_where_a_download_is_allowed(
    imported: bool, by_user: str | None, package: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    if by_user:
        monkeypatch.setenv("HF_HUB_OFFLINE", by_user)
    package("huggingface_hub", constants=CONSTANT)
    package("datasets", __init__=LOADING, config=CONSTANT)
    if imported:
        import_module("datasets")

    def facts(**more: Any) -> Any:
        declared = {"kind": "huggingface", "path": "nobody/nothing", **more}
        return refused(lambda: Data.declared(declared).facts())

    problem = facts()
    assert problem.rule == "can't be had: True True True"
    assert problem.hint == "data.download=true fetches it"
    asks = bool(by_user)
    assert facts(download=True).rule == f"can't be had: False {asks} {asks}"
    assert os.environ.get("HF_HUB_OFFLINE") == by_user


def test_a_collection_of_others_is_looked_up_only_where_a_download_is_allowed(
    package: Callable[..., None],
) -> None:
    package("tensorflow_datasets", __init__="def builder(*_, **__):\n    raise OSError('asked')\n")
    asked = {"kind": "tfds", "name": "huggingface:mnist"}
    problem = refused(lambda: Data.declared(asked).facts())
    assert (problem.path, problem.hint) == ("name", "data.download=true")
    downloaded = Data.declared({**asked, "download": True})
    assert "asked" in refused(downloaded.facts).rule
