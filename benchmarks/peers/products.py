"""Time of matrix products C (m, n) = A (m, k) · B (k, n), float32, against other libraries' products.

    cmake --preset native-benchmarks && cmake --build --preset native-benchmarks
    python benchmarks/peers/products.py [--threads 1] [--quick] [--json results.json]

bpcore's product is called through a small library of the native benchmarks: from Python,
`bpcore.ops.matmul` takes longer for the way to the product than for a small product itself. So are Eigen's,
where the build found its headers, and oneDNN's (PyPI: onednn-cpu-gomp). NumPy's is OpenBLAS, PyTorch's mostly
MKL. Libraries that can write to an existing C do so. What a product of 1 × 1 × 1 takes at best in the same
rounds is taken off: that is all call.
"""

from __future__ import annotations

import ctypes
import weakref
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import Record, arguments, parse, readable, repeated, take_turns

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

# (m, n, k)
SHAPES = (
    *((1, 10, 64), (1, 128, 784), (1, 256, 256), (1, 1000, 1024), (1, 2048, 2048), (1, 1, 1024)),
    *((7, 7, 7), (7, 65, 33), (10, 10, 10), (10, 784, 128), (33, 33, 33)),
    *((32, 10, 64), (32, 64, 10), (32, 64, 64), (32, 128, 784), (32, 10, 128), (32, 256, 1024)),
    *((64, 64, 64), (65, 65, 65), (64, 1000, 256), (100, 7, 1000)),
    *((128, 10, 256), (128, 128, 784), (128, 256, 784), (128, 33, 65), (128, 1024, 1024)),
    *((256, 1, 256), (256, 256, 256), (256, 256, 784), (256, 1000, 2048), (256, 2048, 1024), (256, 10, 256)),
    *((784, 256, 256), (1000, 1000, 1000), (1024, 1024, 1024), (1024, 64, 1024), (1024, 65, 10)),
    *((2048, 2048, 256), (4096, 33, 784), (4096, 256, 64)),
)
RESOLUTION = 20e-9  # seconds; differences between calls below this are noise


def aligned(rows: int, columns: int) -> np.ndarray:
    """An uninitialised matrix that begins at a cache line, as other libraries' do; NumPy's begin anywhere."""
    import numpy as np

    memory = np.empty(4 * rows * columns + 64, np.uint8)
    offset = -memory.ctypes.data % 64
    return memory[offset : offset + 4 * rows * columns].view(np.float32).reshape(rows, columns)


Maker = "Callable[[np.ndarray, np.ndarray], Callable[[], Any]]"  # A, B -> what computes and returns C


def native_maker(library: ctypes.CDLL, name: str, *more: Any) -> Maker:
    """Of the product `name` in the native benchmarks' library, made of sizes and `more`."""
    make, run, free = (getattr(library, f"{name}_product_{verb}") for verb in ("make", "run", "free"))
    make.restype, make.argtypes = ctypes.c_void_p, [ctypes.c_int64] * 3 + [type(each) for each in more]
    run.restype, run.argtypes = None, [ctypes.c_void_p] * 4
    free.restype, free.argtypes = None, [ctypes.c_void_p]

    def product(a: np.ndarray, b: np.ndarray) -> Callable[[], np.ndarray]:
        arrays = a, b, aligned(len(a), b.shape[1])  # kept as long as they are pointed to
        handle = make(len(a), b.shape[1], len(b), *more)
        weakref.finalize(arrays[2], free, handle)
        pointers = [ctypes.c_void_p(each) for each in (handle, *(array.ctypes.data for array in arrays))]

        def call() -> np.ndarray:
            run(*pointers)
            return arrays[2]

        return call

    return product


