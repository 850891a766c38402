"""Runs beside each other: their settings, their curves in bounded size, and a report."""

from __future__ import annotations

from math import inf
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.searched import make_search
from tests.helpers.served import Served, make_run, rows, served

CONFIG = """\
run: {length: 1000, seed: %d}
schedule: {kind: cosine, initial_value: %g}
data: {batch_size: 4}
"""


def close_to(target: float) -> str:
    return rows(40, loss=lambda step: target + 1 / (step + 1))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compare") / "runs"
    pairs = [([0.1, 0.2, 0.3][number % 3], number // 3) for number in range(12)]
    runs = [(close_to(rate + seed / 100), CONFIG % (seed, rate)) for rate, seed in pairs]
    make_search(root / "search", runs, 0.3, lambda _, drawn: drawn["schedule.initial_value"] ** 2)
    make_run(root / "failed", close_to(0.05), "failed", CONFIG % (1, 0.1))
    make_run(root / "short", rows(10), "done", CONFIG % (9, 0.1))
    wild = rows(20, loss=lambda step: inf if step == 5 else float(step))
    make_run(root / "wild", wild, "done", CONFIG % (9, 0.4))
    return root


def test_runs_that_differ_in_their_seed_are_one_setting_with_its_spread(service: Served) -> None:
    found = service.get("/compare", sweep="search")
    assert found["columns"] == ["schedule.initial_value"]
    assert found["total"] == len(found["runs"]) == 12
    assert [setting["values"] for setting in found["settings"]] == [[0.1], [0.2], [0.3]]
    best = found["settings"][0]
    last = np.array([0.1 + seed / 100 + 1 / 40 for seed in range(4)])
    assert best["measured"]["loss"] == {
        "runs": 4,
        "mean": pytest.approx(last.mean()),
        "deviation": pytest.approx(np.std(last, ddof=1)),
        "lowest": pytest.approx(last.min()),
        "highest": pytest.approx(last.max()),
    }
    places = {run["id"]: run["setting"] for run in found["runs"]}
    assert {places[run] for run in best["runs"]} == {0}


def test_numbers_of_runs_that_failed_count_for_no_mean(service: Served) -> None:
    ids = service.ids()
    found = service.get("/compare", runs=f"{ids['failed']},{ids['wild']},{ids['search/0']}")
    of_both = found["settings"][0]
    assert sorted(of_both["runs"]) == sorted([ids["failed"], ids["search/0"]])
    assert of_both["measured"]["loss"]["runs"] == 1
    assert of_both["measured"]["loss"]["mean"] == pytest.approx(0.1 + 1 / 40)


def test_curves_of_seeds_are_apart_or_their_mean_within_their_range(service: Served) -> None:
    apart = service.get("/compare/rows", sweep="search", name="loss")["lines"]
    assert [len(line["runs"]) for line in apart] == [1] * 12
    mean = service.get("/compare/rows", sweep="search", name="loss", seeds="mean")["lines"]
    assert [len(line["runs"]) for line in mean] == [4, 4, 4]
    by_run = {line["runs"][0]: line for line in apart}
    for line in mean:
        own = np.array([by_run[run]["values"] for run in line["runs"]])
        np.testing.assert_allclose(line["values"], own.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(line["low"], own.min(axis=0), rtol=1e-5)
        np.testing.assert_allclose(line["high"], own.max(axis=0), rtol=1e-5)


def test_a_run_counts_for_a_mean_as_far_as_it_goes(service: Served) -> None:
    ids = service.ids()
    both = f"{ids['search/0']},{ids['short']}"
    [line] = service.get("/compare/rows", runs=both, name="loss", seeds="mean")["lines"]
    long = [0.1 + 1 / (step + 1) for step in range(40)]
    short = [1 / (step + 1) for step in range(10)]
    expected = [(a + b) / 2 for a, b in zip(long[:10], short, strict=True)] + long[10:]
    np.testing.assert_allclose(line["values"], expected, rtol=1e-5)


def test_curves_are_smoothed_over_all_rows_however_few_are_drawn(service: Served) -> None:
    run = service.ids()["search/0"]
    asked = {"runs": run, "name": "loss", "smooth": 0.9}
    [fine] = service.get("/compare/rows", **asked)["lines"]
    [coarse] = service.get("/compare/rows", **asked, points=8)["lines"]
    assert len(coarse["steps"]) < len(fine["steps"]) == 40
    known = dict(zip(fine["steps"], fine["values"], strict=True))
    assert [known[step] for step in coarse["steps"]] == coarse["values"]
    raw = service.get(f"/runs/{run}/rows", names="loss", smooth=0.9)["series"]["loss"]["smooth"]
    np.testing.assert_allclose(fine["values"], raw, rtol=1e-5)


def test_what_is_not_finite_is_a_gap_in_a_curve(service: Served) -> None:
    run = service.ids()["wild"]
    [line] = service.get("/compare/rows", runs=run, name="loss")["lines"]
    assert line["values"][5] is None
    assert line["values"][6] == 6


def test_the_importance_of_values_is_that_of_the_search(service: Served) -> None:
    found = service.get("/compare/importance", sweep="search")
    assert found["trials"] == 12
    shares = dict(found["importance"])
    assert shares["schedule.initial_value"] > shares["optimizer.momentum"]
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)


def test_there_is_no_importance_where_there_is_no_search(service: Served) -> None:
    ids = service.ids()
    found = service.get("/compare/importance", runs=f"{ids['wild']},{ids['search/0']}")
    assert found["importance"] == []
    assert "trials of one search" in found["why"]


def test_a_report_is_a_file_to_save_about_these_runs_alone(service: Served) -> None:
    ids = service.ids()
    both = f"{ids['search/0']},{ids['search/1']}"
    answer = service.client.get("/compare/report", params={"runs": both})
    assert answer.headers["content-disposition"] == 'attachment; filename="report.html"'
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "search/1" in answer.text
    assert "search/2" not in answer.text
    table = service.client.get("/compare/report", params={"runs": both, "format": "csv"}).text
    assert [line.split(",")[0] for line in table.splitlines()] == ["run", "search/0", "search/1"]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({}, 422),
        ({"runs": "0" * 16, "sweep": "search"}, 422),
        ({"runs": ",".join(f"{n:016x}" for n in range(101))}, 422),
        ({"runs": "../../etc/passwd"}, 422),
        ({"sweep": "no such"}, 404),
    ],
)
def test_too_many_runs_and_none_are_refused(
    asked: dict[str, str], status: int, service: Served
) -> None:
    for path in ("/compare", "/compare/importance", "/compare/report"):
        assert service.client.get(path, params=asked).status_code == status


