"""Files of a user's groups that can't be read: refused by group and option, no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from schedules import Refused
from trainer.config.experiment import Experiment
from trainer.config.hydra import compose


def refusal(folder: Path, content: bytes) -> tuple[str, str]:
    """The path and the rule by which `experiment=mine` is refused."""
    file = folder / "experiment" / "mine.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    with pytest.raises(Refused) as refused:
        compose(["experiment=mine"], str(folder))
    [problem] = refused.value.problems
    return problem.path, problem.rule


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "cp1252"])
def test_a_file_in_another_encoding(encoding: str, tmp_path: Path) -> None:
    path, rule = refusal(tmp_path, "# für alle\nrun: {seed: 2}\n".encode(encoding))
    assert path == "experiment"
    assert "is no UTF-8" in rule
    assert "mine.yaml" in rule


@pytest.mark.parametrize("defaults", ["3", "{a: b}", "some"])
def test_defaults_that_are_no_list(defaults: str, tmp_path: Path) -> None:
    path, rule = refusal(tmp_path, f"defaults: {defaults}\n".encode())
    assert path == "experiment"
    assert "must be a list" in rule


def test_defaults_that_lead_back_to_themselves(tmp_path: Path) -> None:
    other = tmp_path / "experiment" / "other.yaml"
    other.parent.mkdir()
    other.write_text("# @package _global_\ndefaults: [mine]\n")
    for entry in ("mine", "other"):
        path, rule = refusal(tmp_path, f"# @package _global_\ndefaults: [{entry}]\n".encode())
        assert (path, rule) == ("defaults", "lead back to themselves")


@pytest.mark.parametrize("value", ["[1]", "[cosine]", "[]"])
def test_a_list_in_the_place_of_an_option(value: str) -> None:
    with pytest.raises(Refused, match=r"is no option of this group\n  hint: an option .* a word"):
        compose([f"schedule={value}"])


def test_a_sweep_of_rates_that_begins_below_float32() -> None:
    with pytest.raises(Refused, match=r"lr_find\.start = 1e-320: must be at least 1\.2e-38"):
        Experiment.declared(compose(["lr_find.start=1e-320"]))
