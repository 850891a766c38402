"""Files of every kind that the page takes, uploaded to a server for networks that were trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.helpers.browser import admitted, needs_browser, visit
from tests.helpers.runs import plan, trained
from tests.helpers.served import Served, served
from trainer.service.gate import UPLOADS

pytestmark = pytest.mark.slow

BYTES = "application/octet-stream"
COUNT = 3
TABLE: dict[str, list[Any]] = {"height": [1.0, 2.0, 3.0], "colour": ["red", "blue", "red"]}


def image(folder: Path, kind: str) -> bytes:
    Image.new("RGB", (8, 8), (200, 30, 30)).save(folder / f"one.{kind}")
    return (folder / f"one.{kind}").read_bytes()


def columns(folder: Path, kind: str) -> bytes:
    if kind == "parquet":
        import pyarrow
        from pyarrow import parquet  # which takes half a second

        parquet.write_table(pyarrow.table(TABLE), folder / "new.parquet")
    else:
        rows = [TABLE, *zip(*TABLE.values(), strict=True)]
        (folder / "new.csv").write_text("\n".join(",".join(map(str, row)) for row in rows))
    return (folder / f"new.{kind}").read_bytes()


def array(_: Path, kind: str) -> bytes:
    content = BytesIO()
    inputs = np.zeros([COUNT, *plan().experiment.data.facts().shape])
    np.save(content, inputs) if kind == "npy" else np.savez(content, inputs=inputs)
    return content.getvalue()


KINDS: dict[str, tuple[str, str, int, Callable[[Path, str], bytes]]] = {
    "png": ("images", "image/png", 1, image),
    "jpeg": ("images", "image/jpeg", 1, image),
    "csv": ("table", "text/csv", COUNT, columns),
    "parquet": ("table", BYTES, COUNT, columns),
    "npy": ("arrays", BYTES, COUNT, array),
    "npz": ("arrays", BYTES, COUNT, array),
}
"""By the kind of file: the run, the media type, how many predictions come, and what makes it."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("uploads")
    for name, colour in (("a", (200, 30, 30)), ("b", (30, 30, 200))):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (8, 8), colour).save(folder / f"images/{name}/{number}.png")
    rows = [f"{number / 7},{('red', 'blue')[number % 2]},{number % 2}" for number in range(40)]
    (folder / "table.csv").write_text("\n".join(["height,colour,sort", *rows]))
    short = ("run.length=5", "data.batch_size=4")
    runs = folder / "runs"
    asked = {
        "images": ["data=image_folder", f"data.path={folder}/images"],
        "table": ["data=csv", f"data.path={folder}/table.csv", "data.target=sort",
                  "data.columns.colour={kind: category}", "model=tabular", "model.hidden=[4]"],
        "arrays": [],
    }  # fmt: skip
    for name, overrides in asked.items():
        assert trained(runs / name, *short, *overrides) == 0
    with served(runs, folder / "state") as found:
        found.ids()
        yield found


def test_every_media_type_is_tried() -> None:
    assert {media for _, media, _, _ in KINDS.values()} == UPLOADS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_predicts_for_an_uploaded_file(
    kind: str, service: Served, tmp_path: Path
) -> None:
    name, media, count, make = KINDS[kind]
    answer = service.client.post(
        f"/runs/{service.ids()[name]}/predictions",
        content=make(tmp_path, kind), headers={"Content-Type": media},
    )  # fmt: skip
    assert answer.status_code == 202, answer.text
    task = answer.json()["task"]
    found = service.wait(
        lambda: (one := service.get(f"/tasks/{task}"))["state"] != "running" and one, 120
    )
    assert found["state"] == "done", found["error"]
    assert len(found["rows"]) == count


@pytest.mark.parametrize("name", ["images", "table", "arrays"])
def test_a_network_is_exported(name: str, service: Served) -> None:
    run = service.ids()[name]
    task = service.client.post(f"/runs/{run}/exports", json={"format": "keras"}).json()["task"]
    found = service.wait(
        lambda: (one := service.get(f"/tasks/{task}"))["state"] != "running" and one, 120
    )
    assert found["state"] == "done", found["error"]
    file = service.client.get(f"/runs/{run}/files/{found['files'][0]['name']}")
    assert file.content.startswith(b"PK")


@needs_browser
def test_the_page_shows_what_a_network_says_of_a_file_that_is_chosen(
    service: Served, browser: Browser, tmp_path: Path
) -> None:
    columns(tmp_path, "parquet")
    with admitted(browser, service) as page:
        visit(page, service, f"run/{service.ids()['table']}")
        again = page.get_by_role("region", name="Again")
        chosen = again.get_by_label("Predict for a table or an image")
        chosen.set_input_files(tmp_path / "new.parquet")
        expect(again.locator("tbody tr")).to_have_count(COUNT, timeout=120_000)
        expect(again.get_by_role("link", name="predictions.csv")).to_be_visible()
