"""Virtual functions in the golden model: the statements VF-01 to VF-11, and misuse of the capability."""

from collections.abc import Sequence

import pytest
from virtio_mmr.config import loads
from virtio_mmr_sim.model.endpoint import EndpointModel
from virtio_mmr_sim.model.tlp import ConfigRequest, MemoryRequest, build, parse

#: Where the PF's BAR 0 and the first VF's BAR 2 stand, and bytes of a VF's BAR.
BASE, VF_BASE, SIZE = 0x1_0000_0000, 0x2_0000_0000, 0x8000
BUS = 5

#: Registers of the SR-IOV capability.
SRIOV = 0x160
CONTROL, NUM_VFS, PAGE_SIZE, VF_BAR2 = SRIOV + 0x08, SRIOV + 0x10, SRIOV + 0x20, SRIOV + 0x2C
ENABLE, MEMORY, ARI = 1, 8, 16

#: Registers of a virtual function, and of its legacy window.
COMMAND, DEVICE_CONTROL, RESET = 0x04, 0xC8, 1 << 15
STATUS, QUEUE_SELECT, PAGE, DRIVER_FEATURES = 0x12, 0x0E, 0x08, 0x04

UNSUPPORTED = 1


class Root:
    """A root port that addresses functions by number and looks at completions."""

    def __init__(self, count: int = 8, more: str = ""):
        self.model = EndpointModel(loads(f'[device]\nkind = "net"\n[vf]\ncount = {count}\n{more}'))
        self.write(0, 0x10, BASE & 0xFFFF_FFFF)
        self.write(0, 0x14, BASE >> 32)
        self.write(0, VF_BAR2, VF_BASE & 0xFFFF_FFFF)
        self.write(0, VF_BAR2 + 4, VF_BASE >> 32)
        self.write(0, COMMAND, 6, 0b0011)

    def ask(self, request: ConfigRequest | MemoryRequest) -> Sequence[int]:
        """The completion's dwords."""
        [completion] = self.model.receive(build(request))
        assert completion[2] >> 16 == request.requester
        return completion

    def read(self, function: int, offset: int) -> int | None:
        """A dword of configuration space; None for "unsupported request"."""
        completion = self.ask(ConfigRequest(bus=BUS, device=function >> 3, function=function & 7, offset=offset))
        if completion[1] >> 13 & 7 == UNSUPPORTED:
            return None
        assert completion[1] >> 16 == BUS << 8 | function
        return completion[3]

    def write(self, function: int, offset: int, data: int, enables: int = 0xF) -> bool:
        """Whether the write succeeded."""
        completion = self.ask(ConfigRequest(write=True, bus=BUS, device=function >> 3, function=function & 7,
                                            offset=offset & ~3, data=data, first_be=enables))
        return completion[1] >> 13 & 7 == 0

    def enable(self, count: int, control: int = ENABLE | MEMORY | ARI) -> None:
        """As Linux does: number first, then VF Enable and VF MSE together."""
        self.write(0, NUM_VFS, count, 0b0011)
        self.write(0, CONTROL, control, 0b0011)

    def load(self, function: int, offset: int, size: int = 4) -> int | None:
        """A register of the legacy window of a virtual function; None for "unsupported request"."""
        address = VF_BASE + (function - 1) * SIZE + offset
        lane = offset % 4
        completion = self.ask(MemoryRequest(address=address & ~3, length=1, first_be=(1 << size) - 1 << lane))
        if completion[1] >> 13 & 7 == UNSUPPORTED:
            return None
        assert completion[1] >> 16 == BUS << 8 | function
        return completion[3] >> 8 * lane & (1 << 8 * size) - 1

    def store(self, function: int, offset: int, value: int, size: int = 4) -> None:
        """Write a register of the legacy window of a virtual function."""
        address = VF_BASE + (function - 1) * SIZE + offset
        lane = offset % 4
        assert not self.model.receive(build(MemoryRequest(
            address=address & ~3, length=1, first_be=(1 << size) - 1 << lane, write=True,
            payload=(value << 8 * lane,))))

    def events(self) -> list[tuple[str, int, int]]:
        """Stream, function and cause of every reset that the back end hears of."""
        return [(stream, fields["function"], fields["cause"])
                for stream, fields in self.model.drain() if stream == "reset_request"]


