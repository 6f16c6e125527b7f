"""Register tiles: the arithmetic of a dense network on blocks that fit into the processor's vector registers.

Each function makes the numba intrinsic for one vector unit. A matrix is a pointer to its first float and, as
`name_row`, the number of floats from one row to the next.

    B  rows of a batch          I  inputs of a layer         O  outputs of a layer, padded to whole vectors
    N  columns of a tile: `vectors` vectors side by side     J  inputs in a tile of `input_gradient`

Rows of a batch are taken four at a time. Rows behind the batch's last one are computed too, and nothing reads them.
"""

# mypy: allow-untyped-calls
# (numba and llvmlite are typed in part only)

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

from llvmlite import ir
from numba import types

from insects.training.processor import Lanes
from insects.training.vectors import FLOAT, INT32, INT64, Emitter, Integer, Pointer, Scalar, vector_intrinsic

TILE_ROWS = 4
"""Rows of a batch in a tile, and inputs of a layer in a tile of `update`."""

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
"""Adam's constants, the defaults of torch.optim.Adam."""

GRADIENT_SCALE = math.sqrt(1 - BETA2)
"""Gradients are kept times this factor, so that Adam's second moment adds their plain square."""


def _multiply(
    e: Emitter, a: ir.Value, a_row: ir.Value, a_depth: ir.Value, b: ir.Value, b_depth: ir.Value,
    depth: ir.Value, start: list[ir.Value], rows: int,
) -> list[ir.Value]:  # fmt: skip
    """start[r, n] + sum over k of a[r, k] * b[k, n], all in registers.

    `start` and the result are `rows` by N, row by row. `a_depth` and `b_depth` are the floats from one k to the next.
    """
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


def affine(lanes: Lanes) -> Any:
    """z[4, N] = max(floor, x[4, I] @ w[I, N] + bias[N]), where the bias is the row of w behind the last."""

    def emit(
        e: Emitter, vectors: Integer, z: Pointer, z_row: Integer, x: Pointer, x_row: Integer, w: Pointer,
        w_row: Integer, inputs: Integer, floor: Scalar,
    ) -> None:  # fmt: skip
        def tile(width: int) -> None:
            bias = e.offset(w, e.builder.mul(inputs, w_row))
            # (4, N), the bias in each row
            start = [e.load(e.offset(bias, n * lanes.count)) for n in range(width)] * TILE_ROWS
            sums = _multiply(e, x, x_row, INT64(1), w, w_row, inputs, start, TILE_ROWS)
            for position, value in enumerate(sums):
                row, n = divmod(position, width)
                target = e.offset(z, e.builder.mul(z_row, INT64(row)), n * lanes.count)
                e.store(e.at_least(value, e.splat(floor)), target)

        e.switch(vectors, {width: partial(tile, width) for width in range(1, lanes.panel + 1)})

    return vector_intrinsic(lanes, emit)


def update(lanes: Lanes) -> Any:
    """One Adam step of w[R, N] and its moments m and v for the gradient x[B, R].T @ dz[B, N]; R is 4 or 1."""

    def emit(
        e: Emitter, rows: Integer, vectors: Integer, w: Pointer, m: Pointer, v: Pointer, w_row: Integer, x: Pointer,
        x_row: Integer, dz: Pointer, dz_row: Integer, batch: Integer, step_size: Scalar, epsilon: Scalar,
    ) -> None:  # fmt: skip
        rates = e.number(BETA1), e.number((1 - BETA1) / GRADIENT_SCALE), e.number(BETA2)
        adam = _Adam(e, e.splat(step_size), e.splat(epsilon), *rates)
        _update(e, rows, vectors, (w, m, v), w_row, x, x_row, dz, dz_row, batch, adam, None)

    return vector_intrinsic(lanes, emit)


def regularized_update(lanes: Lanes) -> Any:
    """`update` with other constants of Adam, and `decay * w` added to the gradient.

    `decay` and dz are those of the loss times the `gradient_scale`, sqrt(1 - beta2).
    """

    def emit(
        e: Emitter, rows: Integer, vectors: Integer, w: Pointer, m: Pointer, v: Pointer, w_row: Integer, x: Pointer,
        x_row: Integer, dz: Pointer, dz_row: Integer, batch: Integer, step_size: Scalar, epsilon: Scalar,
        beta1: Scalar, gradient_rate: Scalar, beta2: Scalar, decay: Scalar,
    ) -> None:  # fmt: skip
        adam = _Adam(e, *(e.splat(number) for number in (step_size, epsilon, beta1, gradient_rate, beta2)))
        _update(e, rows, vectors, (w, m, v), w_row, x, x_row, dz, dz_row, batch, adam, e.splat(decay))

    return vector_intrinsic(lanes, emit)


