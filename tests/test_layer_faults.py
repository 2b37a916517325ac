"""What a layer of one's own raises names the layer in the config, and the line of its code; no epoch ends by it."""

from pathlib import Path

import pytest
import torch
from lightning import Callback, Trainer
from torch import nn

from lightlab import LAYERS, BundledData, Model
from lightlab.build import build_network
from lightlab.cli import main
from lightlab.errors import ConfigError, RunError, ShapeError
from lightlab.training.execution import Execution

CONFIG = """\
seed_everything: 1
data: {class_path: BundledData, init_args: {name: wine, batch_size: 16}}
model:
  problem: multiclass
  layers:
    - dense: 4
    - residual: {layers: [failing_in_step_4]}
tensorboard: null
compile: false
trainer: {max_epochs: 2, accelerator: cpu}
"""
PLUGIN = """\
from lightlab import LAYERS
from torch import nn


class Failing(nn.Module):
    def __init__(self):
        super().__init__()
        self.steps = 0

    def forward(self, inputs):
        self.steps += self.training
        return inputs if self.steps < 4 else help(self.steps)


def help(steps):
    raise RuntimeError(f"no step {steps}")


@LAYERS.register("failing_in_step_4")
def failing_in_step_4() -> nn.Module:
    \"\"\"Fail.\"\"\"
    return Failing()
"""


#: What an odd layer does from its fourth step on; an error stands for raising it.
ODD = {
    "error": RuntimeError("no"),
    "key": KeyError("name"),
    "stop": StopIteration(),
    "memory": MemoryError("no more"),
    "own": RunError("It says this itself."),
    "nothing": lambda inputs: None,
    "fewer": lambda inputs: inputs[:3],
}


class Odd(nn.Module):
    """Does something odd from the fourth step on."""

    def __init__(self, kind):
        super().__init__()
        self.does, self.steps = ODD[kind], 0

    def forward(self, *given):
        """Return the inputs, or what is odd."""
        self.steps += self.training
        if self.steps < 4:
            return given[0]
        if isinstance(self.does, Exception):
            raise self.does
        return self.does(given[0])


@pytest.fixture(autouse=True)
def odd():
    """A layer that is odd, for the length of a test."""

    @LAYERS.register("odd")
    def odd(kind: str) -> nn.Module:
        """Be odd."""
        if kind in ("key at build", "stop at build"):
            raise ODD[kind.split()[0]]
        return Odd(kind)

    yield
    del LAYERS._entries["odd"]


def train(layers, *callbacks, model=Model):
    """Train on wine, with steps in one go where that can be, and return the Trainer."""
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(
        max_epochs=2, accelerator="cpu", enable_checkpointing=False, callbacks=[*callbacks, Execution("auto")], **quiet
    )
    trainer.fit(model(layers, "multiclass"), BundledData("wine", batch_size=16))
    return trainer


def test_what_a_layer_raises_is_said_with_its_places(capsys):
    """In the config and in the code; it is a fault of what was given, and not of lightlab."""
    Path("failing_plugin.py").write_text(PLUGIN)
    Path("wine.yaml").write_text(CONFIG)
    assert main(["fit", "--config", "wine.yaml", "--plugin", "failing_plugin"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    key = "model.layers[1].residual.layers[0].failing_in_step_4"
    said = f"lightlab: error: wine.yaml:7: {key}: failing_in_step_4 raised RuntimeError in step 4: no step 4 ("
    assert line.startswith(said)
    assert line.endswith("failing_plugin.py:16)")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("error", "odd: odd raised RuntimeError in step 4: no ("),
        ("key", "odd: odd raised KeyError in step 4: 'name' ("),
        ("stop", "odd: odd raised StopIteration in step 4 ("),
        ("nothing", "odd: A layer returns a batch of as many rows as it got. Received from odd in step 4: None."),
    ],
)
@pytest.mark.parametrize("after", [["relu"], []])
def test_the_layer_is_named(kind, said, after):
    """Whatever it raises; also where what it returns shows only in the next layer, or in the head."""
    with pytest.raises(ConfigError) as caught:
        train([{"dense": 4}, {"odd": kind}, *after])
    assert str(caught.value).startswith(f"model.layers[1].{said}")


