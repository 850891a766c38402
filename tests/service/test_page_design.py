"""The page in a browser: a config designed by form, overrides and YAML, with its exact curves."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.helpers.browser import needs_browser, visit
from tests.helpers.served import Served, make_run, rows, served

pytestmark = needs_browser


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("design") / "runs"
    make_run(root / "first", rows(10))
    with served(root, root.parent / "state") as found:
        found.ids()
        yield found


@pytest.fixture
def page(opened: Page, service: Served) -> Page:
    visit(opened, service, "design")
    expect(opened.get_by_role("figure", name="learning_rate")).to_be_visible()
    return opened


def field(page: Page, path: str) -> Locator:
    return page.locator(f"[id='field-{path}']")


def command(page: Page) -> Locator:
    return page.get_by_label("The command that trains it")


def curve(page: Page, name: str = "learning_rate") -> Locator:
    return page.get_by_role("figure", name=name, exact=True)


def overrides(page: Page) -> Locator:
    page.get_by_role("tab", name="Overrides").click()
    return page.get_by_role("textbox", name="One override a line")


def test_the_curve_moves_as_one_types(page: Page) -> None:
    # A cosine that keeps an eighth of where it begins, at its last step of 100.
    field(page, "run.length").fill("100")
    field(page, "schedule.initial_value").fill("0.5")
    field(page, "schedule.alpha").fill("0.125")
    last = 0.5 * ((1 - 0.125) * (1 + math.cos(math.pi * 0.99)) / 2 + 0.125)
    expect(curve(page)).to_contain_text(f"{float(f'{last:.6g}'):g}")
    expect(curve(page)).to_contain_text("0.5 →")
    expect(page.locator(".total")).to_have_text("100")
    expect(command(page)).to_have_text(
        "python -m trainer run.length=100 schedule.initial_value=0.5 schedule.alpha=0.125"
    )


def test_every_number_under_the_pointer_is_the_one_of_its_step(page: Page) -> None:
    overrides(page).fill(
        "schedule=linear\nschedule.initial_value=1\nschedule.end_value=0\nrun.length=1000000"
    )
    expect(page.locator(".total")).to_have_text("1,000,000")
    plot = curve(page).locator(".plot")
    plot.focus()
    for key in ("ArrowRight", *["+"] * 15, "Shift+ArrowRight"):
        plot.press(key)
        page.wait_for_timeout(20)
    expect(page.get_by_text(re.compile(r"^\s*steps "))).to_be_visible()
    expect(curve(page).get_by_text("step ", exact=False)).to_be_visible()
    value, at = curve(page).locator("output").all_inner_texts()
    step = int(at.removeprefix("step ").replace(",", ""))
    assert float(value) == float(f"{1 - step / 1e6:.6g}")
    plot.press("0")
    expect(page.get_by_text("Drag over a curve")).to_be_visible()


def test_a_refusal_stands_at_its_field_and_its_hint_is_a_button(page: Page) -> None:
    field(page, "optimizer.momentum").fill("2")
    own = page.locator(".field", has=field(page, "optimizer.momentum")).last
    expect(own).to_contain_text("must be at least 0 and at most 1")
    expect(field(page, "optimizer.momentum")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("the curves are those of before")).to_be_visible()
    field(page, "optimizer.momentum").fill("0.5")
    expect(own).not_to_contain_text("must be")
    text = overrides(page)
    text.fill("optimizer=adamw\nschedule=linear")
    doubtful = page.get_by_role("list", name="What is doubtful")
    mend = doubtful.get_by_role("button", name="schedule.initial_value=0.001")
    mend.click()
    expect(text).to_have_value("optimizer=adamw\nschedule=linear\nschedule.initial_value=0.001")
    expect(doubtful).to_have_count(0)


def test_a_word_that_was_meant_is_a_button(page: Page) -> None:
    text = overrides(page)
    text.fill("run.length=50\nschedule=cosin")
    why = page.get_by_role("list", name="Why it can't be trained")
    expect(why).to_contain_text("is no option of this group")
    expect(page.get_by_role("button", name="line 2")).to_be_visible()
    why.get_by_role("button", name="schedule=cosine").click()
    expect(text).to_have_value("run.length=50\nschedule=cosine")
    expect(why).to_have_count(0)


SCHEDULED = "{kind: linear, initial_value: 0.5, end_value: 0.9}"
YAML_EDITS = [
    ("initial_value: 0.02", "initial_value: 0.3", "schedule.initial_value=0.3"),
    ("momentum: 0.9", f"momentum: {SCHEDULED}", f"optimizer.momentum={SCHEDULED}"),
    ("kind: cnn", "kind: mlp", "model=mlp"),
    ("  filters:\n  - 32\n  - 64\n", "", ""),
    ("  - 128", "  - 32\n  - 16", "model.hidden=[32, 16]"),
    ("length: 10 epochs", "length: 3 epochs", "run.length=3 epochs"),
    ("ema: null", "ema: {momentum: 0.99}", "ema={momentum: 0.99}"),
    ("export: null", "export: {kind: keras}", "export=keras"),
    ("  tensorboard: {}", "  csv: {}", "log.csv={}"),
]
"""Texts of the whole config's YAML, others in their place, and the overrides that say the same."""


