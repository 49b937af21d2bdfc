"""Time of a prediction, 10-64-64-10, per call from Python: one sample, NumPy's float64, two sizes in turns.

    python benchmarks/peers/single_sample.py [--quick] [--json results.json]

What a user calls: `Trainer.predict` and the model itself in bpcore, the model in PyTorch's inference mode, a
jitted function in JAX, four lines of NumPy. NumPy arrays go in and come out.
"""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from measuring import Record, arguments, parse, repeated, take_turns

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from dense_network import DenseNetwork

    Predict = Callable[[np.ndarray], Any]


def bpcore_calls(network: DenseNetwork) -> dict[str, Predict]:
    import bpcore_contender

    import bpcore as bp

    model = bpcore_contender.model_of(network)
    trainer = bp.Trainer(model, "cross_entropy", threads=1)
    return {"bpcore": model, "bpcore predict": trainer.predict}


def numpy_calls(network: DenseNetwork) -> dict[str, Predict]:
    import numpy as np

    *hidden, (last, offset) = network.weights()

    def predict(x: np.ndarray) -> np.ndarray:
        y = x.astype(np.float32, copy=False)
        for weight, bias in hidden:
            y = np.maximum(y @ weight + bias, 0)
        return y @ last + offset

    return {"numpy": predict}


def pytorch_calls(network: DenseNetwork) -> dict[str, Predict]:
    import pytorch_contender
    import torch

    torch.set_num_threads(1)
    model = pytorch_contender.model_of(network).eval()

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(x).float()).numpy()

    return {"pytorch": predict}


def jax_calls(network: DenseNetwork) -> dict[str, Predict]:
    import jax
    import jax_dense
    import numpy as np

    weights, *_ = jax_dense.state_of(network)
    logits = jax.jit(jax_dense.logits)
    return {"jax": lambda x: np.asarray(logits(weights, x))}


def one_after_the_other(predict: Predict, inputs: list[np.ndarray]) -> Callable[[], Any]:
    if len(inputs) == 1:
        return partial(predict, *inputs)
    return lambda: [predict(x) for x in inputs]


def main() -> None:
    options = parse(arguments(__doc__, rounds=25))
    import numpy as np
    from dense_network import DenseNetwork

    network = DenseNetwork.on_noise((10, 64, 64, 10), 8, 1)
    predicts = bpcore_calls(network) | numpy_calls(network)
    if find_spec("torch"):
        predicts |= pytorch_calls(network)
    if find_spec("jax"):
        predicts |= jax_calls(network)
    eight, one = network.x, network.x[:1]
    outputs = {name: np.asarray(predict(eight)) for name, predict in predicts.items()}
    for name, output in outputs.items():
        if not np.allclose(output, outputs["numpy"], rtol=1e-4, atol=1e-5):
            raise SystemExit(f"{name} predicts something else: {outputs}")

    record = Record("a prediction", "s", options.threads)
    for workload, inputs in {
        "10-64-64-10, batch 1": [one],
        "10-64-64-10, batch 1, of float64": [one.astype(np.float64)],
        "10-64-64-10, batch 1 and 8 in turns": [one, eight],
    }.items():
        calls = {
            name: repeated(one_after_the_other(predict, inputs), pieces=len(inputs))
            for name, predict in predicts.items()
        }
        record.add(workload, take_turns(calls, options.rounds))
    record.write(options.json)


if __name__ == "__main__":
    main()
