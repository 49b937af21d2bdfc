"""The trainer: a model, what it should learn, and how."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from bpcore import checkpoint, optim, runtime
from bpcore.basics import settings, texts, tree
from bpcore.basics.arrays import Array, check_float_dtype
from bpcore.callbacks import LearningRateFinder
from bpcore.engine import goals
from bpcore.engine.control import GradientControl
from bpcore.engine.engine import Engine
from bpcore.engine.task import Task
from bpcore.intake import Reader
from bpcore.intake.classes import class_weight_text
from bpcore.nn import Module
from bpcore.nn.module import summary
from bpcore.nn.penalties import is_regularizer
from bpcore.symbolic import tracing
from bpcore.trainer import checks, fitting
from bpcore.trainer.run import Data, Run
from bpcore.watching import progress as progress_
from bpcore.watching.history import History

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

    from bpcore.callbacks import Callback
    from bpcore.watching.health import Health

__all__ = ["Trainer"]

_MOST_BATCHES = 2**31 - 1  # of a step


class Trainer:
    """Trains `model` to a small loss between its output and targets, or to a small objective.

    Args:
        model: a `nn.Module` with parameters.
        loss: one of `bpcore.losses` by name: "mse", "mae", "huber", "smooth_l1", "log_cosh", "quantile",
            "cross_entropy", "nll", "multi_margin", "binary_cross_entropy", "focal", "hinge", "squared_hinge",
            "kl_divergence", "poisson_nll", "gaussian_nll", "cosine_similarity", "ctc"; for other settings, a
            `functools.partial` of one, without a reduction. Or a function of (prediction, target), where a
            prediction is what the model returns, also a tuple; it returns the batch's mean, a scalar, or a
            loss per element, samples along the first axis, or a `losses.Weighted` of such. A function, and a
            metric, gets the target in the prediction's shape if all it lacks is a last axis of size 1.
            Or losses by output, a dict for a model that returns a dict, a tuple or list for one that returns
            a tuple: each compares its part of the prediction with that of the target, and their sum is
            minimised. None is for an output that is not trained on.
        optimizer: one of `bpcore.optim` by name in lower case ("sgd", "adamw", "lamb", ...) or an object of
            it; Adam with lr = 1e-3 if None.
        objective: instead of a loss, a function ``objective(model, *inputs)`` that returns a scalar tensor.
        metrics: of `bpcore.metrics` by name: "accuracy", "binary_accuracy", "top_5" (or any other number),
            "precision", "recall", "f1", "confusion_matrix", "roc_auc", "average_precision", "mae", "mse",
            "rmse", "mape", "r2"; objects of it, for settings, as ``metrics.F1(average="micro")``, and of
            `metrics.Metric` for one's own; and functions of (prediction, target) that return a value per
            element, a `losses.Weighted` or a scalar. If the loss is "binary_cross_entropy", "focal", "hinge"
            or "squared_hinge", each output is a logit of two classes; else classes are the largest outputs,
            or a single output's nearest of 0 and 1. What the loss's ignore_index ignores doesn't count, but
            for functions.
            For losses by output, metrics by output: a dict, or a list with one for each, of a metric, several
            in a list, or None. In logs, "age_loss" and "age_accuracy" are those of the output "age".
        loss_weights: for losses by output, what each is multiplied by in the sum, likewise; 1 if not given.
        seed: keys shuffling, initial values that don't exist yet, and what is random in a step (dropout,
            noise), together with the number of steps done; the same seed, the same bits. What has used the
            model before the trainer was made (`model.parameters`, a call, `build`) has drawn initial values
            already, by seed 0 or that of `build`; they stay.
        dtype: "float32" or "float64", of parameters and computation.
        threads: the most threads to use; `bpcore.runtime.threads` if None. Results don't depend on it.
        clip_norm: scale all gradients together so that their Euclidean norm is at most this.
        clip_layer_norm: the same for each layer (the parameters of one module) by itself.
        clip_value: limit each element of a gradient to ±this. At most one of the three may be given.
        nonfinite: look for gradients that are not finite before each update: "stop" raises
            FloatingPointError and names the layer, "skip" leaves that step out, and counts it in `skipped`.
            Else only the loss is looked at.
        regularizer: a term of the loss for each parameter of two axes or more that has no regularizer of its
            own, as `nn.L2(1e-4)`.
        ema: decay of a moving average of all parameters, such as 0.999, for `averaged_model`.

    Attributes: `history`, of the last `fit`; `steps` and `epochs`, done so far; `skipped`, steps left out
        because of `nonfinite`; `health`, a `Health` of the last `fit` if it had the callback GradientHealth,
        else None; `stop_training`, which a callback may set, or call `stop`.

    Raises ValueError for unknown names, settings out of range and a model without trainable parameters;
    TypeError for things of another kind, and for a float64 model in a float32 trainer.
    """

    def __init__(
        self,
        model: Module,
        loss: Any = None,
        optimizer: Any = None,
        *,
        objective: Callable[..., Any] | None = None,
        metrics: Iterable[Any] = (),
        loss_weights: Any = None,
        seed: int = 0,
        dtype: str = "float32",
        threads: int | None = None,
        clip_norm: float | None = None,
        clip_layer_norm: float | None = None,
        clip_value: float | None = None,
        nonfinite: str | None = None,
        regularizer: Callable[[Any], Any] | None = None,
        ema: float | None = None,
    ) -> None:
        if not isinstance(model, Module):
            raise TypeError(f"Trainer: model must be a nn.Module, got {texts.kind(model)}")
        if (loss is None) == (objective is None):
            raise ValueError("Trainer: give either loss= or objective=")
        if objective is not None and (isinstance(objective, type) or not callable(objective)):
            raise TypeError(f"Trainer: objective must be a function, got {texts.kind(objective)}")
        self.model = model
        self.seed = settings.seed("Trainer", seed)
        self.dtype = check_float_dtype(dtype, "Trainer")
        if threads is not None:
            threads = settings.count("Trainer", "threads", threads, 1, runtime.MOST_THREADS)
        self.threads = threads
        self.optimizer = optim.resolve(optimizer)
        self._goals = goals.resolve(loss, loss_weights, metrics)
        self.loss, self.loss_weights = self._goals.loss, self._goals.loss_weights
        self.objective = objective
        self.metrics = self._goals.functions
        if objective is not None and self.metrics:
            raise ValueError(
                "Trainer: metrics compare a prediction with a target, which an objective doesn't have"
            )
        self.control = GradientControl(clip_norm, clip_layer_norm, clip_value, nonfinite, ema)
        if not is_regularizer(regularizer):
            raise TypeError(f"Trainer: regularizer must be nn.L2(...) or a function, got {regularizer!r}")
        self.regularizer = regularizer
        self._task = Task(model, self._goals, objective, regularizer)
        self._reader = Reader(model, objective, self._goals, self.dtype)
        self.history = History()
        self.stop_training = False
        self._stop_reason: str | None = None
        self.skipped = 0
        self.health: Health | None = None
        self._engine = Engine(self._task, self.optimizer, self.control, self.seed, self.dtype, self.threads)
        self._engine.check_model()
        self._busy = Lock()
        self._run: Run | None = None  # under way

    def __setattr__(self, name: str, value: Any) -> None:
        checks.attribute(self, name, type(self) is Trainer)
        super().__setattr__(name, value)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a trainer can't be pickled or copied: save(path) writes it to a file, "
            "and Trainer.load(path, model) makes another one of that"
        )

    def __repr__(self) -> str:
        task = f"objective={texts.short(self.objective)}" if self.objective else f"loss={self.loss!r}"
        shown = [f"optimizer={self.optimizer!r}"]
        shown += [f"metrics={self._goals.metrics!r}"] if self.metrics else []
        shown += [f"loss_weights={self.loss_weights!r}"] if self.loss_weights is not None else []
        shown += [f"seed={self.seed}"] if self.seed else []
        shown += [f"dtype={self.dtype!r}"] if self.dtype != "float32" else []
        shown += [f"{name}={value!r}" for name, value in self.control.config().items() if value is not None]
        model = f"{type(self.model).__name__} of {summary.parameters_of(self.model)} parameters"
        done = f"steps={self.steps}", f"epochs={self.epochs}"
        return texts.call(self, [model, task, *shown, *done], wrap=True)

    # Training

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int,
        batch_size: int | None = None,
        validation_data: Any = None,
        validation_split: float = 0.0,
        stratify: Any = False,
        shuffle: bool = True,
        sample_weight: Any = None,
        class_weight: Any = None,
        augment: Callable[..., Any] | None = None,
        accumulate: int = 1,
        steps_per_epoch: int | None = None,
        callbacks: Callback | Iterable[Callback] = (),
        progress: bool | str = True,
        resume: str | os.PathLike[str] | None = None,
        max_seconds: float | None = None,
        tol: float | None = None,
        check_finite: bool = True,
    ) -> History:
        """Trains for `epochs` more epochs and returns their values.

        Args:
            x: input, one row a sample. For a model, or an objective, of several inputs, a tuple or list of
                arrays, or a dict of them by the names of its arguments. Arrays are also tables of numbers
                (pandas, Arrow, polars), whatever else has NumPy's array interface, and memory maps larger
                than memory; a sparse matrix of SciPy's stays sparse and goes into a first `nn.Dense`. Or
                batches: something to go through, as a list or PyTorch's DataLoader, of (x, y) or
                (x, y, sample_weight), with an objective of its inputs; or a function that returns such a
                thing for each epoch, given the epoch from 0 if it needs an argument or has one called
                `epoch`. An iterator, such as a generator, is good for one epoch.
            y: target, one row a sample; a dict or tuple of them for losses by output, or for a loss that is a
                function of several; None with an objective, and where x gives batches.
            epochs: how often to go through the data.
            batch_size: samples a step, 32 unless given; the last batch of an epoch may be smaller.
            validation_data: (x, y) or (x, y, sample_weight) to evaluate after each epoch; with an objective,
                its inputs. Or batches of such.
            validation_split: fraction of the samples, the last ones, that are kept for validation instead.
            stratify: True to keep the last ones of each class of the target instead, in the proportions of
                all, and at least one on each side; or an array of labels, one a sample, to go by.
            shuffle: draw a new order for each epoch, keyed by the seed and the epoch; False for a model with
                layers that carry a state from batch to batch. Batches that x gives keep their order.
            sample_weight: how much each sample counts, shape (samples,); for losses by output, also a dict or
                tuple of them by output, None for one without.
            class_weight: how much samples of each class count in training, times sample_weight: a dict by
                class, where others count 1, a list by class, or "balanced": samples / (classes · samples of
                the class). For classes (samples,), also 0 and 1 as floats, and one-hot targets.
            augment: a function of a batch, (x, rng) -> x or (x, y, rng) -> (x, y), that changes it at random
                before its step. It gets NumPy arrays, which it may write to, and a `numpy.random.Generator`
                keyed by seed, epoch and batch. `bpcore.data` has some.
            accumulate: batches whose gradients make one step, as if they were one batch; the last step of an
                epoch may have fewer.
            steps_per_epoch: where x gives batches, perhaps without end: steps of an epoch. The next epoch
                goes on behind them.
            callbacks: see `bpcore.callbacks`.
            progress: True shows how far the run is, on standard error: by a bar in a terminal or a notebook,
                else by a line an epoch (at most one a second, and one each ten seconds within an epoch).
                "bar" and "log" choose; False shows nothing.
            resume: a file that `callbacks.Checkpoint` writes: the run goes on where it was written, to the
                bit, and `epochs` is the total. If there is no such file, it begins. So the same script is
                simply run again after a crash. It may be changed in what `callbacks.Checkpoint` lists; a run
                with another loss, say, is refused.
            max_seconds: end the run after so much wall-clock time, as `callbacks.TimeLimit` does, also in the
                middle of an epoch; above 0.
            tol: end the run when the training loss of an epoch has not been below the least one so far by at
                least this for more than 10 epochs in a row, which is scikit-learn's rule; at least 0.
            check_finite: refuse NaN and infinity in the data.

        Wrong arguments and data raise ValueError or TypeError before anything is changed; NaN or infinity in
        a memory map, and what is wrong with a batch that x gives, before its step. An exception from x is
        raised as it is. A loss that is not finite raises FloatingPointError before that step's update. Ctrl-C
        raises KeyboardInterrupt between two steps. Callbacks are told that training ends before any of these
        is raised; the trainer can go on, and `history` has the finished epochs. `history.stopped` says what
        ended the run.
        """
        with self._alone("fit"):
            epochs = settings.count("fit", "epochs", epochs, 0)
            accumulate = settings.count("fit", "accumulate", accumulate, 1, _MOST_BATCHES)
            shuffle = settings.flag("fit", "shuffle", shuffle)
            check_finite = settings.flag("fit", "check_finite", check_finite)
            listeners = checks.callback_list(callbacks, max_seconds, tol)
            progress_.check("fit", progress)
            if resume is not None:
                resume = settings.path("fit", "resume", resume)
            data, held_out, rows, batch_size = self._reader.training(
                x,
                y,
                epochs=epochs,
                batch_size=batch_size,
                accumulate=accumulate,
                steps_per_epoch=steps_per_epoch,
                augment=augment,
                seed=self.seed,
                sample_weight=sample_weight,
                class_weight=class_weight,
                validation_data=validation_data,
                validation_split=validation_split,
                stratify=stratify,
                check_finite=check_finite,
            )
            if shuffle and rows is not None:
                checks.order_is_free("fit", self.model)
            going = Data(rows, batch_size, accumulate, shuffle, class_weight_text(class_weight))
            return fitting.fit(self, data, held_out, going, listeners, epochs, progress, resume)

    def find_learning_rate(
        self, x: Any, y: Any = None, finder: LearningRateFinder | None = None, **options: Any
    ) -> LearningRateFinder:
        """Tries learning rates on the data, and changes nothing; the result has a `suggestion` and a `plot`.

        Args:
            x, y: as for `fit`.
            finder: a `callbacks.LearningRateFinder` with other settings than its defaults.
            options: other arguments of `fit`, such as `batch_size`, on which the right rate depends; none of
                epochs, callbacks and what ends a run or goes on with one.

        `optimizer.lr` stays, too, unless `finder` has `apply`. Raises as `fit` and the finder do.
        """
        checks.of_a_test("find_learning_rate", options)
        finder = LearningRateFinder() if finder is None else finder
        undo = checkpoint.undo_of_begin(self)
        try:
            self.fit(x, y, epochs=0, callbacks=[finder], **options)
        finally:
            undo()
        return finder

    def stop(self, reason: str = "stop_training") -> None:
        """Ends the run of `fit` after the step, or the epoch, at hand; for callbacks.

        `reason` is for `history.stopped`; of several, the first one counts. Without a run, nothing happens.
        """
        if not isinstance(reason, str):
            raise TypeError(f"stop: reason must be a string, got {reason!r}")
        if not self.stop_training:
            self.stop_training, self._stop_reason = True, reason

    def step(self, *inputs: Any) -> float:
        """One step on one batch; its mean loss.

        `inputs` are (x, y), (x, y, sample_weight), or those of the objective, which may also come
        together, as `fit` takes them. Raises as `fit` does; a loss that is not finite is returned only
        where such steps are skipped.
        """
        with self._alone("step"):
            repeated = self._engine.repeated(inputs)
            if repeated is not None and self._reader.has_rule(repeated.data):
                self._reader.check_targets("step", repeated.data)
            data = repeated or self._reader.batch("step", inputs)
            loss, refused = self._engine.step(data, self.optimizer.group_rates(self.steps, 1))
            if refused is not None and self.control.nonfinite == "skip":
                self.skipped += 1
            elif refused is not None:
                raise FloatingPointError(f"step: {refused} at step {self.steps}; nothing was updated")
            return loss

    def gradients(self, *inputs: Any) -> dict[str, Array]:
        """Name -> gradient of each parameter for a batch, given as to `step`; changes nothing.

        Random numbers, as those of dropout, are the ones that the next step will draw.
        """
        return self._engine.gradients(self._reader.batch("gradients", inputs))

    # Use

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        *,
        batch_size: int | None = None,
        sample_weight: Any = None,
        check_finite: bool = True,
    ) -> dict[str, Any]:
        """Loss and metrics over all samples, in inference mode, as of all of them at once.

        It takes what `fit` takes: arrays, in batches of 256 unless `batch_size` is given, or batches.
        """
        data, size = self._reader.evaluation(x, y, batch_size, sample_weight, check_finite)
        return self._engine.evaluation("evaluate", data, size)()

    def predict(self, x: Any, *, batch_size: int = 256, check_finite: bool = True) -> Any:
        """The model's output for all samples of `x`, in inference mode; the batch size doesn't change it.

        `x` is input as for `fit`, or what gives such inputs one after the other, as a generator.
        """
        quick = self._engine.predict_quickly(x, batch_size, check_finite)
        if quick is not None:
            return quick
        batch_size = settings.count("predict", "batch_size", batch_size, 1)
        parts: list[Any] = []
        for place, data in self._reader.inputs("predict", x, check_finite):
            with tracing.inference():
                parts += self._engine.predict(place, data, batch_size)
        columns = [np.concatenate(column) for column in zip(*map(tree.leaves, parts), strict=True)]
        rest = iter(columns)
        return tree.rebuild(parts[0], lambda _: next(rest))

    @property
    def parameters(self) -> dict[str, Array]:
        """Name -> array of every parameter: writable views of what is trained, not copies."""
        self._engine.ready(None)
        return self.model.parameters

    @property
    def epochs(self) -> int:
        """Epochs done so far, over all calls of `fit`."""
        return self.history.last_epoch

    @property
    def steps(self) -> int:
        """Optimizer steps done so far."""
        return self._engine.steps

    def averaged_model(self) -> Module:
        """A copy of the model with the moving averages of its parameters, and its states as they are.

        RuntimeError without `ema`, or before the first step.
        """
        if self.control.ema is None or self.steps == 0:
            missing = "ema is None" if self.control.ema is None else "there was no step yet"
            raise RuntimeError(f"averaged_model: there is no average, since {missing}")
        with self._engine.writing():
            averages = self._engine.averages()
            twin = self.model.copy()
            for name, value in twin.parameters.items():
                value[...] = averages[name]
        return twin

    def snapshot(self) -> tuple[Array, Array]:
        """A copy of all parameters and states, for `restore`."""
        return self._engine.snapshot()

    def restore(self, snapshot: tuple[Array, Array]) -> None:
        """Puts the values of a `snapshot` of this trainer back; the optimizer's state stays as it is.

        ValueError if its sizes or dtype are not those of this trainer.
        """
        self._engine.restore(snapshot)

    @property
    def optimizer_state(self) -> dict[str, Array]:
        """``optimizer.<slot>.<parameter>`` -> array of the optimizer's state: writable views, not copies."""
        return self._engine.optimizer_state()

    # Files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes parameters, states, the optimizer's state and all settings to a safetensors file.

        The file is replaced at once or not at all. Called by a callback, it also holds where the run stands,
        for ``fit(resume=path)``. Called by another thread, it waits until steps that are under way are done,
        which takes about 50 ms or one step. Functions (a loss, a partial of a known one too, a metric, an
        objective, a learning rate) are not in it, only their names; schedules are, unless a function is a
        part of them.
        """
        run = self._run
        state = run.state() if run is not None and run.thread == get_ident() else None
        with self._engine.writing():
            checkpoint.save(self, self._engine, path, state)

    @classmethod
    def load(cls, path: str | os.PathLike[str], model: Module, **overrides: Any) -> Trainer:
        """A trainer that goes on where the one that was saved stopped, with `model` in its place.

        Args:
            path: a file that `save` has written.
            model: a model of the same structure; it is given the saved values.
            overrides: arguments of `Trainer` to use in place of the saved ones. Functions, which files can't
                hold, must be given again here: loss, objective, metrics, and an optimizer whose learning rate
                was one (it gets back its `scale`, too).

        Raises ValueError, before the model is changed, if the file is damaged, belongs to a model with other
        names or shapes, or lacks something that must be given again. A model that differs otherwise, as in an
        activation, is a RuntimeWarning.
        """
        arguments, restore = checkpoint.read(path, model, overrides)
        trainer = cls(model, **arguments)
        restore(trainer)
        return trainer

    # Arguments

    @contextmanager
    def _alone(self, who: str) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise RuntimeError(f"{who}: this trainer is in the middle of a fit or a step already")
        try:
            yield
        finally:
            self._busy.release()
