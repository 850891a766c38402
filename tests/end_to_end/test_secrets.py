"""No secret is written, printed, sent or shown among processes, whichever door it came by."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]

MODULE = """
import base64, json, os
from pathlib import Path
from urllib.parse import quote

import numpy as np

IS_CHILD = "TF_NUM_INTRAOP_THREADS" in os.environ  # of the local launcher


def data(key_dim, fail, **kwargs):
    assert (type(key_dim), kwargs["max_tokens"]) == (int, 7)
    assert kwargs["token"] == "CANARY-override's\\u00e9 =="
    assert kwargs["copy"] == kwargs["token"] and kwargs["marked"] == os.environ["PLAIN"]
    if IS_CHILD:
        line = Path("/proc/self/cmdline")
        Path("seen").mkdir(exist_ok=True)
        Path(f"seen/argv-{os.getpid()}").write_bytes(line.read_bytes() if line.exists() else b"")
    print("on stdout", kwargs)
    if fail == "data":
        texts = [json.dumps(kwargs), repr(kwargs), str(kwargs), *map(quote, values(kwargs))]
        encoded = [base64.b64encode(text.encode()).decode() for text in values(kwargs)]
        raise RuntimeError("; ".join([*texts, *encoded, os.environ["AMBIENT_API_KEY"]]))
    drawn = np.random.default_rng(key_dim).normal(size=(64, 4)).astype(np.float32)
    return drawn, (drawn[:, 0] > 0).astype(np.int64)


def values(tree):
    if isinstance(tree, str):
        return [tree]
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else []
    return [text for one in inner for text in values(one)]


def rate(steps, token):
    if token.endswith("raise"):
        raise ValueError(f"no {token}")
    return steps * 0 + 0.01


def model(shape, outputs, password, fail=False):
    import keras

    class Layer(keras.layers.Layer):
        def call(self, inputs, training=False):
            if training and fail:
                raise RuntimeError(f"the layer has {password!r}")
            return inputs

    return keras.Sequential([keras.Input(shape), Layer(), keras.layers.Dense(outputs)])
"""

WANDB = """
import json
from pathlib import Path

__version__ = "0.99"


class Settings:
    def __init__(self, **settings):
        self.settings = settings


class Run:
    id = "some"

    def __init__(self, folder):
        self.summary, self.file = {}, Path(folder) / "received.txt"

    def define_metric(self, *args, **kwargs): ...

    def log(self, row):
        with self.file.open("a") as file:
            print(row, file=file)

    def finish(self, exit_code):
        self.log(self.summary)


def init(dir, settings, **kwargs):
    run = Run(dir)
    run.log([kwargs, settings.settings])
    if kwargs["project"] == "broken":
        raise RuntimeError(f"no login with {Path('key').read_text()}")
    return run
"""

FILE = {
    "kind": "python",
    "call": "canary:data",
    "batch_size": 16,
    "kwargs": {
        "fail": "",
        "key_dim": 3,
        "max_tokens": 7,
        "password": 'CANARY-file"\\ ü',
        "api_keys": ["CANARY-list", {"inner": "CANARY-map in list"}],
        "cookie": {"name": "CANARY-map", "age": 3},
        "uri": "postgres://me:CANARY-uri@host/db?page=2",
        "hook": "https://CANARYlogin@host/x?access_token=CANARY-parameter&page=2",
        "dsn": "host=x user=me password='CANARY dsn'",
        "env": "${oc.env:MY_SESSION_ID}",
        "headers": {"Authorization": "Bearer CANARY-bearer"},
    },
}
TYPED = [
    'data.kwargs.token="CANARY-override\'s\u00e9 =="',
    "data.kwargs.auth={user: CANARY-typed map, deep: [CANARY-typed list]}",
    "data.kwargs.pat=CANARY/typed#verbatim==",
    "data.kwargs.copy=${data.kwargs.token}",
    "data.kwargs.joined='token ${data.kwargs.token}'",
    "data.kwargs.marked=${secret:PLAIN}",
    "data.kwargs.url='mysql://root:CANARY-typed-url@host/'",
    "model.kwargs.password=${data.kwargs.password}",
    "log.wandb={name: 'run of ${data.kwargs.token}', project: digits}",
]
COMMON = [
    "--config-dir",
    "conf",
    "data=canary",
    "model=python",
    "model.call=canary:model",
    "allow_code=true",
    "run.length=6",
    "run.compile=graph",
    "hydra.output_subdir=.h",
]
ENVIRONMENT = {"MY_SESSION_ID": "CANARY-environment", "PLAIN": "CANARY-marked",
               "AMBIENT_API_KEY": "CANARY-that-no-config-reads"}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a user brings: secrets are in `conf`, and in no file besides."""
    place = tmp_path_factory.mktemp("secrets")
    (place / "conf" / "data").mkdir(parents=True)
    (place / "conf" / "data" / "canary.yaml").write_text(yaml.safe_dump(FILE))
    (place / "code").mkdir()
    (place / "code" / "canary.py").write_text(MODULE)
    (place / "code" / "wandb.py").write_text(WANDB)
    (place / "code" / "wandb-0.99.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: wandb\nVersion: 0.99\n"
    (place / "code" / "wandb-0.99.dist-info" / "METADATA").write_text(metadata)
    return place


def trainer(
    place: Path, *asked: str, module: str = "trainer", **environ: str
) -> subprocess.CompletedProcess[bytes]:
    """Runs the command line, whose output must hold no secret either."""
    inherited = {"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"]}
    paths = os.pathsep.join([str(place / "code"), str(CHECKOUT)])
    environment = {**inherited, "PYTHONPATH": paths, **ENVIRONMENT, **environ}
    command = [sys.executable, "-m", module, *asked]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, timeout=240)
    assert_clean("standard output", done.stdout)
    assert_clean("standard error", done.stderr)
    return done


