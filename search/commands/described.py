"""What can be described before a search on it, and how: a table, or a set of images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from insects.images.describe import ImageDescription, describe_images
from insects.images.features import ImageSet
from insects.spiral import builtin_tables
from insects.splits import digest_of
from insects.tables.describe import describe
from insects.tables.raw import RawTable, raw, read_raw_table
from search.reports.descriptions import write_figures, write_table, write_texts
from search.study.image_data import columns_of, read_image_set

if TYPE_CHECKING:
    from search.study.data import ImageRequest


class Described(Protocol):
    """role: what it is. source: what to call it. digest: hex SHA-256 of what it is, whatever it is called. counts: of
    it and its parts, the same for the same digest."""

    @property
    def role(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def counts(self) -> dict[str, int]: ...

    def text(self) -> str:
        """What the terminal shows."""

    def write(self, folder: Path) -> None:
        """Write text, numbers and figures into a folder, made if absent. Raises: OSError: it cannot be written."""


def read_described_table(train: Path | None, target: str, features: Sequence[str] | None) -> DescribedTable:
    """A CSV file as it is, or (target and features do not count) the built-in table.

    Raises: DataError: the file is no table, or has no such column.
    """
    return DescribedTable(raw(builtin_tables()[0]) if train is None else read_raw_table(train, target, features))


def read_described_images(request: ImageRequest, target: str, cache: Path) -> DescribedImages:
    """Annotated images; those that cannot be read are counted. cache: where a search looks for their pixels.

    Raises: DataError: the annotations are none, or no image can be read. StoreError: the cache cannot be written.
    """
    images = read_image_set(request, target, cache, skip_bad=True)
    return DescribedImages(images, describe_images(images, *columns_of(request, target)))


@dataclass(frozen=True)
class DescribedTable:
    """See `Described`."""

    table: RawTable
    role = "table"

    @property
    def source(self) -> str:
        """See `Described`."""
        return self.table.source

    @property
    def digest(self) -> str:
        """See `Described`. Cells that are missing and cells with text are both no numbers: their counts tell them."""
        table = self.table
        names = (table.features, (table.target,), table.classes)
        return digest_of(names, (table.x, table.y, table.missing, table.other))

    @property
    def counts(self) -> dict[str, int]:
        """See `Described`."""
        table = self.table
        counts = {"rows": len(table.y), "features": len(table.features), "classes": len(table.classes)}
        return counts | {"missing": int(table.missing.sum()), "not_numeric": int(table.other.sum())}

    def text(self) -> str:
        """See `Described`."""
        return describe(self.table).text()

    def write(self, folder: Path) -> None:
        """See `Described`."""
        write_table(folder, self.table)


@dataclass(frozen=True)
class DescribedImages:
    """See `Described`."""

    images: ImageSet
    description: ImageDescription
    role = "images"

    @property
    def source(self) -> str:
        """See `Described`."""
        return self.description.source

    @property
    def digest(self) -> str:
        """See `Described`. Neither names nor order count; of bad files their number does."""
        annotations, table = self.images.annotations, self.images.table
        groups = annotations.groups or [None] * len(table.y)
        labels = [table.classes[code] for code in table.y]
        rows: list[Any] = sorted(map(repr, zip(self.images.digests, labels, groups, strict=True)))
        return hashlib.sha256(repr((rows, len(self.description.bad))).encode()).hexdigest()

    @property
    def counts(self) -> dict[str, int]:
        """See `Described`."""
        description = self.description
        counts = {"images": description.images, "classes": len(description.classes)}
        return counts | {"groups": len(description.groups), "bad": len(description.bad)}

    def text(self) -> str:
        """See `Described`."""
        return self.description.text()

    def write(self, folder: Path) -> None:
        """See `Described`."""
        from insects.images.samples import choose_samples, shown_pixels
        from insects.plots.images import sample_grid

        write_texts(folder, self.description.text(), self.description.as_dict())
        images, chosen = self.images, choose_samples(self.images)
        y_N, classes = images.table.y, images.table.classes
        grid = sample_grid(shown_pixels(images, chosen), y_N[chosen], y_N, classes)
        write_figures(folder, {"sample_images.png": grid})
