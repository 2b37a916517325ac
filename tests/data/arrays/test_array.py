"""Arrays from files and from Python: what is read, what is refused, and a model from the first line to predictions."""

import pickle
from mmap import mmap
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from lightning.pytorch import Trainer

from lightlab.cli import main
from lightlab.data import ArrayData, BundledData
from lightlab.data.arrays.read_array import ArrayFile, find_arrays
from lightlab.errors import ConfigError, DataError, TargetError
from lightlab.module import Model

ROWS = 40


class Stored(ArrayData):
    """Leaves every array in its file that can be left there."""

    largest = 0


def signals(*shape, rows=ROWS, dtype=np.float32):
    """Return inputs of which the first value tells the class, and the classes."""
    values = np.random.default_rng(0).normal(size=(rows, *shape)).astype(dtype)
    return values, (values.reshape(rows, -1)[:, 0] > 0).astype(np.int64)


def write(ending, x, y, **more):
    """Write arrays to a file of some kind, and return the options that read it."""
    if ending == "npy":
        np.save("x.npy", x)
        np.save("y.npy", y)
        return {"path": "x.npy", "target_path": "y.npy"}
    if ending == "npz":
        np.savez("f.npz", x=x, y=y, **more)
        return {"path": "f.npz"}
    with h5py.File("f.h5", "w") as file:
        for name, values in {"group/x": x, "group/y": y, **more}.items():
            file[name] = values.astype(object) if values.dtype.kind == "U" else values
    return {"path": "f.h5", "inputs": "group/x", "targets": "group/y"}


for_each_file = pytest.mark.parametrize("ending", ["npy", "npz", "h5"])


@for_each_file
def test_whole_arrays_lie_in_memory_once(ending):
    """An array that is read whole is not read by way of the file's pages, which would count as memory, too."""
    x, y = signals(3)
    path = next(iter(write(ending, x, y).values()))
    for place in find_arrays(path).values():
        owner = place.read()
        while isinstance(owner, np.ndarray) and owner.base is not None:
            owner = owner.base
        assert not isinstance(owner, mmap)


def test_arrays_from_python_may_be_changed_afterwards():
    """What was trained on is what was there when it was read."""
    x, y = signals(3)
    data = ArrayData.from_arrays(train=(x, y), val=signals(3))
    data.connect("binary")
    before = data.sample().inputs.clone()
    x[:] = 0
    assert torch.equal(data.sample().inputs, before)


@for_each_file
@pytest.mark.parametrize("shape", [(3,), (2, 5), (3, 4, 5), (1, 4, 3, 2)])
def test_ranks(ending, shape):
    """Vectors, sequences, images and volumes are read as they are, from each kind of file and from Python."""
    x, y = signals(*shape)
    spec = ArrayData(**write(ending, x, y), split=(1, 0, 0)).connect("binary")
    data = ArrayData.from_arrays(torch.from_numpy(x), torch.from_numpy(y), split=(1, 0, 0))
    assert data.connect("binary") == spec
    assert (spec.input.kind, spec.input.shape, spec.target.columns) == ("array", shape, ("y",))
    assert torch.equal(data.rows["train"].inputs, torch.from_numpy(x))
    channels = np.moveaxis(x, 1, 0).reshape(shape[0], -1)
    np.testing.assert_allclose(spec.input.offset, channels.mean(1), atol=1e-6)
    np.testing.assert_allclose(spec.input.scale, channels.std(1), atol=1e-6)


@for_each_file
@pytest.mark.parametrize("shape", [(5, 2), (4, 5, 3), (4, 3, 2, 1)])
@pytest.mark.parametrize("source", [ArrayData, Stored])
def test_channels_last(source, ending, shape):
    """Channels are moved to where layers look for them."""
    x, y = signals(*shape)
    data = source(**write(ending, x, y), channels_last=True, split=(1, 0, 0))
    assert data.connect("binary").input.shape == (shape[-1], *shape[:-1])
    (batch,) = _batches(data, "train", ROWS)
    assert torch.equal(batch, torch.from_numpy(np.moveaxis(x, -1, 1)))


