"""What names stand for."""

import pytest

from lightlab.errors import LightlabError
from lightlab.inspect.catalogue.find import find


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("dense", ["layers"]),
        ("layers.dense", ["layers"]),
        ("relu", ["activations"]),
        ("layers.relu", ["layers"]),
        ("binary", ["problems", "heads"]),
        ("heads.binary", ["heads"]),
        ("gaussian_noise", ["layers", "augmentations"]),
        ("auto", ["strategies", "accelerators"]),
        ("EarlyStopping", ["callbacks"]),
        ("lightning.pytorch.callbacks.EarlyStopping", ["callbacks"]),
        ("TableData", ["data"]),
        ("trainer", ["section"]),
        ("data", ["section"]),
        ("early_stopping", ["section"]),
        ("trainer.max_epochs", ["key"]),
        ("data.split", ["key"]),
        ("data.path", ["key"]),
        ("data.init_args.path", ["key"]),
        ("model.optimizer.init_args.lr", ["key"]),
        ("seed_everything", ["key"]),
        ("nn.GELU", ["layers"]),
    ],
)
def test_find(name, kinds):
    """A name stands for all that it can mean, each once."""
    assert [part.kind for part in find(name)] == kinds


def test_an_activation_says_that_it_is_a_layer():
    """It is described once, and both uses are said."""
    (part,) = find("relu")
    assert part.facts == {"also": "a layer by itself"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dens", "Nothing is called 'dens'. Did you mean dense?"),
        ("earlystopping", "Did you mean early_stopping or EarlyStopping?"),
        ("max_epochs", "Did you mean trainer.max_epochs"),
        ("data.paht", "Did you mean data.path"),
        ("layers.dens", "Did you mean layers.dense"),
        ("nn.Gelu", "Did you mean nn.GELU"),
        ("layers", "layers is a kind: 'lightlab list layers' lists what there is."),
        ("zzzzzz", "'lightlab list' lists what there is."),
    ],
)
def test_unknown_names(name, message):
    """The nearest names of all kinds are said."""
    with pytest.raises(LightlabError) as raised:
        find(name)
    assert message in str(raised.value)
