"""Networks of KerasHub, from presets that lie on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from schedules.declaration import Flag, refuse
from schedules.declaration.packages import is_missing

from ..data import Facts
from .keras_hub_preset import Preset, check_weights, preset_in
from .model import ImageModel, Rate, Size
from .variable_paths import rename

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials

PRESET = "model.preset"
TOKEN_INPUTS = {"token_ids", "padding_mask", "segment_ids"}
"""What a backbone that reads tokens may want; all of it follows from the ids."""

ROWS = ("pooled_output", "sequence_output")
"""What the outputs of a backbone that has several are taken from: the first that it has."""


class KerasHub(ImageModel):
    """A network of KerasHub up to its last layer, and a dense layer for the outputs of the data.

    The preset is a folder that `save_to_preset` wrote. Where it is of an image or a text
    classifier, all of that is kept but for its last layer, whose weights are kept as well where
    they are for as many classes. Any other preset gives its backbone: its `pooled_output` where it
    has one, else a mean over the places of an image or the tokens of a text. All but the last layer
    is a network called `backbone`, for globs such as `backbone/*`.

    Images are `[height, width, channels]`, with the values that the preset's page asks for: a
    preset's own converter of images is not applied. Texts are the ids of tokens `[time]`, as the
    preset's preprocessor gives them; the mask of what fills up and the ids of segments, all 0, are
    made from them. Nothing is ever downloaded.
    Source: KerasHub 0.32, `Backbone.from_preset` and `Task.from_preset`. They differ in that a
    task with another number of classes loses all weights outside of its backbone there.
    """

    kind: Literal["keras_hub"] = "keras_hub"
    preset: str
    """The folder of the preset, seen from the working directory."""
    load_weights: Flag = True
    """Whether weights are those of the preset; else they are drawn from `run.seed`."""
    dropout: Rate | None = None
    """The share of what goes into the last layer that is left out while training; null is what
    the preset's task has, or none. Dropout within the backbone stays as it is."""
    lora: Size | None = None
    """The rank of LoRA, by the backbone's `enable_lora`: what trains in it then are factors `A B`
    that are added to its projections to queries and values, and the biases of these. Null trains
    all weights. Source: Hu et al. 2021, arXiv 2106.09685."""

    def check(self, facts: Facts) -> None:
        preset = preset_in(self.preset, PRESET)
        if is_missing("keras-hub"):
            rule = "needs keras_hub, which is not installed"
            hint = "pip install 'scheduled-training[keras_hub]'"
            raise refuse("model", self.kind, rule, hint)
        if self.load_weights:
            check_weights(self.preset, PRESET)
        takes = preset.takes or ("tokens" if len(facts.shape) == 1 else "images")
        if takes == "tokens":
            self.check_tokens(facts, preset)
        else:
            super().check(facts)
            self.check_shape(facts, preset)

    def check_shape(self, facts: Facts, preset: Preset) -> None:
        """Checks whether the images are of the shape that the preset takes.

        Raises:
            Refused: when they are not.
        """
        wanted = preset.backbone.get("image_shape")
        if not isinstance(wanted, list) or len(wanted) != 3:
            return
        fits = all(a is None or a == b for a, b in zip(wanted, facts.shape, strict=True))
        if not fits:
            shape = list(facts.shape)
            rule = f"takes images of shape {wanted}, and the data has inputs of shape {shape}"
            raise refuse(PRESET, self.preset, rule, "bring the images to that shape")

    def check_tokens(self, facts: Facts, preset: Preset) -> None:
        """Checks whether the inputs are rows of ids that the preset's tokenizer may have given.

        Raises:
            Refused: when they are not.
        """
        prepared = (
            "keras_hub.models.TextClassifierPreprocessor.from_preset("
            f"'{self.preset}', sequence_length=128)(texts)['token_ids'] makes ids of texts"
        )
        if facts.input.dtype == "string" or facts.input.classes is not None:
            what = "text" if facts.input.dtype == "string" else "ids of a vocabulary of its own"
            rule = f"takes the ids of its own tokens [time], and the data has {what}"
            raise refuse(PRESET, self.preset, rule, prepared)
        self.check_single_input(facts)
        self.check_one_length(facts)
        self.check_row_of_outputs(facts)
        if len(facts.shape) != 1:
            rule = f"takes token ids [time], and the data has inputs of shape {list(facts.shape)}"
            raise refuse(PRESET, self.preset, rule, prepared)
        longest = preset.backbone.get("max_sequence_length")
        if isinstance(longest, int) and facts.shape[0] > longest:
            rule = f"takes {longest} tokens at most, and the data has rows of {facts.shape[0]}"
            raise refuse(PRESET, self.preset, rule, "cut the rows to that length")

    def build(self, facts: Facts, dials: Dials) -> keras.Model:
        import keras

        from ..scheduled.layers import dropout

        self.check(facts)
        preset = preset_in(self.preset, PRESET)
        try:
            backbone, last = self._loaded(preset)
        except Exception as error:  # whatever is wrong in the folder
            why = next(filter(None, str(error).splitlines()), type(error).__name__)
            hint = "was it saved by another version of KerasHub?"
            raise refuse(PRESET, self.preset, f"can't be read: {why}", hint) from None
        if preset.task is not None and not isinstance(last, keras.layers.Dense):
            rule = f"ends in {type(last).__name__}, and only a Dense layer can be made anew"
            hint = "save its backbone alone: task.backbone.save_to_preset('DIR')"
            raise refuse(PRESET, self.preset, rule, hint)
        if self.lora and not any("lora_kernel" in weight.path for weight in backbone.weights):
            rule = "finds no projections to queries and values in the backbone"
            hint = "model.lora=null; \"model.frozen=['backbone/*']\" trains the last layer alone"
            raise refuse("model.lora", self.lora, rule, hint)
        inputs = keras.Input(facts.shape, dtype=facts.input.dtype, name=facts.input_name)
        if isinstance(backbone.input, Mapping):
            names = set(backbone.input)
            if "token_ids" not in names or not names <= TOKEN_INPUTS:
                rule = f"takes the inputs {', '.join(sorted(names))}, which don't follow from one"
                raise refuse(PRESET, self.preset, rule, "model=python builds it with your code")
            given = token_inputs(inputs, names, self._filler(preset))
            features, mask = backbone(given), given.get("padding_mask")
        else:
            features, mask = backbone(inputs), None
        if isinstance(features, Mapping) and not features.keys() & set(ROWS):
            rule = f"gives {', '.join(features)}, and neither of {', '.join(ROWS)}"
            raise refuse(PRESET, self.preset, rule, "model=python builds it with your code")
        x = pooled(features, mask)
        if self.dropout:
            x = dropout(dials.live("dropout", self.dropout), "dropout")(x)
        logits = keras.layers.Dense(facts.outputs, name="logits")
        model = keras.Model(inputs, logits(x), name="model")
        if last is not None and self.load_weights and facts.label.classes == last.units:
            logits.set_weights(last.get_weights())
        rename(model)
        return model

    def _loaded(self, preset: Preset) -> tuple[keras.Model, keras.layers.Layer | None]:
        """All of the preset but for its last layer, and that one where it is a classifier's."""
        import keras
        import keras_hub

        policy = keras.config.dtype_policy()
        if preset.task is None:
            network = keras_hub.models.Backbone.from_preset(
                self.preset, self.load_weights, name="backbone", dtype=policy
            )
            if self.lora:
                network.enable_lora(self.lora)
            return network, None
        given = {} if self.dropout is None or "dropout" not in preset.task else {"dropout": 0.0}
        task = getattr(keras_hub.models, str(preset.task_kind)).from_preset(
            self.preset, self.load_weights, preprocessor=None, compile=False, dtype=policy, **given
        )
        if self.lora:
            task.backbone.enable_lora(self.lora)
        last = task.layers[-1]
        return keras.Model(task.input, last.input, name="backbone"), last

    def _filler(self, preset: Preset) -> int:
        """The id that fills up short texts."""
        import keras_hub

        if not preset.has_tokenizer:
            return 0
        return int(keras_hub.tokenizers.Tokenizer.from_preset(self.preset).pad_token_id or 0)


def token_inputs(ids: Any, names: set[str], filler: int) -> dict[str, Any]:
    """What a backbone wants by the names of its inputs, from ids of tokens `[n, time]`."""
    from keras import ops

    ids = ops.cast(ids, "int32")
    every = {
        "token_ids": ids,
        "padding_mask": ops.cast(ops.not_equal(ids, filler), "int32"),
        "segment_ids": ops.zeros_like(ids),
    }
    return {name: every[name] for name in every if name in names}


def pooled(outputs: Any, mask: Any) -> Any:
    """A row of features for each example, `[n, width]`, from what a backbone gives.

    Of an image's places, or of the tokens that `mask` has, it is the mean.
    """
    from keras import ops

    if isinstance(outputs, Mapping):
        outputs = next(outputs[name] for name in ROWS if name in outputs)
    places = tuple(range(1, len(outputs.shape) - 1))
    if mask is None or not places:
        return ops.mean(outputs, axis=places) if places else outputs
    mask = ops.expand_dims(ops.cast(mask, outputs.dtype), -1)
    count = ops.maximum(ops.sum(mask, axis=1), 1)  # an empty text is zeros
    return ops.divide(ops.sum(outputs * mask, axis=1), count)
