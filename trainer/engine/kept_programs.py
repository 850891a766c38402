"""XLA's machine code, kept from run to run in the user's cache: a second start need not compile.

TensorFlow writes and reads the files itself, and names them by a hash of the program. It asks for
neither the processor nor the number of threads that the code was made for, so there is a folder for
each machine. It ends in an error at a spoilt file, so whatever has no sum of ours is removed first.
"""

from __future__ import annotations

import atexit
import json
import os
import platform
import re
from collections.abc import Sequence
from contextlib import suppress
from hashlib import file_digest, sha256
from importlib.metadata import version
from pathlib import Path
from shutil import disk_usage, rmtree
from stat import S_ISDIR

from schedules.declaration.plain_files import read_plain

from ..runs.atomic_files import process_lives, write
from ..runs.provenance import processor, processor_features, usable_cores
from ..runs.user_cache import cache_folder

FLAGS = "TF_XLA_FLAGS"
"""The variable that TensorFlow reads when it looks for devices, and never again."""
DIRECTORY = "--tf_xla_persistent_cache_directory"
PROCESSORS = "--tf_xla_persistent_cache_device_types=CPU"
MAX_BYTES = 128 * 2**20
"""The bytes of programs that are kept for a machine, the newest ones; each has about half a million
to two."""
SUM = ".sha256"


def announce_programs() -> None:
    """Tells TensorFlow of a place for what XLA compiles, which `keep_programs` then makes a folder.

    TensorFlow hears of it only before its devices are looked for, when it is not yet known how many
    threads it takes. Flags of the user's own that name a directory are left as they are. Where
    nothing can be written it is told of none: it would end in an error after compiling.
    """
    place, flags = _place(), _flags()
    quotable = not re.search(r"\s", str(place))
    if DIRECTORY not in flags and quotable and _can_be_written(_root()):
        flags = f"{flags} {DIRECTORY}={place} {PROCESSORS}".strip()
    if flags:
        os.environ[FLAGS] = flags
    else:
        os.environ.pop(FLAGS, None)


def keep_programs(threads: int, *, deterministic: bool) -> None:
    """Has what XLA compiles in this process kept, and taken from processes before it.

    Operations may take `threads`.
    """
    place = _place()
    if str(place) not in os.environ.get(FLAGS, "") or place.is_symlink():
        return
    folder = _root() / _machine([threads, deterministic, _flags(), os.environ.get("XLA_FLAGS")])
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if all(map(_is_private, (_root(), folder))):  # what others may write is not to run here
            _remove_dead(_root())
            _remove_unsound(folder)
            place.symlink_to(folder.name, target_is_directory=True)
            atexit.register(place.unlink, missing_ok=True)


def seal_programs() -> None:
    """Writes the sums of what has been compiled, so that a later process trusts it."""
    with suppress(OSError):
        for file in _place().glob("*.pb"):
            if not _sum_file(file).exists():
                write(_sum_file(file), _sum(file))


def _root() -> Path:
    return cache_folder() / "programs"


def _place() -> Path:
    """Where TensorFlow looks in this process: a link, once it is known to which folder."""
    return _root() / f"{platform.node()}.{os.getpid()}"


def _flags() -> str:
    """The flags of the user's own, without those that a parent of this process may have set."""
    own = re.escape(f"{DIRECTORY}={_root()}{os.sep}") + r"\S*"
    return re.sub(rf"{own}|{PROCESSORS}", "", os.environ.get(FLAGS, "")).strip()


def _can_be_written(root: Path) -> bool:
    """Whether there is such a folder by now, only ours, with room for what is kept of a machine."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        room = disk_usage(root).free
        return _is_private(root) and os.access(root, os.W_OK | os.X_OK) and room > 2 * MAX_BYTES
    except OSError:
        return False


def _is_private(folder: Path) -> bool:
    """Whether nobody else can put anything into a folder."""
    state = folder.lstat()
    return S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not state.st_mode & 0o022


def _remove_dead(root: Path) -> None:
    """Removes the places of processes of this machine that are no more."""
    for place in root.glob(f"{platform.node()}.*"):
        if process_lives(int(place.name.rpartition(".")[2])):
            continue
        if place.is_symlink():
            place.unlink(missing_ok=True)
        else:  # TensorFlow made a folder of it, as there was no link
            rmtree(place, ignore_errors=True)


def _machine(settings: Sequence[object]) -> str:
    """The name of a folder: a hash of what machine code depends on besides its program."""
    versions = [version(name) for name in ("tensorflow", "keras")]
    cores = len(usable_cores())
    described = [versions, processor(), processor_features(), cores, *settings]
    return sha256(json.dumps(described).encode()).hexdigest()[:32]


def _remove_unsound(folder: Path) -> None:
    """Removes files that are not as they were sealed, and the oldest of too many."""
    left = MAX_BYTES
    files = sorted(folder.glob("*.pb"), key=lambda file: file.lstat().st_mtime, reverse=True)
    for file in files:
        left -= file.lstat().st_size
        if left < 0 or not _is_sound(file):
            file.unlink(missing_ok=True)
            _sum_file(file).unlink(missing_ok=True)


def _is_sound(file: Path) -> bool:
    try:
        return not file.is_symlink() and read_plain(_sum_file(file), 64) == _sum(file).encode()
    except OSError:  # a sum is missing
        return False


def _sum(file: Path) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _sum_file(file: Path) -> Path:
    return file.with_name(file.name + SUM)
