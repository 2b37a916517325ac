"""Attacks by configs, checkpoints, data and surroundings: nothing that they bring along runs.

Each attack is made by a real process, in a folder with modules that sing when they are imported, and when one of their
functions or classes is called: they write a file of their name. No attack may make one of them sing, and each is
answered with exit code 2.
"""

import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from lightlab.checkpoints import read_checkpoint, write_checkpoint

#: A module that sings; its name is that of the file it writes.
CANARY = """\
import pathlib, sys
pathlib.Path(__file__).with_name("sang").mkdir(exist_ok=True)
def sing(*args, **kwargs):
    (pathlib.Path(__file__).parent / "sang" / __name__).write_text("it ran")
sing()
class Anything:
    def __init__(self, *args, **kwargs): sing()
    def __class_getitem__(cls, item): return cls
Layer = Data = Callback = Logger = Optimizer = Scheduler = Strategy = Profiler = Plugin = Anything
def __getattr__(name): return Anything
"""
#: Makes calls in one process, each in the folder of its own name, and says how each ended.
CALLS = """\
import contextlib, io, json, os, pathlib, sys
from lightlab.cli import main
outcomes, top = {}, os.getcwd()
for name, arguments in json.loads(pathlib.Path(sys.argv[1]).read_text()).items():
    os.chdir(pathlib.Path(top, name))
    sys.path.insert(0, os.getcwd())  # the worst case: what lies here could be imported
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            code = main(arguments)
        except BaseException as error:
            code = repr(error)
    outcomes[name] = [code, said.getvalue()]
    sys.path.remove(os.getcwd())
pathlib.Path(top, "outcomes.json").write_text(json.dumps(outcomes))
"""
DATA = "data: {class_path: BundledData, init_args: {name: iris}}\n"
MODEL = "model: {problem: multiclass, layers: [{dense: 4}]}\n"
TRAINER = "trainer: {max_epochs: 1, limit_train_batches: 1, accelerator: cpu, enable_progress_bar: false}\n"


def with_data(text):
    """Return a config with another data source."""
    return f"data: {text}\n{MODEL}{TRAINER}"


def with_model(text):
    """Return a config with something more in the model."""
    layers = "" if text.startswith("layers") else "layers: [{dense: 4}], "
    return f"{DATA}model: {{problem: multiclass, {layers}{text}}}\n{TRAINER}"


def with_trainer(text):
    """Return a config with something more in the Trainer."""
    return f"{DATA}{MODEL}{TRAINER.rstrip()[:-1]}, {text}}}\n"


