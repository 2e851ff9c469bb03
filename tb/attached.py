"""A native design with memory behind its link, devices in software behind its boundary, and drivers of tests."""

from driver_ring import DriverRing, legacy_areas
from virtio_mmr.config.device import BarKind, Space
from virtio_mmr.layout import place
from virtio_mmr_sim.device.attach import Device
from virtio_mmr_sim.model import driver as legacy
from virtio_mmr_sim.model import modern_driver as modern
from virtio_mmr_sim.model.drivers import DRIVERS
from virtio_mmr_sim.native import setup
from virtio_mmr_sim.native.host_memory import HostMemory, Ram

#: Where messages of interrupts go: no memory is there.
MESSAGES = 0xFEE0_0000

#: Where the BARs of virtual functions stand.
VIRTUAL_BASE = 0x80_0000_0000

#: Clocks between two looks at what the design has sent.
STRIDE = 16


class Port:
    """A driver's way to the windows of one function."""

    def __init__(self, machine, function, windows):
        self._machine, self._model, self._function, self.windows = machine, machine.model, function, windows
        config = machine.config
        self._layout = place(config if function == 0 or config.vf is None else config.vf.function)

    # Legacy: offsets in the legacy window; modern: in any.

    def read(self, offset, width):
        return self.get(Space.LEGACY, offset, width)

    def write(self, offset, width, value):
        self.put(Space.LEGACY, offset, width, value)

    def get(self, space, offset, width):
        value = int.from_bytes(self._model.read(self.windows[space] + offset, width), "little")
        self._machine.turn()
        return value

    def put(self, space, offset, width, value):
        self._model.write(self.windows[space] + offset, value.to_bytes(width, "little"))
        self._machine.turn()

    def _config(self, offset):
        return {"offset": offset & ~3, "device": self._function >> 3, "function": self._function & 7}

    def config_write(self, offset, value, enables):
        self._model.config_write(data=value, enables=enables, **self._config(offset))

    def set_msix(self, enable):
        for register in self._layout.registers:
            for part in register.fields:
                if part.view_of == "control.msix_enable":
                    # The upper byte of the control register: nothing else of it can be written.
                    at = 8 * (register.offset % 4) + part.lsb
                    self.config_write(register.offset, enable << at, 1 << at // 8)

    def set_vectors(self, count):
        """Where each message goes, as an operating system programs the table."""
        for vector in range(count):
            address = MESSAGES + 0x1000 * self._function + 4 * vector
            self._model.write(self.windows[Space.MSIX] + 16 * vector,
                              address.to_bytes(8, "little") + (0x100 + vector).to_bytes(4, "little") + bytes(4))

    def command(self, value):
        self.config_write(setup.COMMAND, value, 0b0011)

    def gate(self, on):
        self.put(Space.CONTROL, 0x25, 1, int(on))


class Machine:
    """*model*, fresh from reset, enumerated, with *size* bytes of memory and a device for each function."""

    def __init__(self, model, config, backend_for, size=1 << 22, memory=None, clock=None):
        model.reset()
        self.model, self.config = model, config
        self.memory = memory or Ram(size)
        self.interrupts = []
        self.host = HostMemory(model, self.memory, interrupts=[range(MESSAGES, MESSAGES + (1 << 20))],
                               message=self._message, other=self._other)
        self.device = Device(model, backend_for, **({"clock": clock} if clock else {}))
        self.faults = []
        for function in self.device.functions:
            function.on_fault = lambda *what: self.faults.append(what)
        self.ports = [Port(self, 0, dict(setup.bring_up(model, config)))]
        if config.vf is not None:
            self._place_virtual()
        self.settle()

    def _place_virtual(self):
        layout, virtual, base = place(self.config), self.config.vf.function, VIRTUAL_BASE
        windows = [{} for _ in range(self.config.vf.count)]
        for bar in virtual.bars:
            at = layout[f"vf_bar{bar.index}"].offset
            self.model.config_write(at, base & 0xFFFF_FFFF)
            if bar.kind is BarKind.MEMORY64:
                self.model.config_write(at + 4, base >> 32)
            for number, found in enumerate(windows):
                for region in bar.regions:
                    found[region.space] = base + number * bar.decoded_size + region.offset
            base += 1 << 32
        self.model.config_write(layout["num_vfs"].offset, self.config.vf.count, 0b0011)
        self.sriov_control = layout["sriov_control"].offset
        for number, found in enumerate(windows, 1):
            self.ports.append(Port(self, number, found))
        self.enable_virtual()

    def enable_virtual(self):
        """Let virtual functions be, with a gate that is open: a hypervisor does that when there is a guest."""
        # VF Enable, VF MSE, ARI.
        self.model.config_write(self.sriov_control, 1 | 8 | 16, 0b0011)
        for port in self.ports[1:]:
            port.command(setup.BUS_MASTER)
            port.gate(True)

    def _message(self, address, data, requester):
        offset = address - MESSAGES
        assert data == 0x100 + offset % 0x1000 // 4 and requester & 0xFF == offset // 0x1000
        self.interrupts.append((offset // 0x1000, offset % 0x1000 // 4))

    def _other(self, dwords):
        self.interrupts.append("inta" if dwords[1] & 0xFF == 0x20 else "no inta")

    # Time

    def turn(self):
        """One round of everything; whether anything moved."""
        return self.host.step() | self.device.step()

    def run(self, until, patience=20_000):
        """Go on until *until* is true."""
        for _ in range(patience):
            self.turn()
            if until():
                return
            self.model.clock(STRIDE)
        raise AssertionError("nothing came of it")

    def settle(self, rounds=8):
        """Go on until nothing has moved for a while."""
        still = 0
        while still < rounds:
            still = 0 if self.turn() or not self.device.idle else still + 1
            self.model.clock(STRIDE)

    # Drivers

    def legacy_driver(self, name="linux", function=0, kind=None, features=0xFFFF_FFFF, vectors=0, pages=None):
        """Bind a driver; its port, what it found, and its rings."""
        port, config = self.ports[function], self.config
        if function:
            config = config.vf.function
        pages = pages or [0x10 + 0x10 * index for index in range(len(config.queues))]
        if vectors:
            port.set_vectors(vectors)
        plan = legacy.Plan(kind=kind or config.kind, pages=pages, features=features, vectors=vectors)
        driver = DRIVERS[name]()
        for page, size in zip(pages, config.queues, strict=False):
            self.clear(*legacy_areas(page, size), size)
        bound = legacy.run(driver.probe(plan), port)
        rings = [DriverRing(self.memory, size, *legacy_areas(page, size), event_index=bool(bound.features >> 29 & 1))
                 for page, size in zip(pages, bound.sizes, strict=True)]
        self.settle()
        return Driver(self, port, lambda script: legacy.run(script, port), driver, bound.features, rings)

    def modern_driver(self, features=(1 << 64) - 1, vectors=0, entries=64):
        """The same for a modern one; its areas lie apart."""
        port = self.ports[0]
        if vectors:
            port.set_vectors(vectors)
        areas = [(0x8_0000 + 0x4000 * index, 0x9_0002 + 0x4000 * index, 0xA_0004 + 0x4000 * index)
                 for index in range(len(self.config.queues))]
        for three in areas:
            self.clear(*three, entries)
        stride = next(region.stride for bar in self.config.bars for region in bar.regions
                      if region.space is Space.NOTIFY)
        driver = modern.LinuxModern(modern.ModernPlan(
            kind=self.config.kind, areas=areas, features=features, most_entries=entries, vectors=vectors,
            multiplier=stride))
        bound = modern.run(driver.probe(), port)
        rings = [DriverRing(self.memory, size, *three, event_index=bool(bound.features >> 29 & 1))
                 for three, size in zip(areas, bound.sizes, strict=True)]
        self.settle()
        return Driver(self, port, lambda script: modern.run(script, port), driver, bound.features, rings)

    def clear(self, descriptors, available, used, size):
        self.memory.write(descriptors, bytes(16 * size))
        self.memory.write(available, bytes(2 * size + 6))
        self.memory.write(used, bytes(8 * size + 6))


class Driver:
    """A driver that has set the device up."""

    def __init__(self, machine, port, play, scripts, features, rings):
        self.machine, self.port, self.play, self.scripts = machine, port, play, scripts
        self.features, self.rings = features, rings

    def notify(self, queue):
        self.play(self.scripts.notify(queue))

    def request(self, queue, readable=(), writable=(), **where):
        """Make one request and wait for it; bytes written."""
        ring = self.rings[queue]
        head = ring.add(readable, writable, **where)
        self.notify(queue)
        found = []
        self.machine.run(lambda: found.extend(ring.collect()) or found)
        assert [one for one, _ in found] == [head]
        return found[0][1]

    def status(self):
        return self.port.read(0x12, 1)
