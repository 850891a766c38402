"""`python -m trainer.predict RUN_DIR [data=…]`: what the network of a run says of examples."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from schedules.declaration import Refused, refuse, within
from schedules.interrupt import exiting_when_interrupted

from .commands.predict import (
    PARTS,
    RawPredictions,
    check_inputs,
    check_option,
    is_encoded,
    number_names,
    predict,
)
from .commands.predicted import FORMATS, check_rows, unlabelled
from .commands.raw_files import read_inputs
from .commands.restored import MismatchError, Restored, declared
from .commands.same_facts import check_same_facts
from .config.allow_code import is_typed_permission
from .data import Preparation
from .data.facts import Feature
from .data.raw_data import RawData
from .data.sources.images import ImageFiles
from .data.sources.in_memory import MISSING, GivenData
from .data.sources.tables import Table
from .data.trees import Tree, leaves, map_tree, named_leaves
from .engine.startup import import_tensorflow, stderr_to
from .losses.step_loss import StepLoss
from .models.exports import Weights
from .runs.exit_codes import DONE, FAILED, REFUSED
from .runs.folder import Folder
from .runs.terminal import lenient_streams

RESIZING = ("data.size=", "data.resize=")
"""What may be said of the images that are given as raw inputs."""
PART_HELP = "test, train or all; of windows also next, which is not known yet (%(default)s)"


@exiting_when_interrupted()
@lenient_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """Predicts, writes it down, prints how good it is; gives the exit code: 0, 1 or 2."""
    parser = argparse.ArgumentParser(
        "python -m trainer.predict",
        description="Tell what the network of a run says of its data, or of others of that shape.",
    )
    parser.add_argument("run", type=Path, help="the folder of the run", metavar="RUN_DIR")
    parser.add_argument(
        "overrides", nargs="*", metavar="override", help="data=… for other data, device=cpu"
    )
    parser.add_argument(
        "--weights",
        help="final, best or ema; those that the last evaluation looked at, if left out",
    )
    parser.add_argument("--part", default="test", help=PART_HELP)
    parser.add_argument(
        "--inputs",
        type=Path,
        metavar="FILE",
        help="raw inputs without labels, in place of data: .npy, .npz (by name), .csv or .parquet "
        "(columns), an image, a folder of images, or records",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("predictions.csv"),
        help="a row an example in .csv, the array of outputs in .npy, or in .npz each by its name "
        "(%(default)s)",
    )
    options = parser.parse_intermixed_args(arguments)
    try:
        return _predict(options)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return REFUSED
    except MismatchError as error:
        print(f"the checkpoint in {options.run} does not fit: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:
        print(f"{error.filename or options.run}: {error.strerror or error}", file=sys.stderr)
        return FAILED


def _predict(options: argparse.Namespace) -> int:
    run, overrides, weights = options.run, options.overrides, options.weights
    part, output = options.part, options.output
    check_option("--weights", weights, (None, *get_args(Weights)))
    check_option("--part", part, PARTS)
    check_option("--output", output.suffix, FORMATS)
    if not output.absolute().parent.is_dir():
        raise refuse("--output", str(output), "is in a folder that is not there")
    before = declared(run, list(filter(is_typed_permission, overrides)), ())
    experiment = declared(run, overrides, ["data", "device"])
    here = before.model_copy(update={"device": experiment.device})
    this = Restored.of(here, Folder(run), weights)
    if not isinstance(before.loss, StepLoss):  # whose network may give what it likes
        check_rows(output, before.data.facts().output_shapes)
    data = experiment.data
    if isinstance(data, RawData):
        data = data.of_lengths(this.preparation)
        experiment = experiment.model_copy(update={"data": data})
    columns = this.preparation.raw_columns
    if options.inputs is not None:
        if typed := [o for o in overrides if o.startswith("data") and not o.startswith(RESIZING)]:
            rule = f"says what to predict, and so does {typed[0]}"
            raise refuse("--inputs", str(options.inputs), rule, "leave out one of the two")
        return _unlabelled(this, run, read_inputs(options.inputs, this.preparation, data), output)
    if isinstance(data, GivenData):
        hint = "--inputs=FILE.npy, .npz or .csv for others; data=… for others with labels"
        raise refuse("data.kind", data.kind, MISSING, hint)
    if part == "next":
        if not isinstance(data, RawData) or data.window is None:
            rule = "is the label after the last rows, and the run has no windows of rows"
            raise refuse("--part", part, rule, "--part=test")
        with within("data"):
            return _unlabelled(this, run, data.latest(columns), output)
    if isinstance(data, RawData):
        with within("data"):
            if not data.has_labels(columns):
                return _unlabelled(this, run, data.unlabelled(columns), output)
    if isinstance(data, Table):
        experiment = experiment.model_copy(update={"data": data.of_columns(columns)})
    now = experiment.data.facts()
    if isinstance(data, RawData):
        now = replace(now, inputs=_as_prepared(now.inputs, this.preparation))
    check_same_facts(before.data.facts(), now)
    print(f"predicting by the {this.weights} weights of step {this.saved.step}", flush=True)
    import_tensorflow(Folder(run).tensorflow_log)
    with stderr_to(Folder(run).tensorflow_log):
        predicted = predict(this, experiment, part)
    predicted.save(output)
    metrics = "  ".join(f"{name} {value:.6g}" for name, value in predicted.metrics.items())
    metrics = metrics or "not measured, since the step of a program is not here"
    of = f"{len(predicted):,} examples of {experiment.data.kind} ({part})"
    print(f"{metrics}  on {of}, in {output}")
    return DONE


def _unlabelled(this: Restored, run: Path, raw: Any, output: Path) -> int:
    """Predicts examples that have no labels."""
    print(f"predicting by the {this.weights} weights of step {this.saved.step}", flush=True)
    if not is_encoded(raw):  # else TensorFlow decodes them
        raw = map_tree(lambda x: x[:], raw)
        check_inputs(this.preparation.apply(raw))
    import_tensorflow(Folder(run).tensorflow_log)
    with stderr_to(Folder(run).tensorflow_log):
        predictions = RawPredictions(this)
        outputs = predictions(raw)
    files = raw.names if isinstance(raw, ImageFiles) else ()
    unlabelled(outputs, predictions.class_names, number_names(this), files).save(output)
    print(f"{len(leaves(outputs)[0]):,} examples without labels, in {output}")
    return DONE


def _as_prepared(inputs: Tree[Feature], preparation: Preparation) -> Tree[Feature]:
    """The inputs of other data as the run's preparation makes them, where both have the names."""
    run = dict(named_leaves(preparation.features()))
    prepared: dict[str, Any] = dict(named_leaves(preparation.inputs))
    learnt = {name for name, one in prepared.items() if one.kind != "number"}
    if not isinstance(inputs, Mapping):
        return inputs
    return {name: run[name] if name in learnt else one for name, one in inputs.items()}


if __name__ == "__main__":
    sys.exit(main())
