"""A vfio-user server: one PCI device behind one socket, for a client such as QEMU's ``vfio-user-pci``.

Messages are read when the socket has something, and answered at once; nothing here waits. What a
message means for the device is for `PciDevice`, memory that the client shares for `GuestMemory`.

Protocol: vfio-user 0.1 (the specification that comes with QEMU and libvfio-user), PCI devices only.
"""

import array
import enum
import json
import os
import socket
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .memory import GuestMemory


class Command(enum.IntEnum):
    """Messages from the client that are understood."""

    VERSION = 1
    DMA_MAP = 2
    DMA_UNMAP = 3
    GET_INFO = 4
    GET_REGION_INFO = 5
    GET_REGION_IO_FDS = 6
    GET_IRQ_INFO = 7
    SET_IRQS = 8
    REGION_READ = 9
    REGION_WRITE = 10
    RESET = 13


#: Number of the region that is configuration space; BARs come first, by index.
CONFIG_REGION = 7
_REGIONS, _INTERRUPTS = 9, 5

#: Kinds of interrupts that a device may have.
INTX, MSIX = 0, 2

# Header: id, command, size with the header, flags, error.
_HEADER = struct.Struct("<HHIII")
_REPLY, _NO_REPLY, _ERROR = 1, 1 << 4, 1 << 5

#: Most bytes of one access, of which this server tells the client.
_MOST_DATA = 1 << 20
_MOST_DESCRIPTORS = 8
#: No message is longer: a header, the place of an access, and its data.
_MOST_BYTES = _HEADER.size + 16 + _MOST_DATA

#: Seconds for which an answer waits for room in the client's socket.
_SEND_LIMIT = 10

#: Flag of DMA_UNMAP.
_UNMAP_ALL = 2

_EINVAL = 22


class IrqAction(enum.IntFlag):
    """Flags of SET_IRQS."""

    DATA_NONE = 1
    DATA_BOOL = 2
    DATA_EVENTFD = 4
    MASK = 8
    UNMASK = 16
    TRIGGER = 32


@dataclass(frozen=True)
class Region:
    """A BAR or configuration space, in bytes."""

    size: int


class PciDevice(Protocol):
    """What the client drives."""

    #: Regions that exist: BARs by index, and configuration space.
    regions: dict[int, Region]
    #: Vectors of MSI-X, and whether there is a line.
    vectors: int
    has_line: bool

    def region_read(self, region: int, offset: int, size: int) -> bytes:
        """Read bytes of a region."""

    def region_write(self, region: int, offset: int, data: bytes) -> None:
        """Write bytes of a region."""

    def set_line(self, descriptor: int | None) -> None:
        """The line is to be signalled here, or nowhere any more."""

    def mask_line(self, masked: bool) -> None:
        """The client does not want to hear of the line, or does again."""

    def set_vectors(self, start: int, descriptors: Sequence[int | None]) -> None:
        """From *start* on, vectors are to be signalled here, or nowhere any more."""

    def reset(self) -> None:
        """As after power-up."""


class Disconnected(Exception):
    """The client is gone."""


class ProtocolError(Exception):
    """The client sent what no client sends; the text says what."""


