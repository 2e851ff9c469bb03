"""Models, hosts, oracles and contracts that verify a virtio PCIe endpoint at TLP level."""
