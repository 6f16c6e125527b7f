"""Every private part of numba that this project uses: the place to look when numba is upgraded.

Public are the names in `numba`, `numba.extending`, `numba.types` and `numba.typed`, and all of `llvmlite.ir` and
`llvmlite.binding`. A test lists these parts and finds private imports in other files.
"""

# mypy: allow-untyped-calls
# (numba and llvmlite are typed in part only)

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.codegen import get_host_cpu_features
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

__all__ = [
    "AppDirs",
    "CompileResultCacheImpl",
    "FunctionCache",
    "_CacheLocator",
    "dumps",
    "element_address",
    "get_host_cpu_features",
    "no_value",
    "set_cache",
]


def set_cache(dispatcher: Any, cache: Any) -> None:
    """Replace the cache of a compiled function, as `Dispatcher.enable_caching` does with numba's own."""
    dispatcher._cache = cache


def element_address(context: Any, builder: ir.IRBuilder, array_type: Any, array: ir.Value, index: ir.Value) -> ir.Value:
    """The address of `array[index]`; only numba's target context knows how an array lies in memory."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index], source_etype=context.get_data_type(array_type.dtype))


def no_value(context: Any) -> ir.Value:
    """What the code of an intrinsic that returns nothing has to return."""
    return context.get_dummy_value()
