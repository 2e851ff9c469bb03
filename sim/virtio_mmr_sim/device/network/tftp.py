"""A TFTP server (RFC 1350) that only gives, with the options blksize and tsize (RFC 2347 to 2349)."""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from .host import Host
from .packets import Datagram, Ip, Malformed

PORT = 69

#: Local ports of transfers.
FIRST_PORT, LAST_PORT = 49152, 65535

#: Bytes of a block unless blksize says otherwise, and what that may say.
BLOCK, LEAST_BLOCK, MOST_BLOCK = 512, 8, 1428

#: Seconds before something is sent again, and how often it is.
TIMEOUT, TRIES = 1.0, 6


class Opcode(enum.IntEnum):
    """What a packet is."""

    READ = 1
    WRITE = 2
    DATA = 3
    ACK = 4
    ERROR = 5
    OPTIONS = 6


class Error(enum.IntEnum):
    """Codes of errors."""

    NOT_FOUND = 1
    ACCESS = 2
    ILLEGAL = 4


@dataclass
class _Transfer:
    client: IPv4Address
    port: int
    data: bytes
    block: int
    #: Number of the last packet: 0 stands for the options.
    number: int
    sent: bytes = b""
    due: float = 0.0
    tries: int = 0

    @property
    def last(self) -> int:
        """Number of the block that ends the file, shorter than the others and maybe empty."""
        return len(self.data) // self.block + 1


class TftpServer:
    """Serves *files*, by name without a leading slash, at *host*'s port 69."""

    def __init__(self, host: Host, files: Mapping[str, bytes], clock: Callable[[], float]):
        self._host, self._files, self._clock = host, files, clock
        self._transfers: dict[int, _Transfer] = {}
        self._port = FIRST_PORT
        #: Files that were taken to the end.
        self.served: list[str] = []
        self._names: dict[int, str] = {}
        host.udp[PORT] = self._request

    @property
    def wake_at(self) -> float | None:
        """When something is due to be sent again."""
        return min((transfer.due for transfer in self._transfers.values()), default=None)

    def wake(self, now: float) -> None:
        """Send again what was not acknowledged in time."""
        for port, transfer in list(self._transfers.items()):
            if transfer.due <= now:
                if transfer.tries >= TRIES:
                    self._end(port)
                else:
                    self._send(port, transfer, transfer.sent)

    def _request(self, packet: Ip, datagram: Datagram) -> None:
        words = datagram.data[2:].split(b"\0")
        opcode = int.from_bytes(datagram.data[:2], "big")
        if opcode not in (Opcode.READ, Opcode.WRITE) or len(words) < 3:
            raise Malformed("no request of TFTP")
        name, mode = words[0].decode("latin-1").lstrip("/"), words[1].decode("latin-1")
        data = self._files.get(name)
        if opcode == Opcode.WRITE:
            self._refuse(packet, datagram, Error.ACCESS, "nothing can be written here")
        elif mode.lower() != "octet":
            self._refuse(packet, datagram, Error.ILLEGAL, "the mode must be octet")
        elif data is None:
            self._refuse(packet, datagram, Error.NOT_FOUND, f"there is no {name}")
        else:
            asked = {words[at].decode("latin-1").lower(): words[at + 1] for at in range(2, len(words) - 2, 2)}
            self._start(packet.source, datagram.source, name, data, asked)

    def _refuse(self, packet: Ip, datagram: Datagram, error: Error, why: str) -> None:
        self._host.send_udp(packet.source, Datagram(PORT, datagram.source, _error(error, why)))

    def _start(self, client: IPv4Address, port: int, name: str, data: bytes, asked: dict[str, bytes]) -> None:
        for local, transfer in list(self._transfers.items()):
            if (transfer.client, transfer.port) == (client, port):
                # The request came twice, or the client has begun anew.
                self._end(local)
        options: dict[str, int] = {}
        block = asked.get("blksize", b"")
        if block.isdigit() and int(block) >= LEAST_BLOCK:
            options["blksize"] = min(int(block), MOST_BLOCK)
        if "tsize" in asked:
            options["tsize"] = len(data)
        local = self._free_port()
        transfer = _Transfer(client, port, data, options.get("blksize", BLOCK), 0)
        self._transfers[local], self._names[local] = transfer, name
        self._host.udp[local] = self._continue
        if options:
            text = b"".join(f"{key}\0{value}\0".encode() for key, value in options.items())
            self._send_new(local, transfer, Opcode.OPTIONS.to_bytes(2, "big") + text)
        else:
            self._send_block(local, transfer)

    def _free_port(self) -> int:
        while self._port in self._host.udp:
            self._port = self._port + 1 if self._port < LAST_PORT else FIRST_PORT
        return self._port

    def _continue(self, packet: Ip, datagram: Datagram) -> None:
        transfer = self._transfers[datagram.destination]
        if (packet.source, datagram.source) != (transfer.client, transfer.port) or len(datagram.data) < 4:
            raise Malformed("nobody whose transfer this is")
        opcode, number = (int.from_bytes(datagram.data[at:at + 2], "big") for at in (0, 2))
        if opcode == Opcode.ERROR:
            self._end(datagram.destination)
        elif opcode == Opcode.ACK and number == transfer.number & 0xFFFF:
            if transfer.number == transfer.last:
                self.served.append(self._names[datagram.destination])
                self._end(datagram.destination)
            else:
                self._send_block(datagram.destination, transfer)

    def _send_block(self, port: int, transfer: _Transfer) -> None:
        transfer.number += 1
        start = (transfer.number - 1) * transfer.block
        self._send_new(port, transfer, Opcode.DATA.to_bytes(2, "big") + (transfer.number & 0xFFFF).to_bytes(2, "big")
                       + transfer.data[start:start + transfer.block])

    def _send_new(self, port: int, transfer: _Transfer, data: bytes) -> None:
        transfer.sent, transfer.tries = data, 0
        self._send(port, transfer, data)

    def _send(self, port: int, transfer: _Transfer, data: bytes) -> None:
        transfer.tries += 1
        transfer.due = self._clock() + TIMEOUT
        self._host.send_udp(transfer.client, Datagram(port, transfer.port, data))

    def _end(self, port: int) -> None:
        del self._transfers[port], self._host.udp[port], self._names[port]


def _error(code: Error, why: str) -> bytes:
    return Opcode.ERROR.to_bytes(2, "big") + code.to_bytes(2, "big") + why.encode() + b"\0"
