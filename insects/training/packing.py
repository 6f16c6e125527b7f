"""Conversion between the weights of layers and the kernel's packed layout, and the buffers of a training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from insects.mlp import Floats
from insects.training import kernel
from insects.training.tiles import TILE_ROWS

_PAGE = 1024  # floats


class Packing:
    """The layout of one network in the kernel's arrays.

    A layer with three inputs and two outputs, packed for vectors of four floats:

        weight (out, in) and bias (out,)      packed: (inputs + 1, outputs rounded up)

        weight  w00 w01 w02                   w00 w10  0  0
                w10 w11 w12         <->       w01 w11  0  0
        bias    b0  b1                        w02 w12  0  0
                                              b0  b1   0  0

    Args:
        sizes: `(inputs, outputs)` of each layer.
        rows: The largest batch it will be given.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]], rows: int) -> None:
        self._classes = sizes[-1][1]
        inputs, outputs = np.array(sizes).T
        self._inputs, self._outputs = inputs.copy(), _rounded(outputs, kernel.WIDTH)
        # Rows of weights a multiple of 2048 bytes apart fall into few sets of the cache, which costs up to a quarter.
        self._outputs += kernel.WIDTH * (self._outputs % (_PAGE // 2) == 0)
        floats = (self._inputs + 1) * self._outputs
        self._first = np.cumsum(floats) - floats
        # Tiles read up to three rows past the last one of a layer.
        self._floats = int(floats.sum() + TILE_ROWS * self._outputs.max())
        self._stride = np.concatenate([self._inputs[:1], self._outputs])
        rows = int(_rounded(rows, TILE_ROWS))
        activations = _rounded(self._stride * rows, kernel.WIDTH)
        self._rows = np.cumsum(activations) - activations
        self._activations, self._gradients = int(activations.sum()), 2 * rows * int(self._outputs.max())

    def pack(self, layers: Sequence[tuple[Floats, Floats]], position: int = 0) -> Floats:
        """The packed copy of the `(weight, bias)` of each layer; `position` is that of `_aligned`."""
        packed = _aligned(self._floats, position)
        for (weight, bias), layer in zip(layers, self._layers(packed), strict=True):
            layer[:-1, : len(bias)] = weight.T
            layer[-1, : len(bias)] = bias
        return packed

    def unpack(self, packed: Floats, layers: Sequence[tuple[Floats, Floats]]) -> None:
        """Fill the `(weight, bias)` of each layer from a packed vector."""
        for (weight, bias), layer in zip(layers, self._layers(packed), strict=True):
            weight[:] = layer[:-1, : len(bias)].T
            bias[:] = layer[-1, : len(bias)]

    def _layers(self, packed: Floats) -> list[Floats]:
        """Views `(inputs + 1, padded outputs)`."""
        bounds = zip(self._first, self._inputs + 1, self._outputs, strict=True)
        return [packed[first : first + rows * outputs].reshape(rows, outputs) for first, rows, outputs in bounds]

    def net(self, w: Floats, m: Floats, v: Floats) -> kernel.Net:
        """The kernel's argument for packed weights and both their moments."""
        places = self._first, self._inputs, self._outputs, self._rows, self._stride
        return kernel.Net(w, m, v, *places, self._classes)

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
