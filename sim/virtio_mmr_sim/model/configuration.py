"""Configuration space of a function, as its driver reads and writes it.

What is writable comes from `virtio_mmr.layout.place`; what hardware watches is found by the names in
``view_of`` of the registers and fields (``control.…``, ``event.…``, ``live.…``).
"""

import copy
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from virtio_mmr.config.device import DeviceConfig
from virtio_mmr.layout import ConfigurationSpace
from virtio_mmr.spec.configuration import KEPT_BY_RESET, SPACE_SIZE
from virtio_mmr.spec.register import Register
from virtio_mmr.spec.sriov import SUPPORTED_PAGE_SIZES, page_bytes

#: Power states that a function has; others are not taken.
D0, D3HOT = 0, 3

#: Fields that do not take every value, or not always.
_RULED = ("control.power_state", "control.num_vfs", "control.system_page_size", "control.ari_hierarchy")

#: The data bits that byte enables select, by byte enables.
LANES = tuple(sum(0xFF << 8 * lane for lane in range(4) if be >> lane & 1) for be in range(16))


@dataclass(frozen=True)
class Bits:
    """A field's place: bits of a dword of configuration space."""

    #: Index of the dword.
    dword: int
    lsb: int
    width: int

    @property
    def mask(self) -> int:
        """The field's bits inside the dword."""
        return ((1 << self.width) - 1) << self.lsb


def _bits_by_view(registers: tuple[Register, ...]) -> dict[str, Bits]:
    """Every register or field that stands for state, by the state's name."""
    found = {}
    for register in registers:
        base = 8 * (register.offset % 4)
        if register.view_of:
            found[register.view_of] = Bits(register.offset // 4, base, register.width)
        for part in register.fields:
            if part.view_of:
                found[part.view_of] = Bits(register.offset // 4, base + part.lsb, part.width)
    return found


def _dwords(image: bytes) -> list[int]:
    return list(struct.unpack(f"<{SPACE_SIZE // 4}I", image))


class ConfigurationSpaceModel:
    """4096 bytes of the function *config* with their write rules; *layout* is what the placer makes of it."""

    def __init__(self, config: DeviceConfig, layout: ConfigurationSpace):
        self.layout = layout
        self._views = _bits_by_view(self.layout.registers)
        self._reset = _dwords(self.layout.reset_image())
        self._writable = _dwords(self.layout.write_mask())
        self._clearable = _dwords(self.layout.write_clear_mask())
        self._virtual = config.vf
        self._virtual_bars = [] if config.vf is None else [
            self._views[f"control.vf_bar{bar.index}"] for bar in config.vf.function.bars]
        self.dwords = list(self._reset)
        #: Where the data of the access window are, if there is one.
        self.window_data = next(
            (register.offset for register in self.layout.registers if register.name == "modern_access_data"), None)

    def another(self) -> "ConfigurationSpaceModel":
        """The same of another function, after reset."""
        found = copy.copy(self)
        found.reset()
        return found

    def reset(self) -> None:
        """Every register returns to its value after reset, but what a function level reset leaves alone."""
        before, self.dwords = self.dwords, list(self._reset)
        for view in KEPT_BY_RESET:
            bits = self._views.get(f"control.{view}")
            if bits is not None:
                self.dwords[bits.dword] |= before[bits.dword] & bits.mask

    def get(self, view: str) -> int:
        """The field that stands for the state *view*; 0 if this function has none."""
        bits = self._views.get(view)
        return 0 if bits is None else (self.dwords[bits.dword] & bits.mask) >> bits.lsb

    def base_address(self, index: int, wide: bool, prefix: str = "") -> int:
        """Where BAR *index* stands; *wide*: it goes on in the next register.

        With *prefix* "vf_" it is the first virtual function's.
        """
        def part(register: int) -> int:
            bits = self._views.get(f"control.{prefix}bar{register}")
            return 0 if bits is None else self.dwords[bits.dword] & bits.mask

        return part(index) | (part(index + 1) << 32 if wide else 0)

    def set_event(self, view: str) -> None:
        """Set the sticky bit *view*."""
        bits = self._views[view]
        self.dwords[bits.dword] |= bits.mask

    def read(self, offset: int, strobe: int, live: Mapping[str, bool]) -> int:
        """The enabled bytes of the dword at *offset*, zero in the others.

        Bits that are not stored here but live elsewhere are given in *live*, by view.
        """
        value = self.dwords[offset // 4]
        for view, state in live.items():
            bits = self._views[view]
            if state and bits.dword == offset // 4:
                value |= bits.mask
        return value & LANES[strobe]

    def write(self, offset: int, data: int, strobe: int) -> bool:
        """Write the enabled bytes of the dword at *offset*.

        True means that the write starts a function level reset; then nothing of it is applied.
        """
        dword = offset // 4
        enabled = LANES[strobe]
        initiate = self._views["control.initiate_reset"]
        if initiate.dword == dword and data & enabled & initiate.mask:
            return True

        writable = self._writable[dword] & enabled
        for view in _RULED:
            bits = self._views.get(view)
            if bits is not None and bits.dword == dword:
                merged = self.dwords[dword] & ~enabled | data & enabled
                if not self._takes(view, (merged & bits.mask) >> bits.lsb):
                    writable &= ~bits.mask
        cleared = data & enabled & self._clearable[dword]
        self.dwords[dword] = (self.dwords[dword] & ~writable | data & writable) & ~cleared
        # The lowest bits of a virtual function's base address are below the size of a page.
        for bits in self._virtual_bars:
            below_a_page = page_bytes(self.get("control.system_page_size")) - 1
            self.dwords[bits.dword] &= ~(bits.mask & below_a_page)
        return False

    def _takes(self, view: str, value: int) -> bool:
        """Whether a field that is choosy takes *value* now."""
        if view == "control.power_state":
            return value in (D0, D3HOT)
        if self.get("control.vf_enable"):
            return False
        if view == "control.num_vfs":
            return self._virtual is not None and value <= self._virtual.count
        if view == "control.system_page_size":
            return value.bit_count() == 1 and value & SUPPORTED_PAGE_SIZES != 0
        return True

    def image(self, live: Mapping[str, bool]) -> bytes:
        """All 4096 bytes as they read now."""
        dwords = list(self.dwords)
        for view, state in live.items():
            bits = self._views[view]
            dwords[bits.dword] |= bits.mask if state else 0
        return struct.pack(f"<{len(dwords)}I", *dwords)
