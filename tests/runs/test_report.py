"""What many run folders are told as: the table, the page, and the page in a browser."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import time
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from trainer.report import main
from trainer.runs.report import report_html, sweep_csv, write_report
from trainer.runs.results import find_runs, group_by_setting, varied_paths

RATES = {"cosine": 0.1, "exponential": 0.2}


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two settings, each with two seeds, one failed run, and one that has not begun."""
    number = 0
    for kind, rate in RATES.items():
        for seed in (1, 2):
            run(tmp_path / str(number), kind, rate, seed, accuracy=round(rate + seed / 100, 2))
            number += 1
    failed = tmp_path / "4"
    run(failed, "exponential", 5.0, 1, accuracy=0.5)
    reason = "the loss became nan at update 3 & <b>more</b>"
    (failed / "result.json").write_text(json.dumps({"status": "failed", "reason": reason}))
    run(tmp_path / "5", "exponential", 5.0, 2, rows=0)
    (tmp_path / "5" / "result.json").unlink()
    return tmp_path


def run(
    path: Path, kind: str, rate: float, seed: int, rows: int = 30, accuracy: float = 0.0
) -> None:
    path.mkdir()
    extra = "decay_rate: 0.5" if kind == "exponential" else "alpha: 0.0"
    (path / "config.yaml").write_text(
        f"schedule:\n  kind: {kind}\n  initial_value: {rate}\n  {extra}\n"
        f"run:\n  seed: {seed}\n  length: {rows}\n"
    )
    lines = [
        {"step": t, "epoch": t / 10, "loss": 2 / (t + seed), "learning_rate": rate * (1 - t / rows),
         "updates_per_second": 9.0}
        for t in range(rows)
    ]  # fmt: skip
    evaluated = [{"step": rows, "epoch": 1.0, "eval_accuracy": accuracy}] if rows else []
    text = "".join(json.dumps(row) + "\n" for row in [*lines, *evaluated])
    (path / "metrics.jsonl").write_text(text)
    ended = {"status": "done", "steps": rows, "seconds": 1.5, "weights_digest": "abc"}
    (path / "result.json").write_text(json.dumps(ended))


def test_only_what_varies_within_a_kind_makes_a_column(sweep: Path) -> None:
    runs = find_runs([sweep])
    assert set(varied_paths(runs)) == {
        "schedule.kind", "schedule.initial_value", "run.seed", "run.length",
    }  # fmt: skip
    assert [run.path.name for run in runs] == list("012345")


def test_seeds_of_one_setting_are_told_together(sweep: Path) -> None:
    shutil.rmtree(sweep / "5")
    one, two, _ = group_by_setting(find_runs([sweep]))
    assert [run.seed for run in one.runs] == [1, 2]
    assert one.varied == {"schedule": "cosine", "schedule.initial_value": 0.1}
    assert two.measured("eval_accuracy").tolist() == [0.21, 0.22]


def test_the_table_tells_how_every_run_ended(sweep: Path) -> None:
    rows = list(csv.DictReader(sweep_csv(find_runs([sweep]), sweep).splitlines()))
    states = ["done", "done", "done", "done", "failed", "waiting"]
    assert [row["status"] for row in rows] == states
    assert rows[3]["eval_accuracy"] == "0.22"
    assert float(rows[0]["loss"]) == pytest.approx(2 / 30)
    assert rows[4]["reason"] == "the loss became nan at update 3 & <b>more</b>"


