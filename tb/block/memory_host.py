"""A root port with memory behind it: answers reads late, in pieces and in any order, or badly; keeps writes.

Everything is as slow and plain as can be. Byte order: a payload dword has its first byte in bits 7:0.
"""

import random
from dataclasses import dataclass, field

#: How a read request can be answered; what its reader should then be told.
FATES = {
    "ok": 0, "unsupported": 1, "retry": 1, "reserved": 1, "aborted": 2, "poisoned": 3, "surplus": 2, "no_data": 2,
    "forgotten": 4, "half_forgotten": 4, "late": 4, "wrong_function": 4, "wrong_bus": 4,
}
_STATUS = {"unsupported": 1, "retry": 2, "reserved": 3, "aborted": 4}


def byte_at(address: int) -> int:
    """What stands in memory before anybody wrote to it."""
    return (address * 0x9E3779B1 ^ address >> 13) >> 7 & 0xFF


def enabled_bytes(packet: list[int]) -> list[int]:
    """Addresses of the bytes that a memory request asks for or writes, ascending."""
    length = packet[0] & 0x3FF or 1024
    start = (packet[2] << 32 | packet[3]) if packet[0] >> 29 & 1 else packet[2]
    assert start & 3 == 0, "reserved address bits are set"
    if packet[0] >> 29 & 1:
        assert packet[2] != 0, "a four-dword header below 4 GiB"
    first, last = packet[1] & 0xF, packet[1] >> 4 & 0xF
    enables = [first] if length == 1 else [first, *[0xF] * (length - 2), last]
    if length == 1:
        assert last == 0, "a single dword has no last byte enables"
    else:
        assert first in (0xF, 0xE, 0xC, 0x8) and last in (0xF, 0x7, 0x3, 0x1), "byte enables with a gap"
    assert start // 4096 == (start + 4 * length - 1) // 4096, "crosses 4 KiB"
    return [start + 4 * dword + lane for dword in range(length) for lane in range(4) if enables[dword] >> lane & 1]


@dataclass
class Read:
    """One read request as it arrived."""

    packet: list[int]
    fate: str
    clock: int
    #: Completions that are still to be sent, in order: packets, and whether they are malformed.
    answers: list[tuple[list[int], bool]] = field(default_factory=list)
    due: int = 0

    @property
    def tag(self) -> int:
        return self.packet[1] >> 8 & 0xFF

    @property
    def requester(self) -> int:
        return self.packet[1] >> 16


