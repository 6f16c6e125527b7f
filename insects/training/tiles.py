"""Register tiles: the arithmetic of a dense network on blocks that fit the processor's vector registers.

Each is a numba intrinsic on flat float32 arrays; `name, offset[, stride]` stands for a matrix that begins `offset`
floats into the array and whose rows are `stride` floats apart. N tile vectors side by side hold N * lanes columns.

    B  rows of a batch          I  inputs of a layer         O  outputs of a layer, padded to whole vectors

Rows past the batch may be computed from whatever lies there: no real row ever reads them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from insects.training.vectors import FLOAT, INT32, INT64, Emitter, Lanes, data_pointer, is_x86

TILE_ROWS = 4
"""Rows of a batch, and inputs of a layer, in a tile."""

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
"""Adam's constants: torch.optim.Adam's defaults."""

GRADIENT_SCALE = math.sqrt(1 - BETA2)
"""Gradients are kept times this, so that Adam's second moment takes their plain square."""

_ARRAY = types.Array(types.float32, 1, "C")
_FLOOR_OF_EXP = -87.0
"""exp() is not below the smallest normal number from here on up."""


class Tiles(NamedTuple):
    """The intrinsics for one vector unit."""

    affine: Any
    update: Any
    input_gradient: Any
    softmax_row: Any


def make_tiles(lanes: Lanes) -> Tiles:
    """All tiles for one vector unit."""
    return Tiles(_affine(lanes), _update(lanes), _input_gradient(lanes), _softmax_row(lanes))


def _tile(lanes: Lanes, signature: str, emit: Callable[..., ir.Value | None], result: Any = types.void) -> Any:
    """A numba intrinsic whose parameters are `signature`: `a` float array, `i` integer, `f` float32.

    An array is followed by its offset; `emit(emitter, *values)` gets one address for the two.
    """
    kinds = [{"a": _ARRAY, "i": types.int64, "f": types.float32}[letter] for letter in signature]

    def code(context: Any, builder: ir.IRBuilder, sig: Any, values: Sequence[ir.Value]) -> ir.Value:
        arguments, rest = [], list(zip(signature, values, strict=True))
        while rest:
            letter, value = rest.pop(0)
            if letter == "a":
                value = data_pointer(context, builder, _ARRAY, value, rest.pop(0)[1])
            arguments.append(value)
        returned = emit(Emitter(builder, lanes), *arguments)
        return context.get_dummy_value() if returned is None else returned

    names = ", ".join(f"argument{i}" for i in range(len(kinds)))
    scope: dict[str, Any] = {"answer": (result(*kinds), code)}
    # An intrinsic must name its parameters, and these differ from tile to tile only in their number.
    exec(f"def tile(typing_context, {names}):\n    return answer", scope)  # noqa: S102
    return intrinsic(scope["tile"])


