"""The stand-in for a GPU's compiler: kernels give what they should, and each fault it knows is found."""

import numpy as np
import pytest

from tests.fake import cuda_on_host
from tests.fake.cuda_on_host import RawKernel

pytestmark = pytest.mark.skipif(cuda_on_host.available() is not None, reason=str(cuda_on_host.available()))

SUM = """
extern "C" __global__ void total(const T *x, T *out, int n) {
    __shared__ T part[64];
    T mine = 0;
    for (int i = blockIdx.x * 64 + threadIdx.x; i < n; i += gridDim.x * 64) mine += x[i];
    part[threadIdx.x] = mine;
    for (int half = 32; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
    }
    if (threadIdx.x == 0) out[blockIdx.x] = part[0];
}
"""


@pytest.fixture(params=["forward", "reverse"])
def order(request, monkeypatch):
    monkeypatch.setattr(cuda_on_host, "order", request.param)


@pytest.mark.parametrize("dtype, name", [(np.float32, "float"), (np.float64, "double")])
def test_a_sum_over_shared_memory(order, dtype, name):
    x, out = np.arange(1000, dtype=dtype), np.zeros(3, dtype)
    RawKernel(SUM, "total", (f"-DT={name}", "--std=c++17"))((3,), (64,), (x, out, np.int32(1000)))
    assert out.sum() == x.sum()


def kernel(body, parameters="float *x", before=""):
    return RawKernel(f'{before}\nextern "C" __global__ void k({parameters}) {{ {body} }}', "k")


def test_grids_and_blocks_have_three_sizes(order):
    out = np.zeros((2, 3, 4, 5), np.float32)
    kernel("x[((blockIdx.y * 3 + blockIdx.x) * 4 + threadIdx.y) * 5 + threadIdx.x] += 1;")((3, 2), (5, 4), (out,))
    assert (out == 1).all()


def test_arguments_arrive_as_they_are():
    out = np.zeros(4)
    say = kernel(
        "out[0] = a; out[1] = b; out[2] = c; out[3] = none == nullptr;",
        "double *out, int a, double b, unsigned long long c, const float *none",
    )
    say((1,), (1,), (out, np.int32(-3), 0.5, np.uint64(2**40), None))
    assert out.tolist() == [-3, 0.5, 2**40, 1]


def test_a_structure_goes_by_value():
    moves = np.zeros(1, np.dtype([("at", np.uint64, 2), ("n", np.int32)], align=True))
    x = np.zeros(2)
    moves["at"], moves["n"] = [[x[:1].ctypes.data, x[1:].ctypes.data]], 2
    add = kernel(
        "if (threadIdx.x < m.n) *m.at[threadIdx.x] += 1;", "const Moves m", "struct Moves { double *at[2]; int n; };"
    )
    add((1,), (32,), (moves,))
    assert x.tolist() == [1, 1]


def test_a_warp_shuffles(order):
    x = np.arange(64, dtype=np.float32)
    down = "float v = x[threadIdx.x]; for (int by = 16; by; by /= 2) v += __shfl_down_sync(~0u, v, by); "
    kernel(down + "if (threadIdx.x % 32 == 0) x[threadIdx.x] = v;")((1,), (64,), (x,))
    assert [x[0], x[32]] == [496, 496 + 1024]


def test_mathematics_is_that_of_cuda():
    x = np.array([2, 0, 0, 0, 0, 0], np.float32)
    kernel(
        "x[1] = rsqrt(x[0]); x[2] = fmax(x[0], 3.f); x[3] = exp(x[0]); x[4] = __umul64hi(1ull << 63, 6); "
        "x[5] = sizeof(sqrt(x[0]));"
    )((1,), (1,), (x,))
    np.testing.assert_allclose(x[1:], [2**-0.5, 3, np.exp(2), 3, 4], rtol=1e-6)


def test_threads_run_in_the_order_that_is_asked_for(monkeypatch):
    last = []
    for way in ("forward", "reverse"):
        monkeypatch.setattr(cuda_on_host, "order", way)
        x = np.zeros(1, np.float32)
        kernel("x[0] = threadIdx.x;")((1,), (8,), (x,))
        last.append(x[0])
    assert last == [7, 0]


@pytest.mark.parametrize(
    "body, message",
    [
        ("if (threadIdx.x < 8) __syncthreads();", "8 threads of a block wait at a barrier"),
        ("if (threadIdx.x < 8)\n __syncthreads();\nelse\n __syncthreads();", "two barriers"),
        ("__shared__ float a[9]; a[threadIdx.x] = 1; x[0] = a[0];", r"index (9|15) is outside"),
        ("if (threadIdx.x == 1) *(double *)(x + 1) = 1;", "misaligned"),
        ("float *none = nullptr; none[0] = 1;", "null pointer"),
        ("if (threadIdx.x == 9) x[4] = 1;", "a write outside of all arguments, 16 bytes from where argument 0"),
        ("if (threadIdx.x == 9) x[0] = x[-1];", "a read outside of all arguments, -4 bytes"),
        ("__syncthreads(); x[threadIdx.x / 3] = 1;", "a write outside"),
    ],
)
def test_a_fault_is_found(order, body, message):
    with pytest.raises(RuntimeError, match=message):
        kernel(body)((1,), (16,), (np.zeros(4, np.float32),))


