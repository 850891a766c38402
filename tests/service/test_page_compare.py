"""The page in a browser: runs chosen in the list and put beside each other, one stream for all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.helpers.browser import admitted, needs_browser, visit
from tests.helpers.searched import make_search
from tests.helpers.served import Served, make_run, rows, served

pytestmark = needs_browser

CONFIG = """\
run: {length: 1000, seed: %d}
schedule: {kind: %s, initial_value: %g}
data: {batch_size: 4}
"""
RATES = (0.1, 0.2, 0.4)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compare") / "runs"
    runs = []
    for number in range(12):
        rate, seed = RATES[number % 3], number // 3
        config = CONFIG % (seed, "cosine" if rate < 0.4 else "linear", rate)
        runs.append((rows(40, loss=lambda step, rate=rate: rate + 1 / (step + 1)), config))
    make_search(root / "search", runs, 0.4, lambda number, _: RATES[number % 3])
    make_run(root / "live", rows(10), None, CONFIG % (8, "cosine", 0.3))
    make_run(root / "alone", rows(30), "done", CONFIG % (7, "cosine", 0.3))
    return root


@pytest.fixture
def page(opened: Page, service: Served) -> Page:
    visit(opened, service, "compare?sweep=search")
    expect(heading(opened)).to_have_text("search")
    return opened


def heading(page: Page) -> Locator:
    return page.get_by_role("heading", level=1)


def settings(page: Page) -> Locator:
    return page.get_by_role("region", name="Settings").locator("tbody")


def test_runs_are_chosen_in_the_list_and_compared(page: Page, service: Served) -> None:
    visit(page, service, "runs")
    page.get_by_role("checkbox", name="Choose alone").check()
    page.get_by_role("checkbox", name="Choose search/0").check()
    expect(page.get_by_role("link", name="Compare 2 chosen")).to_be_visible()
    expect(page).to_have_url(re.compile("chosen=[0-9a-f]{16}%2C"))
    page.reload()
    expect(page.get_by_role("checkbox", name="Choose alone")).to_be_checked()
    page.get_by_role("link", name="Compare 2 chosen").click()
    expect(settings(page)).to_have_count(2)
    expect(page.get_by_text("2 of 2 runs")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("checkbox", name="Choose alone")).to_be_checked()


def test_a_whole_sweep_and_what_was_filtered_are_compared(page: Page, service: Served) -> None:
    visit(page, service, "runs?grouped=true")
    page.get_by_role("row", name="search 12 done").get_by_role("link", name="Compare").click()
    expect(page.get_by_text("12 of 12 runs")).to_be_visible()
    visit(page, service, "runs?q=linear")
    expect(page.get_by_text("4 runs")).to_be_visible()
    page.get_by_role("link", name="Compare these").click()
    expect(page.get_by_text("4 of 4 runs")).to_be_visible()


def test_seeds_of_a_setting_stand_together_with_mean_and_spread(page: Page) -> None:
    expect(settings(page)).to_have_count(3)
    expect(settings(page).first).to_contain_text("4 seeds")
    expect(settings(page).first).to_contain_text("0.125 ± 0")  # 0.1 + 1/40, with every seed
    chart = page.get_by_role("figure", name="loss", exact=True)
    expect(chart.locator(".readout li")).to_have_count(13)  # each run, and the step
    page.get_by_role("checkbox", name="mean of seeds").check()
    expect(chart.locator(".readout li")).to_have_count(4)
    expect(chart).to_contain_text("cosine, initial_value 0.1 (4 runs)")
    page.get_by_role("button", name="initial_value").click()
    page.get_by_role("button", name="initial_value").click()
    expect(settings(page).first).to_contain_text("0.4")


def test_what_is_smoothed_is_smoothed_by_the_server(page: Page) -> None:
    with page.expect_request(re.compile("compare/rows.*smooth=0.99")):
        page.get_by_role("slider", name="Smoothing").fill("0.5")
    expect(page.get_by_text("half forgotten after 69 rows")).to_be_visible()


def test_an_axis_keeps_the_runs_within_its_brush_by_keys_and_by_pointer(page: Page) -> None:
    axis = page.get_by_role("slider", name="Keep runs by schedule.initial_value")
    axis.focus()
    for _ in range(5):
        axis.press("ArrowDown")
    expect(page.get_by_text("8 of 12 runs")).to_be_visible()
    assert axis.get_attribute("aria-valuetext") == "0.1 to 0.28"
    expect(page).to_have_url(re.compile(r"only=.*%7E0%7E0\.6$"))
    address = page.url
    page.reload()
    expect(page.get_by_text("8 of 12 runs")).to_be_visible()
    expect(settings(page)).to_have_count(2)
    assert page.url == address
    axis.press("Escape")
    expect(page.get_by_text("12 of 12 runs")).to_be_visible()
    axis.scroll_into_view_if_needed()
    area = axis.bounding_box()
    assert area
    middle = area["x"] + area["width"] / 2
    page.mouse.move(middle, area["y"] + 2)
    page.mouse.down()
    page.mouse.move(middle, area["y"] + area["height"] * 0.2, steps=3)
    page.mouse.up()
    expect(page.get_by_text("4 of 12 runs")).to_be_visible()


@pytest.mark.slow
def test_what_mattered_in_a_search_and_a_report_are_there(page: Page) -> None:
    mattered = page.get_by_role("region", name="Importance")
    expect(mattered).to_contain_text("12 trials")
    expect(mattered.locator("tr")).to_have_count(2)
    with page.expect_download() as download:
        page.get_by_role("link", name="Save as HTML").click()
    assert "search/11" in Path(download.value.path()).read_text()


def test_compare_shows_runs_as_they_are_written(page: Page, service: Served, root: Path) -> None:
    ids = service.ids()
    visit(page, service, f"compare?runs={ids['alone']},{ids['live']}")
    chart = page.get_by_role("figure", name="loss", exact=True)
    expect(chart).to_contain_text("40 points for 40 rows")
    grow(root / "live", rows(10, first=10))
    expect(chart).to_contain_text("50 points for 50 rows")
    (root / "search/report.html").write_text("all of it")
    visit(page, service, "compare?sweep=search")
    expect(chart).to_contain_text("480 points for 480 rows")
    report = page.get_by_role("link", name="report.html")
    expect(report).to_have_attribute("href", "api/v1/compare/written/report.html?sweep=search")
    grow(root / "search/11", rows(10, first=40, loss=lambda step: 0.4 + 1 / (step + 1)))
    expect(chart).to_contain_text("490 points for 490 rows")


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1600])
def test_compare_fits_its_screen(width: int, browser: Browser, service: Served) -> None:
    size = {"width": width, "height": 900}
    with admitted(browser, service, viewport=size, color_scheme="dark") as page:
        visit(page, service, "compare?sweep=search")
        expect(settings(page)).to_have_count(3)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 7])
def test_tabs_share_one_stream_and_all_follow(count: int, browser: Browser, tmp_path: Path) -> None:
    """A browser has six connections to a server: a seventh stream would never be answered."""
    path = make_run(tmp_path / "runs/live", rows(10), None, CONFIG % (1, "cosine", 0.1))
    other = make_run(tmp_path / "runs/other", rows(10), None, CONFIG % (2, "cosine", 0.1))
    with served(path.parent, tmp_path / "state") as service, admitted(browser, service) as first:
        ids = service.ids()
        tabs = [first, *(first.context.new_page() for _ in range(count - 1))]
        for tab in tabs[:-1]:
            visit(tab, service, f"run/{ids['live']}")
        visit(tabs[-1], service, f"run/{ids['other']}")
        for tab in tabs:
            expect(chart_of(tab)).to_contain_text("10 of 10 rows")
        service.wait(lambda: service.service.hub.listening == 1)
        grow(other, rows(5, first=10))
        grow(path, rows(30, first=10))
        for tab in tabs[:-1]:
            expect(chart_of(tab)).to_contain_text("40 of 40 rows")
        expect(chart_of(tabs[-1])).to_contain_text("15 of 15 rows")
        tabs[0].close()  # it led: another one does now, and nothing is missed or told twice
        grow(path, rows(10, first=40))
        for tab in tabs[1:-1]:
            expect(chart_of(tab)).to_contain_text("50 of 50 rows")
        service.wait(lambda: service.service.hub.listening == 1)


HIDE = """isHidden => {
  Object.defineProperty(document, "hidden", {get: () => isHidden, configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.mark.slow
def test_a_tab_that_is_hidden_hands_the_stream_on_and_catches_up_when_it_is_looked_at(
    browser: Browser, tmp_path: Path
) -> None:
    path = make_run(tmp_path / "runs/live", rows(10), None, CONFIG % (1, "cosine", 0.1))
    with served(path.parent, tmp_path / "state") as service, admitted(browser, service) as first:
        second = first.context.new_page()
        for tab in (first, second):
            visit(tab, service, f"run/{service.ids()['live']}")
            expect(chart_of(tab)).to_contain_text("10 of 10 rows")
        listening = service.service.hub
        for hidden, seen in ((first, second), (second, first)):
            hidden.evaluate(HIDE, True)
            service.wait(lambda: listening.listening == 1)
            count = (path / "metrics.jsonl").read_text().count("\n")
            grow(path, rows(10, first=count))
            expect(chart_of(seen)).to_contain_text(f"{count + 10} of {count + 10} rows")
            hidden.evaluate(HIDE, False)
            grow(path, rows(10, first=count + 10))
            for tab in (hidden, seen):
                expect(chart_of(tab)).to_contain_text(f"{count + 20} of {count + 20} rows")
        for tab in (first, second):
            tab.evaluate(HIDE, True)
        service.wait(lambda: listening.listening == 0)


TELL = """data => new BroadcastChannel(`events of ${new URL(".", location)}`)
  .postMessage({event: "rows", data})"""


@pytest.mark.slow
def test_rows_that_a_tab_has_are_not_drawn_again_where_another_was_further_back(
    page: Page, service: Served, root: Path
) -> None:
    run = service.ids()["alone"]
    visit(page, service, f"run/{run}")
    expect(chart_of(page)).to_contain_text("30 of 30 rows")
    end = (root / "alone/metrics.jsonl").stat().st_size

    def tell(first: int, last: int, to: int) -> None:
        steps = list(range(first, last))
        loss = {"rows": len(steps), "width": 1, "steps": steps, "last": [0.5] * len(steps),
                "not_finite": []}  # fmt: skip
        cursor = f"{to}-{'0' * 16}"
        page.evaluate(TELL, {"run": run, "from": 0, "to": to, "cursor": cursor,
                             "series": {"loss": loss}})  # fmt: skip

    tell(0, 30, end)
    tell(10, 35, end + 100)
    expect(chart_of(page)).to_contain_text("35 of 35 rows")


@pytest.mark.slow
def test_each_tab_has_its_own_stream_where_a_browser_has_no_locks(
    browser: Browser, tmp_path: Path
) -> None:
    path = make_run(tmp_path / "runs/live", rows(10), None, CONFIG % (1, "cosine", 0.1))
    with served(path.parent, tmp_path / "state") as service, admitted(browser, service) as first:
        first.context.add_init_script("delete Navigator.prototype.locks")
        tabs = [first, first.context.new_page()]
        for tab in tabs:
            visit(tab, service, f"run/{service.ids()['live']}")
            expect(chart_of(tab)).to_contain_text("10 of 10 rows")
        service.wait(lambda: service.service.hub.listening == 2)
        grow(path, rows(30, first=10))
        for tab in tabs:
            expect(chart_of(tab)).to_contain_text("40 of 40 rows")


def chart_of(tab: Page) -> Locator:
    return tab.get_by_role("figure", name="loss", exact=True)


def grow(run: Path, lines: str) -> None:
    with (run / "metrics.jsonl").open("a") as file:
        file.write(lines)
