"""Where the server of a root is, told to the user's commands by a file of the state folder."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from .state_folder import read_private, write_private


def address_file(state: Path, root: Path) -> Path:
    """The file that tells where the server of a root is."""
    return state / f"address-{sha256(os.fsencode(root)).hexdigest()[:16]}"


def tell_address(state: Path, root: Path, address: dict[str, Any]) -> None:
    """Lets commands of the same user find this server."""
    write_private(address_file(state, root), json.dumps({**address, "process": os.getpid()}))


def told_address(state: Path, root: Path) -> dict[str, Any] | None:
    """Where the server of a root is, as the last one has said; None if none has.

    Raises:
        Refused: when the file can't be trusted.
    """
    text = read_private(address_file(state, root))
    with suppress(ValueError):
        found = json.loads(text)
        if isinstance(found, dict):
            return found
    return None
