"""The benchmarks run, and time what they say."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from schedules import Schedule

FILE = Path(__file__).parents[2] / "scripts" / "bench" / "curves.py"


@pytest.fixture
def curves(monkeypatch):
    spec = importlib.util.spec_from_file_location("curves", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "seconds", lambda call, t: float(call(t).size))
    monkeypatch.setattr(module, "LIBRARIES", {})
    return module


def test_every_kind_is_timed_over_a_million_steps_and_over_500(curves, capsys):
    curves.main()
    header, rule, *rows = capsys.readouterr().out.splitlines()
    assert header.count("|") == rule.count("|") == 6
    assert [row.split()[1] for row in rows] == sorted(Schedule.kinds)
    assert {row.partition("|")[2].partition("|")[2] for row in rows} == {
        f" {1e9:.1f} ms | 1.00 | {5e8:.0f} µs | 1.0 |"
    }


def test_a_library_that_is_installed_gets_a_column_and_a_ratio(curves, monkeypatch):
    monkeypatch.setattr(
        curves, "LIBRARIES", {"numpy": lambda: {"cosine": lambda t: np.zeros(2 * len(t))}}
    )
    header, cosine, linear = curves.rows(["cosine", "linear"])
    assert header[-1] == "÷ numpy"
    assert (cosine[-1], linear[-1]) == ("0.50", "")


@pytest.fixture
def table(monkeypatch):
    monkeypatch.syspath_prepend(str(FILE.parent))
    monkeypatch.setattr(sys, "path", sys.path[:])
    import table

    return table


@pytest.mark.slow
def test_peers_take_turns_and_one_that_is_not_installed_is_left_out(table, monkeypatch):
    from contest import NEEDS, Entry, contest, ratio

    monkeypatch.setitem(NEEDS, "torch", ("no_such_package",))
    ours, other, absent = Entry("trainer", ("run.compile=graph",)), Entry("fit"), Entry("torch")
    contest("mlp", [ours, other, absent], rounds=2, seconds=0.1)
    assert len(ours.rates) == len(other.rates) == 2
    assert ratio(ours, other) > 0
    assert (absent.absent, absent.rate) == ("no_such_package not installed", None)
    assert ratio(ours, absent) is None
    _, rows = table._rates([ours, other, absent])
    assert [row[0] for row in rows] == [
        "the trainer, `run.compile=graph`",
        "Keras `model.fit` on arrays",
        "torch, eager",
    ]
    assert rows[2][1] == "no_such_package not installed"


def test_a_peer_that_fails_is_told_of(table):
    from contest import Entry, contest

    wrong = Entry("trainer", ("run.seed=-1",))
    contest("mlp", [wrong], rounds=1, seconds=0.1)
    assert wrong.rate is None
    assert "run.seed = -1: must be greater than or equal to 0" in wrong.absent


def test_a_mark_is_met_or_not(table):
    met = [
        table.Mark("a", 1.31, at_least=1.3).cells(),
        table.Mark("b", 1.29, at_least=1.3).cells(),
        table.Mark("c", 0.099, at_most=0.1, form="{:.1%}").cells(),
        table.Mark("d", 0.101, at_most=0.1, form="{:.1%}").cells(),
        table.Mark("e", None, at_least=2).cells(),
    ]
    assert [cells[3] for cells in met] == ["yes", "**no**", "yes", "**no**", ""]
    assert met[2] == ["c", "9.9%", "under 10.0%", "yes"]
    assert met[4][1] == "not measured"


def test_the_table_is_written_anew_and_what_is_written_by_hand_stays(table, tmp_path, monkeypatch):
    def measured(scale):
        assert scale == table.QUICK
        return table.Part([table.Mark("speed", 2.0, 1.5)], "Rates", ["", "median"], [["we", "9"]])

    monkeypatch.setattr(table, "PARTS", {"mlp": measured})
    path = tmp_path / "BENCHMARKS.md"
    path.write_text(f"# Mine\n\n{table.BEGIN}\nold\n{table.END}\n\n## Tried\n\nIn vain.\n")
    for _ in range(2):
        table.main(["--quick", "--only", "mlp", "--output", str(path)])
        text = path.read_text()
        assert text.startswith(f"# Mine\n\n{table.BEGIN}\n\n20")
        assert text.endswith(f"\n\n{table.END}\n\n## Tried\n\nIn vain.\n")
        assert text.count("| speed | 2.00x | at least 1.50x | yes |") == 1
        assert "### Rates\n\n|  | median |\n| --- | ---: |\n| we | 9 |" in text
        assert "old" not in text


def test_the_memory_of_a_long_run_is_told_in_megabytes(table, monkeypatch):
    import memory

    sizes = iter([150.0, 190.0, 180.0])
    monkeypatch.setattr(memory, "resident", lambda: next(sizes))
    message = memory.found(lambda seconds: (1000, seconds), 100.0, 3000)
    assert message == {"updates": 3000, "beyond": 90.0, "growth": 30.0}


def test_what_is_measured_of_the_service_stands_between_lines_of_its_own(
    table, tmp_path, monkeypatch
):
    import service

    measured = {
        "lists": lambda scale: table.Part([table.Mark("list", 40.0, at_most=30)], "Lists", [], [])
    }
    monkeypatch.setattr(service, "PARTS", measured)
    path = tmp_path / "BENCHMARKS.md"
    path.write_text(f"# Mine\n\n{table.BEGIN}\nothers\n{table.END}\n")
    for _ in range(2):
        service.main(["--only", "lists", "--output", str(path)])
    text = path.read_text()
    assert text.startswith(f"# Mine\n\n{table.BEGIN}\nothers\n{table.END}\n\n{service.BEGIN}\n\n")
    assert text.endswith(f"\n\n{service.END}\n")
    assert text.count("| list | 40.00x | under 30.00x | **no** |") == 1


def test_a_server_that_a_python_lacks_is_said_to_be_missing(table):
    from service_peers import check_installed

    for python, why in ((sys.executable, "is not installed"), ("/no/python", "No such file")):
        with pytest.raises(LookupError, match=f"not measured: .*{why}"):
            check_installed(python, "no_such_package")


@pytest.mark.slow
def test_all_of_the_service_is_measured_in_tiny_sizes(tmp_path):
    path = tmp_path / "BENCHMARKS.md"
    asked = ["--quick", "--output", str(path), "--peers", str(tmp_path / "python")]
    command = [sys.executable, str(FILE.with_name("service.py")), *asked]
    subprocess.run(command, capture_output=True, text=True, check=True)
    lines = path.read_text().splitlines()
    marks = [line for line in lines if line.endswith(("| yes |", "| **no** |", "|  |"))]
    assert len(marks) >= 22
    assert any("not measured" in line for line in lines if line.startswith("| MLflow "))


@pytest.mark.slow
def test_streaming_is_measured_beside_memory_in_whatever_size_is_asked(tmp_path):
    asked = ["--gigabytes", "0.01", "--updates", "60", "--rounds", "1", "--model", "mlp"]
    command = [sys.executable, FILE.parent / "streaming.py", *asked, "--folder", tmp_path]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    title, header, rule, memory, disk = done.stdout.splitlines()
    assert title == "12,755 images, 0.0 GB"
    assert header.count("|") == rule.count("|") == memory.count("|") == disk.count("|") == 8
    assert memory.startswith("| mlp | memory | ")
    assert disk.startswith("| mlp | disk | ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_images_are_measured_in_whatever_number_is_asked(tmp_path):
    asked = ["--images", "130", "--files", "40", "--ways", "ours, fast", "ours, on the device"]
    command = [sys.executable, FILE.parent / "images.py", *asked, "--folder", tmp_path]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    ways, ratios, listing = done.stdout.split("\n\n")
    assert [line.split(" | ")[0] for line in ways.splitlines()[2:]] == [
        "| ours, fast",
        "| ours, on the device",
    ]
    assert "| later epochs beside the device | " in ratios
    assert listing.startswith("40 files listed and checked: ")
    assert list(tmp_path.iterdir()) == []


def test_tables_are_read_beside_pandas_in_whatever_size_is_asked():
    command = [
        sys.executable,
        FILE.parent / "tables.py",
        "--rows",
        "50",
        "--columns",
        "3",
        "--rounds",
        "1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split(" | ") for line in done.stdout.splitlines()[2:]]
    ours = [row for row in rows if row[1] == "ours"]
    assert [row[0] for row in ours] == ["| table.csv", "| table.csv.gz", "| table.parquet"]
    assert all(float(row[2]) >= 0 for row in ours)


@pytest.mark.slow
def test_a_task_of_the_docs_is_timed_beside_keras():
    words = [sys.executable, FILE.parent / "tasks.py", "--rounds", "1", "--only", "larger"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    *_, row = done.stdout.splitlines()
    name, ours, theirs, ratio, _ = (cell.strip() for cell in row.strip("| ").split("|"))
    assert name == "Make images larger"
    rates = [float(rate.replace(",", "")) for rate in (ours, theirs)]
    assert float(ratio) == pytest.approx(rates[0] / rates[1], rel=0.05, abs=0.06)
