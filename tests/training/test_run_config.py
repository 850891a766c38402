"""Going on in a folder that an earlier version wrote: settings that are new have their defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from schedules import Refused
from tests.helpers.runs import plan, result, trained
from trainer.runs.folder import Folder
from trainer.training.run_config import declare

ASKED = ("run.length=20", "log.every=5")


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A stopped run whose config lacks some settings, as one of an earlier version would."""
    trained(tmp_path, *ASKED, "run.stop_after=10")
    file = tmp_path / "config.yaml"
    config: dict[str, Any] = yaml.safe_load(file.read_text())
    del config["run"]["deterministic"], config["optimizer"]["layer_decay"], config["lr_find"]
    file.write_text(yaml.safe_dump(config))
    return tmp_path


def test_it_goes_on_and_its_config_is_complete_again(earlier: Path) -> None:
    assert trained(earlier, *ASKED) == 0
    assert result(earlier)["steps"] == 20
    assert yaml.safe_load((earlier / "config.yaml").read_text())["run"]["deterministic"] is True


def test_another_value_than_the_default_is_a_difference(earlier: Path) -> None:
    with pytest.raises(Refused, match=r"run\.deterministic +true +false"):
        declare(Folder(earlier), plan(*ASKED, "run.deterministic=false"))


def test_a_setting_that_is_no_more_is_a_difference(earlier: Path) -> None:
    file = earlier / "config.yaml"
    file.write_text(file.read_text().replace("run:\n", "run:\n  patience: 3\n"))
    with pytest.raises(Refused, match=r"run\.patience +3 +not set"):
        declare(Folder(earlier), plan(*ASKED))
