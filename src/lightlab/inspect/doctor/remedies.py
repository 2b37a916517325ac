"""What the course does about illnesses: each remedy a function of the config, which is silent if it is in use."""

from __future__ import annotations

from collections.abc import Callable

from lightlab.inspect.doctor.setup import RECURRENT, Layer, Setup

#: Returns what to change, as a key of the config where it is one; ``None`` where there is nothing to change.
Remedy = Callable[[Setup], str | None]

#: A dropout below this can still be made a strong one.
STRONG_DROPOUT = 0.3
#: A penalty below this keeps no network from learning.
STRONG_PENALTY = 1e-3
#: From this learning rate on nothing is gained by one of ten times as much.
HIGH_RATE = 0.01
#: The narrowest layer is made at least so wide; and none is made narrower than that many units.
WIDE, NARROW = 32, 8
#: Activations that are flat on both sides, so that gradients shrink in each layer.
SATURATING = ("sigmoid", "hard_sigmoid", "tanh", "softsign", "softmax")
#: Activations that are exactly flat on one side, where a unit can stay for ever.
RECTIFYING = ("relu", "relu6", "hard_swish")
#: Initial kernels of a scale that does not follow from the layer's size.
BLIND = ("normal", "uniform", "zeros", "ones")


def propose(setup: Setup, *remedies: Remedy) -> tuple[str, ...]:
    """Return what of some remedies there is to try, in their order."""
    return tuple(advice for remedy in remedies if (advice := remedy(setup)))


# Against learning by heart


def more_data(setup: Setup) -> str | None:
    """Take the best remedy, where there are any."""
    return "more rows"


def tell_more(setup: Setup) -> str | None:
    """Look for what no network can make good for."""
    return "inputs that tell more of the target"


def augment(setup: Setup) -> str | None:
    """Show images moved a little, which almost any kind of them bears."""
    if not setup.images or setup.get("data", "init_args", "augment"):
        return None
    return "data.init_args.augment: [{translation: 0.1}]"


def drop(setup: Setup) -> str | None:
    """Leave out a share of the last hidden layer in each step."""
    if not setup.sized or setup.dropout >= STRONG_DROPOUT:
        return None
    if setup.dropout:
        return f"a stronger dropout than {_number(setup.dropout)}: {_number(min(2 * setup.dropout, 0.5))}"
    last = setup.sized[-1]
    if last.name in ("mlp", "conv_block"):
        return f"{last.place}.dropout: 0.3"
    return f"a dropout: 0.3 after {last.place}"


def penalise(setup: Setup) -> str | None:
    """Keep the weights of the widest layer small."""
    widest = _widest([layer for layer in setup.sized if layer.name not in RECURRENT])
    return None if widest is None or setup.penalty else f"{widest.place}.l2: {_number(1e-4)}"


