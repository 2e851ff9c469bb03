"""Device status bits (virtio 1.3, 2.1) and interrupt status bits (virtio 1.3, 4.1.4.5)."""

import enum


class Status(enum.IntFlag):
    """Bits of the device status byte."""

    ACKNOWLEDGE = 1
    DRIVER = 2
    DRIVER_OK = 4
    FEATURES_OK = 8
    SUSPEND = 16
    DEVICE_NEEDS_RESET = 64
    FAILED = 128


class Isr(enum.IntFlag):
    """Bits of the interrupt status byte."""

    QUEUE = 1
    CONFIG = 2