def _batches(data, split, size):
    """Return the inputs of a split, in order."""
    inputs = data._encoded[split][0]
    return [inputs[torch.arange(start, min(start + size, len(inputs)))] for start in range(0, len(inputs), size)]


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [("uint8", torch.uint8), ("bool", torch.float32), ("int8", torch.float32), ("uint16", torch.float32)]
    + [(name, torch.float32) for name in ("int64", "uint32", "float16", "float32", "float64", ">f4", ">i2", "g")],
)
@pytest.mark.parametrize("source", [ArrayData, Stored])
def test_types_of_numbers(source, dtype, kept):
    """Numbers of all types keep their values; uint8 keeps its type, and others are in single precision."""
    x = np.arange(ROWS * 3).reshape(ROWS, 3).astype(dtype)
    data = source(**write("npy", x, signals(1)[1]), split=(1, 0, 0))
    data.connect("binary")
    (batch,) = _batches(data, "train", ROWS)
    assert batch.dtype == kept
    assert batch.double().tolist() == x.astype("float64").tolist()


def test_tensors_of_all_kinds():
    """Tensors that need a gradient, are views, or of a type that NumPy has not."""
    x = torch.randn(ROWS, 3, 2, requires_grad=True)
    for given in (x, x.transpose(1, 2).contiguous().transpose(1, 2), x.bfloat16(), x.tolist()):
        data = ArrayData.from_arrays(given, torch.arange(ROWS) % 2, split=(1, 0, 0))
        data.connect("binary")
        assert torch.allclose(data.rows["train"].inputs, x.detach(), atol=0.02)
    x.data.fill_(9)
    assert not (data.rows["train"].inputs == 9).any()


