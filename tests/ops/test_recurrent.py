"""rnn, lstm, gru: all steps of a sequence in one op, and their ways back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from bpcore.symbolic.operators import apply
from tests.support.check_op import Case
from tests.support.draw import normal
from tests.support.graphs import f32, f64, i64, infer

GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _activate(x: Any, activation: str) -> Any:
    return np.tanh(x) if activation == "tanh" else np.maximum(x, 0)


def _join(parts: list[Any], gap: int = 16) -> Any:
    """The parts of a record: flat, each filled up with zeros to a multiple of 16 elements."""
    flat = [np.ravel(part) for part in parts]
    return np.concatenate([np.pad(part, (0, -part.size % gap)) for part in flat])


def _ends(lengths: Any, x: Any) -> Any:
    return np.full(x.shape[0], x.shape[1]) if lengths is None else lengths


# The formulas as plain loops, row by row. Each gives the parts of the record.


def _rnn(x: Any, weight: Any, h0: Any, lengths: Any = None, activation: str = "tanh") -> list[Any]:
    output, previous, last = np.zeros_like(x), np.zeros_like(x), h0.copy()
    for n, end in enumerate(_ends(lengths, x)):
        for t in range(x.shape[1]):
            previous[n, t] = last[n]
            if t < end:
                last[n] = output[n, t] = _activate(x[n, t] + last[n] @ weight, activation)
    return [output, last, previous]


def _lstm(x: Any, weight: Any, h0: Any, c0: Any, lengths: Any = None) -> list[Any]:
    units = weight.shape[0]
    batch, steps = x.shape[:2]
    output, previous = np.zeros((batch, steps, units)), np.zeros((batch, steps, units))
    cells, gates = np.zeros((steps, batch, units)), np.zeros((steps, batch, 4 * units))
    h, c = h0.copy(), c0.copy()
    for n, end in enumerate(_ends(lengths, x)):
        for t in range(steps):
            previous[n, t] = h[n]
            if t < end:
                i, f, g, o = np.split(x[n, t] + h[n] @ weight, 4)
                i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
                gates[t, n] = np.concatenate([i, f, g, o])
                c[n] = f * c[n] + i * g
                h[n] = output[n, t] = o * np.tanh(c[n])
            cells[t, n] = c[n]
    return [output, h, c, previous, cells, gates]


def _gru(x: Any, weight: Any, bias: Any, h0: Any, lengths: Any = None) -> list[Any]:
    units = weight.shape[0]
    batch, steps = x.shape[:2]
    output, h = np.zeros((batch, steps, units)), h0.copy()
    previous, gates = np.zeros((steps, batch, units)), np.zeros((steps, batch, 4 * units))
    for n, end in enumerate(_ends(lengths, x)):
        for t in range(steps):
            previous[t, n] = h[n]
            if t < end:
                by_state = np.split(h[n] @ weight, 3)
                by_input = np.split(x[n, t], 3)
                r, z = _sigmoid(by_input[0] + by_state[0]), _sigmoid(by_input[1] + by_state[1])
                inner = by_state[2] + bias
                new = np.tanh(by_input[2] + r * inner)
                gates[t, n] = np.concatenate([r, z, inner, new])
                h[n] = output[n, t] = (1 - z) * new + z * h[n]
    return [output, h, previous, gates]


REFERENCES = {"rnn": _rnn, "lstm": _lstm, "gru": _gru}


def _inputs(kind: str, batch: int, steps: int, units: int) -> list[Any]:
    """gates_x, weight, then the bias or the states."""
    gates = GATES[kind]
    arrays = [normal((batch, steps, gates * units)), normal((units, gates * units), key=1) / np.sqrt(units)]
    if kind == "gru":
        arrays.append(normal((units,), key=2))
    arrays.append(normal((batch, units), key=3))
    if kind == "lstm":
        arrays.append(normal((batch, units), key=4))
    return arrays


def _lengths(batch: int, steps: int) -> Any:
    return (np.arange(batch) * 7 + steps) % steps + 1


# As the table wants it: one result, which is all parts of the record in a row.
def lstm(*inputs: Any) -> Any:
    return apply("lstm", *inputs)


def gru(*inputs: Any) -> Any:
    return apply("gru", *inputs)


def rnn(*inputs: Any, activation: str = "tanh") -> Any:
    return apply("rnn", *inputs, activation=activation)


FUNCTIONS = {"rnn": rnn, "lstm": lstm, "gru": gru}


def _forward(kind: str, sizes: tuple[int, int, int], padded: bool, **options: Any) -> Case:
    arrays = _inputs(kind, *sizes)
    if padded:
        arrays.append(_lengths(*sizes[:2]))

    def reference(*inputs: Any, **settings: Any) -> Any:
        return _join(REFERENCES[kind](*inputs, **settings))

    return Case(FUNCTIONS[kind], reference, *arrays, floor=1, epsilons=64, order=2, **options)


# batch, steps, units
SMALL = [(1, 1, 1), (2, 3, 1), (1, 4, 3), (3, 1, 2), (3, 4, 2)]
LARGE = [(9, 3, 16), (19, 4, 17), (65, 2, 5), (40, 2, 33)]


# The ways back as plain loops, on a record of any values.


def _parts(record: Any, shapes: list[tuple[int, ...]]) -> list[Any]:
    found, offset = [], 0
    for shape in shapes:
        size = int(np.prod(shape))
        found.append(record[offset : offset + size].reshape(shape))
        offset += -(-size // 16) * 16
    return found


def _shapes(kind: str, batch: int, steps: int, units: int) -> list[tuple[int, ...]]:
    """Of the parts of a record."""
    all_, state = (batch, steps, units), (batch, units)
    if kind == "rnn":
        return [all_, state, all_]
    if kind == "gru":
        return [all_, state, (steps, batch, units), (steps, batch, 4 * units)]
    return [all_, state, state, all_, (steps, batch, units), (steps, batch, 4 * units)]


def _rnn_back(
    record: Any, weight: Any, h0: Any, seed: Any, last: Any, lengths: Any, activation: str, steps: int
) -> Any:
    output = _parts(record, _shapes("rnn", h0.shape[0], steps, h0.shape[1]))[0]
    gradient, dh = np.zeros_like(output), last.copy()
    for n, end in enumerate(_ends(lengths, output)):
        for t in reversed(range(end)):
            h = output[n, t]
            gradient[n, t] = (dh[n] + seed[n, t]) * (1 - h * h if activation == "tanh" else h > 0)
            dh[n] = weight @ gradient[n, t]
    return _join([gradient, dh])


def _lstm_back(
    record: Any, weight: Any, c0: Any, seed: Any, last: Any, last_c: Any, lengths: Any, steps: int
) -> Any:
    batch, units = c0.shape
    _, _, _, _, cells, gates = _parts(record, _shapes("lstm", batch, steps, units))
    gradient, dh, dc = np.zeros((batch, steps, 4 * units)), last.copy(), last_c.copy()
    for n, end in enumerate(_ends(lengths, gradient)):
        for t in reversed(range(end)):
            i, f, g, o = np.split(gates[t, n], 4)
            before = c0[n] if t == 0 else cells[t - 1, n]
            total, tanh_c = dh[n] + seed[n, t], np.tanh(cells[t, n])
            inner = dc[n] + total * o * (1 - tanh_c**2)
            gradient[n, t] = np.concatenate(
                [inner * g * i * (1 - i), inner * before * f * (1 - f), inner * i * (1 - g * g),
                 total * tanh_c * o * (1 - o)]
            )  # fmt: skip
            dh[n], dc[n] = weight @ gradient[n, t], inner * f
    return _join([gradient, dh, dc])


def _gru_back(record: Any, weight: Any, h0: Any, seed: Any, last: Any, lengths: Any, steps: int) -> Any:
    batch, units = h0.shape
    _, _, previous, gates = _parts(record, _shapes("gru", batch, steps, units))
    by_input, by_state = np.zeros((batch, steps, 3 * units)), np.zeros((steps, batch, 3 * units))
    dh, bias = last.copy(), np.zeros_like(last)
    for n, end in enumerate(_ends(lengths, by_input)):
        for t in reversed(range(end)):
            r, z, inner, new = np.split(gates[t, n], 4)
            total = dh[n] + seed[n, t]
            dz, dn = total * (previous[t, n] - new) * z * (1 - z), total * (1 - z) * (1 - new * new)
            dr = dn * inner * r * (1 - r)
            by_input[n, t] = np.concatenate([dr, dz, dn])
            by_state[t, n] = np.concatenate([dr, dz, dn * r])
            dh[n] = weight @ by_state[t, n] + total * z
            bias[n] += dn * r
    return _join([by_input, by_state, dh, bias])


def _backward(kind: str, sizes: tuple[int, int, int], given: str, padded: bool, activation: str = "") -> Case:
    """`given`: which gradients are there, of "output", "last_h", "last_c"."""
    batch, steps, units = sizes
    record = normal((sum(-(-int(np.prod(s)) // 16) * 16 for s in _shapes(kind, *sizes)),), key=5)
    names = [name for name in ("output", "last_h", "last_c") if name in given.split()]
    shape_of = {"output": (batch, steps, units), "last_h": (batch, units), "last_c": (batch, units)}
    arrays = [record, normal((units, GATES[kind] * units), key=1) / np.sqrt(units),
              normal((batch, units), key=3), *(normal(shape_of[name], key=6) for name in names)]  # fmt: skip
    if padded:
        arrays.append(_lengths(batch, steps))
    options: dict[str, Any] = dict.fromkeys([*names, *(["lengths"] if padded else [])], True)
    settings = {"activation": activation} if activation else {}

    def reference(record: Any, weight: Any, state: Any, *rest: Any, **_: Any) -> Any:
        by_name = dict(zip(options, rest, strict=True))
        found = [by_name.get(n, np.zeros(shape_of[n])) for n in shape_of if kind == "lstm" or n != "last_c"]
        back = {"rnn": _rnn_back, "lstm": _lstm_back, "gru": _gru_back}[kind]
        return back(record, weight, state, *found, by_name.get("lengths"), steps=steps, **settings)

    return Case(
        f"{kind}_gradient", reference, *arrays, floor=8, epsilons=256, steps=steps, **options, **settings
    )


CASES = [
    *(_forward(k, s, p) for k in ("lstm", "gru") for s in SMALL + LARGE for p in (False, True)),
    *(
        _forward("rnn", s, p, activation=a)
        for s in SMALL + LARGE
        for p in (False, True)
        for a in ("tanh", "relu")
    ),
    *(
        _backward("lstm", s, given, p)
        for s in [*SMALL, (19, 4, 17)]
        for given in ("output", "last_h last_c", "output last_h last_c")
        for p in (False, True)
    ),
    *(
        _backward(k, s, given, p, a)
        for k, a in (("gru", ""), ("rnn", "tanh"), ("rnn", "relu"))
        for s in [*SMALL, (19, 4, 17)]
        for given in ("output", "last_h", "output last_h")
        for p in (False, True)
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("padded", [False, True])
def test_what_the_functions_return(kind: str, padded: bool) -> None:
    arrays = _inputs(kind, 5, 3, 7)
    lengths = _lengths(5, 3) if padded else None
    found = getattr(ops, kind)(*arrays, lengths)
    assert len(found) == (3 if kind == "lstm" else 2)
    for got, want in zip(found, REFERENCES[kind](*arrays, lengths), strict=False):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", GATES)
def test_gradients_of_all_results_by_all_inputs(kind: str) -> None:
    arrays, lengths = _inputs(kind, 3, 4, 3), _lengths(3, 4)

    def loss(*inputs: Any) -> Any:
        found = getattr(ops, kind)(*inputs, lengths)
        return sum((ops.sum(part * normal(part.shape, key=9 + i)) for i, part in enumerate(found)), 0.0)

    assert bp.check_gradients(loss, *arrays) <= 1e-6
    assert bp.check_gradients(loss, *arrays, order=2) <= 1e-6


@pytest.mark.parametrize("kind", GATES)
def test_a_batch_without_rows(kind: str) -> None:
    arrays = _inputs(kind, 0, 3, 4)
    assert [part.shape for part in getattr(ops, kind)(*arrays)][:2] == [(0, 3, 4), (0, 4)]
    gradient = bp.grad(lambda *xs: ops.sum(getattr(ops, kind)(*xs)[0]), argnums=1)(*arrays)
    np.testing.assert_array_equal(gradient, np.zeros_like(arrays[1]))


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize(("lengths", "wrong"), [([0, 3], 0), ([3, 4], 4), ([-1, 1], -1)])
def test_lengths_out_of_range(kind: str, lengths: list[int], wrong: int) -> None:
    arrays = _inputs(kind, 2, 3, 4)
    with pytest.raises(ValueError, match=rf"^{kind}: lengths must lie in \[1, 3\]"):
        getattr(ops, kind)(*arrays, np.array(lengths))
    gaps = "; a length of 0 also stands for a mask with gaps" if wrong == 0 else ""
    with pytest.raises(ValueError, match=rf"^{kind}: length {wrong} is out of range \[1, 3\]{gaps}$"):
        FUNCTIONS[kind](*arrays, np.array(lengths))
    with pytest.raises(TypeError, match=rf"^{kind}: lengths must be integers"):
        getattr(ops, kind)(*arrays, np.array([1.0, 2.0]))


def test_a_row_does_not_depend_on_the_others() -> None:
    x, weight, h0, c0 = (a.astype("float32") for a in _inputs("lstm", 70, 3, 20))
    together = ops.lstm(x, weight, h0, c0)
    for n in (0, 13, 69):
        alone = ops.lstm(x[n : n + 1], weight, h0[n : n + 1], c0[n : n + 1])
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_array_equal(a[n : n + 1], b)


@pytest.mark.parametrize(
    ("op", "types", "attributes", "error", "message"),
    [
        ("lstm", [f64(2, 3, 8)], {}, ValueError, "expected 4 to 5 inputs, got 1"),
        ("lstm", [f64(2, 3, 8), f64(2, 6), f64(2, 2), f64(2, 2)], {}, ValueError,
         r"recurrent weight must be of shape \(units, 4 \* units\), got \(2, 6\)"),
        ("lstm", [f64(2, 8), f64(2, 8), f64(2, 2), f64(2, 2)], {}, ValueError,
         r"input of shape \(batch, steps, 8\) with at least one step, got \(2, 8\)"),
        ("lstm", [f64(2, 0, 8), f64(2, 8), f64(2, 2), f64(2, 2)], {}, ValueError, "at least one step"),
        ("lstm", [f64(2, 3, 8), f64(2, 8), f64(3, 2), f64(2, 2)], {}, ValueError,
         r"h0 must be of shape \(2, 2\), got \(3, 2\)"),
        ("lstm", [f64(2, 3, 8), f64(2, 8), f64(2, 2), f64(2)], {}, ValueError, r"c0 must be of \w+ \(2, 2\)"),
        ("lstm", [f64(2, 3, 8), f64(2, 8), f64(2, 2), f64(2, 2), i64(3)], {}, ValueError, "lengths must be"),
        ("lstm", [f64(2, 3, 8), f64(2, 8), f64(2, 2), f64(2, 2), f64(2)], {}, TypeError, "must be int64"),
        ("lstm", [f64(2, 3, 8), f32(2, 8), f64(2, 2), f64(2, 2)], {}, TypeError, "dtypes .* differ"),
        ("lstm", [f64(2, 3, 0), f64(0, 0), f64(2, 0), f64(2, 0)], {}, ValueError, "recurrent weight"),
        ("gru", [f64(2, 3, 6), f64(2, 6), f64(3), f64(2, 2)], {}, ValueError, r"bias .* shape \(2,\)"),
        ("gru", [f64(2, 3, 6), f64(2, 8), f64(2), f64(2, 2)], {}, ValueError, r"units, 3 \* units"),
        ("rnn", [f64(2, 3, 2), f64(2, 2), f64(2, 3)], {"activation": "tanh"}, ValueError, "h0"),
        ("rnn", [f64(2, 3, 2), f64(2, 2), f64(2, 2)], {"activation": "gelu"}, ValueError, "tanh or relu"),
        ("rnn_gradient", [f64(7), f64(2, 2), f64(2, 2)], {"activation": "relu", "steps": 3}, ValueError,
         "recor"),
        ("gru_gradient", [f64(7), f64(2, 6), f64(2, 2)], {"steps": 0}, ValueError, "0 steps do not fit"),
        ("lstm_gradient", [f64(7), f64(2, 8), f64(2, 2)], {"steps": 3, "output": True}, ValueError,
         "4 inputs"),
    ],
)  # fmt: skip
def test_wrong_arguments_raise_and_name_the_op(
    op: str, types: list[Any], attributes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{op}: .*{message}"):
        infer(op, *types, **attributes)
