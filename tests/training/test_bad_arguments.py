"""Bad arguments: refused when the object is made or the call begins, with everything left as it was."""

from __future__ import annotations

import functools
import operator as operators
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import metrics, nn, ops, optim
from bpcore.callbacks import Callback, EarlyStopping
from tests.training.problems import bits, network
from tests.training.refusal import X, Y, assert_refused, trained

NAN = float("nan")
INF = float("inf")
NO_GRADIENT = "the loss has no gradient"
ONES = np.ones(40)


@pytest.fixture
def trainer() -> bp.Trainer:
    return trained()


@pytest.mark.parametrize(
    ("arguments", "error", "fragment"),
    [
        ({"epochs": -1}, ValueError, "epochs must be at least 0, got -1"),
        ({"epochs": 1.5}, TypeError, "epochs must be an integer, got 1.5"),
        ({"epochs": None}, TypeError, "epochs must be an integer"),
        ({"epochs": True}, TypeError, "epochs must be an integer"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"batch_size": -8}, ValueError, "batch_size must be at least 1, got -8"),
        ({"batch_size": 8.0}, TypeError, "batch_size must be an integer"),
        ({"batch_size": "8"}, TypeError, "batch_size must be an integer"),
        ({"accumulate": 0}, ValueError, "accumulate must be at least 1"),
        ({"accumulate": 2**63 - 1}, ValueError, "at least 1 and at most 2147483647, got 9223372036854775807"),
        ({"y": None}, TypeError, "y is missing"),
        ({"validation_split": 1.0}, ValueError, "must lie in [0, 1), got 1.0"),
        ({"validation_split": -0.1}, ValueError, "must lie in [0, 1), got -0.1"),
        ({"validation_split": NAN}, ValueError, "must lie in [0, 1)"),
        ({"validation_split": "0.5"}, TypeError, "validation_split must be a number"),
        ({"validation_split": 0.001}, ValueError, "leaves one of the parts empty"),
        (
            {"validation_split": 0.5, "validation_data": (X, Y)},
            ValueError,
            "either validation_data or validation_split",
        ),
        ({"validation_data": X}, TypeError, "validation_data must be (x, y)"),
        ({"validation_data": (X,)}, TypeError, "validation_data must be (x, y)"),
        ({"validation_data": (X, Y, ONES, ONES)}, TypeError, "validation_data must be (x, y)"),
        ({"sample_weight": ONES[:39]}, ValueError, "x has 40 samples, sample_weight has 39"),
        ({"sample_weight": -ONES}, ValueError, "sample_weight must be at least 0"),
        ({"sample_weight": 0 * ONES}, ValueError, "above 0 somewhere"),
        ({"sample_weight": NAN * ONES}, ValueError, "sample_weight[0] is nan"),
        ({"sample_weight": INF * ONES}, ValueError, "sample_weight[0] is inf"),
        ({"sample_weight": ONES[:, None]}, ValueError, "must have shape (samples,), got (40, 1)"),
        (
            {"sample_weight": np.arange(40) >= 30, "validation_split": 0.25},
            ValueError,
            "leaves no sample to train on whose sample_weight is above 0",
        ),
        (
            {"sample_weight": np.arange(40) < 30, "validation_split": 0.25},
            ValueError,
            "leaves no sample to validate with whose sample_weight is above 0",
        ),
        ({"sample_weight": ["1"] * 40}, TypeError, "sample_weight: expected numbers"),
        ({"sample_weight": 1j * ONES}, TypeError, "sample_weight: expected numbers"),
        ({"callbacks": [EarlyStopping]}, TypeError, "callbacks must be objects"),
        ({"callbacks": [print]}, TypeError, "callbacks must be objects"),
        ({"callbacks": "early_stopping"}, TypeError, "callbacks must be objects"),
        ({"callbacks": {"stop": 3}}, TypeError, "callbacks must be objects"),
        ({"callbacks": None}, TypeError, "callbacks must be objects"),
        ({"shuffle": "no"}, TypeError, "shuffle must be True or False, got 'no'"),
        ({"shuffle": ONES}, TypeError, "shuffle must be True or False"),
        ({"resume": ""}, TypeError, "fit: resume must be the name of a file, got ''"),
        ({"resume": True}, TypeError, "fit: resume must be the name of a file, got True"),
        ({"resume": "/"}, IsADirectoryError, "/ is a folder; give the name of a file in it"),
        ({"check_finite": "skip"}, TypeError, "check_finite must be True or False, got 'skip'"),
    ],
)
def test_bad_arguments_of_fit(
    trainer: bp.Trainer, arguments: dict[str, Any], error: type[Exception], fragment: str
) -> None:
    given = {"y": Y, "epochs": 1, "progress": False, **arguments}
    assert_refused(trainer, lambda: trainer.fit(X, **given), error, fragment)


