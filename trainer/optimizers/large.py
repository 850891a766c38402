"""Rules for large models and large batches."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import translate
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from schedules.declaration import Flag, Whole

from ..scheduled.fields import Bounds, Value, unscheduled
from .optimizer import Decay, Optimizer, Share, Strength

Coefficient = Annotated[Value, Bounds()]
"""Any finite number."""

RELATIVE_STEP = (
    "schedule=minimum 'schedule.schedules=[{kind: constant, value: 0.01}, "
    "{kind: inverse_sqrt, initial_value: 1, timescale: 1}]'"
)
"""What sets Adafactor's own learning rate, `min(0.01, 1 / sqrt(t))`."""


class Lion(Optimizer):
    """`w = w - lr * sign(beta_1 * m + (1 - beta_1) * g)`, `m = beta_2 * m + (1 - beta_2) * g`.

    Source: Chen et al. 2023, arXiv 2302.06675. Every weight moves by lr, so a good rate is three
    to ten times lower than for Adam, and a good weight decay three to ten times higher.
    """

    tried: ClassVar[float | None] = 0.001

    kind: Literal["lion"] = "lion"
    beta_1: Annotated[Value, Bounds(gt=0, le=1)] = 0.9
    """The share of the mean gradient in the step's direction."""
    beta_2: Decay = 0.99
    """What share of the mean gradient stays at each update."""


class Lamb(Optimizer):
    """Adam whose step for each variable is scaled to the variable's norm.

    `d = m / (1 - beta_1**t) / (sqrt(v / (1 - beta_2**t)) + epsilon)` with Adam's m and v, then
    `w = w - lr * |w| / |d| * d`, where the ratio is 1 if a norm is 0.

    Source: You et al. 2019, arXiv 1904.00962. There weight decay is part of d and counts for the
    ratio; Keras takes it off beforehand. The bias correction for moving betas is that of `adam`.
    """

    tried: ClassVar[float | None] = 0.005

    kind: Literal["lamb"] = "lamb"
    beta_1: Decay = 0.9
    """What share of the mean gradient stays at each update."""
    beta_2: Decay = 0.999
    """What share of the second moment stays at each update."""
    epsilon: Strength = 1e-7
    """Keeps the divisor away from 0."""


class Adafactor(Optimizer):
    """Adam without a first moment, whose second is kept as its row and column means.

    `d = g / sqrt(v)`, v a running mean of `g**2 + epsilon_1` with `beta_2 = 1 - t**beta_2_decay`,
    factored for variables of two axes and more; then
    `w = w - max(epsilon_2, rms(w)) * lr * d / max(1, rms(d) / clip_threshold)`, without the first
    factor where `scale_parameter` is off, as in the recipe of T5.

    Source: Shazeer and Stern 2018, arXiv 1804.04235. Its relative step, `min(0.01, 1 / sqrt(t))`,
    is a curve like any other, and is previewed and logged as one:
    `schedule=minimum schedule.schedules=[{kind: constant, value: 0.01}, {kind: inverse_sqrt,
    initial_value: 1, timescale: 1}]`. Keras and torch take the lower of lr and `1 / sqrt(t)` and
    don't tell, Keras whatever its `relative_step` is; here, as in transformers with
    `relative_step=False`, lr is what is applied. Keras' rule also stores v in full, and yields NaN
    where a row and a column lack gradients.
    """

    key_hints: ClassVar[Mapping[str, str]] = {
        **Optimizer.key_hints,
        "relative_step": f"leave it out for false; for true: {RELATIVE_STEP}",
        "warmup_init": "warmup=linear",
    }
    rules: ClassVar[str] = "trainer.optimizers.keras_rules"
    tried: ClassVar[float | None] = 0.01

    kind: Literal["adafactor"] = "adafactor"
    beta_2_decay: Annotated[Value, Bounds(le=0)] = -0.8
    """How fast beta_2 goes to 1."""
    epsilon_1: Strength = 1e-30
    """Keeps the second moment away from 0."""
    epsilon_2: Strength = 1e-3
    """The least value of `rms(w)` that scales a step."""
    clip_threshold: Annotated[Value, Bounds(gt=0)] = 1.0
    """The greatest root mean square of d."""
    scale_parameter: Flag = True
    """Whether steps are in proportion to the weights; off, lr is the step itself."""


class Muon(Optimizer):
    """Momentum whose step is made orthogonal, for matrices; AdamW for every other variable.

    `m = momentum * m + g`, `d` is m (or, with `nesterov`, `g + momentum * m`) after `ns_steps` of
    `x = a * x + (b * x x' + c * (x x')**2) x` from `d / |d|`, and for n rows and k columns
    `w = w - lr * rms_rate * sqrt(max(n, k)) * d`.

    Source: Jordan's Muon with the scale of Liu et al. 2025, arXiv 2502.16982. Embeddings, and
    layers that `exclude_layers` names, are left to AdamW; the papers leave it the last layer too.
    torch's `Muon` takes matrices only, and Nesterov's gradient at `1 - momentum`.
    """

    tried: ClassVar[float | None] = 0.01

    kind: Literal["muon"] = "muon"
    momentum: Share = 0.95
    """The share of the accumulated gradients that stays at each update."""
    nesterov: Flag = True
    """Whether to look ahead along the accumulated gradients."""
    ns_steps: Annotated[
        Whole, Field(ge=1), unscheduled("it is the length of the compiled program")
    ] = 5
    """The iterations that make a step orthogonal."""
    muon_a: Coefficient = 3.4445
    """a, the weight of x in an iteration."""
    muon_b: Coefficient = -4.775
    """b, the weight of the third power."""
    muon_c: Coefficient = 2.0315
    """c, the weight of the fifth power."""
    rms_rate: Annotated[Value | None, Bounds(gt=0)] = 0.2
    """The step's root mean square at lr 1; null for steps whose singular values are 1."""
    exclude_layers: tuple[str, ...] = ()
    """Names of layers, or globs over parts of paths, whose matrices AdamW updates."""
    exclude_embeddings: Flag = True
    """Whether AdamW updates embeddings."""
    adam_lr_ratio: Strength = 1.0
    """AdamW's learning rate, as a multiple of Muon's."""
    adam_beta_1: Decay = 0.9
    """AdamW's share of the mean gradient that stays."""
    adam_beta_2: Decay = 0.999
    """AdamW's share of the second moment that stays."""
    adam_weight_decay: Annotated[Value | None, Bounds(ge=0)] = 0.004
    """AdamW's weight decay, times Muon's learning rate."""
    epsilon: Strength = 1e-7
    """Keeps AdamW's divisor away from 0."""
    weight_decay: Annotated[Value | None, Bounds(ge=0)] = 0.004
    """The share of each matrix, times the learning rate, that every update takes away."""

    def arguments(self, settings: dict[str, Any]) -> dict[str, Any]:
        """With each glob as the regular expression that Keras searches paths for."""
        patterns = [translate(f"*{glob}*") for glob in self.exclude_layers]
        return {**settings, "exclude_layers": patterns}
