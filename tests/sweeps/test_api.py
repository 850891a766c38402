"""Sweeps from a program: `from trainer import sweep`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from tests.helpers.runs import SMALL, result
from tests.helpers.sweeps import ENVIRONMENT, table
from trainer import Experiment, Refused, sweep, train
from trainer.commands.callback import Watch
from trainer.config.hydra import normalize_overrides
from trainer.runs.study import JOURNAL
from trainer.sweeps.asked import typed_arguments
from trainer.sweeps.grid import combinations
from trainer.training.call import Call

TINY = (*SMALL, "run.length=8", "run.steps_per_call=4", "~log.tensorboard")
GIVEN = ("run.length=8", "run.compile=graph", "data.batch_size=16", "~log.tensorboard")


def corners():
    """Points around three corners, and which."""
    random = np.random.default_rng(0)
    which = np.arange(120) % 3
    return np.array([[0, 0], [3, 0], [0, 3]])[which] + random.normal(size=(120, 2)) / 2, which


def network(width=8):
    import keras

    layers = [keras.Input((2,)), keras.layers.Dense(width, "relu"), keras.layers.Dense(3)]
    return keras.Sequential(layers)


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """Two rates, one of which diverges, with two seeds each; and the folder."""
    folder = tmp_path_factory.mktemp("sweeps") / "rates"
    asked = ("schedule.initial_value=1e30,0.1", "run.seed=range(1,3)")
    return sweep(*TINY, *asked, folder=folder, quiet=True), folder


def test_importing_the_door_imports_no_tensorflow():
    code = (
        "import sys; from trainer import sweep; assert not {'tensorflow', 'keras'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, check=True)


def test_every_combination_is_an_outcome_and_a_failing_one_fails_alone(four):
    results, _ = four
    assert [(one.name, one.status) for one in results] == [
        ("0", "failed"), ("1", "failed"), ("2", "done"), ("3", "done"),
    ]  # fmt: skip
    assert [one.name for one in results.failed] == ["0", "1"]
    assert "the loss became nan" in results[0].reason
    assert results[3].overrides["schedule.initial_value"] == 0.1
    assert results[3].overrides["model.hidden"] == [16]
    assert [one.name for one in results[1:3]] == ["1", "2"]
    assert len(results[2].history["loss"]) == 8


def test_a_job_is_the_run_that_train_makes_of_its_overrides(four, tmp_path):
    results, _ = four
    alone = train(
        Experiment.composed(*TINY, "schedule.initial_value=0.1", "run.seed=2"), tmp_path, quiet=True
    )
    assert results[3].result["weights_digest"] == alone.result["weights_digest"]
    weights = zip(results[3].model.get_weights(), alone.model.get_weights(), strict=True)
    assert all(np.array_equal(one, other) for one, other in weights)


def test_the_folder_is_that_of_the_command_line_and_either_goes_on_with_the_others_jobs(four):
    results, folder = four
    assert [row["status"] for row in table(folder)] == ["failed", "failed", "done", "done"]
    assert results.report == folder / "report.html"
    assert results.report.exists()
    before = [result(folder / name) for name in "23"]
    asked = ("schedule.initial_value=0.1", "run.seed=1,2,3")
    typed = subprocess.run(
        [sys.executable, "-m", "trainer", "-m", *TINY, *asked, f"hydra.sweep.dir={folder}"],
        env=ENVIRONMENT, capture_output=True, text=True,
    )  # fmt: skip
    assert "3 jobs, 2 of them done already" in typed.stdout
    again = sweep(*TINY, *asked, folder=folder, quiet=True)
    assert [one.name for one in again] == ["2", "3", "4"]
    assert [result(folder / name) for name in "23"] == before
    assert again[2].result["weights_digest"] == result(folder / "4")["weights_digest"]
    assert len(table(folder)) == 5


def test_rows_have_what_varies_and_what_was_measured_all_with_the_same_keys(four):
    results, _ = four
    rows = results.rows()
    assert [list(row) for row in rows] == [
        ["run", "schedule.initial_value", "run.seed", "status", "steps",
         "eval_loss", "eval_accuracy", "seconds", "reason"],
    ] * 4  # fmt: skip
    assert [(row["schedule.initial_value"], row["run.seed"]) for row in rows] == [
        (1e30, 1), (1e30, 2), (0.1, 1), (0.1, 2),
    ]  # fmt: skip
    assert rows[0]["eval_loss"] is None
    assert rows[2]["eval_loss"] == results[2].metrics["eval_loss"]


def test_it_is_shown_as_a_table_in_text_and_in_a_notebook(four):
    results, _ = four
    first, head, *lines = repr(results).splitlines()
    assert first.startswith("4 jobs in ")
    assert head.split() == list(results.rows()[0])
    assert [line.split()[:4] for line in lines][3] == ["3", "0.1", "2", "done"]
    assert max(map(len, lines)) < 200, "a reason is told in short"
    page = results._repr_html_()
    assert page.count("<tr>") == 5
    assert "<button" not in page


ZIPPED = {"run.seed": "zip(1,2)", "run.length": "zip(3,4)"}


@pytest.mark.parametrize(
    "asked",
    [
        ("schedule=cosine,rex", "run.seed=zip(1,2)", "run.length=zip(3,4)"),
        ({"schedule": ["cosine", "rex"], **ZIPPED},),
        ({"schedule": "cosine,rex"}, {"run": {"seed": "zip(range(1,3))"}}, ZIPPED),
        ({"schedule": "linear,rex,cosine", **ZIPPED}, {"schedule": ("cosine", "rex")}),
        ({"schedule": "linear", **ZIPPED}, "schedule=cosine,rex"),
    ],
)
def test_values_are_said_as_typed_or_by_their_paths(asked):
    combined = combinations(list(normalize_overrides(typed_arguments(asked))))
    jobs = [sorted(override.lstrip("+") for override in overrides) for overrides in combined]
    assert sorted(jobs) == [
        ["run.length=3", "run.seed=1", "schedule=cosine"],
        ["run.length=3", "run.seed=1", "schedule=rex"],
        ["run.length=4", "run.seed=2", "schedule=cosine"],
        ["run.length=4", "run.seed=2", "schedule=rex"],
    ]


def test_arrays_and_ranges_are_values_to_try_and_a_mapping_with_a_kind_is_one(tmp_path):
    rate = {"kind": "constant", "value": 0.01}
    asked = {"optimizer.momentum": np.array([0.5, 0.9]), "run.seed": range(2), "schedule": rate}
    results = sweep(*TINY, "run.length=2", asked, folder=tmp_path, quiet=True)
    assert [one.overrides["optimizer.momentum"] for one in results] == [0.5, 0.5, 0.9, 0.9]
    assert [one.overrides["run.seed"] for one in results] == [0, 1, 0, 1]
    assert {one.history["learning_rate"][0] for one in results} == {0.01}


@pytest.mark.filterwarnings("ignore:(?s).*is validated against ConfigStore")
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("run.seed=1,2", "schedule.initial_value=0.1,x"), "schedule.initial_value = 'x'"),
        (("run.sed=1,2",), "did you mean seed?"),
        (("run.seed=range(1,20000)",), "the most are 10,000"),
        (("run.seed=zip(1,2)", "run.length=zip(1,2,3)"), "give each as many"),
        (("run.seed=1,2", "mode=lr_find"), "python -m trainer mode=lr_find, in a terminal"),
        (("run.seed=1,2", "device=multi_worker"), "device = 'multi_worker'"),
        (("run.seed=1,2", "hydra/launcher=joblib"), "python -m trainer -m hydra/launcher=joblib"),
        (("run.seed=1,2", "hydra/sweeper=basic"), "is another package's"),
        (("run.seed=1,2", "hydra.sweep.dir=there"), "leave it out: folder says it"),
        (("-m", "run.seed=1,2"), "is no override"),
        ((["run.seed=1,2"],), "is a list, and must be a text or a mapping"),
        (({"run.seed": [object]},), "which no config can hold"),
        (({1: [2]},), "must be a name"),
    ],
)
def test_what_can_not_be_honoured_is_refused_before_there_is_a_folder(asked, message, tmp_path):
    with pytest.raises(Refused) as refused:
        sweep(*TINY, *asked, folder=tmp_path / "all", quiet=True)
    assert message in str(refused.value)
    assert not (tmp_path / "all").exists()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Arrays that four jobs share, each with a network of its own."""
    folder = tmp_path_factory.mktemp("built")
    asked = ("schedule.initial_value=0.1,0.01", "run.seed=1,2")
    return sweep(*GIVEN, *asked, folder=folder, model=network, data=corners(), quiet=True), folder


