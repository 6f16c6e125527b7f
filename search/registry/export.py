"""A finished trial as the program that is registered: what the user has goes in, logits come out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from insects.errors import StoreError
from insects.model import StandardizedMLP, build_module
from insects.trial import TrialResult
from search.store.image_manifest import ImageRecord
from search.store.study_folder import StudyFolder

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

_EXAMPLES = 8
_LARGEST_EXAMPLE = 224  # pixels a side: MLflow keeps an example twice, as text
_GRAPH = 8 << 20  # bytes of all but the tensors; those of torchvision's networks take up to 3 million


@dataclass(frozen=True)
class Program:
    """A module with all that MLflow wants to know of it. example: at least two of its inputs. about: what a person
    needs to use it."""

    module: torch.nn.Module
    signature: ModelSignature
    example: np.ndarray[Any, Any]
    about: dict[str, Any]

    @property
    def size(self) -> int:
        """About how many bytes it takes on the disk, rather too many."""
        size: int = sum(tensor.nbytes for tensor in self.module.state_dict().values())
        return size + self.example.nbytes + _GRAPH


def build_program(folder: StudyFolder, result: TrialResult) -> Program:
    """The trial's network behind the preparation of its input.

    Raises: StoreError: the study's files cannot be read. DataError: the backbone is not to be had.
    """
    data, images = folder.data(), folder.images()
    sample = data.sample
    mlp = build_module(result.weights, result.params, sample.shape, sample.mean, sample.std)
    classes = list(sample.classes)
    if images is not None:
        example = _image_example(images)
        about = {"features": [], "classes": classes, "images": {"size": images.size, "backbone": images.backbone}}
        return Program(_image_module(images, mlp), _image_signature(len(classes)), example, about)
    from mlflow.models import infer_signature

    example = _at_least_two(data.held_out.x[:_EXAMPLES])
    with torch.no_grad():
        signature = infer_signature(example, mlp(torch.from_numpy(example)).numpy())
    return Program(mlp, signature, example, {"features": list(sample.features), "classes": classes})


def _image_module(images: ImageRecord, mlp: StandardizedMLP) -> torch.nn.Module:
    from insects.images.backbone import load_backbone, weights_digest
    from insects.model import ImageFeatures, ImageMLP

    backbone = None
    if images.backbone is not None:
        weights = None if images.weights is None else Path(images.weights)
        if weights_digest(images.backbone, weights) != images.weights_digest:
            raise StoreError(
                f"the weights of --backbone {images.backbone} are not those that the study began with: restore "
                f"{images.weights or 'the version of torchvision'}, or start a new study with another --study"
            )
        backbone = load_backbone(images.backbone, weights)
    return ImageMLP(ImageFeatures(images.size, backbone), mlp).eval()


def _image_example(images: ImageRecord) -> np.ndarray[Any, Any]:
    """Held-out images of the stated size, or smaller where that is large; black where a file is gone."""
    from insects.images.reading import read_pixels

    files = [name for name, _ in images.test[:_EXAMPLES]]
    return _at_least_two(read_pixels(images.path, files, min(images.size, _LARGEST_EXAMPLE))[0])


def _image_signature(classes: int) -> ModelSignature:
    """Any number of images of any height and width."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    images = TensorSpec(np.dtype(np.uint8), (-1, 3, -1, -1))
    return ModelSignature(Schema([images]), Schema([TensorSpec(np.dtype(np.float32), (-1, classes))]))


def _at_least_two(example: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The exporter takes a batch of one for a constant."""
    return np.repeat(example, 2, axis=0) if len(example) < 2 else example
