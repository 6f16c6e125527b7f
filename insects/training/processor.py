"""The vector unit that numba compiles for, and instructions of the processor as numba intrinsics."""

# mypy: allow-untyped-calls
# (numba and llvmlite are typed in part only)

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import binding, ir
from numba import config, types
from numba.extending import intrinsic

from insects.training.host import rounding_features
from insects.training.numba_internals import element_address, get_host_cpu_features, no_value

_FLUSH_TO_ZERO_AND_DENORMALS_ARE_ZERO = 0x8040
"""Bits of the x86 control register MXCSR."""


@dataclass(frozen=True)
class Lanes:
    """A vector unit.

    Attributes:
        count: float32 numbers in a vector, at least 4.
        panel: Vectors in a row of a register tile.
        estimates: Whether it has AVX-512's 14-bit estimates of 1/x and 1/sqrt(x). With one Newton step they are good
            to about one unit in the last place, in half the time of a division or square root.
    """

    count: int
    panel: int
    estimates: bool


def host_lanes() -> Lanes:
    """The vector unit of the processor that numba compiles for; NUMBA_CPU_NAME and NUMBA_CPU_FEATURES count."""
    features = _features()
    if "+avx512f" in features:
        return Lanes(count=16, panel=4, estimates=True)
    if "+avx2" in features:
        return Lanes(count=8, panel=3, estimates=False)
    return Lanes(count=4, panel=3, estimates=False)


def compiled_for() -> str:
    """The processor that numba compiles for: its name, and its features that change how a sum is rounded."""
    name = getattr(config, "CPU_NAME", None) or binding.get_host_cpu_name()
    return f"{name} {rounding_features(_features())}"


def _features() -> set[str]:
    chosen = getattr(config, "CPU_FEATURES", None)
    return set((get_host_cpu_features() if chosen is None else chosen).split(","))


def _flush_denormals(typing_context: Any) -> Any:
    """Treat denormal numbers as zero in this thread; returns the mode before.

    The moments of units that died decay through the denormal numbers, where some processors take 100 times as long.
    """

    def code(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> ir.Value:
        if not _is_x86():
            return ir.IntType(32)(0)
        place = _stack_slot(builder)
        _control_register(builder, "stmxcsr", place)
        mode = builder.load(place)
        builder.store(builder.or_(mode, mode.type(_FLUSH_TO_ZERO_AND_DENORMALS_ARE_ZERO)), place)
        _control_register(builder, "ldmxcsr", place)
        return mode

    return types.int32(), code


def _restore_denormals(typing_context: Any, mode: Any) -> Any:
    """Set the mode that `flush_denormals` returned."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> ir.Value:
        if _is_x86():
            place = _stack_slot(builder)
            builder.store(values[0], place)
            _control_register(builder, "ldmxcsr", place)
        return no_value(context)

    return types.void(types.int32), code


def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Begin to load the cache line of `array[index]` into the second-level cache; the index may be out of bounds.

    In the first-level cache, a whole batch of rows would push out the weights that are in use.
    """

    def code(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> ir.Value:
        address = element_address(context, builder, signature.args[0], *values)
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = builder.module.declare_intrinsic("llvm.prefetch.p0", fnty=kind)
        builder.call(function, [builder.bitcast(address, byte), flag(0), flag(2), flag(1)])  # a read, into L2, of data
        return no_value(context)

    return types.void(array, types.int64), code


def _is_x86() -> bool:
    return platform.machine().lower() in {"x86_64", "amd64", "i386", "i686"}


def _stack_slot(builder: ir.IRBuilder) -> ir.Value:
    """Room for an int32. In the entry block, because elsewhere a loop would allocate it again and again."""
    with builder.goto_entry_block():
        return builder.alloca(ir.IntType(32))


def _control_register(builder: ir.IRBuilder, instruction: str, place: ir.Value) -> None:
    address = builder.bitcast(place, ir.IntType(8).as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [address.type])
    builder.call(builder.module.declare_intrinsic(f"llvm.x86.sse.{instruction}", fnty=kind), [address])


# Any: mypy would take a call of an intrinsic for a call of the function that defines it.
flush_denormals: Any = intrinsic(_flush_denormals)
restore_denormals: Any = intrinsic(_restore_denormals)
prefetch: Any = intrinsic(_prefetch)
