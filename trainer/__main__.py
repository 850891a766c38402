"""`python -m trainer [overrides]`: compose, validate, say what will happen, train."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from schedules import Refused, picture

from .configuration import CONF, VERSION_BASE, explaining, plain, widened
from .experiment import Experiment
from .explain import located
from .finding import find
from .folder import Folder
from .hidden import hidden, veiled
from .preface import looked_over, preface
from .training import run, tell

REFUSED = 2


def main() -> None:
    """Runs Hydra's command line and exits with 0, 1, 2 or 128 + a signal's number."""
    # Hydra prints what goes wrong and exits with 1; with this it raises, and we can tell.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    asked = sys.argv[1:]
    codes: list[int] = []

    def job(config: DictConfig) -> None:
        # What a job raises, Hydra announces with words of its own; and after an interrupted job it
        # would begin the next.
        with telling(codes):
            if not any(code > 128 for code in codes):
                codes.append(train(config))

    with telling(codes), explaining(asked):
        sys.argv[1:] = widened(veiled(asked))
        hydra.main(version_base=VERSION_BASE, config_path=str(CONF), config_name="config")(job)()
    sys.exit(max(codes, default=0))


@contextmanager
def telling(codes: list[int]) -> Iterator[None]:
    """Prints a refusal that the block raises, without a traceback, and notes its exit code."""
    try:
        yield
    except Refused as refused:
        print(refused, file=sys.stderr)
        codes.append(REFUSED)
    except KeyboardInterrupt:
        codes.append(128 + signal.SIGINT)


def train(config: DictConfig) -> int:
    """One run, from the composed config to its exit code.

    Raises:
        Refused: before TensorFlow is imported, leaving nothing behind.
    """
    composed = HydraConfig.get()
    path = Path(composed.runtime.output_dir)
    try:
        instead = hidden(OmegaConf.to_container(config, resolve=False))
        experiment = Experiment.declared(plain(config))
        curves = experiment.curves()
        warnings = looked_over(experiment, curves)
    except Refused as refused:
        _remove_if_empty(path)
        folders = [
            Path(source.path)
            for source in composed.runtime.config_sources
            if source.schema == "file"
        ]
        overrides, choices = composed.overrides.task, composed.runtime.choices
        raise located(refused, overrides, choices, folders) from None
    folder = Folder(path)
    with folder.locked():
        declared = folder.declare(experiment, instead)
        if declared is not experiment:
            experiment, curves = declared, declared.curves()
        if experiment.mode == "lr_find":
            return find(experiment, folder)
        ended = folder.ended()
        if ended and ended["status"] == "done" and ended["steps"] == experiment.total_steps():
            tell(ended, folder)
            return 0
        print(preface(experiment, curves), *warnings, sep="\n")
        for name in experiment.code():
            print(f"runs code that the config names: {name}")
        folder.picture.write_text(picture.svg(curves, experiment.clock()), encoding="utf-8")
        return run(experiment, folder)


def _remove_if_empty(path: Path) -> None:
    """Hydra makes the run folder before it asks us; a refused run leaves none."""
    try:
        path.rmdir()
    except OSError:  # it holds something, or is not there
        return


if __name__ == "__main__":
    main()
