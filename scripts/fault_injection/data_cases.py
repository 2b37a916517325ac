"""Data with something wrong in it, a case each: run by `fault_injection.data` in a process of its own.

A case says what is given to lightlab and what has to come of it: the words of an error, or of what is said while the
training goes its way. It is printed as JSON: the name of the case, and what came of it instead; empty where it holds.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

SPLITS = ("train", "val", "test")
#: What a training is made of, its stage and what it does not show.
LAYERS = [{"dense": {"units": 8, "activation": "relu"}}]
BATCH_NORM = [{"dense": 8}, "batch_norm", {"dense": 4}]
#: A case: its name, what makes the data, the problem, what has to be said, whether it is an error, and the layers.
Case = tuple[str, Callable[[], Any], str, str, bool, list[Any]]


def make_frames(rows: int = 60) -> dict[str, Any]:
    """Return a table for each split: two columns of numbers, one of categories, a number and a class to predict."""
    import numpy as np
    import pandas as pd

    frames = {}
    for seed, split in enumerate(SPLITS):
        generator = np.random.default_rng(seed)
        frame = pd.DataFrame({"a": generator.normal(size=rows), "b": generator.normal(size=rows)})
        frame["c"] = generator.choice(["x", "y", "z"], rows)
        frame["t"] = 2 * frame["a"] - frame["b"]
        frame["k"] = np.where(frame["t"] > 0, "up", "down")
        frames[split] = frame
    return frames


def table(
    change: Callable[[dict[str, Any]], Any], target: str = "t", source: str = "TableData", **options: Any
) -> Callable[[], Any]:
    """Return what makes the data of tables after something was done to them."""

    def make() -> Any:
        import lightlab.data as sources

        frames = {split: frame.drop(columns="k" if target == "t" else "t") for split, frame in make_frames().items()}
        change(frames)
        if source == "TableData":
            return sources.TableData.from_frame(target=target, **frames, **options)
        for split, frame in frames.items():
            frame.to_parquet(f"{split}.parquet", row_group_size=20)
        paths: dict[str, Any] = {f"{split}_path": f"{split}.parquet" for split in frames}
        return sources.ParquetStream(target=target, num_workers=0, **paths, **options)

    return make


def put(split: str, column: str, value: Any, row: int = 3) -> Callable[[dict[str, Any]], None]:
    """Return what writes a value into one cell, or with row -1 into all of a column."""

    def change(frames: dict[str, Any]) -> None:
        frame = frames[split]
        if not isinstance(value, float):
            frame[column] = frame[column].astype(object)
        frame.loc[slice(None) if row < 0 else row, column] = value

    return change


def scale(column: str, factor: float, shift: float = 0.0) -> Callable[[dict[str, Any]], None]:
    """Return what multiplies a column of all splits."""

    def change(frames: dict[str, Any]) -> None:
        for frame in frames.values():
            frame[column] = frame[column] * factor + shift

    return change


def arrays(ending: str, split: str, value: float, row: int = 7, stored: bool = False) -> Callable[[], Any]:
    """Return what makes the data of arrays in files with one value, or one feature, that was written over."""

    def make() -> Any:
        import numpy as np

        from lightlab.data import ArrayData

        generator, paths = np.random.default_rng(0), {}
        for name in SPLITS:
            x, y = generator.normal(size=(60, 4)).astype(np.float32), generator.normal(size=60)
            if name == split:
                x[slice(None) if row < 0 else row, 2] = value
            _write_arrays(f"{name}{ending}", x, y)
            paths[f"{name}_path"] = f"{name}{ending}"
            if ending == ".npy":
                paths[f"{name}_target_path"] = f"{name}_y.npy"
        kind: Any = type("Stored", (ArrayData,), {"largest": 0}) if stored else ArrayData
        return kind(**paths, num_workers=0)

    return make


def _write_arrays(path: str, x: Any, y: Any) -> None:
    import h5py
    import numpy as np

    if path.endswith(".npz"):
        np.savez(path, x=x, y=y)
    elif path.endswith(".npy"):
        np.save(path, x)
        np.save(path.replace(".npy", "_y.npy"), y)
    else:
        with h5py.File(path, "w") as file:
            file["x"], file["y"] = x, y


def rows_of(rows: int, batch_size: int) -> Callable[[], Any]:
    """Return what makes the data of so many rows in batches of such a size."""

    def make() -> Any:
        import numpy as np

        from lightlab.data import ArrayData

        generator = np.random.default_rng(0)
        pair = generator.normal(size=(rows, 4)), generator.normal(size=rows)
        return ArrayData.from_arrays(train=pair, test=pair, batch_size=batch_size)

    return make


def samples(where: str, at: int, value: float, target: Any = None, classes: bool = False) -> Callable[[], Any]:
    """Return what makes the data of a Python function, one of whose samples is another than the first 20 show."""

    def make() -> Any:
        import numpy as np

        from lightlab.data import IterableData

        def give(split: str) -> Iterator[tuple[Any, Any]]:
            generator = np.random.default_rng(SPLITS.index(split))
            for number in range(60):
                x = generator.normal(size=3)
                y: Any = int(x.sum() > 0) if classes else float(x.sum())
                if number == at and split == where:
                    x[1], y = (value, y) if target is None else (x[1], target)
                yield x, y

        return IterableData(give, give, give, batch_size=10, statistics_rows=20)

    return make


def labels(split: str, column: str, value: float) -> Callable[[], Any]:
    """Return what makes the data of several columns of 0 and 1, or of a number from 0 to 1, with one that is none."""

    def make() -> Any:
        import numpy as np
        import pandas as pd

        from lightlab.data import TableData

        frames = {}
        for seed, name in enumerate(SPLITS):
            generator = np.random.default_rng(seed)
            frames[name] = pd.DataFrame({"a": generator.normal(size=40), "share": generator.random(40)})
            frames[name][["p", "q"]] = generator.integers(0, 2, (40, 2)).astype(float)
        frames[split].loc[3, column] = value
        others = ["share"] if column in "pq" else ["p", "q"]
        target: Any = ["p", "q"] if column in "pq" else "share"
        return TableData.from_frame(target=target, ignore=others, **frames)

    return make


def images(**classes: list[str]) -> Callable[[], Any]:
    """Return what makes the data of a folder of images with these classes in each split."""

    def make() -> Any:
        from PIL import Image

        from lightlab.data import ImageFolderData

        root = Path("images", "-".join("".join(names) for names in classes.values()))
        for number, (split, names) in enumerate(classes.items()):
            for place, name in enumerate(names):
                (root / split / name).mkdir(parents=True)
                for each in range(6):
                    colour = 40 * number + 20 * place + each
                    Image.new("L", (8, 8), colour).save(root / split / name / f"{each}.png")
        return ImageFolderData(str(root))

    return make


def texts(change: Callable[[Any], Any]) -> Callable[[], Any]:
    """Return what makes the data of a column of texts after something was done to it."""

    def make() -> Any:
        import pandas as pd

        from lightlab.data import TextData

        frame = pd.DataFrame({"s": ["good film", "bad film", "", "awful"] * 10, "k": ["p", "n", "p", "n"] * 10})
        frames = {split: frame.copy() for split in SPLITS}
        change(frames)
        return TextData.from_frame(text="s", target="k", **frames)

    return make


def leave(frames: dict[str, Any]) -> None:
    """Do nothing."""


def numbers() -> Iterator[Case]:
    """R7: what is no number, no ordinary one, or always the same."""
    nan, inf = float("nan"), float("inf")

    def case(name: str, make: Callable[[], Any], says: str, error: bool = True, layers: Any = LAYERS) -> Case:
        return name, make, "regression", says, error, layers

    for split in SPLITS:
        for value in (inf, -inf, 1e39):
            yield case(f"table: {value} in {split}", table(put(split, "a", value)), "column 'a': ")
        yield case(f"table: NaN in {split}", table(put(split, "a", nan)), " a", error=False)
        yield case(f"table: NaN in the target of {split}", table(put(split, "t", nan)), "column 't': 1 of 60 rows")
        yield case(f"table: inf in the target of {split}", table(put(split, "t", inf)), "column 't': inf")
        yield case(f"stream: inf in {split}", table(put(split, "a", inf), source="ParquetStream"), "column 'a': inf")
        yield case(f"stream: NaN in {split}", table(put(split, "a", nan), source="ParquetStream"), " a", error=False)
    yield case("table: missing_numbers error", table(put("train", "a", nan), missing_numbers="error"), "column 'a'")
    yield case("table: 1e30 in val alone", table(put("val", "a", 1e30)), "column 'a': 1e+30")
    yield case("table: numbers of 1e30", table(scale("a", 1e30)), "numeric: a, b", error=False)
    yield case("table: numbers of 1e30, not normalised", table(scale("a", 1e30), normalize="none"), "column 'a': ")
    yield case("table: numbers of 1e-60", table(scale("a", 1e-60)), "column 'a' of")
    yield case("table: numbers of 1e9 ± 1", table(scale("a", 1.0, 1e9)), "column 'a' of")
    yield case("table: a target of 1e-60", table(scale("t", 1e-60)), "column 't' of")
    yield case("table: all NaN", table(put("train", "a", nan, -1)), "left out: a (", error=False)
    yield case("table: constant", table(put("train", "a", 1.5, -1)), "left out: a (", error=False)
    yield case("table: empty texts", table(put("train", "c", "")), "categorical: c", error=False)
    yield case("table: a column of empty texts", table(put("train", "c", "", -1)), "left out: c (", error=False)
    yield case("stream: constant", table(put("train", "a", 1.5, -1), source="ParquetStream"), "left out: a (", False)
    for ending, stored in ((".npy", False), (".npz", False), (".h5", False), (".npy", True), (".h5", True)):
        name = f"array: NaN in {ending}{', memory-mapped' if stored else ''}"
        yield case(name, arrays(ending, "test", nan, stored=stored), "nan in row 7, feature 2")
    yield case("array: inf", arrays(".npz", "train", inf), "inf in row 7, feature 2")
    yield case("array: constant", arrays(".npz", "train", 1.5, -1), "constant: feature 2", error=False)
    yield case("texts: empty ones", texts(leave), "empty: 10 of 40 texts", error=False, layers="texts")
    yield case("samples: NaN, late", samples("train", 50, nan), "nan in row 50, feature 1")
    yield case("samples: NaN in val", samples("val", 50, nan), "nan in row 50, feature 1")
    yield case("batch_norm: steps of a row", rows_of(60, 1), "batch_norm can't learn from one row", layers=BATCH_NORM)
    yield case("batch_norm: a row in all", rows_of(1, 8), "batch_norm can't learn from one row", layers=BATCH_NORM)
    yield case("batch_norm: a row is left over", rows_of(61, 20), "", error=False, layers=BATCH_NORM)
    streams = table(leave, source="ParquetStream", batch_size=1)
    yield case("batch_norm: a stream's row", streams, "batch_norm can't learn from one row", layers=BATCH_NORM)


def classes() -> Iterator[Case]:
    """R9: labels that training has not, or that no head can learn."""

    def case(name: str, make: Callable[[], Any], says: str, problem: str = "binary") -> Case:
        return name, make, problem, says, True, ["flatten", *LAYERS]

    for split in ("val", "test"):
        for source in ("TableData", "ParquetStream"):
            make = table(put(split, "k", "sideways"), target="k", source=source)
            yield case(f"{source}: unseen in {split}", make, "'sideways' (1 rows)")
    for split in SPLITS:
        none = table(put(split, "k", None), target="k")
        yield case(f"table: none in {split}", none, "Missing in column 'k': 1 of 60 rows, first at DataFrame")
        for value in (2.0, -1.0, 0.5):
            yield case(f"labels: {value} in {split}", labels(split, "p", value), f"{value} at DataFrame", "multilabel")
        bounded = labels(split, "share", 1.5)
        yield case(f"bounds: 1.5 in {split}", bounded, "1.5 at DataFrame", "bounded_regression")
    for value in (7, -1, 0.5):
        yield case(
            f"array: class {value}", _array_of_classes([0, 1, 2], [0, value]), f"'{value}' (1 rows)", "multiclass"
        )
    yield case(
        "array: fractions", _array_of_classes([0, 1, 2, 0.5], [0, 1]), "0.5 at arrays train, row 3", "multiclass"
    )
    yield case("images: unseen in val", images(train=["a", "b"], val=["a", "c"]), "'c' (6 rows)", "multiclass")
    for value in (7, -1, 0.5):
        yield case(f"samples: class {value}, first", samples("train", 5, 0, value, classes=True), f"{value}")
        yield case(f"samples: class {value} in val", samples("val", 50, 0, value, classes=True), f"'{value}' (1 rows)")
        yield case(f"samples: class {value}, late", samples("train", 50, 0, value, classes=True), f"'{value}' (1 rows)")


def _array_of_classes(train: list[float], val: list[float]) -> Callable[[], Any]:
    def make() -> Any:
        import numpy as np

        from lightlab.data import ArrayData

        generator = np.random.default_rng(0)
        pairs = [(generator.normal(size=(len(y), 3)), np.array(y)) for y in (train * 10, val)]
        return ArrayData.from_arrays(train=pairs[0], val=pairs[1])

    return make


def judge(case: Case, late: bool) -> str:
    """Return what came of a case where that is not what has to; empty where it holds."""
    import torch
    from lightning import Trainer

    from lightlab import Model
    from lightlab.errors import LightlabError

    _, make, problem, says, is_error, layers = case
    if layers == "texts":
        problem, layers = "binary", [{"embedding": 4}, "sequence_avg_pool"]
    said = io.StringIO()
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(max_epochs=1, accelerator="cpu", enable_checkpointing=False, **quiet)
    model = Model(layers, problem)
    try:
        with redirect_stdout(said):
            data = make()
            trainer.fit(model, data)
            trainer.test(model, data, verbose=False)
    except LightlabError as error:
        if not is_error or says not in str(error):
            return f"{type(error).__name__}: {error}"
        return "" if late or trainer.global_step == 0 else f"found only after {trainer.global_step} steps"
    except Exception as error:
        return f"a traceback: {type(error).__name__}: {error}"
    if is_error or says not in said.getvalue():
        return f"trained, and said: {said.getvalue().strip()}"
    finite = all(bool(torch.isfinite(each).all()) for each in model.parameters())
    return "" if finite else "trained to weights that are not finite"


def commands() -> Iterator[tuple[str, dict[str, Any], str]]:
    """R8: trainings without what they need: the name, what the config says beside the usual, what is to be said."""
    no_val, no_epoch = [0.8, 0.0, 0.2], {"max_epochs": 0}
    yield "no rows in the file", {"data": {"path": "d0.csv"}}, "d0.csv"
    yield "no rows in val_path", {"data": {"path": None, "train_path": "d.csv", "val_path": "d0.csv"}}, "d0.csv"
    for rows in (1, 2, 3):
        yield f"{rows} rows for three splits", {"data": {"path": f"d{rows}.csv"}}, f"{rows} rows"
    yield "a share that leaves nothing", {"data": {"split": [0.999, 0.001, 0.0]}}, "none for val"
    yield "rows to predict alone", {"data": {"path": None, "predict_path": "d.csv"}}, "no rows to train on"
    yield "one class", {"data": {"path": "one.csv"}}, "exactly two classes"
    yield "one class of several", {"data": {"path": "one.csv"}, "problem": "multiclass"}, "at least two classes"
    yield "drop_last", {"data": {"drop_last": True, "batch_size": 100}}, "a short last batch"
    yield "early stopping, no share", {"data": {"split": no_val}, "early_stopping": {}}, "There is no validation split"
    alone = {"path": None, "train_path": "d.csv"}
    yield "early stopping, no file", {"data": alone, "early_stopping": {}}, "There is no validation split"
    switched_off = {"trainer": {"limit_val_batches": 0}, "early_stopping": {}}
    yield "early stopping, switched off", switched_off, "There is no validation split"
    watched = {"data": {"split": no_val}, "checkpoint": {"monitor": "val/loss"}}
    yield "a monitored checkpoint", watched, "There is no validation split"
    for name in ("EarlyStopping", "ModelCheckpoint"):
        callback = {"class_path": name, "init_args": {"monitor": "val/loss"}}
        config = {"data": {"split": no_val}, "trainer": {"callbacks": [callback]}}
        yield f"the callback {name}", config, "There is no validation split"
    plateau = {"data": {"split": no_val}, "lr_scheduler": "ReduceLROnPlateau"}
    yield "ReduceLROnPlateau", plateau, "There is no validation split"
    yield "limit_train_batches: 0", {"trainer": {"limit_train_batches": 0}}, "at least one step"
    yield "limit_train_batches: 0.01", {"trainer": {"limit_train_batches": 0.01}}, "at least one of them"
    yield "limit_val_batches: 0.01", {"trainer": {"limit_val_batches": 0.01}}, "at least one of them"
    yield "limit_test_batches: 0.01", {"trainer": {"limit_test_batches": 0.01}}, "at least one of them"
    yield "overfit_batches: 0.01", {"trainer": {"overfit_batches": 0.01}}, "limit_val_batches"
    yield "max_epochs: 0", {"trainer": no_epoch}, "at least one step"
    yield "max_steps: 0", {"trainer": {"max_steps": 0}}, "at least one step"
    never = {"trainer": {"check_val_every_n_epoch": 100}, "early_stopping": {}}
    yield "a validation after the end", never, "validated at least once"


def write_tables() -> None:
    """Write the tables that the commands read."""
    import numpy as np
    import pandas as pd

    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"a": generator.normal(size=60), "b": generator.normal(size=60)})
    frame["k"] = generator.choice(["x", "y"], 60)
    frame.to_csv("d.csv", index=False)
    frame.assign(k="x").to_csv("one.csv", index=False)
    for rows in range(4):
        frame[:rows].to_csv(f"d{rows}.csv", index=False)


def judge_command(config: dict[str, Any], says: str) -> str:
    """Call fit; return what came of it where that is no error before training."""
    import yaml

    from lightlab.cli import main

    data = {"path": "d.csv", "target": "k", **config.get("data", {})}
    data = {name: value for name, value in data.items() if value is not None}
    model = {"problem": config.get("problem", "binary"), "layers": [{"dense": 4}]}
    if "lr_scheduler" in config:
        model["lr_scheduler"] = config["lr_scheduler"]
    trainer = {"max_epochs": 2, "accelerator": "cpu", **config.get("trainer", {})}
    whole = {"data": {"class_path": "TableData", "init_args": data}, "model": model, "trainer": trainer}
    whole |= {name: config[name] for name in ("early_stopping", "checkpoint") if name in config}
    Path("config.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = main(["fit", "--config", "config.yaml"])
    if code != 2 or says not in said.getvalue():
        return f"exit {code}: {said.getvalue().strip()[-300:]}"
    return "it left a run folder" if Path("runs").exists() else ""


def main() -> None:
    """Judge the cases of the fault that the command line names, or every so many of them; print what came of each."""
    name, every = sys.argv[1:]
    warnings.filterwarnings("ignore")
    for logger in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    if name == "R8":
        write_tables()
        found = {each: judge_command(config, says) for each, config, says in list(commands())[:: int(every)]}
    else:
        cases = list(numbers() if name == "R7" else classes())[:: int(every)]
        # Of samples that are made when they are needed, the first alone are known before.
        found = {case[0]: judge(case, late=name == "R7" or ", late" in case[0]) for case in cases}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
