"""What every source shares: what is learned, from which rows, and what the loaders give."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lightlab import Model
from lightlab.data import BundledData, Data, Rows, TableData
from lightlab.data.placing import Placement
from lightlab.errors import CheckpointError, ConfigError, DataError


class Numbers(Data):
    """A source whose validation and test rows can be poisoned."""

    def __init__(self, poison=0.0, **options):
        super().__init__(**options)
        self.poison = poison

    def load(self, stage):
        """Return rows for each split."""
        self.loads = getattr(self, "loads", 0) + 1
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


def test_rows_are_read_once():
    """Whoever asks again for the same, as the command line and the Trainer do, has it from memory."""
    data = Numbers()
    spec = data.connect("regression")
    for stage in ("fit", "validate", "test"):
        data.setup(stage)
        assert data.connect("regression") is data.connect("regression", spec) is spec
    assert data.loads == 1
    data.setup("predict")
    data.connect("regression", spec)
    assert data.loads == 2


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


def test_batches_of_evaluation():
    """They are larger than those of training, or as large as is said; each row is in one of them all the same."""
    for size, rows in (("auto", [27]), (10, [10, 10, 7])):
        data = BundledData("wine", batch_size=4, eval_batch_size=size)
        data.connect("multiclass")
        for loader in (data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
            assert [len(batch.inputs) for batch in loader] == rows
        assert len(next(iter(data.shuffled_dataloader("val")))[0]) == rows[0]
        assert len(next(iter(data.train_dataloader())).inputs) == 4
    with pytest.raises(ConfigError, match="eval_batch_size"):
        BundledData("wine", eval_batch_size=0)


@pytest.mark.parametrize(
    ("limits", "rows"), [({}, 27), ({"limit_val_batches": 1}, 4), ({"limit_test_batches": 0.5}, 4)]
)
def test_limits_of_evaluation_mean_as_many_rows(limits, rows):
    """Where the Trainer counts batches of evaluation, they are as large as those of training."""
    data = BundledData("wine", batch_size=4)
    data.connect("multiclass")
    data.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, **limits)
    assert data.val_dataloader().plan.batch_size == (4096 if rows == 27 else 4)
    assert len(next(iter(data.val_dataloader())).inputs) == rows


def test_batches_of_evaluation_change_no_figure():
    """Loss and metrics over an epoch are the same in batches of any size, but for rounding."""
    figures = []
    for size in (7, "auto"):
        torch.manual_seed(0)
        data = BundledData("wine", batch_size=4, eval_batch_size=size)
        model = Model([{"dense": 8}])
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = Trainer(max_epochs=2, accelerator="cpu", enable_model_summary=False, **quiet)
        trainer.fit(model, data)
        (tested,) = trainer.test(model, data, verbose=False)
        figures.append(tested | {name: float(value) for name, value in trainer.callback_metrics.items()})
    assert figures[0] == pytest.approx(figures[1], rel=1e-5)


def test_one_process_alone():
    """Who looks at the data beside a training has all rows, though others have their share of it."""

    class Second(BundledData):
        def place(self):
            return super().place() if self._unshared else Placement(rank=1, world_size=2)

    data = Second("wine")
    data.connect("multiclass")
    assert len(next(iter(data.val_dataloader())).inputs) == 14
    with data.alone():
        assert len(next(iter(data.val_dataloader())).inputs) == 27
    assert len(next(iter(data.val_dataloader())).inputs) == 14
    assert data.placement() == "data in memory"


def test_no_validation_split():
    """A share of nothing gives no loader."""
    data = BundledData("wine", split=(0.8, 0.0, 0.2))
    data.connect("multiclass")
    assert data.val_dataloader() == []
    assert "val" not in data.rows


def test_a_run_goes_on_with_its_rows(capsys):
    """A checkpoint's hash of the train split tells whether training would go on, or testing be done, on other rows."""
    data, same, other = (BundledData("wine", seed=seed) for seed in (0, 0, 1))
    for each in (data, same, other):
        each.connect("multiclass")
    assert data.digests().keys() == {"train", "val", "test"}
    assert data.digests()["train"]["rows"] == 124
    assert data.digests() == same.digests() != other.digests()
    capsys.readouterr()
    same.load_state_dict(data.state_dict())
    assert capsys.readouterr().out == ""
    other.load_state_dict(data.state_dict())
    assert "warning: the train split is not the one that the model was trained on" in capsys.readouterr().out


def fit(data, epochs=2, ckpt_path=None, **options):
    """Train a small network, and return it with its Trainer."""
    torch.manual_seed(0)
    model = Model(["flatten", {"dense": 8}], "multiclass")
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(max_epochs=epochs, accelerator="cpu", **{"enable_checkpointing": False, **quiet, **options})
    trainer.fit(model, data, ckpt_path=ckpt_path)
    return model, trainer


