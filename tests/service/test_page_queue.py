"""The page in a browser: the queue in its order, configs put into it, and runs made again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.helpers.browser import admitted, needs_browser, visit
from tests.helpers.queued import Elsewhere, NoCheck, Queued, stand_ins
from tests.helpers.served import WHOLE_CONFIG, Served, make_run, rows, served
from trainer.service.jobs.queue import Queue
from trainer.service.jobs.tasks import Tasks

pytestmark = needs_browser

SLOW = "3 inf"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("queue")
    (folder / "runs").mkdir()
    with stand_ins(), served(folder / "runs", folder / "state") as found:
        yield found


@pytest.fixture
def queue(service: Served) -> Iterator[Queued]:
    queued = Queued(service)
    queued.configure(paused=False, at_once=1)
    yield queued
    for run in queued.states():
        queued.stop(run, "kill")
    service.wait(lambda: not queued.states())


@pytest.fixture
def page(opened: Page, service: Served, queue: Queued) -> Page:
    visit(opened, service, "queue")
    expect(opened.get_by_role("heading", level=1)).to_have_text("Queue")
    return opened


def names(page: Page) -> Locator:
    return page.locator("tbody th[scope=row]")


def row(page: Page, name: str) -> Locator:
    return page.locator("tbody tr", has=page.get_by_role("link", name=name, exact=True))


def test_what_waits_is_moved_by_keys_by_buttons_and_by_dragging(page: Page, queue: Queued) -> None:
    first, second, third = (f"{SLOW}/{name}" for name in "abc")
    queue.configure(paused=True)
    for name in (first, second, third):
        queue.submit(name)
    expect(names(page)).to_have_text([first, second, third])
    later = page.get_by_role("button", name=f"Later: {first}")
    later.focus()
    later.press("Alt+ArrowDown")
    expect(names(page)).to_have_text([second, first, third])
    expect(page.get_by_text(f"{first} is 2 of 3 that wait")).to_be_visible()
    expect(page.get_by_role("button", name=f"Later: {first}")).to_be_focused()
    page.keyboard.press("Alt+ArrowDown")
    expect(names(page)).to_have_text([second, third, first])
    page.get_by_role("button", name=f"Earlier: {third}").click()
    expect(names(page)).to_have_text([third, second, first])
    row(page, first).drag_to(row(page, third))
    expect(names(page)).to_have_text([first, third, second])


def test_jobs_are_held_released_cancelled_and_stopped_rung_by_rung(
    page: Page, queue: Queued
) -> None:
    runs = queue.submit(f"{SLOW}/runs")
    waits = f"{SLOW}/waits"
    queue.submit(waits)
    expect(row(page, f"{SLOW}/runs")).to_contain_text("running")
    page.get_by_role("button", name=f"Hold {waits}").click()
    expect(row(page, waits)).to_contain_text("until it is released")
    page.get_by_role("button", name=f"Release {waits}").click()
    expect(row(page, waits)).to_contain_text("queued")
    page.get_by_role("button", name=f"Cancel {waits}").click()
    expect(row(page, waits)).to_have_count(0)
    page.get_by_role("button", name=f"SIGKILL {SLOW}/runs").click()
    expect(page.get_by_text("Nothing runs and nothing waits.")).to_be_visible()
    assert queue.state(runs[0]) == "unfinished"


@pytest.mark.slow
def test_the_queue_is_paused_and_its_places_are_chosen(page: Page, queue: Queued) -> None:
    page.get_by_role("button", name="Pause all").click()
    expect(page.get_by_role("button", name="Start jobs again")).to_be_visible()
    assert queue.service.get("/queue")["paused"]
    page.get_by_label("at once").fill("3")
    page.get_by_label("at once").press("Enter")
    queue.service.wait(lambda: queue.service.get("/queue")["at_once"] == 3)
    page.get_by_label("cores").fill("0-9999")
    page.get_by_label("cores").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("this machine has no core")
    expect(page.get_by_label("cores")).to_have_value("0-9999")  # what was typed is not lost
    page.get_by_label("cores").fill("0")
    page.get_by_label("cores").press("Enter")
    queue.service.wait(lambda: queue.service.get("/queue")["cores"] == [0])
    queue.configure(cores=None)


def asked_for(page: Page, service: Served, queue: Queued, *overrides: str) -> Locator:
    """The part of Design that says what would start, after "Queue it" and while nothing starts."""
    queue.configure(paused=True)
    visit(page, service, f"design?c={quote(chr(10).join(overrides), safe='')}")
    own = page.get_by_role("region", name="Queue it")
    own.get_by_role("button", name="Queue it").click()
    return own


@pytest.mark.slow
def test_a_config_is_put_into_the_queue_once_it_was_seen_what_would_start(
    page: Page, service: Served, queue: Queued
) -> None:
    own = asked_for(page, service, queue, "data=digits", "model=mlp", "run.length=7")
    expect(own).to_contain_text("A run, 7 updates in all")
    assert not queue.states()
    own.get_by_label("name").fill("typed")
    own.get_by_label("priority").fill("5")
    own.get_by_role("button", name="Put into the queue").click()
    expect(own.get_by_role("status")).to_contain_text("1 in the queue: typed")
    [entry] = service.get("/queue")["entries"]
    assert (entry["name"], entry["priority"]) == ("typed", 5)
    own.get_by_role("link", name="queue", exact=True).click()
    expect(names(page)).to_have_text(["typed"])


@pytest.mark.slow
def test_a_run_is_made_again_gone_on_with_and_made_longer(
    page: Page, service: Served, queue: Queued
) -> None:
    queue.configure(paused=True)
    [run] = queue.submit(SLOW)
    queue.stop(run)
    (queue.path(run) / "config.yaml").write_text(WHOLE_CONFIG % (50, 1))
    service.wait(lambda: service.get(f"/runs/{run}")["config"])
    visit(page, service, f"run/{run}")
    again = page.get_by_role("region", name="Again")
    again.get_by_role("button", name="Go on").click()
    expect(again.get_by_role("status").last).to_contain_text("queued")
    queue.stop(run)
    again.get_by_label("New length").fill("70")
    again.get_by_role("button", name="Make longer").click()
    entries = service.wait(lambda: service.get("/queue")["entries"])
    assert "run.length=70" in entries[0]["overrides"]
    queue.stop(run)
    again.get_by_role("button", name="Rerun …").click()
    expect(again).to_contain_text("A run, 50 updates in all")
    again.get_by_role("button", name="Put into the queue").click()
    expect(again).to_contain_text("1 in the queue")
    assert len(queue.states()) == 1
    again.get_by_role("link", name="Rerun with changes").click()
    expect(page.locator(".total")).to_have_text("50")


@pytest.mark.slow
def test_replaying_by_hand_names_the_run_by_its_id_alone(
    browser: Browser, service: Served, queue: Queued
) -> None:
    path = make_run(service.service.root / "steered run", rows(3), "done", WHOLE_CONFIG % (50, 1))
    (path / "events.jsonl").write_text(
        '{"step": 2, "event": "command", "orders": ["learning_rate=0.25"], "id": "x", '
        '"rewinds": 0, "time": 1.0}\n'
    )
    run = service.wait(lambda: service.ids().get("steered run"))
    with admitted(browser, service) as page:
        sent: list[str] = []
        page.on("request", lambda asked: sent.append(asked.post_data or ""))
        visit(page, service, f"run/{run}")
        page.get_by_role("link", name="Replay by hand").click()
        expect(page.locator(".total")).to_have_text("50")
        expect(page.get_by_role("list", name="Why it can't be trained")).to_have_count(0)
        expect(page.get_by_role("figure", name="learning_rate")).to_be_visible()
        expect(page).to_have_url(re.compile(f"run.replay%3D{run}"))
        assert not [body for body in sent if str(service.service.root) in body]


@pytest.mark.slow
def test_a_server_that_starts_no_jobs_says_so_and_offers_none(
    page: Page, service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    overview = Queue.overview
    monkeypatch.setattr(Queue, "overview", lambda self: {
        **overview(self), "launching": False, "why": "another server has this folder"})  # fmt: skip
    visit(page, service, "queue")
    expect(page.get_by_text("This server starts no jobs: another server")).to_be_visible()
    expect(page.get_by_role("button", name="Pause all")).to_be_disabled()
    visit(page, service, "design")
    expect(page.get_by_text("Nothing can be started from here: another server")).to_be_visible()
    expect(page.get_by_role("button", name="Queue it")).to_have_count(0)


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1600])
def test_the_queue_fits_its_screen(
    width: int, browser: Browser, service: Served, queue: Queued
) -> None:
    queue.configure(paused=True)
    queue.submit(f"{SLOW}/{'a long name ' * 8}")
    size = {"width": width, "height": 900}
    with admitted(browser, service, viewport=size, color_scheme="dark") as page:
        visit(page, service, "queue")
        expect(names(page)).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        unnamed = page.evaluate(
            "[...document.querySelectorAll('button, input, select, [role=slider]')].filter("
            "e => !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).length"
        )
        assert unnamed == 0


@pytest.mark.slow
def test_a_sweep_is_put_into_the_queue_and_found_in_the_list(
    page: Page, service: Served, queue: Queued
) -> None:
    own = asked_for(
        page, service, queue, "data=digits", "model=mlp", "run.length=7", "run.seed=1,2"
    )
    expect(own).to_contain_text("A sweep of 2 runs, 14 updates in all")
    own.get_by_role("button", name="Put into the queue").click()
    own.get_by_role("status").get_by_role("link").last.click()
    expect(page.get_by_text("2 runs", exact=True)).to_be_visible()
    page.get_by_role("button", name="All runs").click()
    expect(page.get_by_text("2 runs", exact=True)).to_have_count(0)


@pytest.mark.slow
def test_a_run_is_exported_and_predicts_for_a_table_that_is_chosen(
    page: Page, service: Served, queue: Queued, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def command(kind: str, arguments: Sequence[str]) -> list[str]:
        asked = list(arguments)
        if kind == "predict":
            inputs, output = (asked[asked.index(name) + 1] for name in ("--inputs", "--output"))
            return ["cp", inputs, output]
        if "export=onnx" in asked:
            return ["sh", "-c", "echo 'export: needs a package' >&2; exit 2"]
        return ["sh", "-c", 'mkdir "$0/export" && echo model >"$0/export/model.keras"', asked[0]]

    monkeypatch.setattr(Tasks, "command", staticmethod(command))
    make_run(service.service.root / "trained", rows(3), "done", WHOLE_CONFIG % (50, 1))
    visit(page, service, f"run/{service.wait(lambda: service.ids().get('trained'))}")
    again = page.get_by_role("region", name="Again")
    again.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        again.get_by_role("link", name="export/model.keras").click()
    assert Path(download.value.path()).read_text() == "model\n"
    again.get_by_label("Format").select_option("onnx")
    again.get_by_role("button", name="Export").click()
    expect(again.get_by_text("export: needs a package")).to_be_visible()
    table = tmp_path / "cats.csv"
    table.write_text("index,prediction\n0,cat\n1,dog\n")
    again.get_by_label("Predict for a table or an image").set_input_files(table)
    expect(again.locator("tbody tr")).to_have_count(2)
    expect(again.locator("tbody tr").last).to_have_text("1dog")
    expect(again.get_by_role("link", name="predictions.csv")).to_be_visible()


def test_what_waits_in_a_clusters_own_queue_says_so_in_the_list_and_on_its_page(
    page: Page, service: Served, queue: Queued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.service, "checker", NoCheck())
    cluster = Elsewhere()
    cluster.reason = "waits in its queue: Priority"
    monkeypatch.setitem(service.service.queue.engines, "elsewhere", cluster)
    [run] = queue.submit(engine="elsewhere")
    visit(page, service, "runs?state=starting")
    state = page.locator("tbody .state")
    expect(state).to_have_text("waiting")
    expect(state).to_have_attribute("title", "waits in its queue: Priority")
    assert queue.state(run) == "starting"  # it has a process, as far as the queue knows
    visit(page, service, f"run/{run}")
    expect(page.get_by_text("waits in its queue: Priority")).to_be_visible()
    cluster.reason = "waits in its queue: Resources"
    expect(page.get_by_text("waits in its queue: Resources")).to_be_visible()
    cluster.reason = ""
    expect(page.locator("header .state")).to_have_text("starting")
    queue.stop(run, "kill")
