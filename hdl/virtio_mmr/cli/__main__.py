"""``python -m virtio_mmr.cli`` is ``vmmr``."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
