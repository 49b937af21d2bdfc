"""Time of one prediction for one sample, 10-64-64-10, per call from Python.

    python benchmarks/peers/single_sample.py [--quick] [--json results.json]

What a user calls: `Trainer.predict` and the model itself in bpcore, the model in PyTorch's inference mode, a
jitted function in JAX, four lines of NumPy. NumPy arrays go in and come out.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from measuring import Record, arguments, parse, repeated, take_turns

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from dense_network import DenseNetwork

    Call = Callable[[], Any]


def bpcore_calls(network: DenseNetwork, x: np.ndarray) -> dict[str, Call]:
    import bpcore_contender

    import bpcore as bp

    model = bpcore_contender.model_of(network)
    trainer = bp.Trainer(model, "cross_entropy", threads=1)
    return {"bpcore": lambda: model(x), "bpcore predict": lambda: trainer.predict(x)}


def numpy_calls(network: DenseNetwork, x: np.ndarray) -> dict[str, Call]:
    import numpy as np

    *hidden, (last, offset) = network.weights()

    def predict() -> np.ndarray:
        y = x
        for weight, bias in hidden:
            y = np.maximum(y @ weight + bias, 0)
        return y @ last + offset

    return {"numpy": predict}


def pytorch_calls(network: DenseNetwork, x: np.ndarray) -> dict[str, Call]:
    import pytorch_contender
    import torch

    torch.set_num_threads(1)
    model = pytorch_contender.model_of(network).eval()

    def predict() -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(x)).numpy()

    return {"pytorch": predict}


def jax_calls(network: DenseNetwork, x: np.ndarray) -> dict[str, Call]:
    import jax
    import jax_dense
    import numpy as np

    weights, *_ = jax_dense.state_of(network)
    logits = jax.jit(jax_dense.logits)
    return {"jax": lambda: np.asarray(logits(weights, x))}


def main() -> None:
    options = parse(arguments(__doc__, rounds=25))
    import numpy as np
    from dense_network import DenseNetwork

    network = DenseNetwork.on_noise((10, 64, 64, 10), 1, 1)
    calls = bpcore_calls(network, network.x) | numpy_calls(network, network.x)
    if find_spec("torch"):
        calls |= pytorch_calls(network, network.x)
    if find_spec("jax"):
        calls |= jax_calls(network, network.x)
    outputs = {name: call() for name, call in calls.items()}
    for name, output in outputs.items():
        if not np.allclose(output, outputs["numpy"], rtol=1e-4, atol=1e-5):
            raise SystemExit(f"{name} predicts something else: {outputs}")

    record = Record("a prediction of one sample", "s", options.threads)
    times = take_turns({name: repeated(call) for name, call in calls.items()}, options.rounds)
    record.add("10-64-64-10, batch 1", times)
    record.write(options.json)


if __name__ == "__main__":
    main()
