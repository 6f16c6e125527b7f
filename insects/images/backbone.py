"""A frozen torchvision network as a feature extractor. Shapes: N images, S image size, F features."""

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

# With torchvision's weights it scales the input of these anew, and leaves out the heads that help in training alone.
_SCALED_ANEW = {"googlenet": ("aux1.", "aux2."), "inception_v3": ("AuxLogits.",)}


class Backbone(torch.nn.Module):
    """A network that ends before its last linear layer, behind the scaling of pixels that its weights are used to.

    Shape: `(N, 3, S, S)` float32 RGB in 0 to 255 to `(N, F)` float32.
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
        """Raises: DataError: the network takes no images of this size."""
        try:
            with torch.no_grad():
                self(torch.zeros(1, 3, size, size))
        except (RuntimeError, AssertionError, ValueError) as error:
            reason = " ".join(str(error).split())[:120]
            raise DataError(
                f"--backbone {self.name} takes no images of {size} by {size} pixels: {reason}; "
                f"choose another --image-size, usual for it is {self.usual_size}"
            ) from None


def backbone_names() -> list[str]:
    """The classification networks of torchvision that end in a linear layer."""
    from torchvision import models

    return [name for name in models.list_models(module=models) if not name.startswith("squeezenet")]


def weights_digest(name: str, weights: Path | None) -> str:
    """What identifies a backbone's weights: the digest of the file, or torchvision's own name for them."""
    if weights is None:
        return str(_default_weights(name))
    _check_is_file(weights)
    try:
        with open(weights, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read --weights {weights}: {error.strerror}; give a file saved by torch.save") from None


def load_backbone(name: str, weights: Path | None) -> Backbone:
    """The network without its last linear layer, in evaluation mode, no gradients.

    weights: a state dict saved by `torch.save`, whatever its last layer; None: torchvision's own are downloaded.
    Raises: DataError: no such network, no such file, a file that does not fit, or no network to download from.
    """
    default = _default_weights(name)  # holds the name to the list first
    state = _downloaded(name, default) if weights is None else _read(weights)
    network = _build(name, state)
    head = [part for part, module in network.named_modules() if isinstance(module, torch.nn.Linear)][-1]
    network.set_submodule(head, torch.nn.Identity())
    for key in [key for key in state if key.startswith((f"{head}.", *_SCALED_ANEW.get(name, ())))]:
        del state[key]  # in place: a state dict knows the versions of its modules
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"--weights {weights} does not fit --backbone {name}: {reason}; choose the pair anew") from None
    return Backbone(name, network).eval().requires_grad_(False)


def _build(name: str, state: dict[str, Any]) -> torch.nn.Module:
    """The network with its last linear layer, such as the weights are for."""
    from torchvision import models

    options: dict[str, Any] = {}
    if name in _SCALED_ANEW:
        options = {"transform_input": True, "aux_logits": False, "init_weights": False}
    positions = state.get("encoder.pos_embedding")
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
            f"--backbone must be a classification network of torchvision that ends in a linear layer, found "
            f"{shown(name)}; for example {listed(usual)}"
        )
    return models.get_model_weights(name).DEFAULT


def _read(weights: Path) -> dict[str, Any]:
    """The state dict of a file. `weights_only` builds tensors and plain containers and runs no code of the file's."""
    _check_is_file(weights)
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"cannot read --weights {weights}: {error.strerror}; give a file saved by torch.save") from None
    except (RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(
            f"--weights {weights} is no state dict of tensors: {reason}; save one by torch.save(model.state_dict(), …)"
        ) from None
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()
    ):
        raise DataError(
            f"--weights {weights} is no state dict of tensors; save one by torch.save(model.state_dict(), …)"
        )
    return state


def _check_is_file(weights: Path) -> None:
    """Raises: DataError: it is something else, a device say, that would be read without end."""
    if os.path.exists(weights) and not os.path.isfile(weights):
        raise DataError(f"--weights {weights} must be a regular file; give one saved by torch.save")


def _downloaded(name: str, weights: Any) -> dict[str, Any]:
    try:
        state: dict[str, Any] = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:  # urllib's errors are OSErrors; RuntimeError: the hash does not fit
        reason = " ".join(str(error).split())[:120]
        raise DataError(
            f"the weights of --backbone {name} cannot be downloaded: {reason}; give a file of them with --weights"
        ) from None
    return state
