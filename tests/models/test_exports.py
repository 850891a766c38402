"""What comes out of a run: files that others can use, and predictions."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schedules import Refused
from tests.helpers.runs import experiment, result, trained
from trainer import export, predict
from trainer.commands.checks import check_export
from trainer.commands.job import Job
from trainer.commands.restored import Restored, declared
from trainer.config.experiment import Experiment
from trainer.config.hydra import compose
from trainer.config.plan import Plan
from trainer.data.sources.embedded import EMBEDDED
from trainer.engine.precision import dtype_policy
from trainer.models.exports import Keras
from trainer.runs.folder import Folder
from trainer.training.run_config import declare

LIVE = (
    "run.length=60", "evaluate.every=20", "ema.momentum=0.9", "schedule.initial_value=0.1",
    "model.dropout={kind: linear, initial_value: 0.0, end_value: 0.3}", "~log.tensorboard",
    "checkpoint.keep_best={metric: eval_accuracy, mode: max}", "checkpoint.keep=1",
)  # fmt: skip
PLAIN = ("run.length=20", "model=cnn", "model.filters=[4]", "model.dropout=0.2", "~log.tensorboard")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything that could stand in the way: live dropout, averages, a best."""
    path: Path = tmp_path_factory.mktemp("live")
    assert trained(path, *LIVE) == 0
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("plain")
    assert trained(path, *PLAIN) == 0
    return path


def outputs(run: Path, weights: Any) -> Any:
    """What the run's own network says of its test examples."""
    declared = Experiment.declared(json.loads(json.dumps(Folder(run).read_config())))
    network = Restored.of(declared, Folder(run), weights).network()
    return np.asarray(network.outputs(declared.data.load().test.inputs))


ELSEWHERE = """
import sys
import numpy as np
inputs = np.load("inputs.npy")
if sys.argv[1].endswith(".keras"):
    import keras
    model = keras.models.load_model(sys.argv[1])
    outputs = model.predict(inputs, verbose=0)
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"keras"}
elif sys.argv[1].endswith(".onnx"):
    import onnxruntime
    session = onnxruntime.InferenceSession(sys.argv[1])
    (outputs,) = session.run(None, {"inputs": inputs})
else:
    import tensorflow as tf
    loaded = tf.saved_model.load(sys.argv[1])
    outputs = loaded.serve(inputs).numpy()
assert not {"trainer", "schedules"} & set(sys.modules)
np.save("outputs.npy", outputs)
"""


def elsewhere(file: Path, folder: Path) -> Any:
    """What a file says of the digits as they are read, in a process without this package."""
    with np.load(EMBEDDED / "digits.npz") as arrays:
        np.save(folder / "inputs.npy", arrays["test_inputs"].reshape(-1, 8, 8, 1).astype("f4"))
    command = [sys.executable, "-I", "-c", ELSEWHERE, str(file.resolve())]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return np.load(folder / "outputs.npy")