def _update(
    e: Emitter, rows: ir.Value, vectors: ir.Value, parameters: tuple[ir.Value, ir.Value, ir.Value], w_row: ir.Value,
    x: ir.Value, x_row: ir.Value, dz: ir.Value, dz_row: ir.Value, batch: ir.Value, adam: _Adam, decay: ir.Value | None,
) -> None:  # fmt: skip
    """The tiles of an update, one for each height and width; `parameters` are w, m and v."""

    def places(row: int, n: int) -> list[ir.Value]:
        return [e.offset(p, e.builder.mul(w_row, INT64(row)), n * e.lanes.count) for p in parameters]

    def tile(height: int, width: int) -> None:
        positions = [divmod(position, width) for position in range(height * width)]
        start = [e.number(0.0)] * len(positions)
        if decay is not None:
            start = [e.builder.fmul(decay, e.load(places(*position)[0])) for position in positions]
        # x.T without a copy: along a row of x.T the floats are `x_row` apart.
        gradients = _multiply(e, x, INT64(1), x_row, dz, dz_row, batch, start, height)
        for g, position in zip(gradients, positions, strict=True):
            targets = places(*position)
            changed = adam.step(g, *(e.load(target) for target in targets))
            for value, target in zip(changed, targets, strict=True):
                e.store(value, target)

    def of_height(height: int) -> None:
        e.switch(vectors, {width: partial(tile, height, width) for width in range(1, e.lanes.panel + 1)})

    e.switch(rows, {height: partial(of_height, height) for height in (1, TILE_ROWS)})


