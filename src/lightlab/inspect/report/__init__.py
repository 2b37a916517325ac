"""A run as a page for people, or as a model card: all that is known of it in one file."""

from __future__ import annotations

from lightlab.inspect.report.card import render_markdown
from lightlab.inspect.report.page import render_html

__all__ = ["render_html", "render_markdown"]
