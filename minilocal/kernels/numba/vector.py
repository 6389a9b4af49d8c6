"""Vectors of 64 bytes in compiled functions: `load`, `store`, and + - * between vectors, and with a number.

LLVM makes loops over arrays into such vectors where it can show that no array overlaps another. With many arrays it
gives up; here it has nothing to show.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

BYTES = 64


class Vector(types.Type):
    """BYTES bytes of numbers of a type."""

    def __init__(self, number: Any) -> None:
        self.number, self.lanes = number, BYTES * 8 // number.bitwidth
        super().__init__(f"Vector({number})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """A vector is LLVM's own."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.VectorType(manager.lookup(kind.number).get_value_type(), kind.lanes))


def _place(context: Any, builder: Any, kind: Any, array: Any, i: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    vector = context.get_value_type(Vector(kind.dtype))
    return builder.bitcast(builder.gep(data, [i]), vector.as_pointer())


@intrinsic
def load(typing: Any, array: Any, i: Any) -> Any:
    """The numbers of a contiguous array from index i on, as many as a vector has. Nothing is checked."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0]
        return builder.load(_place(context, builder, kind, *args), align=kind.dtype.bitwidth // 8)

    return Vector(array.dtype)(array, types.intp), build


@intrinsic
def store(typing: Any, array: Any, i: Any, vector: Any) -> Any:
    """array[i : i + lanes] = vector. Nothing is checked."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, i, vector = args
        kind = signature.args[0]
        builder.store(vector, _place(context, builder, kind, array, i), align=kind.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), build


@intrinsic
def broadcast(typing: Any, like: Any, x: Any) -> Any:
    """x in every lane of a vector like this one."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(signature.return_type)
        x = context.cast(builder, args[1], signature.args[1], like.number)
        one = builder.insert_element(kind(ir.Undefined), x, ir.IntType(32)(0))
        first = ir.VectorType(ir.IntType(32), like.lanes)([0] * like.lanes)
        return builder.shuffle_vector(one, kind(ir.Undefined), first)

    return like(like, x), build


def _lane_by_lane(name: str) -> Callable[..., Any]:
    @intrinsic
    def operation(typing: Any, a: Any, b: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, name)(*args)

        return a(a, b), build

    return operation


def _define(symbol: Any, name: str) -> None:
    """a ∘ b of vectors, and of a number and a vector."""
    operation = _lane_by_lane(name)

    @overload(symbol)  # Numba compares the arguments with those of what is returned, annotations too
    def _(a, b):  # type: ignore[no-untyped-def]
        if isinstance(a, Vector) and isinstance(b, Vector):
            return lambda a, b: operation(a, b)
        if isinstance(b, Vector) and isinstance(a, types.Number):
            return lambda a, b: operation(broadcast(b, a), b)
        return None


for _symbol, _name in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _define(_symbol, _name)