def onednn_sgemm() -> ctypes.c_void_p | None:
    """oneDNN's product for row-major matrices, from its PyPI package."""
    try:
        files = metadata.files("onednn-cpu-gomp") or []
    except metadata.PackageNotFoundError:
        return None
    library = next(file for file in files if file.name == "libdnnl.so").locate()
    return ctypes.cast(ctypes.CDLL(str(library)).dnnl_sgemm, ctypes.c_void_p)


def numpy_product(a: np.ndarray, b: np.ndarray) -> Callable[[], np.ndarray]:
    import numpy as np

    c = aligned(len(a), b.shape[1])
    return lambda: np.matmul(a, b, out=c)


def pytorch_product(a: np.ndarray, b: np.ndarray) -> Callable[[], Any]:
    import torch

    left, right = torch.from_numpy(a), torch.from_numpy(b)
    c = torch.empty(len(a), b.shape[1])
    return lambda: torch.mm(left, right, out=c)


def jax_product(a: np.ndarray, b: np.ndarray) -> Callable[[], Any]:
    import jax

    left, right, product = jax.numpy.asarray(a), jax.numpy.asarray(b), jax.jit(jax.numpy.matmul)
    return lambda: product(left, right).block_until_ready()


def products_of(makers: dict[str, Maker], shape: tuple[int, int, int]) -> dict[str, Callable[[], int]]:
    """What computes the product of `shape` in each library; stops unless all results agree."""
    import numpy as np

    m, n, k = shape
    random = np.random.default_rng(0)
    a, b = aligned(m, k), aligned(k, n)
    for matrix in (a, b):
        random.standard_normal(out=matrix, dtype=np.float32)
    calls = {name: maker(a, b) for name, maker in makers.items()}
    right = a.astype(np.float64) @ b
    for name, call in calls.items():
        # A sum of k products of size 1 has rounding errors of about sqrt(k) units in the last place.
        if not np.allclose(np.asarray(call()), right, rtol=1e-4, atol=1e-5 * np.sqrt(k)):
            raise SystemExit(f"{m} × {n} × {k}: {name} computes something else")
    return {name: repeated(call, seconds=0.005) for name, call in calls.items()}


def main() -> None:
    parser = arguments(__doc__, rounds=15)
    built = Path(__file__).parents[2] / "build/native-benchmarks/benchmarks/native"
    parser.add_argument("--library", type=Path, default=built / "libbpcore_products_native.so")
    options = parse(parser)
    if not options.library.exists():
        parser.error(f"{options.library} isn't there: build the preset native-benchmarks")

    library = ctypes.CDLL(str(options.library))
    makers: dict[str, Maker] = {
        "bpcore": native_maker(library, "bpcore", ctypes.c_int(options.threads)),
        "numpy": numpy_product,
    }
    if hasattr(library, "eigen_product_run") and options.threads == 1:  # built for one thread
        makers["eigen"] = native_maker(library, "eigen")
    if sgemm := onednn_sgemm():
        makers["onednn"] = native_maker(library, "onednn", sgemm)
    if find_spec("torch"):
        import torch

        torch.set_num_threads(options.threads)
        makers["pytorch"] = pytorch_product
    if find_spec("jax"):
        makers["jax"] = jax_product

    calls = {f"{name}, call": work for name, work in products_of(makers, (1, 1, 1)).items()}
    record = Record("matrix products", "s", options.threads)
    for m, n, k in SHAPES[::4] if options.quick else SHAPES:
        # The calls take turns with the products, so that both see the same clock and the same neighbours.
        times = take_turns(calls | products_of(makers, (m, n, k)), options.rounds)
        net = {}
        for name in makers:
            call = min(times[f"{name}, call"])  # a disturbed one would make a product look free
            net[name] = [max(seconds - call, RESOLUTION) for seconds in times[name]]
        record.add(f"{m} × {n} × {k}", net)
    print("\nOf the last row, a call:")
    for name in makers:
        print(f"- {name} {readable(min(times[f'{name}, call']), 's')}")
    record.write(options.json)


if __name__ == "__main__":
    main()
