"""bpcore.pytorch: names, files, dtypes, ties, the order behind a Flatten, and what is refused.

Values against PyTorch itself are in tests/golden/test_interop.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import bpcore as bp
from bpcore import nn, ops, pytorch

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def _mlp(*last: Any) -> nn.Sequential:
    return nn.Sequential(nn.Dense(5, "relu"), nn.BatchNorm(momentum=None), nn.Dense(2), *last)


def _trained() -> nn.Sequential:
    model = _mlp()
    trainer = bp.Trainer(model, "mse")
    for _ in range(5):
        trainer.step(X, X[:, :2])
    return model


def _arrays(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: np.asarray(variable).copy() for name, variable in model.named_variables()}


# Names


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (None, {"0.weight", "0.bias", "2.weight"}),
        ({"0": "fc1", "2": "head.out"}, {"fc1.weight", "fc1.bias", "head.out.weight"}),
        ({"": "net"}, {"net.0.weight", "net.0.bias", "net.2.weight"}),
        ({"": "net", "0": "fc1", "0.bias": "b"}, {"fc1.weight", "b", "net.2.weight"}),
        ({"2": ""}, {"0.weight", "0.bias", "weight"}),
    ],
)
def test_names(names: dict[str, str] | None, expected: set[str]) -> None:
    model = nn.Sequential(nn.Dense(5, in_features=4), nn.ReLU(), nn.Dense(2, in_features=5, use_bias=False))
    tensors = pytorch.state_dict(model, names)
    assert set(tensors) == expected
    other = nn.Sequential(nn.Dense(5), nn.ReLU(), nn.Dense(2, use_bias=False))
    pytorch.load_state_dict(other, tensors, names)
    np.testing.assert_array_equal(other(X), model(X))


def test_arrays_are_copies() -> None:
    model = _trained()
    before = model(X)
    for value in pytorch.state_dict(model).values():
        assert value.flags.c_contiguous
        value[...] = 0
    np.testing.assert_array_equal(model(X), before)
    tensors = pytorch.state_dict(model)
    other = _mlp()
    pytorch.load_state_dict(other, tensors)
    for value in tensors.values():
        value[...] = 0
    np.testing.assert_array_equal(other(X), before)


def test_a_counter_of_batches_is_an_integer_there() -> None:
    tensors = pytorch.state_dict(_trained())
    assert tensors["1.num_batches_tracked"].dtype == np.int64
    assert tensors["1.num_batches_tracked"] == 5


def test_states_that_pytorch_keeps_elsewhere_are_left_alone() -> None:
    make = lambda: nn.LSTM(3, in_features=2, stateful=True)  # noqa: E731
    model, x = make(), np.ones((2, 4, 2), np.float32)
    model(x)
    model.carried[0].value[...] = 0.5
    tensors = pytorch.state_dict(model)
    assert not any("carried" in name for name in tensors)
    pytorch.load_state_dict(model, tensors)
    assert (model.carried[0].value == 0.5).all()
    bare = make()
    pytorch.load_state_dict(bare, tensors)  # its batch is not known yet, so that it can't exist
    model.reset_state()
    np.testing.assert_array_equal(bare(x), model(x))


def test_own_parameters_and_states_are_as_they_are() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            self.scale, self.blocks = nn.Parameter((3, 2), "normal"), [nn.Dense(3, in_features=4)]
            self.normalize = nn.Normalize().fit(X)

        def __call__(self, x: Any) -> Any:
            return self.blocks[0](self.normalize(x)) @ self.scale

    model, other = Own(), Own()
    tensors = pytorch.state_dict(model)
    assert {name: value.shape for name, value in tensors.items()} == {
        "scale": (3, 2), "blocks.0.weight": (3, 4), "blocks.0.bias": (3,), "normalize.mean": (4,),
        "normalize.std": (4,),
    }  # fmt: skip
    tensors["scale"] *= 2
    pytorch.load_state_dict(other, tensors)
    np.testing.assert_allclose(other(X), 2 * model(X), rtol=1e-6)


# Ties


class _Tied(nn.Module):
    def __init__(self) -> None:
        self.weight = nn.Parameter((4, 2))
        self.encoder = nn.Dense(2, in_features=4, use_bias=False)
        self.weight = self.encoder.weight
        self.again = self.encoder

    def __call__(self, x: Any) -> Any:
        return ops.matmul(self.again(x), ops.transpose(self.weight))


def test_tied_parameters_have_all_their_names_and_need_one() -> None:
    model = _Tied()
    tensors = pytorch.state_dict(model)
    assert {name: value.shape for name, value in tensors.items()} == {
        "weight": (2, 4), "encoder.weight": (2, 4), "again.weight": (2, 4),
    }  # fmt: skip
    for name in tensors:
        other = _Tied()
        pytorch.load_state_dict(other, {name: tensors[name]})
        np.testing.assert_array_equal(other(X), model(X))
    tensors["again.weight"] = tensors["again.weight"] + 1
    with pytest.raises(ValueError, match="differ, but are one parameter here"):
        pytorch.load_state_dict(other, tensors)


# Dtypes and files


def test_dtypes() -> None:
    model = _trained()
    tensors = pytorch.state_dict(model)
    half = {name: v.astype(np.float16) if v.dtype == np.float32 else v for name, v in tensors.items()}
    other = _mlp()
    pytorch.load_state_dict(other, half)
    assert other[0].weight.dtype == "float32"  # type: ignore[attr-defined]
    np.testing.assert_array_equal(other[0].weight.value.T, half["0.weight"])  # type: ignore[attr-defined]
    double = {name: v.astype(np.float64) if v.dtype == np.float32 else v for name, v in tensors.items()}
    other = _mlp()
    pytorch.load_state_dict(other, double)
    assert other[0].weight.dtype == "float64"  # type: ignore[attr-defined]
    pytorch.load_state_dict(other, tensors)
    before = _arrays(model)
    with pytest.raises(ValueError, match=r"of a dtype that does not fit: 0.weight \(float64\)"):
        pytorch.load_state_dict(model, double)
    with pytest.raises(ValueError, match=r"of a dtype that does not fit: 0.bias \(int64\)"):
        pytorch.load_state_dict(model, tensors | {"0.bias": np.arange(5)})
    for name, value in _arrays(model).items():
        np.testing.assert_array_equal(value, before[name])


def test_files_of_safetensors(tmp_path: Path) -> None:
    model = _trained()
    save_file(pytorch.state_dict(model), tmp_path / "weights.safetensors")
    for path in (tmp_path / "weights.safetensors", str(tmp_path / "weights.safetensors")):
        other = _mlp()
        pytorch.load_state_dict(other, path)
        np.testing.assert_array_equal(other(X), model(X))
    whole = (tmp_path / "weights.safetensors").read_bytes()
    (tmp_path / "cut").write_bytes(whole[:-3])
    (tmp_path / "pickle").write_bytes(b"\x80\x02}q\x00.")
    for name in ("cut", "pickle"):
        with pytest.raises(ValueError, match="not a complete safetensors file.*save_file"):
            pytorch.load_state_dict(_mlp(), tmp_path / name)
    with pytest.raises(FileNotFoundError):
        pytorch.load_state_dict(_mlp(), tmp_path / "nowhere")


def test_bfloat16_is_widened(tmp_path: Path) -> None:
    """A file as PyTorch would write it; NumPy has no such dtype."""
    import json

    weight = np.array([[1.5, -2.0], [0.25, 3.0]], np.float32)
    upper = (weight.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = json.dumps({"weight": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "file").write_bytes(len(header).to_bytes(8, "little") + header + upper)
    model = nn.Dense(2, use_bias=False)
    pytorch.load_state_dict(model, tmp_path / "file")
    np.testing.assert_array_equal(model.weight.value, weight.T)
    own = nn.Dense(2, use_bias=False)
    own.load_weights(tmp_path / "file")
    np.testing.assert_array_equal(own.weight.value, weight)


def test_a_dtype_that_numpy_does_not_have_is_named(tmp_path: Path) -> None:
    import json

    header = json.dumps({"weight": {"dtype": "F8_E4M3", "shape": [2, 2], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "file").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    for load in (lambda path: pytorch.load_state_dict(nn.Dense(2), path), nn.Dense(2).load_weights):
        with pytest.raises(ValueError, match="file: weight is of F8_E4M3, which NumPy does not have$"):
            load(tmp_path / "file")


class _Tensor:
    """What counts of a torch.Tensor: it may need gradients, or be bfloat16, and then has no array."""

    def __init__(self, array: np.ndarray, dtype: str = "torch.float32", bound: bool = True) -> None:
        self.array, self.dtype, self.bound = array, dtype, bound

    def detach(self) -> _Tensor:
        return _Tensor(self.array, self.dtype, False)

    def cpu(self) -> _Tensor:
        return self

    def float(self) -> _Tensor:
        return _Tensor(self.array, bound=self.bound)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.bound or self.dtype != "torch.float32":
            raise RuntimeError("Can't call numpy() on this Tensor")
        return self.array


def test_tensors_are_fetched() -> None:
    weight = np.arange(6, dtype=np.float32).reshape(3, 2)
    for dtype in ("torch.float32", "torch.bfloat16"):
        model = nn.Dense(3, use_bias=False)
        pytorch.load_state_dict(model, {"weight": _Tensor(weight, dtype)})
        np.testing.assert_array_equal(model.weight.value, weight.T)


# What is missing, and what is refused


def test_what_is_missing_or_unexpected() -> None:
    model = _trained()
    tensors = pytorch.state_dict(model)
    del tensors["0.bias"]
    tensors |= {"3.weight": np.ones(2, np.float32), "9.num_batches_tracked": np.array(3)}
    tensors["2.weight"] = tensors["2.weight"] + 1
    before = _arrays(model)
    with pytest.raises(ValueError, match="does not fit this model; missing: 0.bias; unexpected: 3.weight$"):
        pytorch.load_state_dict(model, tensors)
    for name, value in _arrays(model).items():
        np.testing.assert_array_equal(value, before[name])
    assert pytorch.load_state_dict(model, tensors, strict=False) == (["0.bias"], ["3.weight"])
    np.testing.assert_array_equal(_arrays(model)["2.weight"], before["2.weight"] + 1)
    np.testing.assert_array_equal(_arrays(model)["0.bias"], before["0.bias"])
    bare = _mlp()
    assert pytorch.load_state_dict(bare, tensors, strict=False).missing == ["0.bias"]
    assert (bare.parameters["0.bias"] == 0).all()


def test_a_part_is_loaded_into_a_bare_model() -> None:
    model, bare = _trained(), _mlp(nn.Dense(7))
    pytorch.load_state_dict(bare, pytorch.state_dict(model), strict=False)
    np.testing.assert_array_equal(bare[:3](X), model(X))
    assert bare(X).shape == (3, 7)


def test_shapes_that_differ_change_nothing() -> None:
    for model in (_trained(), _mlp()):
        tensors = pytorch.state_dict(_trained()) | {"2.weight": np.ones((3, 5), np.float32)}
        with pytest.raises(ValueError, match=r"of another shape: 2.weight is \(3, 5\), not \(2, [5?]\)"):
            pytorch.load_state_dict(model, tensors)
        assert model[2].weight.sizes[1] == 2  # type: ignore[attr-defined]


def _state_dict(*arguments: Any, **options: Any) -> Any:
    return lambda: pytorch.state_dict(*arguments, **options)


DENSE = nn.Dense(2, in_features=4)
REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "no module": (_state_dict({}), TypeError, "model must be a nn.Module"),
    "unknown sizes": (_state_dict(nn.Dense(3)), RuntimeError, "not known yet"),
    "names of nothing": (
        _state_dict(DENSE, {"fc": "x"}),
        ValueError,
        "names has fc, but the model has no such",
    ),
    "no names": (_state_dict(DENSE, ["fc"]), TypeError, "names must map"),
    "names that are no strings": (_state_dict(DENSE, {"weight": 1}), TypeError, "names must map"),
    "one name twice": (
        _state_dict(DENSE, {"weight": "w", "bias": "w"}),
        ValueError,
        "weight and bias would both be PyTorch's w",
    ),
    "a name for two": (
        _state_dict(nn.LSTM(2, in_features=2), {"cells.0.bias": "b"}),
        ValueError,
        "cells.0.bias is bias_ih_l0 and bias_hh_l0 in PyTorch",
    ),
    "no tensors": (lambda: pytorch.load_state_dict(DENSE, [1]), TypeError, "must be a mapping of names"),
    "words": (
        lambda: pytorch.load_state_dict(DENSE, {"weight": "x", "bias": [0, 0]}),
        TypeError,
        "weight must be a tensor of numbers",
    ),
    "strict": (
        lambda: pytorch.load_state_dict(DENSE, {}, strict="no"),
        TypeError,
        "strict must be True or False",
    ),
    "flatten of nothing": (_state_dict(DENSE, flatten={"fc": (2, 2)}), ValueError, "no Dense of that path"),
    "no shape": (_state_dict(DENSE, flatten={"": 4}), TypeError, "must be a shape"),
    "another size": (
        _state_dict(DENSE, flatten={"": (3, 2)}),
        ValueError,
        "4 features, which are no flattened",
    ),
    "flatten that is no mapping": (_state_dict(DENSE, flatten=(2, 2)), TypeError, "flatten must map paths"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    use, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        use()


# Flatten


def _rows(model: nn.Module, path: str, **options: Any) -> list[int]:
    """Which feature here each of PyTorch's is, for the Dense at `path`."""
    variables = dict(model.named_variables())
    weight = variables[f"{path}.weight"].value
    weight[...] = np.arange(len(weight))[:, None]
    return [int(each) for each in pytorch.state_dict(model, **options)[f"{path}.weight"][0]]


