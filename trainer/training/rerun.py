"""Running a run again: from the config that it left, compared by the digest of its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from schedules.declaration.plain_files import read_plain

from ..runs.atomic_files import write
from ..runs.folder import Folder
from ..runs.identity import is_free
from ..runs.redaction import same_but_for_secrets
from .folder_config import FolderConfig

MAX_BYTES = 2**20
COMPARED = ("steps", "compile", "together", "device", "replicas", "cores", "data_digest", "git")
"""What else the bits of the weights hang on, besides the config and the versions."""


def prepare(source: Path, folder: Folder) -> None:
    """Lets the run in `folder` begin with what the one in `source` chose by measuring."""
    if not folder.compile_choice.exists():
        with suppress(FileNotFoundError):
            chosen = read_plain(Folder(source).compile_choice, MAX_BYTES, follow_links=False)
            write(folder.compile_choice, chosen.decode(errors="replace"))


def compare(source: Path, folder: Folder) -> str | None:
    """Says whether the run in `folder` is the one in `source`, and writes it to its result.

    None for runs that were declared otherwise, or have not both ended.
    """
    first, second = Folder(source), folder
    before, now = first.read_result(), second.read_result()
    if before is None or now is None or before["status"] != now["status"]:
        return None
    old, new = _bound(first), _bound(second)
    if old.keys() != new.keys() or not all(
        same_but_for_secrets(old[path], new[path]) or same_but_for_secrets(new[path], old[path])
        for path in old
    ):
        return None
    same = before.get("weights_digest") == now.get("weights_digest")
    differences = list(_differences(before, now))
    now["rerun"] = {"of": str(source.resolve()), "same": same, "differences": differences}
    folder.write_result(now)
    if same:
        return f"the same run as {source}: every bit of the weights is equal"
    lines = differences or ["nothing that was recorded; is an operation not deterministic?"]
    return "\n  ".join([f"not the same run as {source}: the weights differ. What differs:", *lines])


def _bound(folder: Folder) -> dict[str, Any]:
    """What makes a run the run it is."""
    values = FolderConfig(folder).complete()
    return {path: value for path, value in values.items() if not is_free(path)}


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Everything recorded on which the bits may hang that is not the same."""
    pairs = {name: (before.get(name), now.get(name)) for name in COMPARED}
    old, new = before.get("versions", {}), now.get("versions", {})
    pairs |= {name: (old.get(name), new.get(name)) for name in {**old, **new}}
    for name, (was, is_now) in pairs.items():
        if was != is_now:
            yield f"{name}: was {was}, is {is_now}"