@for_each_file
@pytest.mark.parametrize(
    ("targets", "problem", "columns", "classes"),
    [
        (np.arange(ROWS) % 3, "multiclass", ("y",), ("0", "1", "2")),
        (np.array(["été", "b"] * (ROWS // 2)), "binary", ("y",), ("b", "été")),
        (np.array([True, False] * (ROWS // 2)), "binary", ("y",), ("false", "true")),
        (np.linspace(0, 1, ROWS), "regression", ("y",), ()),
        (np.linspace(0, 1, ROWS)[:, None], "regression", ("y",), ()),
        (np.random.default_rng(0).normal(size=(ROWS, 2)), "regression", ("y0", "y1"), ()),
        (np.random.default_rng(0).integers(0, 2, (ROWS, 3)), "multilabel", ("y0", "y1", "y2"), ()),
    ],
)
def test_targets(ending, targets, problem, columns, classes):
    """Numbers, booleans and names of classes; the problem is inferred from them."""
    spec = ArrayData(**write(ending, signals(3)[0], targets)).connect(None)
    assert (spec.problem, spec.target.columns, spec.target.classes) == (problem, columns, classes)


def test_names_of_classes_as_bytes():
    """Names of classes in bytes, as older files have them, are text."""
    names = np.array(["b", "été".encode().decode()] * (ROWS // 2))
    encoded = np.char.encode(names, "utf-8")
    assert ArrayData(**write("npz", signals(3)[0], encoded)).connect("binary").target.classes == ("b", "été")
    assert ArrayData(**write("h5", signals(3)[0], encoded)).connect("binary").target.classes == ("b", "été")


def test_files_for_each_split():
    """Each split has a file, and one for its targets where they are in another."""
    for split, rows in {"train": 20, "val": 8, "test": 6}.items():
        x, y = signals(3, rows=rows)
        np.save(f"{split}.npy", x)
        np.savez(f"{split}_y.npz", labels=y)
    np.save("new.npy", signals(3, rows=5)[0])
    options = {f"{split}_path": f"{split}.npy" for split in ("train", "val", "test")}
    options |= {f"{split}_target_path": f"{split}_y.npz" for split in ("train", "val", "test")}
    data = ArrayData(**options, targets="labels", predict_path="new.npy")
    spec = data.connect("binary")
    assert {split: len(rows) for split, rows in data.rows.items()} == {"train": 20, "val": 8, "test": 6}
    data.setup("predict")
    data.connect(None, spec)
    (batch,) = data.predict_dataloader()
    assert torch.equal(batch.inputs, torch.from_numpy(np.load("new.npy")))
    assert batch.targets is None


def test_groups_and_ids():
    """Rows are kept together by an array of the same file, and called by another."""
    x, y = signals(3)
    patients, names = np.arange(ROWS) // 4, np.array([f"scan {row}" for row in range(ROWS)])
    options = write("npz", x, y, patient=patients, name=names)
    data = ArrayData(**options, ids="name", split={"groups": "patient"})
    other = ArrayData.from_arrays(
        x, y, columns={"patient": patients, "name": names}, ids="name", split={"groups": "patient"}
    )
    for source in (data, other):
        source.connect("binary")
        groups = [set(rows.columns["patient"]) for rows in source.rows.values()]
        assert sum(map(len, groups)) == len(set.union(*groups)) == 10
        assert source.name_rows("test", np.array([0]))[0] == "name"
        assert set(source.rows["test"].ids) <= set(names)


def test_nothing_is_learned_from_validation_or_test_rows():
    """Poisoned validation and test rows change nothing of what is learned."""
    x, y = signals(2, 3)
    parts = {"train": (x[:20], y[:20]), "val": (x[20:30], y[20:30]), "test": (x[30:], y[30:])}
    clean = ArrayData.from_arrays(**parts).connect("binary")
    poisoned = parts | {"val": (parts["val"][0] * 1e6, parts["val"][1]), "test": (parts["test"][0] - 1e6, y[30:])}
    assert ArrayData.from_arrays(**poisoned).connect("binary") == clean
    poisoned = parts | {"train": (parts["train"][0] * 2, y[:20])}
    assert ArrayData.from_arrays(**poisoned).connect("binary") != clean


# Images


def test_images():
    """Images have a largest value by their type, which augmentation of colours asks for."""
    x = np.random.default_rng(0).integers(0, 256, (ROWS, 8, 8, 3)).astype(np.uint8)
    y = signals(1)[1]
    options = {"channels_last": True, "image": True, "split": (0.5, 0.25, 0.25)}
    spec = ArrayData.from_arrays(x, y, **options).connect("binary").input
    assert (spec.kind, spec.shape, spec.high) == ("image", (3, 8, 8), 255.0)
    fractions = ArrayData.from_arrays(x / 255, y, **options).connect("binary").input
    assert (fractions.kind, fractions.high) == ("image", 1.0)
    np.testing.assert_allclose(np.array(fractions.offset) * 255, spec.offset, rtol=1e-5)
    data = ArrayData.from_arrays(x, y, **options, augment=["color_jitter"])
    assert data.connect("binary").input == spec


def test_images_of_another_range():
    """A model of whole numbers is not given fractions, whatever data.image says now; nor the other way round."""
    x, y = np.random.default_rng(0).integers(0, 256, (ROWS, 1, 4, 4)).astype(np.uint8), signals(1)[1]
    whole = ArrayData.from_arrays(x, y, image=True).connect("binary")
    fractions = ArrayData.from_arrays(x / 255, y, image=True).connect("binary")
    with pytest.raises(DataError, match="pixels that are whole numbers from 0 to 255. Received others from arrays all"):
        ArrayData.from_arrays(x / 255, y).connect(None, whole)
    with pytest.raises(DataError, match="pixels that are numbers from 0 to 1. Received others from arrays all"):
        ArrayData.from_arrays(x, y).connect(None, fractions)
    with pytest.raises(DataError, match="of type uint8, or numbers from 0 to 1. Received .* in row 0"):
        ArrayData.from_arrays(x.astype(np.float32), y).connect(None, whole)


@pytest.mark.parametrize("source", [ArrayData, Stored])
def test_pixels_out_of_range(source):
    """Pixels that are neither whole numbers of a byte nor fractions are refused by row."""
    x = np.random.default_rng(0).random((ROWS, 1, 4, 4)).astype(np.float32)
    x[7, 0, 1, 2] = 1.5
    with pytest.raises(
        DataError, match=r"numbers from 0 to 1\. Received in x\.npy: 1\.5 in row 7, place \(0, 1, 2\), and so in 1 of"
    ):
        source(**write("npy", x, signals(1)[1]), image=True).connect("binary")


@pytest.mark.parametrize("shape", [(8, 8), (2, 8, 8), (8, 8, 3), (3, 4, 4, 4)])
def test_images_of_other_shapes(shape):
    """Images have height, width, and the channels of one."""
    x = np.zeros((ROWS, *shape), dtype=np.uint8)
    with pytest.raises(DataError, match=r"Images are \(rows, channels, height, width\) with 1, 3 or 4 channels"):
        ArrayData.from_arrays(x, signals(1)[1], image=True).connect("binary")


# What can't be read


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: x[:, 0], r"rank 2 .* Received: .*, of shape \(40,\)\. A single feature is of shape \(rows, 1\)"),
        (lambda x: x[0, 0], r"rank 2 .* Received: .*, of shape \(\)"),
        (lambda x: x.reshape(40, 1, 1, 1, 1, 3), r"to 5 .* of shape \(40, 1, 1, 1, 1, 3\)"),
        (lambda x: x[:0], r"not empty\. Received: .*, of shape \(0, 3\)"),
        (lambda x: x[:, :0], r"not empty\. Received: .*, of shape \(40, 0\)"),
        (lambda x: x.astype(np.complex64), "Inputs are numbers. Received: .*, of type complex64"),
        (lambda x: x.astype("U3"), "Inputs are numbers. Received: .*, of type"),
        (lambda x: x * np.nan, "finite numbers .* Received in .*: nan in row 0, feature 0, and so in 40 of 40 rows"),
        (lambda x: np.where(np.arange(40)[:, None] == 9, np.inf, x), "inf in row 9, feature 0, and so in 1 of 40"),
        (lambda x: x.astype(np.float64) * 1e300, "inf in row 0, feature 0"),
        (lambda x: x.astype(np.float64) * 1e-3 + 1.7e9, "more than single precision rounds them"),
        (lambda x: np.arange(120).reshape(40, 3) + 2**40, "more than single precision rounds them"),
        (lambda x: x[:1], "1 rows, of which the split"),
        (lambda x: x[:39], r"as many rows\. Received from .*: inputs of 39 rows, and '.*y' of shape \(40,\)"),
    ],
)
@pytest.mark.parametrize("ending", ["npy", "npz", "h5", "python"])
def test_inputs_that_can_t_be_used(ending, make, message):
    """Shapes, types and values that no network takes are refused wherever they come from, by row where there is one."""
    x, y = signals(3)
    x = make(x)
    y = y[:1] if len(x.shape) and len(x) == 1 else y
    with pytest.raises(DataError, match=message):
        (ArrayData.from_arrays(x, y) if ending == "python" else ArrayData(**write(ending, x, y))).connect("binary")


@pytest.mark.parametrize(
    ("targets", "error", "message"),
    [
        (np.zeros((ROWS, 2, 2)), DataError, r"\(rows,\) or \(rows, outputs\)\. Received: 'y' of f\.npz"),
        (np.zeros((ROWS, 0)), DataError, r"\(rows,\) or \(rows, outputs\)"),
        (np.float32(1), DataError, r"have as many rows.* 'y' of shape \(\)"),
        (np.zeros(ROWS, complex), DataError, r"numbers or text\. Received: 'y' of f\.npz, of type complex128"),
        (np.zeros(ROWS, "datetime64[s]"), DataError, r"numbers or text\. Received: 'y'"),
        (np.zeros(ROWS), TargetError, "two classes"),
        (np.array([0, 1, np.nan, 1] * 10), TargetError, r"Missing in column 'y': .* first at f\.npz, row \d+"),
        (np.array([0, 1, np.inf, 1] * 10), TargetError, r"whole numbers\. Received in column 'y': inf at f\.npz, row"),
    ],
)
def test_targets_that_can_t_be_used(targets, error, message):
    """Targets of other shapes and types are named."""
    with pytest.raises(error, match=message):
        ArrayData(**write("npz", signals(3)[0], targets)).connect("binary")


def test_classes_that_training_lacks():
    """A class that only the validation rows have is named with its row."""
    x, y = signals(3)
    with pytest.raises(TargetError, match=r"first at arrays val, row 1: '7' \(1 rows\)"):
        ArrayData.from_arrays(train=(x, y), val=(x[:3], np.array([0, 7, 1]))).connect("binary")


@pytest.mark.parametrize("ending", ["npz", "h5"])
def test_names_that_are_not_there(ending):
    """The nearest name is said, or all that there are; and which option to set."""
    x, y = signals(3)
    options = write(ending, x, y, images=x)
    with pytest.raises(DataError, match=r"no array 'imges'\. Did you mean images\? Set data\.inputs"):
        ArrayData(**options | {"inputs": "imges"}).connect("binary")
    with pytest.raises(DataError, match=r"no array 'labels'\. There are: .*images.*\. Set data\.targets, or"):
        ArrayData(**options | {"targets": "labels"}).connect("binary")
    with pytest.raises(DataError, match=r"no array 'patient'\. There are: "):
        ArrayData(**options, split={"groups": "patient"}).connect("binary")
    with pytest.raises(DataError, match=r"no array 'image'\. Did you mean images"):
        ArrayData(**options, ids="image").connect("binary")


def test_a_file_of_one_array_needs_its_targets():
    """For an .npy file the option that names the other file is said; to predict, none is needed."""
    write("npy", *signals(3))
    with pytest.raises(DataError, match=r"x\.npy has no array 'y'\. There are: x\. .* data\.target_path"):
        ArrayData("x.npy").connect("binary")


def _pickled():
    """Return an object that writes a file when it is unpickled."""

    class Evil:
        def __reduce__(self):
            return Path.touch, (Path("unpickled"),)

    return np.array([Evil(), 1], dtype=object)


def _write_pickles():
    np.save("o.npy", _pickled(), allow_pickle=True)
    np.savez("o.npz", x=_pickled())
    Path("raw.npy").write_bytes(pickle.dumps(_pickled()))
    Path("raw.npz").write_bytes(pickle.dumps(_pickled()))


@pytest.mark.parametrize("path", ["o.npy", "o.npz", "raw.npy", "raw.npz"])
def test_pickles_are_refused(path):
    """Nothing is unpickled: neither arrays of objects nor files that are pickles."""
    _write_pickles()
    np.save("y.npy", np.zeros(2))
    with pytest.raises(DataError, match=rf"{path} can't be read: .*(Object arrays|Python objects|pickle)"):
        ArrayData(path, target_path="y.npy").connect("binary")
    np.save("x.npy", np.zeros((2, 3)))
    with pytest.raises(DataError, match=rf"{path} can't be read"):
        ArrayData("x.npy", target_path=path, targets="x").connect("binary")
    assert not Path("unpickled").exists()


@for_each_file
@pytest.mark.parametrize("source", [ArrayData, Stored])
def test_broken_files(source, ending):
    """Empty and truncated files, and files of another kind, are named."""
    path = (options := write(ending, *signals(30)))["path"]
    whole = Path(path).read_bytes()
    # The last one reaches the data of an .npz file through its directory of names, which is left whole.
    for content in (b"", whole[:40], whole[: len(whole) // 2], b"x,y\n1,2\n", whole[:300] + b"\0" * 99 + whole[399:]):
        Path(path).write_bytes(content)
        if content[300:399] == b"\0" * 99 and ending != "npz":
            continue
        with pytest.raises(DataError, match=rf"{path} can't be read: \S"):
            source(**options).connect("binary")


def test_files_of_another_kind():
    """What an ending promises is held against what is there; a folder is no file."""
    write("npz", *signals(3))
    write("npy", *signals(3))
    Path("f.npz").rename("z.npy")
    Path("x.npy").rename("n.npz")
    Path("folder.npy").mkdir()
    for path, message in {
        "z.npy": "archive of arrays, which belongs in an .npz file",
        "n.npz": "one array, which belongs in an .npy file",
        "folder.npy": r"folder\.npy \(a folder\)",
        "N.npz": r"N\.npz \(no such file\)\. Did you mean n\.npz",
        "y.csv": r"no such file",
    }.items():
        with pytest.raises(DataError, match=message):
            ArrayData(path).connect("binary")
    Path("y.csv").write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match=r"ends in \.npy, \.npz, \.h5, \.hdf5, \.hdf\. Received: y\.csv"):
        ArrayData("y.csv").connect("binary")


def test_hdf5_that_holds_no_such_array():
    """Groups are no arrays, and arrays of nothing or of compounds no inputs."""
    with h5py.File("f.h5", "w") as file:
        file["group/x"], file["nothing"] = np.zeros((3, 2)), h5py.Empty("f")
        file["compound"] = np.zeros(3, dtype=[("a", "f4"), ("b", "i4")])
        file["text"] = ["a", "b"]
    for name, message in {
        "group": r"no array 'group'\. Did you mean group/x|There are",
        "nothing": r"rank 2 .* of shape \(\)",
        "compound": "Inputs are numbers",
        "text": "Inputs are numbers",
    }.items():
        with pytest.raises(DataError, match=message):
            ArrayData("f.h5", inputs=name).connect("binary")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ArrayData.from_arrays([[1, 2], [3]], [0, 1]), "'x' is no array"),
        (lambda: ArrayData.from_arrays(np.ma.array([[1.0]], mask=[[True]]), [0]), "'x' with a mask"),
        (lambda: ArrayData.from_arrays(np.zeros((4, 3)), channels_last=True).connect("binary"), "rank 3 to 5"),
        (lambda: ArrayData.from_arrays(np.zeros((4, 3))).connect("binary"), "arrays all has no array 'y'"),
    ],
)
def test_arrays_that_are_none(make, message):
    """What Python gives is held against the same rules."""
    with pytest.raises(DataError, match=message):
        make()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"data\.path"),
        ({"train_path": "x.npy", "target_path": "y.npy"}, r"data\.target_path: It goes with path, not given"),
        ({"path": "x.npy", "val_target_path": "y.npy"}, r"data\.val_target_path: It goes with val_path, not given"),
    ],
)
def test_paths_that_contradict(options, message):
    """Targets go with the inputs of their split."""
    with pytest.raises(ConfigError, match=message):
        ArrayData(**options)