#: Where a config could name something, and what it must not name; CANARY stands for the module that sings.
ATTACKS = {
    "data": with_data("{class_path: CANARY.Data}"),
    "data_as_text": with_data("CANARY.Data"),
    "data_arguments": with_data("{class_path: BundledData, init_args: {name: {class_path: CANARY.Data}}}"),
    "data_augment": with_data("{class_path: BundledData, init_args: {name: digits, augment: [CANARY.Layer]}}"),
    "data_augment_path": with_data("{class_path: BundledData, init_args: {name: digits, augment: [nn.Module]}}"),
    "data_split": with_data("{class_path: BundledData, init_args: {name: iris, split: {class_path: CANARY.Data}}}"),
    "data_function": with_data('{class_path: IterableData, init_args: {train: "CANARY:sing"}}'),
    "data_function_nested": with_data("{class_path: IterableData, init_args: {train: {class_path: CANARY.Data}}}"),
    "data_function_os": with_data(
        '{class_path: IterableData, init_args: {train: "os:system", arguments: {command: touch sang}}}'
    ),
    "data_function_builtin": with_data('{class_path: IterableData, init_args: {train: "builtins:eval"}}'),
    "data_function_own": with_data('{class_path: IterableData, init_args: {train: "lightlab.registry:import_plugin"}}'),
    "data_torchvision": with_data(
        "{class_path: TorchvisionData, init_args: {name: DatasetFolder, root: ., arguments: {loader: CANARY.sing}}}"
    ),
    "data_torchvision_arguments": with_data(
        "{class_path: TorchvisionData, init_args: {name: FakeData, arguments: {transform: CANARY.sing}}}"
    ),
    "data_torchvision_class": with_data(
        "{class_path: TorchvisionData, init_args: {name: FakeData, arguments: {transform: {class_path: CANARY.Data}}}}"
    ),
    "data_base": with_data("{class_path: lightlab.data.base.Data}"),
    "data_module_of_lightning": with_data("{class_path: lightning.pytorch.LightningDataModule}"),
    "data_from_datasets": with_data("{class_path: torch.utils.data.DataLoader}"),
    "data_pickled_array": with_data("{class_path: ArrayData, init_args: {path: pickled.npz}}"),
    "data_pickled_inputs": with_data(
        "{class_path: ArrayData, init_args: {path: pickled.npy, target_path: targets.npy}}"
    ),
    "data_pickled_table": with_data("{class_path: TableData, init_args: {path: pickled.pkl, target: species}}"),
    "data_shell_path": with_data(
        '{class_path: TableData, init_args: {path: "| touch sang; echo a,b", target: species}}'
    ),
    "layer": with_model("layers: [CANARY.Layer]"),
    "layer_with_parameters": with_model("layers: [{CANARY.Layer: {a: 1}}]"),
    "layer_class_path": with_model("layers: [{class_path: CANARY.Layer, init_args: {}}]"),
    "layer_nested": with_model("layers: [{residual: [{repeat: {times: 1, layers: [CANARY.Layer]}}]}]"),
    "layer_parameter": with_model("layers: [{dense: {units: {class_path: CANARY.Layer}}}]"),
    "layer_torch_hub": with_model("layers: [{torch.hub.load: {repo_or_dir: ., model: sing, source: local}}]"),
    "layer_nn_path": with_model("layers: [{nn.modules.module.CANARY: 1}]"),
    "layer_nn_module": with_model("layers: [{nn.Module: {}}]"),
    "layer_nn_dunder": with_model("layers: [{nn.__builtins__: {}}]"),
    "layer_nn_container": with_model("layers: [{nn.Sequential: [CANARY.Layer]}]"),
    "layer_nn_list": with_model("layers: [{nn.ModuleList: [{class_path: CANARY.Layer}]}]"),
    "layer_nn_dict": with_model("layers: [{nn.ModuleDict: {modules: {a: {class_path: CANARY.Layer}}}}]"),
    "layer_nn_function": with_model(
        "layers: [{nn.TransformerEncoderLayer: {d_model: 4, nhead: 1, activation: CANARY.sing}}]"
    ),
    "layer_nn_distance": with_model("layers: [{nn.TripletMarginWithDistanceLoss: {distance_function: CANARY.sing}}]"),
    "layer_nn_parallel": with_model("layers: [{nn.DataParallel: {module: CANARY.Layer}}]"),
    "layer_nn_lazy": with_model("layers: [{nn.LazyLinear: {out_features: 3, device: CANARY.sing, dtype: CANARY}}]"),
    "layer_eval": with_model("layers: [{builtins.eval: \"__import__('CANARY')\"}]"),
    "activation": with_model("layers: [{dense: {units: 4, activation: CANARY.Layer}}]"),
    "activation_with_parameters": with_model("layers: [{dense: {units: 4, activation: {CANARY.Layer: {a: 1}}}}]"),
    "activation_class_path": with_model("layers: [{dense: {units: 4, activation: {class_path: CANARY.Layer}}}]"),
    "activation_eval": with_model("layers: [{dense: {units: 4, activation: \"eval('import CANARY')\"}}]"),
    "init": with_model("layers: [{dense: {units: 4, init: CANARY.sing}}]"),
    "head": with_model("head: {class_path: CANARY.Layer}"),
    "head_argument": with_model("head: {class_weight: {class_path: CANARY.Layer}}"),
    "problem": with_model("layers: [{dense: 4}], problem: CANARY").replace("problem: multiclass, ", ""),
    "optimizer": with_model("optimizer: {class_path: CANARY.Optimizer, init_args: {lr: 0.1}}"),
    "optimizer_as_text": with_model("optimizer: CANARY.Optimizer"),
    "optimizer_argument": with_model("optimizer: {class_path: SGD, init_args: {lr: {class_path: CANARY.Optimizer}}}"),
    "optimizer_torch_path": with_model("optimizer: {class_path: torch.optim.CANARY.Optimizer}"),
    "optimizer_hub": with_model("optimizer: {class_path: torch.hub.load, init_args: {repo_or_dir: ., model: sing}}"),
    "optimizer_open": with_model("optimizer: {class_path: SGD, init_args: {lr: 0.1}, dict_kwargs: {a: CANARY.sing}}"),
    "scheduler": with_model("lr_scheduler: {class_path: CANARY.Scheduler}"),
    "scheduler_lambda": with_model("lr_scheduler: {class_path: LambdaLR, init_args: {lr_lambda: CANARY.sing}}"),
    "scheduler_argument": with_model(
        "lr_scheduler: {class_path: CyclicLR, init_args: {base_lr: 0.1, max_lr: 1.0, scale_fn: CANARY.sing}}"
    ),
    "callback": with_trainer("callbacks: [CANARY.Callback]"),
    "callback_class_path": with_trainer("callbacks: [{class_path: CANARY.Callback, init_args: {a: 1}}]"),
    "callback_alone": with_trainer("callbacks: {class_path: CANARY.Callback}"),
    "callback_lambda": with_trainer(
        "callbacks: [{class_path: LambdaCallback, init_args: {on_train_start: CANARY.sing, setup: CANARY.sing}}]"
    ),
    "callback_lambda_os": with_trainer(
        "callbacks: [{class_path: lightning.pytorch.callbacks.LambdaCallback, init_args: {on_fit_start: os.system}}]"
    ),
    "callback_averaging": with_trainer(
        "callbacks: [{class_path: StochasticWeightAveraging, init_args: {swa_lrs: 0.1, avg_fn: CANARY.sing}}]"
    ),
    "callback_argument": with_trainer(
        "callbacks: [{class_path: RichProgressBar, init_args: {theme: {class_path: CANARY.Anything}}}]"
    ),
    "callback_base": with_trainer("callbacks: [{class_path: lightning.pytorch.callbacks.Callback}]"),
    "callback_through_lightning": with_trainer("callbacks: [{class_path: lightning.pytorch.callbacks.os.system}]"),
    "callback_trainer": with_trainer("callbacks: [{class_path: lightning.pytorch.Trainer}]"),
    "callback_by_cli": with_trainer("callbacks: [{class_path: lightning.pytorch.cli.LightningCLI}]"),
    "logger": with_trainer("logger: {class_path: CANARY.Logger}"),
    "logger_list": with_trainer("logger: [CANARY.Logger, {class_path: CANARY.Logger}]"),
    "logger_argument": with_trainer(
        "logger: {class_path: CSVLogger, init_args: {save_dir: {class_path: CANARY.Logger}}}"
    ),
    "strategy": with_trainer("strategy: CANARY.Strategy"),
    "strategy_class_path": with_trainer("strategy: {class_path: CANARY.Strategy}"),
    "strategy_hook": with_trainer(
        "strategy: {class_path: DDPStrategy, init_args: {ddp_comm_hook: CANARY.sing, ddp_comm_wrapper: CANARY.sing}}"
    ),
    "strategy_argument": with_trainer(
        "strategy: {class_path: DDPStrategy, init_args: {cluster_environment: {class_path: CANARY.Plugin}}}"
    ),
    "strategy_open": with_trainer(
        "strategy: {class_path: DDPStrategy, init_args: {mixed_precision: {class_path: CANARY.Plugin}}}"
    ),
    "accelerator": with_trainer("accelerator: {class_path: CANARY.Anything}").replace("accelerator: cpu, ", ""),
    "profiler": with_trainer("profiler: {class_path: CANARY.Profiler}"),
    "profiler_function": with_trainer(
        "profiler: {class_path: PyTorchProfiler, init_args: {schedule: CANARY.sing, on_trace_ready: CANARY.sing}}"
    ),
    "plugins": with_trainer("plugins: [CANARY.Plugin]"),
    "plugins_class_path": with_trainer("plugins: [{class_path: CANARY.Plugin}]"),
    "plugins_argument": with_trainer(
        "plugins: [{class_path: AsyncCheckpointIO, init_args: {checkpoint_io: {class_path: CANARY.Plugin}}}]"
    ),
    "model_registry": with_trainer("model_registry: {class_path: CANARY.Anything}"),
    "trainer_class": f"{DATA}{MODEL}trainer: {{class_path: CANARY.Anything, init_args: {{}}}}\n",
    "model_class": f"{DATA}model: {{class_path: CANARY.Anything, init_args: {{}}}}\n{TRAINER}",
    "model_instantiator": with_model("_instantiator: CANARY.sing"),
    "model_class_path": with_model("_class_path: CANARY.Anything"),
    "early_stopping": f"{DATA}{MODEL}{TRAINER}early_stopping: {{class_path: CANARY.Callback}}\n",
    "seed": f"{DATA}{MODEL}{TRAINER}seed_everything: {{class_path: CANARY.Anything}}\n",
    "plugin_key": f"{DATA}{MODEL}{TRAINER}plugin: CANARY\n",
    "plugin_option_key": f"{DATA}{MODEL}{TRAINER}--plugin: CANARY\n",
    "plugin_in_fit": f"{DATA}{MODEL}{TRAINER}fit: {{plugin: CANARY}}\n",
    "config_in_config": f"{DATA}{MODEL}{TRAINER}config: other.yaml\n",
    "os_system": with_data('{class_path: os.system, init_args: {command: "touch sang"}}'),
    "builtins_eval": with_data("{class_path: builtins.eval, init_args: {source: \"__import__('CANARY')\"}}"),
    "subprocess": with_trainer("callbacks: [{class_path: subprocess.Popen, init_args: {args: [touch, sang]}}]"),
    "torch_hub": with_data("{class_path: torch.hub.load, init_args: {repo_or_dir: ., model: sing, source: local}}"),
    "torch_load": with_data("{class_path: torch.load, init_args: {f: pickled.pkl, weights_only: false}}"),
    "lightning_trainer": with_data("{class_path: lightning.pytorch.Trainer}"),
    "tag_apply": with_data("!!python/object/apply:CANARY.sing []"),
    "tag_new": with_data("!!python/object/new:CANARY.Data {}"),
    "tag_name": with_data("{class_path: !!python/name:CANARY.Data}"),
    "tag_module": with_data("{class_path: !!python/module:CANARY}"),
    "tag_own": "!<tag:yaml.org,2002:python/object/apply:os.system> [touch sang]\n",
    "tag_directive": f"%TAG ! tag:yaml.org,2002:python/object/apply:\n---\ndata: !CANARY.sing []\n{MODEL}",
    "interpolation": with_data('{class_path: BundledData, init_args: {name: "${oc.env:HOME}"}}'),
}
#: The same on the command line, over a config that is right.
OPTIONS = {
    "option_data": ["--data.class_path", "CANARY.Data"],
    "option_data_short": ["--data", "CANARY.Data"],
    "option_callback": ["--trainer.callbacks", "CANARY.Callback"],
    "option_callback_appended": ["--trainer.callbacks+=CANARY.Callback"],
    "option_logger": ["--trainer.logger", "{class_path: CANARY.Logger}"],
    "option_optimizer": ["--model.optimizer", "CANARY.Optimizer"],
    "option_layers": ["--model.layers", "[CANARY.Layer]"],
    "option_tag": ["--seed_everything", "!!python/object/apply:CANARY.sing []"],
    "option_print_config": ["--data.class_path", "CANARY.Data", "--print_config"],
}


