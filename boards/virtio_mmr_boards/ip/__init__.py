"""The vendor's PCIe IP cores: their ports and parameters as plain facts."""
