"""Parts of the hypervisor on their own: translation of offsets, fields kept whole, the guest's MSI-X table."""

import pytest
from virtio_mmr.spec.device_types import BLOCK, NET
from virtio_mmr_sim.host.hypervisor import Unfit, finish
from virtio_mmr_sim.host.hypervisor.consistent import PATIENCE, ConsistentConfig
from virtio_mmr_sim.host.hypervisor.control import ControlPage
from virtio_mmr_sim.host.hypervisor.discover import Place
from virtio_mmr_sim.host.hypervisor.message_table import MessageTable
from virtio_mmr_sim.host.hypervisor.translation import pieces
from virtio_mmr_sim.host.hypervisor.window import Window, natural

# Translation


def contents(msix: bool) -> dict[str, int]:
    """What stands where: name of each byte, and its offset."""
    header = {f"header{at}": at for at in range(0x14)}
    vectors = {f"vector{at}": 0x14 + at for at in range(4)} if msix else {}
    start = 0x18 if msix else 0x14
    return header | vectors | {f"config{at}": start + at for at in range(64)}


@pytest.mark.parametrize("guest", [False, True])
@pytest.mark.parametrize("function", [False, True])
@pytest.mark.parametrize("width", [1, 2, 4])
def test_each_byte_of_the_guest_is_the_same_byte_of_the_function(guest: bool, function: bool, width: int) -> None:
    names = {offset: name for name, offset in contents(guest).items()}
    places = contents(function)
    for offset in range(0x40):
        covered = []
        for piece in pieces(offset, width, guest, function):
            for index in range(piece.width):
                covered.append(piece.offset + index)
                expected = places.get(names[piece.offset + index])
                assert (None if piece.place is None else piece.place + index) == expected
        assert covered == list(range(offset, offset + width))


@pytest.mark.parametrize("width", [1, 2, 4])
def test_an_access_stays_whole_unless_its_bytes_lie_apart(width: int) -> None:
    for offset in range(0x40):
        for msix in (False, True):
            assert [piece.width for piece in pieces(offset, width, msix, msix)] == [width]
        assert (len(pieces(offset, width, False, True)) > 1) == (offset < 0x14 < offset + width)


def test_what_lies_apart_is_cut_to_aligned_accesses() -> None:
    assert [(piece.offset, piece.width, piece.place) for piece in pieces(0x13, 4, False, True)] == [
        (0x13, 1, 0x13), (0x14, 2, 0x18), (0x16, 1, 0x1A)]
    assert [(piece.offset, piece.width, piece.place) for piece in pieces(0x16, 4, True, False)] == [
        (0x16, 2, None), (0x18, 2, 0x14)]
    assert natural(1, 10) == [(1, 1), (2, 2), (4, 4), (8, 2), (10, 1)]


# Fields kept whole


class Changing:
    """A legacy window and a control page whose configuration changes at chosen reads."""

    def __init__(self, size: int):
        self.image = bytearray(size)
        self.generation = 7
        self.reads = 0
        #: Reads of the configuration before which every byte counts up by one.
        self.changes: set[int] = set()

    async def config_read(self, function: int, offset: int, size: int) -> int:
        raise AssertionError

    async def config_write(self, function: int, offset: int, value: int, size: int) -> None:
        raise AssertionError

    async def read(self, function: int, bar: int, offset: int, size: int) -> int:
        if offset == 0x1010:
            return self.generation
        self.reads += 1
        if self.reads in self.changes:
            self.change()
        return int.from_bytes(self.image[offset - 0x14:][:size], "little")

    async def write(self, function: int, bar: int, offset: int, value: int, size: int) -> None:
        raise AssertionError

    def change(self) -> None:
        self.image = bytearray((byte + 1) % 256 for byte in self.image)
        self.generation += 1


def reader(device: Changing, kind=BLOCK) -> ConsistentConfig:
    control = ControlPage(Window(device, 0, Place(0, 0x1000, 0x1000)))
    return ConsistentConfig(Window(device, 0, Place(0, 0, 0x1000)), control, kind)


def get(config: ConsistentConfig, offset: int, size: int) -> list[int]:
    return list(finish(config.read(0x14, offset, size)))


def test_a_field_that_is_read_byte_by_byte_comes_from_one_moment() -> None:
    device = Changing(60)
    config = reader(device)
    found = []
    for at in range(8):
        found += get(config, at, 1)
        device.change()
    assert found == [0] * 8


