"""Softmax, cross entropy and its gradient for one row of logits, as vector code."""

# mypy: allow-untyped-calls
# (numba and llvmlite are typed in part only)

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import types

from insects.training.processor import Lanes
from insects.training.vectors import FLOAT, INT32, INT64, Emitter, Integer, Pointer, Scalar, vector_intrinsic

_FLOOR_OF_EXP = -87.0
"""From here on up exp() is a normal number, not a denormal one."""


def softmax_row(lanes: Lanes) -> Any:
    """The function that replaces a row of logits by its gradient, with zeros in the padding.

    It returns the row's cross entropy, and 1.0 if the largest logit (the first of equals) is the target's, else 0.0.
    With z the logits of C classes, t the target and p = softmax(z):

        loss = log(sum_c exp(z_c)) - z_t            d loss / d z_c = p_c - [c = t]

    The largest logit is taken off before exp(), which changes neither and keeps it from overflowing.
    """

    def emit(e: Emitter, z: Pointer, classes: Integer, vectors: Integer, target: Integer, scale: Scalar) -> ir.Value:
        b, ids = e.builder, ir.Constant(e.integers, list(range(lanes.count)))

        # k counts the vectors of the row; each of these functions handles the classes in the lanes of vector k.
        def numbers(k: ir.Value) -> ir.Value:
            return b.add(e.splat(b.trunc(b.mul(k, INT64(lanes.count)), INT32)), ids)

        def logits(k: ir.Value) -> ir.Value:
            inside = b.icmp_signed("<", numbers(k), e.splat(b.trunc(classes, INT32)))
            value = e.load(e.offset(z, b.mul(k, INT64(lanes.count))))
            return b.select(inside, value, e.number(-math.inf))  # exp(-infinity) is 0: padding adds nothing

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
        # Ties go to the lower class, as numpy.argmax does.
        first = e.fold(e.loop(vectors, [e.integer(2**31 - 1)], first_at_top)[0], smaller)
        logit = e.load(e.offset(z, target), FLOAT)  # before `exponentials` overwrites it
        total = e.fold(e.loop(vectors, [e.number(0.0)], exponentials)[0], b.fadd)
        over_total = b.fdiv(e.splat(scale), total)
        e.loop(vectors, [], gradients)
        lane = INT32(0)
        # log(sum exp(z - top)) + top - z_t
        loss = b.fsub(b.extract_element(b.fadd(_log(e, total), top), lane), logit)
        correct = b.icmp_signed("==", b.extract_element(first, lane), b.trunc(target, INT32))
        pair = ir.ArrayType(FLOAT, 2)(ir.Undefined)
        return b.insert_value(b.insert_value(pair, loss, 0), b.uitofp(correct, FLOAT), 1)

    return vector_intrinsic(lanes, emit, types.UniTuple(types.float32, 2))


def _exp(e: Emitter, x: ir.Value) -> ir.Value:
    """exp(x) for x <= 0, to about 1 unit in the last place; 0 below the smallest normal number, NaN for NaN.

    Cephes' expf (S. Moshier, netlib.org/cephes, single/expf.c): x = n ln 2 + r with |r| <= ln(2) / 2, and exp(x) is
    2^n times a polynomial in r.
    """
    b = e.builder
    inside = e.at_least(x, e.number(_FLOOR_OF_EXP))
    rounding = e.number(12582912.0)  # 1.5 * 2^23: adding it rounds to a whole number, taking it off leaves that
    # n = round(x / ln 2)
    shifted = e.multiply_add(inside, e.number(1.4426950408889634), rounding)
    whole = b.fsub(shifted, rounding)
    # r = x - n ln 2, with ln 2 in two parts so that n times the first is exact
    rest = e.multiply_add(whole, e.number(-0.693359375), inside)
    rest = e.multiply_add(whole, e.number(2.12194440e-4), rest)
    # exp(r) = 1 + r + r^2 * (polynomial of degree 5)
    series = e.number(1.9875691500e-4)
    for coefficient in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        series = e.multiply_add(series, rest, e.number(coefficient))
    series = e.multiply_add(series, b.fmul(rest, rest), b.fadd(rest, e.number(1.0)))
    # 2^n by its bits: the low bits of `shifted` hold n, and 127 is the bias of a float32's exponent
    exponent = b.add(b.bitcast(shifted, e.integers), e.integer(127 - 0x4B400000))
    power = b.bitcast(b.shl(exponent, e.integer(23)), e.vector)
    return b.select(b.fcmp_ordered("<", x, e.number(_FLOOR_OF_EXP)), e.number(0.0), b.fmul(series, power))


def _log(e: Emitter, x: ir.Value) -> ir.Value:
    """log(x) for x >= 1, to about 1 unit in the last place; NaN for NaN and infinity.

    Cephes' logf (S. Moshier, netlib.org/cephes, single/logf.c): x = 2^n * (1 + r) with 1 + r in [sqrt(1/2), sqrt(2)),
    and log(x) is n ln 2 plus a polynomial in r.
    """
    b = e.builder
    root_half = 0x3F3504F3  # bits of sqrt(1/2)
    # n from the exponent's bits, r from the others, both counted from sqrt(1/2)
    bits = b.sub(b.bitcast(x, e.integers), e.integer(root_half))
    n = b.sitofp(b.ashr(bits, e.integer(23)), e.vector)
    r = b.fsub(b.bitcast(b.add(b.and_(bits, e.integer(0x7FFFFF)), e.integer(root_half)), e.vector), e.number(1.0))
    series = e.number(7.0376836292e-2)
    for coefficient in (
        -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1,
        -2.4999993993e-1, 3.3333331174e-1,
    ):  # fmt: skip
        series = e.multiply_add(series, r, e.number(coefficient))
    # log(1 + r) = r - r^2 / 2 + r^3 * (polynomial of degree 8), and ln 2 in two parts
    square = b.fmul(r, r)
    value = e.multiply_add(b.fmul(series, r), square, b.fmul(n, e.number(-2.12194440e-4)))
    value = b.fadd(r, e.multiply_add(square, e.number(-0.5), value))
    value = e.multiply_add(n, e.number(0.693359375), value)
    return b.fadd(value, b.fsub(x, x))  # x - x is NaN for NaN and infinity
