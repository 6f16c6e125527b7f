"""The name of this machine's processor for a study's fingerprint, found without loading numba."""

from __future__ import annotations

from collections.abc import Collection


def host() -> str:
    """The processor's name and the features of it that change how a sum is rounded."""
    from llvmlite import binding

    features = binding.get_host_cpu_features().flatten().split(",")
    return f"{binding.get_host_cpu_name()} {rounding_features(features)}"


def rounding_features(features: Collection[str]) -> str:
    """The features that change how a sum is rounded, among all of LLVM's for a processor (`+avx2`, `-sse4a`, …)."""
    return "+".join(name for name in ("avx512f", "avx2", "fma", "neon") if f"+{name}" in features) or "scalar"