class MemoryHost:
    """Takes request packets one by one, gives completion packets when it likes.

    Parameters
    ----------
    rng
        Decides everything.
    fates
        Probability of each bad way to answer.
    boundary
        Read completion boundary: 64 or 128 bytes.
    delay
        Most clocks between a request and its first completion.
    late
        Clocks after which a forgotten completion comes after all.
    noise
        Probability in each clock of a completion that nobody asked for; with any, a fifth of the others have a
        malformed one before them.
    limit
        Most bytes of a completion.
    merge, digest
        Probability that a completion goes on at a boundary, and that it has a digest.
    in_order
        Finish each read before the next.
    """

    def __init__(self, rng: random.Random, *, fates=(), boundary=64, delay=60, late=0, noise=0.0,
                 limit=4096, merge=0.5, digest=0.1, in_order=False):
        self.rng, self.fates, self.boundary, self.delay, self.late = rng, dict(fates), boundary, delay, late
        self.noise, self.limit, self.merge, self.digest = noise, limit, merge, digest
        self.in_order = in_order
        self.reads: list[Read] = []
        self.log: list[Read] = []
        self.written: dict[int, int] = {}
        self.clock = 0
        self.unexpected = 0
        self.poisoned = 0
        self.malformed = 0
        self.most = 0
        self.space = (0, 0)

    # --- Requests ---------------------------------------------------------------------------------------
    def request(self, packet: list[int]) -> None:
        """Take one request packet."""
        kind = packet[0] >> 24
        assert packet[0] & 0x009F_F000 == 0, "traffic class, attributes and the like are zero"
        if kind in (0x40, 0x60):
            self._write(packet)
        else:
            assert kind in (0x00, 0x20), f"{kind:#x} is neither a memory read nor a memory write"
            self._read(packet)

    def _write(self, packet):
        size = 4 if packet[0] >> 29 & 1 else 3
        payload, addresses = packet[size:], enabled_bytes(packet)
        assert len(payload) == (packet[0] & 0x3FF or 1024), "length does not fit the payload"
        start = (packet[-len(payload) - 1]) & ~3 | (packet[2] << 32 if size == 4 else 0)
        for address in addresses:
            offset = address - start
            self.written[address] = payload[offset // 4] >> 8 * (offset % 4) & 0xFF

    def _read(self, packet):
        assert len(packet) == (4 if packet[0] >> 29 & 1 else 3)
        enabled_bytes(packet)
        tag = packet[1] >> 8 & 0xFF
        assert tag not in [read.tag for read in self.reads if read.answers], f"tag {tag} is in use"
        fate = self.rng.choices(["ok", *self.fates], [1 - sum(self.fates.values()), *self.fates.values()])[0]
        read = Read(packet, fate, self.clock)
        read.due = self.clock + self.rng.randrange(self.delay + 1)
        read.answers = self._answers(read)
        if fate == "late":
            read.due = self.clock + self.late
        self.reads.append(read)
        self.log.append(read)
        waiting = [one for one in self.reads if one.answers]
        self.most = max(self.most, len(waiting))
        needs = [self._most_space(one) for one in waiting]
        self.space = tuple(map(max, self.space, map(sum, zip(*needs, strict=True))))

    def _most_space(self, read):
        """Completions that a read may see, and 16-byte units of their data, if each ends at the first boundary."""
        length = read.packet[0] & 0x3FF or 1024
        start = read.packet[3] if read.packet[0] >> 29 & 1 else read.packet[2]
        dwords = range(start, start + 4 * length, 4)
        return len({one // self.boundary for one in dwords}), len({one // 16 for one in dwords})

    def _answers(self, read):
        """The completions that *read* shall see."""
        fate, packet, rng = read.fate, read.packet, self.rng
        if fate in _STATUS:
            return [(self._completion(read, [], _STATUS[fate], 4, 0), False)]
        if fate == "no_data":
            return [(self._completion(read, [], 0, 4, 0), False)]
        if fate == "forgotten":
            return []
        length = packet[0] & 0x3FF or 1024
        start = packet[3] | packet[2] << 32 if packet[0] >> 29 & 1 else packet[2]
        addresses = enabled_bytes(packet)
        dwords = [sum(byte_at(start + 4 * i + lane) << 8 * lane for lane in range(4)) for i in range(length)]
        pieces, at = [], 0
        while at < length:
            # Ends at any boundary, or with the request.
            edge = (start + 4 * at) // self.boundary * self.boundary + self.boundary
            while rng.random() < self.merge and edge + self.boundary - start - 4 * at <= self.limit:
                edge += self.boundary
            end = min(length, (edge - start) // 4)
            left = len([one for one in addresses if one >= start + 4 * at])
            low = ((addresses or [start])[0] if at == 0 else start + 4 * at) & 0x7F
            pieces.append((dwords[at:end], left or 1, low))
            at = end
        if fate == "half_forgotten":
            pieces = pieces[:-1]
        if fate == "surplus":
            data, left, low = pieces[-1]
            pieces[-1] = (data + [0xDEAD_BEEF] * rng.choice([1, 2, 5]), left, low)
        answers = []
        poisoned = rng.randrange(len(pieces)) if fate == "poisoned" else -1
        for number, (data, left, low) in enumerate(pieces):
            if rng.random() < 0.2 and self.noise:
                broken = self._completion(read, data, 0, left, low)
                broken = broken[:-1] if rng.random() < 0.5 and len(data) > 1 else broken + [0x0BAD_0BAD] * 2
                answers.append((broken, True))
            answer = self._completion(read, data, 0, left, low)
            if number == poisoned:
                answer[0] |= 1 << 14
            if rng.random() < self.digest:
                answer[0] |= 1 << 15
                answer.append(rng.getrandbits(32))
            if fate == "wrong_function":
                answer[2] ^= 1 << 16
            if fate == "wrong_bus":
                answer[2] ^= 1 << 24
            answers.append((answer, False))
        return answers

    @staticmethod
    def _completion(read, data, status, count, low):
        head = (0x4A00_0000 if data else 0x0A00_0000) | len(data) & 0x3FF
        return [head, 0x0000_0000 | status << 13 | count & 0xFFF, read.requester << 16 | read.tag << 8 | low, *data]

    # --- Completions ------------------------------------------------------------------------------------
    def completion(self) -> tuple[list[int], bool] | None:
        """A completion to send now, if any: packet, and whether it is malformed."""
        rng = self.rng
        if self.noise and rng.random() < self.noise:
            nobody = self._completion(
                Read([0, rng.getrandbits(16) << 16 | rng.choice([rng.getrandbits(8), 0xFF]) << 8], "", 0),
                [rng.getrandbits(32)] * rng.choice([0, 1, 7]), rng.choice([0, 0, 1, 4]), 4, 0)
            tag = nobody[2] >> 8 & 0xFF
            if all(read.tag != tag for read in self.log):
                self.unexpected += 1
                return nobody, False
            nobody[0] |= 1 << 24
            self.unexpected += 1
            return nobody, False
        ready = [read for read in self.reads if read.answers and read.due <= self.clock]
        if not ready:
            return None
        read = ready[0] if self.in_order else rng.choice(ready)
        packet, malformed = read.answers.pop(0)
        if not read.answers:
            self.reads.remove(read)
        if malformed:
            self.malformed += 1
        else:
            if read.fate in ("wrong_function", "wrong_bus", "late"):
                self.unexpected += 1
            self.poisoned += packet[0] >> 14 & 1
        return packet, malformed