def test_a_row_that_is_being_written_is_left_for_later(sweep: Path) -> None:
    with (sweep / "0" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 31, "eval_accuracy": 0.')
    assert find_runs([sweep])[0].measured["eval_accuracy"] == pytest.approx(0.11)


def test_nothing_is_fetched_from_elsewhere_and_every_link_leads_to_a_run(sweep: Path) -> None:
    text = report_html(find_runs([sweep]), sweep)

    class Links(HTMLParser):
        seen: list[tuple[str, str | None]] = []  # noqa: RUF012

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.seen += [(tag, value) for name, value in attrs if name in ("src", "href")]

    Links().feed(text)
    assert {tag for tag, _ in Links.seen} == {"a"}
    assert all((sweep / str(link)).is_dir() for _, link in Links.seen)
    assert "default-src 'none'" in text
    assert "&lt;b&gt;more" in text
    assert "<b>" not in text


def test_a_hundred_runs_take_less_than_a_second(tmp_path: Path) -> None:
    for number in range(100):
        run(tmp_path / str(number), "cosine", 0.1 + number // 5, number % 5 + 1, rows=600)
    began = time.process_time()
    write_report(find_runs([tmp_path]), tmp_path)
    assert time.process_time() - began < 1.0


def test_a_loss_that_diverged_leaves_its_chart_an_axis_that_can_be_read(sweep: Path) -> None:
    rows = [{"step": t, "epoch": 0.0, "loss": 10.0 ** (8 * t)} for t in range(5)]
    (sweep / "4" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = report_html(find_runs([sweep]), sweep)
    (loss,) = re.findall(r'<svg[^>]*data-name="loss".*?</svg>', text)
    assert 3 <= loss.count('class="grid"') <= 8


def test_a_number_that_takes_many_values_is_drawn_with_a_point_for_each_run(
    tmp_path: Path,
) -> None:
    for number in range(6):
        run(tmp_path / str(number), "cosine", 10.0 ** (-number / 2), 1, rows=30)
    (tmp_path / "3" / "result.json").write_text('{"status": "pruned", "steps": 30}')
    text = report_html(find_runs([tmp_path]), tmp_path)
    (chart,) = re.findall(r'<svg[^>]*data-name="loss over [^"]*".*?</svg>', text)
    assert 'data-name="loss over schedule.initial_value"' in chart
    places = [float(x) for x in re.findall(r'<circle class="fill0" cx="([\d.]+)"', chart)]
    steps = {round(a - b, 1) for a, b in pairwise(places)}
    assert len(places) == 5, "the pruned one is hollow"
    assert steps == {min(steps), 2 * min(steps)}, "equal ratios lie equally far apart"
    assert "3: schedule.initial_value 0.0316228, loss 0.06667, pruned" in chart
    assert "<h2>Values</h2>" not in report_html(find_runs([tmp_path])[:4], tmp_path)


def test_the_door_writes_where_it_is_told_and_refuses_folders_without_runs(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(sweep / "0"), str(sweep / "2"), "--output", str(tmp_path / "here")])
    assert (tmp_path / "here" / "report.html").exists()
    assert capsys.readouterr().out == f"{tmp_path / 'here' / 'report.html'}\n"
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path / "empty")])


@pytest.mark.skipif(not shutil.which("chromium"), reason="bash scripts/browser installs it")
def test_a_browser_shows_the_numbers_and_sorts_by_them(sweep: Path, tmp_path: Path) -> None:
    report = write_report(find_runs([sweep]), sweep)
    # Sorts by the last measured value, as a click would, then tells what it shows in the title.
    script = """<script>
    const table = document.getElementById("runs")
    const heads = [...table.tHead.rows[0].cells].map(head => head.textContent)
    const column = heads.indexOf("eval_accuracy")
    for (const click of [1, 2]) table.tHead.rows[0].cells[column].querySelector("button").click()
    document.title = [...table.tBodies[0].rows].map(row => row.cells[column].textContent).join(" ")
    </script>"""
    (sweep / "asked.html").write_text(report.read_text() + script)
    picture = tmp_path / "report.png"
    common = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu",
        "--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}",
    ]  # fmt: skip
    asked = [*common, "--dump-dom", (sweep / "asked.html").as_uri()]
    shown = subprocess.run(asked, capture_output=True, text=True, timeout=120).stdout
    title = re.search("<title>(.*?)</title>", shown)
    assert title
    assert title[1] == "0.5 0.22 0.21 0.12 0.11 –"
    shot = [*common, f"--screenshot={picture}", "--window-size=1240,1400", report.as_uri()]
    subprocess.run(shot, capture_output=True, timeout=120, check=True)
    assert picture.stat().st_size > 20_000


FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", " =1", "＝1"]


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_cell_is_computed_by_a_spreadsheet(formula: str, sweep: Path) -> None:
    ended = {"status": "failed", "reason": formula}
    (sweep / "0" / "result.json").write_text(json.dumps(ended))
    config = (sweep / "1" / "config.yaml").read_text()
    (sweep / "1" / "config.yaml").write_text(config + f"{json.dumps(formula)}: {{name: a}}\n")
    renamed = (sweep / "1").rename(sweep / f"{formula}1")
    text = sweep_csv(find_runs([sweep]), sweep)
    [head, *rows] = csv.reader(text.splitlines(keepends=True))
    cells = [cell for row in rows for cell in row]
    text = formula.replace("\r", "\n")
    assert f"'{text}" in cells
    assert f"'{renamed.name}".replace("\r", "\n") in cells
    assert f"'{text}.name" in head
    assert not {cell for cell in (*cells, *head) if cell.strip()[:1] in set("=+@＝")}


def test_numbers_stay_numbers(sweep: Path) -> None:
    config = (sweep / "1" / "config.yaml").read_text()
    (sweep / "1" / "config.yaml").write_text(config.replace("alpha: 0.0", "alpha: -0.5"))
    rows = list(csv.DictReader(sweep_csv(find_runs([sweep]), sweep).splitlines()))
    assert rows[1]["schedule.alpha"] == "-0.5"


def test_what_a_dead_process_has_begun_to_write_is_swept_up(sweep: Path) -> None:
    (sweep / ".report.html.999999999").write_text("half")
    (sweep / f".sweep.csv.{os.getppid()}").write_text("of a process that lives")
    (sweep / ".notes.123456789").write_text("nobody's draft")
    write_report(find_runs([sweep]), sweep)
    left = {path.name for path in sweep.iterdir() if path.name.startswith(".")}
    assert left == {f".sweep.csv.{os.getppid()}", ".notes.123456789"}
