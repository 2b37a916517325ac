"""The doctor on real runs: made to show each illness, and healthy ones of many kinds, which it has to leave alone."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from lightlab.cli import main
from lightlab.inspect.doctor import diagnose
from lightlab.inspect.run import Run

CONFIGS = Path(__file__).parents[3] / "configs"


def dense(units, activation="relu", **options):
    """Return a dense layer as a config has it."""
    return {"dense": {"units": units, "activation": activation, **options}}


def mlp(*units, **options):
    """Return an mlp as a config has it."""
    return {"mlp": {"units": list(units), **options}}


def bundled(name, **options):
    """Return data of scikit-learn's."""
    return {"class_path": "BundledData", "init_args": {"name": name, "batch_size": 64, **options}}


def synthetic(problem, rows=1000, **options):
    """Return random data with something to learn in it."""
    given = {"shape": [20], "problem": problem, "rows": rows, "batch_size": 32, **options}
    return {"class_path": "SyntheticData", "init_args": given}


def table(target, rows=300, columns=10, copies=0, **options):
    """Write normal numbers and what a function makes of them, the first rows once more, and return the data."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(rows, columns))
    frame = pd.DataFrame(inputs, columns=[f"x{number}" for number in range(columns)])
    frame["y"] = target(inputs, generator)
    if "copy" in options:
        frame["copy"] = options.pop("copy") * frame["y"]
    pd.concat([frame, frame[:copies]]).to_csv("table.csv", index=False)
    return {"class_path": "TableData", "init_args": {"path": "table.csv", "target": "y", "batch_size": 32, **options}}


def noisy(inputs, generator, noise=1.0):
    """Return numbers of which about half can be predicted."""
    return inputs.mean(1) * 3 + noise * generator.normal(size=len(inputs))


def waves(inputs, generator):
    """Return numbers that no straight line tells."""
    return np.sin(2 * inputs[:, 0]) + np.cos(3 * inputs[:, 1])


def noise(inputs, generator):
    """Return numbers that the inputs tell nothing of."""
    return generator.normal(size=len(inputs))


@pytest.fixture
def fit():
    """Return a function that trains, and returns what the doctor says of the run folder."""

    def train(data, problem, layers, lr=3e-3, optimizer="AdamW", epochs=20, code=0, **sections):
        options = {"lr": lr, **({"momentum": 0.9} if optimizer == "SGD" else {})}
        model = {"problem": problem, "layers": layers, "optimizer": {"class_path": optimizer, "init_args": options}}
        config = {
            "seed_everything": 1,
            "data": data,
            "model": {**model, **sections.pop("model", {})},
            "trainer": {"max_epochs": epochs, "accelerator": "cpu", "enable_progress_bar": False}
            | sections.pop("trainer", {}),
            "tensorboard": None,
            **sections,
        }
        Path("ill.yaml").write_text(yaml.safe_dump(config))
        assert main(["fit", "--config", "ill.yaml"]) == code
        return Run("runs/ill/version_0").diagnosis

    return train


def illnesses(diagnosis):
    """Return what was found, in order."""
    return [finding.illness for finding in diagnosis.findings]


# Illnesses


def test_overfitting(fit, capsys):
    """A large network on noisy rows learns them by heart; fit ends by saying so, and what to try."""
    diagnosis = fit(table(noisy), "regression", [mlp(256, 256)], epochs=30)
    (finding,) = diagnosis.findings
    assert finding.illness == "overfitting"
    assert 2 <= finding.figures["since_epoch"] <= 15
    assert finding.figures["train_share"] < 0.1 < 0.5 < finding.figures["val_share"]
    assert finding.remedies[:2] == ("model.layers[0].mlp.dropout: 0.3", "model.layers[0].mlp.l2: 0.0001")
    assert diagnosis.summary() in capsys.readouterr().out


def test_overfitting_with_early_stopping(fit):
    """It is said where early stopping ended it, too: the best weights are kept, and could be better."""
    diagnosis = fit(table(noisy), "regression", [mlp(256, 256)], epochs=60, early_stopping={"patience": 8})
    assert illnesses(diagnosis) == ["overfitting"]
    assert "early_stopping: {patience: 10}" not in diagnosis.findings[0].remedies


def test_too_few_units(fit):
    """One unit can't tell ten classes apart: trees can."""
    diagnosis = fit(bundled("digits"), "multiclass", ["flatten", dense(1)], lr=5e-3, epochs=15)
    assert illnesses(diagnosis)[0] == "underfitting"
    assert "model.layers[1].dense.units: 32" in diagnosis.findings[0].remedies


def test_too_few_epochs(fit):
    """Two epochs of small steps end while the loss falls."""
    diagnosis = fit(bundled("digits"), "multiclass", ["flatten", mlp(64)], lr=3e-4, epochs=2)
    assert illnesses(diagnosis)[0] == "underfitting"
    assert "still falling" in diagnosis.findings[0].text
    assert diagnosis.findings[0].remedies[0] == "trainer.max_epochs: 4"