@dataclass(frozen=True)
class _Adam:
    """A step of Adam (Kingma and Ba, arXiv:1412.6980, algorithm 1) on vectors.

    In the order that the paper's section 2 names as more efficient: the bias corrections are in the step size, lr *
    sqrt(1 - beta2^t) / (1 - beta1^t). Gradients are times sqrt(1 - beta2); see `GRADIENT_SCALE`.

    Attributes:
        emitter: Writes the instructions.
        step_size: The step size of step t.
        epsilon: For the step of algorithm 1, and of torch, EPSILON * sqrt(1 - beta2^t).
        beta1: Decay of the first moment.
        gradient_rate: (1 - beta1) / sqrt(1 - beta2), what a gradient adds to the first moment.
        beta2: Decay of the second moment.
    """

    emitter: Emitter
    step_size: ir.Value
    epsilon: ir.Value
    beta1: ir.Value
    gradient_rate: ir.Value
    beta2: ir.Value

    def step(self, g: ir.Value, w: ir.Value, m: ir.Value, v: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
        """The new w, m and v for the gradient g."""
        e, b = self.emitter, self.emitter.builder
        # m_t = beta1 * m_(t-1) + (1 - beta1) * gradient
        m = e.multiply_add(m, self.beta1, b.fmul(g, self.gradient_rate))
        # v_t = beta2 * v_(t-1) + (1 - beta2) * gradient^2
        v = e.multiply_add(g, g, b.fmul(v, self.beta2))
        # w_t = w_(t-1) - step_size * m_t / (sqrt(v_t) + epsilon)
        direction = _divide(e, m, b.fadd(_square_root(e, v), self.epsilon))
        return b.fsub(w, b.fmul(self.step_size, direction)), m, v


def _square_root(e: Emitter, x: ir.Value) -> ir.Value:
    if not e.lanes.estimates:
        return e.call(f"llvm.sqrt.v{e.lanes.count}f32", x)
    # The estimate of 1 / sqrt(0) is infinity, and 0 * infinity NaN. The root of the floor is far below epsilon.
    x = e.at_least(x, e.number(1.1754943508222875e-38))
    estimate = e.call("llvm.x86.avx512.rsqrt14.ps.512", x, e.number(0.0), ir.IntType(16)(-1))
    # One Newton step on sqrt(x): root + root * (1/2 - root * estimate / 2)
    root = e.builder.fmul(x, estimate)
    half = e.builder.fmul(estimate, e.number(0.5))
    error = e.multiply_add(e.builder.fneg(root), half, e.number(0.5))
    return e.multiply_add(root, error, root)


def _divide(e: Emitter, a: ir.Value, b: ir.Value) -> ir.Value:
    if not e.lanes.estimates:
        return e.builder.fdiv(a, b)
    estimate = e.call("llvm.x86.avx512.rcp14.ps.512", b, e.number(0.0), ir.IntType(16)(-1))
    # One Newton step on a / b: quotient + quotient * (1 - b * estimate)
    quotient = e.builder.fmul(a, estimate)
    error = e.multiply_add(e.builder.fneg(b), estimate, e.number(1.0))
    return e.multiply_add(quotient, error, quotient)


def input_gradient(lanes: Lanes) -> Any:
    """dx[4, J] = (dz[4, O] @ w[J, O].T) where x[4, J] > 0, else 0, for J = lanes / 4 inputs.

    The sums run along the outputs, and so along the lanes. Each of the 4 * J sums has a vector of partial sums, as many
    vectors as there are lanes, which `Emitter.row_sums` turns into one. With 8 lanes, so J = 2:

        dz[row]          o0 o1 o2 o3 o4 o5 o6 o7 | o8 o9 ...      O outputs, 8 at a time
                          *  *  *  *  *  *  *  *
        w[j]             o0 o1 o2 o3 o4 o5 o6 o7 | o8 o9 ...
                          |  |  |  |  |  |  |  |
        sums[row, j]  +=  .  .  .  .  .  .  .  .                  lane l adds up the outputs o with o % 8 == l

        sums[0, 0]   a a a a a a a a
        sums[0, 1]   b b b b b b b b          row_sums                           row 0  row 1  row 2  row 3
        sums[1, 0]   c c c c c c c c     -------------------->   total           a  b | c  d | e  f | g  h
           ...                           lane row * J + j is                       |      |      |      |
        sums[3, 1]   h h h h h h h h     the sum of sums[row, j]   x[row] > 0      v      v      v      v
                                                                 dx[row, 0:2]     a b    0 d    e 0    g h
    """
    inputs = lanes.count // TILE_ROWS
    piece = ir.VectorType(FLOAT, inputs) if inputs > 1 else FLOAT

    def emit(
        e: Emitter, dx: Pointer, x: Pointer, x_row: Integer, dz: Pointer, dz_row: Integer, w: Pointer, w_row: Integer,
        vectors: Integer,
    ) -> None:  # fmt: skip
        def body(k: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            column = e.builder.mul(k, INT64(lanes.count))
            dz_k = [e.load(e.offset(dz, e.builder.mul(dz_row, INT64(row)), column)) for row in range(TILE_ROWS)]
            w_k = [e.load(e.offset(w, e.builder.mul(w_row, INT64(j)), column)) for j in range(inputs)]
            # sums[row * J + j] += dz[row] * w[j], lane by lane
            return [e.multiply_add(dz_k[i // inputs], w_k[i % inputs], total) for i, total in enumerate(sums)]

        total = e.row_sums(e.loop(vectors, [e.number(0.0)] * lanes.count, body))
        for row in range(TILE_ROWS):
            at = e.builder.mul(x_row, INT64(row))
            active = e.load(e.offset(x, at), piece)  # (J,) of x[row]; with 4 lanes J is 1, and it is no vector
            first = row * inputs
            part = (
                e.shuffle(total, total, range(first, first + inputs))
                if inputs > 1
                else e.builder.extract_element(total, INT32(first))
            )
            positive = e.builder.fcmp_ordered(">", active, ir.Constant(piece, [0.0] * inputs if inputs > 1 else 0.0))
            zero = ir.Constant(piece, [0.0] * inputs if inputs > 1 else 0.0)
            e.store(e.builder.select(positive, part, zero), e.offset(dx, at))

    return vector_intrinsic(lanes, emit)


def sum_of_squares(lanes: Lanes) -> Any:
    """The sum of squares of `vectors` vectors."""

    def emit(e: Emitter, w: Pointer, vectors: Integer) -> ir.Value:
        def body(k: ir.Value, total: list[ir.Value]) -> list[ir.Value]:
            value = e.load(e.offset(w, e.builder.mul(k, INT64(lanes.count))))
            return [e.multiply_add(value, value, total[0])]

        total = e.fold(e.loop(vectors, [e.number(0.0)], body)[0], e.builder.fadd)
        return e.builder.extract_element(total, INT32(0))

    return vector_intrinsic(lanes, emit, types.float32)