def test_models_and_rows_of_different_kinds():
    """A model of a table's columns is not given arrays, though they be as many; nor one of arrays other shapes."""
    x, _ = signals(4)
    table = BundledData("iris").connect("multiclass")
    sequences = ArrayData.from_arrays(*signals(2, 8)).connect("binary")
    data = ArrayData.from_arrays(predict=x)
    data.setup("predict")
    with pytest.raises(DataError, match=r"inputs of kind table\. Received: arrays, from arrays predict"):
        data.connect(None, table)
    with pytest.raises(DataError, match=r"shape \(2, 8\)\. Received from arrays predict: \(4,\)"):
        data.connect(None, sequences)


# Arrays that stay in their file


@pytest.mark.parametrize("ending", ["npy", "h5"])
def test_stored_arrays_are_those_in_memory(ending, capsys):
    """Large arrays are read when they are asked for; splits, batches, fingerprints and what is learned are the same."""
    options = write(ending, *signals(2, 5, rows=700))
    stored, held = Stored(**options), ArrayData(**options)
    assert stored.connect("binary").target == held.connect("binary").target
    assert "is read a batch at a time" in capsys.readouterr().out
    np.testing.assert_allclose(stored.spec.input.offset, held.spec.input.offset, atol=1e-9)
    assert stored.digests() == held.digests()
    assert isinstance(stored.rows["train"].inputs, ArrayFile)
    for split in ("train", "val", "test"):
        for one, other in zip(_batches(stored, split, 32), _batches(held, split, 32), strict=True):
            assert torch.equal(one, other)


