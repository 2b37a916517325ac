"""A commented config for data that was looked at: `lightlab init`. The model is sized to the data."""

from __future__ import annotations

import math
import shlex
import textwrap
from typing import Any

import yaml

from lightlab.config.documents import load_plain
from lightlab.data.placing import MANY, choose_batch_size
from lightlab.data.propose.propose import Proposal
from lightlab.data_spec import DataSpec
from lightlab.preprocess import make_preprocess

#: Up to so many rows of train: units of two dense layers, and the share that dropout takes.
DENSE: tuple[tuple[float, tuple[int, int], float], ...] = (
    (300, (16, 8), 0.2),
    (1_000, (32, 16), 0.3),
    (10_000, (64, 32), 0.2),
    (100_000, (128, 64), 0.1),
    (math.inf, (256, 128), 0.1),
)
#: Up to so many rows of train: epochs at most.
EPOCHS: tuple[tuple[float, int], ...] = ((10_000, 100), (100_000, 50), (math.inf, 20))
WIDTH = 110

#: A layer as YAML, and why it is there.
Layer = tuple[str, str]


def choose_layers(spec: DataSpec, rows: int) -> list[Layer]:
    """Return layers that suit the inputs, for so many rows of train."""
    shape = make_preprocess(spec.input).output_shape
    if spec.input.kind == "text":
        return _read_text(rows)
    if len(shape) == 1:
        return _stack_dense(shape[0], len(spec.target.classes), rows)
    return _convolve(shape, rows)


def _stack_dense(features: int, classes: int, rows: int) -> list[Layer]:
    units, dropout = next((units, dropout) for most, units, dropout in DENSE if rows <= most)
    first, second = (max(count, min(2 ** math.ceil(math.log2(max(classes, 1))), 512)) for count in units)
    why = (
        f"two dense layers, sized to {rows:,} rows of {features} inputs; dropout switches off {dropout:.0%} of the "
        f"units at random in each step, so that rows are not learned by heart"
    )
    return [(f"mlp: {{units: [{first}, {second}], activation: relu, dropout: {dropout}}}", why)]


def _convolve(shape: tuple[int, ...], rows: int) -> list[Layer]:
    """Return blocks that halve the size until about four points are left a side, and twice the filters each time."""
    least = min(shape[1:])
    pools = min(max(int(math.log2(max(least, 1) / 4)), 0) if least >= 4 else 0, 5)
    filters = 16 if rows < 1_000 or len(shape) == 4 else 32
    layers = []
    for block in range(max(pools, 2)):
        pool = ", pool_size: 2" if block < pools else ""
        layers.append((f"conv_block: {{filters: {min(filters * 2**block, 256)}{pool}}}", ""))
    size = " × ".join(map(str, shape[1:]))
    halved = f", halves its size {pools} time{'s' * (pools > 1)}" if pools else ""
    layers[0] = (layers[0][0], f"convolution, batch norm, relu; from {size} points on{halved}")
    return [*layers, ("global_avg_pool", "the mean of each filter"), ("dropout: 0.3", "against learning by heart")]


def _read_text(rows: int) -> list[Layer]:
    units = 32 if rows < 2_000 else 64 if rows < 50_000 else 128
    return [
        (f"embedding: {units}", "a vector for each word, learned"),
        ("dropout: 0.3", "against learning by heart"),
        (f"gru: {{units: {units}, bidirectional: true}}", "reads the words in order, forwards and backwards"),
    ]


# YAML