def test_rate_far_too_low(fit):
    """Nothing moves: the loss stands still from the first epoch on, far above what others reach."""
    diagnosis = fit(bundled("wine"), "multiclass", [dense(32)], lr=1e-6, epochs=12)
    assert illnesses(diagnosis) == ["underfitting", "no better than the baseline", "plateaued"]
    assert diagnosis.findings[2].figures["since_epoch"] == 1
    assert diagnosis.findings[2].remedies[0].endswith("lr: 1.0e-05 (ten times what it is)")


def test_plateau(fit):
    """A straight line through waves is soon as good as it gets."""
    diagnosis = fit(table(waves, rows=1000, columns=2), "regression", [], lr=2e-2, epochs=20)
    assert "plateaued" in illnesses(diagnosis)
    plateau = diagnosis.findings[illnesses(diagnosis).index("plateaued")]
    assert plateau.figures["since_epoch"] <= 12


def test_too_much_dropout(fit):
    """Nine in ten units left out leave too little to learn with; that is the first to change."""
    diagnosis = fit(bundled("digits"), "multiclass", ["flatten", mlp(16, 16, dropout=0.9)], epochs=15)
    assert illnesses(diagnosis)[0] == "underfitting"
    assert any(remedy.startswith("a weaker dropout than 0.9") for remedy in diagnosis.findings[0].remedies)


def test_unstable(fit):
    """Adam with a hundred times its usual rate jumps about."""
    diagnosis = fit(bundled("digits"), "multiclass", ["flatten", mlp(64, activation="tanh")], lr=0.3, epochs=25)
    assert illnesses(diagnosis)[0] == "unstable"
    assert diagnosis.findings[0].remedies[0] == "model.optimizer.init_args.lr: 0.03 (a tenth of what it is)"


def test_vanishing(fit):
    """Ten sigmoids in a row let nothing through to the first."""
    layers = [mlp(*[16] * 10, activation="sigmoid")]
    diagnosis = fit(bundled("wine"), "multiclass", layers, epochs=8)
    assert illnesses(diagnosis)[0] == "vanishing gradients"
    assert "at model.layers[0].mlp (" in diagnosis.findings[0].text
    assert diagnosis.findings[0].remedies[0] == "model.layers[0].mlp.activation: relu (it is sigmoid)"


def test_dead_units(fit):
    """A first step that is far too long leaves relu's units where no row reaches them."""
    diagnosis = fit(bundled("digits"), "multiclass", ["flatten", mlp(64, 32)], lr=1.0, epochs=8)
    assert "dead units" in illnesses(diagnosis)[:2]
    dead = diagnosis.findings[illnesses(diagnosis).index("dead units")]
    assert dead.figures["dead"] > 0.9
    assert "model.layers[1].mlp.activation: leaky_relu" in dead.remedies


def test_exploding(fit):
    """Weights of one, as many as there are units, multiply what passes in each layer."""
    diagnosis = fit(table(noisy), "regression", [mlp(64, 64, 64, init="ones")], lr=1e-3, epochs=5)
    assert illnesses(diagnosis)[0] == "exploding gradients"
    assert diagnosis.findings[0].remedies[0] == "model.layers[0].mlp.init: he_normal (it is ones)"


def test_broken_off(fit):
    """Inputs and targets of thousands with plain SGD overflow in the first epoch: the run has only its history."""
    data = table(lambda inputs, generator: 1e4 * inputs[:, 0], normalize="none")
    frame = pd.read_csv("table.csv")
    frame.assign(x0=frame["x0"] * 1e4).to_csv("table.csv", index=False)
    diagnosis = fit(data, "regression", [mlp(32, 32)], lr=0.1, optimizer="SGD", code=2)
    assert illnesses(diagnosis) == ["exploding gradients"]
    assert diagnosis.findings[0].text.endswith("was no finite number any more in epoch 1")
    assert diagnosis.findings[0].remedies[0] == "data.init_args.normalize: standard"


def test_validation_easier(fit):
    """A fifth of the train labels are wrong, those of the validation split are right."""
    table(lambda inputs, generator: np.where(inputs[:, 0] > 0, "yes", "no"), rows=700, columns=4)
    frame = pd.read_csv("table.csv")
    frame[400:].to_csv("val.csv", index=False)
    wrong = np.random.default_rng(1).random(400) < 0.2
    other = frame["y"].map({"yes": "no", "no": "yes"})
    frame.assign(y=frame["y"].where(~np.append(wrong, [False] * 300), other))[:400].to_csv("train.csv", index=False)
    files = {"train_path": "train.csv", "val_path": "val.csv", "target": "y", "batch_size": 32}
    data = {"class_path": "TableData", "init_args": files}
    assert illnesses(fit(data, "binary", [dense(8, l2=0.003)])) == ["validation easier than training"]


