"""`python -m trainer.report DIR…`: many runs as one table and one page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .runs.report import written
from .runs.results import found


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes `sweep.csv` and `report.html` about all runs in the given folders."""
    parser = argparse.ArgumentParser(prog="python -m trainer.report", description=main.__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="where runs are")
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: the first DIR")
    asked = parser.parse_args(arguments)
    missing = [str(folder) for folder in asked.folders if not folder.is_dir()]
    if missing or not (runs := found(asked.folders)):
        print(f"no run in {', '.join(missing or map(str, asked.folders))}", file=sys.stderr)
        sys.exit(2)
    print(written(runs, asked.output or asked.folders[0]))


if __name__ == "__main__":
    main()