def test_each_job_trains_a_network_that_is_built_for_it_by_its_seed(built, tmp_path):
    import keras

    results, _ = built
    keras.utils.set_random_seed(2)
    mine = network()
    experiment = Experiment.composed(*GIVEN, "schedule.initial_value=0.01", "run.seed=2")
    alone = train(experiment, tmp_path, model=mine, data=corners(), quiet=True)
    assert results[3].result["weights_digest"] == alone.result["weights_digest"]
    assert len({one.result["weights_digest"] for one in results}) == 4


def test_the_networks_of_given_models_are_read_back(built):
    results, _ = built
    digests = {one.result["data_digest"] for one in results}
    assert len(digests) == 1
    first, second = results[0].model, results[1].model
    assert first is results[0].model
    assert not np.array_equal(first.get_weights()[0], second.get_weights()[0])


def test_the_same_call_on_a_finished_sweep_trains_nothing(built):
    results, folder = built
    asked = ("schedule.initial_value=0.1,0.01", "run.seed=1,2")
    again = sweep(*GIVEN, *asked, folder=folder, model=network, data=corners(), quiet=True)
    assert [one.result for one in again] == [one.result for one in results]


@pytest.mark.parametrize("what", ["data", "model", "loss"])
def test_other_objects_than_a_finished_job_was_given_are_refused(what, built):
    results, folder = built
    inputs, labels = corners()
    other = {"data": (inputs + 1, labels), "model": lambda: network(9), "loss": step}[what]
    given = {"model": network, "data": corners(), what: other}
    asked = ("schedule.initial_value=0.1,0.01", "run.seed=1,2,3")
    with pytest.raises(Refused) as refused:
        sweep(*GIVEN, *asked, folder=folder, quiet=True, **given)
    first, *_ = str(refused.value).splitlines()
    assert first.startswith("folder = ")
    assert first.endswith("holds a run that was declared otherwise")
    assert f"{what}." in str(refused.value)
    assert "hint: folder=… begins another" in str(refused.value)
    assert len(table(folder)) == len(results), "no job was added"


