"""What Verilator need not say about the generated file."""

_TEXT = """`verilator_config
// virtio_mmr.v is generated: its widths and cases are as meant. Give this file to Verilator before your own.
lint_off -file "*virtio_mmr.v"
lint_off -rule ALWNEVER -file "*virtio_mmr.v"
"""


def lint_configuration() -> str:
    """Verilator configuration that keeps its warnings for the user's own files."""
    return _TEXT
