"""Faults of one line each, and who must find each of them: the one list of them.

A list of tests says what is checked; this list says that the checks bite. `test_mutations.py` beside it
plants the faults, one at a time, in a copy of the package, and runs what is named here on the copy. A
new fault is one more entry.
"""

from dataclasses import dataclass, replace
from pathlib import Path

#: Random traffic against the golden model, see `vmmr fuzz`.
TRAFFIC = "traffic"


@dataclass(frozen=True)
class Fault:
    """*old*, which stands exactly once in *file*, becomes *new*; each of *found_by* turns red.

    ``file`` counts from the gateware package. ``found_by`` has tests as pytest names them, from the
    folder of the benches (``formal/`` are proofs, ``block/`` tests of one block, ``system/`` benches of
    the whole endpoint), and `TRAFFIC`.
    """

    file: str
    old: str
    new: str
    #: What goes wrong in the device.
    effect: str
    found_by: tuple[str, ...]
    #: The device of random traffic and benches.
    device: str = "net-128"

    @property
    def path(self) -> Path:
        """Place of the file inside the package."""
        return Path("gateware") / self.file


def proof(module: str, test: str) -> str:
    """Name of a proof."""
    return f"formal/test_{module}.py::test_{test}"


def block(module: str, test: str) -> str:
    """Name of a test of one block."""
    return f"block/test_{module}.py::test_{test}"


def bench(module: str, case: str) -> str:
    """Name of a case of a bench."""
    return f"system/bench_{module}.py::{case}"