@pytest.mark.parametrize(
    ("every", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_bad_every_steps(trainer: bp.Trainer, every: Any, error: type[Exception]) -> None:
    callback = Callback()
    callback.every_steps = every
    assert_refused(
        trainer,
        lambda: trainer.fit(X, Y, epochs=1, callbacks=[callback], progress=False),
        error,
        "every_steps must be",
    )


def test_an_on_step_without_every_steps(trainer: bp.Trainer) -> None:
    class Stepping(Callback):
        def on_step(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None: ...

    assert_refused(
        trainer,
        lambda: trainer.fit(X, Y, epochs=1, callbacks=[Stepping()], progress=False),
        ValueError,
        "Stepping has an on_step, but its every_steps is None",
    )


@pytest.mark.parametrize("arguments", [(), (X,), (X, Y, ONES, ONES)])
def test_wrong_numbers_of_arguments_of_step_and_gradients(
    trainer: bp.Trainer, arguments: tuple[Any, ...]
) -> None:
    for call in (trainer.step, trainer.gradients):
        assert_refused(
            trainer, lambda call=call: call(*arguments), TypeError, "expected (x, y) or (x, y, sample_weight)"
        )


@pytest.mark.parametrize("batch_size", [0, -1])
def test_bad_batch_size_of_evaluate_and_predict(trainer: bp.Trainer, batch_size: int) -> None:
    fragment = "batch_size must be at least 1"
    assert_refused(trainer, lambda: trainer.evaluate(X, Y, batch_size=batch_size), ValueError, fragment)
    assert_refused(trainer, lambda: trainer.predict(X, batch_size=batch_size), ValueError, fragment)


@pytest.mark.parametrize("value", ["no", 0, None])
def test_check_finite_is_a_truth_value(trainer: bp.Trainer, value: Any) -> None:
    fragment = f"check_finite must be True or False, got {value!r}"
    trainer.predict(X)  # the next call may be a quick one
    assert_refused(trainer, lambda: trainer.predict(X, check_finite=value), TypeError, fragment)
    assert_refused(trainer, lambda: trainer.evaluate(X, Y, check_finite=value), TypeError, fragment)
    np.testing.assert_array_equal(trainer.predict(X, check_finite=np.bool_(True)), trainer.predict(X))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-0.1, NAN, INF])
def test_a_learning_rate_function_that_gives_nonsense(value: float) -> None:
    trainer = bp.Trainer(
        network(3, in_features=4), "cross_entropy", optim.SGD(lambda step: value if step == 0 else 0.1)
    )
    fragment = f"gave {value} for step 0"
    assert_refused(trainer, lambda: trainer.fit(X, Y, epochs=1, progress=False), ValueError, fragment)
    assert_refused(trainer, lambda: trainer.step(X, Y), ValueError, fragment)


@pytest.mark.parametrize("value", [None, "fast", [0.1, 0.2]])
def test_a_learning_rate_function_that_gives_no_number_is_named(value: Any) -> None:
    def decay(step: int) -> Any:
        return 0.1 if step < 0 else value

    trainer = bp.Trainer(network(3, in_features=4), "cross_entropy", optim.SGD(decay))
    for call in (lambda: trainer.fit(X, Y, epochs=1, progress=False), lambda: trainer.step(X, Y)):
        assert_refused(trainer, call, TypeError, f"decay gave {value!r} for step 0, not a number")


@pytest.mark.parametrize(
    ("optimizer", "name", "value"),
    [
        (optim.SGD(0.1, 0.9), "momentum", 0.5),
        (optim.SGD(0.1, 0.9), "nesterov", True),
        (optim.SGD(0.1), "weight_decay", 0.1),
        (optim.Adam(), "betas", (0.5, 0.5)),
        (optim.Adam(), "eps", 1e-4),
        (optim.Adam(), "weight_decay", 0.1),
        (optim.LBFGS(), "max_iter", 3),
    ],
)
def test_an_optimizers_settings_but_lr_stay(optimizer: optim.Optimizer, name: str, value: Any) -> None:
    before = optimizer.config()
    with pytest.raises(AttributeError, match=f"{name} can't be changed; make a new optimizer"):
        setattr(optimizer, name, value)
    assert optimizer.config() == before


@pytest.mark.parametrize(
    ("lr", "error"), [(-0.1, ValueError), (NAN, ValueError), ("0.1", TypeError), (None, TypeError)]
)
def test_a_wrong_lr_raises_when_it_is_set(lr: Any, error: type[Exception]) -> None:
    optimizer = optim.Adam(0.1)
    with pytest.raises(error, match="lr must be"):
        optimizer.lr = lr
    assert optimizer.lr == 0.1


def test_lr_may_be_set_anew_to_a_number_or_a_function() -> None:
    trainer, twin = (bp.Trainer(network(3, in_features=4), "cross_entropy", optim.SGD(0.1)) for _ in "ab")
    trainer.optimizer.lr = 0.0
    before = bits(trainer)
    trainer.step(X, Y)
    assert bits(trainer) == before
    trainer.optimizer.lr = lambda step: 0.1 * step  # this is step 1
    trainer.step(X, Y)
    twin.step(X, Y)
    assert bits(trainer) == bits(twin)


@pytest.mark.parametrize(
    ("options", "error", "fragment"),
    [
        ({"loss": lambda p, t: 1.0}, TypeError, "expected a tensor"),  # noqa: ARG005
        ({"loss": lambda p, t: None}, TypeError, "expected a tensor"),  # noqa: ARG005
        ({"loss": lambda p, t: ops.mean(ops.stop_gradient(p))}, ValueError, NO_GRADIENT),  # noqa: ARG005
        ({"loss": lambda p, t: ops.abs(ops.argmax(p) - t)}, ValueError, NO_GRADIENT),
        ({"loss": metrics.accuracy}, ValueError, NO_GRADIENT),
        (
            {"objective": lambda m, x, y: ops.mean(ops.cast(ops.argmax(m(x)) == y, "float32"))},
            ValueError,
            NO_GRADIENT,
        ),
        ({"objective": lambda model, x, y: model(x)}, ValueError, "must return a scalar"),  # noqa: ARG005
        ({"objective": lambda model, x: model(x)}, TypeError, "positional argument"),
        ({"objective": lambda model, x, y: ops.mean(x)}, ValueError, "does not depend on any"),  # noqa: ARG005
        ({"loss": "cross_entropy", "metrics": [lambda p, t: 1.0]}, TypeError, "expected a tensor"),  # noqa: ARG005
    ],
)
def test_functions_that_return_nonsense(
    options: dict[str, Any], error: type[Exception], fragment: str
) -> None:
    trainer = bp.Trainer(network(3, in_features=4), **options)
    data: Any = ((X, Y),) if "objective" in options else (X, Y)
    assert_refused(trainer, lambda: trainer.fit(*data, epochs=1, progress=False), error, fragment)
    assert_refused(trainer, lambda: trainer.step(*(data[0] if len(data) == 1 else data)), error, fragment)


# When the object is made


@pytest.mark.parametrize(
    ("make", "error", "fragment"),
    [
        (lambda: nn.Dense(0), ValueError, "units must be at least 1, got 0"),
        (lambda: nn.Dense(-3), ValueError, "units must be at least 1, got -3"),
        (lambda: nn.Dense(2.5), TypeError, "units must be an integer, got 2.5"),  # type: ignore[arg-type]
        (lambda: nn.Dense("8"), TypeError, "units must be an integer"),  # type: ignore[arg-type]
        (lambda: nn.Dense(True), TypeError, "units must be an integer"),
        (lambda: nn.Dense(list(range(1000))), TypeError, "units must be an integer, got [0, 1, 2, 3"),  # type: ignore[arg-type]
        (
            lambda: nn.Dense(np.zeros((100, 3))),
            TypeError,
            "units must be an integer, got array([[0., 0., 0.],",
        ),  # type: ignore[arg-type]
        (lambda: optim.SGD({"0.weight": np.ones(900)}, 0.1), TypeError, "got {'0.weight': array([1., 1"),  # type: ignore[arg-type]
        (lambda: nn.Dense(3, in_features=0), ValueError, "in_features must be at least 1"),
        (lambda: nn.Dense(3, "rleu"), ValueError, "Dense: unknown activation 'rleu'; did you mean 'relu'"),
        (lambda: nn.Dense(3, "zzz"), ValueError, "known: celu, elu, gelu, "),
        (lambda: nn.Dense(3, nn.ReLU), TypeError, "with ()"),
        (lambda: nn.Dense(3, 7), TypeError, "Dense: an activation is a name, a function or a module, got 7"),
        (lambda: nn.Dense(3, kernel_init="he_norml"), ValueError, "did you mean 'he_normal'"),
        (lambda: nn.Sequential(nn.Dense), TypeError, "layer 0 must be a module or a function"),
        (lambda: nn.Sequential(nn.Dense(3), 5), TypeError, "layer 1 must be a module or a function"),  # type: ignore[arg-type]
        (lambda: optim.SGD(-0.1), ValueError, "lr must be finite and at least 0, got -0.1"),
        (lambda: optim.SGD(NAN), ValueError, "lr must be finite"),
        (lambda: optim.SGD(INF), ValueError, "lr must be finite"),
        (lambda: optim.SGD("0.1"), TypeError, "lr must be a number"),  # type: ignore[arg-type]
        (lambda: optim.SGD(0.1, momentum=1.0), ValueError, "momentum must be in [0, 1), got 1.0"),
        (lambda: optim.SGD(0.1, momentum=-0.1), ValueError, "momentum must be in [0, 1)"),
        (lambda: optim.SGD(0.1, nesterov=True), ValueError, "nesterov=True needs a momentum"),
        (lambda: optim.SGD(0.1, weight_decay=-1), ValueError, "weight_decay must be"),
        (lambda: optim.Adam(-1e-3), ValueError, "lr must be finite and at least 0"),
        (lambda: optim.Adam(betas=(1.0, 0.9)), ValueError, "betas[0] must be in [0, 1), got 1.0"),
        (lambda: optim.Adam(betas=(0.9, 1.0)), ValueError, "betas[1] must be in [0, 1), got 1.0"),
        (lambda: optim.Adam(betas=(0.9, 1.5)), ValueError, "betas[1] must be in [0, 1)"),
        (lambda: optim.Adam(betas=(-0.1, 0.9)), ValueError, "betas[0] must be in [0, 1)"),
        (lambda: optim.Adam(betas=0.9), TypeError, "betas must be a pair"),  # type: ignore[arg-type]
        (lambda: optim.Adam(eps=0), ValueError, "eps must be finite and above 0"),
        (lambda: optim.Adam(eps=-1e-8), ValueError, "eps must be"),
    ],
)
def test_layers_and_optimizers_check_their_arguments_when_made(
    make: Callable[[], Any], error: type[Exception], fragment: str
) -> None:
    with pytest.raises(error) as caught:
        make()
    assert fragment in str(caught.value)
    assert len(str(caught.value)) < 400


def _frozen() -> nn.Module:
    model = network(3, in_features=4)
    for _, variable in model.named_variables():
        variable.trainable = False  # type: ignore[attr-defined]
    return model


@pytest.mark.parametrize(
    ("arguments", "error", "fragment"),
    [
        ({"loss": "cross_entrpy"}, ValueError, "unknown loss 'cross_entrpy'; did you mean 'cross_entropy'"),
        ({"loss": "sparse_categorical_crossentropy"}, ValueError, "did you mean 'cross_entropy' or"),
        ({"loss": "categorical_crossentropy"}, ValueError, "did you mean 'cross_entropy' or"),
        ({"loss": "binary_crossentropy"}, ValueError, "did you mean 'binary_cross_entropy' or"),
        ({"loss": "mean_squared_error"}, ValueError, "did you mean 'mse' or"),
        ({"loss": "BCE"}, ValueError, "did you mean 'binary_cross_entropy' or"),
        ({"loss": "zzz"}, ValueError, "known: binary_cross_entropy, cosine_similarity"),
        ({"loss": 3}, TypeError, "a loss is a name or a function"),
        ({"loss": nn.Dense}, TypeError, "got the class Dense"),
        ({"loss": functools.partial(nn.Dense, 3)}, TypeError, "got the class Dense"),
        ({"loss": None, "objective": nn.Dense}, TypeError, "must be a function, got the class Dense"),
        ({"loss": None}, ValueError, "either loss= or objective="),
        ({"objective": lambda model, x: model(x)}, ValueError, "either loss= or objective="),
        ({"loss": None, "objective": "mse"}, TypeError, "objective must be a function"),
        (
            {"loss": None, "objective": lambda model, x: model(x), "metrics": ["accuracy"]},
            ValueError,
            "metrics compare",
        ),
        ({"metrics": ["acuracy"]}, ValueError, "unknown metric 'acuracy'; did you mean 'accuracy'"),
        ({"metrics": "accuracy"}, TypeError, "metrics must be a list"),
        ({"metrics": [3]}, TypeError, "a metric is a name, a function of"),
        ({"metrics": ["accuracy", "accuracy"]}, ValueError, "'accuracy' is taken"),
        ({"optimizer": "adma"}, ValueError, "unknown optimizer 'adma'; did you mean 'adam"),
        ({"optimizer": "SGD"}, ValueError, "unknown optimizer 'SGD'; did you mean 'sgd'"),
        ({"loss": "MSE"}, ValueError, "unknown loss 'MSE'; did you mean 'mse'"),
        ({"optimizer": optim.Adam}, TypeError, "an optimizer is a name or an object"),
        ({"optimizer": 0.1}, TypeError, "an optimizer is a name or an object"),
        ({"dtype": "float16"}, ValueError, 'dtype must be "float32" or "float64"'),
        ({"dtype": "int64"}, ValueError, 'dtype must be "float32" or "float64"'),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"seed": 1.5}, TypeError, "seed must be an integer"),
        ({"seed": 2**63}, ValueError, "seed must be below 2**63"),
        ({"threads": 0}, ValueError, "threads must be at least 1"),
        ({"threads": 1025}, ValueError, "threads must be at least 1 and at most 1024, got 1025"),
        ({"threads": 2**40}, ValueError, "threads must be at least 1 and at most 1024, got 1099511627776"),
        ({"threads": 1.5}, TypeError, "threads must be an integer"),
        ({"model": nn.Sequential(nn.ReLU())}, ValueError, "the model has no trainable parameters"),
        ({"model": nn.Sequential()}, ValueError, "the model has no trainable parameters"),
        ({"model": _frozen()}, ValueError, "the model has no trainable parameters"),
        ({"model": lambda x: x}, TypeError, "model must be a nn.Module, got function"),
        ({"model": nn.Dense}, TypeError, "must be a nn.Module, got the class Dense"),
    ],
)
def test_the_trainer_checks_its_arguments_when_made(
    arguments: dict[str, Any], error: type[Exception], fragment: str
) -> None:
    with pytest.raises(error) as caught:
        bp.Trainer(**{"model": network(3, in_features=4), "loss": "cross_entropy", **arguments})
    assert fragment in str(caught.value)


