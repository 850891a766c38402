"""`/health` and `/links`: how the server is, and a link for one more browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from ..exposure import Exposure
from ..running_service import RunningService


def server_routes(service: RunningService, exposure: Exposure) -> APIRouter:
    """The routes that are about the server itself."""
    router = APIRouter(tags=["server"])

    @router.get("/health")
    def health() -> dict[str, Any]:
        """Whether all folders were read, and what the server may do.

        `address` is that of the page, and relative paths of configs lead from `folder`.
        """
        return {
            "root": str(service.root),
            "address": exposure.link(service.tokens.port, "/"),
            "folder": str(Path.cwd()),
            "process": os.getpid(),
            "complete": service.watcher.complete.is_set(),
            "version": service.index.version,
            "writable": os.access(service.root, os.W_OK),
        }

    @router.post("/links", status_code=201)
    def new_link() -> dict[str, str]:
        """A path that lets one browser in, once; and its `address`, which is that of a proxy."""
        path = f"/?link={service.tokens.new_link()}"
        return {"path": path, "address": exposure.link(service.tokens.port, path)}

    return router
