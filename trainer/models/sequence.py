"""What models of sequences have in common: steps of numbers or token ids, and labels to match."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from schedules.declaration import Problem, refuse

from ..data import Facts
from .model import OWN, Model, Size

if TYPE_CHECKING:
    import keras


class SequenceModel(Model):
    """A model whose inputs are sequences, with one label, or with one at each step.

    What it gives follows from the label's shape: a class or a row of numbers for the sequence, or
    for each of its steps, `[time]` classes or `[time, n]` numbers.
    """

    def check_label(self, facts: Facts) -> None:
        """Checks that the label is of the sequence, or of its steps.

        Raises:
            Refused: when it is neither.
        """
        self.check_single_label(facts)
        outputs = facts.label.outputs
        if len(outputs) == 1 or (len(outputs) == 2 and outputs[0] == facts.shape[0]):
            return
        rule = (
            f"gives a label for a sequence or for each of its {facts.shape[0]} steps, "
            f"and the data has {facts.label.described()}"
        )
        raise refuse("model", self.kind, rule, OWN)

    @staticmethod
    def is_by_step(facts: Facts) -> bool:
        """Whether every step has a label of its own."""
        return len(facts.label.outputs) == 2


class TokenModel(SequenceModel):
    """A model whose inputs are, or may be, the ids of tokens, `[time]`; id 0 fills up short ones.

    Steps of id 0 are masked: they count neither in what a sequence comes to nor in losses and
    metrics of labels at each step.
    """

    tokens: Size | None = None
    """How many ids of tokens there are, those from 0 on; null where the data knows it, as of a
    column of text, or inputs are numbers."""
    width: Size = 64
    """How many numbers stand for a token."""

    def contradictions(self) -> Iterator[Problem]:
        if self.tokens == 1:
            yield Problem("tokens", 1, "leaves no token besides the 0 of filling")

    def check_tokens(self, facts: Facts) -> None:
        """Checks that the inputs are ids, and that it is known how many.

        Raises:
            Refused: when they are no ids, their number is not known, or the data has more of them.
        """
        shape = list(facts.shape)
        if len(shape) != 1:
            rule = f"is for token ids [time], and the data has inputs of shape {shape}"
            hint = "leave it out" if self.kind == "rnn" else "model=rnn takes [time, features]"
            raise refuse("model.tokens", self.tokens, rule, hint)
        known = facts.input.classes
        if self.tokens is not None and known is not None and self.tokens < known:
            rule = f"leaves some out of the {known} token ids that the data has"
            hint = f"leave it out, or model.tokens={known}"
            raise refuse("model.tokens", self.tokens, rule, hint)
        if self.tokens is None and known is None:
            rule = "must say how many token ids there are, as an embedding needs a row for each"
            hint = "model.tokens=1000"
            if self.kind == "rnn":
                hint += f", or data.shape=[{shape[0]},1] where each step is a number"
            raise refuse("model.tokens", None, rule, hint)

    def reads_tokens(self, facts: Facts) -> bool:
        """Whether the inputs are ids of tokens."""
        return self.tokens is not None or facts.input.classes is not None

    def embedding(self, facts: Facts, *, mask: bool) -> Any:
        """The table of the tokens' numbers; a `mask` of what is not filling may go with it."""
        from keras import layers

        tokens = self.tokens or facts.input.classes
        return layers.Embedding(tokens, self.width, mask_zero=mask, name="embedding")


def token_inputs(facts: Facts) -> keras.KerasTensor:
    """The symbolic ids; float32, as data gives them, is exact up to 16,777,216."""
    import keras

    return keras.Input(facts.shape, dtype=facts.input.dtype, name=facts.input_name)
