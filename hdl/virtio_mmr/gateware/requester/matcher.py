"""Finds the read that a completion belongs to, and puts its data where they belong.

Specification: PCI Express Base 5.0, 2.2.9 (completion headers), 2.3.2 (handling of completions).
"""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.backend import DmaStatus
from virtio_mmr.gateware.tlp.beat import CompletionHeader, completion_beat
from virtio_mmr.spec.tlp import CompletionStatus, TlpType

from .lanes import rotated
from .read_state import progress


class CompletionMatcher(wiring.Component):
    """Takes a beat in every clock, whatever comes.

    A completion belongs to a read if its tag is that of a read that has not ended and its requester id is
    the one that the read left with. How much is still to come is counted here, in dwords; the byte count and
    the lower address of the completion are not looked at. What belongs to no read is "unexpected".

    ============================================ ==============================
    Completion                                   The read
    ============================================ ==============================
    successful, with data                        goes on, ends with its last dword
    the same, poisoned                           ends as "poisoned" with its last dword
    unsupported, retry, reserved status          ends as "unsupported"
    completer abort                              ends as "aborted"
    successful without data, or with too many    ends as "aborted"
    ============================================ ==============================

    A completion counts when its last beat has come and is not malformed; data that came with a malformed one
    will be written again, or never be shown.

    Parameters
    ----------
    width, slot, tags

    Members
    -------
    completions : In(stream.Signature(completion_beat(width), always_ready=True))
    used : In(range(tags + 1))
        Tags from this number on have not been handed out since reset.
    issued : In(1), tag : In(range(tags)), requester : In(16)
        A read begins.
    written : In(1), written_tag : In(range(tags)), progress : In
        A row of progress is written, by whomever.
    advanced : Out(1), advanced_tag : Out(range(tags)), advance : Out
        Row to write in this clock.
    store : Out(1).array(lanes), store_row : Out(...).array(lanes), store_data : Out(32).array(lanes)
        Dwords to write into the slots, lane by lane; the row's upper bits are the tag.
    unexpected, poisoned : Out(1)
    """

    def __init__(self, width: int, slot: int, tags: int):
        self._width, self._slot, self._tags = width, slot, tags
        lanes = width // 32
        tag = unsigned((tags - 1).bit_length())
        row = (tags * slot // (4 * lanes) - 1).bit_length()
        super().__init__({
            "completions": In(stream.Signature(completion_beat(width), always_ready=True)),
            "used": In(range(tags + 1)),
            "issued": In(1),
            "tag": In(tag),
            "requester": In(16),
            "written": In(1),
            "written_tag": In(tag),
            "progress": In(progress(width, slot)),
            "advanced": Out(1),
            "advanced_tag": Out(tag),
            "advance": Out(progress(width, slot)),
            "store": Out(1).array(lanes),
            "store_row": Out(row).array(lanes),
            "store_data": Out(32).array(lanes),
            "unexpected": Out(1),
            "poisoned": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = self._width // 32
        lane_bits = lanes.bit_length() - 1
        tag_bits = (self._tags - 1).bit_length()
        in_block_ram = {"no_rw_check": 1, "ram_style": "block"}
        row_shape = self.progress.shape()

        # --- First clock: ask for the rows --------------------------------------------------------------
        beat = self.completions.p.beat
        header = Signal(CompletionHeader)
        m.d.comb += header.eq(beat.header[:96])
        m.submodules.requesters = requesters = memory.Memory(
            shape=unsigned(16), depth=self._tags, init=[], attrs=in_block_ram)
        m.submodules.progresses = progresses = memory.Memory(
            shape=row_shape, depth=self._tags, init=[], attrs=in_block_ram)
        id_write, id_read = requesters.write_port(), requesters.read_port()
        row_write, row_read = progresses.write_port(), progresses.read_port()
        m.d.comb += [
            id_write.addr.eq(self.tag),
            id_write.data.eq(self.requester),
            id_write.en.eq(self.issued),
            row_write.addr.eq(self.written_tag),
            row_write.data.eq(self.progress),
            row_write.en.eq(self.written),
            id_read.addr.eq(header.tag),
            id_read.en.eq(1),
            row_read.addr.eq(header.tag),
            row_read.en.eq(1),
        ]
        valid_1, beat_1, malformed_1, tag_1 = Signal(), Signal.like(beat), Signal(), Signal(tag_bits)
        just_written, just_tag, just_row = Signal(), Signal(tag_bits), Signal(row_shape)
        m.d.comb += tag_1.eq(CompletionHeader(beat_1.header[:96]).tag)
        m.d.sync += [
            valid_1.eq(self.completions.valid),
            beat_1.eq(beat),
            malformed_1.eq(self.completions.p.malformed),
            just_written.eq(self.written),
            just_tag.eq(self.written_tag),
            just_row.eq(self.progress),
        ]

        # --- Second clock: the rows, as they are now -----------------------------------------------------
        valid_2, beat_2, malformed_2 = Signal(), Signal.like(beat), Signal()
        row_2, id_2, known_2 = Signal(row_shape), Signal(16), Signal()
        header_1 = Signal(CompletionHeader)
        m.d.comb += header_1.eq(beat_1.header[:96])
        high_tag = Cat(header_1.tag[tag_bits:], header_1.tag_8, header_1.tag_9)
        plain = (header_1.type == TlpType.COMPLETION) & (high_tag == 0)
        m.d.sync += [
            valid_2.eq(valid_1),
            beat_2.eq(beat_1),
            malformed_2.eq(malformed_1),
            id_2.eq(id_read.data),
            known_2.eq(plain & (tag_1 < self.used)),
            row_2.eq(row_read.data),
        ]
        with m.If(self.written & (self.written_tag == tag_1)):
            m.d.sync += row_2.eq(self.progress)
        with m.Elif(just_written & (just_tag == tag_1)):
            m.d.sync += row_2.eq(just_row)

        # --- Third clock: what becomes of it -------------------------------------------------------------
        h = Signal(CompletionHeader)
        m.d.comb += h.eq(beat_2.header[:96])
        length = Signal(11)
        with_data = h.fmt[1]
        # What the first beat said, for those that follow it.
        kept = Signal(row_shape)
        kept_tag, kept_expected, kept_writes, kept_poisoned = Signal(tag_bits), Signal(), Signal(), Signal()
        expected, writes, poisoned = Signal(), Signal(), Signal()
        place, kept_place = Signal(range(self._slot // 4)), Signal(range(self._slot // 4))
        owed, kept_owed = Signal(11), Signal(11)
        new = Signal(row_shape)
        tag_2 = Signal(tag_bits)
        surplus = Signal()
        successful = h.status == CompletionStatus.SUCCESSFUL
        m.d.comb += [
            length.eq(Cat(h.length, h.length == 0)),
            surplus.eq(~with_data | (length > row_2.left)),
        ]
        with m.If(beat_2.first):
            m.d.comb += [
                tag_2.eq(h.tag),
                expected.eq(known_2 & ~row_2.done & (id_2 == h.requester)),
                writes.eq(expected & successful & ~surplus),
                poisoned.eq(h.poisoned & with_data),
                place.eq(row_2.position),
                owed.eq(length),
                new.position.eq(row_2.position + length),
                new.left.eq(row_2.left - length),
            ]
            with m.If(successful & ~surplus):
                m.d.comb += [
                    new.done.eq(row_2.left == length),
                    new.status.eq(Mux(poisoned, DmaStatus.POISONED, row_2.status)),
                ]
            with m.Else():
                m.d.comb += [
                    new.done.eq(1),
                    new.status.eq(Mux(successful | (h.status == CompletionStatus.ABORT),
                                      DmaStatus.ABORTED, DmaStatus.UNSUPPORTED)),
                ]
        with m.Else():
            m.d.comb += [
                tag_2.eq(kept_tag),
                expected.eq(kept_expected),
                writes.eq(kept_writes),
                poisoned.eq(kept_poisoned),
                place.eq(kept_place),
                owed.eq(kept_owed),
                new.eq(kept),
            ]
        ends = valid_2 & beat_2.last & ~malformed_2
        m.d.comb += [
            self.advanced.eq(ends & expected),
            self.advanced_tag.eq(tag_2),
            self.advance.eq(new),
        ]
        with m.If(valid_2):
            m.d.sync += [
                kept.eq(new),
                kept_tag.eq(tag_2),
                kept_expected.eq(expected),
                kept_writes.eq(writes),
                kept_poisoned.eq(poisoned),
                kept_place.eq(place + beat_2.dwords),
                kept_owed.eq(Mux(owed > beat_2.dwords, owed - beat_2.dwords, 0)),
            ]

        # --- Fourth clock: into the slot -----------------------------------------------------------------
        data_3, place_3, tag_3 = Signal(self._width), Signal.like(place), Signal(tag_bits)
        enable_3 = Signal(lanes)
        m.d.sync += [
            self.unexpected.eq(ends & ~expected),
            self.poisoned.eq(ends & expected & poisoned),
            data_3.eq(beat_2.data),
            place_3.eq(place),
            tag_3.eq(tag_2),
            # A digest, or what a malformed packet has too much, is not written.
            *(enable_3[i].eq(valid_2 & writes & (beat_2.dwords > i) & (owed > i)) for i in range(lanes)),
        ]
        lane_3, slot_row = place_3[:lane_bits], place_3[lane_bits:]
        following = Signal.like(slot_row)
        m.d.comb += following.eq(slot_row + 1)
        words = [Cat(data_3[32 * i:32 * i + 32], enable_3[i]) for i in range(lanes)]
        for bank, word in enumerate(rotated(m, words, lane_3)):
            m.d.comb += [
                self.store[bank].eq(word[32]),
                self.store_data[bank].eq(word[:32]),
                self.store_row[bank].eq(Cat(Mux(bank < lane_3, following, slot_row), tag_3)),
            ]
        return m