@pytest.mark.parametrize("count", [1, 7, 8, 255])
def test_functions_exist_from_vf_enable_on(count):
    root = Root(255)
    root.write(0, CONTROL, ARI, 0b0011)
    root.write(0, NUM_VFS, count, 0b0011)
    assert root.read(1, 0) is None
    root.write(0, CONTROL, ENABLE | ARI, 0b0011)
    assert root.read(count, 0) == 0xFFFF_FFFF
    assert count == 255 or root.read(count + 1, 0) is None
    assert root.read(0, 0) == 0x10F9_1AF4


def test_without_ari_a_function_number_has_three_bits():
    root = Root(255)
    root.enable(255, ENABLE | MEMORY)
    assert root.read(7, 0) == 0xFFFF_FFFF and root.load(7, STATUS, 1) == 0
    assert root.read(8, 0) is None and root.load(8, STATUS, 1) is None


def test_memory_answers_from_vf_mse_on():
    root = Root()
    root.enable(8, ENABLE | ARI)
    assert root.load(1, STATUS, 1) is None
    root.write(0, CONTROL, ENABLE | ARI | MEMORY, 0b0011)
    assert [root.load(function, STATUS, 1) for function in (1, 8, 9)] == [0, 0, None]


def test_sizing_obeys_the_page_size():
    root = Root()
    for page_size, low in ((1, 0xFFFF_8004), (2, 0xFFFF_8004), (0x10, 0xFFFF_0004), (0x400, 0xFFC0_0004)):
        root.write(0, PAGE_SIZE, page_size)
        root.write(0, VF_BAR2, 0xFFFF_FFFF)
        assert root.read(0, VF_BAR2) == low
    root.write(0, VF_BAR2, 0x8000_0000)
    root.enable(2)
    # Functions stand a page of 4 MiB apart; what is behind the windows is a hole.
    page = 4 << 20
    for function in (1, 2):
        address = (VF_BASE >> 32 << 32 | 0x8000_0000) + (function - 1) * page
        [completion] = root.model.receive(build(MemoryRequest(address=address, length=1, first_be=0xF)))
        assert completion[1] >> 16 == BUS << 8 | function
        holes = root.model.counters.hole
        root.model.receive(build(MemoryRequest(address=address + SIZE, length=1, first_be=0xF)))
        assert root.model.counters.hole == holes + 1


@pytest.mark.parametrize("value", [0, 3, 4, 0x800])
def test_page_sizes_that_nobody_supports_are_not_taken(value):
    root = Root()
    root.write(0, PAGE_SIZE, value)
    assert root.read(0, PAGE_SIZE) == 1


def test_what_is_fixed_while_functions_run():
    root = Root()
    root.enable(3)
    root.write(0, NUM_VFS, 5, 0b0011)
    root.write(0, PAGE_SIZE, 2)
    root.write(0, CONTROL, ENABLE | MEMORY, 0b0011)
    assert (root.read(0, NUM_VFS), root.read(0, PAGE_SIZE), root.read(0, CONTROL)) == (3, 1, ENABLE | MEMORY | ARI)


def test_more_functions_than_there_are_are_not_taken():
    root = Root()
    root.write(0, NUM_VFS, 8, 0b0011)
    root.write(0, NUM_VFS, 9, 0b0011)
    assert root.read(0, NUM_VFS) == 8
    root.write(0, NUM_VFS, 0x0100, 0b0010)
    assert root.read(0, NUM_VFS) == 8


def test_vf_enable_with_no_function():
    root = Root()
    root.enable(0)
    assert root.read(1, 0) is None and root.load(1, STATUS, 1) is None


def test_bars_may_move_while_functions_run():
    root = Root()
    root.enable(2)
    root.store(2, STATUS, 1, 1)
    root.write(0, VF_BAR2, 0x4000_0000)
    assert root.load(2, STATUS, 1) is None
    address = (VF_BASE >> 32 << 32 | 0x4000_0000) + SIZE + 0x10
    [completion] = root.model.receive(build(MemoryRequest(address=address, length=1, first_be=0b0100)))
    assert completion[3] == 1 << 16


