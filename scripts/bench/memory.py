"""What a long run takes of memory besides TensorFlow, model, optimizer and data.

    python scripts/bench/memory.py [UPDATES]

Trains the small network in this process and prints, as JSON, the megabytes that it took more than
before its loop was compiled, at most; and the growth over the last nine tenths of the updates.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from peer_jobs import job  # beside this file
from peers import trainer


def resident() -> float:
    """The megabytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def found(run: Callable[[float], tuple[int, float]], before: float, updates: int) -> dict[str, Any]:
    """What training holds beyond `before`, and by how much that grows."""
    made, held = 0, []
    while made < updates:
        made += run(1.0)[0]
        held.append((made, resident()))
    early = max(size for at, size in held if at <= max(updates / 10, held[0][0]))
    most = max(size for _, size in held)
    return {"updates": made, "beyond": most - before, "growth": held[-1][1] - early}


def main(updates: int) -> None:
    """Prints what was found."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from trainer.engine import program

    before: list[float] = []
    init = program.Program.__init__

    def noting(*given: object, **more: object) -> None:
        """The network and the data are there when the first program is made."""
        before.append(resident())
        init(*given, **more)  # type: ignore[arg-type]

    program.Program.__init__ = noting  # type: ignore[method-assign]
    run = trainer(job("mlp", []))
    print(json.dumps(found(run, before[0], updates)), file=answers)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
