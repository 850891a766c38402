"""How quickly the service answers, and what it takes: writes it to BENCHMARKS.md.

    python scripts/bench/service.py [--quick] [--only PART …] [--peers PYTHON] [--output FILE]

Makes temporary folders of runs, and starts `python -m trainer.serve` on them as a process of its
own, with the client beside it. `--only jobs` sends ten thousand jobs through a queue. `--peers`
names a Python that has MLflow and TensorBoard, whose servers are asked for the same; one that is
missing is said to be. All is written between two lines of the file, its last ones where it has none
such yet; what stands outside of them stays.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from part import Part  # noqa: E402  # beside this file
from service_charts import charts  # noqa: E402
from service_jobs import jobs  # noqa: E402
from service_lists import lists  # noqa: E402
from service_page import page  # noqa: E402
from service_peers import peers  # noqa: E402
from service_scale import FULL, QUICK, ServiceScale  # noqa: E402
from service_viewers import viewers  # noqa: E402
from table import CHECKOUT, put, written  # noqa: E402

BEGIN, END = "<!-- service: begin -->", "<!-- service: end -->"
TITLE = "## The service"
PARTS: dict[str, Callable[[ServiceScale], Part]] = {
    "lists": lists,
    "charts": charts,
    "page": page,
    "viewers": viewers,
    "jobs": jobs,
}
"""The parts but for `peers`, which may need another Python."""


def main(arguments: list[str] | None = None) -> None:
    """Measures, says what it finds as it goes, and writes it down."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    choices = [*PARTS, "peers"]
    options.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    options.add_argument("--only", nargs="+", choices=choices, default=choices)
    options.add_argument("--peers", default=sys.executable, help="a Python that has the others")
    options.add_argument("--output", type=Path, default=CHECKOUT / "BENCHMARKS.md")
    asked = options.parse_args(arguments)
    parts = []
    for name in asked.only:
        measured = PARTS.get(name) or partial(peers, python=asked.peers)
        parts.append(measured(QUICK if asked.quick else FULL))
        for mark in parts[-1].marks:
            print(*mark.cells(), sep="  ", flush=True)
    put(asked.output, "\n\n".join([TITLE, *written(parts)]), BEGIN, END)
    print(f"written to {asked.output}")


if __name__ == "__main__":
    main()
