"""The page in a browser: the list of runs, and one run while it is written."""

from __future__ import annotations

import json
import re
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import APIResponse, Browser, Locator, Page, Route, expect

from tests.helpers.browser import admitted, needs_browser, visit
from tests.helpers.served import WHOLE_CONFIG, Served, make_run, obeyed, rows, served, training
from trainer.runs.folder import Folder
from trainer.runs.mailbox import Letter

pytestmark = needs_browser

HOSTILE = "<img src=x onerror=document.title='stolen'>"
MANY = 1000
LONG = 20_000


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page") / "runs"
    applied = {"learning_rate": lambda step: step / 1000}
    first = make_run(root / "first", rows(100, **applied), "stopped", WHOLE_CONFIG % (1000, 1))
    (first / "output.log").write_text("loading\nstep 99  loss 0.01\n")
    events = [{"step": 40, "event": "command", "orders": ["learning_rate=0.25"], "id": "x",
               "rewinds": 0, "time": 1.0}]  # fmt: skip
    (first / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    checkpoint = first / "checkpoints/step-0000000050"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.npz").write_bytes(bytes(1000))
    make_run(root / "other", rows(50), "failed", WHOLE_CONFIG % (1000, 2))
    make_run(root / HOSTILE, rows(3), "done", WHOLE_CONFIG % (1000, 3))
    make_run(root / "long", rows(LONG), "done", WHOLE_CONFIG % (1000, 4))
    sweep = root / "sweep"
    sweep.mkdir()
    (sweep / "sweep.json").write_text(json.dumps({f"{n:04}": f"{n:04}" for n in range(MANY)}))
    for number in range(MANY):
        make_run(sweep / f"{number:04}", rows(2), "done", WHOLE_CONFIG % (1000, 10 + number))
    return root


@pytest.fixture
def page(opened: Page, service: Served) -> Page:
    visit(opened, service, "runs")
    return opened


def names(page: Page) -> list[str]:
    return page.locator("tbody th[scope=row]").all_inner_texts()


def first_name(page: Page) -> Locator:
    return page.locator("tbody th[scope=row]").first


def note(page: Page, chart: str) -> str:
    return (
        page.get_by_role("figure", name=chart, exact=True).locator("figcaption .note").inner_text()
    )


def readout(page: Page, chart: str) -> dict[str, str]:
    """The values below a chart by what they are of, and the step."""
    items = page.get_by_role("figure", name=chart, exact=True).locator(".readout li")
    found = {}
    for item in items.all():
        *label, value = item.inner_text().split("\n") if item.inner_text() else [""]
        found[" ".join(label).strip() or "step"] = value.strip()
    return found


def test_a_thousand_runs_scroll_with_the_rows_of_a_screen(page: Page) -> None:
    expect(page.get_by_text("1,004 runs")).to_be_visible()
    page.get_by_role("button", name="Run", exact=True).click()  # from above
    expect(page.get_by_role("link").filter(has_text="sweep/0999")).to_be_visible()
    assert page.locator("tbody tr").count() < 60
    page.locator(".rows").evaluate("frame => frame.scrollTop = frame.scrollHeight")
    expect(page.get_by_role("link", name="first", exact=True)).to_be_visible()
    assert page.locator("tbody tr").count() < 60


def test_the_list_is_filtered_by_words_and_sorted_by_what_is_measured(page: Page) -> None:
    page.get_by_role("searchbox", name="Filter by words").fill("first")
    expect(first_name(page)).to_have_text("first")
    expect(page.get_by_text("1 run", exact=True)).to_be_visible()
    page.get_by_role("searchbox").fill("")
    page.get_by_role("combobox", name="State").select_option("failed")
    expect(first_name(page)).to_have_text("other")
    expect(page.get_by_text("1 run", exact=True)).to_be_visible()
    page.get_by_role("combobox", name="State").select_option("")
    page.get_by_role("button", name="loss", exact=True).click()
    expect(first_name(page)).to_contain_text("sweep/")  # 1 / 2, after two
    page.get_by_role("button", name="loss", exact=True).click()
    expect(first_name(page)).to_have_text("long")  # 1 / 20,000
    page.reload()
    expect(first_name(page)).to_have_text("long")


def test_runs_stand_below_their_sweep(page: Page) -> None:
    page.get_by_role("checkbox", name="by sweep").check()
    heading = page.get_by_role("button", name="sweep", exact=True)
    expect(heading).to_be_visible()
    heading.click()
    expect(page.get_by_role("link", name="other")).to_be_visible()
    assert not [name for name in names(page) if name.startswith("sweep/")]


def test_names_are_never_markup(page: Page, service: Served) -> None:
    page.get_by_role("searchbox").fill("onerror")
    link = page.get_by_role("link", name=HOSTILE)
    expect(link).to_be_visible()
    link.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    assert page.locator("img").count() == 0
    assert page.title().startswith(HOSTILE)


def test_a_run_shows_what_was_applied_over_what_was_planned(page: Page, service: Served) -> None:
    visit(page, service, f"run/{service.ids()['first']}")
    expect(page.get_by_role("figure", name="learning_rate").get_by_text("planned")).to_be_visible()
    plot = page.get_by_role("figure", name="learning_rate").locator(".plot")
    plot.focus()
    plot.press("ArrowRight")
    expect(page.get_by_role("figure", name="learning_rate").get_by_text("step")).to_be_visible()
    shown = readout(page, "learning_rate")
    step = int(shown["step"].removeprefix("step "))
    # the pointer is behind the last row, of step 99, which has what the run wrote then
    assert float(shown["applied"]) == 0.099
    assert 0.2 < float(shown["planned"]) < 0.3, step  # half of a cosine from 0.5
    expect(page.get_by_role("figure", name="loss").get_by_text("step")).to_be_visible()


def test_a_run_shows_its_events_log_config_files_and_checkpoints(
    page: Page, service: Served
) -> None:
    visit(page, service, f"run/{service.ids()['first']}")
    expect(page.get_by_role("region", name="Events")).to_contain_text("learning_rate=0.25")
    expect(page.get_by_role("region", name="Log")).to_contain_text("step 99  loss 0.01")
    expect(page.get_by_role("region", name="Checkpoints")).to_contain_text("step 50")
    config = page.get_by_role("region", name="Config")
    expect(config).to_contain_text("schedule.initial_value")
    config.get_by_label("Compare with").fill("other")
    expect(config.locator("tbody tr")).to_have_count(1)
    expect(config.locator("tbody tr")).to_have_text("run.seed12")
    with page.expect_download() as download:
        page.get_by_role("link", name="output.log").click()
    assert Path(download.value.path()).read_text() == "loading\nstep 99  loss 0.01\n"


def test_a_long_run_tells_how_many_rows_are_drawn_and_shows_single_ones_closely(
    page: Page, service: Served
) -> None:
    visit(page, service, f"run/{service.ids()['long']}")
    chart = page.get_by_role("figure", name="loss", exact=True)
    expect(chart).to_contain_text(f"of {LONG:,} rows")
    drawn = int(note(page, "loss").split(" of ")[0].replace(",", ""))
    assert 500 < drawn <= 2001
    area = chart.locator(".u-over").bounding_box()
    assert area
    middle = area["y"] + area["height"] / 2
    page.mouse.move(area["x"] + 100, middle)
    page.mouse.down()
    page.mouse.move(area["x"] + 108, middle, steps=4)
    page.mouse.up()
    expect(chart).not_to_contain_text(f"of {LONG:,} rows")
    shown, there = (
        note(page, "loss").removesuffix("log").strip().removesuffix(" rows").split(" of ")
    )
    assert shown == there
    with page.expect_request(re.compile("rows.*smooth=0.99")):
        page.get_by_role("slider", name="Smoothing").fill("0.5")
    expect(page).to_have_url(re.compile("smooth=0.5"))
    address = page.url
    page.reload()
    expect(chart).to_contain_text(f"{there} of {there} rows")
    assert page.url == address
    page.get_by_role("button", name="All steps").click()
    expect(chart).to_contain_text(f"of {LONG:,} rows")


def test_a_run_grows_as_it_is_written_and_shrinks_where_it_is_cut_back(
    browser: Browser, tmp_path: Path
) -> None:
    path = make_run(tmp_path / "runs/live", rows(10), None, WHOLE_CONFIG % (1000, 5))
    with (
        served(path.parent, tmp_path / "state") as service,
        admitted(browser, service) as page,
    ):
        visit(page, service, f"run/{service.ids()['live']}")
        watch(page, path)


def watch(page: Page, path: Path) -> None:
    chart = page.get_by_role("figure", name="loss", exact=True)
    expect(chart).to_contain_text("10 of 10 rows")
    file = path / "metrics.jsonl"
    with Folder(path).locked():
        expect(page.locator(".facts .state")).to_have_text("running")
        with file.open("a") as lines:
            lines.write(rows(30, first=10))
        expect(chart).to_contain_text("40 of 40 rows")
        assert readout(page, "loss")["loss"] == "0.025"  # 1 / 40
        file.write_text(rows(5) + rows(3, first=5, loss=lambda step: 7.0))
        expect(chart).to_contain_text("8 of 8 rows")
        assert readout(page, "loss")["loss"] == "7"
    expect(page.locator(".facts .state")).to_have_text("unfinished")


def test_a_server_that_was_away_is_missed_and_found_again(browser: Browser, tmp_path: Path) -> None:
    path = make_run(tmp_path / "runs/live", rows(10), None, WHOLE_CONFIG % (1000, 5))
    with ExitStack() as first:
        service = first.enter_context(served(path.parent, tmp_path / "state"))
        with admitted(browser, service) as page:

            def delay(route: Route) -> None:  # so that the stream begins before rows are there
                answer = route.fetch()
                time.sleep(0.5)
                route.fulfill(response=answer)

            page.route("**/rows?*", delay, times=1)
            visit(page, service, f"run/{service.ids()['live']}")
            chart = page.get_by_role("figure", name="loss", exact=True)
            expect(chart).to_contain_text("10 of 10 rows")
            expect(page.get_by_role("figure", name="learning_rate")).to_be_visible()  # planned
            first.close()
            message = page.get_by_text("The server does not answer")
            expect(message).to_be_visible()
            with (path / "metrics.jsonl").open("a") as lines:
                lines.write(rows(30, first=10))
            with served(path.parent, tmp_path / "state", port=service.port):
                expect(chart).to_contain_text("40 of 40 rows")
                expect(message).to_have_count(0)


def test_a_run_is_steered_and_tells_when_each_order_took_effect(
    browser: Browser, tmp_path: Path
) -> None:
    applied = {"learning_rate": lambda step: 0.5}
    path = make_run(tmp_path / "runs/live", rows(10, **applied), None, WHOLE_CONFIG % (1000, 5))
    with (
        served(path.parent, tmp_path / "state") as service,
        training(path, only_known) as taken,
        admitted(browser, service) as page,
    ):
        visit(page, service, f"run/{service.ids()['live']}")
        steer = page.get_by_role("region", name="Steer")
        steer.get_by_label("Hold at", exact=True).fill("0.25")
        steer.get_by_role("button", name="Hold", exact=True).click()
        orders = steer.get_by_role("status", name="Orders")
        expect(orders).to_contain_text("learning_rate=0.25 before step 7: did learning_rate=0.25")
        steer.get_by_label("Hold at, by powers of ten").fill("-1")
        expect(steer.get_by_label("Hold at", exact=True)).to_have_value("0.05")
        steer.get_by_role("button", name="Give back").click()
        expect(orders).to_contain_text("did release=learning_rate")
        steer.get_by_role("button", name="Evaluate").click()
        expect(orders).to_contain_text("evaluate the disk is full")
        steer.get_by_role("button", name="Stop …").click()
        assert [list(letter.orders) for letter in taken][-1] == ["evaluate"]
        steer.get_by_role("button", name="Save and stop now").click()
        expect(orders).to_contain_text("did stop")
    assert [list(letter.orders) for letter in taken] == [
        ["learning_rate=0.25"], ["release=learning_rate"], ["evaluate"], ["stop"]
    ]  # fmt: skip


def test_news_of_a_run_outlive_an_answer_that_they_overtook(
    browser: Browser, tmp_path: Path
) -> None:
    lines = rows(10, learning_rate=lambda _: 0.5)
    path = make_run(tmp_path / "runs/live", lines, None, WHOLE_CONFIG % (1000, 5))
    with (
        served(path.parent, tmp_path / "state") as service,
        admitted(browser, service) as page,
        ExitStack() as begun,
    ):
        run = service.ids()["live"]
        answers: list[APIResponse] = []

        def hold(route: Route) -> None:
            answers.append(route.fetch())
            if len(answers) == 2:  # what the stream's beginning asks for
                begun.enter_context(training(path))
                while service.get(f"/runs/{run}")["status"] != "running":
                    time.sleep(0.02)
                time.sleep(0.3)  # for the news to be in the page
            route.fulfill(response=answers[-1])

        page.route(f"**/api/v1/runs/{run}", hold)
        visit(page, service, f"run/{run}")
        steer = page.get_by_role("region", name="Steer")
        expect(steer.get_by_label("Hold at", exact=True)).to_be_visible()
        assert answers[1].json()["status"] == "unfinished"


def only_known(letter: Letter) -> dict[str, Any]:
    return {"refused": "the disk is full"} if "evaluate" in letter.orders else obeyed(letter)


def test_runs_are_reached_by_the_keyboard_alone(page: Page) -> None:
    expect(page.get_by_text("1,004 runs")).to_be_visible()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("!!document.activeElement.closest('tbody')"):
            break
    before = page.evaluate("document.activeElement.textContent")
    for _ in range(40):  # further than what is drawn at first
        page.keyboard.press("ArrowDown")
    after = page.evaluate("document.activeElement.textContent")
    assert after not in ("", before)
    assert page.evaluate("!!document.activeElement.closest('tbody')")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(after)


def test_labels_of_marks_that_stand_close_never_lie_over_each_other(page: Page) -> None:
    texts = [{"x": x, "size": 100} for x in (300, 10, 20, 390, 12, 380, 15, 16, 150)]
    found = page.evaluate(
        """async (texts) => {
          const { places } = await import("./chart_marks.js");
          return places(texts, 0, 400, 4);
        }""",
        texts,
    )
    lines: dict[int, list[tuple[int, int]]] = {}
    for text, place in zip(texts, found, strict=True):
        if place:
            assert 4 in (place["left"] - text["x"], text["x"] - place["left"] - text["size"])
            lines.setdefault(place["row"], []).append((place["left"], place["left"] + text["size"]))
    assert [text["x"] for text, place in zip(texts, found, strict=True) if not place] == [20]
    for line in map(sorted, lines.values()):
        assert all(end <= begin for (_, end), (begin, _) in pairwise(line))
        assert 0 <= line[0][0] <= line[-1][1] <= 400
