"""`python -m trainer.export RUN_DIR export=…`: the model of a run, in a file for others to use."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from schedules.declaration import ABSENT, Refused, did_you_mean, refuse
from schedules.interrupt import exiting_when_interrupted

from .commands.checks import check_export
from .commands.export import exported
from .commands.export_file import ExportError
from .commands.restored import declared
from .models.exports import Export
from .runs.exit_codes import DONE, FAILED, REFUSED
from .runs.folder import Folder
from .runs.terminal import lenient_streams


@exiting_when_interrupted()
@lenient_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """Exports the model of a run and gives the exit code: 0, 1 for a failure, 2 for a refusal."""
    parser = argparse.ArgumentParser(
        "python -m trainer.export", description="Write the model of a run to a file."
    )
    parser.add_argument("run", type=Path, help="the folder of the run", metavar="RUN_DIR")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="override",
        help="export=keras, =saved_model or =onnx, export.weights=best, =ema or =final, device=cpu",
    )
    options = parser.parse_args(arguments)
    try:
        experiment = declared(options.run, options.overrides, ["export", "device"])
        if experiment.export is None:
            hint = did_you_mean("", Export.kinds)
            raise refuse("export", ABSENT, "is required for this run", hint)
        check_export(experiment)
        print(exported(experiment, Folder(options.run)))
    except Refused as refused:
        print(refused, file=sys.stderr)
        return REFUSED
    except OSError as error:
        print(f"{error.filename or options.run}: {error.strerror or error}", file=sys.stderr)
        return FAILED
    except ExportError as failed:
        print(failed, file=sys.stderr)
        return FAILED
    return DONE


if __name__ == "__main__":
    sys.exit(main())
