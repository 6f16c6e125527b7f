"""LLVM vector code as numba functions: `Emitter` writes the instructions, `vector_intrinsic` makes a function of them.

Hand-written register tiles are fast whatever the auto-vectorizer makes of a loop, and the machine that runs them needs
neither a C compiler nor a BLAS.
"""

# mypy: allow-untyped-calls
# (numba and llvmlite are typed in part only)

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from insects.training.numba_internals import element_address, no_value
from insects.training.processor import Lanes

FLOAT, INT32, INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)

# The types of a vector intrinsic's parameters. A pointer is two arguments: a float32 array and an offset into it.
Pointer = Integer = Scalar = ir.Value


class Emitter:
    """Writes instructions on vectors of `lanes.count` floats at the position of a builder."""

    def __init__(self, builder: ir.IRBuilder, lanes: Lanes) -> None:
        self.builder, self.lanes = builder, lanes
        self.vector = ir.VectorType(FLOAT, lanes.count)
        self.integers = ir.VectorType(INT32, lanes.count)

    def offset(self, pointer: ir.Value, *terms: ir.Value | int) -> ir.Value:
        """The address `sum(terms)` floats behind `pointer`."""
        for term in terms:
            index = INT64(term) if isinstance(term, int) else term
            pointer = self.builder.gep(pointer, [index], source_etype=FLOAT)
        return pointer

    def load(self, pointer: ir.Value, kind: ir.Type | None = None) -> ir.Value:
        kind = kind or self.vector
        return self.builder.load(self.builder.bitcast(pointer, kind.as_pointer()), align=4, typ=kind)

    def store(self, value: ir.Value, pointer: ir.Value) -> None:
        self.builder.store(value, self.builder.bitcast(pointer, value.type.as_pointer()), align=4)

    def number(self, value: float) -> ir.Constant:
        """The same constant in every lane."""
        return ir.Constant(self.vector, [value] * self.lanes.count)

    def integer(self, value: int) -> ir.Constant:
        return ir.Constant(self.integers, [value] * self.lanes.count)

    def splat(self, scalar: ir.Value) -> ir.Value:
        """The same scalar in every lane."""
        count = self.lanes.count
        kind = ir.VectorType(scalar.type, count)
        single = self.builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, INT32(0))
        return self.builder.shuffle_vector(single, single, ir.Constant(ir.VectorType(INT32, count), [0] * count))

    def call(self, name: str, *arguments: ir.Value) -> ir.Value:
        """Call an LLVM intrinsic whose result has the type of its first argument."""
        kind = ir.FunctionType(arguments[0].type, [argument.type for argument in arguments])
        return self.builder.call(self.builder.module.declare_intrinsic(name, fnty=kind), arguments)

    def multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a * b + c, as one rounded operation where the processor has it."""
        return self.call(f"llvm.fmuladd.v{self.lanes.count}f32", a, b, c)

    def at_least(self, value: ir.Value, floor: ir.Value) -> ir.Value:
        """The larger of the two; NaN where `value` is NaN."""
        return self.builder.select(self.builder.fcmp_ordered("<", value, floor), floor, value)

    def shuffle(self, a: ir.Value, b: ir.Value, lanes: Sequence[int]) -> ir.Value:
        """The chosen lanes of `a` (from 0) and `b` (from `lanes.count`)."""
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT32, len(lanes)), list(lanes)))

    def fold(self, value: ir.Value, combine: Callable[[ir.Value, ir.Value], ir.Value]) -> ir.Value:
        """All lanes of `value` combined, in every lane of the result."""
        distance = self.lanes.count // 2
        while distance:
            value = combine(value, self.shuffle(value, value, [lane ^ distance for lane in range(self.lanes.count)]))
            distance //= 2
        return value

    def row_sums(self, vectors: Sequence[ir.Value]) -> ir.Value:
        """One vector whose lane i is the sum of the lanes of `vectors[i]`; there are as many vectors as lanes.

        Each level adds two halves of the vectors in pairs, so that their number halves. With four lanes:

            level 1, blocks of 2          level 2, blocks of 1
                a  = a0 a1 a2 a3              ac = a02 a13 c02 c13
                c  = c0 c1 c2 c3              bd = b02 b13 d02 d13

                     a0 a1 c0 c1   low             a02 b02 c02 d02   low
                   + a2 a3 c2 c3   high          + a13 b13 c13 d13   high
                ac = a02 a13 c02 c13          =    a   b   c   d     (a02 = a0 + a2; a = a0 + a1 + a2 + a3)
        """
        count, block = self.lanes.count, self.lanes.count // 2
        level = list(vectors)
        while len(level) > 1:
            half = len(level) // 2
            merged = []
            for a, b in zip(level[:half], level[half:], strict=True):
                # In each run of 2 * block lanes of the result, the first `block` come from a and the rest from b.
                even = [lane - lane % (2 * block) + lane % block for lane in range(count)]
                source = [0 if lane % (2 * block) < block else count for lane in range(count)]
                low = self.shuffle(a, b, [e + s for e, s in zip(even, source, strict=True)])
                high = self.shuffle(a, b, [e + block + s for e, s in zip(even, source, strict=True)])
                merged.append(self.builder.fadd(low, high))
            level, block = merged, block // 2
        return level[0]

    def loop(
        self,
        count: ir.Value,
        carried: Sequence[ir.Value],
        body: Callable[[ir.Value, list[ir.Value]], list[ir.Value]],
    ) -> list[ir.Value]:
        """Run `carried = body(index, carried)` for each index below `count`.

        Args:
            count: int64, may be 0.
            carried: Values before the first iteration.
            body: Writes one iteration and returns the carried values behind it.

        Returns:
            The carried values after the last iteration.
        """
        builder = self.builder
        before = builder.block
        head, inside, after = (builder.append_basic_block(name) for name in ("loop.head", "loop.body", "loop.end"))
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(INT64)
        index.add_incoming(INT64(0), before)
        values = []
        for start in carried:
            value = builder.phi(start.type)
            value.add_incoming(start, before)
            values.append(value)
        builder.cbranch(builder.icmp_signed("<", index, count), inside, after)
        builder.position_at_end(inside)
        ends = body(index, list(values))
        index.add_incoming(builder.add(index, INT64(1)), builder.block)
        for value, end in zip(values, ends, strict=True):
            value.add_incoming(end, builder.block)
        builder.branch(head)
        builder.position_at_end(after)
        return values

    def switch(self, value: ir.Value, cases: dict[int, Callable[[], None]]) -> None:
        """Run the case whose key is `value`; the behaviour is undefined if there is none."""
        builder = self.builder
        after = builder.append_basic_block("switch.end")
        impossible = builder.append_basic_block("switch.impossible")
        choice = builder.switch(value, impossible)
        for key, case in cases.items():
            block = builder.append_basic_block(f"switch.{key}")
            choice.add_case(INT64(key), block)
            builder.position_at_end(block)
            case()
            builder.branch(after)
        builder.position_at_end(impossible)
        builder.unreachable()
        builder.position_at_end(after)


def vector_intrinsic(lanes: Lanes, emit: Callable[..., ir.Value | None], result: Any = types.void) -> Any:
    """The numba function whose code `emit(emitter, ...)` writes.

    Args:
        lanes: The vector unit that the code is for.
        emit: Its parameters behind the first become those of the function. Each is annotated `Pointer`, `Integer`
            (int64) or `Scalar` (float32). `name: Pointer` becomes two, a flat float32 array and the offset in it.
        result: Numba type of what `emit` returns.
    """
    array = types.Array(types.float32, 1, "C")
    expansions: dict[str, list[Any]] = {
        "Pointer": [array, types.int64],
        "Integer": [types.int64],
        "Scalar": [types.float32],
    }
    parameters = list(inspect.signature(emit).parameters.values())[1:]
    kinds = [kind for parameter in parameters for kind in expansions[parameter.annotation]]

    def code(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> ir.Value:
        rest, arguments = iter(values), []
        for parameter in parameters:
            value = next(rest)
            if parameter.annotation == "Pointer":
                value = element_address(context, builder, array, value, next(rest))
            arguments.append(value)
        returned = emit(Emitter(builder, lanes), *arguments)
        return no_value(context) if returned is None else returned

    def definition(typing_context: Any, *arguments: Any) -> Any:
        return result(*kinds), code

    # Numba reads the signature and needs a name for each parameter, so `*arguments` alone would not do.
    names = ["typing_context", *(f"argument{position}" for position in range(len(kinds)))]
    parameter_kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    definition.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, parameter_kind) for name in names]
    )
    return intrinsic(definition)
