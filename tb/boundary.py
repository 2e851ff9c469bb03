"""The back-end boundary without a core behind it: DMA goes to memory at once, and may be refused at any request."""

import contextlib
from types import SimpleNamespace

from virtio_mmr_sim.native.host_memory import OutsideMemory, Ram
from virtio_mmr_sim.native.model import Item

#: Bytes of a beat.
BEAT = 16

OK, UNSUPPORTED, BLOCKED = 0, 1, 5


class Boundary:
    """Stands for `NativeModel` and its `BackEnd`; the driver of a test hands in events.

    *verdict* is asked for each DMA request, by its number: a status of the read stream. A write knows only "blocked".
    """

    inputs = ("queue_quiet", "reset_done", "config_update", "interrupt_cause", "fault", "dma_read", "dma_write",
              "dma_write_data")

    def __init__(self, size=1 << 20, functions=1):
        self.config = SimpleNamespace(requester=object(), vf=SimpleNamespace(count=functions - 1))
        self.backend = self
        self.memory = Ram(size)
        self.verdict = lambda number: OK
        self.requests = 0
        self.outputs = {}
        #: What the back end has said, in order: stream and fields.
        self.said = []
        self._writes = []

    # The back end's side

    def fields(self, name):
        return {"data": 8 * BEAT, "bytes": 5, "last": 1}

    def waiting(self, name):
        return 0

    def take_all(self):
        found, self.outputs = self.outputs, {}
        return found

    def put(self, name, *, delay=0, **fields):
        if name == "dma_read":
            self._read(**fields)
        elif name == "dma_write":
            self._writes.append([fields, b""])
        elif name == "dma_write_data":
            self._write(**fields)
        else:
            self.said.append((name, fields))

    def _judge(self):
        self.requests += 1
        return self.verdict(self.requests - 1)

    def event(self, name, **fields):
        """An item of an output stream."""
        self.outputs.setdefault(name, []).append(Item(self.requests, fields))

    def _read(self, function, epoch, address, bytes, owner, context):
        assert 0 < bytes <= 4096
        status, data = self._judge(), b""
        if status == OK:
            try:
                data = self.memory.read(address, bytes)
            except OutsideMemory:
                status = UNSUPPORTED
        answer = {"owner": owner, "context": context}
        for at in range(0, len(data), BEAT):
            part = data[at:at + BEAT]
            self.event("dma_read_data", **answer, data=int.from_bytes(part, "little"), bytes=len(part),
                       last=at + BEAT >= len(data), status=OK)
        if status != OK:
            self.event("dma_read_data", **answer, data=0, bytes=0, last=1, status=status)

    def _write(self, data, bytes, last):
        fields, gathered = self._writes[0]
        self._writes[0][1] = gathered = gathered + data.to_bytes(BEAT, "little")[:bytes]
        if last:
            self._writes.pop(0)
            assert len(gathered) == fields["bytes"] and fields["report"]
            blocked = self._judge() == BLOCKED
            if not blocked:
                # Writes are posted: one that reaches no memory is lost, and nobody is told.
                with contextlib.suppress(OutsideMemory):
                    self.memory.write(fields["address"], gathered)
            self.event("dma_write_done", context=fields["context"], status=int(blocked))

    # The driver's side

    def driver_update(self, function=0, *, event=0, epoch=0, features=0, legacy=1, driver_ok=1):
        self.event("driver_update", function=function, event=event, epoch=epoch, features=features, legacy=legacy,
                   big_endian=0, driver_ok=driver_ok)

    def enable(self, ring, queue=0, function=0):
        self.event("queue_update", function=function, queue=queue, row=queue, change=0, size=ring.size,
                   descriptors=ring.descriptors, available=ring.available, used=ring.used, first_available=0,
                   first_used=0, vector_valid=1)

    def notify(self, queue=0, function=0, legacy=1):
        self.event("notification", function=function, queue=queue, row=queue, extra=0, legacy=legacy)

    def reset(self, epoch, cause=0, function=0):
        self.event("reset_request", function=function, epoch=epoch, cause=cause)

    def heard(self, name):
        """What was said on a stream since the last call."""
        found = [fields for stream, fields in self.said if stream == name]
        self.said = [item for item in self.said if item[0] != name]
        return found
