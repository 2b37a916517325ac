"""Recurrent layers, for sequences of (time, features)."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from lightlab.layers.base import INITIALIZERS, expects, regularize
from lightlab.layers.parameters import Initializer, NonNegative, PositiveInt, Rate, Shape
from lightlab.registry import LAYERS


class _Recurrent(nn.Module):
    """Runs a torch LSTM or GRU; returns the outputs of all steps, or the last of each direction."""

    def __init__(self, cell: nn.RNNBase, return_sequences: bool) -> None:
        super().__init__()
        self.cell = cell
        self.return_sequences = return_sequences

    def forward(self, inputs: Tensor) -> Tensor:
        outputs, state = self.cell(inputs)
        if self.return_sequences:
            return cast("Tensor", outputs)
        hidden = state[0] if isinstance(state, tuple) else state
        directions = 2 if self.cell.bidirectional else 1
        return cast("Tensor", hidden[-directions:].transpose(0, 1).flatten(1))


def _check_dropout(dropout: float, num_layers: int) -> None:
    if dropout and num_layers == 1:
        raise ValueError(f"dropout is between layers: it takes num_layers of 2 or more. Received: dropout {dropout}.")


def _recurrent(cell: nn.RNNBase, return_sequences: bool, init: Initializer, l1: float, l2: float) -> nn.Module:
    """Set up a cell as Keras does: orthogonal recurrent kernels, zero biases, and one for an LSTM's forget gate."""
    gates = 4 if isinstance(cell, nn.LSTM) else 3
    kernels = [name for name, _ in cell.named_parameters() if name.startswith("weight_ih")]
    for name, weight in cell.named_parameters():
        if name in kernels:
            for gate in weight.detach().chunk(gates):
                INITIALIZERS[init](gate)
        elif name.startswith("weight_hh"):
            for gate in weight.detach().chunk(gates):
                nn.init.orthogonal_(gate)
        else:
            nn.init.zeros_(weight)
            if gates == 4 and name.startswith("bias_ih"):
                nn.init.ones_(weight.detach()[cell.hidden_size : 2 * cell.hidden_size])
    regularize(cell, l1, l2, *kernels)
    return _Recurrent(cell, return_sequences)


@LAYERS.register("lstm")
@expects("time, features")
def lstm(
    units: PositiveInt,
    return_sequences: bool = False,
    bidirectional: bool = False,
    num_layers: PositiveInt = 1,
    dropout: Rate = 0.0,
    init: Initializer = "glorot_uniform",
    l1: NonNegative = 0.0,
    l2: NonNegative = 0.0,
    *,
    input_shape: Shape,
) -> nn.Module:
    """Read a sequence with long short-term memory (Hochreiter and Schmidhuber 1997).

    Args:
        units: length of the state, and of the output.
        return_sequences: whether to give the output of every step, rather than of the last.
        bidirectional: whether to read backwards too; outputs are then twice as long.
        num_layers: number of layers on top of each other.
        dropout: share of values set to zero between these layers in training.
        init: initial input kernels; the recurrent ones are orthogonal, and the forget gate's bias is 1.
        l1: factor of the input kernels' absolute values in the training loss.
        l2: factor of the input kernels' squares in the training loss.

    Input shape: (batch, time, features). Output shape: (batch, units), or (batch, time, units).

    Raises:
        ValueError: dropout with a single layer.

    Example:
        >>> import torch
        >>> tuple(lstm(8, input_shape=(20, 3))(torch.zeros(2, 20, 3)).shape)
        (2, 8)
    """
    _check_dropout(dropout, num_layers)
    cell = nn.LSTM(input_shape[-1], units, num_layers, batch_first=True, dropout=dropout, bidirectional=bidirectional)
    return _recurrent(cell, return_sequences, init, l1, l2)


@LAYERS.register("gru")
@expects("time, features")
def gru(
    units: PositiveInt,
    return_sequences: bool = False,
    bidirectional: bool = False,
    num_layers: PositiveInt = 1,
    dropout: Rate = 0.0,
    init: Initializer = "glorot_uniform",
    l1: NonNegative = 0.0,
    l2: NonNegative = 0.0,
    *,
    input_shape: Shape,
) -> nn.Module:
    """Read a sequence with gated recurrent units (Cho et al. 2014).

    Args:
        units: length of the state, and of the output.
        return_sequences: whether to give the output of every step, rather than of the last.
        bidirectional: whether to read backwards too; outputs are then twice as long.
        num_layers: number of layers on top of each other.
        dropout: share of values set to zero between these layers in training.
        init: initial input kernels; the recurrent ones are orthogonal.
        l1: factor of the input kernels' absolute values in the training loss.
        l2: factor of the input kernels' squares in the training loss.

    Input shape: (batch, time, features). Output shape: (batch, units), or (batch, time, units).

    Raises:
        ValueError: dropout with a single layer.

    Example:
        >>> import torch
        >>> tuple(gru(8, return_sequences=True, input_shape=(20, 3))(torch.zeros(2, 20, 3)).shape)
        (2, 20, 8)
    """
    _check_dropout(dropout, num_layers)
    cell = nn.GRU(input_shape[-1], units, num_layers, batch_first=True, dropout=dropout, bidirectional=bidirectional)
    return _recurrent(cell, return_sequences, init, l1, l2)
