"""Every rule of the device file has a message, and the message says where, what, why and how to go on."""

from pathlib import Path

import pytest
from virtio_mmr.config import ConfigError, load, loads, remarks
from virtio_mmr.config.device import Bar, BarKind, Control, Datapath, Identity, Region, Requester, Space
from virtio_mmr.export.device_file import completed
from virtio_mmr.spec.device_types import DEVICE_TYPES

NET = '[device]\nkind = "net"\n'
PORTS = 'kind = "net"\nidentity = "legacy-io"'
MEMORY = 'kind = "net"\nidentity = "legacy-memory"'

LEGACY = '{ space = "legacy", offset = 0, size = 0x1000 }'
CONTROL = '{ space = "control", offset = 0x1000, size = 0x1000 }'
LEGACY_PORTS = '{ space = "legacy", offset = 0, size = 0x24 }'


def bars(*regions, kind="memory64", index=0, more="", device='kind = "net"', rest=""):
    """A device file with one BAR."""
    return (
        f'[device]\n{device}\n[bars.{index}]\nkind = "{kind}"\n{more}regions = [{", ".join(regions)}]\n{rest}'
    )


#: For each mistake a file that makes it, and what is said about it.
MISTAKES = {
    "not_toml": (
        "device = \n",
        "is not valid TOML: Invalid value (at line 1, column 10); correct that line",
    ),
    "unknown_section": (
        '[devices]\nkind = "net"\n',
        "devices: unknown key; a device file has schema, device, features, queues, interrupts, bars, "
        'config, capabilities, control, datapath, requester, vf; did you mean "device"?',
    ),
    "section_not_a_table": (
        "device = 3\n",
        "device = 3: a table is expected here; write { key = value }",
    ),
    "schema": (
        "schema = 2\n" + NET,
        "schema = 2: this version reads schema 1; write schema = 1",
    ),
    "no_device": (
        "schema = 1\n",
        'device: missing; write device = { kind = "net" }',
    ),
    "no_kind": (
        "[device]\n",
        'device.kind: missing; write kind = "net"',
    ),
    "unknown_key": (
        '[device]\nkind = "net"\nidentty = "mmr"\n',
        "device.identty: unknown key; [device] has kind, identity, profile, revision, serial; did "
        'you mean "identity"?',
    ),
    "kind_unknown": (
        '[device]\nkind = "network"\n',
        'device.kind = "network": must be "net", "block", "console" or "rng"; did you mean "net"?',
    ),
    "kind_number": (
        "[device]\nkind = 5\n",
        'device.kind = 5: device types by number are not built yet; write "net", "block", "console" or "rng"',
    ),
    "kind_type": (
        "[device]\nkind = true\n",
        'device.kind = true: a string is expected here; write kind = "net"',
    ),
    "identity": (
        '[device]\nkind = "net"\nidentity = "legacy_io"\n',
        'device.identity = "legacy_io": must be "mmr", "legacy-memory" or "legacy-io"; did you mean '
        '"legacy-io"?',
    ),
    "identity_modern": (
        '[device]\nkind = "net"\nidentity = "modern"\n',
        'device.identity = "modern": a device with only the modern interface is not built yet; write '
        'identity = "mmr"',
    ),
    "profile": (
        NET + 'profile = "mmr-v2"\n',
        'device.profile = "mmr-v2": must be "mmr-v1"; did you mean "mmr-v1"?',
    ),
    "revision_range": (
        NET + "revision = 256\n",
        "device.revision = 256: must be from 0 to 255; write 255 or a number between the two",
    ),
    "revision_type": (
        NET + 'revision = "1"\n',
        'device.revision = "1": a whole number is expected here; write a number from 0 to 255',
    ),
    "revision_transitional": (
        NET + 'identity = "legacy-memory"\nrevision = 1\n',
        'device.revision = 1: identity "legacy-memory" is a transitional device, whose revision is '
        "0; write revision = 0, or leave it out",
    ),
    "serial": (
        NET + "serial = -1\n",
        "device.serial = -1: must be from 0 to 18446744073709551615; write 0 or a number between the two",
    ),
    "offer_type": (
        NET + '[features]\noffer = "NET_MAC"\n',
        'features.offer = "NET_MAC": a list is expected here; write offer = [...]',
    ),
    "offer_number": (
        NET + "[features]\noffer = [5]\n",
        'features.offer[0] = 5: features are given by name; write "NET_MAC", not 5',
    ),
    "offer_unknown": (
        NET + '[features]\noffer = ["NET_MACS"]\n',
        'features.offer[0] = "NET_MACS": no feature of "net"; it may offer NET_CSUM, NET_GUEST_CSUM, '
        "NET_CTRL_GUEST_OFFLOADS, NET_MTU, NET_MAC, NET_GSO, NET_GUEST_TSO4, NET_GUEST_TSO6, "
        "NET_GUEST_ECN, NET_GUEST_UFO, NET_HOST_TSO4, NET_HOST_TSO6, NET_HOST_ECN, NET_HOST_UFO, "
        "NET_MRG_RXBUF, NET_STATUS, NET_CTRL_VQ, NET_CTRL_RX, NET_CTRL_VLAN, NET_CTRL_RX_EXTRA, "
        "NET_GUEST_ANNOUNCE, NET_MQ, NET_CTRL_MAC_ADDR, NOTIFY_ON_EMPTY, ANY_LAYOUT, "
        "RING_INDIRECT_DESC, RING_EVENT_IDX, VERSION_1, ACCESS_PLATFORM, IN_ORDER, ORDER_PLATFORM, SR_IOV, "
        'NOTIFICATION_DATA, NOTIF_CONFIG_DATA, RING_RESET; did you mean "NET_MAC"?',
    ),
    "offer_other": (
        NET + '[features]\noffer = ["BLK_RO"]\n',
        'features.offer[0] = "BLK_RO": a feature of "block", not of "net"; remove it',
    ),
    "offer_twice": (
        NET + '[features]\noffer = ["NET_MAC", "NET_MAC"]\n',
        'features.offer[1] = "NET_MAC": named twice; remove one of the two',
    ),
    "offer_unused": (
        NET + '[features]\noffer = ["BAD_FEATURE"]\n',
        'features.offer[0] = "BAD_FEATURE": bit 30 must not be negotiated and is never offered; remove it',
    ),
    "offer_modern": (
        NET + '[features]\noffer = ["VERSION_1"]\n',
        "features.offer: VERSION_1 needs the modern interface, and no BAR shows it; add regions with "
        'space = "common" and "notify", or remove VERSION_1',
    ),
    "offer_unbuilt": (
        NET + '[features]\noffer = ["RING_PACKED"]\n',
        'features.offer[0] = "RING_PACKED": bit 34 promises what is not built yet; remove it',
    ),
    "offer_requires": (
        NET + '[features]\noffer = ["NET_HOST_ECN"]\n',
        "features.offer: NET_HOST_ECN must not be offered without NET_HOST_TSO4 or NET_HOST_TSO6; "
        "add NET_HOST_TSO4, or remove NET_HOST_ECN",
    ),
    "queue_type": (
        NET + "[queues]\nsizes = 128\n",
        "queues.sizes = 128: a list is expected here; write sizes = [...]",
    ),
    "queue_range": (
        NET + "[queues]\nsizes = [128, 0]\n",
        "queues.sizes[1] = 0: must be from 1 to 32768; write 1 or a number between the two",
    ),
    "queue_power": (
        NET + "[queues]\nsizes = [128, 100]\n",
        "queues.sizes[1] = 100: a queue has a power of two of entries, from 1 to 32768; write 128",
    ),
    "queue_many": (
        '[device]\nkind = "rng"\n[queues]\nsizes = [' + ", ".join(["8"] * 65) + "]\n",
        "queues.sizes: 65 queues; a function has at most 64; remove 1",
    ),
    "queue_few": (
        NET + "[queues]\nsizes = [128]\n",
        'queues.sizes = [128]: this "net" device needs at least 2 queues (a receive and a transmit '
        "queue); add 1 more",
    ),
    "queue_few_control": (
        NET + '[features]\noffer = ["NET_CTRL_VQ"]\n',
        'queues.sizes = [128, 128]: this "net" device needs at least 3 queues (a receive, a transmit '
        "and a control queue); add 1 more",
    ),
    "queue_few_multiport": (
        '[device]\nkind = "console"\n[features]\noffer = ["CONSOLE_MULTIPORT"]\n[config]\nmax_nr_ports = 2\n',
        'queues.sizes = [64, 64]: this "console" device needs at least 6 queues (two queues for each '
        "of 2 ports and two for control); add 4 more",
    ),
    "vectors_range": (
        NET + "[interrupts]\nmsix_vectors = 2049\n",
        "interrupts.msix_vectors = 2049: must be from 0 to 2048; write 2048 or a number between the two",
    ),
    "vectors_no_region": (
        bars(LEGACY, rest="[interrupts]\nmsix_vectors = 3\n"),
        'interrupts.msix_vectors = 3: no BAR has a region for the MSI-X table; add { space = "msix", '
        "offset = ..., size = 0x1000 }, or write msix_vectors = 0",
    ),
    "vectors_none": (
        bars(
            LEGACY,
            '{ space = "msix", offset = 0x1000, size = 0x1000 }',
            rest="[interrupts]\nmsix_vectors = 0\n",
        ),
        'bars.0.regions[1].space = "msix": the device has no MSI-X vectors; remove the region, or '
        "give msix_vectors a number",
    ),
    "intx_type": (
        NET + "[interrupts]\nintx = 1\n",
        "interrupts.intx = 1: must be true or false; write intx = true or intx = false",
    ),
    "bars_type": (
        "bars = 3\n" + NET,
        "bars = 3: a table is expected here; write { key = value }",
    ),
    "bars_index": (
        NET + '[bars.6]\nkind = "memory32"\n',
        "bars.6: unknown key; [bars] has 0, 1, 2, 3, 4, 5; remove it",
    ),
    "bars_empty": (
        NET + "[bars]\n",
        'bars: no BAR shows the legacy registers; add { space = "legacy", offset = 0, size = 0x1000 '
        "} to the regions of a BAR",
    ),
    "bar_no_kind": (
        NET + "[bars.0]\nregions = []\n",
        'bars.0.kind: missing; write kind = "memory64"',
    ),
    "bar_no_regions": (
        NET + '[bars.0]\nkind = "memory32"\n',
        'bars.0.regions: missing; write regions = [{ space = "legacy", offset = 0, size = 0x1000 }]',
    ),
    "bar_kind": (
        bars(LEGACY, kind="memory"),
        'bars.0.kind = "memory": must be "memory32", "memory64" or "io"; did you mean "memory64"?',
    ),
    "bar_regions_empty": (
        bars(),
        'bars.0.regions = []: a BAR shows at least one region; add { space = "legacy", offset = 0, '
        "size = 0x1000 }, or remove the BAR",
    ),
    "bar_regions_type": (
        NET + '[bars.0]\nkind = "memory32"\nregions = { space = "legacy" }\n',
        'bars.0.regions = { space = "legacy" }: a list is expected here; write regions = [...]',
    ),
    "bar_last_64": (
        bars(LEGACY, index=5),
        'bars.5.kind = "memory64": a 64-bit BAR takes two registers, and none follows the last; use '
        'a lower index, or write kind = "memory32"',
    ),
    "bar_upper": (
        bars(LEGACY, rest=f'[bars.1]\nkind = "memory32"\nregions = [{CONTROL}]\n'),
        "bars.1: this register is the upper half of the 64-bit BAR 0; write [bars.2] instead",
    ),
    "bar_upper_last": (
        bars(LEGACY, index=4, rest=f'[bars.5]\nkind = "memory32"\nregions = [{CONTROL}]\n'),
        'bars.5: this register is the upper half of the 64-bit BAR 4; write kind = "memory32" in [bars.4]',
    ),
    "bar_size_power": (
        bars(LEGACY, more="size = 0x3000\n"),
        "bars.0.size = 0x3000: the size of a BAR is a power of two; write size = 0x4000, or leave it out",
    ),
    "bar_size_small": (
        bars(LEGACY, more="size = 0x800\n"),
        "bars.0.size = 0x800: its regions need 0x1000 bytes; leave size out: the BAR is then as "
        "small as it can be",
    ),
    "bar_size_big": (
        bars(LEGACY, more="size = 0x200000\n"),
        "bars.0.size = 0x200000: a BAR has at most 0x100000 bytes; leave size out: the BAR is then "
        "as small as it can be",
    ),
    "region_type": (
        bars("3"),
        "bars.0.regions[0] = 3: a table is expected here; write { key = value }",
    ),
    "region_no_space": (
        bars("{ offset = 0, size = 0x1000 }"),
        'bars.0.regions[0].space: missing; write space = "legacy"',
    ),
    "region_no_offset": (
        bars('{ space = "legacy", size = 0x1000 }'),
        "bars.0.regions[0].offset: missing; write offset = 0x1000",
    ),
    "region_no_size": (
        bars('{ space = "legacy", offset = 0 }'),
        "bars.0.regions[0].size: missing; write size = 0x1000",
    ),
    "region_space": (
        bars('{ space = "legasy", offset = 0, size = 0x1000 }'),
        'bars.0.regions[0].space = "legasy": must be "legacy", "control", "isr", "device", "msix", '
        '"common" or "notify"; did you mean "legacy"?',
    ),
    "region_common": (
        bars(LEGACY, '{ space = "common", offset = 0x1000, size = 0x1000 }'),
        'bars: the modern interface needs "notify" beside "common"; add a region with space = "notify" to a '
        "memory BAR",
    ),
    "region_notify": (
        bars(LEGACY, '{ space = "notify", offset = 0x1000, size = 0x1000, stride = 4 }'),
        'bars: the modern interface needs "common" beside "notify"; add a region with space = "common" to a '
        "memory BAR",
    ),
    "region_notify_small": (
        bars(LEGACY, '{ space = "notify", offset = 0x1000, size = 0x1000, stride = 0x1000 }'),
        'bars.0.regions[1].size = 0x1000: "notify" needs 0x1004 bytes for 2 queues at stride 4096; write '
        "size = 0x1004",
    ),
    "region_notify_stride": (
        bars(LEGACY, '{ space = "notify", offset = 0x1000, size = 0x1000, stride = 12 }'),
        "bars.0.regions[1].stride = 12: 0, or a power of two from 4 up; write stride = 8",
    ),
    "region_notify_dense": (
        bars(LEGACY, '{ space = "notify", offset = 0x1000, size = 0x1000, stride = 2 }'),
        "bars.0.regions[1].stride = 2: 0, or a power of two from 4 up; write stride = 4",
    ),
    "region_common_small": (
        bars(LEGACY, '{ space = "common", offset = 0x1000, size = 0x20 }'),
        'bars.0.regions[1].size = 0x20: "common" needs 0x40 bytes for a "net" device; write size = 0x1000',
    ),
    "region_stride": (
        bars('{ space = "legacy", offset = 0, size = 0x1000, stride = 4 }'),
        'bars.0.regions[0].stride = 4: only "notify" regions have a stride; remove it',
    ),
    "region_key": (
        bars('{ space = "legacy", ofset = 0, size = 0x1000 }'),
        "bars.0.regions[0].ofset: unknown key; [bars.0.regions[0]] has space, offset, size, stride; "
        'did you mean "offset"?',
    ),
    "region_offset": (
        bars('{ space = "legacy", offset = 0x1002, size = 0x1000 }'),
        "bars.0.regions[0].offset = 0x1002: offsets are multiples of 4; write offset = 0x1000",
    ),
    "region_beyond": (
        bars('{ space = "legacy", offset = 0x100000, size = 0x1000 }'),
        "bars.0.regions[0].offset = 0x100000: the region ends at 0x101000, and a BAR has at most "
        "0x100000 bytes; move it down, or make it smaller",
    ),
    "region_overlap": (
        bars(LEGACY, '{ space = "isr", offset = 0xffc, size = 4 }'),
        'bars.0.regions[1].offset = 0xffc: "isr" overlaps "legacy", which ends at 0x1000; write '
        "offset = 0x1000 or more",
    ),
    "region_twice": (
        bars(LEGACY, '{ space = "legacy", offset = 0x1000, size = 0x1000 }'),
        'bars.0.regions[1].space = "legacy": shown by another region too; remove one of the two',
    ),
    "legacy_missing": (
        bars('{ space = "isr", offset = 0, size = 4 }'),
        'bars: no BAR shows the legacy registers; add { space = "legacy", offset = 0, size = 0x1000 '
        "} to the regions of a BAR",
    ),
    "legacy_small": (
        bars('{ space = "legacy", offset = 0, size = 0x20 }'),
        'bars.0.regions[0].size = 0x20: "legacy" needs 0x24 bytes for a "net" device; write size = 0x1000',
    ),
    "legacy_odd": (
        bars('{ space = "legacy", offset = 0, size = 0x26 }'),
        "bars.0.regions[0].size = 0x26: sizes are multiples of 4; write size = 0x28",
    ),
    "device_small": (
        bars(LEGACY, '{ space = "device", offset = 0x1000, size = 8 }'),
        'bars.0.regions[1].size = 0x8: "device" needs 0xc bytes for a "net" device; write size = 0x1000',
    ),
    "isr_small": (
        bars(LEGACY, '{ space = "isr", offset = 0x1000, size = 0 }'),
        'bars.0.regions[1].size = 0x0: "isr" needs 0x4 bytes for a "net" device; write size = 0x1000',
    ),
    "control_offset": (
        bars(LEGACY, '{ space = "control", offset = 0x1800, size = 0x1000 }'),
        "bars.0.regions[1].offset = 0x1800: the control page has a 4096-byte page of its own, for a "
        "hypervisor to keep; write offset = 0x2000",
    ),
    "control_size": (
        bars(LEGACY, '{ space = "control", offset = 0x1000, size = 0x100 }'),
        "bars.0.regions[1].size = 0x100: the control page has 0x1000 bytes; write size = 0x1000",
    ),
    "msix_offset": (
        bars(LEGACY, '{ space = "msix", offset = 0x1004, size = 0x1000 }'),
        "bars.0.regions[1].offset = 0x1004: the MSI-X table starts at a multiple of 8; write offset = 0x1000",
    ),
    "msix_power": (
        bars(LEGACY, '{ space = "msix", offset = 0x1000, size = 0x1800 }'),
        "bars.0.regions[1].size = 0x1800: the MSI-X region is a power of two of bytes, at least "
        "0x20; write size = 0x1000",
    ),
    "msix_small": (
        bars(LEGACY, '{ space = "msix", offset = 0x1000, size = 0x40 }'),
        "bars.0.regions[1].size = 0x40: table and pending bits of 3 vectors need 0x80 bytes; write "
        "size = 0x1000",
    ),
    "io_mmr": (
        bars(LEGACY, kind="io"),
        'bars.0.kind = "io": an I/O BAR is BAR 0 of identity "legacy-io" and nothing else; write '
        'kind = "memory32" or "memory64"',
    ),
    "io_index": (
        bars(LEGACY_PORTS, kind="io", index=2, device=PORTS),
        'bars.2.kind = "io": an I/O BAR is BAR 0 of identity "legacy-io" and nothing else; write '
        'kind = "memory32" or "memory64"',
    ),
    "io_prefetch": (
        bars(LEGACY_PORTS, kind="io", more="prefetchable = true\n", device=PORTS),
        "bars.0.prefetchable = true: an I/O BAR is never prefetchable; leave it out",
    ),
    "io_other": (
        bars(LEGACY_PORTS, '{ space = "isr", offset = 0x40, size = 4 }', kind="io", device=PORTS),
        "bars.0.regions[1]: an I/O BAR shows the legacy region at offset 0 and nothing else; move "
        "the region to a memory BAR, or to offset 0",
    ),
    "io_offset": (
        bars('{ space = "legacy", offset = 4, size = 0x24 }', kind="io", device=PORTS),
        "bars.0.regions[0]: an I/O BAR shows the legacy region at offset 0 and nothing else; move "
        "the region to a memory BAR, or to offset 0",
    ),
    "io_big": (
        bars('{ space = "legacy", offset = 0, size = 0x1000 }', kind="io", device=PORTS),
        "bars.0: an I/O BAR has at most 256 bytes, not 4096; write size = 0x24 in its region",
    ),
    "io_small": (
        bars('{ space = "legacy", offset = 0, size = 0x20 }', kind="io", device=PORTS),
        'bars.0.regions[0].size = 0x20: "legacy" needs 0x24 bytes for a "net" device; write size = 0x24',
    ),
    "legacy_io_in_memory": (
        bars(LEGACY, device=PORTS),
        'bars.0: identity "legacy-io" shows the legacy registers in I/O BAR 0; write kind = "io" and '
        'regions = [{ space = "legacy", offset = 0, size = 0x24 }]',
    ),
    "legacy_memory_place": (
        bars('{ space = "legacy", offset = 0x1000, size = 0x1000 }', device=MEMORY),
        'bars.0: identity "legacy-memory" shows the legacy registers at offset 0 of BAR 0; add { '
        'space = "legacy", offset = 0, size = 0x1000 } there',
    ),
    "legacy_memory_index": (
        bars(LEGACY, index=2, device=MEMORY),
        'bars.0: identity "legacy-memory" shows the legacy registers at offset 0 of BAR 0; add { '
        'space = "legacy", offset = 0, size = 0x1000 } there',
    ),
    "config_unknown": (
        NET + "[config]\nduplex = 1\n",
        "config.duplex: unknown key; [config] has mac, status, max_virtqueue_pairs, mtu; remove it",
    ),
    "config_none": (
        '[device]\nkind = "rng"\n[config]\nseed = 1\n',
        "config.seed: unknown key; [config] has no keys; remove it",
    ),
    "config_range": (
        NET + "[config]\nmtu = 65536\n",
        "config.mtu = 65536: must be from 0 to 65535; write 65535 or a number between the two",
    ),
    "config_type": (
        NET + "[config]\nmtu = 1500.0\n",
        "config.mtu = 1500.0: a whole number is expected here; write a number from 0 to 65535",
    ),
    "config_mac": (
        NET + '[config]\nmac = "52-54-00-12-34-56"\n',
        'config.mac = "52-54-00-12-34-56": 6 bytes in hexadecimal, joined by colons; write mac = '
        '"52:54:00:12:34:56"',
    ),
    "config_mac_type": (
        NET + "[config]\nmac = 90520730730582\n",
        "config.mac = 90520730730582: 6 bytes in hexadecimal, joined by colons; write mac = "
        '"52:54:00:12:34:56"',
    ),
    "mmr_word": (
        NET + '[capabilities]\nmmr = "vsec"\n',
        'capabilities.mmr = "vsec": must be "auto" or a list of "vsec", "literal", "classic"; write '
        'mmr = "auto"',
    ),
    "mmr_type": (
        NET + "[capabilities]\nmmr = 1\n",
        "capabilities.mmr = 1: a list is expected here; write mmr = [...]",
    ),
    "mmr_unknown": (
        NET + '[capabilities]\nmmr = ["vesc"]\n',
        'capabilities.mmr[0] = "vesc": must be "vsec", "literal" or "classic"; did you mean "vsec"?',
    ),
    "mmr_number": (
        NET + "[capabilities]\nmmr = [1]\n",
        'capabilities.mmr[0] = 1: must be "vsec", "literal" or "classic"; remove it',
    ),
    "mmr_twice": (
        NET + '[capabilities]\nmmr = ["vsec", "vsec"]\n',
        'capabilities.mmr[1] = "vsec": named twice; remove one of the two',
    ),
    "mmr_no_memory": (
        '[device]\nkind = "net"\nidentity = "legacy-io"\n[capabilities]\nmmr = ["vsec"]\n',
        'capabilities.mmr = ["vsec"]: these point at a legacy region in a memory BAR, and there is '
        'none; give a memory BAR a region with space = "legacy", or write mmr = "auto"',
    ),
    "control_no_region": (
        bars(LEGACY, rest="[capabilities]\ncontrol = true\n"),
        "capabilities.control = true: no BAR has a region for the control page; add { space = "
        '"control", offset = 0x1000, size = 0x1000 } to a memory BAR, or write control = false',
    ),
    "control_region": (
        bars(LEGACY, CONTROL, rest="[capabilities]\ncontrol = false\n"),
        "capabilities.control = false: bars.0.regions[1] shows the control page; remove that region, "
        "or write control = true",
    ),
    "control_section": (
        NET + "[capabilities]\ncontrol = false\n[control]\ngate_open = true\n",
        "control: the device has no control page for this section to describe; add a region with "
        'space = "control", or remove the section',
    ),
    "control_key": (
        NET + "[control]\ngate = true\n",
        'control.gate: unknown key; [control] has big_endian, gate_open; did you mean "gate_open"?',
    ),
    "control_type": (
        NET + "[control]\nbig_endian = 1\n",
        "control.big_endian = 1: must be true or false; write big_endian = true or big_endian = false",
    ),
    "width_type": (
        NET + '[datapath]\nwidth = "128"\n',
        'datapath.width = "128": a whole number is expected here; write a number from 64 to 512',
    ),
    "width": (
        NET + "[datapath]\nwidth = 100\n",
        "datapath.width = 100: must be 64, 128, 256 or 512; write width = 128",
    ),
    "width of the adapter": (
        NET + '[datapath]\nadapter = "pcie_7x"\nwidth = 256\n',
        'datapath.width = 256: adapter "pcie_7x" has streams of 64 or 128 bits; write width = 128',
    ),
    "functions of the adapter": (
        NET + '[vf]\ncount = 1\n[datapath]\nadapter = "pcie_7x"\n',
        'vf.count = 1: adapter "pcie_7x" has no virtual functions; remove [vf], or take an UltraScale+ adapter',
    ),
    "payload that UltraScale+ cannot be told": (
        NET + '[datapath]\nadapter = "pcie4_uscale_plus"\nmax_payload = 2048\n',
        'datapath.max_payload = 2048: adapter "pcie4_uscale_plus" has payloads of at most 1024 bytes; '
        "write max_payload = 1024, or less",
    ),
    "payload that no 7-series block has": (
        NET + '[datapath]\nadapter = "pcie_7x"\nmax_payload = 4096\n',
        'datapath.max_payload = 4096: adapter "pcie_7x" has payloads of at most 1024 bytes; '
        "write max_payload = 1024, or less",
    ),
    "too many functions for the adapter": (
        NET + '[vf]\ncount = 253\n[datapath]\nadapter = "pcie4_uscale_plus"\n',
        'vf.count = 253: adapter "pcie4_uscale_plus" has at most 252 virtual functions; write count = 252, or less',
    ),
    "adapter": (
        NET + '[datapath]\nadapter = "ultrascale"\n',
        'datapath.adapter = "ultrascale": must be "raw", "pcie4_uscale_plus", "pcie4c_uscale_plus" or "pcie_7x"; '
        'write adapter = "raw"',
    ),
    "payload": (
        NET + "[datapath]\nmax_payload = 200\n",
        "datapath.max_payload = 200: must be 128, 256, 512, 1024, 2048 or 4096; write max_payload = 128",
    ),
    "reads": (
        NET + "[requester]\nreads = 48\n",
        "requester.reads = 48: must be 32, 64, 128 or 256; write reads = 64",
    ),
    "largest_read": (
        NET + "[requester]\nlargest_read = 300\n",
        "requester.largest_read = 300: must be 128, 256, 512, 1024, 2048 or 4096; write largest_read = 512",
    ),
    "requester_headers": (
        NET + "[requester]\ncompletion_headers = 8\ncompletion_bytes = 4096\n",
        "requester.completion_headers = 8: one read of 512 bytes needs 9; write completion_headers = 9 or more, or "
        "leave out completion_headers and completion_bytes",
    ),
    "requester_bytes": (
        NET + "[requester]\ncompletion_headers = 16\n",
        "requester.completion_bytes = 0: one read of 512 bytes needs 528; write completion_bytes = 528 or more, or "
        "leave out completion_headers and completion_bytes",
    ),
    "requester_units": (
        NET + "[requester]\ncompletion_headers = 16\ncompletion_bytes = 1000\n",
        "requester.completion_bytes = 1000: must be a multiple of 16; write completion_bytes = 992",
    ),
    "requester_timeout": (
        NET + "[requester]\ntimeout = 5\n",
        "requester.timeout = 5: must be from 128 to 2147483648; write 128 or a number between the two",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_named_with_its_place_value_rule_and_cure(name):
    text, message = MISTAKES[name]
    with pytest.raises(ConfigError) as caught:
        loads(text, "dev.toml")
    assert str(caught.value) == f"dev.toml: {message}"


def test_error_carries_its_parts():
    with pytest.raises(ConfigError) as caught:
        loads(NET + "[datapath]\nwidth = 100\n", "dev.toml")
    error = caught.value
    assert (error.name, error.path, error.value) == ("dev.toml", "datapath.width", 100)
    assert (error.rule, error.cure) == ("must be 64, 128, 256 or 512", "write width = 128")


def test_missing_file_is_named():
    with pytest.raises(ConfigError) as caught:
        load("nowhere.toml")
    assert str(caught.value) == (
        "nowhere.toml: cannot be read (No such file or directory); "
        "give the path of a device file; `vmmr new net` writes one"
    )


def test_file_that_is_not_text_is_named(tmp_path: Path):
    path = tmp_path / "dev.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"dev\.toml: is not text in UTF-8; give the path of a device file"):
        load(path)


def test_file_is_read(tmp_path: Path):
    path = tmp_path / "dev.toml"
    path.write_text(NET)
    assert load(path) == loads(NET)


def test_smallest_file_gets_a_complete_device():
    config = loads(NET)
    assert config.kind is DEVICE_TYPES["net"]
    assert config.identity is Identity.MMR
    assert (config.device_id, config.revision, config.serial, config.profile) == (0x10F9, 0, 0, "mmr-v1")
    assert config.features == 1 << 5 | 1 << 16 | 1 << 27
    assert config.queues == (128, 128)
    assert (config.msix_vectors, config.intx) == (3, False)
    assert loads(NET + "[interrupts]\nintx = true\n").intx
    assert config.config_image == bytes.fromhex("525400123456010000000000")
    assert (config.mmr_capabilities, config.mmr_explicit) == (("vsec", "literal", "classic"), False)
    assert config.control == Control(big_endian=False, gate_open=False)
    assert config.datapath == Datapath(
        width=128, adapter="raw", max_payload=128, check_byte_enables=True, strict_64bit=False
    )
    assert config.requester is None
    spaces = (Space.LEGACY, Space.CONTROL, Space.ISR, Space.DEVICE, Space.MSIX)
    regions = tuple(Region(space=space, offset=0x1000 * i, size=0x1000) for i, space in enumerate(spaces))
    assert config.bars == (Bar(index=0, kind=BarKind.MEMORY64, regions=regions),)


@pytest.mark.parametrize("kind", [*DEVICE_TYPES, "blk", "entropy"])
@pytest.mark.parametrize("identity", [identity.value for identity in Identity])
def test_every_kind_and_identity_has_defaults_without_remarks(kind, identity):
    config = loads(f'[device]\nkind = "{kind}"\nidentity = "{identity}"\n')
    assert remarks(config) == ()
    assert len(config.config_image) == config.kind.config_size
    assert config.control is not None
    assert config.control.gate_open == (identity != "mmr")


def test_section_requester_alone_asks_for_dma():
    assert loads(NET + "[requester]\n").requester == Requester(reads=64, largest_read=512, timeout=1 << 21)
    wide = loads(NET + "[requester]\nreads = 256\nlargest_read = 4096\ntimeout = 1000\n")
    assert wide.requester == Requester(reads=256, largest_read=4096, timeout=1000)
    narrow = loads(NET + "[requester]\ncompletion_headers = 72\ncompletion_bytes = 2048\n").requester
    assert narrow is not None and narrow.completion_space == (72, 128)
    assert loads(completed(wide)) == wide


def test_alias_of_a_kind_is_the_same_device():
    assert loads('[device]\nkind = "blk"\n') == loads('[device]\nkind = "block"\n')


def test_legacy_io_stands_in_ports_with_the_rest_in_memory():
    config = loads('[device]\nkind = "block"\nidentity = "legacy-io"\n')
    assert [(bar.index, bar.kind, bar.decoded_size) for bar in config.bars] == [
        (0, BarKind.IO, 128),
        (1, BarKind.MEMORY32, 8192),
    ]
    assert config.device_id == 0x1001


def test_any_layout_is_always_offered():
    assert loads(NET + "[features]\noffer = []\n").features == 1 << 27


def test_features_of_device_and_transport_are_offered_by_name():
    config = loads(NET + '[features]\noffer = ["NET_MTU", "RING_INDIRECT_DESC", "NOTIFY_ON_EMPTY"]\n')
    assert config.features == 1 << 3 | 1 << 24 | 1 << 27 | 1 << 28


def test_configuration_fields_stand_little_endian_at_their_offsets():
    config = loads(NET + '[config]\nmac = "0A:0b:0c:0d:0e:0f"\nmtu = 0x1234\nstatus = 3\n')
    assert config.config_image == bytes.fromhex("0a0b0c0d0e0f030000003412")


def test_multiqueue_devices_count_their_queues():
    block = loads(
        '[device]\nkind = "block"\n[features]\noffer = ["BLK_MQ"]\n[queues]\nsizes = [8, 8, 8, 8]\n'
    )
    assert block.config_image[34:36] == b"\x04\x00"
    offer = '[features]\noffer = ["NET_CTRL_VQ", "NET_MQ"]\n[queues]\nsizes = [8, 8, 8, 8, 8]\n'
    assert loads(NET + offer).config_image[8:10] == b"\x02\x00"


def test_vectors_are_left_out_when_the_bars_have_no_place_for_them():
    assert loads(bars(LEGACY)).msix_vectors == 0
    assert loads(bars(LEGACY, '{ space = "msix", offset = 0x1000, size = 0x1000 }')).msix_vectors == 3


def test_control_page_is_there_if_a_region_shows_it():
    assert loads(bars(LEGACY)).control is None
    assert loads(bars(LEGACY, CONTROL)).control == Control()


def test_control_page_can_be_left_out_of_the_default_map():
    config = loads(NET + "[capabilities]\ncontrol = false\n")
    assert config.control is None
    assert config.find(Space.CONTROL) is None


def test_explicit_layouts_are_kept_in_their_order():
    config = loads(NET + '[capabilities]\nmmr = ["classic", "vsec"]\n')
    assert (config.mmr_capabilities, config.mmr_explicit) == (("classic", "vsec"), True)
    assert loads(NET + "[capabilities]\nmmr = []\n").mmr_capabilities == ()


def test_2048_vectors_get_a_region_aligned_to_its_size():
    config = loads(NET + "[interrupts]\nmsix_vectors = 2048\n")
    assert config.bars[0].regions[-1] == Region(space=Space.MSIX, offset=0x10000, size=0x10000)
    assert config.bars[0].decoded_size == 0x20000


def test_legacy_window_may_stand_in_ports_and_in_memory():
    text = bars(LEGACY_PORTS, kind="io", device=PORTS)
    config = loads(text + f'[bars.1]\nkind = "memory32"\nregions = [{LEGACY}]\n')
    found = config.find_in_memory(Space.LEGACY)
    assert found is not None
    assert found[0].index == 1


#: For each doubtful choice a file that makes it, and the remark.
DOUBTS = {
    "legacy_offset": (
        bars(
            '{ space = "legacy", offset = 0x104, size = 0x1000 }', CONTROL.replace("= 0x1000,", "= 0x2000,")
        ),
        "bars.0.regions[0].offset = 0x104: the proposal recommends a multiple of 0x1000.",
    ),
    "legacy_size": (
        bars('{ space = "legacy", offset = 0, size = 0x24 }', CONTROL),
        "bars.0.regions[0].size = 0x24: the proposal recommends 0x1000.",
    ),
    "msix_page": (
        bars(
            '{ space = "legacy", offset = 0, size = 0x1000 }',
            CONTROL,
            '{ space = "isr", offset = 0x2000, size = 4 }',
            '{ space = "msix", offset = 0x2800, size = 0x800 }',
        ),
        "bars.0.regions[3]: the MSI-X table shares a 4096-byte page with another region; "
        "a hypervisor that traps the table's page traps that region too.",
    ),
    "prefetchable": (
        bars(LEGACY, CONTROL, more="prefetchable = true\n"),
        "bars.0.prefetchable: the BAR shows the interrupt status, which a read clears; "
        "a prefetching bridge may lose interrupts.",
    ),
    "queues": (
        NET + "[queues]\nsizes = [8, 8, 8]\n",
        "queues.sizes: drivers use 2 (a receive and a transmit queue); 3 are built.",
    ),
    "seabios": (
        NET + "[queues]\nsizes = [512, 8]\n",
        "queues.sizes: SeaBIOS refuses legacy queues of more than 256 entries.",
    ),
    "vectors": (
        NET + "[interrupts]\nmsix_vectors = 4\n",
        "interrupts.msix_vectors = 4: "
        "more than one for each queue and one for configuration changes are never used.",
    ),
    "field": (
        NET + "[config]\nmtu = 1500\n",
        "config.mtu: drivers do not look at it unless NET_MTU is offered.",
    ),
    "control": (
        bars(LEGACY),
        "capabilities.control = false: nobody can refuse a driver, hold DMA back or set the byte order.",
    ),
}


@pytest.mark.parametrize("name", DOUBTS)
def test_doubtful_choice_is_allowed_with_a_remark(name):
    text, remark = DOUBTS[name]
    assert remarks(loads(text)) == (remark,)
