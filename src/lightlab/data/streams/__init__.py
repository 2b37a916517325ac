"""Data that does not fit in memory: read in order, shared out among processes, and never held whole."""
