"""When a training's steps are compiled, and whether they stay so."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.utilities import rank_zero_only

from lightlab import terminal
from lightlab.batch import Batch
from lightlab.compiled.compiled_step import CompiledSteps
from lightlab.compiled.program import Program, load
from lightlab.compiled.request import (
    FAILURE,
    PACKAGE,
    Request,
    batch_tensors,
    describe,
    first_line,
    frozen_parameters,
    inductor_options,
    step_tensors,
)
from lightlab.layers.stack import is_watched
from lightlab.registry import plugin_modules
from lightlab.training.options import Compile

#: Steps that take longer than this are busy in their kernels, and little is left to save; in seconds.
LONGEST_STEP = 3e-3
#: So long a training has to go on for `auto` to compile, in seconds: about what compiling takes, which is not felt.
LEAST_LEFT = 20.0
#: Of a step's time, so much at most is to remain for the compiled one to stay.
MOST_REMAINING = 0.95
#: So many steps are compiled as one where weights times rows are no more than that: what is between two of them is then
#: felt. More of them take longer to compile.
STEPS, SMALL = range(8, 12), 2**23
#: Devices that steps are compiled for.
DEVICES = ("cpu", "cuda")
#: Steps are timed over so many seconds each time, and so often before each decision.
LOOK_SECONDS, TIMED = 0.1, 5

WAIT = "compile: one moment, a step is being compiled …"

say = rank_zero_only(terminal.say)


def why_not(trainer: Trainer) -> str | None:
    """Return why a training's steps can't be compiled as a whole; ``None`` where they can, as far as can be told."""
    precision = trainer.precision_plugin
    recipe = getattr(trainer.lightning_module, "recipe", None)
    if recipe is None or recipe() is None:
        return f"{type(trainer.lightning_module).__name__} may compute something else than lightlab's model"
    if trainer.world_size > 1:
        return "several processes share each step"
    if trainer.strategy.root_device.type not in DEVICES:
        return f"it is done on {' and '.join(DEVICES)}, and not on {trainer.strategy.root_device.type}"
    if trainer.accumulate_grad_batches > 1:
        return "gradients are accumulated"
    if trainer._detect_anomaly:
        return "detect_anomaly looks at each operation"
    if type(precision) not in (Precision, MixedPrecision) or getattr(precision, "scaler", None) is not None:
        return f"precision {precision.precision} has steps of its own"
    return None


def steps_at_once(batches: float) -> int:
    """Return how many steps are best compiled as one where so many batches are in a row, the last of them Lightning's.

    >>> steps_at_once(391), steps_at_once(5)
    (10, 1)
    """
    left = int(batches) - 1
    return min(STEPS, key=lambda steps: (left % steps, steps)) if left >= max(STEPS) else 1


def compile_network(trainer: Trainer, wanted: Compile, reason: str) -> None:
    """Compile the layers alone, where a step can't be compiled as a whole; what of them can't be stays as it is.

    Args:
        trainer: whose model it is.
        wanted: what the config says.
        reason: why not the whole step.
    """
    say(f"compile: the layers alone, since steps as a whole can't be: {reason}.")
    torch._dynamo.config.suppress_errors = True  # without a C++ compiler, say
    network: Any = trainer.lightning_module.network
    # Each shape by itself: what is compiled would else depend on those before, which a resumed training has not seen.
    compiled: Any = torch.compile(network._call_impl, dynamic=False, options=inductor_options(_mode(wanted)))

    def call(*given: Any) -> Any:
        # A hook would cut what is compiled into pieces, in which it would stay.
        return network._call_impl(*given) if any(map(is_watched, network.modules())) else compiled(*given)

    network._compiled_call_impl = call  # as Module.compile sets it; a copy of the network has none


def _mode(wanted: Compile) -> str:
    return str(wanted.get("mode", "default")) if isinstance(wanted, Mapping) else "default"


class Compilation:
    """Has steps compiled, and takes them from then on if they are faster.

    Args:
        trainer: whose steps these are.
        wanted: what the config says: ``auto`` compiles where that is likely to pay; otherwise training waits for it.

    Attributes:
        state: ``measuring``, ``compiling``, ``trying``, ``compiled`` or ``eager``.
        steps: compiled; ``None`` as long as there are none.
        is_beside: whether a process beside the training compiles, as for CPUs; else training waits.
    """

    def __init__(self, trainer: Trainer, wanted: Compile) -> None:
        self.trainer = trainer
        self.wanted = wanted
        self.state = "measuring" if wanted == "auto" else "compiling"
        self.steps: CompiledSteps | None = None
        self.is_beside = trainer.strategy.root_device.type == "cpu"
        self._request: Request | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._compiled_for: tuple[object, ...] = ()
        self._taken, self._seconds = 0, 0.0
        self._eager: list[float] = []
        self._compiled: list[float] = []

    # What the loop calls

    @property
    def at_once(self) -> int:
        """How many steps are taken at once by now."""
        return 1 if self.steps is None else self.steps.steps

    @property
    def is_waited_for(self) -> bool:
        """Whether the next batch that is seen is trained on when steps for such are compiled, and not before."""
        return self.wanted != "auto" and self.state == "compiling" and self._process is None

    def see(self, batch: Batch, is_told_to_end: Callable[[], bool]) -> None:
        """Begin to compile for such batches, if that is due.

        Args:
            batch: to train on.
            is_told_to_end: whether the training is to end; then nobody waits.
        """
        if self.state != "compiling" or self._process is not None:
            return
        self._compiled_for = self._constants()
        try:
            self._request = self._ask(Batch(*batch))
            if self.is_beside:
                self._start(self._request)
        except (OSError, TypeError, ValueError) as cause:  # no room for its files, or settings that JSON can't hold
            self._give_up(f"it can't be asked for ({cause})")
            return
        if not self.is_beside:
            self._compile_here(self._request)
        elif self.wanted != "auto":
            self._wait(is_told_to_end)

    def begin_execution(self) -> None:
        """See to it that the steps have the tensors that are trained by now."""
        if self.steps is None:
            return
        try:
            fits = self.steps.bind() and self._constants() == self._compiled_for
        except RuntimeError as cause:
            self._give_up(first_line(cause.__context__ or cause))
            return
        if not fits:
            self._give_up("something that stands in compiled steps was changed")

    def took(self, steps: int, seconds: float) -> None:
        """Learn how long some steps took, and decide now and then."""
        self._taken += steps
        self._seconds += seconds
        if self._seconds < LOOK_SECONDS:
            return
        self._look(self._seconds / self._taken)
        self._taken, self._seconds = 0, 0.0

    def _look(self, seconds: float) -> None:
        """Decide what is next, where a step takes so long by now."""
        if self.state == "trying":
            self._compiled.append(seconds)
            if len(self._compiled) == TIMED:
                self._judge()
            return
        self._eager.append(seconds)
        if self.state == "measuring" and len(self._eager) == TIMED:
            self.state = "compiling" if self._pays(median(self._eager)) else "eager"
        elif self.state == "compiling" and self._process is not None and self._process.poll() is not None:
            self._load()

    def close(self) -> None:
        """End the process, if it still runs, and remove what it has written."""
        self.steps = None  # what it has unpacked goes with it, which the end of a process would leave
        if self._process is not None and self._process.poll() is None:
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)  # with the compilers that it runs
            else:
                self._process.kill()
            self._process.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    # Deciding

    def _pays(self, seconds: float) -> bool:
        """Return whether compiling is likely to pay where a step takes so long."""
        return seconds < LONGEST_STEP and self._steps_left() * seconds > LEAST_LEFT

    def _steps_left(self) -> float:
        trainer = self.trainer
        per_epoch = trainer.num_training_batches
        epochs = float("inf") if trainer.max_epochs in (None, -1) else float(trainer.max_epochs or 0)
        left = [epochs * per_epoch - trainer.global_step]
        if trainer.max_steps != -1:
            left.append(trainer.max_steps - trainer.global_step)
        return min(left)

    def _judge(self) -> None:
        before, after = median(self._eager), median(self._compiled)
        if after > MOST_REMAINING * before:
            self._give_up(f"it takes {after / before:.2f} of the time without")
            return
        self.state = "compiled"

    def _give_up(self, reason: str) -> None:
        self.state, self.steps = "eager", None
        if self.wanted != "auto":
            compile_network(self.trainer, self.wanted, reason)

    # Compiling

    def _compile_here(self, request: Request) -> None:
        """Compile in this process, while training waits."""
        from lightlab.compiled.in_process import compile_here  # which takes a second to import

        kinds = {each.device.type for each in step_tensors(self.trainer.lightning_module, self.trainer.optimizers[0])}
        if len(kinds) > 1:
            self._give_up("the optimizer counts its steps on the CPU, as it does where it is not fused")
            return
        say(WAIT)
        try:
            self._take_up(compile_here(request), request)
        except Exception as cause:  # whatever torch stumbles on: training goes on without
            self._give_up(first_line(cause.__context__ or cause))  # a recording that has failed can't be ended, either
        else:
            say(f"compile: from here on {request.steps} steps are one CUDA graph.")

    def _start(self, request: Request) -> None:
        """Have the process begin."""
        self._folder = Path(tempfile.mkdtemp(prefix="lightlab-compile-"))
        request.write(self._folder)
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        self._process = subprocess.Popen(  # noqa: S603 - all of its words are written here
            [sys.executable, "-P", "-m", "lightlab.compiled.worker", str(self._folder), str(os.getpid())],
            process_group=0,
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _constants(self) -> tuple[object, ...]:
        """Return what of model and Trainer stands in compiled steps as it was."""
        trainer = self.trainer
        clip = trainer.gradient_clip_val, trainer.gradient_clip_algorithm
        return (str(trainer.lightning_module), *clip, trainer.accumulate_grad_batches)

    def _ask(self, batch: Batch) -> Request:
        trainer = self.trainer
        model: Any = trainer.lightning_module
        precision = trainer.precision_plugin
        bound = trainer.gradient_clip_val
        is_small = sum(each.numel() for each in model.parameters()) * len(batch.inputs) <= SMALL
        bound_of_steps = getattr(trainer.fit_loop.epoch_loop, "steps_per_execution", None) or math.inf
        return Request(
            **model.recipe(),
            batch=describe(batch_tensors(batch)),
            steps=steps_at_once(min(trainer.num_training_batches, bound_of_steps)) if is_small else 1,
            frozen=frozen_parameters(model),
            precision="bfloat16" if isinstance(precision, MixedPrecision) else None,
            clip=(float(bound), str(trainer.gradient_clip_algorithm or "norm")) if bound else None,
            mode=_mode(self.wanted),
            plugins=list(plugin_modules()),
            device=str(trainer.strategy.root_device),
        )

    def _wait(self, is_told_to_end: Callable[[], bool]) -> None:
        assert self._process is not None
        say(WAIT)
        while self._process.poll() is None:
            if is_told_to_end():
                return
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(LOOK_SECONDS)
        self._load()

    def _load(self) -> None:
        """Take up what the process has made."""
        assert self._folder is not None
        assert self._request is not None
        failure = self._folder / FAILURE
        package = self._folder / PACKAGE
        if not package.is_file():
            said = failure.read_text(encoding="utf-8") if failure.is_file() else "the process that does it has died"
            self._give_up(said)
            return
        try:
            self._take_up(load(package), self._request)
        except Exception as cause:  # whatever a loader of machine code stumbles on: training goes on without
            self._give_up(f"what was compiled can't be loaded ({type(cause).__name__}: {cause})")

    def _take_up(self, program: Program, request: Request) -> None:
        """Take the steps from now on.

        Raises:
            ValueError: they don't fit.
            RuntimeError: a GPU's can't be recorded.
        """
        self.steps = CompiledSteps(program, request, self.trainer.lightning_module, self.trainer.optimizers[0])
        self.state = "trying" if self.wanted == "auto" else "compiled"
