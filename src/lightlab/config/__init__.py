"""A config: read from files and the command line with the place of each value, and checked as a whole.

`documents` reads YAML, `sources` lays files and command line over one another, `classes` says which classes a config
can name, `check` finds every fault, and `schema` tells editors what may be written. Nothing here imports lightning.
"""
