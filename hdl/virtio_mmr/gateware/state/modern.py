"""What the modern interface adds to a function's row, and its rules.

Specification: virtio 1.4, 2.1 (status), 2.2 (feature bits), 2.6.1 (queue reset), 4.1.4.3 (common
configuration). `FunctionState` applies these rules in builds with a modern interface and knows nothing
of them in others.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from virtio_mmr.spec.features import TransportFeature
from virtio_mmr.spec.status import Status

from .merge import masked, merged
from .queues import RingAddresses

_FEATURES_OK = Status.FEATURES_OK.bit_length() - 1
_DRIVER_OK = Status.DRIVER_OK.bit_length() - 1

#: Fields of a row with one bit a queue that a reset of the queue clears.
QUEUE_FLAGS = ("queue_addressed", "queue_sized", "queue_enabled", "queue_by_page", "queue_resetting",
               "queue_vector_valid")


def modern_row(queues: int) -> dict:
    """Fields of a row that only a modern interface needs.

    ``unsupported``: the word was last written with bits that are not offered. ``config_changed``: no
    driver has read device configuration since it changed. Of each queue: whether its addresses and its
    size in the queue table count, whether it is enabled, whether by a page number, and whether the back
    end is to let go of it.
    """
    return {
        "driver_features": unsigned(64),
        "device_feature_select": unsigned(32),
        "driver_feature_select": unsigned(32),
        "unsupported": unsigned(2),
        "config_generation": unsigned(8),
        "config_changed": unsigned(1),
        "queue_addressed": unsigned(queues),
        "queue_sized": unsigned(queues),
        "queue_enabled": unsigned(queues),
        "queue_by_page": unsigned(queues),
        "queue_resetting": unsigned(queues),
    }


#: Members of `FunctionState` in builds with a modern interface.
#:
#: ``through_common``: the access came through the common configuration; ``driver_read``: it reads device
#: configuration. The rest belongs to `ModernQueueTable`: the row that the function selects, and changes of it.
PORTS = {
    "through_common": In(1),
    "driver_read": In(1),
    "queue_most": In(16),
    "queue_rings": In(RingAddresses),
    "queue_addressed": Out(1),
    "queue_sized": Out(1),
    "write_areas": Out(data.ArrayLayout(8, 3)),
    "new_areas": Out(data.ArrayLayout(64, 3)),
    "write_size": Out(1),
    "new_size": Out(16),
    "kick": Out(1),
    "kicked": Out(16),
    "takes_data": Out(1),
}


def negotiated(row, feature: TransportFeature):
    """The driver accepted *feature* and the device agreed."""
    return row.driver_features[feature] & row.status[_FEATURES_OK]


def is_modern(row):
    """The driver is one of version 1."""
    return negotiated(row, TransportFeature.VERSION_1)


def served(row):
    """A bit for each queue: its buffers may be used. A modern driver must be ready first."""
    return row.queue_by_page | row.status[_DRIVER_OK].replicate(len(row.queue_by_page))


class ModernRules:
    """Statements about one clock of `FunctionState`.

    Parameters
    ----------
    m
        Where they are added.
    state
        The `FunctionState`, with the members of `PORTS`.
    new
        The row as it will be.
    selected
        A bit for each queue; at most one, that of the queue that the row selects.
    hidden
        Bits 31:0 that the hypervisor hides.
    offered, stride, queues
        Of the function of this clock: all feature bits that a modern driver is shown, bytes between notification
        addresses, number of queues.
    """

    def __init__(self, m: Module, state, new, selected, *, hidden, offered, stride, queues):
        self._m, self._state, self._row, self._new = m, state, state.row, new
        self._selected = Cat(selected)
        row = self._row
        self._enabled, self._resetting = Signal(name="queue_is_enabled"), Signal(name="queue_is_resetting")
        #: Queues that return to their values after reset in this clock.
        self._over = Signal(len(selected), name="queues_start_over")
        all_offered = Signal(64, name="modern_offered")
        m.d.comb += all_offered.eq(offered)
        self._words = (all_offered[:32] & ~hidden, all_offered[32:])
        self._stride, self._queues = stride, queues
        m.d.comb += [
            self._enabled.eq((self._selected & row.queue_enabled).any()),
            self._resetting.eq((self._selected & row.queue_resetting).any()),
            state.queue_addressed.eq((self._selected & row.queue_addressed).any()),
            state.queue_sized.eq((self._selected & row.queue_sized).any()),
            state.takes_data.eq(negotiated(row, TransportFeature.NOTIFICATION_DATA)),
        ]

    @property
    def running(self):
        """A bit for each queue: a notification of it counts."""
        return self._row.queue_enabled & ~self._row.queue_resetting

    def shown(self) -> dict:
        """What the common configuration shows, beside what the legacy window does."""
        state, row = self._state, self._row
        low, high = self._words
        by_device, by_driver = row.device_feature_select, row.driver_feature_select
        exists = state.queue_exists
        names_queue = exists & row.driver_features[TransportFeature.NOTIF_CONFIG_DATA]
        return {
            "function_device_feature_select": by_device,
            "device_feature_word": Mux(by_device == 0, low, Mux(by_device == 1, high, 0)),
            "function_driver_feature_select": by_driver,
            "function_driver_feature_word": Mux(
                by_driver == 0, row.driver_features[:32], Mux(by_driver == 1, row.driver_features[32:], 0)),
            "device_queues": self._queues,
            "function_config_generation": row.config_generation,
            "queue_enable": self._enabled,
            "queue_notify_offset": Mux(exists & (self._stride != 0), row.queue_select, 0),
            "queue_descriptors": state.queue_rings.descriptors,
            "queue_available": state.queue_rings.available,
            "queue_used": state.queue_rings.used,
            "queue_notify_data": Mux(names_queue, row.queue_select, 0),
            "queue_reset": self._resetting,
        }

    def write_features(self, forbidden) -> Signal:
        """The driver accepts bits of the word that it selected. Gives whether it took one of *forbidden*."""
        m, row, new = self._m, self._row, self._new
        touch = self._state.touch.function_driver_feature_word
        m.d.comb += self._store("device_feature_select", self._state.touch.function_device_feature_select)
        m.d.comb += self._store("driver_feature_select", self._state.touch.function_driver_feature_select)
        offends = Signal(name="takes_forbidden")
        said = masked(touch.data, touch.write)
        for index, offered in enumerate(self._words):
            part = slice(32 * index, 32 * index + 32)
            with m.If(touch.write.any() & ~row.status[_FEATURES_OK] & (row.driver_feature_select == index)):
                m.d.comb += [
                    new.driver_features[part].eq(merged(row.driver_features[part], touch.data, touch.write) & offered),
                    new.unsupported[index].eq((said & ~offered).any()),
                    new.tell_features.eq(1),
                ]
                if index == 0:
                    m.d.comb += offends.eq((said & forbidden).any())
        return offends

    def _store(self, name: str, touch):
        return self._new[name].eq(merged(self._row[name], touch.data, touch.write))

    def refuses_features(self):
        """FEATURES_OK is not taken through the common configuration with features that cannot be."""
        row = self._row
        unfit = ~row.driver_features[TransportFeature.VERSION_1] | row.unsupported.any()
        return self._state.through_common & ~row.status[_FEATURES_OK] & unfit

    def write_page(self) -> None:
        """A page number starts the selected queue where it says, or stops it."""
        m, state, row, new, mask = self._m, self._state, self._row, self._new, self._selected
        touch = state.touch.queue_page
        starts = merged(state.queue_page, touch.data, touch.write).any()
        m.d.comb += state.new_page.eq(touch.data)
        with m.If(touch.write.any() & state.queue_exists & ~self._resetting):
            m.d.comb += [
                state.write_page.eq(touch.write),
                new.tell_queue.eq(row.tell_queue | Mux(starts | self._enabled, mask, 0)),
                *(new[name].eq(Mux(starts, row[name] | mask, row[name] & ~mask))
                  for name in ("queue_addressed", "queue_enabled", "queue_by_page")),
            ]
            with m.If(~starts):
                m.d.comb += new.notified.eq(row.notified & ~mask)

    def write_queue(self) -> None:
        """Size, addresses, enabling and resetting of the selected queue."""
        m, state, row, new, mask = self._m, self._state, self._row, self._new, self._selected
        touch = state.touch
        size = merged(state.queue_size, touch.queue_size.data, touch.queue_size.write)
        areas = (touch.queue_descriptors, touch.queue_available, touch.queue_used)
        m.d.comb += [state.new_size.eq(size), *(state.new_areas[i].eq(area.data) for i, area in enumerate(areas))]
        with m.If(state.queue_exists & ~self._enabled & ~self._resetting):
            legal = (size != 0) & ((size & (size - 1)[:16]) == 0) & (size <= state.queue_most)
            with m.If(touch.queue_size.write.any() & legal):
                m.d.comb += [state.write_size.eq(1), new.queue_sized.eq(row.queue_sized | mask)]
            m.d.comb += [state.write_areas[i].eq(area.write) for i, area in enumerate(areas)]
            with m.If(Cat(area.write for area in areas).any()):
                m.d.comb += new.queue_addressed.eq(row.queue_addressed | mask)
            with m.If(masked(touch.queue_enable.data, touch.queue_enable.write) == 1):
                m.d.comb += [
                    new.queue_enabled.eq(row.queue_enabled | mask),
                    new.tell_queue.eq(row.tell_queue | mask),
                ]
        with m.If((masked(touch.queue_reset.data, touch.queue_reset.write) == 1) & state.queue_exists
                  & ~self._resetting & negotiated(row, TransportFeature.RING_RESET)):
            with m.If(self._enabled):
                m.d.comb += [
                    new.queue_resetting.eq(row.queue_resetting | mask),
                    new.tell_queue.eq(row.tell_queue | mask),
                    new.notified.eq(row.notified & ~mask),
                ]
            with m.Else():
                m.d.comb += self._over.eq(mask)

    def quiet(self, queue) -> None:
        """The back end has let go of *queue*; of no meaning unless it was asked to."""
        asked = self._row.queue_resetting & ~self._row.tell_queue
        self._m.d.comb += self._over.eq(Cat(asked[i] & (queue == i) for i in range(len(asked))))

    def may_interrupt(self, queue):
        """A report about *queue* counts: it is enabled, and its driver is ready. A legacy driver hears of all."""
        row = self._row
        it = Cat(queue == i for i in range(len(row.queue_enabled)))
        return Mux((it & row.queue_enabled).any(), (it & served(row)).any(), ~is_modern(row))

    def finish_queues(self) -> None:
        """Queues that start over; comes behind everything that writes their flags."""
        with self._m.If(self._over.any()):
            self._m.d.comb += [self._new[name].eq(self._row[name] & ~self._over) for name in QUEUE_FLAGS]

    def move_generation(self, changed) -> None:
        """Configuration *changed* in this clock, or is read for the first time since it did."""
        m, row, new = self._m, self._row, self._new
        with m.If(self._state.driver_read & row.config_changed):
            m.d.comb += [new.config_generation.eq(row.config_generation + 1), new.config_changed.eq(0)]
        with m.If(changed):
            m.d.comb += new.config_changed.eq(1)
