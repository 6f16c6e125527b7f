"""Description of annotated images: classes, groups, sizes, formats, duplicate and bad files."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from insects.images.features import ImageSet
from insects.text import aligned, and_more, counted, share, shortened

_CLASSES, _GROUPS, _SIZES, _BAD = 20, 20, 8, 10  # lines of each list in the text


@dataclass(frozen=True)
class ImageDescription:
    """The description of a set of annotated images. Bad images count in `bad` only.

    Attributes:
        source: Name of the annotations file.
        folder: The image folder.
        images: Number of images.
        target: Name of the label column.
        group: Name of the group column; None: no groups.
        classes: Name, number of images and number of groups (0 without groups) of each class.
        groups: Name, class and number of images of each group.
        sizes: Size, for example `1200 x 900`, and number of images that have it, the most frequent first.
        kinds: Format and colour mode, for example `JPEG, RGB`, likewise.
        size: Bytes of all images.
        copies: Images whose file is identical to that of another image.
        bad: One message for each image that cannot be read.
    """

    source: str
    folder: str
    images: int
    target: str
    group: str | None
    classes: tuple[tuple[str, int, int], ...]
    groups: tuple[tuple[str, str, int], ...]
    sizes: tuple[tuple[str, int], ...]
    kinds: tuple[tuple[str, int], ...]
    size: int
    copies: int
    bad: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The description as a dictionary that `json.dumps` accepts."""
        return {
            **asdict(self),
            "classes": {name: {"images": images, "groups": groups} for name, images, groups in self.classes},
            "groups": {name: {"class": label, "images": images} for name, label, images in self.groups},
            "sizes": dict(self.sizes),
            "kinds": dict(self.kinds),
        }

    def text(self) -> str:
        """The description as plain text; long lists end with "… and 5 more"."""
        counts = [(self.images, "image"), (len(self.classes), "class")]
        counts += [(len(self.groups), "group")] if self.group else []
        head = [f"{self.source}, images in {self.folder}", ", ".join(counted(*count) for count in counts)]
        parts = [head, self._class_lines(), self._group_lines(), self._shape_lines(), self._file_lines()]
        return "\n\n".join("\n".join(lines) for lines in parts if lines)

    def _class_lines(self) -> list[str]:
        rows = [
            (shortened(name), f"{images:,}", share(images, self.images), *([f"{groups:,}"] if self.group else []))
            for name, images, groups in self.classes[:_CLASSES]
        ]
        heading = (f"class ({shortened(self.target)})", "images", "share", *(["groups"] if self.group else []))
        return aligned([heading, *rows]) + and_more(len(self.classes) - _CLASSES, "classes")

    def _group_lines(self) -> list[str]:
        if self.group is None:
            return []
        rows = [(shortened(name), shortened(label), f"{images:,}") for name, label, images in self.groups[:_GROUPS]]
        heading = (f"group ({shortened(self.group)})", "class", "images")
        return aligned([heading, *rows]) + and_more(len(self.groups) - _GROUPS, "groups")

    def _shape_lines(self) -> list[str]:
        rows = [(name, f"{images:,}") for name, images in (*self.sizes[:_SIZES], *self.kinds[:_SIZES])]
        return aligned([("pixels, format", "images"), *rows]) + and_more(len(self.sizes) - _SIZES, "sizes")

    def _file_lines(self) -> list[str]:
        lines = [
            f"bytes: {self.size:,}, {self.size // self.images:,} per image",
            f"images with identical files: {self.copies or 'none'}",
            f"bad images, not counted above: {len(self.bad) or 'none'}",
        ]
        return lines + [f"  {line}" for line in self.bad[:_BAD]] + and_more(len(self.bad) - _BAD, "bad images")


def describe_images(images: ImageSet, target: str, group: str | None) -> ImageDescription:
    """Describe a set of images.

    Args:
        images: The images.
        target: Name of the label column.
        group: Name of the group column; None: no groups.

    Returns:
        The description.
    """
    annotations, classes = images.annotations, images.table.classes
    labels = [classes[code] for code in images.table.y]
    groups = Counter(zip(annotations.groups or (), labels, strict=False))
    groups_a_class = Counter(label for _, label in groups)
    copies = Counter(images.digests)
    return ImageDescription(
        source=annotations.source,
        folder=str(annotations.folder),
        images=len(labels),
        target=target,
        group=group,
        classes=tuple(
            (name, int(count), groups_a_class[name])
            for name, count in zip(classes, np.bincount(images.table.y, minlength=len(classes)), strict=True)
        ),
        groups=tuple((name, label, count) for (name, label), count in sorted(groups.items())),
        sizes=tuple(Counter(f"{file.width} x {file.height}" for file in images.files).most_common()),
        kinds=tuple(Counter(file.kind for file in images.files).most_common()),
        size=sum(file.size for file in images.files),
        copies=sum(count for count in copies.values() if count > 1),
        bad=images.skipped,
    )
