"""Texts from files: what is learned from them, what is said, and a model from the first line to predictions."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from lightning.pytorch import Trainer

from lightlab.cli import main
from lightlab.data import TableData, TextData
from lightlab.errors import CheckpointError, ConfigError, DataError, TargetError
from lightlab.module import Model

GOOD, BAD = ["great fun", "Fine, and good!", "I loved it"], ["awful; a bore", "Bad, and dull!", "I hated it"]


@pytest.fixture
def reviews():
    """A file of short reviews, good and bad, that differ from each other."""
    texts = [f"{opinion} number{number} part {number % 7}" for number in range(20) for opinion in (*GOOD, *BAD)]
    table = pd.DataFrame({"review": texts, "liked": (["yes"] * 3 + ["no"] * 3) * 20, "stars": range(120)})
    table.to_csv("reviews.csv", index=False)
    return table


def three_files(**changed):
    """Write a file for each split and return them as options; ``changed`` are other texts for one of them."""
    texts = {"train": ["a b", "b c", "a", "b"], "val": ["c a", "a"], "test": ["b", "c c"]} | changed
    for split, rows in texts.items():
        pd.DataFrame({"text": rows, "y": ["p", "q"] * (len(rows) // 2)}).to_csv(f"{split}.csv", index=False)
    return {f"{split}_path": f"{split}.csv" for split in texts}


def test_nothing_is_learned_from_validation_or_test_texts():
    """Poisoned validation and test texts change nothing of what is learned."""
    clean = TextData(**three_files(), target="y").connect("binary")
    assert clean.input.vocabulary == ("", "[UNK]", "b", "a", "c")
    poison = ["a a a a a a a a zzz"] * 6
    assert TextData(**three_files(val=poison, test=poison), target="y").connect("binary") == clean
    assert TextData(**three_files(train=poison), target="y").connect("binary") != clean


def test_what_is_learned(reviews, capsys):
    """The vocabulary and the length are those of the options, or of the train split, and said."""
    data = TextData("reviews.csv", "review", "liked")
    spec = data.connect("binary").input
    lengths = [len(text.replace(",", " ,").replace("!", " !").replace(";", " ;").split()) for text in _train(data)]
    assert (spec.kind, spec.tokens, spec.lower) == ("text", "words", True)
    assert spec.shape == (int(np.ceil(np.percentile(lengths, 95))),)
    assert spec.vocabulary[:3] == ("", "[UNK]", "part")
    said = capsys.readouterr().out
    assert f"vocabulary: {len(spec.vocabulary) - 2} different words in the 84 texts of train" in said
    assert f"length: {spec.shape[0]} words, which 95 of 100 texts of train keep to; see data.length" in said
    options = {"tokens": "characters", "lower": False, "length": 5, "vocabulary_size": 3, "min_count": 2}
    spec = TextData("reviews.csv", "review", "liked", **options).connect("binary").input
    assert (spec.tokens, spec.lower, spec.shape, len(spec.vocabulary)) == ("characters", False, (5,), 5)
    said = capsys.readouterr().out
    assert "different characters in the 84 texts of train, of which the 3 most frequent have codes" in said
    assert "length" not in said
    assert "cut off: 84 of 84 texts of reviews.csv after 5 characters" in said


def _train(data):
    return data.rows["train"].inputs["review"]


def test_what_a_model_does_not_see_is_said(capsys):
    """Unknown words, empty and missing texts, and cut ends are counted, with an example or a place."""
    spec = TextData(**three_files(), target="y", length=2).connect("binary")
    Path("new.csv").write_text('text\na NEW new word\n""\n \nb\n')
    data = TextData(predict_path="new.csv", target="y")
    capsys.readouterr()
    data.setup("predict")
    data.connect(None, spec)
    (batch,) = data.predict_dataloader()
    assert batch.inputs.tolist() == [[3, 1], [0, 0], [0, 0], [0, 2]]
    assert capsys.readouterr().out.splitlines() == [
        "empty: 2 of 4 texts of new.csv have no words, the first at new.csv:3",
        "cut off: 1 of 4 texts of new.csv after 2 words",
        "unknown: 3 of 5 words (60.0%) of new.csv are not in the vocabulary: 'new', 'word'",
    ]


def test_a_trained_model_knows_how_texts_are_read(reviews):
    """New rows are cut, lowered and padded as in training, whatever the options say now."""
    trained = TextData("reviews.csv", "review", "liked", tokens="characters", lower=False, length=7)
    spec = trained.connect("binary")
    other = TextData("reviews.csv", "review", "liked", length=3)
    assert other.connect(None, spec) == spec
    for split in ("train", "val", "test"):
        rows = trained.rows[split]
        assert torch.equal(other.encode_input(rows, spec.input), trained.encode_input(rows, spec.input))


def test_frames(reviews):
    """DataFrames give what files give, and missing texts in them are empty."""
    spec = TextData("reviews.csv", "review", "liked").connect("binary")
    assert TextData.from_frame(reviews, "liked", text="review").connect("binary") == spec
    new = pd.DataFrame({"review": ["great", None, np.nan, pd.NA]})
    data = TextData.from_frame(predict=new, target="liked", text="review")
    data.setup("predict")
    data.connect(None, spec)
    (batch,) = data.predict_dataloader()
    assert (batch.inputs != 0).sum(1).tolist() == [1, 0, 0, 0]


def test_parquet_and_other_forms(reviews):
    """Parquet, and CSV in another form, hold the same texts."""
    spec = TextData("reviews.csv", "review", "liked").connect("binary")
    reviews.to_parquet("reviews.parquet")
    assert TextData("reviews.parquet", "review", "liked").connect("binary") == spec
    reviews.to_csv("reviews.txt", index=False, sep="|", encoding="utf-16")
    other = TextData("reviews.txt", "review", "liked", separator="|", encoding="utf-16")
    assert other.connect("binary") == spec


def test_ids_and_groups(reviews):
    """Rows can be named by a column, and kept together by one."""
    reviews.assign(author=[f"a{number // 6}" for number in range(120)]).to_csv("reviews.csv", index=False)
    data = TextData("reviews.csv", "review", "liked", id_column="stars", split={"groups": "author"})
    data.connect("binary")
    assert data.rows["test"].id_name == "stars"
    authors = [set(rows.columns["author"]) for rows in data.rows.values()]
    assert sum(map(len, authors)) == len(set.union(*authors)) == 20


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("", DataError, r"f\.csv is empty"),
        ("text,y\n", DataError, r"f\.csv has none"),
        ("text,y\nhello,p\n", DataError, r"Received: 1 rows, .* leaves none for val"),
        ("words,y\nhello,p\n", DataError, r"f\.csv has no column 'text'\. There are: words, y"),
        ("Text,y\nhello,p\n", DataError, r"f\.csv has no column 'text'\. Did you mean Text\?"),
        ("text,z\nhello,p\n", DataError, r"f\.csv has no column 'y'"),
        ("text,y\nhello\n", DataError, r"as many values as the header, 2\. f\.csv:2 has 1"),
        ("text,y\n" + ",p\n ,q\n" * 9, DataError, r"Texts have words\. Received: none in all 12 rows of f\.csv"),
        ("text,y\n" + "a,p\nb,p\n" * 9, TargetError, "exactly two classes"),
        ("text,y\n" + "a,p\nb,\n" * 9, TargetError, r"Missing in column 'y': .* first at f\.csv:"),
    ],
)
def test_files_that_can_t_be_used(content, error, message):
    """The rule, the file and the line are said."""
    Path("f.csv").write_text(content)
    with pytest.raises(error, match=message):
        TextData("f.csv", target="y").connect("binary")


def test_paths_that_are_no_file(reviews):
    """A folder, and a name that is nearly that of a file."""
    Path("folder").mkdir()
    with pytest.raises(DataError, match=r"folder \(a folder\)"):
        TextData("folder", "review", "liked").connect("binary")
    with pytest.raises(DataError, match=r"no such file\)\. Did you mean reviews\.csv"):
        TextData("review.csv", "review", "liked").connect("binary")


def test_classes_that_training_lacks():
    """A class in the validation file that the train file has not is named."""
    files = three_files()
    pd.DataFrame({"text": ["a"], "y": ["new"]}).to_csv("val.csv", index=False)
    with pytest.raises(TargetError, match=r"first at val\.csv:2: 'new' \(1 rows\)"):
        TextData(**files, target="y").connect("binary")


@pytest.mark.parametrize("values", [[1.5, 2.5], ["a", 3], [b"a", b"b"], [["a"], ["b"]]])
def test_columns_that_hold_no_text(values):
    """A column of something else is named with its first such value."""
    frame = pd.DataFrame({"text": pd.Series(values * 10, dtype=object), "y": ["p", "q"] * 10})
    with pytest.raises(DataError, match=r"nothing but text\. Received in column 'text': .*, row \d"):
        TextData.from_frame(frame, "y").connect("binary")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, r"data\.length: length is 1 or more\. Received: 0"),
        ({"vocabulary_size": 0}, r"data\.vocabulary_size"),
        ({"min_count": 0}, r"data\.min_count"),
        ({"text": "y"}, r"data\.text: A column has one role\. Received: 'y'"),
        ({"id_column": "text"}, r"data\.text: A column has one role"),
    ],
)
def test_options_that_can_t_be(options, message):
    """What can't be done is said before anything is read."""
    with pytest.raises(ConfigError, match=message):
        TextData("f.csv", target="y", **options)


