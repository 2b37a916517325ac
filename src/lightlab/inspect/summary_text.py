"""The summary of a model (`lightlab.inspect.summary`) as text for people, and as Markdown."""

from __future__ import annotations

from rich.filesize import decimal

from lightlab.inspect import markdown
from lightlab.inspect.data_text import table
from lightlab.inspect.outcome import align
from lightlab.inspect.summary import Row, Summary

HEADING = ["layer", "output shape", "parameters", "trainable", "FLOPs", "bytes"]


def as_text(summary: Summary) -> str:
    """Return what `lightlab summary` prints: what goes in and comes out, a line for each layer, the total."""
    lines = [HEADING, *(_cells(row, "  ") for row in (*summary.layers, summary.total))]
    return "\n\n".join((align(_model(summary)), table(lines, most=len(lines)), align(_remarks(summary))))


def as_markdown(summary: Summary) -> str:
    """Return the same in GitHub's Markdown, which shows no spaces in front: each step inwards is a dot."""
    *rows, total = (_cells(row, "· ") for row in (*summary.layers, summary.total))
    text = markdown.table(HEADING, [*rows, [f"**{cell}**" for cell in total]], [False] * 2 + [True] * 4)
    return "\n\n".join((_list(_model(summary)), text, _list(_remarks(summary))))


def _list(facts: list[tuple[str, str]]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts)


def _model(summary: Summary) -> list[tuple[str, str]]:
    return [
        ("input", f"{summary.input_kind} {_batched(summary.input_shape)}"),
        ("problem", summary.problem),
        ("head", summary.head),
    ]


def _cells(row: Row, indent: str) -> list[str]:
    return [
        indent * row.depth + row.name,
        "-" if row.output_shape is None else _batched(row.output_shape),
        f"{row.parameters:,}",
        f"{row.trainable:,}",
        "-" if row.flops is None else f"{row.flops:,}",
        f"{row.bytes:,}",
    ]


def _batched(shape: tuple[int, ...]) -> str:
    return f"(batch, {', '.join(map(str, shape))})"


def _remarks(summary: Summary) -> list[tuple[str, str]]:
    """Return what the figures of the table stand for, and what they leave out."""
    total = summary.total
    fixed = total.parameters - total.trainable
    remarks = [
        ("parameters", f"{total.parameters:,}, {f'of which {fixed:,} are not trained' if fixed else 'all trainable'}"),
        ("size", f"{decimal(total.bytes)}: parameters, and {total.buffers:,} numbers kept beside them, not trained"),
        ("FLOPs", "of a forward pass of one sample: matrix products and convolutions; a multiply-add counts as 2"),
    ]
    if total.not_counted:
        remarks.append(("not counted", ", ".join(total.not_counted)))
    remarks += [
        (
            "shared",
            f"{row.name} has {row.shared:,} of its parameters in common with rows above; the total has them once",
        )
        for row in summary.layers
        if row.shared
    ]
    return remarks
