"""`/health` and `/links`: how the server is, and a link for one more browser."""

from __future__ import annotations

import os
from typing import Any

from fastapi import APIRouter

from ..exposure import Exposure
from ..running_service import RunningService


def server_routes(service: RunningService, exposure: Exposure) -> APIRouter:
    """The routes that are about the server itself."""
    router = APIRouter(tags=["server"])

    @router.get("/health")
    def health() -> dict[str, Any]:
        """Whether all folders were read, and what the server may do."""
        return {
            "root": str(service.root),
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