def test_rows_that_are_lost():
    """The head, which finds too few of them, is not to blame."""
    with pytest.raises(ConfigError, match=r"model.layers: A layer returns .* it got, 16\. Received .* step 4: 3\."):
        train([{"odd": "fewer"}])


@pytest.mark.parametrize(("kind", "error"), [("memory", MemoryError), ("own", RunError)])
def test_what_goes_on_as_it_is(kind, error):
    """Errors that say what they are about themselves, and those of memory, which others answer."""
    with pytest.raises(error) as caught:
        train([{"odd": kind}])
    assert caught.value is ODD[kind]


def test_a_layer_of_lightlab_has_no_place_in_code():
    """Where its code is lightlab's or torch's; nor is a step named where none is under way."""
    model = train([{"dense": 4}]).lightning_module
    model.network[0].register_parameter("bias", nn.Parameter(torch.zeros(5)))
    with pytest.raises(ConfigError) as caught:
        model(inputs=torch.zeros(2, 13))
    assert str(caught.value).startswith("model.layers[0].dense: dense raised RuntimeError: ")
    assert ".py:" not in str(caught.value)


@pytest.mark.parametrize(("kind", "said"), [("key at build", "KeyError: 'name'"), ("stop at build", "StopIteration")])
def test_whatever_is_raised_at_build(kind, said):
    """It is the layer's, with the line of its code."""
    with pytest.raises(ConfigError) as caught:
        build_network([{"odd": kind}], (3,))
    assert f"layers[0].odd: odd can't be built for (batch, 3) after the input: it raised {said} (" in str(caught.value)
    assert "test_layer_faults.py:" in str(caught.value)


def test_whatever_is_raised_when_it_is_tried_out(monkeypatch):
    """A layer is tried out on a copy without values."""
    monkeypatch.setattr(Odd, "forward", lambda self, inputs: {}[0])
    with pytest.raises(ShapeError, match=r"odd can't take \(batch, 3\) after the input: it raised KeyError: 0 \("):
        build_network([{"odd": "error"}], (3,))


@pytest.mark.parametrize("hook", ["on_train_batch_start", "on_after_backward", "on_train_batch_end"])
def test_no_hook_ends_an_epoch_by_a_bare_next(hook):
    """Lightning would take it for the end of the data, and the epoch for whole."""

    class Next(Callback):
        """Takes more than there is."""

    setattr(Next, hook, lambda *given: next(iter(())))
    with pytest.raises(RunError, match=r"An epoch ends with its data\. .* raised StopIteration, .*after [01] steps"):
        train([{"dense": 4}], Next())


@pytest.mark.parametrize("hook", ["on_train_epoch_start", "on_train_epoch_end", "on_train_epoch_end of the last"])
def test_no_hook_ends_a_training_by_a_bare_next(hook):
    """Lightning would take it for the end of all epochs."""
    name, _, last = hook.partition(" of ")

    class Next(Callback):
        """Takes more than there is."""

    setattr(Next, name, lambda self, trainer, *given: None if last and not trainer.current_epoch else next(iter(())))
    with pytest.raises(RunError, match=r"^A training ends with its epochs, or its steps\. .* raised StopIteration, "):
        train([{"dense": 4}], Next())


@pytest.mark.filterwarnings("ignore:Trying to infer the `batch_size`")  # which Lightning asks for with such a hook
def test_an_epoch_that_is_to_end_ends():
    """By -1, as Lightning has it."""

    class Enough(Model):
        """Has seen enough after two batches."""

        def on_train_batch_start(self, batch, batch_idx):
            return -1 if batch_idx == 2 else None

    assert train([{"dense": 4}], model=Enough).global_step == 4