IMAGE = [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]  # (2, 3, 2) with its channels first
SAME = list(range(12))
FLATTENED: dict[str, tuple[Any, tuple[int, ...], str, list[int]]] = {
    "an image": (lambda: nn.Sequential(nn.Flatten(), nn.Dense(2)), (2, 3, 2), "1", IMAGE),
    "behind a convolution": (
        lambda: nn.Sequential(nn.Conv2D(2, 1), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Dense(2)),
        (2, 3, 5),
        "4",
        IMAGE,
    ),
    "nested": (
        lambda: nn.Sequential(nn.Sequential(nn.Conv2D(2, 1), nn.Flatten()), nn.Sequential(nn.Dense(2))),
        (2, 3, 1),
        "1.0",
        IMAGE,
    ),
    "a convolution that halves": (
        lambda: nn.Sequential(nn.Conv2D(4, 1, activation="glu"), nn.Flatten(), nn.Dense(2)),
        (2, 3, 2),
        "2",
        IMAGE,
    ),
    "one channel": (lambda: nn.Sequential(nn.Flatten(), nn.Dense(2)), (3, 4, 1), "1", SAME),
    "no channels": (lambda: nn.Sequential(nn.Flatten(), nn.Dense(2)), (6, 2), "1", SAME),
    "a signal": (
        lambda: nn.Sequential(nn.Conv1D(2, 1), nn.Flatten(), nn.Dense(2)),
        (6, 3),
        "2",
        IMAGE,
    ),
    "a sequence": (
        lambda: nn.Sequential(nn.LSTM(2, True), nn.LayerNorm(), nn.Flatten(), nn.Dense(2)),
        (6, 3),
        "3",
        SAME,
    ),
    "features": (lambda: nn.Sequential(nn.Flatten(), nn.Dense(2)), (12,), "1", SAME),
}


