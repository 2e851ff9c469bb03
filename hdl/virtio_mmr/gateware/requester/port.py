"""The requester port of an endpoint without a requester: every request of the back end ends as "blocked".

The streams are final, so that a back end can be written against them today.
"""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.backend import DmaRead, DmaStatus, DmaWrite, DmaWriteDone, dma_read_data, dma_write_data


class RequesterPort(wiring.Component):
    """Answers each read with one empty beat of status BLOCKED and each reported write with 1.

    Write data are swallowed. Latency: one clock.

    Members
    -------
    dma_read, dma_write, dma_write_data : In(stream)
    dma_read_data, dma_write_done : Out(stream)
    """

    def __init__(self, width: int):
        super().__init__({
            "dma_read": In(stream.Signature(DmaRead)),
            "dma_read_data": Out(stream.Signature(dma_read_data(width))),
            "dma_write": In(stream.Signature(DmaWrite)),
            "dma_write_data": In(stream.Signature(dma_write_data(width))),
            "dma_write_done": Out(stream.Signature(DmaWriteDone)),
        })

    def elaborate(self, platform):
        m = Module()
        read, answer = self.dma_read, self.dma_read_data
        m.d.comb += read.ready.eq(~answer.valid | answer.ready)
        with m.If(read.ready):
            m.d.sync += [
                answer.valid.eq(read.valid),
                answer.p.owner.eq(read.p.owner),
                answer.p.context.eq(read.p.context),
                answer.p.last.eq(1),
                answer.p.status.eq(DmaStatus.BLOCKED),
            ]
        write, done = self.dma_write, self.dma_write_done
        m.d.comb += [write.ready.eq(~done.valid | done.ready), self.dma_write_data.ready.eq(1)]
        with m.If(write.ready):
            m.d.sync += [
                done.valid.eq(write.valid & write.p.report),
                done.p.context.eq(write.p.context),
                done.p.status.eq(1),
            ]
        return m
