"""Live guests: unmodified operating systems and firmware in QEMU drive the generated design through vfio-user."""
