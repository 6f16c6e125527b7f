"""The registered models as `torch.nn.Module`: unstandardized rows or images of any size in, logits out.

Shapes: N rows or images, S image size, F features, C classes, P parameters, H height, W width.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from insects.mlp import Floats, Shape, layer_sizes, unflatten
from insects.params import TrialParams


class StandardizedMLP(nn.Module):
    """The registered model of a table search: `(x - mean) / std`, then linear layers with ReLU between them.

    **Shape**: input `(N, F)` float32, unstandardized rows; output `(N, C)` float32, logits.

    Args:
        sizes: `(inputs, outputs)` of each linear layer.
        mean_F: `(F,)` float32, mean of the training rows.
        std_F: `(F,)` float32, their standard deviation.
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
        """Logits of unstandardized rows."""
        logits_NC: torch.Tensor = self.layers((x_NF - self.mean) / self.std)
        return logits_NC


def build_module(
    weights_P: Floats, params: TrialParams, shape: Shape, mean_F: Floats, std_F: Floats
) -> StandardizedMLP:
    """Build the module of a trained network.

    Args:
        weights_P: `(P,)` float32, the flat vector of `insects.mlp`.
        params: Depth and width of the network.
        shape: Features and classes of the data.
        mean_F: `(F,)` float32, mean of the training rows.
        std_F: `(F,)` float32, their standard deviation.

    Returns:
        The module in evaluation mode. It shares no memory with the arguments.

    Raises:
        ValueError: The vector has not `insects.mlp.parameter_count(params, shape)` numbers.
    """
    module = StandardizedMLP(layer_sizes(params, shape), mean_F, std_F)
    arrays = [array for layer in unflatten(weights_P, params, shape) for array in layer]
    for parameter, array in zip(module.parameters(), arrays, strict=True):
        np.copyto(parameter.detach().numpy(), array)
    return module.eval()


class ImageFeatures(nn.Module):
    """Resize images to a square and extract their features: the pixels, or the output of a backbone.

    The middle square of an image is resized. Images of the size `(size, size)` stay as they are.

    **Shape**: input `(N, 3, H, W)` uint8 RGB of any height and width; output `(N, F)` float32. Without a backbone F is
    `3 * size * size` and the values are in 0 to 255.

    Args:
        size: Side of the square in pixels.
        backbone: A `insects.images.backbone.Backbone`, or None for the pixels themselves.
    """

    def __init__(self, size: int, backbone: nn.Module | None) -> None:
        super().__init__()
        self.size = size
        self.backbone = backbone

    def forward(self, images_N3HW: torch.Tensor) -> torch.Tensor:
        """Features of images."""
        square = _middle_square(images_N3HW).float()
        # Rounded as Pillow does in `insects.images.reading`, whose pixels the network was trained on.
        images_N3SS = nn.functional.interpolate(square, (self.size, self.size), mode="bilinear", antialias=True).round()
        if self.backbone is None:
            return images_N3SS.flatten(1)
        features_NF: torch.Tensor = self.backbone(images_N3SS)
        return features_NF


class ImageMLP(nn.Module):
    """The registered model of an image search. `torch.export` can export it as one program.

    **Shape**: input `(N, 3, H, W)` uint8 RGB of any height and width; output `(N, C)` float32, logits.

    Args:
        features: Extracts the features.
        mlp: Classifies them.
    """

    def __init__(self, features: ImageFeatures, mlp: StandardizedMLP) -> None:
        super().__init__()
        self.features = features
        self.mlp = mlp

    def forward(self, images_N3HW: torch.Tensor) -> torch.Tensor:
        """Logits of images."""
        logits_NC: torch.Tensor = self.mlp(self.features(images_N3HW))
        return logits_NC


def _middle_square(images_N3HW: torch.Tensor) -> torch.Tensor:
    """The middle squares `(N, 3, L, L)`, L the shorter side."""
    height, width = images_N3HW.shape[-2:]
    # Selected by index: with slices, an exported program would accept only wide or only high images.
    side = torch.sym_min(height, width)
    index = torch.arange(side, device=images_N3HW.device)
    return images_N3HW.index_select(2, index + (height - side) // 2).index_select(3, index + (width - side) // 2)