@pytest.mark.parametrize("case", FLATTENED)
def test_the_order_behind_flatten(case: str) -> None:
    make, shape, path, expected = FLATTENED[case]
    model = make()
    model.build((None, *shape))
    assert _rows(model, path) == expected
    assert _rows(model, path, flatten={path: (2, 6)}) == IMAGE
    assert _rows(model, path, flatten={path: None}) == SAME


def test_a_flatten_whose_order_is_not_known() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            self.features = nn.Sequential(nn.Conv2D(2, 1), nn.Flatten())
            self.fc = nn.Dense(3)

        def __call__(self, x: Any) -> Any:
            return self.fc(self.features(x))

    own, custom = Own(), nn.Sequential(nn.Lambda(ops.relu), nn.Flatten(), nn.Dense(2))
    own.build((None, 2, 3, 1))
    custom.build((None, 6, 2))
    bare = nn.Sequential(nn.Flatten(), nn.Dense(2, in_features=12))
    for model in (own, custom, bare):
        with pytest.raises(ValueError, match="the order of features behind Flatten '.*' is not known, since"):
            pytorch.state_dict(model)
    assert _rows(own, "fc", flatten={"fc": (2, 2, 3)}) == IMAGE
    assert _rows(own, "fc", flatten={}) == SAME
    assert _rows(custom, "2", flatten={"2": (2, 6)}) == IMAGE
    bare.build((None, 2, 3, 2))
    assert _rows(bare, "1") == IMAGE