def write_config(proposal: Proposal, name: str) -> str:
    """Return a config as commented YAML.

    Args:
        proposal: connected.
        name: of the file that it goes to.
    """
    spec = proposal.spec
    known = proposal.data.counts["train"]
    rows = MANY if known is None else known
    lines = [
        f"# Written by lightlab init for {one_line(str(proposal.options['path']))}. Every choice is yours to change.",
        f"#   lightlab data {one_line(shlex.quote(name))}             what the data holds",
        f"#   lightlab fit --config {one_line(shlex.quote(name))}     train",
        "seed_everything: 42                  # the same random numbers in every run",
        "data:",
        f"  class_path: {proposal.source.__name__}",
        "  init_args:",
    ]
    for option, value in proposal.options.items():
        reason = proposal.reasons.get(option, "")
        if option in ("target", "targets", "target_path") and proposal.guessed:
            reason = f"{proposal.guessed}; lightlab init … --target NAME chooses another"
        lines += entry(4, f"{option}: {scalar(value)}", reason)
    lines += _remarks(proposal)
    lines += entry(4, f"batch_size: {choose_batch_size(rows)}", f"rows of one step; train has {_count(known)}")
    lines += entry(
        4, "split: [0.7, 0.15, 0.15]", "shares of train, validation (when to stop) and test (how good it is)"
    )
    if spec.input.kind == "image":
        lines += note(
            4, "augment: [random_flip]   # changed images for training; flipped ones, where left may be right"
        )
    lines += ["model:", *entry(2, f"problem: {spec.problem}", _reason(proposal))]
    if any(finding.kind == "imbalance" for finding in proposal.data.findings):
        lines += note(2, "head: {class_weight: balanced}   # has rare classes weigh as much as frequent ones")
    lines.append("  layers:")
    for layer, why in choose_layers(spec, rows):
        lines += entry(4, f"- {layer}", why)
    epochs = next(epochs for most, epochs in EPOCHS if rows <= most)
    lines += entry(2, "optimizer: {class_path: AdamW, init_args: {lr: 1.0e-3}}", "lr: how large a step is")
    lines += entry(0, "early_stopping: {patience: 10}", "stop when 10 epochs have not lowered the validation loss")
    lines += entry(0, f"trainer: {{max_epochs: {epochs}}}", "how often all rows are gone through at most")
    return "\n".join(lines) + "\n"


def decisions(proposal: Proposal) -> list[str]:
    """Return the lines that say what was decided."""
    known = proposal.data.counts["train"]
    rows = MANY if known is None else known
    lines = [f"source: {proposal.source.__name__}, {_count(known)} rows of train"]
    if proposal.guessed:
        lines.append(f"{proposal.guessed}. Choose another with --target NAME.")
    lines += [f"{option}: {scalar(proposal.options[option])} ({why})" for option, why in _notable(proposal).items()]
    lines += proposal.said
    lines.append(f"layers: {', '.join(layer for layer, _ in choose_layers(proposal.spec, rows))}")
    return lines


def _notable(proposal: Proposal) -> dict[str, str]:
    quiet = ("path", "target", "targets", "inputs", "target_path", "missing_numbers", "missing_categories")
    return {option: why for option, why in proposal.reasons.items() if option not in quiet}


def _remarks(proposal: Proposal) -> list[str]:
    """Return comments on what the source said of columns, and on what may spoil the training."""
    said = [line for line in proposal.said if not line.startswith("problem: ")]
    columns = ("numeric: ", "boolean: ", "date: ", "categorical: ")
    lines = []
    if any(line.startswith(columns) for line in said):
        lines += note(4, "Columns are taken for what follows; numeric, categorical, dates and ignore change it:")
    return lines + [line for text in said for line in note(4, f"  {text}")]


def _reason(proposal: Proposal) -> str:
    said = next((line for line in proposal.said if line.startswith("problem: ")), "")
    kinds = "binary, multiclass, multilabel, regression or bounded_regression"
    inferred = said.partition(", ")[2].removesuffix(" Set model.problem to choose another.").removesuffix(".")
    return f"{inferred}; or another of {kinds}"


def _count(rows: int | None) -> str:
    return "rows that are not counted" if rows is None else f"{rows:,}"


def entry(indent: int, text: str, comment: str) -> list[str]:
    """Return a line with its comment: beside it where it fits, else above."""
    line = " " * indent + text
    beside = f"{line:<35}  # {comment}"
    if not comment:
        return [line]
    return [beside] if len(beside) <= WIDTH else [*note(indent, comment), line]


def note(indent: int, text: str) -> list[str]:
    """Return a comment in lines of their own."""
    start = " " * indent + "# "
    lead = " " * (len(text) - len(text.lstrip()))
    return textwrap.wrap(one_line(text), WIDTH, initial_indent=start + lead, subsequent_indent=f"{start}{lead}  ")


def one_line(text: str) -> str:
    """Return a text without line breaks, which would end a comment."""
    return " ".join(text.split())


def scalar(value: Any) -> str:
    r"""Return a value as YAML in one line, which lightlab reads as what it was.

    >>> print(scalar(["a, b", "1e3", "no", "x: y", "a\nb"]))
    ["a, b", "1e3", "no", "x: y", "a\nb"]
    >>> print(scalar(["price", "Größe"]), scalar(","))
    [price, Größe] ","
    """
    for style in (None, '"'):
        text = yaml.safe_dump([value], default_flow_style=True, default_style=style, width=10**9, allow_unicode=True)
        text = text.strip()[1:-1]
        if load_plain(f"[{text}]") == [value] and "'" not in text and "\n" not in text:
            return text
    return text