def assert_clean(name: str, content: bytes) -> None:
    assert b"CANARY" not in content, (name, content)
    for text in decoded(content):
        assert b"CANARY" not in text, (name, text)


def decoded(content: bytes) -> Iterator[bytes]:
    """Everything in a content that could be base64."""
    for word in re.findall(rb"[\w+/-]{11,}", content):
        for start in range(4):
            letters = word[start:].translate(bytes.maketrans(b"-_", b"+/"))
            try:
                yield base64.b64decode(letters[: len(letters) // 4 * 4])
            except binascii.Error:
                continue


def assert_all_clean(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert_clean(str(path), str(path.relative_to(folder)).encode())
        assert_clean(str(path), path.read_bytes())


def test_secrets_are_found_where_they_are() -> None:
    """The search of this file itself."""
    for content in (b"a CANARY", base64.b64encode(b"xCANARY-1234"), base64.b64encode(b"CANARY")):
        with pytest.raises(AssertionError):
            assert_clean("it", content + base64.b64encode(b"CANARY-1234"))


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    """A run with a secret at every door, which was stopped and has gone on."""
    first = trainer(place, *COMMON, *TYPED, "hydra.run.dir=run", "run.stop_after=3")
    assert (first.returncode, first.stderr) == (0, b"")
    second = trainer(place, *COMMON, *TYPED, "hydra.run.dir=run")
    assert b"going on at step 3" in second.stdout
    assert b"on stdout" in second.stdout
    return place / "run"


def test_a_run_and_its_trackers_hold_no_secret(run: Path) -> None:
    assert_all_clean(run)
    names = {path.name for path in run.rglob("*")}
    assert names >= {"received.txt", "config.yaml", "overrides.yaml", "hydra.yaml"}
    kwargs = yaml.safe_load((run / "config.yaml").read_text())["data"]["kwargs"]
    assert kwargs["copy"] == "${data.kwargs.token}"
    assert kwargs["marked"] == "${secret:PLAIN}"
    assert kwargs["uri"] == "postgres://me:${secret:TRAINER_SECRET_URI}@host/db?page=2"
    assert kwargs["cookie"]["age"] == kwargs["key_dim"] == 3


def test_another_secret_is_no_other_run(run: Path) -> None:
    other = trainer(run.parent, *COMMON, *TYPED, "hydra.run.dir=run", PLAIN="CANARY-other")
    assert (other.returncode, other.stderr) == (0, b"")
    assert b"done at step 6" in other.stdout


def test_a_rerun_asks_for_each_secret_and_takes_it(run: Path) -> None:
    asked = ("rerun=run", "hydra.run.dir=again", "log.wandb=null", "allow_code=[canary]")
    refused = trainer(run.parent, *asked)
    assert refused.returncode == 2
    variables = dict.fromkeys(re.findall(r"export (\w+)=", refused.stderr.decode()))
    assert "TRAINER_SECRET_TOKEN" in variables
    assert "PLAIN" not in variables
    given = dict.fromkeys(variables, "CANARY-given") | {
        "TRAINER_SECRET_TOKEN": "CANARY-override's\u00e9 =="
    }
    again = trainer(run.parent, *asked, **given)
    assert again.stderr == b""
    assert b"the same run as run: every bit of the weights is equal" in again.stdout
    assert_all_clean(run.parent / "again")


def test_a_failing_run_tells_no_secret(place: Path) -> None:
    in_data = trainer(place, *COMMON, *TYPED, "hydra.run.dir=failing", "data.kwargs.fail=data")
    assert in_data.returncode == 2
    assert b"raised RuntimeError" in in_data.stderr
    assert b"it was given {" in in_data.stderr
    in_layer = trainer(place, *COMMON, *TYPED, "hydra.run.dir=failing", "model.kwargs.fail=true")
    assert in_layer.returncode == 1
    assert b"the layer has" in in_layer.stderr
    assert_all_clean(place / "failing")


def test_a_sweep_in_processes_tells_no_secret(place: Path) -> None:
    swept = ["hydra/launcher=local", "hydra.sweep.dir=swept", "model.kwargs.fail=false,true"]
    done = trainer(place, "-m", *COMMON, *TYPED, *swept)
    assert done.returncode == 1
    assert b"1 of 2 jobs failed" in done.stderr
    for folder in ("swept", "seen"):
        assert_all_clean(place / folder)
    assert {"report.html", "sweep.csv"} <= {path.name for path in (place / "swept").iterdir()}
    assert b"***" in (place / "swept" / "1" / "errors.log").read_bytes()
    assert len(list((place / "seen").iterdir())) == 2


@pytest.mark.slow
def test_a_search_tells_no_secret(place: Path) -> None:
    pytest.importorskip("optuna")
    searched = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweep.dir=searched",
                "schedule.initial_value=interval(0.01,0.1)"]  # fmt: skip
    tried = ["data.kwargs.extra_token=choice(CANARY-one,CANARY-two)"]
    done = trainer(place, "-m", *COMMON, *TYPED, *searched, *tried)
    assert done.returncode == 0
    assert json.loads((place / "searched" / "0" / "result.json").read_text())["status"] == "done"
    assert_all_clean(place / "searched")


@pytest.mark.parametrize(
    "named",
    [
        "hydra.run.dir=${schedule.kwargs.token}/here",
        "hydra.run.dir='${hydra.job.override_dirname}'",
    ],
)
def test_no_folder_is_named_after_a_secret(named: str, place: Path) -> None:
    before = set(place.iterdir())
    rate = "schedule={kind: custom, call: 'canary:rate', kwargs: {token: CANARY-folder}}"
    done = trainer(place, "data=digits", "model=mlp", "allow_code=true", rate, named)
    assert done.returncode == 2
    assert b"names a folder after a secret" in done.stderr
    assert set(place.iterdir()) == before


def test_a_preview_draws_and_tells_no_secret(place: Path) -> None:
    asked = "schedule={kind: custom, call: 'canary:rate', kwargs: {token: TOKEN}}"
    swept = ["plot", "--output", "drawn.svg", "allow_code=true"]
    tokens = ["schedule.kwargs.token=CANARY-one,CANARY-two"]
    drawn = trainer(place, *swept, asked, *tokens, module="schedules")
    assert drawn.returncode == 0
    assert_clean("drawn.svg", (place / "drawn.svg").read_bytes())
    refused = trainer(place, "plot", "allow_code=true", asked.replace("TOKEN", "CANARY-raise"),
                      module="schedules")  # fmt: skip
    assert refused.returncode == 2
    assert b"raised ValueError: no ***" in refused.stderr


@pytest.mark.parametrize(
    "asked",
    [
        "data.kwargs.token={CANARY-torn: ",
        "data.kwargs={token: CANARY-torn, password: 'CANARY",
        "log.mlflow.uri=https://host/?access_token=CANARY-query",
        "schedul.token=CANARY-unknown",
        "run.seed=${data.kwargs.token} data.kwargs.token=CANARY-seed",
    ],
)
def test_a_refusal_tells_no_secret(asked: str, place: Path) -> None:
    done = trainer(place, *COMMON[:3], *re.split(r" (?=data)", asked), "hydra.run.dir=refused")
    assert done.returncode == 2
    assert done.stderr
