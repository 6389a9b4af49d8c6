"""A product whose result stays in the processor's registers: what a convolution is made of.

        out[r, v] = Σ_i Σ_j A[r, i, j] B[i, j, v],        r < rows, v < vectors · lanes                        (1)

A and B are read where they lie: an array, where it begins, and the steps of its indices. So the windows of an image are
such an A, without a copy. j's numbers of B are `vectors` runs of 64 bytes, a register of AVX-512 each; LLVM makes
them of two or four registers on other processors. Each number of A is multiplied with all of a row of B. Sums are made
in the order of i and j, by multiplications and additions that round once (`fma`), and so no bit depends on the
processor or on the size of the tile.

Written as LLVM's instructions: Numba's loops keep a sum of many numbers in memory.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

BYTES = 64  # of a vector
INDEX = ir.IntType(64)

# Rows of a tile of one vector, and of two: the sums, the row of B and a number of A fill the registers and no more.
_features = binding.get_host_cpu_features()
TALL, BROAD = (16, 8) if _features.get("avx512f") else (4, 0)


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def multiply(
    typing: Any, rows: Any, vectors: Any, add: Any, out: Any, o: Any, out_r: Any,
    A: Any, a: Any, a_r: Any, a_i: Any, a_j: Any, B: Any, b: Any, b_i: Any, b_j: Any, I: Any, J: Any,
) -> Any:  # fmt: skip
    """(1), to `out` from index o on, a row every out_r numbers; with `add` it is added to what is there.

    A[r, i, j] is A.flat[a + r a_r + i a_i + j a_j], and B[i, j, v] is B.flat[b + i b_i + j b_j + v]. i < I, j < J, both
    1 or more. `rows`, `vectors` and `add` are literals. Nothing is checked.
    """
    R, V, added = rows.literal_value, vectors.literal_value, bool(add.literal_value)
    places = (types.intp,) * 2, (types.intp,) * 4, (types.intp,) * 3, (types.intp,) * 2
    signature = types.void(rows, vectors, add, out, *places[0], A, *places[1], B, *places[2], *places[3])

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, _, _, out, o, out_r, A, a, a_r, a_i, a_j, B, b, b_i, b_j, I, J = args
        number = context.get_data_type(signature.args[3].dtype)
        lanes = BYTES // context.get_abi_sizeof(number)
        vector = ir.VectorType(number, lanes)
        name = f"llvm.fma.v{lanes}f{512 // lanes}"
        fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 3), name)

        def data(n: int, array: Any) -> Any:
            return context.make_array(signature.args[n])(context, builder, array).data

        def index(*terms: Any) -> Any:
            """A sum of numbers and of products (number, literal)."""
            total = INDEX(0)
            for term in terms:
                total = builder.add(total, builder.mul(*term) if isinstance(term, tuple) else term)
            return total

        def place(array: Any, i: Any) -> Any:
            return builder.bitcast(builder.gep(array, [i]), vector.as_pointer())

        def load(array: Any, i: Any) -> Any:
            return builder.load(place(array, i), align=number_bytes)

        def broadcast(x: Any) -> Any:
            """x in every lane."""
            one = builder.insert_element(vector(ir.Undefined), x, ir.IntType(32)(0))
            return builder.shuffle_vector(one, vector(ir.Undefined), ir.VectorType(ir.IntType(32), lanes)([0] * lanes))

        def loop(count: Any, sums: list[Any], body: Any) -> list[Any]:
            """body(n, sums) → sums, for n < count; 1 or more times."""
            before, block, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
            builder.branch(block)
            builder.position_at_end(block)
            n = builder.phi(INDEX)
            n.add_incoming(INDEX(0), before)
            own = [builder.phi(vector) for _ in sums]
            for phi, first in zip(own, sums, strict=True):
                phi.add_incoming(first, before)
            new = body(n, own)
            following = builder.add(n, INDEX(1))
            for phi, value in zip([n, *own], [following, *new], strict=True):
                phi.add_incoming(value, builder.block)
            builder.cbranch(builder.icmp_signed("<", following, count), block, after)
            builder.position_at_end(after)
            return new

        number_bytes = BYTES // lanes
        out, A, B = data(3, out), data(6, A), data(11, B)
        places = [index(o, (out_r, INDEX(r)), INDEX(v * lanes)) for r in range(R) for v in range(V)]
        rows_of_A = [builder.mul(a_r, INDEX(r)) for r in range(R)]

        def over_j(j: Any, sums: list[Any], at: Any, bt: Any) -> list[Any]:
            w = [load(B, index(bt, (j, b_j), INDEX(v * lanes))) for v in range(V)]
            at = index(at, (j, a_j))
            x = [broadcast(builder.load(builder.gep(A, [builder.add(at, row)]))) for row in rows_of_A]
            return [builder.call(fma, [x[n // V], w[n % V], s]) for n, s in enumerate(sums)]

        def over_i(i: Any, sums: list[Any]) -> list[Any]:
            at, bt = index(a, (i, a_i)), index(b, (i, b_i))
            return loop(J, sums, lambda j, sums: over_j(j, sums, at, bt))

        for at, s in zip(places, loop(I, [vector([0.0] * lanes)] * (R * V), over_i), strict=True):
            s = builder.fadd(load(out, at), s) if added else s
            builder.store(s, place(out, at), align=number_bytes)
        return context.get_dummy_value()

    return signature, build
