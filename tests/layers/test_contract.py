"""What every registered layer keeps to: a new layer needs a line in CASES, and nothing else here."""

from lightlab.registry import ACTIVATIONS
from lightlab.testing import LayerCase, parametrize_with_checks

CASES = [
    LayerCase("alpha_dropout", 0.5),
    LayerCase("batch_norm", {"momentum": 0.8}),
    LayerCase("conv_block", {"filters": 3, "pool_size": 2, "dropout": 0.25}),
    LayerCase("dense", {"units": 5, "activation": "tanh", "l2": 0.1}),
    LayerCase("dropout", 0.5),
    LayerCase("embedding", {"output_dim": 3, "input_dim": 8}, codes=8),
    LayerCase("flatten"),
    LayerCase("gaussian_noise", 0.1),
    LayerCase("global_avg_pool"),
    LayerCase("global_max_pool"),
    LayerCase("group_norm", 2),
    LayerCase("gru", {"units": 3, "return_sequences": True}),
    LayerCase("layer_norm", {"axis": 1}),
    LayerCase("lstm", {"units": 3, "bidirectional": True}),
    LayerCase("mlp", {"units": [5, 3], "batch_norm": True, "dropout": 0.2}),
    LayerCase("parallel", [[{"dense": 6}], ["tanh"], []]),
    LayerCase("permute", [1], shapes=[(6,)]),
    LayerCase("permute", [2, 1], shapes=[(4, 6)]),
    LayerCase("permute", [3, 1, 2], shapes=[(4, 6, 6)]),
    LayerCase("permute", [2, 4, 3, 1], shapes=[(4, 4, 6, 6)]),
    LayerCase("repeat", {"times": 2, "layers": [{"dense": 5}, "tanh"]}),
    LayerCase("reshape", [2, -1]),
    LayerCase("residual", [{"dense": {"units": 6, "activation": "tanh"}}]),
    LayerCase("sequence_avg_pool"),
    LayerCase("sequence_max_pool"),
    LayerCase("spatial_dropout", 0.5),
    *(
        case
        for n in (1, 2, 3)
        for case in (
            LayerCase(f"conv{n}d", {"filters": 4, "kernel_size": 3, "stride": 2, "padding": "same", "groups": 2}),
            LayerCase(f"conv{n}d_transpose", {"filters": 2, "kernel_size": 3, "stride": 2, "activation": "tanh"}),
            LayerCase(f"separable_conv{n}d", {"filters": 3, "kernel_size": 3, "depth_multiplier": 2}),
            LayerCase(f"max_pool{n}d", {"pool_size": 3, "padding": "same"}),
            LayerCase(f"avg_pool{n}d", {"pool_size": 3, "padding": "same"}),
            LayerCase(f"adaptive_max_pool{n}d", 2),
            LayerCase(f"adaptive_avg_pool{n}d", 2),
        )
    ),
    *(LayerCase(name) for name in ACTIVATIONS.names()),
]


@parametrize_with_checks(CASES, "lightlab.layers")
def test_contract(check):
    """Each rule of `lightlab.testing`, for each layer."""
    check()
