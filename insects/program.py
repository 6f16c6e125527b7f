"""An exported program run in NumPy: torch and `torch.export` take seconds to import, a network is a few matrices.

`torch.export` writes a zip archive: a file of raw numbers for each tensor, and a JSON file of their names and shapes.

Shapes: N rows or images, K coded columns, F inputs, C classes, P parameters, S image size.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insects.encoder import Encoder, number_columns
from insects.mlp import Floats, Shape, layer_sizes, mean_logits
from insects.params import TrialParams

Program = Callable[[Floats | NDArray[np.uint8]], Floats]
"""Takes float32 coded rows `(N, K)`, or uint8 images `(N, 3, H, W)`; returns logits `(N, C)`."""

_WEIGHTS = "data/weights/"
_LAYOUT = {"archive_version": b"0", "byteorder": b"little"}
_FLOAT32 = 7  # torch's number of the type


@dataclass(frozen=True)
class NumpyProgram:
    """`insects.model.RowMLP`, or `ImageMLP` without a backbone, in NumPy.

    Attributes:
        encoder: Makes the F inputs of the networks.
        weights: `(P,)` float32, the flat vector of `insects.mlp`, of each network.
        params: Depth and width of the networks.
        shape: F and C.
    """

    encoder: Encoder
    weights: tuple[Floats, ...]
    params: TrialParams
    shape: Shape

    def __call__(self, inputs: Floats | NDArray[np.uint8]) -> Floats:
        """Logits of coded rows `(N, K)`, or of images `(N, 3, S, S)` of the model's size.

        Returns:
            `(N, C)` float32.
        """
        raw_NK = inputs.reshape(len(inputs), -1).astype(np.float32, copy=False)
        with np.errstate(all="ignore"):  # rows far from the training rows overflow, as in torch
            return mean_logits(self.weights, self.params, self.shape, self.encoder.transform(raw_NK))


def torch_program(module: Any) -> Program:
    """Return a module of torch as a program.

    Args:
        module: The module.
    """
    import torch

    def logits(inputs: Floats | NDArray[np.uint8]) -> Floats:
        with torch.no_grad():
            logits_NC: Floats = module(torch.from_numpy(np.ascontiguousarray(inputs))).numpy()
        return logits_NC

    return logits


def read_program(path: Path, encoder: Encoder | None) -> NumpyProgram | None:
    """Read an exported `insects.model.RowMLP`, or `ImageMLP` without a backbone.

    Args:
        path: The archive.
        encoder: The encoder of a `RowMLP`; None: it is an `ImageMLP`.

    Returns:
        The program; None if only torch can run it: the archive has another layout or other tensors.

    Raises:
        zipfile.BadZipFile: The archive is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        tensors = _float_tensors(archive)
    prefix = "" if encoder is not None else "mlp."
    layers = sum(name.startswith(f"{prefix}networks.0.") and name.endswith(".weight") for name in tensors)
    networks = sum(name.startswith(f"{prefix}networks.") and name.endswith(".0.weight") for name in tensors)
    names = [
        [f"{prefix}networks.{network}.{2 * layer}.{part}" for layer in range(layers) for part in ("weight", "bias")]
        for network in range(networks)  # a ReLU is between two layers
    ]
    expected = {name for of_network in names for name in of_network}
    others = tensors.keys() - expected
    if not expected or not expected <= tensors.keys() or not all(o.startswith(f"{prefix}encoder.") for o in others):
        return None
    if encoder is None:
        mean_F, std_F = tensors["mlp.encoder.mean"], tensors["mlp.encoder.std"]
        encoder = Encoder(number_columns([""] * len(mean_F)), mean_F, (), (), None, mean_F, std_F)
    width, classes = len(tensors[names[0][1]]), len(tensors[names[0][-1]])
    params, shape = TrialParams(layers - 1, width, lr=1.0, batch_size=1), Shape(encoder.inputs, classes)
    sizes = [size for inputs, outputs in layer_sizes(params, shape) for size in ((outputs, inputs), (outputs,))]
    if any([tensors[name].shape for name in of_network] != sizes for of_network in names):
        return None
    weights = tuple(np.concatenate([tensors[name].ravel() for name in of_network]) for of_network in names)
    return NumpyProgram(encoder, weights, params, shape)


def _float_tensors(archive: zipfile.ZipFile) -> dict[str, Floats]:
    """Return the float32 tensors by name; none if the archive has another layout."""
    files = {name.partition("/")[2]: name for name in archive.namelist()}  # all are in one folder
    config = f"{_WEIGHTS}model_weights_config.json"
    if config not in files or any(archive.read(files[name]) != content for name, content in _LAYOUT.items()):
        return {}
    tensors = {}
    for name, entry in json.loads(archive.read(files[config]))["config"].items():
        meta = entry["tensor_meta"]
        if meta["dtype"] == _FLOAT32:
            content = archive.read(files[_WEIGHTS + entry["path_name"]])
            tensors[name] = np.frombuffer(content, "<f4").reshape([size["as_int"] for size in meta["sizes"]])
    return tensors