FAULTS = (
    # Found by proofs.
    Fault(
        "adapters/raw.py", "free.eq(~raw.valid | raw.ready)", "free.eq(1)",
        "a beat toward the link is overwritten while the link stalls", (proof("streams", "transmitter"),)),
    Fault(
        "adapters/raw.py", "beats.p.first.eq(~body)", "beats.p.first.eq(1)",
        "every beat is taken for a header", (proof("streams", "receiver"),)),
    Fault(
        "access/queue.py", "fetch.eq((stored != 0) & (~shown | move))", "fetch.eq((stored != 0) & ~shown | move)",
        "a queue hands out what it does not hold", (proof("streams", "queue"),)),
    Fault(
        "tlp/egress.py", "held.eq(~(self.beats.ready & self.beats.p.last))", "held.eq(~self.beats.ready)",
        "another source's beats get into a packet", (proof("streams", "egress"),)),
    Fault(
        "requester/port.py", "done.valid.eq(write.valid & write.p.report)", "done.valid.eq(write.p.report)",
        "writes that never were are reported", (proof("streams", "requester"),)),
    Fault(
        "tlp/ingress.py", "dwords.eq(beats.p.dwords - (~body & header.digest))", "dwords.eq(beats.p.dwords)",
        "a packet with a digest is found malformed", (proof("ingress", "payloads"), block(
            "tlp_ingress", "digest_is_no_payload_and_must_be_there_if_announced"))),
    Fault(
        "tlp/ingress.py", "free.eq(~request.valid | request.ready)", "free.eq(1)",
        "a request is overwritten while it waits", (proof("ingress", "requests_stay"),)),
    Fault(
        "tlp/completion.py", "late_row.eq(row)", "late_row.eq(after)",
        "dwords of a long completion land behind their packet", (proof("completion", "completions"), block(
            "tlp_completion", "completions_are_whole_in_order_and_without_a_gap"), TRAFFIC)),
    Fault(
        "access/sequencer.py", "QUEUE_DEPTH - QUEUE_RESERVE - 3)", "QUEUE_DEPTH)",
        "requests under way when rx_np_ok falls have no place, and block writes",
        (proof("sequencer", "writes_are_always_taken"), block(
            "access_sequencer", "at_least_sixteen_more_requests_are_taken_while_the_flag_is_high"), bench(
            "transport", "writes_are_taken_while_the_link_takes_nothing"))),
    Fault(
        "access/sequencer.py", "Mux(piece_last & ends, head.last_be, 0b1111)", "Mux(ends, head.last_be, 0b1111)",
        "byte enables of the last dword reach those before it", (proof("sequencer", "walks"),)),
    Fault(
        "state/function.py", "with m.If(touch.function_isr.read[0]):",
        "with m.If(touch.function_isr.read[0] | touch.function_status.read[0]):",
        "reading the status byte clears the ISR (LEG-16)", (proof("state", "interrupt_status"),)),
    Fault(
        "state/function.py", "current = (event.epoch == row.epoch) & ~row.reset_outstanding",
        "current = ~row.reset_outstanding",
        "an interrupt of an old epoch gets through", (proof("state", "interrupt_status"),)),
    Fault(
        "state/function.py", "kicks = Cat(kick & (kicked == i) & enabled[i] for i in queues)",
        "kicks = Cat(kick & (kicked == i) for i in queues)",
        "a queue without rings is notified", (proof("state", "notifications"),)),
    Fault(
        "state/function.py", "if name not in kept:", 'if name not in (*kept, "config_vector"):',
        "a reset forgets the configuration vector", (proof("state", "reset_restores_every_table_value"),)),
    Fault(
        "state/function.py", "new.epoch.eq(row.epoch + ~row.reset_unsent)", "new.epoch.eq(row.epoch + 1)",
        "a reset that nobody has heard of yet counts twice", (proof("state", "epochs"),)),
    Fault(
        "state/function.py", "write.addr.eq(self.function)", "write.addr.eq(self.function ^ 1)",
        "what one function does lands in another's row", (proof("state", "rows_belong_to_their_function"),)),
    Fault(
        "state/queues.py", "Mux(self.page_bytes[i], page_read.data[i], 0)", "page_read.data[i]",
        "a queue shows its page of before the reset", (proof("state", "reset_restores_every_table_value"),)),
    Fault(
        "windows/register.py", "[access.p.strobe[lane] & here for lane in range(", "[here for lane in range(",
        "bytes that are not enabled act", (proof("state", "harmless_accesses_change_nothing"),)),
    Fault(
        "windows/device.py", "with m.Elif(self.apply & known):", "with m.Elif(self.apply):",
        "an update for a function that does not exist lands in one that does",
        (proof("boundary", "device_configuration"),)),
    Fault(
        "windows/msix.py", "of_table = access.valid & ~behind", "of_table = ~behind",
        "the MSI-X window answers for others", (proof("endpoint", "access_ports"),)),
    Fault(
        "interrupt.py", "sends.eq(self.may_send & (vectors.ready & chosen).any())",
        "sends.eq((vectors.ready & chosen).any())",
        "a message leaves that was forbidden a clock ago", (proof("interrupt", "causes"), block(
            "interrupt", "no_cause_is_lost_and_none_is_told_twice"))),
    Fault(
        "interrupt.py", "stays = ends & (found | left)", "stays = ends & found",
        "a masked vector is forgotten", (proof("interrupt", "causes"), block(
            "interrupt", "no_cause_is_lost_and_none_is_told_twice"), bench(
            "interrupts", "masked_vector_is_pending_and_unmasking_sends_once"))),
    Fault(
        "interrupt.py", "with m.If(raised & visiting & (self.function == visited)):", "with m.If(0):",
        "a cause behind the place that a visit has reached is forgotten", (block(
            "interrupt", "a_cause_behind_the_place_that_a_visit_has_reached_is_told_in_the_next"),)),
    Fault(
        "interrupt.py", "eligible = vectors.ready[:width] & ~sent", "eligible = vectors.ready[:width]",
        "a function that never rests keeps the others waiting", (block(
            "interrupt", "a_function_that_never_rests_does_not_keep_the_others_waiting"),)),
    Fault(
        "state/vectors.py", "left = Mux(self.forget, 0, now.pending)", "left = now.pending",
        "an interrupt of before a stop comes after it", (proof("interrupt", "causes"), block(
            "windows_msix", "the_table_reads_as_it_was_written_byte_by_byte"))),
    Fault(
        "state/vectors.py", "Mux(pending_valid, bits_read.data.pending, 0)", "bits_read.data.pending",
        "a reset leaves pending bits", (proof("interrupt", "causes"), block(
            "interrupt", "a_reset_forgets_what_is_pending_but_not_its_own_cause"))),
    Fault(
        "state/vectors.py", "entry_write.en[byte].eq(strobe | (stored_strobe.any() & ~written))",
        "entry_write.en[byte].eq(strobe)",
        "a function level reset leaves bytes of addresses", (block(
            "windows_msix", "msx_01_after_a_reset_a_byte_that_is_written_leaves_no_old_ones_beside_it"),)),
    Fault(
        "tlp/message.py", "offered.eq(packet.valid & ~packet.done)", "offered.eq(0)",
        "a message on offer is withdrawn", (proof("interrupt", "levels"), block(
            "tlp_message", "message_of_a_level_that_has_fallen_again_stays_on_offer"))),
    Fault(
        "endpoint.py", "ways_out.append(completion.beats)", "ways_out.insert(0, completion.beats)",
        "a completion overtakes the message that was handed in before it", (bench(
            "interrupts", "no_message_follows_the_completion_that_forbids_it"),)),
    Fault(
        "endpoint.py", "& ~control.interrupt_disable & ~starting)", "& ~control.interrupt_disable)",
        "INTA is raised by what was in the row before a reset", (TRAFFIC,)),
    Fault(
        "endpoint.py", "control.msix_enable & ~control.msix_mask & control.bus_master",
        "control.msix_enable & ~control.msix_mask",
        "messages leave while the function may make no requests", (bench(
            "interrupts", "nothing_is_sent_without_bus_master_or_in_d3hot"),)),
    Fault(
        "endpoint.py", "(interrupted == queue) & state.row.queue_vector_valid[queue]", "interrupted == queue",
        "a queue interrupts by its vector of before a reset", (bench(
            "interrupts", "reset_forgets_what_is_pending_but_not_the_table"),)),
    Fault(
        "endpoint.py", "m.d.comb += table.queue.eq(interrupted)", "pass",
        "a cause sends the vector of the selected queue", (bench(
            "interrupts", "every_cause_sends_its_vector_and_no_vector_sends_none"),)),
    Fault(
        "endpoint.py", "interrupt.forget.eq(state.fenced)", "interrupt.forget.eq(0)",
        "what was pending survives a reset", (bench(
            "interrupts", "reset_forgets_what_is_pending_but_not_the_table"),)),
    Fault(
        "endpoint.py", "(state.row.isr != 0) & ~control.msix_enable)", "(state.row.isr != 0))",
        "Interrupt Status is set although MSI-X tells", (bench(
            "interrupts", "inta_is_lowered_by_interrupt_disable_msix_and_d3hot_and_not_by_bus_master"),)),
    Fault(
        "windows/config.py", 'bit("interrupt_disable") | ~awake', 'bit("interrupt_disable")',
        "INTA is raised in D3hot", (bench(
            "interrupts", "inta_is_lowered_by_interrupt_disable_msix_and_d3hot_and_not_by_bus_master"), TRAFFIC)),
    Fault(
        "notify.py", "~queue_update.valid & ~notification.valid\n", "~queue_update.valid\n",
        "a reset request overtakes a notification", (proof("boundary", "order_of_the_boundary"),)),
    Fault(
        "endpoint.py", "chosen = Signal(EventKind, init=EventKind.INITIALISE)", "chosen = Signal(EventKind)",
        "a reset leaves the function's row as it was", (proof("endpoint", "reset_in_any_clock"),)),
    # Found by tests of one block.
    Fault(
        "access/decoder.py", "with m.If((self.kind == Kind.CONFIG) & (self.address[14:17] == 0)):",
        "with m.If(self.kind == Kind.CONFIG):",
        "a function that does not exist answers configuration requests",
        (block("access_decoder", "configuration_requests_reach_function_zero_alone"), TRAFFIC)),
    Fault(
        "access/decoder.py", "self.place.offset < region.end // 4", "self.place.offset <= region.end // 4",
        "the dword behind a window belongs to it",
        (block("access_decoder", "aligned_and_unaligned_windows_and_the_holes_between_them"),)),
    Fault(
        "windows/config.py", "legal = (new == 0) | (new == 3)", "legal = 1",
        "power states that the device does not have are entered",
        (block("windows_config", "any_writes_with_any_byte_enables_and_events_in_the_same_clock"), TRAFFIC)),
    Fault(
        "windows/legacy.py", "behind = far | ~below(dword, 5) & ~(self.msix_enabled & (dword == 5))",
        "behind = far | ~below(dword, 5)",
        "the vectors are not there when MSI-X is on",
        (block("windows_legacy", "header_ends_where_configuration_starts"), TRAFFIC)),
    # Found by random traffic.
    Fault(
        "state/function.py", "m.d.comb += new.isr.eq(0)",
        "m.d.comb += new.isr.eq(row.isr & 2)",
        "reading the ISR leaves its configuration bit", (TRAFFIC,)),
    Fault(
        "state/function.py", "new.driver_features.eq(value & offered & ~hidden)",
        "new.driver_features.eq(value & offered)",
        "features that are hidden from the driver can be accepted", (TRAFFIC,)),
    Fault(
        "state/function.py", "new.notified.eq(row.notified | kicks)",
        "new.notified.eq(kicks)",
        "a kick forgets those of other queues", (TRAFFIC,)),
    Fault(
        "state/function.py", "current = (event.epoch == row.epoch) & ~row.reset_outstanding",
        "current = event.epoch == row.epoch",
        "an interrupt gets through while a reset waits for the back end", (TRAFFIC,)),
    Fault(
        "state/function.py", "current & ~event.value[0] & (row.badstate == 0)",
        "current & ~event.value[0]",
        "queues of a function in BADSTATE interrupt", (TRAFFIC,)),
    Fault(
        "state/function.py", "row.status[6], touch.function_status.data[7]",
        "touch.function_status.data[6], touch.function_status.data[7]",
        "the driver can set DEVICE_NEEDS_RESET", (TRAFFIC,)),
    Fault(
        "state/function.py", "Mux(below(value, self._vectors), value, legacy.NO_VECTOR)",
        "value",
        "a vector that does not exist is taken", (TRAFFIC,)),
    Fault(
        "state/function.py", "touch.function_big_endian.write[0] & idle",
        "touch.function_big_endian.write[0]",
        "the byte order changes under a driver", (TRAFFIC,)),
    Fault(
        "state/queues.py", "(page + used_pages) << shift",
        "(page + used_pages + 1) << shift",
        "the used ring is one page late", (TRAFFIC,)),
    Fault(
        "tlp/ingress.py", "p.poisoned.eq(header.poisoned & with_data)",
        "p.poisoned.eq(header.poisoned)",
        "the poisoned bit counts in a packet without data", (TRAFFIC,)),
    Fault(
        "tlp/ingress.py", "reach[10] & reach[:10].any()",
        "reach[10]",
        "a request that ends with its page is malformed", (TRAFFIC,)),
    Fault(
        "notify.py", "& self.may_request & row.gate & (row.badstate == 0))",
        "& self.may_request & (row.badstate == 0))",
        "notifications pass a closed gate", (TRAFFIC,)),
    # Of the modern interface.
    *(replace(fault, device="transitional") for fault in (
        Fault(
            "state/modern.py", "return row.queue_by_page | row.status", "return ~row.queue_by_page | row.status",
            "a modern queue is served before DRIVER_OK",
            (TRAFFIC, block("notify", "a_modern_queue_waits_for_driver_ok_and_one_with_a_page_does_not"),
             bench("modern", "a_modern_queue_waits_for_driver_ok"))),
        Fault(
            "state/modern.py", "(it & served(row)).any(), ~is_modern(row))", "(it & served(row)).any(), 1)",
            "a queue interrupts although its reset is over",
            (bench("interrupts", "a_modern_queue_interrupts_from_driver_ok_until_its_reset_is_over"),)),
        Fault(
            "state/modern.py", "(it & served(row)).any(), ~is_modern(row))", "1, ~is_modern(row))",
            "a modern queue interrupts before DRIVER_OK",
            (bench("interrupts", "a_modern_queue_interrupts_from_driver_ok_until_its_reset_is_over"),)),
        Fault(
            "state/modern.py", '"queue_resetting",\n               "queue_vector_valid")', '"queue_resetting")',
            "a queue keeps its vector over a queue reset",
            (bench("interrupts", "a_modern_queue_interrupts_from_driver_ok_until_its_reset_is_over"),)),
        Fault(
            "state/modern.py", "row.driver_features[TransportFeature.VERSION_1] | row.unsupported.any()",
            "row.driver_features[TransportFeature.VERSION_1]",
            "FEATURES_OK is taken with bits that are not offered",
            (TRAFFIC, bench("modern", "features_that_cannot_be_are_not_agreed_to"))),
        Fault(
            "state/modern.py", "asked = self._row.queue_resetting & ~self._row.tell_queue",
            "asked = self._row.queue_resetting",
            "a queue reset ends before the back end has heard of it", (proof("modern", "the_life_of_a_queue"),)),
        Fault(
            "state/modern.py", "with m.If(state.queue_exists & ~self._enabled & ~self._resetting):",
            "with m.If(state.queue_exists & ~self._resetting):",
            "size and addresses change under a running queue",
            (TRAFFIC, bench("modern", "an_enabled_queue_keeps_size_and_addresses"))),
        Fault(
            "state/modern.py", "with m.If(self._state.driver_read & row.config_changed):",
            "with m.If(row.config_changed):",
            "the generation moves before anybody has read the change",
            (bench("modern", "generation_differs_once_a_change_was_read"),)),
        Fault(
            "state/modern_queues.py", "clears = strobes.any() & ~self.addressed", "clears = C(0)",
            "addresses of before a reset come back with the first new one",
            (block(
                "state_modern_queues", "a_row_that_does_not_count_reads_zero_and_is_zero_but_for_the_first_write"),)),
        Fault(
            "state/modern_queues.py", "Mux(self.addressed, area_read.data.as_value(), 0)",
            "area_read.data.as_value()",
            "a queue shows its addresses of before the reset",
            (TRAFFIC, proof("modern", "reset_restores_the_common_configuration"))),
        Fault(
            "windows/notify.py", "& access.p.strobe[0] & (offset[:low] == 0)", "& access.p.strobe[0]",
            "bytes between two notification addresses notify", (TRAFFIC, block(
                "windows_notify", "every_address_and_strobe"), bench(
                    "modern", "what_is_no_notification_address_notifies_nobody"))),
        Fault(
            "endpoint.py", "state.through_common.eq(router.window_common.access.valid)", "state.through_common.eq(0)",
            "FEATURES_OK is never refused", (TRAFFIC, bench("modern", "features_that_cannot_be_are_not_agreed_to"))),
        Fault(
            "access/detour.py", "onward.strobe.eq(Mux(taken, enabled << low, access.strobe))",
            "onward.strobe.eq(Mux(taken, enabled, access.strobe))",
            "the window in configuration space reaches the wrong bytes", (TRAFFIC, block(
                "access_detour", "settings_decide_where_an_access_goes"), bench(
                    "modern", "the_window_in_configuration_space_reads_and_writes_registers"))),
    )),
)
