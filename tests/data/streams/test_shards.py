"""Images in tar shards are found, told apart, decoded and predicted; what is broken is named."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightlab.data import ImageFolderData, ImageShards
from lightlab.errors import ConfigError, DataError, TargetError
from lightlab.module import Model

#: Grey of each sample, so that an image tells which it is.
SIZES = (7, 1, 12, 10)
CLASSES = ("day", "dusk", "night")


def image(value, size=(6, 8), mode="RGB", kind="PNG"):
    """Return the bytes of an image of one colour."""
    content = io.BytesIO()
    Image.new(mode, size[::-1], (value,) * 3 if mode == "RGB" else value).save(content, kind)
    return content.getvalue()


def write(path, members, **options):
    """Write a tar file of names and bytes."""
    Path(path).parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w", **options) as shard:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            shard.addfile(member, io.BytesIO(content))


def samples(first, count, target=lambda number: ("cls", CLASSES[number % 3].encode())):
    """Return the members of some samples, each of a grey of its own."""
    members = []
    for number in range(first, first + count):
        extension, content = target(number)
        members += [(f"some.folder/{number:04}.png", image(number)), (f"some.folder/{number:04}.{extension}", content)]
    return members


@pytest.fixture
def shards():
    """Shards of several sizes."""
    first = 0
    for number, count in enumerate(SIZES):
        write(f"shards/{number}.tar", samples(first, count))
        first += count


def connect(path="shards", problem=None, **options):
    """Return a connected source that reads in this process."""
    data = ImageShards(path, **{"num_workers": 0, "batch_size": 6, "shuffle_buffer": 9, **options})
    data.connect(problem)
    return data


def greys(loader):
    """Return the grey of each image, in order, and its target."""
    batches = list(loader)
    greys = torch.cat([batch.inputs[:, 0, 0, 0] for batch in batches])
    return greys.tolist(), torch.cat([batch.targets for batch in batches]).tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_every_image_once(shards, workers):
    """Each image comes once, with its own class, in order where it is not trained on."""
    data = connect(num_workers=workers)
    seen = []
    for split, loader in (
        ("train", data.train_dataloader()),
        ("val", data.val_dataloader()),
        ("test", data.test_dataloader()),
    ):
        found, targets = greys(loader)
        assert targets == [grey % 3 for grey in found]
        assert len(found) == data.counts[split]
        assert (sorted(found) == found) == (split != "train")
        seen += found
    assert sorted(seen) == list(range(sum(SIZES)))


def test_what_is_learned(shards):
    """Shape, range, classes and the normalisation of channels are those of the train split."""
    data = connect(split=[1, 0, 0])
    spec = data.spec
    assert (spec.problem, spec.input.kind, spec.input.shape, spec.input.high) == ("multiclass", "image", (3, 6, 8), 255)
    assert (spec.target.classes, spec.target.counts) == (CLASSES, (10, 10, 10))
    assert spec.input.offset == pytest.approx((14.5,) * 3)
    assert connect(size=[4, 5], channels=1).spec.input.shape == (1, 4, 5)


def test_poisoned_images_teach_nothing(shards):
    """Whatever the images of validation and test are, what is learned stays the same."""
    first = connect()
    train = set(first.parts["train"].numbers().tolist())
    start = 0
    for number, count in enumerate(SIZES):
        members = samples(start, count)
        poisoned = [
            (name, content if start + place // 2 in train or place % 2 else image(255))
            for place, (name, content) in enumerate(members)
        ]
        write(f"shards/{number}.tar", poisoned)
        start += count
    again = connect()
    assert again.spec == first.spec
    assert 255 in greys(again.val_dataloader())[0]


def test_a_resumed_epoch_is_the_rest_of_it(shards):
    """After any number of batches, what follows is what would have followed."""
    data = connect()
    whole = [batch.places.tolist() for batch in data.train_dataloader()]
    for given in range(len(whole)):
        loader = data.train_dataloader()
        loader.load_state_dict({**loader.state_dict(), "batches": given})
        assert [batch.places.tolist() for batch in loader] == whole[given:]


def test_shards_stay_together(shards):
    """By the column shard, no shard's images fall to two splits."""
    data = connect(split={"groups": "shard", "shares": [0.5, 0.5, 0.0]}, seed=3)
    for size, part in zip(SIZES, zip(*(part.sizes for part in data.parts.values()), strict=True), strict=True):
        assert sorted(part) == [0, size]
    with pytest.raises(DataError, match="columns shard and key. Received: 'person'"):
        connect(split={"groups": "person"})


def test_targets_in_json():
    """A key of each sample's JSON is the target: a number, or a class."""
    write("a.tar", samples(0, 30, lambda number: ("json", json.dumps({"age": number / 4, "who": "x"}).encode())))
    data = connect("a.tar", target_key="age")
    assert (data.spec.problem, data.spec.target.columns) == ("regression", ("age",))
    found, targets = greys(data.test_dataloader())
    assert targets == [[grey / 4] for grey in found]
    with pytest.raises(TargetError, match=r"JSON with a key 'height'\. Received in a\.tar for 'some\.folder/0000'"):
        connect("a.tar", target_key="height")


