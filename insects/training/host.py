"""The processor that is here, in the words of a study's identity; asked without loading numba."""

from __future__ import annotations

from collections.abc import Collection


def host() -> str:
    """Its name, and what it has that changes how a sum is rounded."""
    from llvmlite import binding

    return f"{binding.get_host_cpu_name()} {telling(binding.get_host_cpu_features().flatten().split(','))}"


def telling(features: Collection[str]) -> str:
    """Of all that a processor has (`+avx2`, `-sse4a`, …) what changes how a sum is rounded."""
    return "+".join(name for name in ("avx512f", "avx2", "fma", "neon") if f"+{name}" in features) or "scalar"