def test_archives_are_always_read():
    """An .npz file can't be read in parts."""
    data = Stored(**write("npz", *signals(3)))
    data.connect("binary")
    assert isinstance(data.rows["train"].inputs, torch.Tensor)


@pytest.mark.parametrize("ending", ["npy", "h5"])
@pytest.mark.parametrize("places", [[3], [5, 2, 5, 0], [699, 0, 350], [*range(50, 90)]])
def test_stored_rows_in_any_order(ending, places):
    """Rows may be asked for in any order and several times, as a balanced sampler does."""
    x, y = signals(3, rows=700)
    data = Stored(**write(ending, x, y), split=(1, 0, 0))
    data.connect("binary")
    inputs = data.rows["train"].inputs
    assert torch.equal(inputs[torch.tensor(places)], torch.from_numpy(x[places]))
    assert torch.equal(pickle.loads(pickle.dumps(inputs))[places], torch.from_numpy(x[places]))
    assert torch.equal(inputs.take(np.array([9, 7]))[[1, 0]], torch.from_numpy(x[[7, 9]]))


@pytest.mark.parametrize("ending", ["npy", "h5"])
@pytest.mark.parametrize("split", [[1.0, 0.0, 0.0], [0.5, 0.25, 0.25]])
def test_stored_rows_that_are_not_finite(ending, split):
    """A value that is not finite is named with its row, in whatever split it is, before it becomes a weight."""
    x, y = signals(3, rows=600)
    x[433, 1] = np.nan
    with pytest.raises(DataError, match=r"finite numbers .*Received in .*: nan in row 433, feature 1, and so in 1 of"):
        Stored(**write(ending, x, y), split=split).connect("binary")