def test_raw_new_images_are_predicted(shards):
    """Shards without targets, and a folder, of images of another size and mode, are predicted alike."""
    spec = connect().spec
    model = Model([{"conv2d": {"filters": 2, "kernel_size": 3}}, "flatten"])
    model.build(spec)
    contents = {f"{number}.png": image(number * 20, (12, 16), "L") for number in range(5)}
    write("new.tar", contents.items())
    Path("new").mkdir()
    for name, content in contents.items():
        Path("new", name).write_bytes(content)
    predicted = []
    for data in (ImageShards(predict_path="new.tar", num_workers=0), ImageFolderData(predict_path="new")):
        data.setup("predict")
        data.connect(None, spec)
        predicted.append(model.predict(torch.cat([batch.inputs for batch in data.predict_dataloader()])))
    assert predicted[0] == predicted[1]
    shard = ImageShards(predict_path="new.tar")
    shard.setup("predict")
    shard.connect(None, spec)
    name, ids = shard.name_rows("predict", np.array([0, 3]))
    assert (name, ids.tolist()) == ("key", ["0", "3"])


def test_other_members_are_counted(shards, capsys):
    """What belongs to no sample is left out, aloud; folders and long names are no trouble."""
    write(
        "shards/9.tar", [*samples(50, 3), ("some.folder/0050.txt", b"x"), ("README", b"x"), ("d" * 150 + ".txt", b"x")]
    )
    assert sum(connect().counts.values()) == sum(SIZES) + 3
    assert "left out: 3 members of shards that are neither image nor .cls" in capsys.readouterr().out


LABEL = ("a.cls", b"day")


def one(members):
    """Write a shard in place of one of the others."""
    write("shards/1.tar", members)


def truncate(place):
    """Cut a shard off at a place of its content."""
    content = Path("shards/2.tar").read_bytes()
    Path("shards/2.tar").write_bytes(content[: place(content)])


def start_of(name):
    """Return what finds the start of a member."""
    return lambda content: content.index(f"some.folder/{name}".encode())


def middle_of(name):
    """Return what finds a place within a member."""
    return lambda content: start_of(name)(content) + 512 + 30


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda: truncate(middle_of("0012.png")), DataError, r"it ends within some.folder/0012\.png"),
        (
            lambda: truncate(start_of("0012.png")),
            DataError,
            r"2\.tar is not: at byte \d+ there is neither a member nor",
        ),
        (lambda: truncate(lambda content: 200), DataError, r"shards/2\.tar is not: "),
        (lambda: one(samples(0, 3)[:-1]), TargetError, r"1\.tar has no some\.folder/0002\.cls"),
        (lambda: one(samples(0, 3)[1:]), DataError, r"1\.tar has none for 1 of 3 samples: some\.folder/0000"),
        (lambda: one([("a.png", image(1))]), TargetError, r"shards/1\.tar has none"),
        (lambda: one([("a.png", image(1)), ("a.jpg", b"")]), DataError, r"1\.tar for 'a': a\.png and a\.jpg"),
        (lambda: one([("a.png", b"no"), LABEL]), DataError, r"Not so shards/1\.tar: a\.png \(no image of"),
        (lambda: one([("a.png", image(1)[:50]), LABEL]), DataError, r"Not so shards/1\.tar: a\.png \("),
        (lambda: one([("a.png", image(1, (5, 5))), LABEL]), DataError, r"is 6 × 8, shards/1\.tar: a\.png is 5 × 5"),
        (lambda: one([("a.png", image(1)), ("a.cls", b"\xff")]), TargetError, r"Received in shards/1\.tar for 'a'"),
    ],
)
def test_what_is_broken_is_named(shards, spoil, error, message):
    """A shard, a sample or an image that is not whole is an error with its name."""
    spoil()
    with pytest.raises(error, match=message):
        greys(connect(split=[1, 0, 0]).train_dataloader())


def test_an_image_that_breaks_later(shards):
    """An image that can't be read any more is named, by a worker too."""
    data = connect(num_workers=1, split=[1, 0, 0])
    content = bytearray(Path("shards/2.tar").read_bytes())
    start = content.index(b"some.folder/0012.png") + 512
    content[start : start + 20] = bytes(20)
    Path("shards/2.tar").write_bytes(content)
    with pytest.raises(DataError, match=r"^Images can be read whole\. Not so shards/2\.tar: some\.folder/0012\.png"):
        greys(data.train_dataloader())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: connect("none"), DataError, r"from \.tar files.*Received: none \(nothing is there\)"),
        (lambda: write("x/e.tar", []) or connect("x"), DataError, "Shards have images. x has none in 1 files"),
        (lambda: connect(size=0), ConfigError, r"data\.size: "),
        (lambda: connect(channels=2), ConfigError, r"data\.channels: "),
        (lambda: connect(target_key=""), ConfigError, r"data\.target_key: "),
    ],
)
def test_options_that_can_t_be(shards, make, error, message):
    """What can't be done is said."""
    with pytest.raises(error, match=message):
        make()


def test_compressed_shards_are_refused(shards):
    """A compressed tar can't be read from the middle."""
    with tarfile.open("packed.tar", "w:gz") as packed:
        packed.add("shards")
    with pytest.raises(DataError, match=r"an uncompressed tar file that is whole\. packed\.tar is not"):
        connect("packed.tar")


def test_a_model_of_a_table(shards):
    """A model that was trained on something else does not take shards."""
    spec = connect().spec
    other = type(spec)(spec.problem, type(spec.input)((2,), (0.0,) * 2, (1.0,) * 2), spec.target)
    with pytest.raises(DataError, match="images of files, from shards"):
        ImageShards("shards").connect(None, other)