def make_smaller(setup: Setup) -> str | None:
    """Halve the widest layer."""
    widest = _widest(setup.sized)
    if widest is None or max(widest.sizes) <= NARROW:
        return None
    return _resize(widest, [max(NARROW, size // 2) for size in widest.sizes])


def stop_early(setup: Setup) -> str | None:
    """Don't go on for long after the best epoch."""
    return None if setup.get("early_stopping") else "early_stopping: {patience: 10}"


# Against learning too little


def make_larger(setup: Setup) -> str | None:
    """Widen the narrowest layer, through which all has to pass."""
    if not setup.sized:
        return "a hidden layer in model.layers: dense: {units: 64, activation: relu}"
    narrowest = min(setup.sized, key=lambda layer: min(layer.sizes))
    return _resize(narrowest, [max(WIDE, 2 * size) for size in narrowest.sizes])


def drop_less(setup: Setup) -> str | None:
    """Leave out less."""
    if setup.dropout < STRONG_DROPOUT:
        return None
    return f"a weaker dropout than {_number(setup.dropout)}: {_number(setup.dropout / 4)}"


def penalise_less(setup: Setup) -> str | None:
    """Let weights grow."""
    if setup.penalty < STRONG_PENALTY:
        return None
    return f"a smaller l1 or l2 than {_number(setup.penalty)}: {_number(setup.penalty / 100)}"


def train_longer(setup: Setup) -> str | None:
    """Give it twice the steps."""
    for name in ("max_epochs", "max_steps"):
        if (limit := setup.number("trainer", name)) > 0:
            return f"trainer.{name}: {int(2 * limit)}"
    return None


# The learning rate and the gradients


def lower_rate(setup: Setup) -> str | None:
    """Take steps a tenth as long."""
    key, rate = setup.rate
    return f"{key}: {_number(rate / 10)} (a tenth of what it is)"


def raise_rate(setup: Setup) -> str | None:
    """Take steps ten times as long."""
    key, rate = setup.rate
    return f"{key}: {_number(rate * 10)} (ten times what it is)" if rate < HIGH_RATE else None


def schedule(setup: Setup) -> str | None:
    """Lower the rate where the loss stands still."""
    return None if setup.get("model", "lr_scheduler") else "model.lr_scheduler: ReduceLROnPlateau"


def warm_up(setup: Setup) -> str | None:
    """Begin with small steps."""
    if setup.scheduler == "OneCycleLR" or setup.number("model", "lr_scheduler", "warmup"):
        return None
    return "model.lr_scheduler: {warmup: 100}" if not setup.scheduler else "a warmup: 100 under model.lr_scheduler"


def clip(setup: Setup) -> str | None:
    """Shorten gradients that are far too long."""
    return None if setup.number("trainer", "gradient_clip_val") else "trainer.gradient_clip_val: 1.0"


def normalise_layers(setup: Setup) -> str | None:
    """Keep what passes on the scale that weights are made for."""
    if not setup.sized or any(layer.normalises for layer in setup.layers):
        return None
    first = setup.sized[0]
    if first.name == "mlp":
        return f"{first.place}.batch_norm: true"
    return f"a {'layer_norm' if first.name in RECURRENT else 'batch_norm'} after {first.place}"


def normalise_inputs(setup: Setup) -> str | None:
    """Bring inputs to the scale that weights are made for."""
    return "data.init_args.normalize: standard" if setup.get("data", "init_args", "normalize") == "none" else None


def initialise(setup: Setup) -> str | None:
    """Draw initial kernels by the size of their layer, as is done unless the config says otherwise."""
    for layer in setup.sized:
        if layer.get("init") in BLIND:
            better = "he_normal" if layer.activation in RECTIFYING else "glorot_uniform"
            return f"{layer.place}.init: {better} (it is {layer.get('init')})"
    return None


def unsaturate(setup: Setup) -> str | None:
    """Use an activation that lets gradients through."""
    for layer in setup.layers:
        if layer.activation in SATURATING:
            return f"{layer.place}.activation: relu (it is {layer.activation})"
    found = next((layer for layer in setup.layers if layer.name in SATURATING), None)
    return f"relu instead of {found.place}" if found else None


def leak(setup: Setup) -> str | None:
    """Use an activation that is flat nowhere."""
    for layer in setup.layers:
        if layer.activation in RECTIFYING:
            return f"{layer.place}.activation: leaky_relu"
    found = next((layer for layer in setup.layers if layer.name in RECTIFYING), None)
    return f"leaky_relu instead of {found.place}" if found else None


def go_around(setup: Setup) -> str | None:
    """Let gradients pass by the layers."""
    if any(layer.name == "residual" for layer in setup.layers):
        return None
    return "fewer layers, or residual ones"


# What they share


def _widest(layers: list[Layer]) -> Layer | None:
    return max(layers, key=lambda layer: max(layer.sizes), default=None)


def _resize(layer: Layer, sizes: list[int]) -> str:
    name = "filters" if "conv" in layer.name else "units"
    return f"{layer.place}.{name}: {sizes if len(sizes) > 1 else sizes[0]}"


def _number(value: float) -> str:
    """Return a number as YAML takes it: with a point before an exponent.

    >>> _number(0.05), _number(1e-5)
    ('0.05', '1.0e-05')
    """
    text = f"{value:.3g}"
    mantissa, exponent, power = text.partition("e")
    return f"{mantissa}.0e{power}" if exponent and "." not in mantissa else text
