"""A virtio-pci transitional MMR device as a PCIe endpoint core."""

__version__ = "0.1.0"