def test_words_that_are_too_rare(reviews):
    """Where no word is frequent enough, the option is named."""
    with pytest.raises(DataError, match=r"No word stands 1000 times in the train split: lower data\.min_count"):
        TextData("reviews.csv", "review", "liked", min_count=1000).connect("binary")


def test_models_and_rows_of_different_kinds(reviews):
    """Texts are not given to a model of numbers, and numbers not to a model of texts."""
    texts = TextData("reviews.csv", "review", "liked")
    table = TableData("reviews.csv", "liked", ignore=["review"])
    of_texts, of_tables = texts.connect("binary"), table.connect("binary")
    with pytest.raises(DataError, match=r"The model takes inputs of kind table\. Received: texts, from reviews\.csv"):
        TextData("reviews.csv", "review", "liked").connect(None, of_tables)
    assert of_texts.input.kind == "text"


LAYERS = {
    "gru": ([{"embedding": 8}, {"gru": 8}], {}),
    "mean": ([{"embedding": 8}, "sequence_avg_pool"], {"min_count": 2, "length": 40}),
    "characters": (
        [{"embedding": 8}, {"permute": [2, 1]}, {"conv1d": {"filters": 8, "kernel_size": 4}}, "global_max_pool"],
        {"tokens": "characters"},
    ),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_from_a_config_to_predictions(reviews, kind, capsys):
    """A model is trained from a config that counts nothing, and then predicts new texts from its checkpoint alone."""
    layers, options = LAYERS[kind]
    path = {"path": "reviews.csv", "text": "review", "target": "liked", "batch_size": 16}
    config = {
        "seed_everything": 1,
        "data": {"class_path": "TextData", "init_args": path | options},
        "model": {
            "problem": "binary",
            "layers": layers,
            "optimizer": {"class_path": "Adam", "init_args": {"lr": 0.02}},
        },
        "trainer": {"max_epochs": 12, "accelerator": "cpu"},
    }
    Path("c.yaml").write_text(yaml.safe_dump(config))
    assert main(["fit", "--config", "c.yaml"]) == 0
    Path("reviews.csv").unlink()
    texts = ["Great fun, and I loved it!", "An awful bore. I hated it", "I hated a dull part", "fine and good"]
    pd.DataFrame({"review": texts}).to_csv("new.csv", index=False)
    checkpoint = "runs/c/version_0/checkpoints/best.ckpt"
    arguments = ["--ckpt_path", checkpoint, "--data", "TextData", "--data.predict_path", "new.csv"]
    assert main(["predict", *arguments, "--data.text", "review", "--output", "p.csv"]) == 0
    assert pd.read_csv("p.csv").prediction.tolist() == ["yes", "no", "no", "yes"]
    assert "words" in capsys.readouterr().out or kind == "characters"


def test_resuming_with_another_vocabulary(reviews):
    """Training does not go on with weights that belong to other words, though there be as many."""
    model = Model([{"embedding": 4}, "sequence_avg_pool"], "binary")
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = Trainer(max_epochs=1, callbacks=[], enable_checkpointing=False, **quiet)
    trainer.fit(model, TextData("reviews.csv", "review", "liked", vocabulary_size=9))
    trainer.save_checkpoint("last.ckpt")
    reviews.assign(review=reviews.review.str.replace("part", "piece")).to_csv("reviews.csv", index=False)
    other = Model([{"embedding": 4}, "sequence_avg_pool"], "binary")
    trainer = Trainer(max_epochs=2, enable_checkpointing=False, **quiet)
    with pytest.raises(CheckpointError, match=r"Its words are \{2: 'part'\}, here: \{2: 'piece'\}"):
        trainer.fit(other, TextData("reviews.csv", "review", "liked", vocabulary_size=9), ckpt_path="last.ckpt")