def test_resuming_on_other_rows():
    """A run that is resumed on other rows is refused: rows it was validated on may now be trained on."""
    _, trainer = fit(BundledData("wine"), enable_checkpointing=True, default_root_dir="runs")
    checkpoint = trainer.checkpoint_callback.best_model_path
    other = Trainer(max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False)
    with pytest.raises(CheckpointError, match="goes on with its rows. The train split has changed: 124 rows then, 142"):
        other.fit(
            Model(["flatten", {"dense": 8}], "multiclass"),
            BundledData("wine", split=[0.8, 0.1, 0.1]),
            ckpt_path=checkpoint,
        )


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")  # no checkpoints are made the second time
def test_training_goes_on_in_the_middle_of_an_epoch():
    """Weights after going on from any step are those of the run that was never interrupted."""
    every_step = ModelCheckpoint("steps", "{step}", every_n_train_steps=1, save_top_k=-1)
    whole, _ = fit(BundledData("wine", batch_size=32), callbacks=[every_step], enable_checkpointing=True)
    checkpoints = sorted(Path("steps").iterdir())
    assert len(checkpoints) == 8
    for checkpoint in checkpoints[:-1]:
        again, _ = fit(BundledData("wine", batch_size=32), ckpt_path=checkpoint)
        assert all(map(torch.equal, whole.parameters(), again.parameters())), checkpoint


class Watched(BundledData):
    """Keeps the batches as they come out of augmentation."""

    def on_after_batch_transfer(self, batch, dataloader_idx):
        """Note what came in, and what goes on."""
        changed = super().on_after_batch_transfer(batch, dataloader_idx)
        self.seen = [*getattr(self, "seen", []), (self.trainer.state.stage, batch, changed)]
        return changed


def test_only_training_batches_are_augmented():
    """Training sees changed samples; the sanity check, validation and test see them as they are."""
    data = Watched("digits", batch_size=400, augment=["random_flip", {"gaussian_noise": 0.2}])
    model, trainer = fit(data)
    trainer.test(model, data, verbose=False)
    changed = {stage: [] for stage, _, _ in data.seen}
    for stage, before, after in data.seen:
        changed[stage].append(not torch.equal(before.inputs, after.inputs))
    assert changed.keys() == {"train", "validate", "sanity_check", "test"}
    assert all(changed["train"])
    assert len(changed["train"]) == 2 * len(data.train_dataloader())
    assert not any([*changed["validate"], *changed["sanity_check"], *changed["test"]])


def test_augmented_training_learns():
    """A network that is trained on mixed and noisy samples still tells the classes apart."""
    _, trainer = fit(BundledData("wine", batch_size=16, augment=[{"gaussian_noise": 0.1}, {"mixup": 0.2}]), epochs=60)
    assert trainer.callback_metrics["val/accuracy"] > 0.9


def test_balanced_training():
    """Training draws the classes equally often; validation has each row once."""
    table = pd.DataFrame({"x": range(400), "z": [1, 2] * 200, "y": ["rare"] * 20 + ["common"] * 380})
    data = TableData.from_frame(table, "y", balanced=True, batch_size=100)
    data.connect("binary")
    targets = torch.cat([batch.targets for batch in data.train_dataloader()])
    assert len(targets) == 280
    assert targets.float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert torch.cat([batch.places for batch in data.val_dataloader()]).tolist() == list(range(60))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: BundledData("iris", batch_size=0),
            ConfigError,
            "data.batch_size: BundledData's batch_size must be greater than 0; or must be 'auto'. Received: 0",
        ),
        (
            lambda: BundledData("iris").connect("binry"),
            ConfigError,
            "No problem is called 'binry'. Did you mean binary?",
        ),
        (lambda: BundledData("iris", split=(1, 0, 0)).predict_split, DataError, "no rows to predict"),
        (
            lambda: BundledData("diabetes", balanced=True).connect("regression"),
            ConfigError,
            "Problem regression has none",
        ),
        (
            lambda: BundledData("iris", num_workers=-1),
            ConfigError,
            "data.num_workers: BundledData's num_workers must be greater than or equal to 0",
        ),
        (
            lambda: BundledData("iris", augment=["random_flop", {"mixup": -1}]),
            ConfigError,
            r"(?s)data.augment\[0\].*Did you mean random_flip.*data.augment\[1\].mixup.alpha",
        ),
        (
            lambda: BundledData("iris", augment=["random_flip"]).connect("multiclass"),
            ConfigError,
            r"data.augment\[0\]: random_flip needs images",
        ),
    ],
)
def test_options_that_can_t_be(make, error, message):
    """What can't be done is said."""
    with pytest.raises(error, match=message):
        make()
