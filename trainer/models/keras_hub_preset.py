"""A preset of KerasHub in a folder: what is in it, told without importing Keras."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from schedules.declaration import refuse
from schedules.declaration.plain_files import json_value, read_plain

from .keras_archive import CODE, foreign_classes

CONFIG, TASK, TOKENIZER = "config.json", "task.json", "tokenizer.json"
WEIGHTS = ("model.weights.h5", "model.weights.json")
"""All weights of the backbone in a file, or the list of the files that they are spread over."""
CLASSIFIERS = ("ImageClassifier", "TextClassifier")
"""The tasks that end in a dense layer of as many outputs as there are classes."""
MAX_BYTES = 2**24
"""How large a description may be."""
HANDLE = re.compile(r"[a-z]+://.*|[A-Za-z0-9_.-]+")
"""What KerasHub would take for the name of a preset to download."""
SAVES = "backbone.save_to_preset('DIR'), or a task's, writes one"


@dataclass(frozen=True)
class Preset:
    """What the files of a preset say of its backbone, and of the task that it is for, if any."""

    backbone: dict[str, Any]
    """The arguments of the backbone's class."""
    task: dict[str, Any] | None
    """The arguments of a classifier's class; None where only the backbone is taken."""
    task_kind: str | None
    """Which of `CLASSIFIERS` the task is."""
    has_tokenizer: bool

    @property
    def takes(self) -> Literal["images", "tokens"] | None:
        """What the backbone reads, as far as its arguments tell; None where they don't."""
        if {"vocabulary_size", "vocab_size"} & self.backbone.keys():
            return "tokens"
        return "images" if "image_shape" in self.backbone else None


def preset_in(folder: str, field: str) -> Preset:
    """What is in a preset's folder; `field` is what names the folder.

    Raises:
        Refused: when there is none, or what is there is no preset, or would run code.
    """
    path = Path(folder)
    if not path.is_dir():
        rule = "is no folder, and nothing is downloaded"
        raise refuse(field, folder, rule, _how_to_save(folder))
    config = _serialised(path, CONFIG, field, folder)
    task = _serialised(path, TASK, field, folder) if (path / TASK).exists() else None
    kinds = [kind for kind in CLASSIFIERS if task and task["class_name"].endswith(kind)]
    return Preset(
        backbone=config["config"],
        task=task["config"] if task and kinds else None,
        task_kind=kinds[0] if kinds else None,
        has_tokenizer=(path / TOKENIZER).is_file(),
    )


def check_weights(folder: str, field: str) -> None:
    """Checks whether the weights of a preset's backbone are there.

    Raises:
        Refused: when they are not.
    """
    if not any((Path(folder) / name).is_file() for name in WEIGHTS):
        rule = f"has neither {' nor '.join(WEIGHTS)}"
        raise refuse(field, folder, rule, "model.load_weights=false draws them")


def _how_to_save(name: str) -> str:
    if Path(name).exists() or not HANDLE.fullmatch(name):
        return SAVES
    save = f"from_preset('{name}').save_to_preset('DIR')"
    return (
        "give the folder's path; or, where there is internet: "
        f"keras_hub.models.Backbone.{save}, and for text keras_hub.tokenizers.Tokenizer.{save}; "
        "then model.preset=DIR"
    )


def _serialised(path: Path, name: str, field: str, folder: str) -> dict[str, Any]:
    """What a file of a preset says of an object, as Keras serialises it.

    Raises:
        Refused: when it says none, or one that is neither Keras' nor KerasHub's.
    """
    try:
        found = json_value(read_plain(path / name, MAX_BYTES))
    except FileNotFoundError:
        raise refuse(field, folder, f"has no {name} in it", SAVES) from None
    except (OSError, ValueError, RecursionError) as error:
        raise refuse(field, folder, f"has a {name} that can't be read: {error}", SAVES) from None
    if not isinstance(found, dict) or not isinstance(found.get("config"), dict):
        hint = SAVES
        if isinstance(found, dict) and ("model_type" in found or "architecture" in found):
            hint = (
                f"it is one of transformers or timm: keras_hub.models.Backbone.from_preset("
                f"'{folder}').save_to_preset('DIR') makes a preset of it"
            )
        raise refuse(field, folder, f"has a {name} that is no preset's", hint)
    for origin_class, origin in foreign_classes(found):
        if origin.partition(".")[0] != "keras_hub":
            what = "code" if origin_class in CODE else f"{origin_class} of {origin}"
            rule = f"has {what} in its {name}, and must have classes of Keras and KerasHub alone"
            raise refuse(field, folder, rule, "model=python builds it with your code")
    if not str(found.get("class_name")).isidentifier():
        raise refuse(field, folder, f"has a {name} that names no class", SAVES)
    return found
