"""Holds a generated C header against the kernel's: a compiler decides whether the numbers agree.

Registers are compared by the names that `virtio_mmr.spec` records for Linux; feature bits, ids and
the layout of device configuration by Linux's own naming rules.
"""

import re
import subprocess

from virtio_mmr.spec import legacy, modern

from virtio_mmr_sim import toolchain

_INCLUDES = ("virtio_pci", "virtio_ids", "virtio_config", "virtio_ring", "virtio_net", "virtio_blk",
             "virtio_console")

#: Beginnings of our feature names, and of Linux's.
_FEATURES = {"NET_": "VIRTIO_NET_F_", "BLK_": "VIRTIO_BLK_F_", "CONSOLE_": "VIRTIO_CONSOLE_F_",
             "RING_": "VIRTIO_RING_F_", "": "VIRTIO_F_"}

#: Device types by virtio id: the rest of Linux's name for the id, and the structure of its configuration.
_TYPES = {1: ("NET", "virtio_net_config"), 2: ("BLOCK", "virtio_blk_config"),
          3: ("CONSOLE", "virtio_console_config"), 4: ("RNG", "")}

#: Configuration fields whose names in Linux are others; None for padding, which is not compared.
_MEMBERS = {"cylinders": "geometry.cylinders", "heads": "geometry.heads", "sectors": "geometry.sectors",
            "writeback": "wce", "unused0": None, "unused1": None}


class HeaderMismatch(AssertionError):
    """The header does not compile, or contradicts the kernel's; the text is the compiler's."""


def macros(header: str) -> dict[str, str]:
    """Names and values that *header* defines, those with parameters left out."""
    return dict(re.findall(r"^#define (VMMR_\w+) +(\S.*)$", header, re.MULTILINE))


def _equal(ours: str, linux: str) -> str:
    return f'_Static_assert(({ours}) == ({linux}), "{ours} is not {linux}");'


def _if_known(linux: str, ours: str) -> list[str]:
    """Compare only if the kernel's header has the macro: older ones lack the newer features."""
    return [f"#ifdef {linux}", _equal(ours, linux), "#endif"]


def assertions(header: str) -> list[str]:
    """C lines that compare what *header* defines with the kernel's headers."""
    names = macros(header)
    lines = [
        _equal(f"VMMR_LEGACY_{register.name.upper()}_OFFSET", register.aliases["linux"])
        for register in legacy.HEADER if "linux" in register.aliases
    ]
    lines += [
        line for register in modern.COMMON if f"VMMR_COMMON_{register.name.upper()}_OFFSET" in names
        for line in _if_known(register.aliases["linux"], f"VMMR_COMMON_{register.name.upper()}_OFFSET")
    ]
    lines += [
        _equal(f"VMMR_LEGACY_CONFIG_OFFSET({enabled})", f"VIRTIO_PCI_CONFIG_OFF({enabled})") for enabled in (0, 1)
    ]
    kind, structure = _TYPES[int(names["VMMR_SUBSYSTEM_ID"], 0)]
    lines.append(_equal("VMMR_SUBSYSTEM_ID", f"VIRTIO_ID_{kind}"))
    for name in names:
        if feature := re.fullmatch(r"VMMR_FEATURE_(\w+)", name):
            start = next(start for start in _FEATURES if feature[1].startswith(start))
            lines += _if_known(_FEATURES[start] + feature[1].removeprefix(start), name)
        if field := re.fullmatch(r"VMMR_CONFIG_(\w+)_OFFSET", name):
            member = _MEMBERS.get(field[1].lower(), field[1].lower())
            if member is not None:
                lines.append(_equal(name, f"offsetof(struct {structure}, {member})"))
                lines.append(_equal(f"VMMR_CONFIG_{field[1]}_SIZE", f"sizeof(((struct {structure} *)0)->{member})"))
    return lines


def check(header: str) -> int:
    """Compile *header* with its assertions; how many there were.

    Raises
    ------
    HeaderMismatch
        If the compiler refuses it: the message names macros and values.
    virtio_mmr_sim.toolchain.ToolMissing
        If there is no C compiler.
    """
    lines = assertions(header)
    source = "\n".join([
        "#include <stddef.h>", *(f"#include <linux/{name}.h>" for name in _INCLUDES), header, header, *lines, ""])
    done = subprocess.run(
        [*toolchain.require("gcc").command, "-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror",
         "-fsyntax-only", "-x", "c", "-"],
        input=source, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HeaderMismatch(done.stderr)
    return sum(line.startswith("_Static_assert") for line in lines)
