"""Every outcome is counted once, sets its sticky bits in time and gives its pulse."""

import random
from collections import Counter

import pytest
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
    counted = Counter()

    async def play(ctx):
        for _ in range(40):
            for clock in range(40):
                # In one clock at most one packet ends without an access, and at most one access is answered.
                ends = rng.choice([None, None, *BITS]) if clock < 36 else None
                answers = rng.choice([None, None, "refused", "refused poisoned", "hole"]) if clock < 36 else None
                ctx.set(dut.dropped, 1 << BITS[ends] if ends else 0)
                ctx.set(dut.refused, answers in ("refused", "refused poisoned"))
                ctx.set(dut.poisoned, answers == "refused poisoned" or (answers is None and rng.random() < 0.5))
                ctx.set(dut.hole, answers == "hole")
                await ctx.tick()
                counted.update(CAUSES[cause][0] for cause in (ends, answers) if cause)
            assert [ctx.get(getattr(dut, f"count_{name}")) for name in COUNTERS] == [
                counted[name] for name in COUNTERS]

    simulate(dut, play)


@pytest.mark.parametrize("cause", CAUSES)
def test_every_cause_sets_its_bits_and_gives_its_pulse_once_and_soon(cause):
    dut = ErrorReporter()
    seen = []

    async def play(ctx):
        for clock in range(6):
            now = clock == 1
            ctx.set(dut.dropped, 1 << BITS[cause] if now and cause in BITS else 0)
            ctx.set(dut.refused, now and cause.startswith("refused"))
            ctx.set(dut.poisoned, now and cause == "refused poisoned")
            ctx.set(dut.hole, now and cause == "hole")
            _, _, *values = await ctx.tick().sample(*(getattr(dut, name) for name in (*STICKY, *PULSES)))
            seen.append(values)

    simulate(dut, play)
    _, sticky, pulse = CAUSES[cause]
    clocks = {name: [clock for clock, values in enumerate(seen) if values[index]]
              for index, name in enumerate((*STICKY, *PULSES))}
    assert {name for name in STICKY if clocks[name]} == sticky
    assert {name for name in PULSES if clocks[name]} == ({pulse} if pulse else set())
    # The next access may read the status: a refusal shows at once, a drop before an access can follow it.
    latest = 1 if cause.startswith("refused") else 2
    assert all(len(clocks[name]) == 1 and clocks[name][0] <= latest for name in sticky)
    assert not pulse or clocks[pulse] in ([2], [3])


def test_counters_wrap():
    dut = ErrorReporter()

    async def play(ctx):
        for name, cause in zip(COUNTERS, (1, 2, 4, 8, 0), strict=True):
            ctx.set(getattr(dut, f"count_{name}"), 0xFFFF)
            ctx.set(dut.dropped, cause)
            ctx.set(dut.hole, name == "hole")
            await ctx.tick()
            ctx.set(dut.dropped, 0)
            ctx.set(dut.hole, 0)
            await ctx.tick().repeat(3)
            assert ctx.get(getattr(dut, f"count_{name}")) == 0

    simulate(dut, play)