def test_layers_in_several_places_are_put_in_order_once() -> None:
    class Head(nn.Sequential):
        pass

    conv, head = nn.Conv2D(2, 1), Head(nn.Flatten(), nn.LayerNorm(), nn.Dense(2))
    both = nn.Concatenate(nn.Sequential(conv, head), nn.Sequential(conv, nn.ReLU(), head))
    both.build((None, 2, 3, 1))
    assert _rows(both, "modules.0.1.2") == IMAGE


def test_flattened_images_whose_size_only_the_tensor_tells() -> None:
    model = nn.Sequential(nn.Conv2D(2, 1), nn.Flatten(), nn.Dense(1))
    one = np.ones(1, np.float32)
    tensors = {
        "0.weight": np.ones((2, 1, 1, 1)),
        "0.bias": np.ones(2),
        "2.weight": np.ones((1, 7)),
        "2.bias": one,
    }
    with pytest.raises(ValueError, match="2.weight: 7 features are no flattened images of 2 channels"):
        pytorch.load_state_dict(model, tensors)
    assert not model[2].weight.known  # type: ignore[attr-defined]
    pytorch.load_state_dict(model, tensors | {"2.weight": np.ones((1, 8))})
    assert model(np.ones((1, 2, 2, 1))).shape == (1, 1)


def test_the_order_before_reshape() -> None:
    model = nn.Sequential(nn.Dense(12, in_features=1), nn.ReLU(), nn.Reshape((2, 3, 2)))
    model.parameters["0.weight"][...] = np.arange(12)
    assert pytorch.state_dict(model)["0.weight"][:, 0].tolist() == IMAGE
    unknown = nn.Sequential(nn.Dense(12, in_features=1), nn.Reshape((2, 3, -1)))
    with pytest.raises(ValueError, match="give Reshape '1' its number of channels"):
        pytorch.state_dict(unknown)
    wrong = nn.Sequential(nn.Dense(24, in_features=1), nn.GLU(), nn.Reshape((2, 3, 2)))
    with pytest.raises(ValueError, match="24 features, which are no flattened image of 12 elements"):
        pytorch.state_dict(wrong)
