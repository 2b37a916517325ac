"""Neural networks for classification and regression from one YAML file, trained by the Lightning Trainer.

The public names are imported when they are first used, so that ``import lightlab`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightlab.batch import Batch, Mixed
    from lightlab.build import build_network
    from lightlab.data import (
        ArrayData,
        BundledData,
        Data,
        ImageFolderData,
        ImageShards,
        IterableData,
        ParquetStream,
        Rows,
        SyntheticData,
        TableData,
        TextData,
        TorchvisionData,
    )
    from lightlab.data_spec import DataSpec, InputSpec, TargetSpec
    from lightlab.errors import (
        CheckpointError,
        ConfigError,
        DataError,
        LightlabError,
        NotFiniteError,
        PluginError,
        RegistryError,
        RunError,
        ShapeError,
        TargetError,
    )
    from lightlab.heads import Head
    from lightlab.inspect.run import Run
    from lightlab.module import Model
    from lightlab.problems import Problem, register_problem
    from lightlab.registry import ACTIVATIONS, AUGMENTATIONS, HEADS, LAYERS, PROBLEMS

__version__ = "0.1.0"

__all__ = [
    "ACTIVATIONS",
    "AUGMENTATIONS",
    "ArrayData",
    "Batch",
    "BundledData",
    "CheckpointError",
    "ConfigError",
    "Data",
    "DataError",
    "DataSpec",
    "HEADS",
    "Head",
    "ImageFolderData",
    "ImageShards",
    "InputSpec",
    "IterableData",
    "LAYERS",
    "LightlabError",
    "Mixed",
    "Model",
    "NotFiniteError",
    "PROBLEMS",
    "ParquetStream",
    "PluginError",
    "Problem",
    "RegistryError",
    "Rows",
    "Run",
    "RunError",
    "ShapeError",
    "SyntheticData",
    "TableData",
    "TargetError",
    "TargetSpec",
    "TextData",
    "TorchvisionData",
    "build_network",
    "register_problem",
]

_HOMES = {
    "lightlab.batch": ("Batch", "Mixed"),
    "lightlab.build": ("build_network",),
    "lightlab.data": (
        "ArrayData",
        "BundledData",
        "Data",
        "ImageFolderData",
        "ImageShards",
        "IterableData",
        "ParquetStream",
        "Rows",
        "SyntheticData",
        "TableData",
        "TextData",
        "TorchvisionData",
    ),
    "lightlab.data_spec": ("DataSpec", "InputSpec", "TargetSpec"),
    "lightlab.errors": tuple(name for name in __all__ if name.endswith("Error")),
    "lightlab.heads": ("Head",),
    "lightlab.inspect.run": ("Run",),
    "lightlab.module": ("Model",),
    "lightlab.problems": ("Problem", "register_problem"),
    "lightlab.registry": ("ACTIVATIONS", "AUGMENTATIONS", "HEADS", "LAYERS", "PROBLEMS"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'lightlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
