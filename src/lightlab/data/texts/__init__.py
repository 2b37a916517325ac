"""Texts, as codes of words or characters."""
