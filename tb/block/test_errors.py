"""Every outcome is counted once, sets its sticky bits at once and gives its pulse a clock later."""

import random
from collections import Counter

from block.simulation import simulate
from virtio_mmr.gateware.access.interface import Outcome
from virtio_mmr.gateware.errors import ErrorReporter

COUNTERS = ("malformed", "poisoned", "unsupported", "unexpected", "hole")

#: What happens, the counter that moves, the sticky bits, the pulse.
CAUSES = {
    "malformed": ("malformed", {"fatal_detected"}, "error_fatal"),
    "poisoned posted": ("poisoned", {"detected_parity_error", "nonfatal_detected"}, "error_nonfatal"),
    "unsupported posted": ("unsupported", {"unsupported_detected", "nonfatal_detected"}, "error_nonfatal"),
    "unexpected": ("unexpected", {"correctable_detected"}, "error_correctable"),
    "refused": ("unsupported", {"unsupported_detected", "correctable_detected"}, "error_correctable"),
    "refused poisoned": (
        "poisoned", {"detected_parity_error", "unsupported_detected", "correctable_detected"}, "error_correctable"),
    "hole": ("hole", set(), None),
}
BITS = {"malformed": Outcome.MALFORMED, "poisoned posted": Outcome.POISONED, "unsupported posted": Outcome.UNSUPPORTED,
        "unexpected": Outcome.UNEXPECTED}
STICKY = ("detected_parity_error", "correctable_detected", "nonfatal_detected", "fatal_detected",
          "unsupported_detected")
PULSES = ("error_correctable", "error_nonfatal", "error_fatal")


def test_any_mixture_of_outcomes_is_counted_and_reported():
    rng = random.Random(1)
    dut = ErrorReporter()
    counted, before = Counter(), set()

    async def play(ctx):
        nonlocal before
        for _ in range(1500):
            # In one clock at most one packet ends without an access, and at most one access is answered.
            ends = rng.choice([None, None, *BITS])
            answers = rng.choice([None, None, "refused", "refused poisoned", "hole"])
            causes = [cause for cause in (ends, answers) if cause]
            ctx.set(dut.dropped, 1 << BITS[ends] if ends else 0)
            ctx.set(dut.refused, answers in ("refused", "refused poisoned"))
            ctx.set(dut.poisoned, answers == "refused poisoned" or (answers is None and rng.random() < 0.5))
            ctx.set(dut.hole, answers == "hole")
            _, _, *values = await ctx.tick().sample(*(getattr(dut, name) for name in (*STICKY, *PULSES)))
            sticky = {name for name, value in zip(STICKY, values, strict=False) if value}
            pulses = {name for name, value in zip(PULSES, values[len(STICKY):], strict=True) if value}
            assert sticky == set().union(*(CAUSES[cause][1] for cause in causes))
            assert pulses == before
            before = {CAUSES[cause][2] for cause in causes} - {None}
            counted.update(CAUSES[cause][0] for cause in causes)
            assert [ctx.get(getattr(dut, f"count_{name}")) for name in COUNTERS] == [
                counted[name] for name in COUNTERS]

    simulate(dut, play)


def test_counters_wrap():
    dut = ErrorReporter()

    async def play(ctx):
        for name, cause in zip(COUNTERS, (1, 2, 4, 8, 0), strict=True):
            ctx.set(getattr(dut, f"count_{name}"), 0xFFFF)
            ctx.set(dut.dropped, cause)
            ctx.set(dut.hole, name == "hole")
            await ctx.tick()
            assert ctx.get(getattr(dut, f"count_{name}")) == 0

    simulate(dut, play)
