"""Training from a program: `from trainer import Experiment, train`."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.helpers import runs
from trainer import Experiment, Refused, train

SMALL = (*runs.SMALL, "run.length=12", "run.steps_per_call=4")


def small(*asked):
    return Experiment.composed(*SMALL, *asked)


def test_importing_the_package_imports_neither_tensorflow_nor_anything_else_of_weight():
    code = "import sys, trainer; print(*sys.modules); trainer.Experiment; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    bare, declaring = (set(line.split()) for line in done.stdout.splitlines())
    assert not {"numpy", "pydantic", "hydra", "tensorflow", "keras"} & bare
    assert not {"tensorflow", "keras", "hydra"} & declaring


def test_the_package_names_its_doors_and_nothing_that_is_not_there():
    import trainer

    assert {"Experiment", "train", "Refused"} <= set(dir(trainer))
    assert all(getattr(trainer, name) for name in trainer.__all__)
    with pytest.raises(AttributeError, match="trian"):
        trainer.trian  # noqa: B018


def test_mappings_and_overrides_compose_what_the_command_line_would():
    typed = Experiment.composed("schedule=cosine", "schedule.initial_value=0.3", "run.seed=4")
    mapped = Experiment.composed(
        {"schedule": "cosine", "schedule.initial_value": 0.3, "run": {"seed": 4}}
    )
    assert typed == mapped


def test_a_mapping_with_a_kind_replaces_what_was_there():
    adam = Experiment.composed({"optimizer": {"kind": "adam", "beta_1": np.float32(0.5)}})
    assert (adam.optimizer.kind, adam.optimizer.beta_1) == ("adam", 0.5)


def test_an_override_wins_over_a_mapping_and_a_later_mapping_over_one_before():
    this = Experiment.composed("run.seed=3", {"run.seed": 1, "run.length": 5}, {"run.length": 6})
    assert (this.run.seed, str(this.run.length)) == (3, "6 steps")


def test_the_config_that_a_run_left_declares_the_same_run(tmp_path):
    first = small("~log.tensorboard", "optimizer=adam")
    (tmp_path / "config.yaml").write_text(json.dumps(first.model_dump(mode="json")))
    assert Experiment.from_file(tmp_path / "config.yaml") == first
    changed = Experiment.from_file(tmp_path / "config.yaml", "run.seed=9", "optimizer=sgd")
    assert (changed.run.seed, changed.optimizer.kind, changed.model) == (9, "sgd", first.model)
    with pytest.raises(Refused, match="declares another run than the mapping"):
        Experiment.from_file(tmp_path / "config.yaml", "experiment=mnist_tf1")


def test_a_program_that_is_an_app_of_hydras_composes_too_and_keeps_its_own(tmp_path):
    (tmp_path / "app.py").write_text(
        "import hydra\n"
        "from hydra.core.global_hydra import GlobalHydra\n"
        "from trainer import Experiment\n"
        "@hydra.main(version_base='1.3', config_path=None)\n"
        "def main(config):\n"
        "    own = GlobalHydra.instance().hydra\n"
        "    assert Experiment.composed('schedule=rex').schedule.kind == 'rex'\n"
        "    assert GlobalHydra.instance().hydra is own\n"
        "main()\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "app.py"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_file_that_can_not_be_read_is_refused_by_its_name(tmp_path):
    with pytest.raises(Refused, match="can't be read: No such file"):
        Experiment.from_file(tmp_path / "nowhere.yaml")
    (tmp_path / "odd.yaml").write_text("defaults: [override /hydra/launcher: local]\n")
    with pytest.raises(Refused, match="must say which option of a group to take"):
        Experiment.from_file(tmp_path / "odd.yaml")


@pytest.mark.parametrize("name", ["mnist_tf1", "sgdr", "epoch_intervals"])
def test_an_experiment_file_means_what_it_means_to_the_command_line(name):
    folder = Path(__file__).parents[2] / "conf" / "experiment"
    assert Experiment.from_file(folder / f"{name}.yaml") == Experiment.composed(
        f"experiment={name}"
    )


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"schedule": "cosin"}, "did you mean cosine?"),
        ({"schdule": "cosine"}, "did you mean schedule?"),
        ({"schedule.initial_value": "fast"}, "schedule.initial_value = 'fast': must be a number"),
        ({"run.length": object}, "run.length = <class 'object'>: is a type"),
        ({3: 4}, "config = 3: must be a name"),
    ],
)
def test_a_wrong_mapping_is_refused_as_the_override_that_mends_it(asked, message):
    with pytest.raises(Refused) as refused:
        Experiment.composed(asked)
    assert message in str(refused.value)


@pytest.fixture(scope="module")
def twelve(tmp_path_factory):
    """A run of twelve updates, four a call, and what its callback was told."""
    calls = []
    path = tmp_path_factory.mktemp("library") / "run"
    return train(small(), path, callback=calls.append, quiet=True), calls


def test_a_run_tells_how_it_ended_and_what_it_measured(twelve):
    outcome, _ = twelve
    assert (outcome.status, outcome.steps, outcome.reason) == ("done", 12, "")
    assert set(outcome.metrics) == {"eval_loss", "eval_accuracy"}
    assert outcome.result == runs.result(outcome.folder)


def test_the_history_is_the_record_as_arrays(twelve):
    outcome, _ = twelve
    rows = [row for row in runs.rows(outcome.folder) if "loss" in row]
    assert outcome.history["step"].tolist() == [row["step"] for row in rows] == list(range(12))
    assert outcome.history["loss"].tolist() == [row["loss"] for row in rows]
    assert outcome.history["learning_rate"].dtype == np.float64
    assert outcome.evaluations["eval_loss"][-1] == outcome.metrics["eval_loss"]


def test_a_callback_is_told_of_each_call_what_was_applied_and_found(twelve):
    outcome, calls = twelve
    assert [call.steps for call in calls] == [range(4), range(4, 8), range(8, 12)]
    losses = np.concatenate([call.losses for call in calls])
    applied = np.concatenate([call.applied["learning_rate"] for call in calls])
    assert losses.tolist() == outcome.history["loss"].tolist()
    assert applied.tolist() == outcome.history["learning_rate"].tolist()
    assert calls[-1].metrics == outcome.metrics


def test_the_model_is_the_one_that_was_trained(twelve):
    from trainer.data import Data

    outcome, _ = twelve
    test = Data.declared({"kind": "digits"}).load().test
    right = np.asarray(outcome.model(test.inputs)).argmax(1) == test.labels
    assert right.mean() == pytest.approx(outcome.metrics["eval_accuracy"], abs=1e-6)


def test_the_same_call_on_a_run_that_is_done_brings_its_model_from_the_folder(twelve, capsys):
    outcome, _ = twelve
    again = train(small(), outcome.folder)
    assert again.result == outcome.result
    assert "done at step 12" in capsys.readouterr().out
    for before, now in zip(outcome.model.weights, again.model.weights, strict=True):
        np.testing.assert_array_equal(before, now)
    assert [w.path for w in again.model.weights] == [w.path for w in outcome.model.weights]


def test_it_is_the_run_of_the_command_line_to_the_bit(twelve, tmp_path):
    outcome, _ = twelve
    assert runs.trained(tmp_path, "run.length=12", "run.steps_per_call=4") == 0
    assert runs.result(tmp_path)["weights_digest"] == outcome.result["weights_digest"]
    assert (tmp_path / "config.yaml").read_text() == (outcome.folder / "config.yaml").read_text()


def test_a_callback_may_stop_a_run_and_the_same_call_goes_on_to_the_same_bits(twelve, tmp_path):
    whole, _ = twelve
    first = train(small(), tmp_path, callback=lambda call: call.stop(), quiet=True)
    assert (first.status, first.steps) == ("stopped", 4)
    second = train(small(), tmp_path, quiet=True)
    assert (second.status, second.steps) == ("done", 12)
    assert second.result["weights_digest"] == whole.result["weights_digest"]


def test_two_seeds_in_one_process_are_two_runs(twelve, tmp_path):
    first, _ = twelve
    other = train(small("run.seed=2"), tmp_path / "other", quiet=True)
    assert other.result["weights_digest"] != first.result["weights_digest"]
    same = train(small(), tmp_path / "same", quiet=True)
    assert same.result["weights_digest"] == first.result["weights_digest"]


def test_what_a_callback_raises_comes_out_and_the_folder_can_be_gone_on_with(twelve, tmp_path):
    def break_down(call):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(small("checkpoint.every=4"), tmp_path, callback=break_down, quiet=True)
    again = train(small("checkpoint.every=4"), tmp_path, quiet=True)
    assert again.result["weights_digest"] == twelve[0].result["weights_digest"]


def test_a_run_that_diverges_is_an_outcome_and_no_exception(tmp_path):
    outcome = train(small("schedule=constant", "schedule.value=1e30"), tmp_path, quiet=True)
    assert outcome.status == "failed"
    assert "at update" in outcome.reason


def test_without_a_folder_a_new_one_is_made_as_the_command_line_names_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = train(small("run.length=4"), quiet=True)
    day, name = outcome.folder.parts[-2:]
    assert outcome.folder.relative_to(Path.cwd()).parts[0] == "outputs"
    assert [len(part) for part in (*day.split("-"), *name.split("-"))] == [4, 2, 2, 2, 2, 2, 6]


def test_a_quiet_run_prints_what_its_callback_prints_and_nothing_else(tmp_path, capsys):
    train(small("run.length=4"), tmp_path, callback=lambda call: print("called"), quiet=True)
    assert capsys.readouterr().out == "called\n"


def test_a_refused_run_leaves_no_folder(tmp_path):
    with pytest.raises(Refused, match="can't be read"):
        train(small("run.replay=nowhere"), tmp_path / "new")
    with pytest.raises(Refused, match="python -m trainer mode=lr_find"):
        train(small("mode=lr_find"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_with_another_run_is_refused(twelve):
    outcome, _ = twelve
    with pytest.raises(Refused, match=r"optimizer\.momentum +0\.9 +0\.5"):
        train(small("optimizer.momentum=0.5"), outcome.folder)


def test_a_run_within_a_run_is_refused(tmp_path):
    def nested(call):
        train(small(), tmp_path / "inner")

    with pytest.raises(Refused, match="under way in this process"):
        train(small(), tmp_path / "outer", callback=nested, quiet=True)


def test_it_trains_on_a_thread_that_is_not_the_main_one(twelve, tmp_path):
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(train(small(), tmp_path, quiet=True)))
    thread.start()
    thread.join()
    assert outcomes[0].result["weights_digest"] == twelve[0].result["weights_digest"]


def test_an_interrupt_saves_and_is_then_handed_on(twelve, tmp_path):
    def interrupt(call):
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(small(), tmp_path, callback=interrupt, quiet=True)
    assert signal.getsignal(signal.SIGINT) is before
    assert runs.result(tmp_path)["status"] == "interrupted"
    again = train(small(), tmp_path, quiet=True)
    assert again.result["weights_digest"] == twelve[0].result["weights_digest"]


def test_a_second_interrupt_does_not_wait(tmp_path):
    def insist(call):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(small(), tmp_path, callback=insist, quiet=True)
    assert not (tmp_path / "result.json").exists()


def test_a_secret_reaches_no_file_of_a_run_that_a_program_asked_for(tmp_path):
    secret = {
        "kind": "custom",
        "call": "tests.helpers.functions:tenth",
        "kwargs": {"api_key": "hunter2"},
    }
    outcome = train(small({"schedule": secret, "allow_code": True}), tmp_path, quiet=True)
    assert outcome.status == "done"
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert found
    assert not [path for path in found if b"hunter2" in path.read_bytes()]


def network(outputs=3, width=8, dropout=0.2):
    import keras

    keras.utils.set_random_seed(7)
    layers = [keras.Input((2,)), keras.layers.Dense(width, "relu"), keras.layers.Dropout(dropout)]
    return keras.Sequential([*layers, keras.layers.Dense(outputs)])


def corners():
    """Points around three corners, and which."""
    random = np.random.default_rng(0)
    which = np.arange(300) % 3
    return np.array([[0, 0], [3, 0], [0, 3]])[which] + random.normal(size=(300, 2)) / 2, which


GIVEN = ("run.length=40", "run.compile=graph", "schedule.initial_value=0.1", "log.every=1")


def test_a_model_and_arrays_of_a_program_are_trained(tmp_path):
    mine = network()
    outcome = train(Experiment.composed(*GIVEN), tmp_path, model=mine, data=corners(), quiet=True)
    assert outcome.model is mine
    assert outcome.metrics["eval_accuracy"] > 0.9
    declared = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert declared["model"]["kind"] == declared["data"]["kind"] == "given"
    assert declared["model"]["parameters"] == 2 * 8 + 8 + 8 * 3 + 3


def test_given_again_they_go_on_to_the_bits_of_a_run_that_was_never_stopped(tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    experiment = Experiment.composed(*GIVEN)
    first = train(experiment, whole, model=network(), data=corners(), quiet=True)
    early = Experiment.composed(*GIVEN, "run.stop_after=15")
    train(early, stopped, model=network(), data=corners(), quiet=True)
    again = train(experiment, stopped, model=network(), data=corners(), quiet=True)
    assert (again.status, again.steps) == ("done", 40)
    assert again.result["weights_digest"] == first.result["weights_digest"]


def test_others_are_refused_in_the_same_folder(tmp_path):
    early = Experiment.composed(*GIVEN, "run.stop_after=5")
    train(early, tmp_path, model=network(), data=corners(), quiet=True)
    x, y = corners()
    with pytest.raises(Refused, match=r"data\.digest"):
        train(early, tmp_path, model=network(), data=(x + 1, y))
    with pytest.raises(Refused, match=r"model\.digest"):
        train(early, tmp_path, model=network(width=9), data=corners())


def test_the_folders_own_config_is_gone_on_with_where_they_are_given_again(tmp_path):
    early = Experiment.composed(*GIVEN, "run.stop_after=5")
    train(early, tmp_path, model=network(), data=corners(), quiet=True)
    other = Experiment.composed(*GIVEN, "run.seed=9", "resume.policy=checkpoint")
    with pytest.raises(Refused, match="this is something else"):
        train(other, tmp_path, model=network(width=9), data=corners(), quiet=True)
    again = train(other, tmp_path, model=network(), data=corners(), quiet=True)
    assert (again.status, again.steps, again.result["seeds"]["run"]) == ("done", 40, 1)


def test_a_run_with_given_data_may_be_made_longer(tmp_path):
    declared = ("model=mlp", "schedule=constant", "schedule.value=0.01", "run.compile=graph")
    for length in (5, 8):
        experiment = Experiment.composed(*declared, {"run.length": length})
        assert train(experiment, tmp_path, data=corners(), quiet=True).steps == length


def test_going_on_without_them_is_refused_before_tensorflow_is_imported(tmp_path):
    early = Experiment.composed(*GIVEN, "run.stop_after=5")
    train(early, tmp_path / "both", model=network(), data=corners(), quiet=True)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "trainer", f"rerun={tmp_path / 'both'}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "data.kind = 'given': was an object of a program" in done.stderr
    assert not re.search(r"\| +tensorflow$", done.stderr, re.MULTILINE)
    model = Experiment.composed({"model": {"kind": "given"}})
    with pytest.raises(Refused, match=r"train\(experiment, model=…\)"):
        train(model, tmp_path / "model")


def test_settings_for_given_data_are_declared_as_for_any(tmp_path):
    x, y = corners()
    settings = {"kind": "given", "batch_size": 30, "held_out": {"fraction": 0.5}}
    declared = Experiment.composed(*GIVEN, {"data": settings}, "model=mlp", "run.length=1 epoch")
    assert train(declared, tmp_path, data=(x, y), quiet=True).steps == 5
    with pytest.raises(Refused, match=r"data\.held_out: is not needed"):
        train(declared, data=((x, y), (x, y)))


def test_examples_to_evaluate_by_can_be_given(tmp_path):
    x, y = corners()
    declared = Experiment.composed(*GIVEN, "model=mlp", "data.batch_size=150")
    outcome = train(declared, tmp_path, data=((x, y), (x[:5], y[:5])), quiet=True)
    assert outcome.evaluations["epoch"][-1] == 40 * 150 / 300  # none of the pair is held out
    assert outcome.metrics["eval_accuracy"] * 5 in range(6)


def test_a_dataset_of_a_length_is_as_good_as_arrays(tmp_path):
    import tensorflow as tf

    x, y = corners()
    declared = Experiment.composed(*GIVEN, "model=mlp")
    arrays = train(declared, tmp_path / "1", data=(x, y), quiet=True)
    dataset = tf.data.Dataset.from_tensor_slices((x, y))
    other = train(declared, tmp_path / "2", data=dataset, quiet=True)
    assert other.result["weights_digest"] == arrays.result["weights_digest"]
    with pytest.raises(Refused, match="of which none can be held out to evaluate by"):
        train(declared, tmp_path / "3", data=dataset.repeat())
    with pytest.raises(Refused, match="is a dataset that never ends"):
        train(declared, tmp_path / "3", data=(dataset, dataset.repeat()))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (object(), "is object, which is no array of numbers"),
        ((1, 2, 3), "is int in the place of an array"),
        ((np.zeros((4, 2)), None, None, None), "is 4 things"),
        ((np.zeros((4, 2)), np.zeros(3, int)), "has 4 inputs and 3 labels"),
        (([[1.0], [2.0, 3.0]], [0, 1]), "has rows of 1 to 2 steps"),
        ((np.zeros((4, 2)), np.zeros(4, int)), "one class only"),
        ((np.full((40, 2), np.nan), np.arange(40) % 2), "not finite"),
    ],
)
def test_data_that_can_not_be_learnt_from_is_refused(tmp_path, data, message):
    with pytest.raises(Refused, match=message):
        train(Experiment.composed(*GIVEN, "model=mlp", "data.batch_size=2"), tmp_path, data=data)


def test_a_model_that_does_not_fit_the_data_is_refused_with_both_shapes(tmp_path):
    import keras

    experiment = Experiment.composed(*GIVEN)
    with pytest.raises(Refused, match=r"gives outputs of shape \[4\], and 3 classes want .* \[3\]"):
        train(experiment, tmp_path / "1", model=network(outputs=4), data=corners(), quiet=True)
    wide = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    with pytest.raises(Refused, match=r"shape \[5\], and the data has inputs of shape \[2\]"):
        train(experiment, tmp_path / "2", model=wide, data=corners(), quiet=True)
    with pytest.raises(Refused, match=r"must be a keras\.Model"):
        train(experiment, model=print, data=corners())


def test_an_export_of_averages_leaves_the_given_model_as_training_left_it(tmp_path):
    import keras

    mine = network()
    declared = Experiment.composed(*GIVEN, "export=keras", "ema={momentum: 0.9}")
    outcome = train(declared, tmp_path, model=mine, data=corners(), quiet=True)
    final = [weight.numpy().copy() for weight in mine.weights]
    [file] = tmp_path.glob("export/*.keras")
    averaged = keras.saving.load_model(file)
    assert any(not np.array_equal(a, b) for a, b in zip(averaged.weights, final, strict=True))
    again = train(declared, tmp_path, model=network(), data=corners(), quiet=True)
    assert again.result == outcome.result
    for left, read in zip(final, again.model.weights, strict=True):
        np.testing.assert_array_equal(left, read)


@pytest.mark.slow
def test_a_notebook_trains_twice_shows_what_is_printed_and_can_be_interrupted(tmp_path):
    nbformat, client = (pytest.importorskip(name) for name in ("nbformat", "nbclient"))
    small = 'SMALL = ("data=digits", "model=mlp", "model.hidden=[16]", "run.compile=graph")'
    cells = [
        f"from trainer import Experiment, train\n{small}",
        'first = train(Experiment.composed(*SMALL, "run.length=20"))',
        'second = train(Experiment.composed(*SMALL, "run.length=20"), quiet=True)\n'
        "assert first.result['weights_digest'] == second.result['weights_digest']",
        "import os, signal\n"
        "def interrupt(call): os.kill(os.getpid(), signal.SIGINT)\n"
        "try:\n    train(Experiment.composed(*SMALL), 'stopped', callback=interrupt, quiet=True)\n"
        "except KeyboardInterrupt:\n    print('interrupted')",
        "print(train(Experiment.composed(*SMALL), 'stopped', quiet=True).status)",
        "import sys; print('still heard', file=sys.stderr)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    runner = client.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    runner.execute(env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})
    printed = ["".join(out.get("text", "") for out in cell.outputs) for cell in notebook.cells]
    assert "done at step 20" in printed[1]
    assert printed[2:] == ["", "interrupted\n", "done\n", "still heard\n"]
