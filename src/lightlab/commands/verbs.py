"""The verbs, and what each does in a line."""

from __future__ import annotations

#: What the Trainer carries out.
TRAINER_VERBS = {
    "fit": "train a model, then evaluate its best weights on the test split",
    "validate": "evaluate a trained model on the validation split",
    "test": "evaluate a trained model on the test split",
    "predict": "write a trained model's predictions to a file",
}
VERBS = {
    "init": "look at a file or folder of data, and write a config for it",
    "data": "show what a config's data holds: rows, columns, classes, warnings, images",
    "check": "find what is wrong with a config, and try the model out, step by step",
    "summary": "show what a model is made of: layers, shapes, parameters, FLOPs, bytes",
    **TRAINER_VERBS,
    "report": "write what a run came to as a web page, or as a model card",
    "compare": "show what differs between runs, and which came out best",
    "export": "write a trained model's weights as safetensors, with all that rebuilds it",
    "list": "list what a config can name: layers, heads, data sources, callbacks, …",
    "describe": "say what one of these takes, with an example",
    "schema": "print a JSON Schema of configs, for editors",
    "completion": "print what completes lightlab's words in bash, zsh or fish",
}
