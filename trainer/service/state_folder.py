"""The folder of the user in which a service keeps what outlives it: its token, and caches."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from schedules.declaration import refuse
from schedules.declaration.plain_files import read_plain

MAX_BYTES = 2**16


def state_folder() -> Path:
    """`$XDG_STATE_HOME/scheduled-training`, made where it is missing; nobody else may enter it.

    `~/.local/state` stands for a variable that is not set.

    Raises:
        Refused: when it can't be made, or is another user's.
    """
    try:
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    except RuntimeError:  # a user without a home, as in a container
        raise _unusable("~", "there is no home folder") from None
    folder = state / "scheduled-training"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_uid != os.getuid():
            raise _unusable(str(folder), "it is another user's")
        folder.chmod(0o700)
    except OSError as error:
        raise _unusable(str(folder), str(error.strerror)) from None
    return folder


def read_private(file: Path) -> str:
    """The text of a file that only its owner may read; "" where there is none.

    Raises:
        Refused: when others may read it or have written it, or it can't be read.
    """
    try:
        status = file.lstat()
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise PermissionError(0, "it is open to other users, so it is no secret")
        return read_plain(file, MAX_BYTES, follow_links=False).decode("ascii").strip()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        rule = f"can't be read: {getattr(error, 'strerror', None) or 'it is no text'}"
        raise refuse(file.name, str(file), rule, "remove it: a new one is made") from None


def write_private(file: Path, text: str) -> None:
    """Replaces a file as a whole by one that only its owner may read.

    Raises:
        OSError: when the disk refuses.
    """
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.write(f"{text}\n")
        draft.replace(file)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def _unusable(path: str, why: str) -> Exception:
    rule = f"can't be the folder of what a service keeps: {why}"
    return refuse("XDG_STATE_HOME", path, rule, "XDG_STATE_HOME=FOLDER python -m trainer.serve …")
