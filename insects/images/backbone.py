"""Frozen torchvision networks as feature extractors.

Shapes: N images, S image size, F features.
"""

from __future__ import annotations

import hashlib
import math
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from insects.errors import DataError
from insects.text import listed, shown

# With its own weights, torchvision builds these networks with another scaling of the input (`transform_input`) and
# without the auxiliary heads, which only serve training. The values are the beginnings of the heads' keys.
_TRANSFORMED_INPUT = {"googlenet": ("aux1.", "aux2."), "inception_v3": ("AuxLogits.",)}


class Backbone(torch.nn.Module):
    """The normalization of pixels that a network was trained with, then the network without its last linear layer.

    **Shape**: input `(N, 3, S, S)` float32 RGB in 0 to 255; output `(N, F)` float32.

    Args:
        name: The network's name in torchvision.
        network: The network; its last linear layer is already removed.
    """

    def __init__(self, name: str, network: torch.nn.Module) -> None:
        super().__init__()
        self.name = name
        self.network = network
        usual = _default_weights(name).transforms()
        self.usual_size = int(getattr(network, "image_size", usual.crop_size[0]))
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", 255 * torch.tensor(usual.mean).reshape(3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(usual.std).reshape(3, 1, 1))

    def forward(self, images_N3SS: torch.Tensor) -> torch.Tensor:
        """Features of images."""
        features_NF: torch.Tensor = self.network((images_N3SS - self.mean) / self.std)
        return features_NF.flatten(1)

    def check_size(self, size: int) -> None:
        """Check that the network accepts images of `size` by `size` pixels.

        Raises:
            DataError: It does not.
        """
        try:
            with torch.no_grad():
                self(torch.zeros(1, 3, size, size))
        except (RuntimeError, AssertionError, ValueError) as error:
            reason = " ".join(str(error).split())[:120]
            raise DataError(
                f"the backbone {self.name} takes no images of {size} by {size} pixels: {reason}; "
                f"choose another image size, usual for it is {self.usual_size}",
                parameter="image_size",
            ) from None


def backbone_names() -> list[str]:
    """Names of torchvision's classification networks that end in a linear layer."""
    from torchvision import models

    # SqueezeNet ends in a convolution.
    return [name for name in models.list_models(module=models) if not name.startswith("squeezenet")]


def weights_digest(name: str, weights: Path | None) -> str:
    """Identify the weights of a backbone.

    Args:
        name: The network's name in torchvision.
        weights: The file of the weights; None: torchvision's own.

    Returns:
        Hex SHA-256 of the file, or torchvision's name of its weights.

    Raises:
        DataError: There is no such network, or the file cannot be read.
    """
    if weights is None:
        return str(_default_weights(name))
    _check_is_file(weights)
    try:
        with open(weights, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(weights, error) from None


def load_backbone(name: str, weights: Path | None) -> Backbone:
    """Load a network as a feature extractor.

    Args:
        name: The network's name in torchvision.
        weights: A state dict saved by `torch.save`, with a last layer of any size; None: download torchvision's own.

    Returns:
        The network without its last linear layer, in evaluation mode, without gradients.

    Raises:
        DataError: There is no such network, the file cannot be read or does not fit, or the download fails.
    """
    default = _default_weights(name)  # also checks the name
    state = _downloaded(name, default) if weights is None else _read(weights)
    network = _build(name, state)
    head = [part for part, module in network.named_modules() if isinstance(module, torch.nn.Linear)][-1]
    network.set_submodule(head, torch.nn.Identity())
    for key in [key for key in state if key.startswith((f"{head}.", *_TRANSFORMED_INPUT.get(name, ())))]:
        del state[key]  # in place: a new dict would lose the `_metadata` attribute with the version of each module
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise DataError(
            f"the weights {weights} do not fit the backbone {name}: {reason}; choose others", parameter="weights"
        ) from None
    return Backbone(name, network).eval().requires_grad_(False)


def _build(name: str, state: dict[str, Any]) -> torch.nn.Module:
    """Build the network that fits the weights, with its last linear layer."""
    from torchvision import models

    options: dict[str, Any] = {}
    if name in _TRANSFORMED_INPUT:
        options = {"transform_input": True, "aux_logits": False, "init_weights": False}
    positions = state.get("encoder.pos_embedding")  # (1, patches + 1, width): fixes the image size of the network
    if name.startswith("vit_") and positions is not None and positions.ndim == 3:
        patches, patch = max(positions.shape[1] - 1, 1), int(name.rpartition("_")[2])  # vit_b_16: a patch of 16 pixels
        options["image_size"] = math.isqrt(patches) * patch
    network: torch.nn.Module = models.get_model(name, weights=None, **options)
    return network


def _default_weights(name: str) -> Any:
    from torchvision import models

    names = backbone_names()
    if name not in names:
        usual = [known for known in ("resnet18", "resnet50", "mobilenet_v3_small", "convnext_tiny") if known in names]
        raise DataError(
            "the backbone must be a classification network of torchvision that ends in a linear layer, found "
            f"{shown(name)}; choose for example {listed(usual)}",
            parameter="backbone",
        )
    return models.get_model_weights(name).DEFAULT


def _read(weights: Path) -> dict[str, Any]:
    """Read a state dict. With `weights_only`, torch builds only tensors and plain containers and runs no code."""
    _check_is_file(weights)
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except OSError as error:
        raise _unreadable(weights, error) from None
    except (RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:120]
        raise _no_state_dict(weights, f": {reason}") from None
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()
    ):
        raise _no_state_dict(weights)
    return state


def _unreadable(weights: Path, error: OSError) -> DataError:
    return DataError(
        f"cannot read the weights {weights}: {error.strerror}; choose a file saved by torch.save", parameter="weights"
    )


def _no_state_dict(weights: Path, reason: str = "") -> DataError:
    return DataError(
        f"the weights {weights} must be a state dict of tensors{reason}; save one by torch.save(model.state_dict(), …)",
        parameter="weights",
    )


def _check_is_file(weights: Path) -> None:
    """Refuse devices, for example: /dev/zero never ends."""
    if os.path.exists(weights) and not os.path.isfile(weights):
        raise DataError(
            f"the weights {weights} must be a regular file; choose one saved by torch.save", parameter="weights"
        )


def _downloaded(name: str, weights: Any) -> dict[str, Any]:
    try:
        state: dict[str, Any] = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:  # OSError of urllib; RuntimeError of torch.hub if the hash is wrong
        reason = " ".join(str(error).split())[:120]
        raise DataError(
            f"the weights of the backbone {name} cannot be downloaded: {reason}; choose a file of weights",
            parameter="weights",
        ) from None
    return state
