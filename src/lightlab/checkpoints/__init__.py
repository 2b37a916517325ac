"""Checkpoints: plain data, written whole, verified whenever they are read, and believed in nothing.

`file` reads and writes them; `checksum` tells an altered file from a whole one, `archive` looks at what it claims
before torch does, and `pickler` writes no object that `archive` would refuse; `rebuild` holds the network that it
describes against the weights that it has; `weights` is its other form, safetensors.
"""

from lightlab.checkpoints.file import check_readable, digests, read_checkpoint, write_checkpoint

__all__ = ["check_readable", "digests", "read_checkpoint", "write_checkpoint"]
