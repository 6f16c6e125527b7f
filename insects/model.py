"""The registered models as `torch.nn.Module`: coded rows or images of any size in, logits out.

Shapes: N rows or images, S image size, K coded columns, V of them numbers, F inputs or features, C classes,
P parameters, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from insects.encoder import Encoder
from insects.mlp import Floats, Shape, layer_sizes, unflatten
from insects.params import TrialParams
from insects.scaling import LARGEST_Z, PiecewiseLinear, Quantile, Robust, Scaling


class RowEncoder(nn.Module):
    """`insects.encoder.Encoder.transform` in torch.

    **Shape**: input `(N, K)` float32, coded rows; output `(N, F)` float32.

    Args:
        encoder: The fitted encoder.
    """

    mean: torch.Tensor
    std: torch.Tensor
    fill: torch.Tensor
    numbers: torch.Tensor

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.is_plain, self.gaps, self.one_hots = encoder.is_plain, encoder.gaps, encoder.one_hots
        self.columns = len(encoder.columns)
        self.register_buffer("mean", torch.tensor(encoder.mean))
        self.register_buffer("std", torch.tensor(encoder.std))
        self.has_numbers = len(encoder.numbers) > 0
        if self.has_numbers:  # torch.export cannot save a tensor without numbers
            self.register_buffer("fill", torch.tensor(encoder.fill))
            self.register_buffer("numbers", torch.tensor(encoder.numbers))
        self.scaling = _scaling_module(encoder.scaling)

    def forward(self, raw_NK: torch.Tensor) -> torch.Tensor:
        """Inputs of the network."""
        if self.is_plain:
            x_NF = torch.where(raw_NK.isnan(), self.fill, raw_NK)
            return (x_NF - self.mean) / self.std
        parts = []
        if self.has_numbers:
            value_NV = raw_NK.index_select(1, self.numbers)
            value_NV = torch.where(value_NV.isnan(), self.fill, value_NV)
            parts.append(value_NV if self.scaling is None else self.scaling(value_NV))
        parts += [raw_NK[:, column : column + 1].isnan().float() for column in self.gaps]
        for one_hot in self.one_hots:
            code_N1 = raw_NK[:, one_hot.column : one_hot.column + 1]
            parts.append((code_N1 == torch.arange(one_hot.levels)).float())  # NaN equals nothing
            if one_hot.missing:
                parts.append(code_N1.isnan().float())
        x_NF = torch.cat(parts, dim=1)
        return (x_NF - self.mean) / self.std


class _Robust(nn.Module):
    """`insects.scaling.Robust` in torch."""

    centre: torch.Tensor
    factor: torch.Tensor

    def __init__(self, scaling: Robust) -> None:
        super().__init__()
        self.register_buffer("centre", torch.tensor(scaling.centre))
        self.register_buffer("factor", torch.tensor(scaling.factor))

    def forward(self, x_NV: torch.Tensor) -> torch.Tensor:
        z_NV = ((x_NV - self.centre) * self.factor).clamp(-float(LARGEST_Z), float(LARGEST_Z))
        return z_NV / torch.sqrt(1 + (z_NV / 3) ** 2)


class _Quantile(nn.Module):
    """`insects.scaling.Quantile` in torch."""

    knots: torch.Tensor
    shares: torch.Tensor

    def __init__(self, scaling: Quantile) -> None:
        super().__init__()
        largest = np.finfo(np.float32).max  # infinity would make the interpolation not a number
        self.register_buffer("knots", torch.tensor(np.minimum(scaling.knots, largest)))
        self.register_buffer("shares", torch.tensor(scaling.shares))
        self.tail = scaling.tail

    def forward(self, x_NV: torch.Tensor) -> torch.Tensor:
        x_VN = x_NV.T.contiguous()
        right_VN = torch.searchsorted(self.knots, x_VN).clamp(1, self.knots.shape[1] - 1)
        left_VN = right_VN - 1
        x0, x1 = self.knots.gather(1, left_VN), self.knots.gather(1, right_VN)
        y0, y1 = self.shares.gather(1, left_VN), self.shares.gather(1, right_VN)
        share_VN = y0 + (y1 - y0) * ((x_VN - x0) / (x1 - x0)).clamp(0, 1)
        deviates_VN: torch.Tensor = torch.special.ndtri(share_VN.clamp(self.tail, 1 - self.tail))
        return deviates_VN.T


class _PiecewiseLinear(nn.Module):
    """`insects.scaling.PiecewiseLinear` in torch."""

    columns: torch.Tensor
    left: torch.Tensor
    width: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor

    def __init__(self, scaling: PiecewiseLinear) -> None:
        super().__init__()
        for name in ("columns", "left", "width", "low", "high"):
            self.register_buffer(name, torch.tensor(getattr(scaling, name)))

    def forward(self, x_NV: torch.Tensor) -> torch.Tensor:
        share_NB = (x_NV.index_select(1, self.columns) - self.left) / self.width
        return torch.minimum(torch.maximum(share_NB, self.low), self.high)


def _scaling_module(scaling: Scaling | None) -> nn.Module | None:
    if isinstance(scaling, Robust):
        return _Robust(scaling)
    if isinstance(scaling, Quantile):
        return _Quantile(scaling)
    if isinstance(scaling, PiecewiseLinear):
        return _PiecewiseLinear(scaling)
    return None


class RowMLP(nn.Module):
    """The registered model of a table search: the encoder, then linear layers with ReLU between them.

    **Shape**: input `(N, K)` float32, coded rows; output `(N, C)` float32, logits.

    Args:
        sizes: `(inputs, outputs)` of each linear layer.
        encoder: Makes the F inputs of the first layer.
        networks: Networks of these sizes. The mean of the probabilities that they give is returned as logits.
    """

    def __init__(self, sizes: list[tuple[int, int]], encoder: Encoder, networks: int = 1) -> None:
        super().__init__()
        self.encoder = RowEncoder(encoder)
        self.networks = nn.ModuleList(_layers(sizes) for _ in range(networks))

    def forward(self, raw_NK: torch.Tensor) -> torch.Tensor:
        """Logits of coded rows."""
        x_NF = self.encoder(raw_NK)
        if len(self.networks) == 1:
            logits_NC: torch.Tensor = self.networks[0](x_NF)
            return logits_NC
        return mean_log_probabilities([network(x_NF) for network in self.networks])


def _layers(sizes: list[tuple[int, int]]) -> nn.Sequential:
    linear = [nn.Linear(inputs, outputs) for inputs, outputs in sizes]
    return nn.Sequential(*(step for layer in linear[:-1] for step in (layer, nn.ReLU())), linear[-1])


def mean_log_probabilities(logits: list[torch.Tensor]) -> torch.Tensor:
    """Logarithm of the mean of several networks' probabilities, which serves as logits.

    Args:
        logits: `(N, C)` of each network.
    """
    log_share_MNC = torch.log_softmax(torch.stack(logits), dim=-1)
    return torch.logsumexp(log_share_MNC, dim=0) - math.log(len(logits))


def build_module(weights: Sequence[Floats], params: TrialParams, shape: Shape, encoder: Encoder) -> RowMLP:
    """Build the module of one trained network, or of several with the same parameters.

    Args:
        weights: `(P,)` float32, the flat vector of `insects.mlp`, of each network.
        params: Depth and width of the networks.
        shape: Inputs and classes of the data.
        encoder: The encoder of the training data.

    Returns:
        The module in evaluation mode. It shares no memory with the arguments.

    Raises:
        ValueError: A vector has not `insects.mlp.parameter_count(params, shape)` numbers.
    """
    module = RowMLP(layer_sizes(params, shape), encoder, len(weights))
    arrays = [array for flat in weights for layer in unflatten(flat, params, shape) for array in layer]
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

    def __init__(self, features: ImageFeatures, mlp: RowMLP) -> None:
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
