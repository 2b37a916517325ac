"""The data sets that come with scikit-learn are what they are known to be."""

import pytest

from lightlab.data import BundledData


@pytest.mark.parametrize(
    ("name", "problem", "shape", "rows", "outputs"),
    [
        ("digits", "multiclass", (1, 8, 8), 1797, 10),
        ("iris", "multiclass", (4,), 150, 3),
        ("wine", "multiclass", (13,), 178, 3),
        ("breast_cancer", "binary", (30,), 569, 2),
        ("diabetes", "regression", (10,), 442, 1),
        ("linnerud", "regression", (3,), 20, 3),
    ],
)
def test_bundled(name, problem, shape, rows, outputs):
    """Problem, shape, number of rows and of classes or quantities."""
    data = BundledData(name, split=(0.6, 0.2, 0.2))
    spec = data.connect(None)
    assert (spec.problem, spec.input.shape) == (problem, shape)
    assert sum(map(len, data.rows.values())) == rows
    assert len(spec.target.classes or spec.target.columns) == outputs


def test_class_names():
    """Classes have the names of the data set."""
    assert BundledData("breast_cancer").connect("binary").target.classes == ("benign", "malignant")
