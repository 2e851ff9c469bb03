"""Device files: reading, completing and checking them."""

from .device import DeviceConfig
from .errors import ConfigError
from .loader import load, loads
from .remarks import remarks
from .rules import check

__all__ = ["ConfigError", "DeviceConfig", "check", "load", "loads", "remarks"]
