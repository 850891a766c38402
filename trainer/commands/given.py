"""The objects that a program gives in the place of what is declared: model, data and loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from schedules.declaration import Problem, Refused, refuse
from schedules.declaration.mends import mend_of

from ..config.experiment import Experiment
from ..data.sources.in_memory import MISSING, GivenData
from ..losses.auto import Auto
from ..losses.given_step import GivenStep
from ..models.in_memory import GivenModel
from .compiled_model import compile_problems

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Given:
    """The objects of one call; several runs may share them."""

    model: keras.Model | None = None
    data: GivenData | None = None
    """The arrays, read once for all runs."""
    loss: Callable[..., Any] | None = None

    @classmethod
    def of(cls, model: keras.Model | None, data: Any, loss: Callable[..., Any] | None) -> Self:
        """Takes what `train` takes.

        Raises:
            Refused: when `data` holds no examples.
        """
        return cls(model, None if data is None else GivenData().of(data), loss)

    def check(self) -> None:
        """Whether model and loss are such, whatever is declared besides.

        Raises:
            Refused: when not.
        """
        if self.model is not None:
            GivenModel.from_model(self.model)
        if self.loss is not None:
            GivenStep.from_function(self.loss, Auto())

    def completed(self, experiment: Experiment) -> Experiment:
        """The experiment with these objects in the place of what it declares.

        What a model was compiled with counts where the experiment was composed without it.

        Raises:
            Refused: when they can't be trained, or contradict what is declared.
        """
        complete = self._with_objects(experiment)
        if self.model is None:
            return complete
        taken: list[str] = []
        while problems := compile_problems(self.model, complete, experiment):
            mends = [override for problem in problems for override in mend_of(problem.hint)]
            more = [o for o in mends if o not in taken and experiment.composition.leaves_unsaid(o)]
            if not more:
                raise Refused(problems)
            taken += more
            complete = self._with_objects(experiment.with_defaults(taken))
        complete.composition.compiled.extend(taken)
        return complete

    def _with_objects(self, experiment: Experiment) -> Experiment:
        parts: dict[str, Any] = {}
        if self.data is not None:
            before = experiment.data
            if not isinstance(before, GivenData):
                before = GivenData(batch_size=before.batch_size)
            parts["data"] = before.with_arrays_of(self.data)
        if self.model is not None:
            data = parts.get("data", experiment.data)
            GivenModel.build_if_needed(self.model, data.facts)
            parts["model"] = GivenModel.from_model(self.model, experiment.model.frozen)
            if (policy := self.model.dtype_policy.name) != experiment.run.precision:
                rule = f"is not that of the given model, which is {policy}"
                hint = f"run.precision={policy}"
                raise refuse("run.precision", experiment.run.precision, rule, hint)
        if self.loss is not None:
            parts["loss"] = GivenStep.from_function(self.loss, experiment.loss)
        complete = experiment.with_parts(parts) if parts else experiment
        check_objects(complete)
        return complete

    def completed_again(self, declared: Experiment) -> Experiment:
        """The experiment of a folder's own config, with the objects that its run was given.

        Raises:
            Refused: when these are others.
        """
        complete = self.completed(declared)
        if complete.model_dump() != declared.model_dump():
            rule = "goes on with what the folder's run was given, and this is something else"
            hint = "give the same model, data and loss again, or resume.policy=config"
            raise refuse("resume.policy", "checkpoint", rule, hint)
        return complete


def check_objects(experiment: Experiment, again: str = "train(experiment") -> None:
    """Whether all objects are here that a config says a program gave.

    `again` is the beginning of the call that gives them again.

    Raises:
        Refused: naming each that is not.
    """
    parts: dict[str, Any] = {name: getattr(experiment, name) for name in ("model", "data", "loss")}
    absent = [
        name
        for name, part in parts.items()
        if isinstance(part, (GivenModel, GivenData, GivenStep)) and not part.is_here
    ]
    call = f"in a program: {', '.join([again, *(f'{name}=…' for name in absent)])})"
    if absent:
        raise Refused(Problem(f"{name}.kind", "given", MISSING, call) for name in absent)