def test_an_id_that_no_run_has_any_more_is_told_beside_the_others(service: Served) -> None:
    run = service.ids()["wild"]
    found = service.get("/compare", runs=f"{run},{'0' * 16}")
    assert [one["id"] for one in found["runs"]] == [run]
    assert found["gone"] == ["0" * 16]


def test_a_hundred_runs_of_many_rows_stay_below_a_megabyte(tmp_path: Path) -> None:
    lines = rows(400, loss=lambda step: 1 / (step + 3.14159265358979))
    for number in range(100):
        make_run(tmp_path / f"runs/{number:03}", lines, "done", CONFIG % (number, 0.1))
    with served(tmp_path / "runs", tmp_path / "state") as service:
        ids = ",".join(service.ids().values())
        answer = service.client.get("/compare/rows", params={"runs": ids, "name": "loss"})
        assert len(answer.json()["lines"]) == 100
        assert len(answer.content) < 1_000_000
        assert sum(len(line["steps"]) for line in answer.json()["lines"]) <= 40_200


def test_what_was_written_at_the_end_of_a_sweep_is_named_and_saved(
    service: Served, root: Path, tmp_path: Path
) -> None:
    ids = service.ids()
    assert service.get("/compare", sweep="search")["written"] == []
    (root / "search/report.html").write_text("<script>anything</script>")
    (tmp_path / "secret").write_text("secret")
    (root / "search/sweep.csv").symlink_to(tmp_path / "secret")
    (root / "report.html").write_text("of no sweep")
    assert service.get("/compare", sweep="search")["written"] == ["report.html"]
    assert service.get("/compare", runs=ids["failed"])["written"] == []
    saved = service.client.get("/compare/written/report.html", params={"sweep": "search"})
    assert saved.text == "<script>anything</script>"
    assert saved.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in saved.headers["content-security-policy"]
    for name, sweep in (("sweep.csv", "search"), ("report.html", "none"), ("report.html", "")):
        answer = service.client.get(f"/compare/written/{name}", params={"sweep": sweep})
        assert answer.status_code in (404, 422)