def test_windows_are_of_one_function_each():
    root = Root()
    root.enable(8)
    for function in range(1, 9):
        root.store(function, DRIVER_FEATURES, 1 << 5 if function % 2 else 1 << 16)
        root.store(function, QUEUE_SELECT, function % 2, 2)
        root.store(function, PAGE, 0x100 * function)
    for function in range(1, 9):
        assert root.load(function, DRIVER_FEATURES) == (1 << 5 if function % 2 else 1 << 16)
        assert root.load(function, PAGE) == 0x100 * function
    updates = {(fields["function"], fields["row"], fields["descriptors"])
               for stream, fields in root.model.drain() if stream == "queue_update"}
    assert updates == {(function, 2 * function + function % 2, 0x10_0000 * function) for function in range(1, 9)}


def test_each_function_has_its_own_address():
    root = Root()
    root.enable(8)
    assert [root.load(function, 0x18, 2) for function in (1, 8)] == [0x5734, 0x5E34]
    assert [root.load(function, 0x14, 4) for function in (1, 8)] == [0x1200_5452, 0x1200_5452]


def test_reset_of_a_virtual_function_touches_it_alone():
    root = Root()
    root.enable(2)
    for function in (1, 2):
        root.write(function, COMMAND, 4, 0b0011)
        root.store(function, STATUS, 3, 1)
    root.model.drain()
    root.write(1, DEVICE_CONTROL, RESET, 0b0011)
    assert [root.load(function, STATUS, 1) for function in (1, 2)] == [0, 3]
    assert [root.read(function, COMMAND) & 0xFFFF for function in (1, 2)] == [0, 4]
    assert root.events() == [("reset_request", 1, 1)]
    assert root.read(0, CONTROL) == ENABLE | MEMORY | ARI


def test_disabling_removes_and_resets():
    root = Root()
    root.enable(3)
    root.store(2, STATUS, 3, 1)
    root.write(2, COMMAND, 4, 0b0011)
    root.model.drain()
    root.write(0, CONTROL, 0, 0b0011)
    assert root.read(2, 0) is None and root.load(2, STATUS, 1) is None
    assert root.events() == [("reset_request", function, 2) for function in (1, 2, 3)]
    root.enable(3)
    assert root.load(2, STATUS, 1) == 0 and root.read(2, COMMAND) & 0xFFFF == 0


def test_reset_of_the_physical_function_by_status_leaves_the_others_alone():
    root = Root()
    root.enable(1)
    root.store(1, STATUS, 3, 1)
    root.model.receive(build(MemoryRequest(address=BASE + 0x10, length=1, first_be=0b0100, write=True, payload=(0,))))
    assert root.load(1, STATUS, 1) == 3 and root.read(0, CONTROL) == ENABLE | MEMORY | ARI


def test_function_level_reset_of_the_physical_function_ends_the_others():
    root = Root()
    root.enable(2)
    root.model.drain()
    root.write(0, DEVICE_CONTROL, RESET, 0b0011)
    assert root.read(0, CONTROL) == 0 and root.read(1, 0) is None
    assert sorted(root.events()) == [("reset_request", 0, 1), ("reset_request", 1, 2), ("reset_request", 2, 2)]


def test_only_bus_master_can_be_written_in_the_command_register():
    root = Root()
    root.enable(1)
    root.write(1, COMMAND, 0xFFFF, 0b0011)
    assert root.read(1, COMMAND) == 0x0010_0004
    for offset in range(0x10, 0x28, 4):
        root.write(1, offset, 0xFFFF_FFFF)
        assert root.read(1, offset) == 0


def test_a_sleeping_physical_function_answers_no_memory_request_for_anybody():
    root = Root()
    root.enable(1)
    root.write(0, 0x44, 3, 0b0001)
    assert root.load(1, STATUS, 1) is None and root.read(1, 0) == 0xFFFF_FFFF


def test_poison_is_logged_where_it_was_aimed():
    root = Root()
    root.enable(2)
    poisoned = MemoryRequest(address=VF_BASE + SIZE, length=1, first_be=0xF, write=True, payload=(1,), poisoned=True)
    assert not root.model.receive(build(poisoned))
    assert [root.read(function, 0xC8) >> 16 & 0xF for function in (0, 1, 2)] == [0, 0, 2]
    assert [root.read(function, COMMAND) >> 31 for function in (0, 1, 2)] == [0, 0, 1]


