"""A network that a checkpoint describes, held against the checkpoint's weights before there is memory for it.

A few words in a checkpoint may describe a network of any size. So it is built on torch's meta device first, where
tensors have shapes and take no memory, and must come to what the checkpoint holds the weights of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from lightlab.errors import CheckpointError, LightlabError

#: A network has at most so many modules and parameters, or so many for each tensor of its checkpoint.
MOST_PARTS, PARTS_A_TENSOR = 2_000, 10
#: It takes at most so many times the bytes of its checkpoint's tensors, which may be of a shorter type; and as many
#: bytes in any case.
TIMES_STORED, ANYWAY = 4, 1 << 20


@contextmanager
def without_memory(stored: Mapping[str, Tensor]) -> Iterator[None]:
    """Build what is built inside on the meta device.

    Args:
        stored: the weights that it is for.

    Raises:
        CheckpointError: it has far more parts than there are weights; or it can't be built so.
    """
    left = max(MOST_PARTS, PARTS_A_TENSOR * len(stored))

    def count(*registered: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise CheckpointError(
                f"A checkpoint's network has the parts that its weights are of, here {len(stored)} tensors. It would "
                f"have more than {max(MOST_PARTS, PARTS_A_TENSOR * len(stored))}: it is not one to be opened."
            )

    with (
        hooks.register_module_module_registration_hook(count),
        hooks.register_module_parameter_registration_hook(count),
        torch.device("meta"),
    ):
        try:
            yield
        except LightlabError:
            raise
        except (RuntimeError, TypeError, ValueError, ArithmeticError) as cause:
            raise CheckpointError(
                "A checkpoint's network is built on torch's meta device first, where tensors have no values, so that "
                f"its size is known before memory is taken. This one can't be: {str(cause).splitlines()[0]}."
            ) from cause


def check_shapes(network: nn.Module, stored: Mapping[str, Tensor]) -> None:
    """Hold the shapes of a network's weights against those of a checkpoint.

    Raises:
        CheckpointError: they differ.
    """
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    there = {name: tuple(value.shape) for name, value in stored.items()}
    if own != there:
        differing = sorted(name for name in own.keys() | there.keys() if own.get(name) != there.get(name))
        first = differing[0]
        raise CheckpointError(
            f"A checkpoint's weights have the shapes of this config's layers. {len(differing)} differ, the first "
            f"{first}: {there.get(first, 'none')} in the checkpoint, {own.get(first, 'none')} here."
        )


def check_room(network: nn.Module, stored: Mapping[str, Tensor]) -> None:
    """See to it that a network takes no more memory than its checkpoint's weights suggest.

    Raises:
        CheckpointError: it does.
    """
    needed = sum(each.nbytes for each in chain(network.parameters(), network.buffers()))
    storages = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in stored.values()}
    held = sum(storages.values())
    if needed > TIMES_STORED * held + ANYWAY:
        raise CheckpointError(
            f"A checkpoint's network takes about the memory of its weights, here {held:,} bytes. It would take "
            f"{needed:,}: it is not one to be opened."
        )
