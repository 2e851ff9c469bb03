"""Devices in software, attached to the back-end boundary of a native design."""

import time
from collections.abc import Callable

from virtio_mmr_sim.native.model import NativeModel

from .dma import DmaPort
from .function import Function, FunctionDevice
from .tasks import Tasks

#: Streams of events, in the order in which those of one clock are taken.
_EVENTS = ("driver_update", "queue_update", "notification", "config_write", "reset_request")


class Device:
    """The back end of all functions of a design, from its reset on.

    Call `step` between clocks; with nothing to do it costs little.

    Parameters
    ----------
    model
    backend_for
        Makes the device of each function, by its number; with None nobody serves it: its resets are acknowledged.
    clock
        Seconds; timers of the devices go by it.

    Raises
    ------
    ValueError
        If the design does no DMA.
    """

    def __init__(self, model: NativeModel, backend_for: Callable[[int], FunctionDevice | None],
                 clock: Callable[[], float] = time.monotonic):
        config = model.config
        if config is None or config.requester is None:
            raise ValueError("devices in software reach rings and buffers by DMA: the device file needs [requester]")
        self._backend, self._clock = model.backend, clock
        self._tasks, self._port = Tasks(), DmaPort(model.backend)
        count = 1 + (config.vf.count if config.vf is not None else 0)
        self._devices = [backend_for(number) for number in range(count)]
        self.functions = [Function(number, model.backend, self._port, self._tasks, device)
                          for number, device in enumerate(self._devices)]

    def step(self) -> bool:
        """Take what the boundary has for us, go on wherever that is possible; True if there was anything."""
        items = self._backend.take_all()
        self._port.take_read_data(items.pop("dma_read_data", ()))
        self._port.take_write_done(items.pop("dma_write_done", ()))
        events = [(item.clock, order, item.fields)
                  for order, name in enumerate(_EVENTS) for item in items.get(name, ())]
        for _, order, fields in sorted(events, key=lambda event: event[:2]):
            getattr(self.functions[fields["function"]], _EVENTS[order])(fields)
        awake = self._wake()
        return self._tasks.run() or bool(items) or awake

    def _wake(self) -> bool:
        """Let the devices go on whose time has come."""
        due = [device for device in self._devices if device is not None and device.wake_at is not None]
        if not due:
            return False
        now = self._clock()
        due = [device for device in due if device.wake_at is not None and device.wake_at <= now]
        for device in due:
            device.wake(now)
        return bool(due)

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way or could go on."""
        return not (self._port.busy or self._tasks.ready
                    or any(self._backend.waiting(name) for name in self._backend.inputs))

    @property
    def wake_at(self) -> float | None:
        """The moment on the clock at which a device wants `step` to be called, if any."""
        return min((device.wake_at for device in self._devices if device is not None and device.wake_at is not None),
                   default=None)
