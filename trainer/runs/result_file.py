"""`result.json`: how the last process on a run's folder ended, read as far as it can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schedules.declaration import ABSENT, refuse
from schedules.declaration.plain_files import json_value, read_plain

MAX_BYTES = 4 * 2**20


class _Result(BaseModel):
    """What is relied on where a result is read; there is more for people to read."""

    model_config = ConfigDict(extra="allow", strict=True)

    status: Literal["done", "stopped", "interrupted", "failed", "pruned"]
    reason: str = ""
    diverged: bool = False
    steps: Annotated[int, Field(ge=0, lt=2**63)] = 0
    metrics: dict[str, float] = Field(default_factory=dict)
    stopped_early: dict[str, Any] | None = None
    weights_digest: str = ""
    seconds: float = 0.0
    versions: dict[str, Any] = Field(default_factory=dict)


def read_result(path: Path) -> dict[str, Any] | None:
    """What a `result.json` holds, with 0 steps and no metrics where it names none.

    None where there is no such file.

    Raises:
        Refused: when it can't be read, or is no result.
    """
    try:
        content = json_value(read_plain(path, MAX_BYTES, follow_links=False))
        _Result.model_validate(content)
    except FileNotFoundError:
        return None
    except ValidationError as error:
        [first, *_] = error.errors()
        where = ".".join(map(str, first["loc"]))
        why = ": ".join(filter(None, (where, first["msg"])))
    except OSError as error:
        why = str(error.strerror)
    except ValueError as error:
        why = str(error)
    else:
        return {"steps": 0, "metrics": {}, **content}
    hint = "remove it: the same command goes on from the newest checkpoint and writes it anew"
    raise refuse(str(path), ABSENT, f"can't be read as a result: {why}", hint)
