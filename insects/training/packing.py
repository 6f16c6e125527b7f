"""Conversion between flat weights in torch's order and the kernel's packed layout, and the buffers of a trial."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insects.mlp import Floats, Shape, layer_sizes, parameter_count, unflatten
from insects.params import TrialParams
from insects.training import kernel
from insects.training.tiles import TILE_ROWS

_PAGE = 1024  # floats


class Packing:
    """The layout of one network in the kernel's arrays.

    A layer with three inputs and two outputs, packed for vectors of four floats:

        flat, as torch has it                 packed: (inputs + 1, outputs rounded up)

        weight  w00 w01 w02                   w00 w10  0  0
                w10 w11 w12         <->       w01 w11  0  0
        bias    b0  b1                        w02 w12  0  0
                                              b0  b1   0  0

    Args:
        params: The network's depth and width.
        shape: Its features and classes.
        rows: The largest batch it will be given.
    """

    def __init__(self, params: TrialParams, shape: Shape, rows: int) -> None:
        self._params, self._shape = params, shape
        sizes = np.array(layer_sizes(params, shape))
        self._inputs, self._outputs = sizes[:, 0].copy(), _rounded(sizes[:, 1], kernel.WIDTH)
        # Rows of weights a multiple of 2048 bytes apart fall into few sets of the cache, which costs up to a quarter.
        self._outputs += kernel.WIDTH * (self._outputs % (_PAGE // 2) == 0)
        floats = (self._inputs + 1) * self._outputs
        self._first = np.cumsum(floats) - floats
        # Tiles read up to three rows past the last one of a layer.
        self._floats = int(floats.sum() + TILE_ROWS * self._outputs.max())
        self._stride = np.concatenate([[shape.features], self._outputs])
        rows = int(_rounded(rows, TILE_ROWS))
        activations = _rounded(self._stride * rows, kernel.WIDTH)
        self._rows = np.cumsum(activations) - activations
        self._activations, self._gradients = int(activations.sum()), 2 * rows * int(self._outputs.max())

    def pack(self, flat_P: Floats, position: int = 0) -> Floats:
        """The packed copy of a flat vector `(P,)`; `position` is that of `_aligned`."""
        packed = _aligned(self._floats, position)
        for (weight, bias), layer in zip(
            unflatten(flat_P, self._params, self._shape), self._layers(packed), strict=True
        ):
            layer[:-1, : len(bias)] = weight.T
            layer[-1, : len(bias)] = bias
        return packed

    def unpack(self, packed: Floats) -> Floats:
        """The flat copy `(P,)` of a packed vector."""
        flat_P = np.empty(parameter_count(self._params, self._shape), np.float32)
        for (weight, bias), layer in zip(
            unflatten(flat_P, self._params, self._shape), self._layers(packed), strict=True
        ):
            weight[:] = layer[:-1, : len(bias)].T
            bias[:] = layer[-1, : len(bias)]
        return flat_P

    def _layers(self, packed: Floats) -> list[Floats]:
        """Views `(inputs + 1, padded outputs)`."""
        bounds = zip(self._first, self._inputs + 1, self._outputs, strict=True)
        return [packed[first : first + rows * outputs].reshape(rows, outputs) for first, rows, outputs in bounds]

    def net(self, w: Floats, m: Floats, v: Floats) -> kernel.Net:
        """The kernel's argument for packed weights and both their moments."""
        places = self._first, self._inputs, self._outputs, self._rows, self._stride
        return kernel.Net(w, m, v, *places, self._shape.classes)

    def buffers(self) -> kernel.Buffers:
        """The kernel's working memory for one batch."""
        x = _aligned(self._activations + 1, 3)
        x[-1] = 1  # the input of every bias
        return kernel.Buffers(x, _aligned(self._gradients, 4))


def _rounded(count: NDArray[np.int64] | int, multiple: int) -> NDArray[np.int64]:
    return -(-np.asarray(count) // multiple) * multiple


def _aligned(count: int, position: int) -> Floats:
    """`(count,)` zeros that begin on a cache line.

    Arrays of different `position` (0 to 4) never lie a multiple of 4096 bytes apart. At that distance processors let a
    load wait for an unrelated store just before it (4K aliasing), which costs up to a third of the speed.
    """
    floats = np.zeros(count + 2 * _PAGE, np.float32)
    skip = -floats.ctypes.data % (4 * _PAGE) // 4 + position * 208
    return floats[skip : skip + count]
