"""Boards that the core can be built for; see `virtio_mmr_boards.catalogue`."""
