"""`python -m trainer [overrides]`: compose, validate, say what will happen, train."""

from __future__ import annotations

from schedules.declaration.gc_pause import gc_paused

with gc_paused(freeze=True):
    import logging
    import os
    import signal
    import sys
    from collections.abc import Iterator
    from contextlib import ExitStack, contextmanager
    from pathlib import Path

    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import DictConfig

    from schedules import Refused
    from schedules.interrupt import exiting_when_interrupted

    from .commands.job import Job
    from .config.conf_folder import CONF
    from .config.hydra import (
        VERSION_BASE,
        flags_last,
        normalize_overrides,
        refusing_hydra_errors,
    )
    from .config.hydra_flags import check_flags
    from .config.hydra_loader import checked_configs
    from .config.secret_values import with_secrets_in_environment
    from .runs.exit_codes import FAILED, REFUSED
    from .runs.footprint import made_folders, remove_made
    from .runs.known_secrets import know_environment
    from .runs.report import REPORT_SECONDS, refresh
    from .runs.terminal import lenient_streams
    from .sweeps.dry_run import is_dry_run, show
    from .sweeps.jobs import JobError, SweepError


@exiting_when_interrupted()
@lenient_streams()
def main() -> None:
    """Runs Hydra's command line and exits with 0, 1, 2 or 128 + a signal's number."""
    # Hydra prints what goes wrong and exits with 1; with this it raises, and we can tell.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    know_environment()
    arguments = sys.argv[1:]
    codes: list[int] = []
    main_process = os.getpid()
    made = made_folders()

    def job(config: DictConfig) -> None:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            one_of_many(config, main_process)
        else:
            # What a job raises, Hydra announces with words of its own.
            with reporting(codes):
                codes.append(train(config))
            if codes[-1] == REFUSED:  # Hydra makes the run folder before it asks us
                remove_made(Path(HydraConfig.get().runtime.output_dir))

    with reporting(codes), refusing_hydra_errors(arguments), checked_configs():
        check_flags(arguments)
        sys.argv[1:] = normalize_overrides(with_secrets_in_environment(flags_last(arguments)))
        if is_dry_run(sys.argv[1:]):
            show(sys.argv[1:])
            sys.exit()
        hydra.main(version_base=VERSION_BASE, config_path=str(CONF), config_name="config")(job)()
    code = max(codes, default=0)
    if code == REFUSED:
        made.remove_empty()
    if code > 128:  # all is written, and taking TensorFlow down takes seconds that nobody has
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


@contextmanager
def reporting(codes: list[int]) -> Iterator[None]:
    """Prints a refusal or failure that the block raises, and appends its exit code."""
    try:
        yield
    except Refused as refused:
        print(refused, file=sys.stderr)
        codes.append(REFUSED)
    except SweepError as failed:
        print(failed, file=sys.stderr)
        codes.append(FAILED)
    except OSError as error:  # a folder that can't be made or written to
        print(f"{error.filename or 'hydra.run.dir'}: {error.strerror or error}", file=sys.stderr)
        codes.append(REFUSED)
    except KeyboardInterrupt:
        codes.append(128 + signal.SIGINT)


def one_of_many(config: DictConfig, main_process: int) -> None:
    """One job of a sweep, whose other jobs `main_process` starts.

    Raises:
        JobError: when it is refused on this machine, or wants to end the process.
        KeyboardInterrupt: when it was interrupted, so that the jobs after it don't begin.
    """
    # Every job makes a program of its own, which TensorFlow takes for one that is traced too often.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        code = train(config)
    except (Refused, SystemExit) as error:
        raise JobError(str(error)) from None
    finally:
        refresh(Path(HydraConfig.get().sweep.dir), every=REPORT_SECONDS)
    if code > 128 and os.getpid() == main_process:
        raise KeyboardInterrupt


def train(config: DictConfig) -> int:
    """One run, from the composed config to its exit code.

    Raises:
        Refused: before TensorFlow is imported, leaving nothing behind.
    """
    with ExitStack() as held:
        return Job.of(config, held).run()


if __name__ == "__main__":
    main()
