"""How many queues a driver of a device looks for."""

from .device import DeviceConfig


def field_value(config: DeviceConfig, name: str) -> int:
    """First contents of a configuration field, as a little-endian number."""
    field = config.kind.field(name)
    return int.from_bytes(config.config_image[field.offset : field.offset + field.size], "little")


def offers(config: DeviceConfig, feature: str) -> bool:
    """Whether *config* offers the device type's own *feature*."""
    return bool(config.features >> config.kind.features[feature] & 1)


def queues_used(config: DeviceConfig) -> tuple[int, str]:
    """Number of queues that the type and its features call for, and the reason in words."""
    if config.kind.name == "net":
        if offers(config, "NET_MQ"):
            pairs = max(field_value(config, "max_virtqueue_pairs"), 1)
            return 2 * pairs + 1, f"{pairs} pair{'s' if pairs > 1 else ''} and a control queue"
        if offers(config, "NET_CTRL_VQ"):
            return 3, "a receive, a transmit and a control queue"
        return 2, "a receive and a transmit queue"
    if config.kind.name == "block":
        if offers(config, "BLK_MQ"):
            count = max(field_value(config, "num_queues"), 1)
            return count, f"num_queues is {count}"
        return 1, "a request queue"
    if config.kind.name == "console":
        if offers(config, "CONSOLE_MULTIPORT"):
            ports = max(field_value(config, "max_nr_ports"), 1)
            return (
                2 * ports + 2,
                f"two queues for each of {ports} port{'s' if ports > 1 else ''} and two for control",
            )
        return 2, "a receive and a transmit queue"
    return 1, "a request queue"