@pytest.mark.parametrize(
    ("asked", "name", "weights"),
    [
        (["export=keras"], "ema.keras", "ema"),
        pytest.param(
            ["export=saved_model", "export.weights=final"], "final.saved_model", "final",
            marks=pytest.mark.slow,
        ),
        pytest.param(["export=onnx", "export.weights=best"], "best.onnx", "best"),
    ],
)  # fmt: skip
def test_a_file_does_elsewhere_what_the_network_does_here(
    asked: list[str], name: str, weights: str, live: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert export.main([str(live), *asked]) == 0
    file = live / "export" / name
    assert f"{name}: the {weights} weights, of step " in capsys.readouterr().out
    np.testing.assert_allclose(elsewhere(file, tmp_path), outputs(live, weights), atol=1e-5)
    message = json.loads((live / "export" / f"{name}.json").read_text())
    assert message["max_difference"] <= 1e-5
    assert message["compared_on"] == 256
    assert (message["takes"], message["preparation"]) == ("raw", {"shift": [0.0], "scale": [16.0]})
    assert message["inputs"]["shape"] == [None, 8, 8, 1]
    assert message["step"] == (result(live)["best"]["step"] if weights == "best" else 60)
    assert not list(live.glob("export/.*"))


def test_final_best_and_averaged_weights_are_three(live: Path) -> None:
    final, best, ema = (outputs(live, weights) for weights in ("final", "best", "ema"))
    assert not np.allclose(final, ema)
    assert result(live)["best"]["step"] == 40 or np.allclose(best, ema)
    np.testing.assert_array_equal(outputs(live, None), ema)


def test_dropout_is_left_as_the_last_update_had_it(live: Path) -> None:
    declared = Experiment.declared(Folder(live).read_config())
    model = Restored.of(declared, Folder(live), None).model()
    (dropout,) = (layer for layer in model.layers if "dropout" in layer.name)
    assert type(dropout).__module__.startswith("keras")
    assert dropout.rate == pytest.approx(0.3 * 59 / 60)


def test_a_file_that_is_there_is_not_written_again(plain: Path) -> None:
    declared = experiment(*PLAIN, "export=keras")
    first = export.exported(declared, Folder(plain))
    before = first.path.stat().st_mtime_ns
    assert export.exported(declared, Folder(plain)) == first
    assert first.path.stat().st_mtime_ns == before
    first.path.write_text("of another step")
    about = first.path.with_name("final.keras.json")
    about.write_text(about.read_text().replace('"step": 20', '"step": 10'))
    export.exported(declared, Folder(plain))
    assert first.path.stat().st_size > 1000


def test_a_file_that_does_something_else_fails_loudly_and_is_not_left(
    plain: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save = Keras.save

    def spoilt(self: Keras, model: Any, path: Path, signature: Any) -> None:
        model.weights[-1].assign_add([0.01] * 10)
        save(self, model, path, signature)

    monkeypatch.setattr(Keras, "save", spoilt)
    for file in (plain / "export").glob("*"):
        file.unlink()
    assert export.main([str(plain), "export=keras"]) == 1
    message = capsys.readouterr().err
    assert message.startswith(
        "export=keras failed: read back, its outputs for test examples are off"
    )
    assert "by 0.01" in message
    assert not list((plain / "export").iterdir())


def test_a_run_leaves_its_file_at_the_end_and_a_done_one_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Folder(tmp_path)
    declared = experiment(*PLAIN, "export=keras")
    declare(folder, Plan.of(declared))
    job = Job(Plan.of(declared), folder, [])
    assert job.run() == 0
    first = (tmp_path / "export" / "final.keras").read_bytes()
    (tmp_path / "export" / "final.keras").unlink()
    declare(folder, Plan.of(declared))
    assert job.run() == 0
    assert len((tmp_path / "export" / "final.keras").read_bytes()) == len(first)
    assert capsys.readouterr().out.count("exported ") == 2


def test_a_model_that_a_program_gave_is_left_as_it_was_trained(tmp_path: Path) -> None:
    import keras

    from trainer import train

    layers = [keras.Input([8, 8, 1]), keras.layers.Flatten(), keras.layers.Dense(10)]
    model = keras.Sequential(layers)
    asked = ("ema.momentum=0.9", "run.length=30", "export=keras", "~log.tensorboard")
    outcome = train(experiment(*asked), tmp_path / "run", model=model, quiet=True)
    assert outcome.status == "done"
    exported = keras.models.load_model(tmp_path / "run" / "export" / "ema.keras")
    with np.load(tmp_path / "run/checkpoints/step-0000000030/state.npz") as saved:
        (trained_kernel,) = (saved[name] for name in saved if "model/" in name and "kernel" in name)
        (averaged,) = (saved[name] for name in saved if "average/" in name and "kernel" in name)
    np.testing.assert_array_equal(model.weights[0], trained_kernel)
    np.testing.assert_array_equal(exported.weights[0], averaged)


@pytest.mark.slow
def test_a_given_network_computes_in_the_file_as_its_layers_say(tmp_path: Path) -> None:
    import keras

    from trainer import train

    with dtype_policy("mixed_bfloat16"):
        dense = keras.layers.Dense(10)
        model = keras.Sequential([keras.Input([8, 8, 1]), keras.layers.Flatten(), dense])
    asked = ("run.precision=mixed_bfloat16", "run.length=2", "run.compile=graph", "export=keras")
    outcome = train(experiment(*asked), tmp_path / "run", model=model, quiet=True)
    exported = keras.models.load_model(outcome.folder / "export" / "final.keras")
    (nested,) = (layer for layer in exported.layers if isinstance(layer, keras.Sequential))
    assert [layer.compute_dtype for layer in nested.layers] == ["bfloat16", "bfloat16"]
    np.testing.assert_array_equal(exported.weights[0], model.weights[0])


@pytest.mark.slow
def test_tensors_that_layers_hold_are_in_the_onnx_file(tmp_path: Path) -> None:
    """Such as the positions of a vision transformer, which are no weights."""
    asked = ("data=digits", "model=vit", "run.length=2", "run.compile=graph", "~log.tensorboard")
    declared = Experiment.declared(compose([*asked, "export=onnx"]))
    folder = Folder(tmp_path)
    declare(folder, Plan.of(declared))
    assert Job(Plan.of(declared), folder, []).run() == 0
    assert (tmp_path / "export" / "final.onnx").exists()


def test_a_run_that_stopped_early_leaves_none(tmp_path: Path) -> None:
    declared = experiment(*PLAIN, "export=keras", "run.stop_after=10")
    folder = Folder(tmp_path)
    declare(folder, Plan.of(declared))
    assert Job(Plan.of(declared), folder, []).run() == 0
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["export=kera"], "export = 'kera': is no option of this group\n  hint: did you mean"),
        (["export=keras", "export.weights=ema"], "export.weights = 'ema': needs a running mean"),
        (["export=keras", "export.weights=best"], "export.weights = 'best': needs checkpoints"),
        (["export=keras", "run.seed=2"], "run.seed = '2': is not what this run was"),
        ([], "export: is required for this run\n  hint: known: keras, onnx, saved_model"),
    ],
)
def test_what_a_run_can_not_leave_is_refused(
    asked: list[str], message: str, plain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.main([str(plain), *asked]) == 2
    assert capsys.readouterr().err.startswith(message)


def test_the_extra_of_a_format_is_asked_for_before_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trainer.models.exports.is_missing", lambda name: name == "onnxruntime")
    with pytest.raises(Refused, match=r"export: .*onnxruntime\n.*scheduled-training\[onnx\]"):
        check_export(experiment("export=onnx"))


@pytest.mark.parametrize("run", ["live", "plain"])
def test_predictions_of_its_own_test_examples_are_as_good_as_the_run_said(
    run: str, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the bit; and each row agrees with the softmax of the network's own outputs."""
    folder: Path = request.getfixturevalue(run)
    declared = Experiment.declared(Folder(folder).read_config())
    predicted = predict.predict(Restored.of(declared, Folder(folder), None), declared)
    assert predicted.metrics == result(folder)["metrics"]

    output = tmp_path / "digits.csv"
    assert predict.main([str(folder), "--output", str(output)]) == 0
    message = capsys.readouterr().out
    assert f"eval_accuracy {result(folder)['metrics']['eval_accuracy']:.6g}  on 359" in message
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    logits = outputs(folder, None)
    test = declared.data.load().test
    assert [int(row["index"]) for row in rows] == list(range(359))
    assert [int(row["prediction"]) for row in rows] == logits.argmax(axis=1).tolist()
    assert [int(row["label"]) for row in rows] == test.labels.tolist()
    found = np.array([[float(row[f"probability_{i}"]) for i in range(10)] for row in rows])
    wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    right = np.mean([row["prediction"] == row["label"] for row in rows])
    assert right == pytest.approx(result(folder)["metrics"]["eval_accuracy"])


def test_secrets_that_are_not_here_are_not_asked_for(plain: Path, tmp_path: Path) -> None:
    """A tracker's address has nothing to do with what the network says."""
    config = (plain / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(
        config.replace("log:\n", "log:\n  mlflow: {kind: mlflow, uri: '${oc.env:NOT_HERE}'}\n")
    )
    assert "NOT_HERE" in (tmp_path / "config.yaml").read_text()
    assert declared(tmp_path, ["data.batch_size=7"], ["data"]).data.batch_size == 7


def test_other_parts_and_other_data_of_the_shape(plain: Path, tmp_path: Path) -> None:
    for part, count in (("train", 1438), ("all", 1797)):
        output = tmp_path / f"{part}.npy"
        assert predict.main([str(plain), "--part", part, f"--output={output}"]) == 0
        found = np.load(output)
        assert found.shape == (count, 10)
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    output = tmp_path / "again.csv"
    assert predict.main([str(plain), "data.batch_size=1", f"--output={output}"]) == 0


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["data=mnist5k"], "data: has inputs of shape [28, 28, 1], and the run's network was made "
                           "for [8, 8, 1]\n  hint: data of the same shape"),
        (["model=mlp"], "model = 'mlp': is not what this run was; free is data and device"),
        (["--weights", "ema"], "weights = 'ema': is not kept by this run"),
        (["--weights", "best"], "weights = 'best': is not kept by this run"),
        (["--weights", "last"], "--weights = 'last': must be one of final, best, ema"),
        (["--part", "tests"], "--part = 'tests': must be one of test, train, all"),
        (["--output", "x.txt"], "--output = '.txt': must be one of .csv, .npy"),
        (["--output", "no/such/x.csv"], "--output = 'no/such/x.csv': is in a folder that is not"),
    ],
)  # fmt: skip
def test_what_can_not_be_predicted_is_refused(
    asked: list[str], message: str, plain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict.main([str(plain), *asked]) == 2
    assert capsys.readouterr().err.startswith(message)


FLOWERS = {"rose": (900.0, 1.0), "tulip": (100.0, 3.0), "aster": (500.0, 9.0)}


def flowers(path: Path, kinds: list[str], seed: int) -> None:
    """A table whose columns tell kinds apart, by far and by little."""
    random = np.random.default_rng(seed)
    lines = ["kind,height,width"]
    for i in range(60):
        kind = kinds[i % len(kinds)]
        height, width = FLOWERS[kind]
        lines.append(f"{kind},{height + random.normal()},{width + random.normal() / 100}")
    path.write_text("\n".join(lines) + "\n")


def test_other_tables_are_prepared_and_numbered_as_the_runs_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table with other means and without one of the classes would be, by itself, otherwise."""
    flowers(tmp_path / "all.csv", list(FLOWERS), 1)
    flowers(tmp_path / "some.csv", ["tulip", "rose"], 2)
    flowers(tmp_path / "odd.csv", ["tulip", "rose"], 2)
    odd = (tmp_path / "odd.csv").read_text().replace("tulip", "violet")
    (tmp_path / "odd.csv").write_text(odd)
    table = ["data=csv", "data.target=kind", "data.normalise=standardise", "data.batch_size=8"]
    asked = [*table, f"data.path={tmp_path}/all.csv", "run.length=60", "schedule.initial_value=0.1"]
    assert trained(tmp_path / "run", *asked) == 0
    assert result(tmp_path / "run")["metrics"]["eval_accuracy"] == 1

    run, output = str(tmp_path / "run"), f"--output={tmp_path}/said.csv"
    other = f"data.path={tmp_path}/some.csv"
    assert predict.main([run, other, "--part=all", output]) == 0
    with (tmp_path / "said.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == {"tulip", "rose"}
    assert [row["prediction"] for row in rows] == [row["label"] for row in rows]
    assert list(rows[0])[3:] == ["probability_aster", "probability_rose", "probability_tulip"]

    capsys.readouterr()
    assert predict.main([run, f"data.path={tmp_path}/odd.csv", output]) == 2
    assert capsys.readouterr().err.startswith(
        "data: has classes that the run's has not: violet\n  hint: the run's are aster, rose, tulip"
    )
    assert export.main([run, "export=keras"]) == 0
    message = json.loads((tmp_path / "run/export/final.keras.json").read_text())
    assert message["classes"] == ["aster", "rose", "tulip"]
    assert len(message["preparation"]["scale"]) == 2
    assert message["max_difference"] < 1e-4


def test_a_folder_without_run_or_checkpoint_is_refused_without_tensorflow(
    plain: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "config.yaml").write_text((plain / "config.yaml").read_text())
    script = (
        "import sys\n"
        "from trainer import export, predict\n"
        "for main, more in ((predict.main, []), (export.main, ['export=keras'])):\n"
        "    for run in ('empty', 'new'):\n"
        "        assert main([run, *more]) == 2\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    message = [line for line in done.stderr.splitlines() if "hint" not in line]
    assert message == [
        "RUN_DIR = 'empty': is the folder of no run: it has no config.yaml",
        "RUN_DIR = 'new': has no checkpoint",
        "RUN_DIR = 'empty': is the folder of no run: it has no config.yaml",
        "export.RUN_DIR = 'new': has no checkpoint",
    ]


def test_reading_leaves_damaged_checkpoints_where_they_are(plain: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoints" / "step-0000000020"
    checkpoint.mkdir(parents=True)
    for file in ("config.yaml", "preparation.json", "checkpoints/step-0000000020/manifest.json"):
        (tmp_path / file).write_text((plain / file).read_text())
    with pytest.raises(Refused, match="has only damaged checkpoints: step-0000000020"):
        Restored.of(experiment(), Folder(tmp_path), None)
    assert checkpoint.exists()