def _multiply(
    e: Emitter, a: ir.Value, a_row: ir.Value, a_depth: ir.Value, b: ir.Value, b_depth: ir.Value,
    depth: ir.Value, start: list[ir.Value], rows: int,
) -> list[ir.Value]:  # fmt: skip
    """start[r, n] + sum over k of a[r, k] * b[k, n], in registers: `rows` by `len(start) // rows` vectors."""
    vectors = len(start) // rows
    row_offsets = [e.builder.mul(a_row, INT64(row)) for row in range(rows)]

    def body(k: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
        b_k, a_k = e.offset(b, e.builder.mul(k, b_depth)), e.offset(a, e.builder.mul(k, a_depth))
        b_vectors = [e.load(e.offset(b_k, n * e.lanes.count)) for n in range(vectors)]
        result = []
        for row in range(rows):
            a_rk = e.splat(e.load(e.offset(a_k, row_offsets[row]), FLOAT))
            result += [e.multiply_add(a_rk, b_vectors[n], sums[row * vectors + n]) for n in range(vectors)]
        return result

    return e.loop(depth, start, body)


def _affine(lanes: Lanes) -> Any:
    """z[4, N] = max(floor, x[4, I] @ w[I, N] + bias[N]) for N of `vectors` vectors; bias is w's row behind the last."""

    def emit(
        e: Emitter, vectors: Any, z: Any, z_row: Any, x: Any, x_row: Any, w: Any, w_row: Any, inputs: Any, floor: Any
    ) -> None:
        def tile(width: int) -> None:
            bias = e.offset(w, e.builder.mul(inputs, w_row))
            start = [e.load(e.offset(bias, n * lanes.count)) for n in range(width)] * TILE_ROWS
            sums = _multiply(e, x, x_row, INT64(1), w, w_row, inputs, start, TILE_ROWS)
            for position, value in enumerate(sums):
                row, n = divmod(position, width)
                target = e.offset(z, e.builder.mul(z_row, INT64(row)), n * lanes.count)
                e.store(e.at_least(value, e.splat(floor)), target)

        e.switch(vectors, {width: partial(tile, width) for width in range(1, lanes.panel + 1)})

    return _tile(lanes, "iaiiaiiaiiif", emit)


def _update(lanes: Lanes) -> Any:
    """One Adam step of w[R, N] and its moments for the gradient x[B, R].T @ dz[B, N], R of 4 or 1, N of `vectors`."""

    def emit(
        e: Emitter, rows: Any, vectors: Any, w: Any, m: Any, v: Any, w_row: Any, x: Any, x_row: Any, dz: Any,
        dz_row: Any, batch: Any, step_size: Any, epsilon: Any,
    ) -> None:  # fmt: skip
        step_size, epsilon = e.splat(step_size), e.splat(epsilon)

        def tile(height: int, width: int) -> None:
            start = [e.number(0.0)] * (height * width)
            for position, g in enumerate(_multiply(e, x, INT64(1), x_row, dz, dz_row, batch, start, height)):
                row, n = divmod(position, width)
                places = [e.offset(p, e.builder.mul(w_row, INT64(row)), n * lanes.count) for p in (w, m, v)]
                changed = _adam(e, g, *(e.load(place) for place in places), step_size, epsilon)
                for value, place in zip(changed, places, strict=True):
                    e.store(value, place)

        def of_height(height: int) -> None:
            e.switch(vectors, {width: partial(tile, height, width) for width in range(1, lanes.panel + 1)})

        e.switch(rows, {height: partial(of_height, height) for height in (1, TILE_ROWS)})

    return _tile(lanes, "iiaiaiaiiaiiaiiiff", emit)


def _adam(
    e: Emitter, g: ir.Value, w: ir.Value, m: ir.Value, v: ir.Value, step_size: ir.Value, epsilon: ir.Value
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Kingma and Ba, arXiv:1412.6980, algorithm 1, in the order of its section 2's last paragraph.

    g is the gradient times GRADIENT_SCALE. step_size is lr * sqrt(1 - BETA2^t) / (1 - BETA1^t), and epsilon is
    EPSILON * sqrt(1 - BETA2^t), which is the same step as torch's.
    """
    b = e.builder
    m = e.multiply_add(m, e.number(BETA1), b.fmul(g, e.number((1 - BETA1) / GRADIENT_SCALE)))
    v = e.multiply_add(g, g, b.fmul(v, e.number(BETA2)))
    direction = _divide(e, m, b.fadd(_square_root(e, v), epsilon))
    return b.fsub(w, b.fmul(step_size, direction)), m, v


def _square_root(e: Emitter, x: ir.Value) -> ir.Value:
    if not e.lanes.estimates:
        return e.call(f"llvm.sqrt.v{e.lanes.count}f32", x)
    # The floor keeps 0 * infinity out; its root is far below epsilon.
    x = e.at_least(x, e.number(1.1754943508222875e-38))
    estimate = e.call("llvm.x86.avx512.rsqrt14.ps.512", x, e.number(0.0), ir.IntType(16)(-1))
    root = e.builder.fmul(x, estimate)
    half = e.builder.fmul(estimate, e.number(0.5))
    error = e.multiply_add(e.builder.fneg(root), half, e.number(0.5))
    return e.multiply_add(root, error, root)


def _divide(e: Emitter, a: ir.Value, b: ir.Value) -> ir.Value:
    if not e.lanes.estimates:
        return e.builder.fdiv(a, b)
    estimate = e.call("llvm.x86.avx512.rcp14.ps.512", b, e.number(0.0), ir.IntType(16)(-1))
    quotient = e.builder.fmul(a, estimate)
    error = e.multiply_add(e.builder.fneg(b), estimate, e.number(1.0))
    return e.multiply_add(quotient, error, quotient)


def _input_gradient(lanes: Lanes) -> Any:
    """dx[4, J] = (dz[4, O] @ w[J, O].T) where x[4, J] > 0, else 0, for J = lanes / 4 inputs."""
    inputs = lanes.count // TILE_ROWS
    piece = ir.VectorType(FLOAT, inputs) if inputs > 1 else FLOAT

    def emit(
        e: Emitter, dx: Any, x: Any, x_row: Any, dz: Any, dz_row: Any, w: Any, w_row: Any, vectors: Any
    ) -> None:
        def body(k: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            column = e.builder.mul(k, INT64(lanes.count))
            dz_k = [e.load(e.offset(dz, e.builder.mul(dz_row, INT64(row)), column)) for row in range(TILE_ROWS)]
            w_k = [e.load(e.offset(w, e.builder.mul(w_row, INT64(j)), column)) for j in range(inputs)]
            return [e.multiply_add(dz_k[i // inputs], w_k[i % inputs], total) for i, total in enumerate(sums)]

        total = e.row_sums(e.loop(vectors, [e.number(0.0)] * lanes.count, body))
        for row in range(TILE_ROWS):
            at = e.builder.mul(x_row, INT64(row))
            active = e.load(e.offset(x, at), piece)
            first = row * inputs
            part = (
                e.shuffle(total, total, range(first, first + inputs))
                if inputs > 1
                else e.builder.extract_element(total, INT32(first))
            )
            positive = e.builder.fcmp_ordered(">", active, ir.Constant(piece, [0.0] * inputs if inputs > 1 else 0.0))
            zero = ir.Constant(piece, [0.0] * inputs if inputs > 1 else 0.0)
            e.store(e.builder.select(positive, part, zero), e.offset(dx, at))

    return _tile(lanes, "aiaiiaiiaiii", emit)


def _softmax_row(lanes: Lanes) -> Any:
    """Replaces a row of logits by its gradient, (softmax - one-hot(target)) * scale, with zeros in the padding.

    Returns its cross entropy and 1.0 if the largest logit (the first of equals) is the target's, else 0.0.
    """

    def emit(e: Emitter, z: Any, classes: Any, vectors: Any, target: Any, scale: Any) -> ir.Value:
        b, ids = e.builder, ir.Constant(e.integers, list(range(lanes.count)))

        def numbers(k: ir.Value) -> ir.Value:
            return b.add(e.splat(b.trunc(b.mul(k, INT64(lanes.count)), INT32)), ids)

        def logits(k: ir.Value) -> ir.Value:
            inside = b.icmp_signed("<", numbers(k), e.splat(b.trunc(classes, INT32)))
            value = e.load(e.offset(z, b.mul(k, INT64(lanes.count))))
            return b.select(inside, value, e.number(-math.inf))

        def larger(x: ir.Value, y: ir.Value) -> ir.Value:
            return b.select(b.fcmp_ordered(">", x, y), x, y)

        def smaller(x: ir.Value, y: ir.Value) -> ir.Value:
            return b.select(b.icmp_signed("<", x, y), x, y)

        def first_at_top(k: ir.Value, found: list[ir.Value]) -> list[ir.Value]:
            at_top = b.fcmp_ordered("==", logits(k), top)
            return [smaller(found[0], b.select(at_top, numbers(k), e.integer(2**31 - 1)))]

        def exponentials(k: ir.Value, total: list[ir.Value]) -> list[ir.Value]:
            value = _exp(e, b.fsub(logits(k), top))
            e.store(value, e.offset(z, b.mul(k, INT64(lanes.count))))
            return [b.fadd(total[0], value)]

        def gradients(k: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            place = e.offset(z, b.mul(k, INT64(lanes.count)))
            hit = b.icmp_signed("==", numbers(k), e.splat(b.trunc(target, INT32)))
            value = b.fsub(b.fmul(e.load(place), over_total), b.select(hit, e.splat(scale), e.number(0.0)))
            e.store(value, place)
            return []

        top = e.fold(e.loop(vectors, [e.number(-math.inf)], lambda k, m: [larger(logits(k), m[0])])[0], larger)
        first = e.fold(e.loop(vectors, [e.integer(2**31 - 1)], first_at_top)[0], smaller)
        logit = e.load(e.offset(z, target), FLOAT)
        total = e.fold(e.loop(vectors, [e.number(0.0)], exponentials)[0], b.fadd)
        over_total = b.fdiv(e.splat(scale), total)
        e.loop(vectors, [], gradients)
        lane = INT32(0)
        loss = b.fsub(b.extract_element(b.fadd(_log(e, total), top), lane), logit)
        correct = b.icmp_signed("==", b.extract_element(first, lane), b.trunc(target, INT32))
        return cgutils.pack_array(b, [loss, b.uitofp(correct, FLOAT)])

    return _tile(lanes, "aiiiif", emit, types.UniTuple(types.float32, 2))


def _exp(e: Emitter, x: ir.Value) -> ir.Value:
    """exp(x) for x <= 0, to about 1 unit in the last place; 0 below the smallest normal number, NaN for NaN.

    Cephes' expf (S. Moshier): x = n ln 2 + r with |r| <= ln(2) / 2, and a polynomial of degree 5 in r times 2^n.
    """
    b = e.builder
    inside = e.at_least(x, e.number(_FLOOR_OF_EXP))
    rounding = e.number(12582912.0)  # 1.5 * 2^23: what is added to it is rounded to a whole number
    shifted = e.multiply_add(inside, e.number(1.4426950408889634), rounding)
    whole = b.fsub(shifted, rounding)
    rest = e.multiply_add(whole, e.number(-0.693359375), inside)
    rest = e.multiply_add(whole, e.number(2.12194440e-4), rest)
    series = e.number(1.9875691500e-4)
    for coefficient in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        series = e.multiply_add(series, rest, e.number(coefficient))
    series = e.multiply_add(series, b.fmul(rest, rest), b.fadd(rest, e.number(1.0)))
    exponent = b.add(b.bitcast(shifted, e.integers), e.integer(127 - 0x4B400000))
    power = b.bitcast(b.shl(exponent, e.integer(23)), e.vector)
    return b.select(b.fcmp_ordered("<", x, e.number(_FLOOR_OF_EXP)), e.number(0.0), b.fmul(series, power))


def _log(e: Emitter, x: ir.Value) -> ir.Value:
    """log(x) for x >= 1, to about 1 unit in the last place; NaN for NaN and infinity.

    Cephes' logf (S. Moshier): x = 2^n * (1 + r) with 1 + r in [sqrt(1/2), sqrt(2)), and a polynomial in r.
    """
    b = e.builder
    root_half = 0x3F3504F3  # bits of sqrt(1/2)
    bits = b.sub(b.bitcast(x, e.integers), e.integer(root_half))
    n = b.sitofp(b.ashr(bits, e.integer(23)), e.vector)
    r = b.fsub(b.bitcast(b.add(b.and_(bits, e.integer(0x7FFFFF)), e.integer(root_half)), e.vector), e.number(1.0))
    series = e.number(7.0376836292e-2)
    for coefficient in (
        -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1,
        -2.4999993993e-1, 3.3333331174e-1,
    ):  # fmt: skip
        series = e.multiply_add(series, r, e.number(coefficient))
    square = b.fmul(r, r)
    value = e.multiply_add(b.fmul(series, r), square, b.fmul(n, e.number(-2.12194440e-4)))
    value = b.fadd(r, e.multiply_add(square, e.number(-0.5), value))
    value = e.multiply_add(n, e.number(0.693359375), value)
    return b.fadd(value, b.fsub(x, x))  # x - x is NaN for NaN and infinity


@intrinsic
def flush_denormals(typing_context: Any) -> Any:
    """Let numbers below the smallest normal one be zero in this thread; returns what restores the old mode.

    Moments of units that died decay through the denormal numbers, where some processors take 100 times as long.
    """

    def code(context: Any, builder: ir.IRBuilder, sig: Any, values: Sequence[ir.Value]) -> ir.Value:
        if not is_x86():
            return INT32(0)
        place = cgutils.alloca_once(builder, INT32)
        _control(builder, "llvm.x86.sse.stmxcsr", place)
        old = builder.load(place)
        builder.store(builder.or_(old, INT32(0x8040)), place)
        _control(builder, "llvm.x86.sse.ldmxcsr", place)
        return old

    return types.int32(), code


@intrinsic
def restore_denormals(typing_context: Any, mode: Any) -> Any:
    """Undo `flush_denormals`."""

    def code(context: Any, builder: ir.IRBuilder, sig: Any, values: Sequence[ir.Value]) -> ir.Value:
        if is_x86():
            place = cgutils.alloca_once(builder, INT32)
            builder.store(values[0], place)
            _control(builder, "llvm.x86.sse.ldmxcsr", place)
        return context.get_dummy_value()

    return types.void(types.int32), code


def _control(builder: ir.IRBuilder, name: str, place: ir.Value) -> None:
    address = builder.bitcast(place, ir.IntType(8).as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [address.type])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [address])