@pytest.mark.parametrize("order", [(0, 4), (4, 0)])
def test_halves_in_either_order_come_from_one_moment(order: tuple[int, int]) -> None:
    device = Changing(60)
    config = reader(device)
    for moment in range(3):
        for offset in order:
            assert get(config, offset, 4) == [2 * moment] * 4
            device.change()


def test_a_change_in_the_middle_of_a_fetch_is_noticed() -> None:
    """The field takes two accesses; the change comes before the second of them."""
    device = Changing(60)
    device.changes = {2, 4}
    assert get(reader(device), 0, 4) == [2] * 4
    assert device.reads == 6


def test_a_byte_that_is_asked_for_again_is_new() -> None:
    device = Changing(60)
    config = reader(device)
    assert get(config, 0, 1) == [0]
    device.change()
    assert get(config, 0, 1) == [1]
    assert get(config, 1, 1) == [1]


def test_fields_are_held_one_by_one() -> None:
    """A whole field that is read in one access is never held; an access across two fields is of one moment."""
    device = Changing(60)
    config = reader(device)
    assert get(config, 20, 4) == [0] * 4
    device.change()
    assert get(config, 20, 4) == [1] * 4
    device.changes = {device.reads + 2}
    assert get(config, 14, 4) == [2] * 4


def test_what_was_begun_can_be_forgotten() -> None:
    device = Changing(60)
    config = reader(device)
    get(config, 0, 4)
    device.change()
    config.forget()
    assert get(config, 4, 4) == [1] * 4


def test_bytes_of_no_field_are_read_as_they_are() -> None:
    device = Changing(32)
    device.image[12:16] = b"abcd"
    assert bytes(get(reader(device, NET), 12, 4)) == b"abcd"
    assert bytes(get(reader(device, NET), 11, 2)) == b"\0a"


def test_a_device_that_never_holds_still_is_given_up() -> None:
    device = Changing(60)
    device.changes = set(range(3 * PATIENCE))
    with pytest.raises(Unfit, match="changed during each of 1000 readings"):
        get(reader(device), 0, 8)


# The guest's MSI-X table


@pytest.fixture
def sent() -> list[tuple[int, int]]:
    return []


@pytest.fixture
def table(sent: list[tuple[int, int]]) -> MessageTable:
    made = MessageTable(3, lambda address, data: sent.append((address, data)))
    for vector in range(3):
        made.write(16 * vector, 4, 0xFEE0_0000 + vector)
        made.write(16 * vector + 4, 4, vector)
        made.write(16 * vector + 8, 4, 0x40 + vector)
        made.write(16 * vector + 12, 4, 0)
    return made


def message(vector: int) -> tuple[int, int]:
    return vector << 32 | 0xFEE0_0000 + vector, 0x40 + vector


def test_vectors_are_masked_at_first() -> None:
    made = MessageTable(3, lambda address, data: None)
    assert [made.read(16 * vector + 12, 4) for vector in range(3)] == [1] * 3
    assert made.size == 0x1000 and made.read(16 * 3 + 12, 4) == 0


def test_a_message_is_what_the_entry_says(table: MessageTable, sent: list[tuple[int, int]]) -> None:
    table.fire(1)
    assert sent == [], "not enabled"
    table.configure(True, False)
    assert sent == [], "what happened before MSI-X was enabled is gone"
    table.fire(2)
    table.fire(0)
    table.fire(3)
    table.fire(0xFFFF)
    assert sent == [message(2), message(0)]


def test_a_masked_vector_waits_and_is_sent_once(table: MessageTable, sent: list[tuple[int, int]]) -> None:
    table.configure(True, False)
    table.write(16 + 12, 4, 1)
    table.fire(1)
    table.fire(1)
    assert sent == [] and table.read(table.pending_offset, 4) == 0b010
    table.write(table.pending_offset, 4, 0)
    assert table.read(table.pending_offset, 4) == 0b010, "pending bits are read-only"
    table.write(16 + 12, 1, 0)
    assert sent == [message(1)] and table.read(table.pending_offset, 4) == 0


def test_the_function_mask_holds_everything_back(table: MessageTable, sent: list[tuple[int, int]]) -> None:
    table.configure(True, True)
    table.fire(2)
    table.fire(0)
    assert sent == [] and table.read(table.pending_offset, 4) == 0b101
    table.configure(True, False)
    assert sent == [message(0), message(2)]


def test_a_large_table_keeps_its_pending_bits_behind_it() -> None:
    made = MessageTable(2048, lambda address, data: None)
    assert made.pending_offset >= 16 * 2048 and made.size == 2 * made.pending_offset
