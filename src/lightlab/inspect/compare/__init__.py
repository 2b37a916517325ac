"""Runs beside each other: what differs in their configs, and what came of it."""

from __future__ import annotations

from lightlab.inspect.compare.comparison import Comparison, compare

__all__ = ["Comparison", "compare"]
