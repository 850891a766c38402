"""`python -m trainer.service.design.worker`: answers previews and checks, a JSON line each.

A process of its own, since Hydra and the secrets that are known belong to a whole process, a config
may take long, and what others are answered meanwhile must not wait.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schedules.declaration.functions import refusing_exits

from ...runs.known_secrets import veil
from ..permissions import Permissions
from .catalogue import catalogue
from .planned_jobs import planned_jobs
from .preview import preview

Answer = dict[str, Any]


def main() -> None:
    """Reads requests from standard input, whose first line says what is allowed, until it ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a config's code prints is no answer
    allowed = json.loads(sys.stdin.readline())
    code = allowed["code"]
    permissions = Permissions(
        code if isinstance(code, bool) else tuple(code),
        tuple(map(Path, allowed["folders"])),
        allowed["config_dir"],
        tuple(allowed["trackers"]),
    )
    for line in sys.stdin:
        try:
            with refusing_exits():
                asked = json.loads(line)
                answer = json.dumps(_answer(asked, permissions))
        except Exception:
            print(veil(traceback.format_exc()), file=sys.stderr, flush=True)
            answer = json.dumps({"error": "the preview failed; the server's log has more"})
        answers.write(f"{answer}\n")
        answers.flush()


def _answer(asked: Mapping[str, Any], permissions: Permissions) -> Answer:
    if asked.get("kinds"):
        return catalogue()
    if submission := asked.get("submission"):
        return planned_jobs(submission, permissions)
    return preview(asked, permissions)


if __name__ == "__main__":
    main()