def test_yaml_is_the_same_config_as_the_overrides(page: Page, service: Served) -> None:
    page.get_by_role("tab", name="YAML").click()
    text = page.get_by_role("textbox")
    expect(text).to_have_value(re.compile("kind: cnn"))
    edited = text.input_value()
    for before, after, _ in YAML_EDITS:
        assert before in edited
        edited = edited.replace(before, after)
    text.fill(edited)
    expect(command(page)).to_contain_text("ema=")
    assert text.input_value() == edited
    lines = overrides(page).input_value().splitlines()
    assert set(lines) >= {line for *_, line in YAML_EDITS if line}
    by_yaml, by_overrides = (
        service.client.post("/preview", json=request).json()
        for request in ({"values": edited}, {"overrides": lines})
    )
    assert by_yaml["yaml"] == by_overrides["yaml"]
    assert by_yaml["curves"] == by_overrides["curves"]


def test_yaml_that_is_none_loses_nothing(page: Page) -> None:
    field(page, "run.length").fill("77")
    page.get_by_role("tab", name="YAML").click()
    text = page.get_by_role("textbox")
    expect(text).to_have_value(re.compile("length: 77"))
    broken = text.input_value() + "run: ["
    text.fill(broken)
    expect(page.get_by_text("is no YAML")).to_be_visible()
    assert text.input_value() == broken
    expect(command(page)).to_have_text("python -m trainer run.length=77")


def test_another_kind_and_back_keeps_what_was_typed(page: Page) -> None:
    field(page, "schedule.alpha").fill("0.25")
    field(page, "schedule").select_option("linear")
    expect(field(page, "schedule.end_value")).to_be_visible()
    expect(command(page)).to_have_text("python -m trainer schedule=linear")
    field(page, "schedule.end_value").fill("0.001")
    field(page, "schedule").select_option("cosine")
    expect(field(page, "schedule.alpha")).to_have_value("0.25")
    field(page, "schedule").select_option("linear")
    expect(field(page, "schedule.end_value")).to_have_value("0.001")


def test_a_number_becomes_a_schedule_and_a_number_again(page: Page) -> None:
    field(page, "optimizer.momentum").fill("0.75")
    page.get_by_role("combobox", name="How momentum goes").select_option("linear")
    expect(curve(page, "momentum")).to_be_visible()
    expect(field(page, "optimizer.momentum.initial_value")).to_have_value("0.75")
    field(page, "optimizer.momentum.end_value").fill("0.95")
    expect(curve(page, "momentum")).to_contain_text("0.75 → 0.9497")
    page.get_by_role("combobox", name="How momentum goes").select_option("")
    expect(field(page, "optimizer.momentum")).to_have_value("0.75")
    expect(curve(page, "momentum")).to_have_count(0)


