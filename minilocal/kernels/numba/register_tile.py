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

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from minilocal.kernels.numba.vector import BYTES

INDEX = ir.IntType(64)
PER_POINTER = 4  # rows of A that are reached from one pointer

# Rows of a tile of one vector, and of two: its sums, a row of B and a number of A fill the registers, and no more.
# And halves and quarters of them. The processor is the one that Numba compiles for and by which it finds code on disk
# (NUMBA_CPU_NAME): for one processor, tiles have one size on every machine.
_, _, FEATURES = cpu_target.target_context.codegen().magic_tuple()
TALL, BROAD = (16, 8) if "+avx512f" in FEATURES.split(",") else (4, 0)
TALL_2, TALL_4, BROAD_2 = TALL // 2, TALL // 4, BROAD // 2


@intrinsic(prefer_literal=True)
def multiply(
    typing: Any, rows: Any, vectors: Any, out: Any, o: Any, o_r: Any, add: Any,
    A: Any, a: Any, a_rij: Any, B: Any, b: Any, b_ij: Any, IJ: Any,
) -> Any:  # fmt: skip
    """(1), to out.flat[o + r o_r + v]; with `add` it is added to what is there.

    A[r, i, j] is A.flat[a + r a_r + i a_i + j a_j], and B[i, j, v] is B.flat[b + i b_i + j b_j + v], i < I, j < J, both
    1 or more. `rows` and `vectors` are literals. Nothing is checked.
    """
    R, V, n = rows.literal_value, vectors.literal_value, types.intp
    pair, triple = types.UniTuple(n, 2), types.UniTuple(n, 3)
    signature = types.void(rows, vectors, out, n, n, types.boolean, A, n, triple, B, n, pair, pair)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, _, out, o, o_r, add, A, a, a_rij, B, b, b_ij, IJ = args
        a_r, a_i, a_j, b_i, b_j, I, J = (x for t in (a_rij, b_ij, IJ) for x in cgutils.unpack_tuple(builder, t))
        number = context.get_data_type(signature.args[2].dtype)
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

        def unrelated(pointer: Any) -> Any:
            """The same pointer, of which LLVM knows nothing.

            It would go from row to row by additions, each waiting for the one before, or keep 16 pointers in memory.
            """
            kind = ir.FunctionType(pointer.type, [pointer.type])
            return builder.asm(kind, "", "=r,0", [pointer], side_effect=False)

        def loop(count: Any, state: list[Any], body: Any) -> list[Any]:
            """body(n, state) → state, for n < count; 1 or more times."""
            before, block, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
            builder.branch(block)
            builder.position_at_end(block)
            first = [INDEX(0), *state]
            n, *own = phis = [builder.phi(value.type) for value in first]
            new = body(n, own)
            following = builder.add(n, INDEX(1))
            for phi, at_first, later in zip(phis, first, [following, *new], strict=True):
                phi.add_incoming(at_first, before)
                phi.add_incoming(later, builder.block)
            builder.cbranch(builder.icmp_signed("<", following, count), block, after)
            builder.position_at_end(after)
            return new

        number_bytes = BYTES // lanes
        out, A, B = data(2, out), data(6, A), data(9, B)
        groups = range(0, R, PER_POINTER)
        heads = [builder.gep(A, [index(a, (a_r, INDEX(r)))]) for r in groups]
        steps = [builder.mul(a_r, INDEX(r)) for r in range(PER_POINTER)]

        def over_j(j: Any, state: list[Any]) -> list[Any]:
            w, *heads = [unrelated(pointer) for pointer in state[: 1 + len(groups)]]
            row = [load(w, INDEX(v * lanes)) for v in range(V)]
            x = [
                broadcast(builder.load(builder.gep(heads[r // PER_POINTER], [steps[r % PER_POINTER]])))
                for r in range(R)
            ]
            sums = [builder.call(fma, [x[n // V], row[n % V], s]) for n, s in enumerate(state[1 + len(groups) :])]
            return [builder.gep(w, [b_j]), *(builder.gep(head, [a_j]) for head in heads), *sums]

        def over_i(i: Any, sums: list[Any]) -> list[Any]:
            w = builder.gep(B, [index(b, (i, b_i))])
            at = [builder.gep(head, [builder.mul(i, a_i)]) for head in heads]
            return loop(J, [w, *at, *sums], over_j)[1 + len(groups) :]

        places = [index(o, (o_r, INDEX(r)), INDEX(v * lanes)) for r in range(R) for v in range(V)]
        for at, s in zip(places, loop(I, [vector([0.0] * lanes)] * (R * V), over_i), strict=True):
            s = builder.select(add, builder.fadd(load(out, at), s), s)
            builder.store(s, place(out, at), align=number_bytes)
        return context.get_dummy_value()

    return signature, build
