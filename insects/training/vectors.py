"""LLVM vector instructions for numba intrinsics: what this processor has, and how to emit it.

Hand-written register tiles do not depend on what the auto-vectorizer makes of a loop, and need neither a compiler nor
a BLAS where they run. `Lanes` says how wide they are; `Emitter` writes vector code at a numba builder's position.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils, config
from numba.core.codegen import get_host_cpu_features

FLOAT, INT32, INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)


@dataclass(frozen=True)
class Lanes:
    """A vector unit. count: float32 numbers a vector. panel: vectors a row of a register tile. estimates: the processor
    has AVX-512's 14-bit estimates of 1/x and 1/sqrt(x), which one Newton step makes exact to about one unit in the
    last place: twice as fast there as its square root and division."""

    count: int
    panel: int
    estimates: bool


def host_lanes() -> Lanes:
    """The vector unit of the processor that numba compiles for (NUMBA_CPU_NAME and NUMBA_CPU_FEATURES count)."""
    features = config.CPU_FEATURES if config.CPU_FEATURES is not None else get_host_cpu_features()
    names = set(features.split(","))
    if "+avx512f" in names:
        return Lanes(count=16, panel=4, estimates=True)
    if "+avx2" in names:
        return Lanes(count=8, panel=3, estimates=False)
    return Lanes(count=4, panel=3, estimates=False)


class Emitter:
    """Emits code on vectors of `lanes.count` floats."""

    def __init__(self, builder: ir.IRBuilder, lanes: Lanes) -> None:
        self.builder, self.lanes = builder, lanes
        self.vector = ir.VectorType(FLOAT, lanes.count)
        self.integers = ir.VectorType(INT32, lanes.count)

    def offset(self, pointer: ir.Value, *terms: ir.Value | int) -> ir.Value:
        """The address of the float that lies the sum of `terms` behind `pointer`."""
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
        """Call an LLVM intrinsic that returns what its first argument is."""
        kind = ir.FunctionType(arguments[0].type, [argument.type for argument in arguments])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), arguments)

    def multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a * b + c, fused where the processor has it."""
        return self.call(f"llvm.fmuladd.v{self.lanes.count}f32", a, b, c)

    def at_least(self, value: ir.Value, floor: ir.Value) -> ir.Value:
        """The larger of the two; NaN where `value` is NaN."""
        return self.builder.select(self.builder.fcmp_ordered("<", value, floor), floor, value)

    def shuffle(self, a: ir.Value, b: ir.Value, lanes: Sequence[int]) -> ir.Value:
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT32, len(lanes)), list(lanes)))

    def fold(self, value: ir.Value, combine: Callable[[ir.Value, ir.Value], ir.Value]) -> ir.Value:
        """All lanes combined, in every lane."""
        distance = self.lanes.count // 2
        while distance:
            value = combine(value, self.shuffle(value, value, [lane ^ distance for lane in range(self.lanes.count)]))
            distance //= 2
        return value

    def row_sums(self, vectors: Sequence[ir.Value]) -> ir.Value:
        """One vector whose lane i is the sum of the lanes of `vectors[i]`; there are as many vectors as lanes.

        Halves the number of vectors at each level: of two vectors, the even blocks and the odd blocks of each are
        added, so the partial sums of both lie side by side.
        """
        count, block = self.lanes.count, self.lanes.count // 2
        level = list(vectors)
        while len(level) > 1:
            half = len(level) // 2
            merged = []
            for a, b in zip(level[:half], level[half:], strict=True):
                # Lanes 0 to block-1 of every run of 2*block come from a, the rest from b.
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
        """Run `body(index, carried) -> carried` for index 0 to count-1; returns what is carried out."""
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
        """Run the case whose key is `value`; there must be one."""
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


def is_x86() -> bool:
    return platform.machine().lower() in {"x86_64", "amd64", "i386", "i686"}


def data_pointer(context: Any, builder: ir.IRBuilder, kind: Any, array: ir.Value, offset: ir.Value) -> ir.Value:
    """The address of element `offset` of a numba float32 array argument."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.gep(data, [offset], source_etype=FLOAT)
