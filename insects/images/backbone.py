"""A frozen torchvision network as a feature extractor."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import torch

from insects.errors import DataError
from insects.messages import listed, shown


def backbone_names() -> list[str]:
    """The classification networks of torchvision that end in a linear layer."""
    from torchvision import models

    return [name for name in models.list_models(module=models) if not name.startswith(("squeezenet", "inception"))]


def weights_digest(name: str, weights: Path | None) -> str:
    """What identifies a backbone's weights: the digest of the file, or torchvision's own name for them."""
    if weights is None:
        return str(_default_weights(name))
    try:
        with open(weights, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read --weights {weights}: {error.strerror}; give a file saved by torch.save") from None


def load_backbone(name: str, weights: Path | None) -> torch.nn.Module:
    """The network without its last linear layer, in evaluation mode, no gradients: images to features `(N, F)`.

    weights: a state dict saved by `torch.save`, whatever its last layer; None: torchvision's own are downloaded.
    Raises: DataError: no such network, no such file, a file that does not fit, or no network to download from.
    """
    from torchvision import models

    default = _default_weights(name)  # holds the name to the list first
    network: torch.nn.Module = models.get_model(name, weights=None)
    head = [part for part, module in network.named_modules() if isinstance(module, torch.nn.Linear)][-1]
    network.set_submodule(head, torch.nn.Identity())
    state = _downloaded(name, default) if weights is None else _read(weights)
    body = {key: value for key, value in state.items() if key.rpartition(".")[0] != head}
    try:
        network.load_state_dict(body)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"--weights {weights} does not fit --backbone {name}: {reason}; choose the pair anew") from None
    return network.eval().requires_grad_(False)


def _default_weights(name: str) -> Any:
    from torchvision import models

    names = backbone_names()
    if name not in names:
        usual = [known for known in ("resnet18", "resnet50", "mobilenet_v3_small", "convnext_tiny") if known in names]
        raise DataError(
            f"--backbone must be a classification network of torchvision, found {shown(name)}; for example "
            f"{listed(usual)}"
        )
    return models.get_model_weights(name).DEFAULT


def _read(weights: Path) -> dict[str, Any]:
    """The state dict of a file. `weights_only` builds tensors and plain containers and runs no code of the file's."""
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"cannot read --weights {weights}: {error.strerror}; give a file saved by torch.save") from None
    except (RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(
            f"--weights {weights} is no state dict of tensors: {reason}; save one by torch.save(model.state_dict(), …)"
        ) from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise DataError(
            f"--weights {weights} is no state dict of tensors; save one by torch.save(model.state_dict(), …)"
        )
    return state


def _downloaded(name: str, weights: Any) -> dict[str, Any]:
    try:
        state: dict[str, Any] = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:  # urllib's errors are OSErrors; RuntimeError: the hash does not fit
        reason = " ".join(str(error).split())[:120]
        raise DataError(
            f"the weights of --backbone {name} cannot be downloaded: {reason}; give a file of them with --weights"
        ) from None
    return state