def test_a_function_may_build_by_the_experiment_of_its_job(tmp_path):
    def wide(experiment):
        return network(8 * experiment.run.seed)

    results = sweep(*GIVEN, "run.seed=1,2", folder=tmp_path, model=wide, data=corners(), quiet=True)
    assert [one.model.count_params() for one in results] == [8 * 3 + 27, 16 * 3 + 51]


def test_a_function_that_fails_for_a_later_job_fails_that_one_alone(tmp_path):
    def odd(experiment):
        if experiment.run.seed == 2:
            raise ValueError("no network for 2")
        return network()

    asked = ("run.seed=1,2,3",)
    results = sweep(*GIVEN, *asked, folder=tmp_path, model=odd, data=corners(), quiet=True)
    assert [one.status for one in results] == ["done", "failed", "done"]
    assert results[1].reason == "ValueError: no network for 2"
    page = (tmp_path / "report.html").read_text()
    assert "no network for 2" in page


def test_a_network_is_built_to_compute_as_its_job_says(tmp_path):
    seen = []

    def watched():
        seen.append(network())
        return seen[-1]

    asked = ("run.length=2", "run.precision=mixed_bfloat16")
    [one] = sweep(*GIVEN, *asked, folder=tmp_path, model=watched, data=corners(), quiet=True)
    assert one.status == "done"
    assert {built.dtype_policy.name for built in seen} == {"mixed_bfloat16"}


def test_objects_that_can_not_be_are_refused_before_there_is_a_folder(tmp_path):
    def raising():
        raise LookupError("mine")

    folder = tmp_path / "all"
    wrong = [
        ({"model": network()}, "model: would be trained in place by 2 jobs"),
        ({"model": 3}, "model: is a int, and must be a keras.Model"),
        ({"model": lambda: 3}, "model: is a int, and must be a keras.Model"),
        ({"loss": 3}, "loss: is a int, and must be a function"),
        ({"data": 3}, "data: is int"),
    ]
    for given, message in wrong:
        with pytest.raises(Refused) as refused:
            sweep(*GIVEN, "run.seed=1,2", folder=folder, **{"data": corners(), **given})
        assert str(refused.value).startswith(message)
        assert "from: " not in str(refused.value), "no file says what a program gives"
    with pytest.raises(LookupError, match="mine"):
        sweep(*GIVEN, "run.seed=1,2", folder=folder, data=corners(), model=raising)
    assert not folder.exists()


def test_a_network_itself_is_trained_in_place_where_there_is_one_job(tmp_path):
    mine = network()
    before = mine.get_weights()[0]
    [one] = sweep(*GIVEN, folder=tmp_path, model=mine, data=corners(), quiet=True)
    assert not np.array_equal(mine.get_weights()[0], before)
    assert one.model is mine


def step(model, batch):
    import tensorflow as tf

    inputs, labels = batch
    outputs = model(inputs, training=True)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs)
    return losses, {"spread": tf.math.reduce_std(outputs)}


def test_a_step_is_shared_and_what_it_measures_has_a_best_where_one_says_which_way(tmp_path):
    results = sweep(*TINY, "run.seed=1,2", folder=tmp_path, loss=step, quiet=True)
    spreads = [one.metrics["eval_spread"] for one in results]
    with pytest.raises(Refused, match="hint: mode='min', or mode='max'"):
        results.best("eval_spread")
    assert results.best("eval_spread", mode="max").metrics["eval_spread"] == max(spreads)
    assert results.best("eval_spread", mode="min").metrics["eval_spread"] == min(spreads)


