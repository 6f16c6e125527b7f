"""The winner of a study as the exported program that is registered: coded rows or raw images in, logits out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from insects.errors import StoreError
from insects.model import RowMLP, build_module
from search.registry.model_table import ModelTable
from search.store.image_manifest import ImageManifest
from search.store.study_folder import StudyFolder
from search.study.winner import TrainedModel

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

_EXAMPLES = 8
_LARGEST_EXAMPLE = 224  # pixels a side: MLflow keeps two copies of an example, as text
_GRAPH = 8 << 20  # bytes of all but the tensors; those of torchvision's networks take up to 3 million


@dataclass(frozen=True)
class Program:
    """A module, and what MLflow keeps beside it.

    Attributes:
        module: The network with the preparation of its input.
        signature: The tensors of input and output.
        example: At least two of its inputs.
        classes: The class names.
        table: The columns of a table; None: it takes images.
        images: The label column, and the size and backbone of images; None: it takes rows.
    """

    module: torch.nn.Module
    signature: ModelSignature
    example: np.ndarray[Any, Any]
    classes: tuple[str, ...]
    table: ModelTable | None = None
    images: dict[str, Any] | None = None

    @property
    def metadata(self) -> dict[str, Any]:
        """What a caller needs to use it, ready for JSON."""
        of_input = {"images": self.images} if self.table is None else {"table": self.table.as_metadata()}
        return {"classes": list(self.classes), **of_input}

    @property
    def size(self) -> int:
        """An upper estimate of its bytes on the disk."""
        size: int = sum(tensor.nbytes for tensor in self.module.state_dict().values())
        return size + self.example.nbytes + _GRAPH


def build_program(folder: StudyFolder, model: TrainedModel) -> Program:
    """Build the networks with the preparation of their input.

    Args:
        folder: The study.
        model: The networks.

    Raises:
        StoreError: The study's files cannot be read, or the weights of the backbone have changed.
        DataError: The backbone cannot be loaded.
    """
    data, images = folder.data(), folder.images()
    sample = data.sample
    mlp = build_module(model.weights, model.params, sample.shape, sample.encoder)
    classes = sample.classes
    if images is not None:
        known = {"target": images.target, "size": images.size, "backbone": images.backbone}
        signature = _image_signature(len(classes))
        return Program(_image_module(images, mlp), signature, _image_example(images), classes, images=known)
    from mlflow.models import infer_signature

    manifest = folder.table()
    assert manifest is not None, "a study is on images or on a table"
    example = _at_least_two(data.train_raw[:_EXAMPLES])
    with torch.no_grad():
        signature = infer_signature(example, mlp(torch.from_numpy(example)).numpy())
    return Program(mlp, signature, example, classes, table=ModelTable.of_study(manifest, data))


def _image_module(images: ImageManifest, mlp: RowMLP) -> torch.nn.Module:
    from insects.images.backbone import load_backbone, weights_digest
    from insects.model import ImageFeatures, ImageMLP

    backbone = None
    if images.backbone is not None:
        weights = None if images.weights is None else Path(images.weights)
        if weights_digest(images.backbone, weights) != images.weights_digest:
            raise StoreError(
                f"the weights of --backbone {images.backbone} are not the ones that the study began with: restore "
                f"{images.weights or 'the version of torchvision'}, or start a new study with another --study"
            )
        backbone = load_backbone(images.backbone, weights)
    return ImageMLP(ImageFeatures(images.size, backbone), mlp).eval()


def _image_example(images: ImageManifest) -> np.ndarray[Any, Any]:
    """Validation images of the model's size, or smaller where that is large; black where a file is gone."""
    from insects.images.reading import read_pixels

    files = images.valid[:_EXAMPLES]
    return _at_least_two(read_pixels(images.path, files, min(images.size, _LARGEST_EXAMPLE))[0])


def _image_signature(classes: int) -> ModelSignature:
    """Any number of images of any height and width."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    images = TensorSpec(np.dtype(np.uint8), (-1, 3, -1, -1))
    return ModelSignature(Schema([images]), Schema([TensorSpec(np.dtype(np.float32), (-1, classes))]))


def _at_least_two(example: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """torch.export takes a batch of one for a constant."""
    return np.repeat(example, 2, axis=0) if len(example) < 2 else example
