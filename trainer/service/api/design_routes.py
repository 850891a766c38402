"""`/preview`, `/kinds`, `/schema` and `/options`: all that a form for a config needs."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

import yaml
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from schedules.schema import json_schema

from ...config.conf_folder import CONF
from ..design.previewer import KINDS
from ..problems import ServiceError
from ..run_references import with_folders
from ..running_service import RunningService

MAX_POINTS = 10_000
MAX_STEP = 10**9


Text = Annotated[str, Field(max_length=2**18)]
Override = Annotated[str, Field(max_length=20_000)]


class PreviewRequest(BaseModel):
    """A config, as a command line and a file say it, and what of its curves to draw."""

    model_config = ConfigDict(extra="forbid", strict=True)

    overrides: Annotated[
        list[Annotated[str, Field(max_length=20_000)]], Field(max_length=1000)
    ] = []
    """The overrides of a command line: `schedule=cosine`, `run.length=5 epochs`.

    In `rerun`, `run.replay` and `init_from` the id of a run stands for its folder, or its events.
    """
    values: dict[str, Any] | Text | None = None
    """A config that the overrides win over, as YAML or as it is."""
    names: Annotated[list[str], Field(max_length=1000)] | None = None
    """The scheduled values to draw; all where there are none."""
    begin: Annotated[int | None, Field(alias="from", ge=0, le=MAX_STEP)] = None
    """The first step to draw."""
    to: Annotated[int | None, Field(ge=0, le=MAX_STEP)] = None
    """The step behind the last."""
    points: Annotated[int, Field(ge=1, le=MAX_POINTS)] = 900
    """How many columns of pixels a drawing has; each keeps its first, lowest, highest and last."""


def design_routes(service: RunningService) -> APIRouter:
    """The routes of whoever designs a config. Nothing of this writes anything."""
    router = APIRouter(tags=["design"])
    known_kinds: dict[str, Any] = {}

    @router.post("/preview")
    async def preview(asked: PreviewRequest, request: Request) -> dict[str, Any]:
        """What a config would train: the values that every scheduled number will have.

        `curves` have the steps and values by which each is drawn exactly: of each column of pixels
        the first, the lowest, the highest and the last one, and both sides of each boundary. A 422
        has `problems`, and beside them as much of the rest as could be told.
        """
        question = asked.model_dump(by_alias=True)
        question["overrides"] = with_folders(asked.overrides, service.index.path)
        answer = await service.previewer.answer(question, request.is_disconnected)
        problems = answer.pop("problems")
        if problems:
            raise ServiceError(422, _sentence(problems), problems, preview=answer)
        return answer

    @router.get("/kinds")
    async def kinds(request: Request) -> dict[str, Any]:
        """Every kind of every group, with its formula, its fields, their bounds and defaults."""
        if not known_kinds:
            # Only the worker has imported them all.
            known_kinds.update(await service.previewer.answer(KINDS, request.is_disconnected))
        return known_kinds

    @router.get("/schema")
    def schema() -> dict[str, Any]:
        """The JSON Schema of a schedule, with every kind under `$defs`."""
        return json_schema()

    @router.get("/options")
    def options() -> dict[str, Any]:
        """The options of each group, `schedule=cosine`, with the values that they stand for."""
        return _options()

    return router


@cache
def _options() -> dict[str, Any]:
    groups: dict[str, Any] = {}
    for folder in sorted(group for group in CONF.iterdir() if group.is_dir()):
        found = {}
        for file in sorted(folder.glob("*.yaml")):
            text = file.read_text(encoding="utf-8")
            comment = [line[2:] for line in text.splitlines() if line.startswith("# ")]
            prose = [line for line in comment if not line.startswith("@")]
            found[file.stem] = {"help": " ".join(prose), "values": yaml.safe_load(text)}
        if found:
            groups[folder.name] = found
    return {"groups": groups}


def _sentence(problems: list[dict[str, Any]]) -> str:
    return "; ".join(f"{problem['path']}: {problem['rule']}" for problem in problems)
