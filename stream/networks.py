"""Which addresses are ordinary public ones, and which an operator may allow beside them. Pure."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_LOOPBACK: Final = IPv6Network("::1/128")
_WRAPPED: Final = "IPv4 in IPv6, translated or tunnelled"
_METADATA: Final = "a cloud's metadata service"
_FORBIDDEN: Final[dict[str, tuple[str, ...]]] = {
    _WRAPPED: (
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "::/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/32",
    ),
    _METADATA: (
        "100.100.100.200/32",
        "168.63.129.16/32",
        "169.254.169.254/32",
        "169.254.170.2/32",
        "fd00:ec2::254/128",
        "fd20:ce::254/128",
    ),
    "reserved for protocols": ("192.0.0.0/24", "2001::/23"),
    "documentation": ("3fff::/20",),
    "shared address space": ("100.64.0.0/10",),
    "6to4 relay": ("192.88.99.0/24",),
}
"""Beyond `ipaddress.is_global`, which lets several of these through, and not the same ones in every Python."""

_NETWORKS: Final = tuple((ip_network(text), reason) for reason, texts in _FORBIDDEN.items() for text in texts)


def why_forbidden(address: Address) -> str | None:
    """Why this address is forbidden, or None for an ordinary public one."""
    for network, reason in _NETWORKS:
        if address.version == network.version and address in network:
            return reason
    if address.is_multicast:
        return "multicast"
    if isinstance(address, IPv6Address) and (address.scope_id or address not in _GLOBAL_UNICAST):
        return "not global unicast"
    return None if address.is_global else "not a public address"


def is_exempt(address: Address, allowed: Iterable[Network]) -> bool:
    """Whether an operator allowed this address.

    Never by another notation of it: IPv4 inside IPv6 stays forbidden, and so does an address with a scope. A
    metadata service has to be listed by its single address: it gives out the machine's credentials, and a wide
    network contains it by accident.
    """
    if address.is_multicast or _is_wrapped(address):
        return False
    holding = [network for network in allowed if address.version == network.version and address in network]
    if why_forbidden(address) == _METADATA:
        return any(network.prefixlen == network.max_prefixlen for network in holding)
    return bool(holding)


def why_never_allowed(network: Network) -> str | None:
    """Why a network may not be allowed as a whole, or None where it may."""
    if network.prefixlen == 0:
        return "it holds every address: name the networks of your image servers"
    if network.is_multicast:
        return "nobody serves images from a multicast address"
    wrapped = (kept for kept, reason in _NETWORKS if reason == _WRAPPED and isinstance(kept, IPv6Network))
    if isinstance(network, IPv6Network) and network != _LOOPBACK and any(map(network.subnet_of, wrapped)):
        return f"{_WRAPPED}: name the IPv4 network itself"
    return None


def _is_wrapped(address: Address) -> bool:
    if isinstance(address, IPv4Address) or address in _LOOPBACK:
        return False
    return bool(address.scope_id) or why_forbidden(address) == _WRAPPED
