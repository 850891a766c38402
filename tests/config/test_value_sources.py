"""A refused value is told with the override, or the file and line, that it was written in."""

from __future__ import annotations

from pathlib import Path

import pytest

from schedules import Problem, Refused
from trainer.config.value_sources import with_file, with_sources


def source(
    path: str, overrides: list[str], choices: dict[str, str | None], *folders: Path
) -> Problem:
    refused = Refused([Problem(path, 0, "is no known key", "a hint")])
    return with_sources(refused, overrides, choices, folders).problems[0]


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    for name, text in {
        "config.yaml": "run:\n  length: 3\n  seed: 1\n",
        "data/csv.yaml": "kind: csv\npath: x\n",
        "experiment/typo.yaml": (
            "# @package _global_\nrun:\n  lengt: 5\n  seed: 2\ndata:\n  path: y\n"
        ),
        "experiment/child.yaml": "# @package _global_\ndefaults: [typo]\nrun:\n  seed: 3\n",
        "experiment/bare.yaml": "run:\n  seed: 2\n",
        "mine/extra.yaml": "# @package _global_\nrun:\n  sed: 5\n",
        "mine/bare.yaml": "a: 5\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "choices", "place"),
    [
        ("run.lengt", {"experiment": "typo"}, "experiment/typo.yaml:3"),
        ("run.seed", {"experiment": "typo"}, "experiment/typo.yaml:4"),
        ("run.length", {"experiment": "typo"}, "config.yaml:2"),
        ("data.path", {"data": "csv", "experiment": "typo"}, "experiment/typo.yaml:6"),
        ("data.path", {"data": "csv", "experiment": None}, "data/csv.yaml:2"),
        ("run.lengt", {"experiment": "child"}, "experiment/typo.yaml:3"),
        ("run.seed", {"experiment": "child"}, "experiment/child.yaml:4"),
        ("run.sed", {"mine": "extra"}, "mine/extra.yaml:3"),
        ("run.seed.deeper", {}, "config.yaml:3"),
        ("experiment", {"experiment": "bare"}, "experiment/bare.yaml:1"),
        ("optimizer.lr", {"optimizer": "elsewhere"}, ""),
    ],
)
def test_the_file_whose_value_wins_is_told(
    path: str, choices: dict[str, str | None], place: str, conf: Path
) -> None:
    assert source(path, [], choices, conf).source == (f"{conf}/{place}" if place else "")


@pytest.mark.parametrize("group", ["experiment", "mine"])
def test_a_file_without_its_package_is_told_what_it_lacks(group: str, conf: Path) -> None:
    problem = source(group, [f"+{group}=bare"], {group: "bare"}, conf)
    assert problem.source == f"{conf}/{group}/bare.yaml:1"
    assert problem.hint == "let its file begin with the line # @package _global_"


@pytest.mark.parametrize(
    ("path", "overrides", "message"),
    [
        ("data.path", ["data=digits", "data=csv"], ""),
        ("data.path", ["data=digits", "data.path=z", "data=csv"], "the override data.path=z"),
        ("run.seed", ["++run.seed=1", "++run.seed=2"], "the override run.seed=2"),
        ("data.path", ["~data", "++data={kind: csv}"], "the override data={kind: csv}"),
        ("data", ["~data"], "the override ~data"),
    ],
)
def test_the_last_override_of_a_value_is_told_and_no_choice_of_an_option(
    path: str, overrides: list[str], message: str, tmp_path: Path
) -> None:
    assert source(path, overrides, {"data": "csv"}, tmp_path).source == message


def test_of_a_run_again_the_config_of_that_run_is_told(conf: Path) -> None:
    refused = Refused([Problem("run.seed", 0, "is wrong")])
    message = with_file(refused, ["rerun=there"], conf / "config.yaml").problems[0]
    assert message.source == f"{conf}/config.yaml:3"