def test_a_function_that_does_not_exist_hears_nothing_of_its_back_end():
    root = Root(2)
    before = root.model.state()
    root.model.interrupt_cause(3, 0, 0, True)
    root.model.fault(3, 0, 0, 1)
    assert root.model.state() == before


#: The message control of a virtual function, its table in its BAR, and the pending bits behind it.
MSIX_CONTROL, TABLE, PENDING = 0x48, 0x4000, 0x4800


def interrupting(root: Root, *functions: int) -> None:
    """MSI-X on, the configuration has vector 1, and every function an address of its own."""
    for function in functions:
        assert root.write(function, MSIX_CONTROL, 1 << 31, 0b1100)
        assert root.write(function, COMMAND, 4, 0b0011)
        root.store(function, 0x14, 1, 2)
        root.store(function, TABLE + 16, 0xFEE0_0000 + 0x10 * function)
        root.store(function, TABLE + 24, function)
        root.store(function, TABLE + 28, 0)


def sent(root: Root) -> list[tuple[int, int, int]]:
    """Requester, address and data of the messages since the last call."""
    found = [parse(dwords) for dwords in root.model.take_sent()]
    assert all(isinstance(message, MemoryRequest) for message in found)
    return [(message.requester, message.address, message.payload[0]) for message in found]


def change(root: Root, function: int) -> None:
    """The function's configuration changes."""
    root.model.interrupt_cause(function, root.model.units[function].function.fence.epoch, 0, True)


def test_vf_08_messages_carry_the_id_of_their_function():
    root = Root(255)
    root.enable(255)
    interrupting(root, 1, 8, 255)
    for function in (8, 255, 1):
        change(root, function)
        assert sent(root) == [(BUS << 8 | function, 0xFEE0_0000 + 0x10 * function, function)]
    # One that was never set up: its table is its own.
    assert root.load(2, TABLE + 16) == 0 and root.load(2, TABLE + 28) == 1
    change(root, 2)
    assert sent(root) == []


def test_each_function_masks_and_forgets_alone():
    root = Root()
    root.enable(3)
    interrupting(root, 1, 2, 3)
    root.store(1, TABLE + 28, 1)
    root.write(2, COMMAND, 0, 0b0011)
    root.write(3, MSIX_CONTROL, 3 << 30, 0b1100)
    for function in (1, 2, 3):
        change(root, function)
    assert sent(root) == [] and [root.load(function, PENDING) for function in (1, 2, 3)] == [2, 2, 2]
    root.store(2, STATUS, 0, 1)
    assert [root.load(function, PENDING) for function in (1, 2, 3)] == [2, 0, 2]
    root.write(2, COMMAND, 4, 0b0011)
    root.store(1, TABLE + 28, 0)
    assert [message[0] for message in sent(root)] == [BUS << 8 | 1]
    root.write(3, DEVICE_CONTROL, RESET, 0b0011)
    assert (root.load(3, PENDING), root.load(3, TABLE + 28)) == (0, 1) and sent(root) == []


def test_vf_07_functions_that_go_forget_what_was_pending():
    root = Root()
    root.enable(2)
    interrupting(root, 1, 2)
    root.store(2, TABLE + 28, 1)
    change(root, 2)
    root.write(0, CONTROL, ARI, 0b0011)
    root.enable(2)
    assert (root.load(2, PENDING), root.load(2, TABLE + 16)) == (0, 0)
    change(root, 1)
    assert sent(root) == []


def test_vf_09_a_virtual_function_raises_no_pin():
    root = Root(more="[interrupts]\nintx = true\n")
    root.enable(2)
    for function in (1, 2):
        change(root, function)
        assert root.load(function, 0x13, 1) == 2
        assert root.read(function, COMMAND) >> 19 & 1 == 0
    assert root.model.take_sent() == []
    change(root, 1)
    assert root.model.state()["1.intx"] == 0 and root.model.take_sent() == []
    change(root, 0)
    assert [parse(dwords).code for dwords in root.model.take_sent()] == [0x20]
