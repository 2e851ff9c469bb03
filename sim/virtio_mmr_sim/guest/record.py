"""What a guest does to a device, access by access, as lines of JSON.

The first line describes the device; each other line is one access to configuration space or a BAR, or
an interrupt that the guest was given.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .designs import Show
from .vfio_user import CONFIG_REGION, PciDevice

#: What the first line says: a name for the guest, what it was shown, and the device file.
_ABOUT = ("guest", "show", "device")

#: Longest access that is written down; QEMU reads all of configuration space at once before the guest runs.
_MOST = 8


@dataclass(frozen=True)
class Access:
    """One access; *region* is a BAR's index or `CONFIG_REGION`, *value* what was read or written."""

    write: bool
    region: int
    offset: int
    size: int
    value: int


@dataclass(frozen=True)
class Interrupt:
    """The guest was told of a vector's message, or with None of its line."""

    vector: int | None


Event = Access | Interrupt


class Recorder:
    """Stands between the server and *device*, counts accesses, and keeps them if it is to *keep* them."""

    def __init__(self, device: PciDevice, *, keep: bool = False):
        self._device, self._keep = device, keep
        self.regions, self.vectors, self.has_line = device.regions, device.vectors, device.has_line
        self.counts: Counter[str] = Counter()
        self.events: list[Event] = []

    def _note(self, write: bool, region: int, offset: int, data: bytes) -> None:
        self.counts[f"{'configuration' if region == CONFIG_REGION else 'BAR'} {'writes' if write else 'reads'}"] += 1
        if self._keep and len(data) <= _MOST:
            self.events.append(Access(write, region, offset, len(data), int.from_bytes(data, "little")))

    def region_read(self, region: int, offset: int, size: int) -> bytes:
        """Read bytes of a region."""
        data = self._device.region_read(region, offset, size)
        self._note(False, region, offset, data)
        return data

    def region_write(self, region: int, offset: int, data: bytes) -> None:
        """Write bytes of a region."""
        self._note(True, region, offset, data)
        self._device.region_write(region, offset, data)

    def told(self, vector: int | None) -> None:
        """The guest was told of an interrupt."""
        if self._keep:
            self.events.append(Interrupt(vector))

    def set_line(self, descriptor: int | None) -> None:
        """The line is to be signalled here, or nowhere any more."""
        self._device.set_line(descriptor)

    def mask_line(self, masked: bool) -> None:
        """The client does not want to hear of the line, or does again."""
        self._device.mask_line(masked)

    def set_vectors(self, start: int, descriptors: Sequence[int | None]) -> None:
        """From *start* on, vectors are to be signalled here, or nowhere any more."""
        self._device.set_vectors(start, descriptors)

    def reset(self) -> None:
        """As after power-up."""
        self._device.reset()


def save(path: Path, about: Mapping[str, Any], events: Sequence[Event]) -> None:
    """Write a recording; *about* is its first line."""
    with path.open("w") as file:
        print(json.dumps(about), file=file)
        for event in events:
            match event:
                case Interrupt(vector):
                    row: dict[str, object] = {"interrupt": "line" if vector is None else vector}
                case Access(write, region, offset, size, value):
                    row = {"op": "w" if write else "r", "at": "config" if region == CONFIG_REGION else f"bar{region}",
                           "offset": hex(offset), "size": size, "value": hex(value)}
            print(json.dumps(row), file=file)


class NoRecording(ValueError):
    """The file is no recording; the text says where it goes wrong."""


def load(path: Path) -> tuple[dict[str, Any], list[Event]]:
    """What `save` has written.

    Raises
    ------
    NoRecording
        If the file is something else.
    """
    try:
        first, *rows = path.read_text().splitlines()
        about = json.loads(first)
        for name in _ABOUT:
            if not isinstance(about, dict) or not isinstance(about.get(name), str):
                raise ValueError(f"its first line says no {name}")
        Show(about["show"])
        return about, [_event(json.loads(row)) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoRecording(f"{path} is no recording ({error}); one is what `vmmr guest ... --record FILE` writes"
                          ) from None


def _event(row: Mapping[str, Any]) -> Event:
    if "interrupt" in row:
        return Interrupt(None if row["interrupt"] == "line" else row["interrupt"])
    region = CONFIG_REGION if row["at"] == "config" else int(row["at"].removeprefix("bar"))
    return Access(row["op"] == "w", region, int(row["offset"], 16), int(row["size"]), int(row["value"], 16))


def accesses(events: Sequence[Event]) -> Iterator[Access]:
    """The accesses alone."""
    return (event for event in events if isinstance(event, Access))
