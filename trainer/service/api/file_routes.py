"""`/runs/ID/log` and `/runs/ID/files`: text from its end, and files to be saved."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from schedules.declaration.plain_files import open_plain

from ...runs.known_secrets import veil
from ..gate import safe_file_headers
from ..problems import ServiceError
from ..running_service import RunningService
from .run_routes import RunId

STREAMS = {"output": "output.log", "errors": "errors.log", "tensorflow": "tensorflow.log"}
"""The logs that a run may have, and their files."""
DEFAULT_TAIL = -(2**16)
MAX_LOG_BYTES = 2**20
MAX_FILES = 10_000
MAX_DEPTH = 8
HIDDEN = ("commands",)
"""Folders that are not listed: letters to a run are its owner's."""
CHUNK = 2**18
FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def file_routes(service: RunningService) -> APIRouter:
    """The routes of logs and files."""
    router = APIRouter(tags=["files"])

    @router.get("/runs/{run}/log")
    def log(
        run: RunId,
        stream: Annotated[str, Query(pattern="^(output|errors|tensorflow)$")] = "output",
        begin: Annotated[
            int,
            Query(
                alias="from",
                ge=-MAX_LOG_BYTES,
                le=2**62,
                description="the first byte; counted from the end where it is negative",
            ),
        ] = DEFAULT_TAIL,
        to: Annotated[int | None, Query(ge=0, le=2**62)] = None,
    ) -> dict[str, Any]:
        """A part of a log of at most 1 MiB, as text: a letter that the part cuts is left out.

        Lines that a progress bar has written over one another are given as they were at last. `to`
        of one answer is `from` of the next.
        """
        path = service.path(run) / STREAMS[stream]
        streams = [name for name, file in STREAMS.items() if (path.parent / file).is_file()]
        try:
            with open_plain(path, follow_links=False) as file:
                size = os.fstat(file.fileno()).st_size
                start = min(max(0, size + begin) if begin < 0 else begin, size)
                end = min(size if to is None else to, size, start + MAX_LOG_BYTES)
                file.seek(start)
                content = file.read(max(0, end - start))
        except FileNotFoundError:
            return {"text": "", "from": 0, "to": 0, "size": 0, "streams": streams}
        except OSError as error:
            raise ServiceError(404, f"the log can't be read: {error.strerror}") from None
        skipped, content = _whole_letters(content)
        return {
            "text": veil(_overwritten(content.decode("utf-8", "replace"))),
            "from": start + skipped,
            "to": start + skipped + len(content),
            "size": size,
            "streams": streams,
        }

    @router.get("/runs/{run}/files")
    def files(run: RunId) -> dict[str, Any]:
        """The files of a run: names, sizes in bytes, and times in seconds since 1970."""
        found: list[dict[str, Any]] = []
        for name, status in _files(service.path(run)):
            if len(found) == MAX_FILES:
                break
            found.append({"name": name, "size": status.st_size, "changed": status.st_mtime})
        return {"files": sorted(found, key=lambda file: str(file["name"]))}

    @router.get("/runs/{run}/files/{name:path}", response_class=StreamingResponse)
    def one_file(run: RunId, name: str) -> StreamingResponse:
        """A file that the list has, to be saved: it may be a page or a script of anybody's."""
        return saved_file(service.path(run), name)

    return router


def saved_file(folder: Path, name: str) -> StreamingResponse:
    """A file below a folder, to be saved, and never to be shown or run.

    Raises:
        ServiceError: a 404 for what the list has not.
    """
    descriptor = _opened(folder, name)
    size = os.fstat(descriptor).st_size
    headers = {**safe_file_headers(name.rpartition("/")[2]), "Content-Length": str(size)}
    return StreamingResponse(
        _content(descriptor, size), headers=headers, media_type="application/octet-stream"
    )


def _files(folder: Path, above: str = "", depth: int = 0) -> Iterator[tuple[str, os.stat_result]]:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or (not above and entry.name in HIDDEN):
                continue
            name = f"{above}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if depth < MAX_DEPTH:
                    yield from _files(folder / entry.name, f"{name}/", depth + 1)
            elif entry.is_file(follow_symlinks=False) and _is_text(name):
                with suppress(OSError):
                    yield name, entry.stat(follow_symlinks=False)


def _is_text(name: str) -> bool:
    """Whether a file's name is one that JSON and an address can hold."""
    with suppress(UnicodeEncodeError):
        return bool(name.encode())
    return False


def _opened(folder: Path, name: str) -> int:
    """A descriptor of a file in a run's folder, whatever is renamed or linked there meanwhile.

    Every part of the name is opened in the folder before it, and none may be a link.

    Raises:
        ServiceError: a 404 for what the list has not.
    """
    parts = name.split("/")
    is_plain = all(part and not part.startswith(".") and "\0" not in part for part in parts)
    missing = ServiceError(404, "the run has no such file")
    if not is_plain or parts[0] in HIDDEN or len(parts) > MAX_DEPTH + 1:
        raise missing
    opened = -1
    try:
        opened = os.open(folder, FOLDER_FLAGS)
        for place, part in enumerate(parts):
            flags = FILE_FLAGS if place == len(parts) - 1 else FOLDER_FLAGS
            inner = os.open(part, flags, dir_fd=opened)
            os.close(opened)
            opened = inner
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise missing
    except (OSError, ServiceError):
        if opened >= 0:
            os.close(opened)
        raise missing from None
    return opened


def _content(descriptor: int, size: int) -> Iterator[bytes]:
    """The bytes that a file had when it was opened; one that grows is cut there."""
    try:
        position = 0
        while position < size:
            chunk = os.pread(descriptor, min(CHUNK, size - position), position)
            if not chunk:
                return
            yield chunk
            position += len(chunk)
    finally:
        os.close(descriptor)


def _whole_letters(content: bytes) -> tuple[int, bytes]:
    """How many bytes of a letter cut in two come first, and the content without cut letters."""
    skipped = 0
    while skipped < min(3, len(content)) and content[skipped] & 0xC0 == 0x80:
        skipped += 1
    content = content[skipped:]
    for back in range(1, min(4, len(content)) + 1):
        byte = content[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return skipped, content[:-back] if length > back else content
    return skipped, content


def _overwritten(text: str) -> str:
    r"""A text in which a line that begins anew at a carriage return is as it was at last.

    >>> _overwritten("10%\r20%\r\nnext\r")
    '20%\nnext\r'
    """
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line[line.rstrip("\r").rfind("\r") + 1 :] for line in lines)
