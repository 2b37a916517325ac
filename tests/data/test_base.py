"""What every source shares: what is learned, from which rows, and what the loaders give."""

import numpy as np
import pandas as pd
import pytest
import torch

from lightlab.data import BundledData, Data, Rows
from lightlab.errors import ConfigError, DataError


class Numbers(Data):
    """A source whose validation and test rows can be poisoned."""

    def __init__(self, poison=0.0, **options):
        super().__init__(**options)
        self.poison = poison

    def load(self, stage):
        """Return rows for each split."""
        generator = torch.Generator().manual_seed(0)
        return {
            split: Rows(
                torch.randn(rows, 3, generator=generator) + poison,
                pd.DataFrame({"y": np.linspace(0, 1, rows) + poison}),
                np.arange(rows),
                split,
            )
            for split, rows, poison in (("train", 40, 0.0), ("val", 10, self.poison), ("test", 10, self.poison))
        }


def test_nothing_is_learned_from_validation_or_test_rows():
    """Poisoned validation and test rows change nothing of what is learned."""
    assert Numbers().connect("regression") == Numbers(poison=1e6).connect("regression")


def test_a_trained_model_s_spec_is_used_as_it_is():
    """Rows are encoded by what a trained model knows, and nothing is learned anew."""
    trained = BundledData("iris", seed=1).connect("multiclass")
    data = BundledData("iris", seed=2)
    assert data.connect(None, trained) == trained
    assert data.connect(None, trained) is data.connect(None, trained)


def test_problem_can_be_changed():
    """Another problem encodes the same rows anew."""
    data = BundledData("digits")
    assert data.connect("multiclass").target.classes[:2] == ("0", "1")
    assert data.connect("regression").target.classes == ()
    assert next(iter(data.train_dataloader())).targets.shape == (32, 1)


def test_inferred_problem_is_said(capsys):
    """A problem that is left out is inferred, and said."""
    assert BundledData("iris").connect(None).problem == "multiclass"
    assert "problem: multiclass, inferred from target (3 different texts)" in capsys.readouterr().out


def test_loaders():
    """Training is shuffled anew in each epoch; evaluation keeps the rows' order."""
    data = BundledData("wine", batch_size=16)
    data.connect("multiclass")
    first, second = (_order(data.train_dataloader(), epoch) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(len(data.rows["train"])))
    assert first != second
    for loader in (data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
        places = torch.cat([batch.places for batch in loader])
        assert places.tolist() == list(range(len(places)))


def _order(loader, epoch):
    loader.sampler.set_epoch(epoch)
    return [place for batch in loader for place in batch.places.tolist()]


def test_no_validation_split():
    """A share of nothing gives no loader."""
    data = BundledData("wine", split=(0.8, 0.0, 0.2))
    data.connect("multiclass")
    assert data.val_dataloader() == []
    assert "val" not in data.rows


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: BundledData("iris", batch_size=0), ConfigError, "data.batch_size: batch_size is at least 1"),
        (
            lambda: BundledData("iris").connect("binry"),
            ConfigError,
            "No problem is called 'binry'. Did you mean binary?",
        ),
        (lambda: BundledData("iris", split=(1, 0, 0)).predict_split, DataError, "no rows to predict"),
    ],
)
def test_options_that_can_t_be(make, error, message):
    """What can't be done is said."""
    with pytest.raises(error, match=message):
        make()
