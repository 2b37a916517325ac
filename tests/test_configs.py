"""Every shipped config, found recursively, trains for a few steps and writes what a run leaves."""

import json
from pathlib import Path

import pytest
import yaml

from lightlab.cli import main
from lightlab.problems import PROBLEMS

CONFIGS = Path(__file__).parent.parent / "configs"
#: Overlays stand on other configs; tests/test_distributed.py runs them.
WHOLE = sorted(path for path in CONFIGS.rglob("*.yaml") if "overlays" not in path.parts)
FEW = ["--trainer.max_epochs", "2", "--trainer.limit_train_batches", "3", "--trainer.accelerator", "cpu"]


@pytest.mark.parametrize("config", WHOLE, ids=lambda path: path.stem)
def test_config_trains_and_predicts(config, capsys):
    """fit, test and predict run; the figures are those of the problem's metrics."""
    assert main(["fit", "--config", str(config), *FEW]) == 0, capsys.readouterr().err
    run = Path("runs", config.stem, "version_0")
    figures = json.loads((run / "metrics.json").read_text())
    problem = yaml.safe_load(config.read_text())["model"]["problem"]
    for split, prefix in (("validation", "val"), ("test", "test")):
        assert {f"{prefix}/loss", f"{prefix}/{PROBLEMS.get(problem).metrics[0]}"} <= figures[split].keys()
    assert main(["predict", "--config", str(run / "config.yaml")]) == 0, capsys.readouterr().err
    assert len((run / "predictions.csv").read_text().splitlines()) > 1


def test_shipped_configs_cover_the_problems_and_kinds():
    """There is a config for each problem type, an MLP and a CNN, for classification and regression."""
    texts = {path.stem: path.read_text() for path in WHOLE}
    problems = {yaml.safe_load(text)["model"]["problem"] for text in texts.values()}
    assert {"binary", "multiclass", "multilabel", "regression", "bounded_regression"} <= problems
    assert {
        "digits_cnn",
        "digits_mlp",
        "iris_mlp",
        "wine_mlp",
        "breast_cancer_mlp",
        "diabetes_mlp",
        "linnerud_mlp",
    } <= texts.keys()
