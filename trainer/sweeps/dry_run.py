"""`--cfg`: shows the config of a run or of a sweep, and tells what training would do with it."""

from __future__ import annotations

from collections.abc import Sequence

from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from schedules.declaration import refuse

from ..commands.dry_run import run_lines
from ..config.hydra_application import application, composed, print_config


def show(arguments: Sequence[str]) -> None:
    """Prints the config, and behind it in comments what would be done.

    Raises:
        Refused: for all that training would refuse before it imports TensorFlow.
    """
    flags = get_args_parser().parse_args(list(arguments))
    with application(flags) as hydra:
        config = composed(hydra, flags)
        is_sweep = config.hydra.mode == RunMode.MULTIRUN
        lines = _sweep_lines(hydra, config) if is_sweep else run_lines(config)
        print_config(hydra, config, flags)
    if flags.cfg != "hydra":
        print(*(f"# {line}" for line in lines), sep="\n")


def is_dry_run(arguments: Sequence[str]) -> bool:
    """Whether a command line asks to show a config, and for no help."""
    flags, _ = get_args_parser().parse_known_args(list(arguments))
    return flags.cfg is not None and not flags.help and not flags.hydra_help


def _sweep_lines(hydra: Hydra, config: DictConfig) -> list[str]:
    """What the sweeper of a config would do.

    Raises:
        Refused: when it would refuse to, or is another package's.
    """

    def no_job(job: DictConfig) -> None:
        raise AssertionError("a dry run starts no job")

    context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks())
    sweeper = Plugins.instance().instantiate_sweeper(
        config=config, hydra_context=context, task_function=no_job
    )
    lines = getattr(sweeper, "lines", None)
    if lines is None:
        name = config.hydra.runtime.choices["hydra/sweeper"]
        rule, hint = "is another package's, and can't tell what it would try", "leave out --cfg"
        raise refuse("hydra/sweeper", name, rule, hint)
    overrides = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    return list(lines(overrides))