def test_alignment_counts_from_where_an_array_begins():
    before = "struct alignas(32) Four { double v[4]; };"
    move = kernel("((Four *)x)[0] = ((Four *)x)[1];", "double *x", before)
    for _ in range(8):  # wherever the host put it
        x = np.arange(24.0)
        move((1,), (1,), (x[4:],))
        assert x[4:8].tolist() == [8, 9, 10, 11]
        with pytest.raises(RuntimeError, match="misaligned"):
            move((1,), (1,), (x[5:],))


def test_unchecked_it_gives_the_same_and_looks_at_nothing(monkeypatch):
    memory, beyond = np.zeros(8, np.float32), kernel("x[threadIdx.x] = threadIdx.x + 1;")
    monkeypatch.setattr(cuda_on_host, "checked", False)
    beyond((1,), (8,), (memory[:4],))
    assert memory.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    monkeypatch.setattr(cuda_on_host, "checked", True)
    with pytest.raises(RuntimeError, match="a write outside of all arguments, 16 bytes"):
        beyond((1,), (8,), (memory[:4],))


def test_no_kernels_memory_is_another_ones():
    """Static memory in an inline function would be one for the whole process, if its compiler had its way."""
    source = (
        "inline float *mine() { __shared__ float a[SIZE]; return a; }\n"
        + """
        extern "C" __global__ void k(float *x) { mine()[SIZE - 1] = SIZE; x[0] = mine()[SIZE - 1]; }"""
    )
    for size in (2, 900):
        x = np.zeros(1, np.float32)
        RawKernel(source, "k", (f"-DSIZE={size}",))((1,), (1,), (x,))
        assert x[0] == size


def test_shared_memory_that_nobody_wrote_shows():
    x = np.zeros(2, np.float32)
    kernel("__shared__ float a[1]; x[blockIdx.x] = a[0]; a[0] = 1;")((2,), (1,), (x,))
    assert np.isnan(x).all()


@pytest.mark.parametrize(
    "args, message",
    [
        ((np.zeros(4), np.int32(1)), "argument 0 is ndarray of float64, the kernel's is pointer to f4"),
        ((np.zeros(4, np.float32), 1), "argument 1 is int of int64, the kernel's is i4"),
        ((np.zeros(4, np.float32), None), "argument 1 is None"),
        ((np.zeros(4, np.float32),), "takes 2 arguments"),
        ((np.zeros(4, np.float32), [1]), "Unsupported type"),
        ((np.zeros(4, np.float32), np.zeros(1, "i4,i4")[0]), "Unsupported type <class 'numpy.void'>"),
    ],
)
def test_arguments_are_of_the_types_that_the_kernel_says(args, message):
    with pytest.raises(TypeError, match=message):
        kernel("", "float *x, int n")((1,), (1,), args)


@pytest.mark.parametrize("body", ["#include <math.h>\n", "int32_t i = 0;", "x[0] = std::max(1, 2);", "not C++"])
def test_what_nvrtc_lacks_does_not_build(body):
    with pytest.raises(RuntimeError, match=r"k\.cu:"):
        kernel(f"\n{body}")((1,), (1,), (np.zeros(1, np.float32),))


def test_a_block_has_at_most_48_kib_and_1024_threads():
    with pytest.raises(RuntimeError, match="49156 bytes"):
        kernel("__shared__ float a[12289]; a[(int)x[0]] = 1; x[0] = a[0];")((1,), (1,), (np.zeros(1, np.float32),))
    with pytest.raises(ValueError, match="no GPU takes"):
        kernel("")((1,), (1025,), (np.zeros(1, np.float32),))


def test_a_source_that_a_locale_cannot_write_is_found():
    with pytest.raises(UnicodeEncodeError, match="ascii"):
        RawKernel('extern "C" __global__ void k(int *x) { x[0] = 1; }  // Σ', "k")


@pytest.mark.parametrize("contracted", [False, True])
def test_a_contracted_build_rounds_a_product_and_its_sum_once_and_flushes_to_zero(contracted, monkeypatch):
    """As CuPy has NVRTC build. What comes after a launch is rounded as before it."""
    monkeypatch.setattr(cuda_on_host, "contracted", contracted)
    x, tiny = np.array([1 + 2.0**-12, -1 - 2.0**-11, 2.0**-130], np.float32), np.float32(2.0**-130)
    kernel("x[0] = x[0] * x[0] + x[1]; x[2] *= 2;")((1,), (1,), (x,))
    assert x.tolist() == [2.0**-24 if contracted else 0.0, -1 - 2.0**-11, 0.0 if contracted else 2.0**-129]
    assert tiny * np.float32(2) == 2.0**-129