def test_a_float64_model_is_not_narrowed_by_a_float32_trainer() -> None:
    model = network(3)
    model.build(4, dtype="float64")
    before = bits(model)
    with pytest.raises(TypeError, match='float64, so the trainer must be too: dtype="float64"'):
        bp.Trainer(model, "cross_entropy")
    assert bits(model) == before


# NumPy on the tensors that a loss is given


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (np.sum, "sum"),
        (np.mean, "mean"),
        (np.exp, "exp"),
        (np.maximum.reduce, "maximum"),
        (lambda t: np.concatenate([t, t]), "concatenate"),
        (lambda t: np.maximum(t, 0), "maximum"),
        (lambda t: np.add(t, 1, out=np.ones(t.shape)), "add"),
    ],
)
def test_numpys_functions_on_tensors_name_bpcore_ops(function: Callable[[Any], Any], name: str) -> None:
    trainer = bp.Trainer(network(3, in_features=4), lambda prediction, _: function(prediction))
    fragment = f"numpy.{name} needs numbers, which a symbolic tensor doesn't have yet; use what bpcore.ops"
    assert_refused(trainer, lambda: trainer.step(X, Y), TypeError, fragment)


@pytest.mark.parametrize("left", [np.arange(1.0, 7.0).reshape(2, 3), np.float64(2.0)])
@pytest.mark.parametrize(
    "operator", ["add", "sub", "mul", "truediv", "pow", "eq", "ne", "lt", "le", "gt", "ge"]
)
def test_numpys_arrays_and_numbers_left_of_a_tensor(operator: str, left: Any) -> None:
    function = getattr(operators, operator)
    right = np.array([[1.0, 2.0, 0.5], [4.0, 2.5, 3.0]])
    found = nn.Sequential(lambda tensor: function(left, tensor))(right)
    np.testing.assert_allclose(found, function(left, right), rtol=1e-15)
    assert found.dtype == function(left, right).dtype


def test_numpys_matrices_and_masks_left_of_a_tensor() -> None:
    left, right = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    np.testing.assert_allclose(nn.Sequential(lambda tensor: left @ tensor)(right), left @ right)
    masks = np.array([True, True, False]), np.array([True, False, False])
    for function in (operators.and_, operators.or_):
        found = nn.Sequential(lambda tensor, f=function: f(masks[0], tensor))(masks[1])
        assert found.tolist() == function(*masks).tolist()


def test_numpy_may_ask_a_tensor_for_its_sizes() -> None:
    def shapes(prediction: Any, _: Any) -> Any:
        assert (np.shape(prediction), np.ndim(prediction), np.size(prediction)) == ((40, 3), 2, 120)
        return ops.mean(prediction)

    bp.Trainer(network(3, in_features=4), shapes).step(X, Y)