def test_no_better_than_the_baseline(fit):
    """Of noise nothing holds for other rows."""
    diagnosis = fit(table(noise), "regression", [dense(16)], lr=1e-2, early_stopping={"patience": 5})
    assert illnesses(diagnosis)[0] == "no better than the baseline"


def test_leakage_by_a_column(fit):
    """A column that is the target on another scale."""
    diagnosis = fit(table(noisy, copy=3.0), "regression", [dense(16)], lr=1e-2)
    assert illnesses(diagnosis)[0] == "leakage suspected"
    assert diagnosis.findings[0].figures == {"column": "copy", "columns": 1}


def test_leakage_by_shared_rows(fit):
    """A third of the rows is there twice."""
    diagnosis = fit(table(noisy, copies=150), "regression", [dense(16, l2=0.03)])
    assert illnesses(diagnosis)[0] == "leakage suspected"
    assert diagnosis.findings[0].figures["split"] == "val"


# Healthy runs

COSINE = {"model": {"lr_scheduler": "CosineAnnealingLR"}}
ONE_CYCLE = {"model": {"lr_scheduler": {"class_path": "OneCycleLR", "init_args": {"max_lr": 0.01}}}}
STOPPED = {"early_stopping": {"patience": 10}, "epochs": 60}

HEALTHY = {
    "noise that nobody predicts": (lambda: table(noisy), "regression", [dense(16, l2=0.03)], STOPPED),
    "the same with dropout": (lambda: table(noisy), "regression", [mlp(64, dropout=0.5)], STOPPED),
    "a straight line": (lambda: table(noisy), "regression", [], {"lr": 0.03, "epochs": 25}),
    "few rows": (
        lambda: table(noisy, rows=40, columns=4), "regression", [dense(8, "tanh", l2=0.03)], {**STOPPED, "lr": 0.02},
    ),
    "wrong labels": (
        lambda: synthetic("multiclass", noise=0.7), "multiclass", [dense(16, l2=3e-3)], STOPPED,
    ),
    "heavy dropout": (lambda: bundled("digits"), "multiclass", ["flatten", mlp(128, dropout=0.6)], {}),
    "one cycle": (lambda: bundled("digits"), "multiclass", ["flatten", mlp(64)], {**ONE_CYCLE, "epochs": 12}),
    "momentum": (
        lambda: bundled("digits"), "multiclass", ["flatten", mlp(64)], {"optimizer": "SGD", "lr": 0.05},
    ),
    "smooth labels": (
        lambda: bundled("digits"), "multiclass", ["flatten", mlp(64)], {"model": {"head": {"label_smoothing": 0.1}}},
    ),
    "augmented": (
        lambda: bundled("digits", augment=[{"translation": 0.1}, {"mixup": 0.2}]), "multiclass",
        [{"conv_block": {"filters": 16, "pool_size": 2}}, "flatten", dense(64)], {"lr": 5e-3},
    ),
    "long after the best": (lambda: synthetic("regression", noise=0.05), "regression", [dense(32)], {"lr": 0.01}),
    "cosine": (lambda: synthetic("binary"), "binary", [dense(16)], {**COSINE, "lr": 0.01}),
    "no validation": (
        lambda: synthetic("regression", split=[1.0, 0.0, 0.0]), "regression", [dense(16)], {"lr": 0.01},
    ),
    "validation now and then": (
        lambda: bundled("wine"), "multiclass", [dense(16, "tanh", l2=0.02)],
        {"lr": 0.02, "epochs": 30, "trainer": {"check_val_every_n_epoch": 5}},
    ),
    "validation within epochs": (
        lambda: synthetic("regression", rows=4000), "regression", [dense(32)],
        {"lr": 0.01, "epochs": 3, "trainer": {"val_check_interval": 0.25}},
    ),
    "one epoch": (lambda: synthetic("regression", rows=10_000), "regression", [dense(32)], {"lr": 0.01, "epochs": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy(fit, name):
    """No illness is found in a healthy run, whatever its kind."""
    data, problem, layers, options = HEALTHY[name]
    diagnosis = fit(data(), problem, layers, **options)
    assert diagnosis.healthy, diagnosis.summary()


@pytest.mark.parametrize("name", ["diabetes_mlp", "linnerud_mlp", "wine_mlp"])
def test_shipped_configs_are_healthy(name):
    """No illness is found in what we ship as examples."""
    assert main(["fit", "--config", str(CONFIGS / f"{name}.yaml"), "--tensorboard", "null"]) == 0
    diagnosis = Run(f"runs/{name}/version_0").diagnosis
    assert diagnosis.healthy, diagnosis.summary()


def test_verdict_is_that_of_the_files(fit):
    """What is kept in the run folder is enough: history, evaluation and config."""
    diagnosis = fit(synthetic("regression"), "regression", [dense(8)], epochs=2)
    run = Run("runs/ill/version_0")
    assert diagnose(run.history, run.evaluation, run.config) == diagnosis
