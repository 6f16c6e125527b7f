"""What a search on images shows of them: some of each class, and those its best trial takes for another class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from insects import mlp
from insects.trial import TrialResult
from search.store.image_manifest import ImageRecord
from search.store.serialization import StudyData
from search.store.study_folder import StudyFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def image_figures(
    images: ImageRecord, study: StudyFolder, data: StudyData, results: Sequence[TrialResult]
) -> dict[str, Figure]:
    """Figures by file name. Images are read from their files, and black where a file is gone."""
    from insects.images.reading import read_pixels
    from insects.images.samples import SHOWN_SIZE
    from insects.plots.images import mistakes_grid, sample_grid

    sample = data.sample
    files, codes = zip(*images.samples, strict=True)
    y_N = np.repeat(np.arange(len(images.counts)), images.counts)
    pixels = read_pixels(images.path, files, SHOWN_SIZE)[0]
    figures = {"sample_images.png": sample_grid(pixels, np.array(codes), y_N, sample.classes)}
    complete = [result for result in results if result.state == "complete" and result.best_epoch]
    if complete:
        number = min(complete, key=lambda result: (result.valid_loss, result.number)).number
        best = study.load(number)
        assert best is not None, "it was there a moment ago"
        logits_VC = mlp.logits(best.weights, best.params, sample.shape, sample.valid_x)
        figures["mistakes.png"] = mistakes_grid(
            lambda rows: read_pixels(images.path, [images.valid[row] for row in rows], SHOWN_SIZE)[0],
            sample.valid_y,
            logits_VC,
            sample.classes,
            f"mistakes of trial {number}",
            "validation images",
        )
    return figures