def test_parts_of_a_schedule_are_edited_one_by_one(page: Page) -> None:
    field(page, "schedule").select_option("wsd")
    field(page, "schedule.parts.warmup.length").fill("40%")
    expect(curve(page)).to_contain_text("0 →")
    expect(command(page)).to_have_text(
        "python -m trainer schedule=wsd schedule.parts.warmup.length=40%"
    )
    page.get_by_role("combobox", name="Kind of schedule.parts.decay").select_option("cosine")
    expect(field(page, "schedule.parts.decay.alpha")).to_be_visible()
    expect(page.get_by_role("list", name="Why it can't be trained")).to_have_count(0)


def test_reload_and_back_keep_what_was_typed(page: Page) -> None:
    overrides(page).fill("schedule=exponential\nschedule.decay_rate=0.9\nrun.length=")
    page.reload()
    text = page.get_by_role("textbox", name="One override a line")
    expect(text).to_have_value("schedule=exponential\nschedule.decay_rate=0.9\nrun.length=")
    page.get_by_role("link", name="Runs").click()
    expect(page.get_by_role("link", name="first")).to_be_visible()
    page.go_back()
    expect(text).to_have_value("schedule=exponential\nschedule.decay_rate=0.9\nrun.length=")


def test_several_configs_are_drawn_over_each_other(page: Page) -> None:
    page.get_by_role("button", name="Compare another").click()
    field(page, "schedule").select_option("constant")
    expect(curve(page).locator(".readout")).to_contain_text("A")
    expect(curve(page).locator(".readout")).to_contain_text("B")
    expect(curve(page).locator("output[data-key='1']")).to_have_text("0.01")
    page.reload()
    expect(curve(page).locator("output[data-key='1']")).to_have_text("0.01")
    page.get_by_role("button", name="Remove B").click()
    expect(curve(page).locator("output[data-key='1']")).to_have_count(0)


def test_a_whole_command_is_taken_apart(page: Page) -> None:
    text = overrides(page)
    text.fill("python -m trainer schedule=linear 'run.length=2 epochs' run.seed=\"7\"")
    expect(page.locator(".total")).to_have_text("125")  # 2 × 4,000 examples / 64
    expect(command(page)).to_have_text(
        "python -m trainer schedule=linear 'run.length=2 epochs' run.seed=7"
    )


def test_designing_writes_nothing(page: Page, service: Served) -> None:
    root = service.service.root
    before = sorted(path.name for path in root.rglob("*"))
    field(page, "schedule.initial_value").fill("0.7")
    expect(curve(page)).to_contain_text("0.7 →")
    assert sorted(path.name for path in root.rglob("*")) == before


PLACES = ["runs", "design", "design?view=overrides", "design?view=yaml", "run/{first}"]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1600), ("dark", 400)])
def test_every_part_fits_its_screen_and_names_its_controls(
    page: Page, service: Served, scheme: Literal["light", "dark"], width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    for place in PLACES:
        visit(page, service, place.format(first=service.ids()["first"]))
        expect(page.locator("table" if place == "runs" else "figure").first).to_be_visible()
        expect(page.get_by_text("Reading …")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, place
        assert page.evaluate(NAMELESS) == [], place
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper)[:3])) > 600) == (scheme == "light")


CONTROLS = "input, select, textarea, button, a, figure, [role=img]"
NAMELESS = f"""() => [...document.querySelectorAll("{CONTROLS}")]
    .filter(one => !one.getAttribute("aria-label") && !one.labels?.length)
    .filter(one => !one.textContent.trim())
    .map(one => one.outerHTML)"""


def test_a_run_is_designed_anew(page: Page, service: Served) -> None:
    visit(page, service, f"run/{service.ids()['first']}")
    page.get_by_role("link", name="Design from it").click()
    expect(command(page)).to_contain_text("rerun=")
