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


#: The proof that two paths agree about a function, and before it the one about rows.
ISOLATED = proof("isolation", "functions_are_isolated_for_longer")
LEAKS = (proof("isolation", "every_write_goes_to_its_functions_row"), ISOLATED)
#: The same of two paths with the modern windows, for fewer clocks.
TRANSITIONAL = proof("isolation", "transitional_functions_are_isolated")

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
        "access/sequencer.py", "w.simple.eq((p.write | single) & (p.kind != Kind.CONFIG))",
        "w.simple.eq(p.write | single)",
        "a configuration read shows the register of the one before", (bench(
            "configuration", "every_dword_answers_and_shows_its_reset_value"),)),
    Fault(
        "access/sequencer.py", "(ended if self._deferred else 0)", "0",
        "a completion begins while the end of a long one is on its way",
        (proof("sequencer", "walks_of_several_functions_for_longer"),)),
    Fault(
        "endpoint.py", "max_payload=config.datapath.max_payload,\n            deferred=bool(late))",
        "max_payload=config.datapath.max_payload)",
        "the sequencer does not know that the end of a long completion is stored late", (TRAFFIC,)),
    Fault(
        "access/sequencer.py", "goes_first | (waiting & ~wants_write)", "goes_first | waiting",
        "a write meets the row of the function whose read waits", (proof("sequencer", "walks_of_several_functions"),)),
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
        "state/function.py", "(high_clear | ~touch.kick.write[1]) & enabled[i] for i in queues)",
        "(high_clear | ~touch.kick.write[1]) for i in queues)",
        "a queue without rings is notified", (proof("state", "notifications"),)),
    Fault(
        "state/function.py", "if name not in kept:", 'if name not in (*kept, "config_vector"):',
        "a reset forgets the configuration vector", (proof("state", "reset_restores_every_table_value"),)),
    Fault(
        "state/function.py", "new.epoch.eq(row.epoch + ~row.reset_unsent)", "new.epoch.eq(row.epoch + 1)",
        "a reset that nobody has heard of yet counts twice", (proof("state", "epochs"),)),
    Fault(
        "state/function.py", "rows.look.eq(self.look)", "rows.look.eq(self.look[1:])",
        "two functions share a row of state",
        (proof("state", "rows_belong_to_their_function"), *LEAKS)),
    Fault(
        "state/function.py", "Mux(rows.overtaken & cleared & ~self.eventful_ahead, 0, as_if_kept)", "as_if_kept",
        "a reset function shows the queue that it had selected before",
        (proof("state", "rows_belong_to_their_function"),)),
    Fault(
        "state/rows.py", "[its_number == number for", "[its_number[1:] == number[1:] for",
        "a row takes over what its neighbour was changed to a clock before",
        (proof("rows", "rows_two_clocks_ahead"), proof("rows", "rows_a_clock_ahead"))),
    Fault(
        "state/rows.py", "same.eq(self.look[high] == before[high])", "same.eq(self.look[high][1:] == before[high][1:])",
        "a row on its way takes over what its neighbour is changed to",
        (proof("rows", "rows_two_clocks_ahead_early"), ISOLATED)),
    Fault(
        "state/rows.py", "same & (its_number[low] == number[low])", "same",
        "a row of a queue takes over what its neighbour is changed to",
        (proof("rows", "rows_two_clocks_ahead_half_early"), proof("rows", "queues_of_many_functions"))),
    Fault(
        "state/rows.py", "choices = [replaced, instead, stored]", "choices = [overtaken, instead, stored]",
        "a row of a queue comes from RAM before its change is there", (proof("rows", "queues_of_many_functions"),)),
    Fault(
        "state/rows.py", "second.eq(self.second)", "second.eq(0)",
        "a selected queue is looked for where it was selected before", (proof("rows", "queues_of_many_functions"),)),
    Fault(
        "access/schedule.py", "self.look.eq(candidate.p.function)", "self.look.eq(self.function_ahead)",
        "an event happens to the function of a request that waits", (proof("schedule", "schedule"), LEAKS[0])),
    Fault(
        "access/schedule.py", "self.coming_executed.p.access.strobe.eq(0)",
        "self.coming_executed.p.access.write.eq(0)",
        "the ISR of a virtual function that has gone is read and cleared", (proof("schedule", "schedule"),)),
    Fault(
        "state/sweep.py", "reason.eq(_Reason.VANISH), number.eq(1)", "reason.eq(_Reason.VANISH), number.eq(2)",
        "the first virtual function is not reset when they are disabled", (proof("schedule", "sweep"),)),
    Fault(
        "turns.py", "self.work & started & ~self.initialise", "self.work & ~self.initialise",
        "what block RAM shows after a reset calls a function up", (proof("schedule", "turns"), ISOLATED)),
    Fault(
        "turns.py", "standing.look.eq(self.look)", "standing.look.eq(self.look[1:])",
        "two functions share a place among those that wait for their turn", (proof("schedule", "turns"), *LEAKS)),
    Fault(
        "events.py", "p.kind.eq(EventKind.NONE), p.function.eq(0)]", "p.kind.eq(EventKind.NONE)]",
        "a clock for nobody looks up a function that does not exist", (proof("schedule", "events"),)),
    Fault(
        "access/virtual.py", "load = request.valid & ~passed & ~spare_valid", "load = request.valid & ~spare_valid",
        "a long write to a virtual function is done twice", (proof("schedule", "virtual_stage"),)),
    Fault(
        "access/virtual.py", "near.eq(~difference[len(sizes):].any() & steady)",
        "near.eq(~difference[len(sizes):].any())",
        "a function is named that there is not when the page size changes", (proof("schedule", "virtual_stage"),)),
    Fault(
        "access/virtual.py", "request.ready.eq(done | (~long & ~spare_valid))", "request.ready.eq(done | ~long)",
        "a request is lost where the one before it waits", (proof("schedule", "virtual_stage"), block(
            "access_virtual", "a_stalled_output_does_not_reach_the_input_at_once"))),
    Fault(
        "tlp/completion.py", "now = (*now[:4], late_reply, C(0, 32))", "now = (*now[:4], in_time, C(0, 32))",
        "the later dwords of a completion lose what comes late and is deferred", (
            proof("completion", "completions_with_deferred_dwords"), block(
                "tlp_completion", "completions_are_whole_in_order_and_without_a_gap"))),
    Fault(
        "tlp/completion.py", " | Mux(behind, behind_late, 0) if", " if",
        "the later dwords of a completion lose what comes late", (
            proof("completion", "completions_with_late_dwords"), block(
                "tlp_completion", "completions_are_whole_in_order_and_without_a_gap"))),
    Fault(
        "requester/gate.py", "with m.If(change.function == asked)", "with m.If(change.function[1:] == asked[1:])",
        "a function may reach memory because its neighbour may", (proof("schedule", "shared_gate"), ISOLATED)),
    Fault(
        "state/queues.py", "Mux(page_bytes[i], stored.page[i], 0)", "stored.page[i]",
        "a queue shows its page of before the reset", (proof("state", "reset_restores_every_table_value"),)),
    Fault(
        "state/rows.py", "handed_on.eq(changed_row)", "handed_on.eq(stored)",
        "a look misses the change of the clock before",
        (proof("rows", "rows_a_clock_ahead"), proof("rows", "modern_queues_of_many_functions"), block(
            "state_rows", "changes_elsewhere_are_seen_by_every_later_use"))),
    Fault(
        "state/rows.py", "instead.eq(Mux(overtaken, self.new, handed_on))", "instead.eq(handed_on)",
        "a row on its way misses a change", (proof("rows", "rows_two_clocks_ahead"), block(
            "state_rows", "a_change_is_seen_at_every_distance"))),
    Fault(
        "state/rows.py", "onward = Mux(overtaken, self.new, row)", "onward = row",
        "a row that has come half of its way misses a change", (proof("rows", "rows_three_clocks_ahead"),)),
    Fault(
        "state/rows.py", "self.coming.eq(onward)", "self.coming.eq(row)",
        "the row that comes is announced without this clock's change", (proof("rows", "rows_two_clocks_ahead"), block(
            "state_rows", "random_looks_and_changes"))),
    Fault(
        "state/queue_place.py", "Cat(queue[:self.bits], function)", "Cat(queue[:self.bits], function[1:])",
        "two functions share the rows of their queues",
        (proof("rows", "queues_of_many_functions"), *LEAKS, TRANSITIONAL, *(block(
            table, "queues_of_many_functions_are_rows_of_their_own_and_every_change_is_seen_by_the_next_look")
            for table in ("state_queues", "state_modern_queues")))),
    Fault(
        "state/queue_place.py", "virtual.eq(function != 0)", "virtual.eq(0)",
        "virtual functions have the physical one's queues", (block(
            "state_queues",
            "queues_of_many_functions_are_rows_of_their_own_and_every_change_is_seen_by_the_next_look"),)),
    Fault(
        "state/queues.py", "merged(rows.row.page.as_value(), new_page, write_page)", "new_page",
        "a byte of a page number takes the others with it", (proof("rows", "queues_of_many_functions"),)),
    Fault(
        "state/queues.py", "rows.change.eq(write_page.any() | self.write_vector)",
        "rows.change.eq(self.write_page.any() | self.write_vector)",
        "a page is written into the row of the clock before", (proof("rows", "queues_of_many_functions"), block(
            "state_queues",
            "queues_of_many_functions_are_rows_of_their_own_and_every_change_is_seen_by_the_next_look"))),
    Fault(
        "access/router.py", "named & (coming.p.offset[bits:] == 0)", "named",
        "an access behind a window's registers meets them again", (block(
            "access_router", "access_reaches_its_window_alone_and_its_enabled_bytes_come_back"),)),
    Fault(
        "state/modern_queues.py",
        "notes.changed_number.eq(Cat(self.kicked[:self._place.bits], notes.number[self._place.bits:]))",
        "notes.changed_number.eq(notes.number)",
        "notification data land in the queue that is shown", (proof("rows", "modern_queues_of_many_functions"), block(
            "state_modern_queues",
            "queues_of_many_functions_are_rows_of_their_own_and_every_change_is_seen_by_the_next_look"))),
    Fault(
        "windows/register.py", "[touching.p.strobe[lane] & here for lane in range(", "[here for lane in range(",
        "bytes that are not enabled act", (proof("state", "harmless_accesses_change_nothing"),)),
    Fault(
        "windows/device.py", "self.apply | (self.update.valid & self.update.ready & beat.last & ~known)", "self.apply",
        "an update for a function that does not exist lands in one that does",
        (proof("boundary", "device_configuration"),)),
    Fault(
        "windows/device.py", "Mux(self.msix_enabled, behind[moved - first + i], behind[i])", "behind[i]",
        "a function's legacy configuration stays where it is when MSI-X is enabled",
        (proof("rows", "device_configuration_of_many_functions_for_longer"), block(
            "windows_device", "functions_have_rows_of_their_own_and_every_change_is_seen_by_the_next_look"))),
    Fault(
        "windows/device.py", "rows.change.eq(changes.any() | taken.any())", "rows.change.eq(changes.any())",
        "what a virtual function's driver wrote is told for ever",
        (proof("rows", "device_configuration_of_many_functions_for_longer"), block(
            "windows_device", "functions_have_rows_of_their_own_and_every_change_is_seen_by_the_next_look"))),
    Fault(
        "windows/device.py", "Mux(low[8], carried[byte - first], ", "Mux(0, 0, ",
        "MAC addresses of virtual functions count without a carry",
        (proof("rows", "device_configuration_of_many_functions_for_longer"), block(
            "windows_device", "restored_function_shows_the_image_of_its_number"))),
    Fault(
        "windows/device.py", "self.unreported.eq(rows.new.unreported", "self.unreported.eq(rows.row.unreported",
        "nobody is told to come back for what was just written",
        (proof("rows", "device_configuration_of_many_functions_for_longer"), block(
            "windows_device", "functions_have_rows_of_their_own_and_every_change_is_seen_by_the_next_look"))),
    Fault(
        "state/function.py", "Mux(write.write[i], byte, ~old[15])", "Mux(write.write[i], byte, C(1))",
        "a byte written beside none makes a vector", (block(
            "state_function", "any_accesses_and_events_change_the_row_as_the_rules_say"), TRAFFIC)),
    Fault(
        "windows/msix.py", "access.valid & table_named", "table_named",
        "the MSI-X window answers for others", (proof("endpoint", "access_ports"),)),
    Fault(
        "interrupt.py", "sends.eq(self.may_send & vectors.sendable)", "sends.eq(vectors.sendable)",
        "a message leaves that was forbidden a clock ago", (proof("interrupt", "causes"), block(
            "interrupt", "no_cause_is_lost_and_none_is_told_twice"))),
    Fault(
        "requester/reads.py", "owners.expired & ~self.timeout_disable", "owners.expired",
        "reads time out although software has switched that off", (block(
            "endpoint_dma", "software_switches_the_time_out_of_reads_off_and_on"),)),
    Fault(
        "state/vectors.py", "Mux(self.gate, now.for_queues, 0) | now", "now.for_queues | now",
        "a closed gate holds no interrupt of a queue back", (
            proof("interrupt", "causes"), block(
                "interrupt", "mmr_25_behind_a_closed_gate_queues_wait_and_the_configuration_does_not"))),
    Fault(
        "state/vectors.py", "now.for_queues & ~Mux(self.gate, mine, 0)", "now.for_queues & ~mine",
        "the configuration's message through a closed gate loses the queues' one", (
            proof("interrupt", "causes"), block(
                "interrupt", "mmr_25_behind_a_closed_gate_queues_wait_and_the_configuration_does_not"))),
    Fault(
        "state/shared_vectors.py", "Mux(self.gate, now.for_queues, 0) | now", "now.for_queues | now",
        "a closed gate holds no interrupt of a queue among many functions back", (block(
            "shared_interrupt", "mmr_25_behind_a_closed_gate_the_queues_of_one_function_wait_and_nobody_else"),)),
    Fault(
        "state/shared_vectors.py", "now.for_queues & ~Mux(self.gate, mine, 0)", "now.for_queues & ~mine",
        "the configuration's message through one of many closed gates loses the queues' one", (block(
            "shared_interrupt", "mmr_25_behind_a_closed_gate_the_queues_of_one_function_wait_and_nobody_else"),)),
    Fault(
        "requester/requester.py", "read.held.eq(", "read.held.eq(self.timeout_disable | ",
        "tags rest for ever while no read times out", (block(
            "requester_reads", "tags_of_aborted_reads_come_back_while_the_time_out_is_switched_off"),)),
    Fault(
        "endpoint.py", "state.reset_ahead.eq(config_space.reset_ahead | virtual_config.reset_ahead)",
        "state.reset_ahead.eq(config_space.reset_ahead)", "a virtual function's own reset leaves its row", (bench(
            "virtual", "a_function_level_reset_concerns_one_function"), TRAFFIC), device="virtual"),
    Fault(
        "state/shared_vectors.py", "here, 0) | self.opened.replicate(groups)),", "here, 0)),",
        "nobody comes back when the gate opens", (block(
            "shared_interrupt", "mmr_25_behind_a_closed_gate_the_queues_of_one_function_wait_and_nobody_else"),)),
    Fault(
        "endpoint.py", "router.hole & ~operation.p.completion.unsupported", "router.hole",
        "what is refused counts as a hole, too", (TRAFFIC,)),
    Fault(
        "endpoint.py", "row.isr[1] | (row.isr[0] & row.gate)", "row.isr.any()",
        "a closed gate does not hold INTA back", (bench(
            "interrupts", "a_closed_gate_holds_inta_back_for_queues_alone"),)),
    Fault(
        "interrupt.py", "wanted.eq(wanted | left), group", "group",
        "a masked vector is forgotten", (proof("interrupt", "causes"), block(
            "interrupt", "no_cause_is_lost_and_none_is_told_twice"), bench(
            "interrupts", "masked_vector_is_pending_and_unmasking_sends_once"))),
    Fault(
        "interrupt.py", "turn = ~now.busy & ~moved", "turn = ~now.busy",
        "a visit that has moved on looks at the vector that it comes from", (proof("interrupt", "causes"),)),
    Fault(
        "interrupt.py", "with m.If(vectors.pend.any()):", "with m.If(vectors.pend.any() & ~visiting):",
        "a cause behind the place that a visit has reached is forgotten", (block(
            "interrupt", "a_cause_behind_the_place_that_a_visit_has_reached_is_told_in_the_next"),)),
    Fault(
        "interrupt.py", "eligible = vectors.ready[:width] & ~sent", "eligible = vectors.ready[:width]",
        "a vector that never rests keeps the others waiting", (block(
            "interrupt", "a_vector_that_never_rests_does_not_keep_the_others_waiting"),)),
    Fault(
        "shared_interrupt.py", "sends.eq((kind == EventKind.SEND) & now.may_send & vectors.sendable)",
        "sends.eq((kind == EventKind.SEND) & vectors.sendable)",
        "a function sends what it was forbidden since it was visited", (
            proof("shared_interrupt", "messages_of_many_functions"),
            block("shared_interrupt", "no_cause_is_lost_and_none_is_told_twice"))),
    Fault(
        "shared_interrupt.py", "(kind == EventKind.PEND) | (now.forget & (now.function == whose))",
        "kind == EventKind.PEND",
        "a queue's interrupt of before a reset comes after it", (block(
            "shared_interrupt", "a_reset_forgets_its_functions_causes_wherever_they_are_but_not_its_own"),)),
    Fault(
        "shared_interrupt.py", "now.forget & (now.function == whose)", "now.forget",
        "a reset of one function loses another's interrupt", (proof("shared_interrupt", "causes_of_two_functions"),)),
    Fault(
        "state/shared_vectors.py", "place_bits + group_bits], self.function_ahead)",
        "place_bits + group_bits], self.function_ahead[1:])", "functions share pending bits and masks", (
            proof("shared_interrupt", "causes_of_two_functions"),
            proof("shared_interrupt", "vectors_of_two_functions"))),
    Fault(
        "state/shared_vectors.py", "Cat(self.entry_ahead[:entry_bits], self.function_ahead)",
        "Cat(self.entry_ahead[:entry_bits], self.function_ahead[1:])", "functions share the addresses of messages", (
            proof("shared_interrupt", "causes_of_two_functions"),
            proof("shared_interrupt", "vectors_of_two_functions"))),
    Fault(
        "shared_interrupt.py", "(kind == EventKind.PEND) & owed", "kind == EventKind.PEND",
        "a reset forgets no cause that is on its way", (block(
            "shared_interrupt", "a_reset_forgets_its_functions_causes_wherever_they_are_but_not_its_own"),)),
    Fault(
        "shared_interrupt.py", "ready & Cat(last < i for i in range(width))", "ready",
        "a vector that never rests keeps the others of its group waiting", (block(
            "shared_interrupt", "a_function_and_a_vector_that_never_rest_do_not_keep_the_others_waiting"),)),
    Fault(
        "shared_interrupt.py", "turns.work.eq(waiting.any() & may_send_then)",
        "turns.work.eq(waiting.any() & turns.turn)",
        "a function whose vectors are unmasked stands in no queue", (block(
            "shared_interrupt", "msx_03_a_masked_cause_is_pending_and_sent_once_when_unmasked"),)),
    Fault(
        "shared_interrupt.py", "vectors.restore.eq(now.restore)", "vectors.restore.eq(self.restore)",
        "a reset returns the vectors of the function of the clock before to their reset values", (block(
            "shared_interrupt", "no_cause_is_lost_and_none_is_told_twice"),)),
    Fault(
        "state/shared_vectors.py", "Mux(pends | mask_strobe, here, 0)", "Mux(pends, here, 0)",
        "nobody comes back when a vector is unmasked", (block(
            "shared_interrupt", "msx_03_a_masked_cause_is_pending_and_sent_once_when_unmasked"),)),
    Fault(
        "state/shared_vectors.py", "~Mux(self.visited & ~left, here, 0)", "~Mux(self.visited, here, 0)",
        "a group is visited once for all its vectors", (block(
            "shared_interrupt", "no_cause_is_lost_and_none_is_told_twice"),)),
    Fault(
        "state/shared_vectors.py", "shown.eq(Mux(written, entries.row.as_value(), 0))",
        "shown.eq(entries.row.as_value())",
        "an entry keeps bytes of before a reset", (block(
            "shared_interrupt", "no_cause_is_lost_and_none_is_told_twice"),)),
    Fault(
        "state/shared_vectors.py", "now.for_queues.eq(Mux(pending_valid, bits.row.for_queues, 0))",
        "now.for_queues.eq(bits.row.for_queues)",
        "a reset leaves pending bits of a function among several", (block(
            "shared_interrupt", "no_cause_is_lost_and_none_is_told_twice"),)),
    Fault(
        "tlp/message.py", "(p.function << 16 if self._several else 0)", "0",
        "messages of virtual functions carry the id of the physical one", (block(
            "tlp_message", "vf_08_a_message_carries_the_id_of_its_function"),)),
    Fault(
        "state/vectors.py", "Mux(forgets, 0, now[reason])", "now[reason]",
        "an interrupt of before a stop comes after it", (proof("interrupt", "causes"), block(
            "windows_msix", "the_table_reads_as_it_was_written_byte_by_byte"))),
    Fault(
        "state/vectors.py", "Mux(pending_valid, bits_read.data.for_queues, 0)", "bits_read.data.for_queues",
        "a reset leaves pending bits of other groups", (proof("interrupt", "two_groups"), block(
            "windows_msix", "the_table_reads_as_it_was_written_byte_by_byte"))),
    Fault(
        "state/vectors.py", "entry_write.en[byte].eq(strobe | (stored_strobe.any() & ~self.written))",
        "entry_write.en[byte].eq(strobe)",
        "a function level reset leaves bytes of addresses", (block(
            "windows_msix", "msx_01_after_a_reset_a_byte_that_is_written_leaves_no_old_ones_beside_it"),)),
    Fault(
        "tlp/message.py", "offered.eq(packet.valid & ~packet.done)", "offered.eq(0)",
        "a message on offer is withdrawn", (proof("interrupt", "levels"), block(
            "tlp_message", "message_of_a_level_that_has_fallen_again_stays_on_offer"))),
    Fault(
        "endpoint.py", "[*messages, completion.beats]", "[completion.beats, *messages]",
        "a completion overtakes the message that was handed in before it", (bench(
            "interrupts", "a_message_that_waits_for_the_link_leaves_before_the_completion_that_forbids_it"),),
        device="net-64"),
    Fault(
        "endpoint.py", "else interrupts & ~schedule.hold", "else interrupts",
        "INTA is raised by what was in the row before a reset", (TRAFFIC,)),
    Fault(
        "endpoint.py", "control.msix_enable & ~control.msix_mask & control.bus_master",
        "control.msix_enable & ~control.msix_mask",
        "messages leave while the function may make no requests", (bench(
            "interrupts", "nothing_is_sent_without_bus_master_or_in_d3hot"),)),
    Fault(
        "endpoint.py", "(event.queue == queue) & state.row.queue_vector_valid[queue]", "event.queue == queue",
        "a queue interrupts by its vector of before a reset", (bench(
            "interrupts", "reset_forgets_what_is_pending_but_not_the_table"),)),
    Fault(
        "endpoint.py", "Mux(schedule.eventful, event.queue, state.queue_select)",
        "Mux(schedule.reporting, event.queue, state.queue_select)",
        "a cause sends the vector of the selected queue", (bench(
            "interrupts", "every_cause_sends_its_vector_and_no_vector_sends_none"),)),
    Fault(
        "endpoint.py", "interrupt.forget.eq(state.fenced)", "interrupt.forget.eq(0)",
        "what was pending survives a reset", (bench(
            "interrupts", "reset_forgets_what_is_pending_but_not_the_table"),)),
    Fault(
        "endpoint.py", "status_bit.eq(interrupts & ~control.msix_enable)", "status_bit.eq(interrupts)",
        "Interrupt Status is set although MSI-X tells", (bench(
            "interrupts", "inta_is_lowered_by_interrupt_disable_msix_and_d3hot_and_not_by_bus_master"),)),
    Fault(
        "windows/config.py", 'bit("interrupt_disable") | ~awake', 'bit("interrupt_disable")',
        "INTA is raised in D3hot", (bench(
            "interrupts", "inta_is_lowered_by_interrupt_disable_msix_and_d3hot_and_not_by_bus_master"), TRAFFIC)),
    Fault(
        "notify.py", "& ~changing & ~notification.valid & ~reset_request.valid", "& ~changing & ~reset_request.valid",
        "a reset request overtakes a notification", (proof("boundary", "order_of_the_boundary"),)),
    Fault(
        "access/schedule.py", "Signal(EventKind, init=EventKind.INITIALISE)", "Signal(EventKind)",
        "a reset leaves the function's row as it was", (proof("endpoint", "reset_in_any_clock"),)),
    # Found by tests of one block.
    Fault(
        "access/decoder.py", "(self.kind == Kind.CONFIG) & (self.address[14:17] == 0)", "self.kind == Kind.CONFIG",
        "a function that does not exist answers configuration requests",
        (block("access_decoder", "configuration_requests_reach_function_zero_alone"), TRAFFIC)),
    Fault(
        "access/decoder.py", "self.place.offset < region.end // 4", "self.place.offset <= region.end // 4",
        "the dword behind a window belongs to it",
        (block("access_decoder", "aligned_and_unaligned_windows_and_the_holes_between_them"),)),
    Fault(
        "windows/config.py", "return (value == 0) | (value == 3)", "return Const(1)",
        "power states that the device does not have are entered",
        (block("windows_config", "any_writes_with_any_byte_enables_and_events_in_the_same_clock"), TRAFFIC)),
    Fault(
        "windows/config.py", "below(value, functions + 1)", "below(value, functions + 2)",
        "one virtual function more than there are can be enabled",
        (block("windows_config", "number_of_functions_is_bounded_and_fixed_while_they_are_enabled"),)),
    Fault(
        "windows/config.py", "page_size = Mux(here & legal, new, value)", "page_size = value",
        "base addresses of virtual functions follow the page size a clock late",
        (block("windows_config", "sriov_agrees_with_the_golden_model_as_fast_as_accesses_come"),)),
    Fault(
        "windows/virtual_config.py", "eq(said & ~change.reset)", "eq(said)",
        "the write that resets a virtual function clears sticky bits too",
        (block("windows_virtual_config", "nothing_else_of_a_write_that_resets_is_applied"),)),
    Fault(
        "state/virtual.py", "kept & ~change.reset.replicate(layout.size)", "kept",
        "a virtual function's configuration state survives its reset",
        (block("windows_virtual_config", "any_accesses_to_any_functions_agree_with_the_golden_model"),)),
    Fault(
        "errors.py", "discarded_mine = self.discarded & ~self.virtual", "discarded_mine = self.discarded",
        "poison for a virtual function is logged by the physical one",
        (block("errors", "poison_is_logged_by_the_function_that_it_was_aimed_at_and_all_else_by_the_physical_one"),)),
    Fault(
        "windows/legacy.py", "behind = far | ~below(dword, 5) & ~(self.msix_enabled & (dword == 5))",
        "behind = far | ~below(dword, 5)",
        "the vectors are not there when MSI-X is on",
        (block("windows_legacy", "header_ends_where_configuration_starts"), TRAFFIC)),
    # Found by random traffic.
    Fault(
        "requester/gate.py", "answer.bus_master & virtual_open", "virtual_open",
        "a virtual function reaches memory though it may not master the bus", (TRAFFIC,), device="virtual"),
    Fault(
        "requester/gate.py", "gate.requester.eq(Cat(gate.function, self.bus))",
        "gate.requester.eq(Cat(gate.function & 0, self.bus))",
        "virtual functions reach memory in the name of the physical one", (TRAFFIC,), device="virtual"),
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
        "state/function.py", "physical, virtual = (fits(old, write, value, kind.vectors) for kind in self._kinds)",
        "physical, virtual = C(1), C(1)",
        "a vector that does not exist is taken", (TRAFFIC,)),
    Fault(
        "state/function.py", "touch.function_big_endian.write[0] & idle",
        "touch.function_big_endian.write[0]",
        "the byte order changes under a driver", (TRAFFIC,)),
    Fault(
        "state/queues.py", "(page + of_used) << shift",
        "(page + of_used + 1) << shift",
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
    # Of the requester.
    Fault(
        "requester/gate.py", "& ~row.reset_outstanding & alive", "& ~row.reset_outstanding",
        "DMA goes without a driver", (block("endpoint_dma", "nothing_leaves_before_there_is_a_driver"),)),
    Fault(
        "requester/gate.py", "alive = started | row", "alive = row",
        "a legacy driver that starts its queues early is not served",
        (block("endpoint_dma", "a_driver_of_either_kind_opens_the_gate"),)),
    Fault(
        "requester/cutter.py", "mask[bit].eq(size > bit - 7)", "mask[bit].eq(self.size > bit - 7)",
        "a piece that is cut while software changes the sizes reaches beyond its range",
        (block("requester_cutter", "sizes_may_change_at_any_time"),)),
    Fault(
        "requester/issuer.py", "with m.If(self.issued & ~blocked):", "with m.If(self.issued):",
        "reads that are held back leave", (block(
            "requester_reads", "read_that_is_held_back_leaves_alone_the_one_before_it"),)),
    Fault(
        "requester/tags.py", "direct = self.returned & ~self.suspect", "direct = self.returned",
        "a late completion brings another read's data", (block(
            "requester_reads", "completion_that_comes_too_late_is_nobodys_even_if_its_tag_was_wanted"),)),
    Fault(
        "requester/requester.py", "may_leave.eq((before == 0) & others)", "may_leave.eq(others)",
        "a read overtakes a write",
        (block("requester_writes", "no_read_leaves_before_a_write_that_was_handed_in_earlier"),)),
    Fault(
        "tlp/order.py", "completions.valid & ~due & ~read_waits &", "completions.valid & ~due &",
        "a read leaves behind the completion that says it is over", (block(
            "tlp_order", "completions_and_writes_keep_the_order_in_which_they_came"),)),
    Fault(
        "tlp/ingress.py", "(header.attributes_low != 0)", "(attributes != 0)",
        "a configuration request with a reserved bit is dropped", (bench(
            "transport", "fields_that_io_and_configuration_fix_are_checked"),), device="net-64"),
    Fault(
        "windows/config.py", "value.eq(value if name in KEPT_BY_RESET else field.reset)", "value.eq(field.reset)",
        "a function level reset forgets what belongs to the link", (block(
            "windows_config", "any_writes_with_any_byte_enables_and_events_in_the_same_clock"), bench(
            "configuration", "function_reset_completes_first_and_restores_reset_values"))),
    Fault(
        "windows/device.py", "self.report_wanted.eq(Cat(pending.values()).any() & ~out.valid)",
        "self.report_wanted.eq(Cat(pending.values()).any())",
        "bytes of the driver's that nobody takes hold up the whole back end", (block(
            "endpoint", "a_config_write_that_nobody_takes_holds_up_nothing_else"),)),
    Fault(
        "state/function.py", '"configuration",\n                    "tell_gate")', '"configuration")',
        "a reset by status forgets that the gate has moved", (block(
            "endpoint", "news_of_the_gate_outlives_a_reset_by_status"),)),
    Fault(
        "endpoint.py", "(schedule.coming_function != 0) & (schedule.coming_function <= schedule.present)",
        "schedule.coming_function != 0", "a virtual function that has gone logs errors", (bench(
            "virtual", "accesses_to_a_function_that_is_being_disabled_end"),), device="virtual"),
    Fault(
        "requester/requester.py", "read.held.eq(self.read_held | (self.reads.valid & ~self.reads.ready))",
        "read.held.eq(0)", "a read is late that has not left yet", (block(
            "requester_reads", "no_time_passes_while_a_read_cannot_leave"),)),
    Fault(
        "tlp/order.py", "held.eq(~(beats.ready & beats.p.last))", "held.eq(~beats.ready)",
        "a request gets into a completion", (proof("streams", "ordered_egress"), block(
            "tlp_order", "completions_and_writes_keep_the_order_in_which_they_came"))),
    Fault(
        "tlp/order.py", "message.valid & known & self.clear", "message.valid & known",
        "an interrupt overtakes a write of its cause", (
            block("endpoint_dma", "an_interrupt_leaves_behind_every_write_handed_in_before_its_cause"),
            block("tlp_order", "a_message_leaves_behind_every_write_handed_in_before_it"))),
    Fault(
        "tlp/order.py", "with m.If(~stays):", "with m.If(1):",
        "a write waits for a completion that waits for an interrupt behind that write",
        (block("tlp_order", "a_message_leaves_behind_every_write_handed_in_before_it"),)),
    Fault(
        "requester/writer.py", "takes & ~drained & (~done.valid | done.ready)", "takes & ~drained",
        "the report of a write replaces another", (block(
            "endpoint_dma", "reports_that_nobody_takes_hold_up_neither_an_interrupt_nor_a_register"),)),
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
            "state/modern_queues.py", "Mux(self.addressed, stored.areas.as_value(), 0)",
            "stored.areas.as_value()",
            "a queue shows its addresses of before the reset",
            (TRAFFIC, proof("modern", "reset_restores_the_common_configuration"))),
        Fault(
            "windows/notify.py", "Mux(access.valid, data[16:], 0)", "data[16:]",
            "a kick through the legacy register brings the status as notification data", (block(
                "windows_notify", "every_address_and_strobe"),)),
        Fault(
            "windows/notify.py", "& access.strobe[0] & (access.offset[:low] == 0)", "& access.strobe[0]",
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
    # Beside the 7-series block.
    Fault(
        "adapters/series7.py", "held.eq(high),", "held.eq(low),",
        "a packet that begins in the middle of a beat begins with what is not its own",
        (proof("series7", "realigner"), block(
            "adapters_series7", "each_packet_begins_on_lane_0_with_its_payload_the_right_way_round"))),
    Fault(
        "adapters/series7.py", "tail.eq(late & ends_high),", "tail.eq(ends_high),",
        "the last half of a packet comes twice", (proof("series7", "realigner"),)),
    Fault(
        "adapters/series7.py", "m.d.sync += [told.eq(self.cfg_interrupt_assert), self.cfg_interrupt.eq(0)]",
        "m.d.sync += [told.eq(self.level), self.cfg_interrupt.eq(0)]",
        "a change of INTA while another is asked for is forgotten", (proof("series7", "interrupt"),)),
    *(replace(fault, device="series7-net-128") for fault in (
        Fault(
            "adapters/series7.py", "self.cfg_interrupt_stat.eq(link.interrupt_status)",
            "self.cfg_interrupt_stat.eq(link.intx)", "Interrupt Disable hides Interrupt Status from a hypervisor",
            (bench("hypervisor", "seabios"), bench(
                "interrupts", "inta_is_lowered_by_interrupt_disable_msix_and_d3hot_and_not_by_bus_master"))),
        Fault(
            "adapters/series7.py", "watcher.resetting.eq(self.cfg_received_func_lvl_rst | resetting)",
            "watcher.resetting.eq(0)", "a function level reset that the block tells of resets nothing",
            (bench("series7", "function_reset_is_told_to_the_back_end"),)),
        Fault(
            "adapters/series7.py", "self.rx_np_ok.eq(link.np_ok)", "self.rx_np_ok.eq(1)",
            "writes are stuck behind reads that the block should have held back",
            (bench("transport", "writes_are_taken_while_the_link_takes_nothing"),)),
        Fault(
            "adapters/series7.py", "control.bus.eq(self.cfg_bus_number)", "control.bus.eq(0)",
            "completions come from the wrong bus", (bench("series7", "completer_id_is_what_the_block_has_captured"),)),
    )),
    Fault(
        "adapters/series7.py", "with m.If(self.cfg_received_func_lvl_rst & ~before):",
        "with m.If(self.cfg_received_func_lvl_rst):",
        "a function level reset that lasts is never over",
        (block("adapters_series7", "function_level_reset_of_any_length_is_told_once_and_raises_no_inta"),)),
    Fault(
        "adapters/series7.py", "interrupt.level.eq(link.intx & ~watcher.resetting)",
        "interrupt.level.eq(link.intx)", "a function level reset raises INTA on its way",
        (block("adapters_series7", "function_level_reset_of_any_length_is_told_once_and_raises_no_inta"),)),
    Fault(
        "adapters/series7.py", "(long_before if lane else 1)", "1",
        "the first dword behind a short header is the wrong way round",
        (block("adapters_series7", "swapping_twice_changes_nothing_and_once_turns_payload_alone"),
         bench("legacy", "device_features_read_what_is_offered_and_take_no_write")), device="series7-net-64"),
    Fault(
        "adapters/series7.py", "link.hit.bar.eq(receiver.bar)", "link.hit.bar.eq(0)",
        "every request goes to BAR 0",
        (bench("modern", "there_are_as_many_queues_as_it_says_and_no_administration_queue"),),
        device="series7-transitional"),
    # Adapters to hard IP.
    Fault(
        "adapters/ultrascale_rx.py", "self.hit.function.eq(own_number(request.function, self._first_virtual))",
        "self.hit.function.eq(request.function)",
        "a virtual function's request goes to another one",
        (block("adapters_ultrascale", "each_request_becomes_the_packet_that_the_host_sent"),)),
    Fault(
        "adapters/ultrascale_rx.py", "Mux(discontinued, Mux(dwords == 1, 2, 1), dwords)", "dwords",
        "a packet that the block takes back is executed",
        (block("adapters_ultrascale", "a_discontinued_packet_has_a_length_that_no_header_promises"),)),
    Fault(
        "adapters/ultrascale_rx.py", "Mux(failed, CompletionStatus.ABORT.value, answer.status)", "answer.status",
        "a read that timed out in the block ends well",
        (block("adapters_ultrascale", "each_completion_of_a_read_becomes_the_packet_that_the_host_sent"),)),
    Fault(
        "adapters/ultrascale_tx.py", "may_complete = (beat != 0) | (unsent == 0)", "may_complete = C(1)",
        "a completion overtakes a write that was handed in before it",
        (block("adapters_ultrascale", "each_packet_leaves_on_its_stream_as_the_library_reads_it"),)),
    Fault(
        "adapters/ultrascale_tx.py", "with m.Elif(waiting == self._patience - 1):", "with m.Elif(C(0)):",
        "completions stop for ever if the block drops a write",
        (block("adapters_ultrascale", "completions_go_on_if_the_ip_never_speaks_of_a_write"),)),
    Fault(
        "adapters/ultrascale_tx.py", "Mux(sent & sent_number[5] & (count <= unsent), count, 0)",
        "sent & sent_number[5] & (unsent != 0)",
        "a number that comes late lets a completion overtake a newer write",
        (block("adapters_ultrascale", "a_number_that_comes_late_speaks_of_no_newer_write"),)),
    Fault(
        "adapters/ultrascale_tx.py", "sent & sent_number[5] & (count <= unsent)", "sent & sent_number[5]",
        "a number that comes late makes completions wait for writes that have been given up",
        (block("adapters_ultrascale", "a_number_that_comes_late_speaks_of_no_newer_write"),)),
    Fault(
        "adapters/ultrascale_plus.py", "self.ok.eq(self.available > unseen)", "self.ok.eq(self.available != 0)",
        "a read leaves without credit, and what comes behind it waits in the block",
        (block("adapters_ultrascale", "no_read_leaves_without_credit"),
         bench("dma", "while_the_host_takes_no_reads_everything_else_goes_on")), device="pcie4-128"),
    Fault(
        "adapters/ultrascale_plus.py", "lend.eq(self.np_ok & (lent < 15))", "lend.eq(self.np_ok)",
        "the block gets credit for more requests than there are places",
        (block("adapters_ultrascale", "credit_is_never_lent_twice"),)),
    Fault(
        "adapters/ultrascale_plus.py", "m.d.sync += busy.eq(~self.sent)", "m.d.sync += busy.eq(0)",
        "INTA changes before its last change was told",
        (block("adapters_ultrascale", "the_pin_changes_only_when_the_last_change_has_been_sent"),)),
    Fault(
        "adapters/ultrascale_plus.py", "self.cfg_vf_flr_func_num.eq(watcher.reset_function - 1)",
        "self.cfg_vf_flr_func_num.eq(watcher.reset_function + 3)",
        "the block hears that another virtual function's reset is done",
        (block("adapters_ultrascale", "resets_of_functions_are_told_and_their_end_is_told_to_the_ip"),)),
    Fault(
        "adapters/watch.py", "now.reset.eq(level(self.resetting))", "now.reset.eq(0)",
        "no function hears of its reset",
        (block("adapters_watch", "every_function_hears_of_its_last_state_and_of_each_reset_once"),)),
    Fault(
        "adapters/watch.py", "look.eq(Mux(turn, last_written, in_turn))", "look.eq(in_turn)",
        "a function hears of what software has written only in its turn",
        (block("adapters_watch", "a_function_that_was_written_is_heard_of_at_once"),)),
    Fault(
        "windows/extension.py", "door.read_data_valid.eq(door.read_received & ~answered)",
        "door.read_data_valid.eq(door.read_received)",
        "a configuration read that is held is answered twice",
        (block("windows_extension", "every_read_is_answered_in_the_next_clock_and_only_once"),)),
)
