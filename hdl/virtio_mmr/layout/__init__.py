"""Places: which BAR registers a device has, and where its capabilities stand in configuration space."""

from .placer import FULL, Windows, place
from .space import ConfigurationSpace, PlacedCapability

__all__ = ["FULL", "ConfigurationSpace", "PlacedCapability", "Windows", "place"]