class Singing:
    """What makes a canary sing when it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def prepare(folder, name):
    """Lay out a canary, and files that sing when they are unpickled; return the canary's name."""
    folder.mkdir(parents=True)
    canary = f"canary_{name}"
    (folder / f"{canary}.py").write_text(CANARY)
    (folder / "hubconf.py").write_text(CANARY)
    singing = Singing(f"mkdir -p '{folder}/sang'; touch '{folder}/sang/pickle'")
    (folder / "pickled.pkl").write_bytes(pickle.dumps(singing))
    array = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    (folder / "pickled.npy").write_bytes(array + pickle.dumps([singing]))
    with zipfile.ZipFile(folder / "pickled.npz", "w") as file:
        file.writestr("inputs.npy", array + pickle.dumps([singing]))
    return canary


def make_calls(top, calls):
    """Make calls, each in the folder of its name; return of each the folder, the exit code, and what was said."""
    (top / "calls.py").write_text(CALLS)
    (top / "calls.json").write_text(json.dumps(calls))
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "calls.py", "calls.json"], cwd=top, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    said = json.loads((top / "outcomes.json").read_text())
    return {name: (top / name, *outcome) for name, outcome in said.items()}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Every attack, made: the folder, the exit code, and what was said."""
    top = tmp_path_factory.mktemp("attacks")
    calls = {}
    for name, text in ATTACKS.items():
        canary = prepare(top / name, name)
        (top / name / "config.yaml").write_text(text.replace("CANARY", canary))
        calls[name] = ["fit", "--config", "config.yaml"]
    for name, options in OPTIONS.items():
        canary = prepare(top / name, name)
        (top / name / "config.yaml").write_text(DATA + MODEL + TRAINER)
        calls[name] = ["fit", "--config", "config.yaml", *(part.replace("CANARY", canary) for part in options)]
    return make_calls(top, calls)


@pytest.mark.parametrize("name", [*ATTACKS, *OPTIONS])
def test_nothing_runs_because_a_config_names_it(name, outcomes):
    """The canary does not sing; the config is refused in lightlab's own words, and no run is begun."""
    folder, code, said = outcomes[name]
    assert not (folder / "sang").exists(), said
    assert code == 2, said
    assert "lightlab: error: " in said
    assert "Traceback" not in said
    assert not (folder / "runs").exists()


