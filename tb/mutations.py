"""Faults of one line each, and the test that must turn red for each of them.

A list of tests says what is checked; this list says that the checks bite. Each test named here is the
fastest that sees its fault. `tb/conformance/test_mutations.py` plants them, one at a time, in a copy.
"""

from dataclasses import dataclass
from pathlib import Path

import virtio_mmr

#: The package whose copy is mutated.
PACKAGE = Path(virtio_mmr.__file__).parent


@dataclass(frozen=True)
class Mutation:
    """A fault: *old*, which stands exactly once in *file*, becomes *new*; *test* finds it.

    ``file`` counts from the gateware package, ``test`` from the folder of the benches.
    """

    file: str
    old: str
    new: str
    #: What goes wrong in the device.
    fault: str
    test: str

    @property
    def path(self) -> Path:
        """Place of the file inside the package."""
        return Path("gateware") / self.file


def _proof(module: str, test: str) -> str:
    return f"formal/test_{module}.py::test_{test}"


MUTATIONS = (
    Mutation(
        "adapters/raw.py", "free.eq(~raw.valid | raw.ready)", "free.eq(1)",
        "a beat toward the link is overwritten while the link stalls", _proof("streams", "transmitter")),
    Mutation(
        "adapters/raw.py", "beats.p.first.eq(~body)", "beats.p.first.eq(1)",
        "every beat is taken for a header", _proof("streams", "receiver")),
    Mutation(
        "access/queue.py", "fetch.eq((stored != 0) & (~shown | move))", "fetch.eq((stored != 0) & ~shown | move)",
        "a queue hands out what it does not hold", _proof("streams", "queue")),
    Mutation(
        "tlp/egress.py", "held.eq(~(self.beats.ready & self.beats.p.last))", "held.eq(~self.beats.ready)",
        "another source's beats get into a packet", _proof("streams", "egress")),
    Mutation(
        "requester/port.py", "done.valid.eq(write.valid & write.p.report)", "done.valid.eq(write.p.report)",
        "writes that never were are reported", _proof("streams", "requester")),
    Mutation(
        "tlp/ingress.py", "dwords.eq(beats.p.dwords - (~body & header.digest))", "dwords.eq(beats.p.dwords)",
        "a packet with a digest is found malformed", _proof("ingress", "payloads")),
    Mutation(
        "tlp/ingress.py", "free.eq(~request.valid | request.ready)", "free.eq(1)",
        "a request is overwritten while it waits", _proof("ingress", "requests_stay")),
    Mutation(
        "tlp/completion.py", "context_read.addr.eq(Mux(self.forget, after, oldest))", "context_read.addr.eq(oldest)",
        "a completion right behind another carries the other's tag", _proof("completion", "completions")),
    Mutation(
        "access/sequencer.py", "inside <= QUEUE_DEPTH - QUEUE_RESERVE - 4", "inside <= QUEUE_DEPTH - QUEUE_RESERVE",
        "requests under way when rx_np_ok falls have no place, and block writes",
        _proof("sequencer", "writes_are_always_taken")),
    Mutation(
        "access/sequencer.py", "Mux(piece_last & ends, head.last_be, 0b1111)", "Mux(ends, head.last_be, 0b1111)",
        "byte enables of the last dword reach those before it", _proof("sequencer", "walks")),
    Mutation(
        "state/function.py", "with m.If(touch.function_isr.read[0]):",
        "with m.If(touch.function_isr.read[0] | touch.function_status.read[0]):",
        "reading the status byte clears the ISR (LEG-16)", _proof("state", "interrupt_status")),
    Mutation(
        "state/function.py", "current = (event.epoch == row.epoch) & ~row.reset_outstanding",
        "current = ~row.reset_outstanding",
        "an interrupt of an old epoch gets through", _proof("state", "interrupt_status")),
    Mutation(
        "state/function.py", "kicks = Cat(kick & (kicked == i) & enabled[i] for i in queues)",
        "kicks = Cat(kick & (kicked == i) for i in queues)",
        "a queue without rings is notified", _proof("state", "notifications")),
    Mutation(
        "state/function.py", "if name not in kept:", 'if name not in (*kept, "config_vector"):',
        "a reset forgets the configuration vector", _proof("state", "reset_restores_every_table_value")),
    Mutation(
        "state/function.py", "new.epoch.eq(row.epoch + ~row.reset_unsent)", "new.epoch.eq(row.epoch + 1)",
        "a reset that nobody has heard of yet counts twice", _proof("state", "epochs")),
    Mutation(
        "state/function.py", "write.addr.eq(self.function)", "write.addr.eq(self.function ^ 1)",
        "what one function does lands in another's row", _proof("state", "rows_belong_to_their_function")),
    Mutation(
        "state/queues.py", "Mux(self.page_bytes[i], page_read.data[i], 0)", "page_read.data[i]",
        "a queue shows its page of before the reset", _proof("state", "reset_restores_every_table_value")),
    Mutation(
        "windows/register.py", "Cat(access.p.strobe[lane] & here for lane in lanes)", "Cat(here for _ in lanes)",
        "bytes that are not enabled act", _proof("state", "harmless_accesses_change_nothing")),
    Mutation(
        "windows/device.py", "with m.Elif(self.apply & known):", "with m.Elif(self.apply):",
        "an update for a function that does not exist lands in one that does",
        _proof("boundary", "device_configuration")),
    Mutation(
        "windows/msix.py", "with m.If(access.valid & ", "with m.If(",
        "the MSI-X window answers for others", _proof("endpoint", "access_ports")),
    Mutation(
        "notify.py", "~queue_update.valid & ~notification.valid\n", "~queue_update.valid\n",
        "a reset request overtakes a notification", _proof("boundary", "order_of_the_boundary")),
    Mutation(
        "endpoint.py", "chosen = Signal(EventKind, init=EventKind.INITIALISE)", "chosen = Signal(EventKind)",
        "a reset leaves the function's row as it was", _proof("endpoint", "reset_in_any_clock")),
)
