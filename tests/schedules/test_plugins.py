"""Other packages' kinds and conf files: a real package, built and installed, and some at fault."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.end_to_end.test_docs import blocks

CHECKOUT = Path(__file__).resolve().parents[2]


def installed(project: Path, site: Path) -> None:
    """Builds a wheel of the project, and puts what it holds where Python finds it."""
    command = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "-t",
        "wheel",
        "-d",
        str(project / "dist"),
    ]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    [wheel] = (project / "dist").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)


def put(site: Path, name: str, source: str) -> None:
    """Installs a package of one module by hand, with the entry point that announces it."""
    (site / f"{name}.py").write_text(source)
    about = site / f"{name}-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text(f"[scheduled_training.kinds]\n{name} = {name}\n")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Where the package is installed that docs/plugins.md has its reader write."""
    folder = tmp_path_factory.mktemp("plugins")
    for block in blocks("docs/plugins.md"):
        if block.word == "goes to":
            path = folder / block.rest
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
    installed(folder / "halvings", folder / "site")
    return folder / "site"


def run(site: Path, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{CHECKOUT}"}
    return subprocess.run(
        [sys.executable, *command], env=env, cwd=cwd or site.parent, capture_output=True, text=True
    )


def test_a_kind_of_a_plugin_is_listed_with_its_formula_and_shape(site):
    done = run(site, "-m", "schedules", "list", "halving")
    assert done.returncode == 0, done.stderr
    assert "0.5 ** (t // period)" in done.stdout
    assert "▁" in done.stdout  # its conf file is found and drawn
    assert "\nhalving " in run(site, "-m", "schedules", "list").stdout


def test_an_option_of_a_plugin_composes_and_is_drawn_by_its_own_conf_file(site):
    done = run(site, "-m", "trainer", "--cfg", "job", "schedule=halving", "schedule.period=7")
    assert done.returncode == 0, done.stderr
    assert "kind: halving" in done.stdout
    assert "period: 7" in done.stdout
    table = run(
        site, "-m", "schedules", "table", "schedule=halving", "schedule.period=7", "--steps", "6:8"
    )
    assert table.stdout.splitlines()[1:] == ["6,0.1", "7,0.05"]


def test_help_and_did_you_mean_know_an_option_of_a_plugin(site):
    message = run(site, "-m", "trainer", "--help").stdout
    assert "halving" in message
    done = run(site, "-m", "trainer", "schedule=halvin")
    assert done.returncode == 2
    assert "did you mean halving?" in done.stderr
    nested = run(site, "-m", "trainer", "schedule={kind: halvin}")
    assert "did you mean halving?" in nested.stderr


def test_a_wrong_value_in_a_plugins_file_is_told_with_its_line(site, tmp_path):
    shutil.copytree(site, tmp_path / "site")
    (file,) = tmp_path.rglob("halving.yaml")
    file.write_text(file.read_text().replace("0.1", "fast"))
    done = run(tmp_path / "site", "-m", "trainer", "schedule=halving")
    assert done.returncode == 2
    assert "schedule.initial_value = 'fast': must be a number" in done.stderr
    assert f"from: {file}:3" in done.stderr


def test_another_program_with_hydra_gets_no_option_of_ours(site, tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text("a: 1\n")
    program = (
        "import hydra\n@hydra.main(version_base='1.3', config_path='conf', config_name='config')"
    )
    (tmp_path / "other.py").write_text(f"{program}\ndef main(c): ...\nmain()\n")
    message = run(site, "other.py", "--info", "searchpath", cwd=tmp_path)
    assert "main" in message.stdout
    assert "plugin halvings" not in message.stdout
    ours = run(site, "-m", "trainer", "--info", "searchpath")
    assert "plugin halvings" in ours.stdout


def test_looking_at_plugins_imports_no_tensorflow_and_takes_no_time(site):
    code = (
        "import sys, time; from schedules.declaration import plugins;"
        "from schedules.declaration.kind import families; began = time.perf_counter();"
        "found = [*plugins.conf_folders()]; took = time.perf_counter() - began;"
        "assert [name for name, _ in found] == ['halvings'], found;"
        "assert 'halvings' not in sys.modules; assert plugins.load(families) == [];"
        "assert 'halvings' in sys.modules and 'tensorflow' not in sys.modules; print(took)"
    )
    done = run(site, "-c", code)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.2  # 6 ms where nothing else runs


def test_a_plugin_trains_with_one_kind_of_every_family(tmp_path):
    put(tmp_path, "every", EVERY)
    kinds = [f"{name}={{kind: every_{name}}}" for name in ("optimizer", "model", "data", "loss")]
    settings = ("hydra.run.dir=run", "run.length=4", "run.compile=graph", "log.every=1")
    named = ("log.every_list={}", "metrics.every_metric={}", "warmup={kind: every_rise, length: 3}")
    done = run(tmp_path, "-m", "trainer", *kinds, *settings, *named, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "eval_every_metric" in (tmp_path / "run" / "metrics.jsonl").read_text()
    assert (tmp_path / "run" / "every.txt").read_text() == "4 rows\n"


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        (
            "broken",
            "import nowhere_to_be_found",
            "can't be imported: ModuleNotFoundError: No module",
        ),
        ("leaving", "raise SystemExit(3)", "can't be imported: SystemExit: 3"),
        (
            "greedy",
            "from typing import Literal\nfrom schedules import Schedule\n"
            "class Mine(Schedule):\n    kind: Literal['cosine'] = 'cosine'\n",
            "has another schedule called cosine, which is left out",
        ),
        (
            "heavy",
            "import sys, types\nsys.modules['tensorflow'] = types.ModuleType('t')",
            "imports TensorFlow",
        ),
    ],
)
def test_a_plugin_at_fault_is_named_and_costs_nothing_else(tmp_path, name, source, message):
    put(tmp_path, name, source)
    listed = run(tmp_path, "-m", "schedules", "list", "cosine")
    assert listed.returncode == 0
    assert f"warning: the plugin {name} of {name} 0.1 {message}" in listed.stderr
    assert "alpha" in listed.stdout  # our own cosine
    assert run(tmp_path, "-m", "trainer", "--cfg", "job").stderr == ""
    refused = run(tmp_path, "-m", "trainer", "schedule={kind: missing}")
    assert refused.returncode == 2
    assert f"the plugin {name} of {name} 0.1 {message}" in refused.stderr
    assert "Traceback" not in refused.stderr


EVERY = '''
from pathlib import Path
from typing import Literal

import numpy as np

from schedules import Schedule
from schedules.schedule import WHOLE, Length
from trainer.data import Data, Examples, Facts, Preparation, Split
from trainer.losses import Loss
from trainer.metrics.metric import Mean
from trainer.models import Model
from trainer.optimizers import Optimizer
from trainer.trackers import Tracker, TrackerRun


class Sgd(Optimizer):
    """Plain descent."""

    kind: Literal["every_optimizer"] = "every_optimizer"
    rules = "keras.optimizers"

    def build(self, dials):
        import keras

        return keras.optimizers.SGD(dials["learning_rate"], name=self.kind)


class Line(Model):
    """One layer."""

    kind: Literal["every_model"] = "every_model"

    def build(self, facts, dials):
        import keras

        end = keras.layers.Dense(facts.outputs, name="line")
        layers = [keras.Input(facts.shape, name="inputs"), end]
        return keras.Sequential(layers, name="model")


class Points(Data):
    """Points on a line."""

    kind: Literal["every_data"] = "every_data"

    def facts(self):
        return Facts.of(examples=128, shape=(3,))

    def load(self):
        x = np.random.default_rng(0).normal(size=(160, 3)).astype(np.float32)
        y = x @ np.float32([[1.0], [2.0], [3.0]])
        parts = Examples(x[:128], y[:128]), Examples(x[128:], y[128:])
        return Split(*parts, Preparation.of((3,)))


class Squares(Loss):
    """Squared differences."""

    kind: Literal["every_loss"] = "every_loss"

    def training(self, outputs, labels, dials):
        return (outputs - labels)[:, 0] ** 2

    def evaluation(self, outputs, labels):
        return (outputs - labels)[:, 0] ** 2


class Rise(Schedule):
    """From nothing to 1."""

    kind: Literal["every_rise"] = "every_rise"
    over: Length = WHOLE

    def at(self, t):
        return np.minimum(t / self.over, 1.0)


class Size(Mean):
    """How large outputs are."""

    kind: Literal["every_metric"] = "every_metric"

    def per_example(self, batch):
        return batch.outputs[:, 0] ** 2


class Page(TrackerRun):
    def __init__(self, path):
        self.path, self.rows = path, 0

    def go_on(self, step):
        pass

    def write(self, rows):
        self.rows += len([row for row in rows if "loss" in row])

    def close(self, result):
        self.path.write_text(f"{self.rows} rows\\n")


class Listed(Tracker):
    """Counts rows."""

    kind: Literal["every_list"] = "every_list"

    def open(self, run):
        return Page(run.folder / "every.txt")
'''