def call(*arguments, cwd, **environment):
    """Call the installed program."""
    program = Path(sys.executable).with_name("lightlab")
    return subprocess.run(
        [program, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_canary_sings(tmp_path):
    """It does where it is allowed by the person who calls; so the other tests would see it."""
    canary = prepare(tmp_path / "folder", "allowed")
    call("--plugin", canary, "fit", "--config", "missing.yaml", cwd=tmp_path / "folder")
    assert [file.name for file in (tmp_path / "folder" / "sang").iterdir()] == [canary]
    pickle.loads((tmp_path / "folder" / "pickled.pkl").read_bytes())
    assert (tmp_path / "folder" / "sang" / "pickle").exists()


def test_an_allowed_plugin_allows_no_other(tmp_path):
    """A config reaches the functions that a plugin defines: not those it imports, and not those of other modules."""
    calls = {}
    for place, train in enumerate(
        ["CANARY:sing", "os:system", "allowed:system", "allowed:os.system", "allowed.os:system"]
    ):
        canary = prepare(tmp_path / str(place), str(place))
        (tmp_path / str(place) / "allowed.py").write_text("import os\nfrom os import system\n")
        source = f"{{train: '{train.replace('CANARY', canary)}', arguments: {{command: mkdir sang}}}}"
        config = with_data(f"{{class_path: IterableData, init_args: {source}}}")
        (tmp_path / str(place) / "config.yaml").write_text(config)
        calls[str(place)] = ["--plugin", "allowed", "fit", "--config", "config.yaml"]
    for folder, code, said in make_calls(tmp_path, calls).values():
        assert not (folder / "sang").exists(), said
        assert code == 2, said
        assert "train" in said


@pytest.mark.parametrize("verb", ["fit", "check", "summary"])
def test_modules_that_hide_others(verb, tmp_path):
    """Modules of well-known names in the folder where one works are not imported, by no verb."""
    for name in ("torch", "yaml", "pandas", "numpy", "lightning", "pydantic", "wandb", "canary"):
        (tmp_path / f"{name}.py").write_text(CANARY)
    (tmp_path / "config.yaml").write_text(DATA + MODEL.replace("dense: 4", "dens: 4") + TRAINER)
    given = ["config.yaml"] if verb != "fit" else ["--config", "config.yaml"]
    result = call(verb, *given, cwd=tmp_path)
    assert not (tmp_path / "sang").exists()
    assert result.returncode == 2
    assert "Did you mean dense" in result.stderr


def test_environment_variables(tmp_path):
    """LightningCLI's variables say nothing."""
    canary = prepare(tmp_path / "folder", "environment")
    (tmp_path / "folder" / "evil.yaml").write_text(with_data(f"{{class_path: {canary}.Data}}"))
    variables = {
        "PL_CONFIG": "evil.yaml",
        "PL_FIT__CONFIG": "evil.yaml",
        "PL_FIT__DATA": f"{canary}.Data",
        "PL_FIT__DATA__CLASS_PATH": f"{canary}.Data",
        "PL_FIT__TRAINER__CALLBACKS": f"{canary}.Callback",
        "PL_TRAINER__LOGGER": f"{canary}.Logger",
        "JSONARGPARSE_DEFAULT_ENV": "true",
        "JSONARGPARSE_DEBUG": "",
        "LIGHTLAB_PLUGIN": canary,
    }
    (tmp_path / "folder" / "config.yaml").write_text(DATA + MODEL + TRAINER)
    result = call("fit", "--config", "config.yaml", cwd=tmp_path / "folder", **variables)
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "folder" / "sang").exists()


# Checkpoints


EVIL_PARAMETERS = {
    "instantiator": {"_instantiator": "canary_checkpoint.sing"},
    "instantiator_of_lightning": {"_instantiator": "lightning.pytorch.cli.instantiate_module"},
    "class_path": {"_class_path": "canary_checkpoint.Anything"},
    "layer": {"layers": ["canary_checkpoint.Layer"]},
    "layer_class_path": {"layers": [{"class_path": "canary_checkpoint.Layer", "init_args": {}}]},
    "optimizer": {"optimizer": {"class_path": "canary_checkpoint.Optimizer"}},
    "scheduler": {"lr_scheduler": {"class_path": "canary_checkpoint.Scheduler"}},
    "head": {"head": {"class_path": "canary_checkpoint.Anything"}},
    "problem": {"problem": "canary_checkpoint.Anything"},
    "activation": {"layers": [{"dense": {"units": 4, "activation": "canary_checkpoint.Layer"}}]},
    "no_mapping": ["canary_checkpoint.Anything"],
    "text": "canary_checkpoint.Anything",
}


#: Plugins of Lightning's that read checkpoints in ways of their own.
PLUGINS = ("TorchCheckpointIO", "AsyncCheckpointIO")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "config.yaml").write_text(DATA + MODEL + TRAINER)
    result = call("fit", "--config", "config.yaml", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder / "runs/config/version_0"


def write_singing(folder, checkpoint, file, form):
    """Write a checkpoint that makes the canary of a folder sing when it is unpickled."""
    prepare(folder, "checkpoint")
    singing = Singing(f"mkdir -p '{folder}/sang'; touch '{folder}/sang/pickle'")
    whole = {**checkpoint, "callbacks": singing}
    if form == "bare":
        file.write_bytes(pickle.dumps(whole))
    else:
        torch.save(whole, file, _use_new_zipfile_serialization=form == "zip")


@pytest.fixture(scope="module")
def checkpoint_outcomes(trained, tmp_path_factory):
    """Every verb, called with every evil checkpoint."""
    top = tmp_path_factory.mktemp("checkpoints")
    checkpoint = read_checkpoint(trained / "checkpoints/best.ckpt")
    calls = {}
    for name, parameters in EVIL_PARAMETERS.items():
        evil = {**checkpoint["hyper_parameters"], **parameters} if isinstance(parameters, dict) else parameters
        for verb in ("fit", "predict"):
            folder = top / f"{verb}_{name}"
            prepare(folder, "checkpoint")
            write_checkpoint({**checkpoint, "hyper_parameters": evil}, folder / "evil.ckpt")
            (folder / "data.yaml").write_text(DATA + TRAINER)
            calls[folder.name] = [verb, "--config", "data.yaml", "--ckpt_path", "evil.ckpt"]
    for form in ("zip", "legacy", "bare"):
        for verb in ("fit", "test"):
            folder = top / f"{verb}_{form}"
            write_singing(folder, checkpoint, folder / "evil.ckpt", form)
            (folder / "data.yaml").write_text(DATA + TRAINER)
            calls[folder.name] = [verb, "--config", "data.yaml", "--ckpt_path", "evil.ckpt"]
    for plugin in PLUGINS:
        for which in ("last", "best"):
            folder = top / f"{which}_{plugin}"
            write_singing(folder, checkpoint, folder / f"{which}.ckpt", "zip")
            run = shutil.copytree(trained, folder / "runs" / "data" / "version_0")
            shutil.copy(folder / f"{which}.ckpt", run / "checkpoints")
            (folder / "data.yaml").write_text(with_trainer(f"plugins: [{plugin}]"))
            calls[folder.name] = ["fit", "--config", "data.yaml", "--ckpt_path", which]
    return make_calls(top, calls)


@pytest.mark.parametrize("verb", ["fit", "predict"])
@pytest.mark.parametrize("name", EVIL_PARAMETERS)
def test_hyper_parameters_of_a_checkpoint(name, verb, checkpoint_outcomes):
    """A checkpoint is data: a class path in its hyperparameters is a wrong name, and said to be the checkpoint's."""
    folder, code, said = checkpoint_outcomes[f"{verb}_{name}"]
    assert not (folder / "sang").exists(), said
    assert code == 2, said
    assert "evil.ckpt" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("verb", ["fit", "test"])
@pytest.mark.parametrize("form", ["zip", "legacy", "bare"])
def test_a_pickle_in_a_checkpoint(form, verb, checkpoint_outcomes):
    """What would call something is not unpickled."""
    folder, code, said = checkpoint_outcomes[f"{verb}_{form}"]
    assert not (folder / "sang").exists(), said
    assert code == 2, said
    assert "lightlab: error: evil.ckpt can't be read as a checkpoint" in said


@pytest.mark.parametrize("which", ["last", "best"])
@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugin_that_reads_checkpoints(which, plugin, checkpoint_outcomes):
    """A config that has Lightning read checkpoints does not have it unpickle them."""
    folder, code, said = checkpoint_outcomes[f"{which}_{plugin}"]
    assert not (folder / "sang").exists(), said
    assert code == 2, said
    assert f"{which}.ckpt" in said