@pytest.mark.parametrize("ending", ["npy", "h5"])
def test_workers_read_stored_arrays(ending):
    """A model trains on arrays that worker processes read, classes balanced, to the same weights as from memory."""
    options = write(ending, *signals(3, rows=200)) | {"batch_size": 16, "balanced": True}
    weights = []
    for source, workers in ((Stored, 2), (Stored, 0), (ArrayData, 0)):
        torch.manual_seed(0)
        model = Model([{"dense": 4}], "binary")
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
        trainer = Trainer(max_epochs=2, enable_checkpointing=False, **quiet)
        trainer.fit(model, source(**options, num_workers=workers))
        weights.append(torch.cat([value.flatten() for value in model.parameters()]))
    assert torch.equal(weights[0], weights[1])
    torch.testing.assert_close(weights[1], weights[2])


@for_each_file
def test_from_a_config_to_predictions(ending, capsys):
    """A model is trained from a config, and then predicts new arrays without targets from its checkpoint alone."""
    x, y = signals(2, 6, rows=200)
    options = write(ending, x, np.where(y == 1, "high", "low")) | {"batch_size": 16}
    config = {
        "seed_everything": 1,
        "data": {"class_path": "ArrayData", "init_args": options},
        "model": {"layers": ["flatten"], "optimizer": {"class_path": "Adam", "init_args": {"lr": 0.05}}},
        "trainer": {"max_epochs": 15, "accelerator": "cpu"},
    }
    Path("c.yaml").write_text(yaml.safe_dump(config))
    assert main(["fit", "--config", "c.yaml"]) == 0
    assert "problem: binary, inferred from y (2 different texts)" in capsys.readouterr().out
    new = np.zeros((4, 2, 6))
    new[:, 0, 0] = [2, -2, -3, 3]
    np.savez("new.npz", scans=new)
    checkpoint = "runs/c/version_0/checkpoints/best.ckpt"
    arguments = ["--ckpt_path", checkpoint, "--data", "ArrayData", "--data.predict_path", "new.npz"]
    assert main(["predict", *arguments, "--data.inputs", "scans", "--output", "p.csv"]) == 0
    assert pd.read_csv("p.csv").prediction.tolist() == ["high", "low", "low", "high"]
