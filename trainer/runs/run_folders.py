"""Which folders below a root are runs, and which only hold copies of what runs have written.

Trackers copy `config.yaml` and `result.json` to their artifacts, and people copy whole folders.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from schedules.declaration import ABSENT, Refused, refuse
from schedules.declaration.plain_files import json_value, open_plain, read_plain
from schedules.declaration.yaml_files import MAX_BYTES

from .folder import Folder
from .kept_readings import KeptReadings
from .study import JOURNAL
from .submission import SUBMISSION
from .trial import TRIAL_FILE, read_trial

INDEX = "sweep.json"
"""The file in a sweep's folder that maps each job, by a hash of its overrides, to its folder."""
MAX_INDEX_BYTES = 64 * 2**20
MAX_FIRST_ROWS_BYTES = 2**16
"""The bytes of rows among which one with a measured time is looked for."""
QUEUE = ".queue"
"""The folder in a root in which a service keeps what belongs to its queue as a whole."""
TRASH = ".trash"
"""The folder in a root to which a service moves the runs that are deleted."""
NO_RUNS = (QUEUE, TRASH)
WRITTEN_BY_RUNS = ("metrics.jsonl", ".lock")
"""Files beside `config.yaml` that only a run writes: no tracker copies them."""


def run_folders(
    roots: Iterable[Path], kept: KeptReadings | None = None, *, submitted: bool = False
) -> list[Path]:
    """The folders of the runs in these folders and below them, in the order of their names.

    Of a sweep these are the folders of its jobs or trials, whatever else is in its folder.
    Elsewhere it is every folder that a run has written to, or `submitted`, those that wait for
    their turn as well; of a run and its copies, the one with the most rows, or else the one with
    the shortest path.
    """
    kept = kept or KeptReadings()
    paths = {path for root in roots for path in _below(root, kept, submitted)}
    runs: dict[object, Path] = {}
    for path in sorted(paths, key=_progress):
        runs.setdefault(_identity(path, kept) or path, path)
    return sorted(runs.values(), key=_number_order)


def submitted_folders(root: Path) -> Iterator[Path]:
    """The folders below a root that were submitted to its queue, also those of searches."""
    for path in _below(root, KeptReadings(), submitted=True):
        if (path / SUBMISSION).is_file():
            yield path


def _below(root: Path, kept: KeptReadings, submitted: bool) -> Iterator[Path]:
    for above, inner, files in os.walk(root):
        inner[:] = [name for name in inner if name not in NO_RUNS]
        folder = Path(above)
        if submitted and SUBMISSION in files:
            yield folder
        if "config.yaml" in files and set(files).intersection(WRITTEN_BY_RUNS):
            if not (submitted and SUBMISSION in files):
                yield folder
            inner.clear()  # a run's folder holds no other runs
        elif jobs := list(_jobs(folder, kept)) if INDEX in files or JOURNAL in files else []:
            yield from (job for job in jobs if _has_begun(job, submitted))
            inner.clear()


def _jobs(sweep: Path, kept: KeptReadings) -> Iterator[Path]:
    """The folders of a sweep's jobs, or of a search's trials."""
    with suppress(Refused):
        yield from (sweep / name for name in read_index(sweep).values())
    for file in sweep.glob(f"*/{TRIAL_FILE}"):
        if _trial_number(file.parent, kept) == file.parent.name:
            yield file.parent


def _trial_number(path: Path, kept: KeptReadings) -> str:
    """The number of the trial in a folder; "" where its file can't be read."""
    reading = kept.reading("trial", path, [TRIAL_FILE])
    if reading.value:
        return str(reading.value.get("number"))
    with suppress(Refused):
        if about := read_trial(path):
            reading.keep({"number": about.trial})
            return str(about.trial)
    return ""


def read_index(sweep: Path) -> dict[str, str]:
    """The name of each job's folder by a hash of its overrides; empty where no job has one yet.

    Raises:
        Refused: when the file can't be read, or is no index.
    """
    path = sweep / INDEX
    try:
        index = json_value(read_plain(path, MAX_INDEX_BYTES, follow_links=False))
    except FileNotFoundError:
        return {}
    except OSError as error:
        why = str(error.strerror)
    except ValueError as error:
        why = str(error)
    else:
        if isinstance(index, dict) and all(map(_is_below, index.values())):
            return index
        why = "it must map hashes to names of folders below it"
    hint = "hydra.sweep.dir=… begins another sweep"
    raise refuse(str(path), ABSENT, f"can't be read: {why}", hint)


def _is_below(name: object) -> bool:
    """Whether it names a folder below that of the index."""
    if not isinstance(name, str) or not name or "\0" in name:
        return False
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def _has_begun(path: Path, submitted: bool) -> bool:
    """Whether there is something to tell of a job; one that failed early has a result alone."""
    folder = Folder(path)
    if submitted and (path / SUBMISSION).is_file():
        return True
    return folder.config.exists() or folder.result.exists()


def _identity(path: Path, kept: KeptReadings) -> str | None:
    """What a run and its copies have in common; None where no row tells yet.

    It is a digest of the config and of the first row that has a measured time: no two runs have
    the same ones.
    """
    reading = kept.reading("identity", path, ["config.yaml", "metrics.jsonl"])
    if digest := reading.value.get("digest"):
        return str(digest)
    with (
        suppress(OSError),
        open_plain(path / "metrics.jsonl", follow_links=False) as rows,
    ):
        for row in rows.read(MAX_FIRST_ROWS_BYTES).splitlines():
            if b'"updates_per_second"' in row and b'"updates_per_second": null' not in row:
                config = read_plain(Folder(path).config, MAX_BYTES, follow_links=False)
                digest = sha256(sha256(config).digest() + row).hexdigest()
                reading.keep({"digest": digest})
                return digest
    return None


def _progress(path: Path) -> tuple[int, int, int, Path]:
    """Sorts by the rows that were written, the most first, and then by the path's length."""
    metrics = path / "metrics.jsonl"
    size = metrics.lstat().st_size if metrics.is_file() else 0
    return -size, len(path.parts), len(str(path)), path


def _number_order(path: Path) -> list[tuple[int, str]]:
    """Sorts paths with numbers in them by the numbers' values."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in path.parts]
