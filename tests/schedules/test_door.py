import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import schedules
from schedules.__main__ import main
from trainer.config.experiment import Experiment
from trainer.config.hydra import compose

ROOT = Path(__file__).parents[2]
FILE = {"kind": "exponential", "initial_value": 0.1, "decay_steps": "1 epoch", "decay_rate": 0.5}
RUN = ["--total-steps", "40", "--batch-size", "10", "--examples-per-epoch", "100"]
MOMENTUM = "optimizer.momentum={kind: linear, initial_value: 0.5, end_value: 0.95}"


@pytest.fixture
def door(capfd, tmp_path, monkeypatch):
    """Runs a command in an empty folder; gives its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)

    def run(*arguments):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        return left.value.code, *capfd.readouterr()

    return run


def values(csv):
    return [float(row.split(",")[1]) for row in csv.splitlines()[1:]]


def planned(*overrides, name="learning_rate"):
    experiment = Experiment.declared(compose(list(overrides)))
    return experiment.curves()[name](np.arange(experiment.total_steps())).tolist()


def schedule_file(name="mine.yaml", **changes):
    Path(name).write_text(yaml.safe_dump(FILE | changes))
    return name


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["schedule=cosine_restarts", "warmup=linear", "run.length=3 epochs"],
        ["schedule=noisy_linear_cosine", "cooldown=linear", "data.batch_size=32"],
    ],
)
def test_a_table_is_what_the_trainer_plans(door, overrides):
    code, out, err = door("table", *overrides)
    assert (code, err) == (0, "")
    assert out.startswith("step,value\n0,")
    assert values(out) == planned(*overrides)


def test_a_table_of_another_value(door):
    _, out, _ = door("table", MOMENTUM, "--name", "momentum")
    assert values(out) == planned(MOMENTUM, name="momentum")


def test_options_may_stand_between_overrides(door):
    _, out, _ = door("table", "schedule=linear", "--steps", "5:9:2", "run.length=50")
    assert [row.split(",")[0] for row in out.splitlines()] == ["step", "5", "7"]


def test_a_schedule_in_a_file_runs_on_the_clock_that_is_given(door):
    code, out, _ = door("table", "--file", schedule_file(), *RUN)
    assert code == 0
    assert values(out) == schedules.load(FILE, schedules.Clock(40, 10, 100))(range(40)).tolist()


def test_a_schedule_in_a_file_runs_on_the_clock_of_the_overrides(door):
    _, out, _ = door("table", "--file", schedule_file(), "run.length=2 epochs")
    assert len(values(out)) == 125


def test_a_number_in_a_file_is_read_as_hydra_reads_it(door):
    Path("mine.yaml").write_text("{kind: constant, value: 1e-3}")
    _, out, _ = door("table", "--file", "mine.yaml", "--total-steps", "1")
    assert out == "step,value\n0,0.001\n"


def test_a_file_may_hold_a_whole_config(door):
    config = compose(["schedule=wsd", "run.length=80"])
    Path("config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    _, out, _ = door("table", "--file", "config.yaml")
    assert values(out) == planned("schedule=wsd", "run.length=80")


def test_a_table_goes_into_a_file_in_the_format_of_its_suffix(door):
    code, out, _ = door("table", "schedule=cosine", "--output", "tables/rates.npy")
    assert (code, out) == (0, "tables/rates.npy\n")
    assert np.load("tables/rates.npy").tolist() == planned("schedule=cosine")


def test_plot_draws_in_the_terminal_and_names_the_picture_it_wrote(door):
    code, out, err = door("plot", "schedule=cosine_restarts", MOMENTUM)
    assert (code, err) == (0, "")
    assert "learning_rate over 625 steps" in out
    assert "momentum over 625 steps" in out
    assert out.splitlines()[-1] == "schedule.svg"
    assert "cosine_restarts" in Path("schedule.svg").read_text()


def test_a_sweep_draws_every_combination_over_each_other(door):
    code, out, _ = door(
        "plot", "schedule=cosine,linear", "warmup=none,linear", "schedule.initial_value=0.1"
    )
    assert code == 0
    for schedule in ("cosine", "linear"):
        for warmup in ("none", "linear"):
            assert f"  schedule={schedule} warmup={warmup}\n" in out


def test_commas_within_brackets_sweep_nothing(door):
    code, out, _ = door("plot", "schedule=piecewise_constant", "schedule.boundaries=[100,200]")
    assert code == 0
    assert "schedule.boundaries = 100 steps, 200 steps" in out


def test_several_files_lie_over_each_other(door):
    one, other = schedule_file("one.yaml"), schedule_file("other.yaml", decay_rate=0.9)
    code, out, _ = door("plot", "--file", one, "--file", other, *RUN)
    assert code == 0
    assert "  one\n" in out
    assert "  other\n" in out


def test_open_writes_a_page(door, monkeypatch):
    opened = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", opened.append)
    code, out, _ = door("plot", "--open", "--output", "picture.svg")
    assert code == 0
    assert out.splitlines()[-2:] == ["picture.svg", "picture.html"]
    assert opened == [Path("picture.html").resolve().as_uri()]
    monkeypatch.delenv("DISPLAY")
    door("plot", "--open")
    assert len(opened) == (2 if sys.platform == "darwin" else 1)


def test_lint_lets_a_warning_pass_and_refuses_what_cannot_train(door):
    code, out, err = door("lint", "schedule=cosine", "schedule.decay_steps=20 epochs")
    assert (code, err) == (0, "")
    assert out.startswith("warning: learning_rate")
    code, out, err = door("lint", "schedule=linear", "schedule.end_value=-0.1")
    assert (code, out) == (2, "")
    assert "hint: schedule.end_value=0" in err


def test_what_lint_hints_at_mends_what_it_found(door):
    wrong = ["schedule=cosine", "schedule.decay_steps=20 epochs"]
    _, out, _ = door("lint", *wrong)
    hint = out.split("hint: ")[1].strip()
    assert door("lint", *wrong, hint)[1] == "nothing to say against learning_rate\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tabel"], "did you mean table?"),
        (["list", "cosin"], "did you mean cosine?"),
        (["table", "schedule=cosin"], "did you mean cosine?"),
        (["table", "schedule.initial_value=true"], "must be a number"),
        (["table", "--name", "momentun", MOMENTUM], "did you mean momentum?"),
        (["table", "--steps", "9:3"], "must be A:B"),
        (["table", "schedule=cosine,linear"], "takes one config"),
        (["table", "--total-steps", "9"], "run.length"),
        (["table", "--file", "none.yaml"], "can't be read"),
        (["table", "--file", "list.yaml"], "must hold a mapping"),
        (["table", "--file", "broken.yaml"], "is no YAML"),
        (["table", "--file", "bomb.yaml"], "at most 20"),
        (["table", "--file", "mine.yaml", "--total-steps", "9"], "mine.yaml: decay_steps"),
        (["table", "--file", "mine.yaml", "--total-steps", "0"], "above 0"),
        (["plot", "--output", "picture.pdf"], ".svg, .png, .html"),
        (["plot", "--output", "mine.yaml/picture.svg"], "can't be written"),
    ],
)
def test_a_refusal_exits_2_with_one_reason_on_stderr(door, arguments, message):
    schedule_file()
    Path("list.yaml").write_text("[1, 2]")
    Path("broken.yaml").write_text("{kind: [")
    lines = ["a0: &a0 [1]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 30)]
    Path("bomb.yaml").write_text("\n".join(lines))
    code, out, err = door(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_help_tells_every_command(door):
    code, out, _ = door()
    assert code == 0
    assert all(f"python -m schedules {name}" in out for name in ("list", "plot", "table", "lint"))


def run(*command, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, **options)


def test_the_door_opens_without_tensorflow(tmp_path):
    code = (
        "import sys; from schedules.__main__ import main\n"
        "try: main(['plot', 'warmup=linear'])\n"
        "finally: print(*({'tensorflow', 'keras', 'rich'} & set(sys.modules)), 'loaded')"
    )
    done = run(sys.executable, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\nloaded\n")


def test_a_reader_may_stop_early(tmp_path):
    table = f"{sys.executable} -m schedules table run.length=20000 | head -n 1"
    done = run("bash", "-o", "pipefail", "-c", table, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "step,value\n", "")


def test_a_terminal_without_these_letters_still_gets_a_drawing(tmp_path):
    done = run(
        *("env", "PYTHONIOENCODING=ascii", sys.executable, "-m", "schedules", "plot"), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plot", "--run.length=20"], "--run.length = '20': is no flag: overrides have no dashes\n"
         "  hint: run.length=20\n"),
        (["table", "-schedule=rex"], "--schedule = 'rex': is no flag: overrides have no dashes\n"
         "  hint: schedule=rex\n"),
        (["schedule=cosine"], "schedules = 'schedule=cosine': is no command\n"
         "  hint: python -m schedules plot schedule=cosine\n"),
        (["plto"], "schedules = 'plto': is no command\n  hint: did you mean plot?\n"),
    ],
)  # fmt: skip
def test_wrong_words_are_answered_with_what_to_type(words, message, door):
    assert door(*words) == (2, "", message)
