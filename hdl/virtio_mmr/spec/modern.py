"""The modern common configuration structure (virtio 1.3, 4.1.4.3), described; its window is not built yet."""

from .register import Access, Effect, Register, RegisterTable

_CLAUSE = "virtio 1.3, 4.1.4.3"


def _register(name: str, offset: int, width: int, access: Access, view_of: str, doc: str, *, reset: int = 0,
              banked_by: str | None = None, effect: Effect | None = None) -> Register:
    return Register(name=name, offset=offset, width=width, access=access, view_of=view_of, doc=doc, reset=reset,
                    banked_by=banked_by, effect=effect, clause=_CLAUSE)


_RO, _RW = Access.RO, Access.RW

COMMON = RegisterTable("common", 0x40, (
    _register("device_feature_select", 0x00, 32, _RW, "function.device_feature_select",
              "Which 32 offered bits to show."),
    _register("device_feature", 0x04, 32, _RO, "device.features", "Offered bits of the selected word.",
              banked_by="device_feature_select"),
    _register("driver_feature_select", 0x08, 32, _RW, "function.driver_feature_select",
              "Which 32 accepted bits to show."),
    _register("driver_feature", 0x0C, 32, _RW, "function.driver_features", "Accepted bits of the selected word.",
              banked_by="driver_feature_select"),
    _register("config_msix_vector", 0x10, 16, _RW, "function.config_vector", "Vector for configuration changes.",
              reset=0xFFFF),
    _register("num_queues", 0x12, 16, _RO, "device.queues", "Number of queues, administration queues apart."),
    _register("device_status", 0x14, 8, _RW, "function.status", "Status bits; writing zero resets.",
              effect=Effect.RESET_WHEN_ZERO),
    _register("config_generation", 0x15, 8, _RO, "function.generation", "Changes with the device configuration."),
    _register("queue_select", 0x16, 16, _RW, "function.queue_select", "Queue that the banked registers show."),
    _register("queue_size", 0x18, 16, _RW, "queue.size", "Entries of the selected queue.", banked_by="queue_select"),
    _register("queue_msix_vector", 0x1A, 16, _RW, "queue.vector", "Vector of the selected queue.", reset=0xFFFF,
              banked_by="queue_select"),
    _register("queue_enable", 0x1C, 16, _RW, "queue.enable", "1 starts the queue.", banked_by="queue_select",
              effect=Effect.LOAD_QUEUE),
    _register("queue_notify_off", 0x1E, 16, _RO, "queue.notify_offset", "Multiplied to find the notify address.",
              banked_by="queue_select"),
    _register("queue_desc", 0x20, 64, _RW, "queue.descriptors", "Address of the descriptor area.",
              banked_by="queue_select"),
    _register("queue_driver", 0x28, 64, _RW, "queue.available", "Address of the driver area.",
              banked_by="queue_select"),
    _register("queue_device", 0x30, 64, _RW, "queue.used", "Address of the device area.", banked_by="queue_select"),
    _register("queue_notif_config_data", 0x38, 16, _RO, "queue.notify_data", "Value to write when notifying.",
              banked_by="queue_select"),
    _register("queue_reset", 0x3A, 16, _RW, "queue.reset", "1 resets the queue.", banked_by="queue_select"),
    _register("admin_queue_index", 0x3C, 16, _RO, "device.admin_queue_index", "First administration queue."),
    _register("admin_queue_num", 0x3E, 16, _RO, "device.admin_queue_num", "Number of administration queues."),
), doc="Modern common configuration.")

NOTIFY = RegisterTable("notify", 4, (
    _register("queue_notify", 0x00, 16, Access.WO, "", "Index of the queue that has new buffers.",
              effect=Effect.KICK),
), doc="One notification address.")

ISR = RegisterTable("isr", 4, (
    Register(name="isr_status", offset=0, width=8, access=Access.RC, view_of="function.isr", effect=Effect.CLEAR_ISR,
             clause="virtio 1.3, 4.1.4.5", doc="Bit 0: a queue was used. Bit 1: the configuration changed."),
), doc="Interrupt status, the same byte as in the legacy header.")
