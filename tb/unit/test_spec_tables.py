"""The register tables say what the specifications say, and refuse to be built wrongly."""

import pytest
from virtio_mmr.spec import configuration, control, features, legacy, modern, msix
from virtio_mmr.spec.device_types import DEVICE_TYPES
from virtio_mmr.spec.feature_requirements import REQUIRES
from virtio_mmr.spec.profiles import mmr_v1
from virtio_mmr.spec.register import Access, Field, Register, RegisterTable

TABLES = (legacy.HEADER, control.TABLE, modern.COMMON, modern.NOTIFY, modern.ISR, msix.ENTRY)


def register(name="r", offset=0, width=32, **more):
    return Register(name=name, offset=offset, width=width, access=Access.RW, **more)


def field(name, lsb, width=1):
    return Field(name=name, lsb=lsb, width=width, access=Access.RW)


def test_legacy_header_is_laid_out_as_the_specification_prints_it():
    assert [(entry.name, entry.offset, entry.width, entry.access.value) for entry in legacy.HEADER] == [
        ("device_features", 0x00, 32, "ro"),
        ("driver_features", 0x04, 32, "rw"),
        ("queue_address", 0x08, 32, "rw"),
        ("queue_size", 0x0C, 16, "ro"),
        ("queue_select", 0x0E, 16, "rw"),
        ("queue_notify", 0x10, 16, "wo"),
        ("device_status", 0x12, 8, "rw"),
        ("isr_status", 0x13, 8, "rc"),
        ("config_vector", 0x14, 16, "rw"),
        ("queue_vector", 0x16, 16, "rw"),
    ]
    assert dict(legacy.CONFIG_OFFSET) == {False: 0x14, True: 0x18}


@pytest.mark.parametrize(
    ("size", "available", "used"),
    [
        (8, 0x80, 0x1000),
        (128, 0x800, 0x1000),
        (256, 0x1000, 0x2000),
        (512, 0x2000, 0x3000),
        (1024, 0x4000, 0x5000),
        (2048, 0x8000, 0xA000),
        (4096, 0x10000, 0x13000),
        (32768, 0x80000, 0x91000),
    ],
)
def test_rings_of_a_legacy_queue_follow_each_other(size, available, used):
    assert legacy.available_ring_offset(size) == available
    assert legacy.used_ring_offset(size) == used


def test_common_structure_is_laid_out_as_the_specification_prints_it():
    offsets = {entry.name: entry.offset for entry in modern.COMMON}
    assert offsets["device_status"] == 0x14
    assert offsets["queue_desc"] == 0x20
    assert offsets["queue_device"] == 0x30
    assert offsets["admin_queue_num"] == 0x3E
    assert modern.COMMON.size == 0x40


def test_control_page_begins_with_its_name():
    assert control.TABLE["magic"].reset.to_bytes(4, "little") == b"VMMR"
    assert [entry.offset for entry in control.TABLE] == list(range(0, 0x28, 4))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_register_has_a_sentence_and_a_clause(table):
    for entry in table:
        assert entry.doc.endswith("."), entry.name
        assert entry.clause, entry.name


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_reset_value_of_a_field_fits_it(table):
    for entry in table:
        for part in entry.fields:
            assert part.reset < 1 << part.width, f"{entry.name}.{part.name}"


def test_unknown_register_is_named_with_the_known_ones():
    with pytest.raises(KeyError, match="notify has no register 'x'; it has queue_notify"):
        modern.NOTIFY["x"]


def test_mmr_device_ids_follow_the_order_of_the_transitional_ids():
    assert [mmr_v1.device_id(kind) for kind in (1, 2, 5, 3, 8, 4, 9)] == list(range(0x10F9, 0x1100))


def test_type_without_transitional_device_has_no_mmr_id():
    with pytest.raises(ValueError, match="virtio type 16 has no transitional device; an MMR id exists for 1, 2, 3"):
        mmr_v1.device_id(16)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: register(width=24), "register r is 24 bits wide; a register has 8, 16, 32 or 64"),
        (lambda: register(width=8, reset=256), "register r resets to 0x100, which 8 bits cannot hold"),
        (lambda: register(width=8, fields=(field("f", 8),)), "field r.f ends beyond bit 7"),
        (lambda: register(fields=(field("f", 0, 2), field("g", 1))), "field r.g overlaps another field"),
        (lambda: RegisterTable("t", 4, (register(offset=2),)), "t.r stands at 0x2, which is not a multiple of 4"),
        (lambda: RegisterTable("t", 4, (register(offset=4),)), "t.r ends behind the window (0x4 bytes)"),
        (
            lambda: RegisterTable("t", 8, (register("a"), register("b", offset=2, width=16))),
            "t.a and t.b overlap or are out of order",
        ),
    ],
)
def test_nonsense_is_refused_when_the_table_is_built(make, message):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize("kind", DEVICE_TYPES.values(), ids=lambda kind: kind.name)
def test_configuration_fields_are_contiguous_and_name_known_features(kind):
    at = 0
    for entry in kind.config:
        assert entry.offset == at, entry.name
        assert entry.feature is None or entry.feature in kind.features
        at += entry.size
    assert kind.config_size == at


@pytest.mark.parametrize("kind", DEVICE_TYPES.values(), ids=lambda kind: kind.name)
def test_features_of_a_type_are_distinct_bits_below_the_transports(kind):
    bits = list(kind.features.values())
    assert len(set(bits)) == len(bits)
    assert all(bit < 24 for bit in bits)


def test_configuration_sizes():
    assert {name: kind.config_size for name, kind in DEVICE_TYPES.items()} == {
        "net": 12,
        "block": 60,
        "console": 12,
        "rng": 0,
    }


def test_required_features_exist():
    known = {name for kind in DEVICE_TYPES.values() for name in kind.features}
    assert known.issuperset(REQUIRES)
    assert all(known.issuperset(needed) for needed in REQUIRES.values())


def test_transport_features_below_32():
    below = {feature.name: int(feature) for feature in features.TransportFeature if feature < 32}
    assert below == {"NOTIFY_ON_EMPTY": 24, "ANY_LAYOUT": 27, "RING_INDIRECT_DESC": 28, "RING_EVENT_IDX": 29}


CAPABILITIES = (
    configuration.power(),
    configuration.express(max_payload=256),
    configuration.msix(vectors=4, table_bar=0, table_offset=0x1000, pending_bar=0, pending_offset=0x1800),
    configuration.serial_number(0x0102_0304_0506_0708),
    configuration.mmr_vsec(0, 0, 0x1000),
    configuration.mmr_literal(0, 0, 0x1000),
    configuration.mmr_classic(0, 0, 0x1000),
    configuration.control_vsec(0, 0x1000, 0x1000),
)


@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda capability: capability.name)
def test_registers_of_a_capability_leave_its_header_alone_and_stay_inside(capability):
    at = configuration.HEADER_SIZE[capability.kind]
    for entry in capability.registers:
        assert entry.offset >= at, entry.name
        assert entry.offset % min(entry.size, 4) == 0, entry.name
        at = entry.end
    assert at <= capability.size


def test_names_of_configuration_registers_are_distinct():
    names = [entry.name for capability in CAPABILITIES for entry in capability.registers]
    assert len(set(names)) == len(names)
