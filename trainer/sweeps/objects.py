"""What a program gives for the jobs of a sweep, besides overrides."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from typing import TYPE_CHECKING, Any

from schedules.declaration import ABSENT, Problem, Refused, refuse

from ..commands.api import check_for_program
from ..commands.checks import Checked
from ..commands.given import Given
from ..config.experiment import Experiment
from ..config.plan import Plan
from ..models.in_memory import GivenModel
from ..runs.folder import Folder
from ..training.run_config import agree

if TYPE_CHECKING:
    import keras


class Objects:
    """Nothing, which is what the command line has to give."""

    @property
    def names(self) -> list[str]:
        """The arguments that were given, which no other process can have."""
        return []

    def completed(self, experiment: Experiment) -> Experiment:
        """The experiment of a job as it is checked.

        Raises:
            Refused: when it can't be trained with these objects.
        """
        return experiment

    def check(self, first: Experiment, count: int) -> None:
        """Whether the objects suit so many jobs, of which one trains `first`; the last check.

        Raises:
            Refused: when they don't.
        """

    def check_begun(self, job: Checked, folder: Folder) -> None:
        """Whether a job that has begun in `folder` was given the same.

        Raises:
            Refused: when it was given others, whose results would be taken for those of these.
        """


NO_OBJECTS = Objects()


@dataclass(frozen=True)
class ProgramObjects(Objects):
    """Data and a step that all jobs share, and what gives each job a network of its own."""

    given: Given
    build: Callable[..., Any] | None = None
    """Builds the network of a job, from nothing or from the job's experiment."""

    @property
    def names(self) -> list[str]:
        named = {**vars(self.given), "model": self.build or self.given.model}
        return [name for name in ("model", "data", "loss") if named[name] is not None]

    def completed(self, experiment: Experiment) -> Experiment:
        check_for_program(experiment)
        complete = self.given.completed(experiment)
        if self.build is None:
            return complete
        return complete.with_parts({"model": GivenModel.to_be_built(self.build)})

    def check(self, first: Experiment, count: int) -> None:
        if self.given.model is not None and count > 1:
            rule = f"would be trained in place by {count:,} jobs, each after the one before"
            hint = "give a function that builds one: model=lambda: keras.Sequential([…])"
            raise refuse("model", ABSENT, rule, hint)
        if self.build is not None:
            self.of_job(first).completed(first)

    def check_begun(self, job: Checked, folder: Folder) -> None:
        if not self.names or not folder.has_updates():
            return
        given = self.of_job(job.plan.experiment)
        plan = Plan.of(given.completed(job.plan.experiment))
        try:
            with redirect_stdout(StringIO()):
                agree(folder, plan, job.placeholders, given.completed_again)
        except Refused as refused:
            path, hint = str(folder.path), "folder=… begins another"
            rules = (problem.rule for problem in refused.problems)
            raise Refused(Problem("folder", path, rule, hint) for rule in rules) from None

    def of_job(self, experiment: Experiment) -> Given:
        """The objects of the job that trains `experiment`, with a network of its own.

        Keras draws the network's weights by `run.seed`, and its layers compute as `run.precision`
        says, as those of declared models do.
        """
        if self.build is None:
            return self.given
        return replace(self.given, model=self._built(self.build, experiment))

    def _built(self, build: Callable[..., Any], experiment: Experiment) -> keras.Model:
        import keras

        from ..engine.precision import dtype_policy

        keras.utils.set_random_seed(experiment.run.seed)
        with dtype_policy(experiment.run.precision):
            network: keras.Model = build(experiment) if _takes_experiment(build) else build()
        return network


def _takes_experiment(build: Callable[..., Any]) -> bool:
    """Whether a function needs an argument; one with a default is left alone."""
    return any(
        parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        for parameter in inspect.signature(build).parameters.values()
    )