@pytest.mark.parametrize("launcher", ["local", "vectorized"])
def test_jobs_that_are_given_nothing_may_run_side_by_side(launcher, tmp_path):
    asked = ("schedule.initial_value=0.1", "run.seed=1,2", f"hydra/launcher={launcher}")
    results = sweep(*TINY, *asked, folder=tmp_path, quiet=True)
    assert [one.status for one in results] == ["done", "done"]
    assert [one.steps for one in results] == [8, 8]
    assert results[0].model.count_params() == 64 * 16 + 16 + 16 * 10 + 10
    given = {"model": network, "data": corners()}
    with pytest.raises(
        Refused, match=rf"hydra/launcher = '{launcher}': .*model and data are given"
    ):
        sweep(*TINY, *asked, folder=tmp_path / "given", **given)


def test_a_search_is_what_it_is_on_the_command_line(tmp_path):
    pytest.importorskip("optuna")
    asked = (
        "hydra/sweeper=optuna", "hydra.sweeper.n_trials=3",
        "schedule.initial_value=tag(log,interval(0.01,0.5))",
    )  # fmt: skip
    results = sweep(*TINY, *asked, folder=tmp_path / "found", quiet=True)
    assert (tmp_path / "found" / JOURNAL).exists()
    assert len(results) == 3
    best = min(results, key=lambda one: one.metrics["eval_loss"])
    assert results.best() is best
    rates = [row["schedule.initial_value"] for row in results.rows()]
    assert len({*rates}) == 3
    assert all(0.01 <= rate <= 0.5 for rate in rates)
    with pytest.raises(Refused, match="would be trained in place by 3 jobs"):
        sweep(*GIVEN, *asked, folder=tmp_path / "given", model=network(), data=corners())
    given = {"model": network, "data": corners()}
    found = sweep(*GIVEN, *asked, folder=tmp_path / "given", **given, quiet=True)
    assert [one.status for one in found] == ["done"] * 3


def test_an_interrupt_saves_begins_no_further_job_and_the_same_call_goes_on(tmp_path, monkeypatch):
    asked = ("schedule.initial_value=0.1", "run.seed=1,2", "run.length=8")

    def interrupting(self: Watch, call: Call) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Watch, "show", interrupting)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        sweep(*TINY, *asked, folder=tmp_path, quiet=True)
    assert signal.getsignal(signal.SIGINT) is before
    assert result(tmp_path / "0")["status"] == "interrupted"
    assert not (tmp_path / "1" / "metrics.jsonl").exists()
    assert [row["status"] for row in table(tmp_path)] == ["interrupted"]
    monkeypatch.undo()
    again = sweep(*TINY, *asked, folder=tmp_path, quiet=True)
    assert [(one.status, one.steps) for one in again] == [("done", 8), ("done", 8)]


def test_one_process_trains_one_thing_at_a_time(tmp_path):
    message = []

    def watch(call):
        def other():
            try:
                sweep(*TINY, "run.seed=1,2", folder=tmp_path / "other", quiet=True)
            except Refused as refused:
                message.append(str(refused))

        thread = Thread(target=other)
        thread.start()
        thread.join()
        call.stop()

    train(Experiment.composed(*TINY), tmp_path / "run", callback=watch, quiet=True)
    assert [text.partition("\n")[0] for text in message] == [
        "sweep: a run is under way in this process"
    ]
    assert not (tmp_path / "other").exists()


def test_a_program_that_is_an_app_of_hydras_sweeps_too_and_keeps_its_own(tmp_path):
    (tmp_path / "app.py").write_text(
        "import hydra\n"
        "from hydra.core.global_hydra import GlobalHydra\n"
        "from hydra.core.hydra_config import HydraConfig\n"
        "from trainer import Refused, sweep\n"
        "@hydra.main(version_base='1.3', config_path=None)\n"
        "def main(config):\n"
        "    own, known = GlobalHydra.instance().hydra, HydraConfig.get().runtime.cwd\n"
        "    try:\n"
        "        sweep('run.seed=1,x')\n"
        "    except Refused:\n"
        "        print('refused')\n"
        "    assert GlobalHydra.instance().hydra is own\n"
        "    assert HydraConfig.get().runtime.cwd == known\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "app.py"], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr


def test_with_quiet_nothing_is_printed_and_without_it_what_the_command_line_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep(*TINY, "run.seed=1", folder=tmp_path, quiet=True)
    assert capsys.readouterr().out == ""
    sweep(*TINY, "run.seed=1", folder=tmp_path)
    printed = capsys.readouterr().out
    assert "1 jobs, 1 of them done already" in printed
    assert "report: " in printed