class Server:
    """Serves *device* on *connection*; the client's memory appears in *memory*."""

    def __init__(self, connection: socket.socket, device: PciDevice, memory: GuestMemory):
        self._socket, self._device, self._memory = connection, device, memory
        # A timeout of the socket itself would also make a reception wait that has nothing to take.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", _SEND_LIMIT, 0))
        self._received = b""
        #: Descriptors that came with the message that so many bytes of what is here belong to, and to those before it.
        self._arrived: list[tuple[int, list[int]]] = []
        #: Those of the message that is served now.
        self._descriptors: list[int] = []
        #: Messages by name.
        self.messages: Counter[str] = Counter()

    def fileno(self) -> int:
        """For polling."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket and what came with messages."""
        self._socket.close()
        for _, descriptors in self._arrived:
            self._descriptors += descriptors
        self._arrived.clear()
        self._close_descriptors()

    def step(self) -> int:
        """Take what has come and answer every whole message; the number of messages.

        Raises
        ------
        Disconnected
            If the client has closed the connection.
        ProtocolError
            If it does not keep to the protocol.
        """
        try:
            # `socket.recv_fds` has no use for flags.
            data, extra, _, _ = self._socket.recvmsg(
                1 << 16, socket.CMSG_SPACE(4 * _MOST_DESCRIPTORS), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        except ConnectionError:
            raise Disconnected from None
        descriptors: list[int] = []
        for level, kind, packed in extra:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors += array.array("i", packed[:len(packed) // 4 * 4])
        if not data:
            raise Disconnected
        self._received += data
        # The system ends a reception with the piece that descriptors came with; messages before it have none.
        if descriptors:
            self._arrived.append((len(self._received), descriptors))
        count = 0
        while len(self._received) >= _HEADER.size:
            number, command, size, flags, _ = _HEADER.unpack_from(self._received)
            if not _HEADER.size <= size <= _MOST_BYTES or flags & 0xF:
                raise ProtocolError(f"message {number}: command {command}, {size} bytes, flags {flags:#x}")
            if len(self._received) < size:
                break
            body, self._received = self._received[_HEADER.size:size], self._received[size:]
            ends, self._arrived = self._arrived, []
            for end, descriptors in ends:
                if end <= size:
                    self._descriptors += descriptors
                else:
                    self._arrived.append((end - size, descriptors))
            self._serve(number, command, flags, body)
            count += 1
        return count

    def _serve(self, number: int, command: int, flags: int, body: bytes) -> None:
        try:
            known = Command(command)
            self.messages[known.name.lower()] += 1
            answer = self._handle(known, body)
            error = 0
        except (ValueError, struct.error):
            answer, error = b"", _EINVAL
        self._close_descriptors()
        if not flags & _NO_REPLY:
            reply = _REPLY | (_ERROR if error else 0)
            try:
                self._socket.sendall(_HEADER.pack(number, command, _HEADER.size + len(answer), reply, error) + answer)
            except ConnectionError:
                raise Disconnected from None
            except BlockingIOError:
                raise ProtocolError(f"the client has not taken the answer to message {number}, command {command}, for "
                                    f"{_SEND_LIMIT} s") from None

    def _handle(self, command: Command, body: bytes) -> bytes:
        match command:
            case Command.VERSION:
                return self._version(body)
            case Command.DMA_MAP:
                return self._map(body)
            case Command.DMA_UNMAP:
                self._unmap(body)
                return body[:24]
            case Command.GET_INFO:
                return struct.pack("<IIII", 16, 0b11, _REGIONS, _INTERRUPTS)
            case Command.GET_REGION_INFO:
                return self._region_info(body)
            case Command.GET_REGION_IO_FDS:
                raise ValueError("there are no descriptors behind regions")
            case Command.GET_IRQ_INFO:
                return self._interrupt_info(body)
            case Command.SET_IRQS:
                self._set_interrupts(body)
                return b""
            case Command.REGION_READ:
                region, offset, count = self._place(body)
                return body[:16] + self._device.region_read(region, offset, count)
            case Command.REGION_WRITE:
                region, offset, count = self._place(body)
                if len(body) < 16 + count:
                    raise ValueError(f"{count} bytes were to be written, {len(body) - 16} have come")
                self._device.region_write(region, offset, body[16:16 + count])
                return body[:16]
            case Command.RESET:
                self._device.reset()
                return b""

    def _version(self, body: bytes) -> bytes:
        major, minor = struct.unpack_from("<HH", body)
        if major != 0:
            raise ProtocolError(f"the client speaks version {major}.{minor} of the protocol; 0.1 is understood")
        limits = {"capabilities": {"max_msg_fds": _MOST_DESCRIPTORS, "max_data_xfer_size": _MOST_DATA}}
        return struct.pack("<HH", 0, min(minor, 1)) + json.dumps(limits).encode() + b"\0"

    def _map(self, body: bytes) -> bytes:
        _, flags, offset, address, size = struct.unpack_from("<IIQQQ", body)
        # Without a descriptor there is nothing to look into: such memory is outside of what the device reaches.
        if self._descriptors:
            try:
                self._memory.map(address, size, self._descriptors[0], offset, writable=bool(flags & 2))
            except (OSError, OverflowError) as error:
                raise ValueError(f"{size} bytes from {offset:#x} of the file cannot be shown: {error}") from None
        return b""

    def _unmap(self, body: bytes) -> None:
        _, flags, address, size = struct.unpack_from("<IIQQ", body)
        if flags & ~_UNMAP_ALL:
            raise ValueError(f"flags {flags:#x}: which pages were written is not known")
        if flags:
            self._memory.close()
        else:
            self._memory.unmap(address, size)

    def _place(self, body: bytes) -> tuple[int, int, int]:
        """Region, offset and size of an access."""
        offset, number, count = struct.unpack_from("<QII", body)
        region = self._device.regions.get(number)
        if region is None or count > _MOST_DATA or offset + count > region.size:
            raise ValueError(f"region {number} has no {count} bytes at {offset:#x}")
        return number, offset, count

    def _region_info(self, body: bytes) -> bytes:
        index, = struct.unpack_from("<I", body, 8)
        if index >= _REGIONS:
            raise ValueError(f"there is no region {index}")
        region = self._device.regions.get(index)
        return struct.pack("<IIIIQQ", 32, 0b11 if region else 0, index, 0, region.size if region else 0, 0)

    def _interrupt_info(self, body: bytes) -> bytes:
        index, = struct.unpack_from("<I", body, 8)
        if index == INTX:
            return struct.pack("<IIII", 16, 0b0111, index, int(self._device.has_line))
        if index >= _INTERRUPTS:
            raise ValueError(f"there are no interrupts {index}")
        return struct.pack("<IIII", 16, 0b1001, index, self._device.vectors if index == MSIX else 0)

    def _set_interrupts(self, body: bytes) -> None:
        _, flags, index, start, count = struct.unpack_from("<IIIII", body)
        action = IrqAction(flags)
        most = {INTX: 1, MSIX: self._device.vectors}.get(index, 0)
        if index >= _INTERRUPTS or start + count > most or len(self._descriptors) > count:
            raise ValueError(f"{count} interrupts from {start} on: kind {index} has {most}")
        if index == INTX and action & (IrqAction.MASK | IrqAction.UNMASK):
            self._device.mask_line(IrqAction.MASK in action)
        elif index in (INTX, MSIX) and IrqAction.TRIGGER in action:
            # Data "none" with no count ends all; descriptors that are not there end single ones.
            given: list[int | None] = []
            if IrqAction.DATA_EVENTFD in action:
                given = [os.dup(descriptor) for descriptor in self._descriptors]
                given += [None] * (count - len(given))
            elif count == 0:
                start, given = 0, [None] * most
            if index == MSIX:
                self._device.set_vectors(start, given)
            elif given:
                self._device.set_line(given[0])

    def _close_descriptors(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []


def signal(descriptor: int) -> None:
    """Ring an eventfd."""
    os.write(descriptor, array.array("Q", [1]).tobytes())


def close(descriptor: int | None) -> None:
    """Close an eventfd, if there is one."""
    if descriptor is not None:
        os.close(descriptor)
