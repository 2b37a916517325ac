"""Lightning's loop over the batches of an epoch, which goes on exactly where a checkpoint was written."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from lightning.pytorch.callbacks import GradientAccumulationScheduler, StochasticWeightAveraging
from lightning.pytorch.loops import fit_loop, training_epoch_loop
from lightning.pytorch.loops.fetchers import _DataFetcher
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

from lightlab.unfinished_epoch import scalar

#: Where a checkpoint is written: after a batch, whose validation may be still to come; after a validation; where all is
#: done that follows a batch; at the end of an epoch; where all is done that follows an epoch.
Moment = Literal["batch", "validation", "between batches", "epoch", "between epochs"]


class ResumableEpochLoop(_TrainingEpochLoop):
    """Lightning's loop, which remembers in checkpoints where they are written, and goes on from there.

    Lightning guesses it from its counters. Then what follows a checkpoint is left out now and then, or done twice: the
    validation after the last batch of an epoch, a step of ReduceLROnPlateau, the last epoch's curves, the batches that
    were seen already, and how many batches are accumulated.
    """

    _resumed: dict[str, Any] | None = None
    _entered: Moment | None = None
    _unlogged: Mapping[str, float] = MappingProxyType({})

    # Saving

    def on_save_checkpoint(self) -> dict[str, Any]:
        """Return Lightning's state of the loop, with the place and the figures by now."""
        connector = self.trainer._logger_connector
        place = self._place()
        logged = connector.metrics["log"] if place == "epoch" else {}  # which loggers get when the epoch is over
        figures = {"known": self.trainer.callback_metrics, "logged": logged}
        numbers = {kind: {name: float(value) for name, value in values.items()} for kind, values in figures.items()}
        # Who has asked for the end is heard once there are as many epochs or steps as there have to be.
        stops = self.trainer.should_stop and not self.trainer.fit_loop._can_stop_early
        return {**super().on_save_checkpoint(), "resume": {"place": place, "stops": stops, **numbers}}

    def _place(self) -> Moment | None:
        """Return where the training is; ``None`` where an epoch is about to start."""
        epochs: Any = self.trainer.fit_loop.epoch_progress.current
        batches: Any = self.batch_progress.current
        if epochs.started < epochs.ready:
            return None
        if epochs.processed == epochs.ready:
            if batches.ready and not self._num_ready_batches_reached():  # it was broken off
                return "between batches"
            return "epoch" if epochs.completed < epochs.processed else "between epochs"
        if self.trainer.validating:
            seen = self.val_loop.batch_progress
            return "validation" if seen.is_last_batch and seen.current.completed == seen.current.ready else "batch"
        return "batch" if batches.completed < batches.processed else "between batches"

    # Going on

    def on_load_checkpoint(self, state_dict: dict[str, Any]) -> None:
        """Take up Lightning's state of the loop, and where it is of."""
        super().on_load_checkpoint(state_dict)
        self._resumed = state_dict.get("resume")
        epochs: Any = self.trainer.fit_loop.epoch_progress
        if self._resumed and self._resumed["place"] == "between batches":  # of an epoch that was broken off, too
            for each in (epochs.total, epochs.current):
                each.completed -= epochs.current.completed == epochs.current.ready
                each.processed -= epochs.current.processed == epochs.current.ready

    def update_restart_stage(self) -> None:
        """Have both loops go on from the place of the checkpoint; Lightning calls it before the first epoch."""
        resumed, self._resumed = self._resumed, None
        if resumed is None or resumed["place"] is None:
            super().update_restart_stage()
            return
        place, loop = resumed["place"], self.trainer.fit_loop
        self._load_places_in_data()
        figures = {name: scalar(value) for name, value in resumed["known"].items()}
        self.trainer._logger_connector._callback_metrics.update(figures)
        self.trainer.should_stop = resumed["stops"]
        if place == "epoch":
            self._end_epoch(resumed["logged"])
        in_epoch = place not in ("epoch", "between epochs")
        # Not by their setters, which hand it on to each other.
        loop._restarting, self.val_loop._restarting, self._restarting = False, False, in_epoch
        loop._restart_stage = fit_loop.RestartStage.RESTARTED_MID_EPOCH if in_epoch else fit_loop.RestartStage.NONE
        self._restart_stage = training_epoch_loop.RestartStage.RESTARTED_ON_LAST  # counters are right as they are
        if in_epoch:
            self._enter_epoch(place)

    def _load_places_in_data(self) -> None:
        """Have loaders go on where they were: Lightning does so only if nobody has asked for their length before."""
        loop = self.trainer.fit_loop
        states, loop._combined_loader_states_to_load = loop._combined_loader_states_to_load, []
        if states and loop._combined_loader is not None:
            loop._combined_loader._load_state_dicts(states)
            iter(loop._data_fetcher)

    def _end_epoch(self, logged: dict[str, float]) -> None:
        """Do what is left of an epoch after its checkpoint."""
        self.update_lr_schedulers("epoch", update_plateau_schedulers=True)
        self._unlogged = {**logged, "epoch": self.trainer.current_epoch} if logged else {}
        self.trainer.fit_loop.epoch_progress.increment_completed()

    def _enter_epoch(self, place: Moment) -> None:
        """Go on in an epoch that has started: callbacks are not told of its start again."""
        batches: Any = self.batch_progress.current
        if batches.completed < batches.processed:
            self.batch_progress.increment_completed()
        self._entered = place

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        """Do first what is left to do after the batch before the checkpoint."""
        if self._entered is not None:
            # They restore what they have set by then. In on_train_start the one insists that nobody has set a number.
            for each in self.trainer.callbacks:
                if isinstance(each, GradientAccumulationScheduler | StochasticWeightAveraging):
                    each.on_train_epoch_start(self.trainer, self.trainer.lightning_module)
        super().on_run_start(data_fetcher)
        unlogged, self._unlogged = self._unlogged, {}  # now that loggers know how
        self.trainer._logger_connector.log_metrics(unlogged, self._batches_that_stepped - 1)  # the last step's number
        entered, self._entered = self._entered, None
        if entered is None:
            return
        self._restarting = False  # all is done for it
        if entered != "between batches":
            self._skip_next_val = entered == "validation"
            self.on_advance_end(data_fetcher)
            self.on_iteration_done()
