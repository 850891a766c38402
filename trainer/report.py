"""`python -m trainer.report DIR…`: many runs as one table and one page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from schedules.interrupt import exiting_when_interrupted

from .runs.kept_readings import kept_readings
from .runs.report import write_report
from .runs.results import find_runs
from .runs.terminal import lenient_streams


@exiting_when_interrupted()
@lenient_streams()
def main(arguments: Sequence[str] | None = None) -> None:
    """Writes `sweep.csv` and `report.html` about all runs in the given folders."""
    parser = argparse.ArgumentParser(prog="python -m trainer.report", description=main.__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="where runs are")
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: the first DIR")
    options = parser.parse_args(arguments)
    missing = [str(folder) for folder in options.folders if not folder.is_dir()]
    with kept_readings() as kept:
        runs = [] if missing else find_runs(options.folders, kept)
    if not runs:
        print(f"no run in {', '.join(missing or map(str, options.folders))}", file=sys.stderr)
        sys.exit(2)
    print(write_report(runs, options.output or options.folders[0]))


if __name__ == "__main__":
    main()
