"""What the processor has, asked of the one that numba compiles for."""

# mypy: allow-untyped-calls
# (numba and llvmlite are typed in part only)

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, config, types
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

from insects.training.host import telling

_FLUSH_TO_ZERO_AND_DENORMALS_ARE_ZERO = 0x8040
"""Bits of the x86 control register MXCSR."""


@dataclass(frozen=True)
class Lanes:
    """A vector unit. count: float32 numbers a vector, at least 4. panel: vectors a row of a register tile.

    estimates: it has AVX-512's 14-bit estimates of 1/x and 1/sqrt(x). With one Newton step they are good to about one
    unit in the last place, in half the time of its division and square root.
    """

    count: int
    panel: int
    estimates: bool


def host_lanes() -> Lanes:
    """The vector unit of the processor that numba compiles for (NUMBA_CPU_NAME and NUMBA_CPU_FEATURES count)."""
    features = _features()
    if "+avx512f" in features:
        return Lanes(count=16, panel=4, estimates=True)
    if "+avx2" in features:
        return Lanes(count=8, panel=3, estimates=False)
    return Lanes(count=4, panel=3, estimates=False)


def compiled_for() -> str:
    """The processor that numba compiles for: its name, and what it has that changes how a sum is rounded."""
    name = getattr(config, "CPU_NAME", None) or binding.get_host_cpu_name()
    return f"{name} {telling(_features())}"


def _features() -> set[str]:
    chosen = getattr(config, "CPU_FEATURES", None)
    return set((get_host_cpu_features() if chosen is None else chosen).split(","))


def _flush_denormals(typing_context: Any) -> Any:
    """Let numbers below the smallest normal one be zero in this thread; returns the mode before.

    Moments of units that died decay through the denormal numbers, where some processors take 100 times as long.
    """

    def code(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> ir.Value:
        if not _is_x86():
            return ir.IntType(32)(0)
        place = cgutils.alloca_once(builder, ir.IntType(32))
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
            place = cgutils.alloca_once(builder, ir.IntType(32))
            builder.store(values[0], place)
            _control_register(builder, "ldmxcsr", place)
        return context.get_dummy_value()

    return types.void(types.int32), code


def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Begin to load what lies around `array[index]`, which need not exist, as far as the second cache.

    Into the first, a whole batch of rows would push out the weights that are in use.
    """

    def code(context: Any, builder: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> ir.Value:
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        address = builder.gep(data, [values[1]], source_etype=context.get_data_type(array.dtype))
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [builder.bitcast(address, byte), flag(0), flag(2), flag(1)])  # a read, into L2, of data
        return context.get_dummy_value()

    return types.void(array, types.int64), code


def _is_x86() -> bool:
    return platform.machine().lower() in {"x86_64", "amd64", "i386", "i686"}


def _control_register(builder: ir.IRBuilder, instruction: str, place: ir.Value) -> None:
    address = builder.bitcast(place, ir.IntType(8).as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [address.type])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{instruction}")
    builder.call(function, [address])


# Any: mypy would take a call of an intrinsic for a call of the function that defines it.
flush_denormals: Any = intrinsic(_flush_denormals)
restore_denormals: Any = intrinsic(_restore_denormals)
prefetch: Any = intrinsic(_prefetch)
