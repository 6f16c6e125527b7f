"""The `torch.nn.Module` that is registered: raw rows or raw images in, logits out.

Shapes: N rows or images, S image size, F features, C classes.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as nn_functional
from torch import nn

from insects.mlp import Floats, Shape, layer_sizes, unflatten
from insects.params import TrialParams


class StandardizedMLP(nn.Module):
    """`(x - mean) / std`, then linear layers with ReLU between them.

    **Shape**: input `(N, F)` float32, raw rows; output `(N, C)` float32, logits.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, sizes: list[tuple[int, int]], mean_F: Floats, std_F: Floats) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean_F))
        self.register_buffer("std", torch.tensor(std_F))
        linear = [nn.Linear(inputs, outputs) for inputs, outputs in sizes]
        self.layers = nn.Sequential(*(step for layer in linear[:-1] for step in (layer, nn.ReLU())), linear[-1])

    def forward(self, x_NF: torch.Tensor) -> torch.Tensor:
        logits_NC: torch.Tensor = self.layers((x_NF - self.mean) / self.std)
        return logits_NC


def build_module(
    weights_P: Floats, params: TrialParams, shape: Shape, mean_F: Floats, std_F: Floats
) -> StandardizedMLP:
    """The network with these flat weights, in evaluation mode, its tensors in memory of their own.

    Args: mean_F, std_F: `(F,)` float32, what the training rows were standardized by.
    Raises: ValueError: the weights are not `insects.mlp.parameter_count(params, shape)` numbers.
    """
    module = StandardizedMLP(layer_sizes(params, shape), mean_F, std_F)
    arrays = [array for layer in unflatten(weights_P, params, shape) for array in layer]
    for parameter, array in zip(module.parameters(), arrays, strict=True):
        np.copyto(parameter.detach().numpy(), array)
    return module.eval()


class ImageFeatures(torch.nn.Module):
    """Brings images to the stated size and takes their features: the pixels, or what a backbone makes of them.

    backbone: as `insects.images.backbone.Backbone`.
    Shape: `(N, 3, H, W)` uint8 RGB, of any height and width, to `(N, F)` float32; F is `3 * size * size` for pixels in
    0 to 255. Of other shapes the middle square is resized; images of the stated size stay as they are.
    """

    def __init__(self, size: int, backbone: torch.nn.Module | None) -> None:
        super().__init__()
        self.size = size
        self.backbone = backbone

    def forward(self, images_N3HW: torch.Tensor) -> torch.Tensor:
        """Features of raw images."""
        square = _middle_square(images_N3HW).float()
        images_N3SS = nn_functional.interpolate(square, (self.size, self.size), mode="bilinear", antialias=True).round()
        if self.backbone is None:
            return images_N3SS.flatten(1)
        features_NF: torch.Tensor = self.backbone(images_N3SS)
        return features_NF


class ImageMLP(torch.nn.Module):
    """The registered model of an image search.

    Shape: `(N, 3, H, W)` uint8 to `(N, C)` float32 logits. Exports as one `torch.export` program.
    """

    def __init__(self, features: ImageFeatures, mlp: StandardizedMLP) -> None:
        super().__init__()
        self.features = features
        self.mlp = mlp

    def forward(self, images_N3HW: torch.Tensor) -> torch.Tensor:
        """Logits of raw images."""
        logits_NC: torch.Tensor = self.mlp(self.features(images_N3HW))
        return logits_NC


def _middle_square(images_N3HW: torch.Tensor) -> torch.Tensor:
    """`(N, 3, L, L)`, L the shorter side. By index: slices would bind an exported program to wide or to high images."""
    height, width = images_N3HW.shape[-2:]
    side = torch.sym_min(height, width)
    index = torch.arange(side, device=images_N3HW.device)
    return images_N3HW.index_select(2, index + (height - side) // 2).index_select(3, index + (width - side) // 2)
