"""Which URLs and which addresses may be connected to. Pure: resolves nothing, opens nothing."""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from yarl import URL

from moderation.errors import ImageError
from moderation.events import Status, one_line

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_FORBIDDEN: Final[dict[str, tuple[str, ...]]] = {
    "IPv4 in IPv6, translated or tunnelled": (
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "::/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/32",
    ),
    "reserved for protocols": ("192.0.0.0/24", "2001::/23"),
    "documentation": ("3fff::/20",),
    "shared address space": ("100.64.0.0/10",),
    "6to4 relay": ("192.88.99.0/24",),
    "a cloud's metadata service": ("168.63.129.16/32", "169.254.169.254/32", "fd00:ec2::254/128"),
}
"""Beyond `ipaddress.is_global`, which lets several of these through, and not the same ones in every Python."""

_NETWORKS: Final = tuple((ip_network(text), reason) for reason, texts in _FORBIDDEN.items() for text in texts)
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_MAX_HOST: Final = 253
_MAX_URL: Final = 4096


def forbidden(status_detail: str) -> ImageError:
    return ImageError(Status.FETCH_FORBIDDEN, status_detail)


def why_forbidden(address: Address) -> str | None:
    """Why nobody may be sent to this address, or None where it is an ordinary public one."""
    for network, reason in _NETWORKS:
        if address.version == network.version and address in network:
            return reason
    if address.is_multicast:
        return "multicast"
    if isinstance(address, IPv6Address) and (address.scope_id or address not in _GLOBAL_UNICAST):
        return "not global unicast"
    return None if address.is_global else "not a public address"


class Guard:
    """The rules of one fetcher.

    allowed_networks: exempt from the address rules; for tests against a server on loopback, and nothing else.
    """

    def __init__(self, schemes: Iterable[str], ports: Iterable[int], allowed_networks: Sequence[Network] = ()) -> None:
        self._schemes = frozenset(schemes)
        self._ports = frozenset(ports)
        self._allowed = tuple(allowed_networks)

    def check_url(self, url: str) -> URL:
        """The URL that may be asked for. Raises ImageError FETCH_FORBIDDEN.

        The object that was checked is the one to connect with: two parsers that read one text differently
        are the oldest way around a guard.
        """
        parsed = _parse(url)
        if parsed.scheme not in self._schemes:
            raise forbidden(f"scheme {one_line(parsed.scheme, 20)!r} is not allowed")
        if parsed.raw_user is not None or parsed.raw_password is not None:
            raise forbidden("credentials in the URL")
        if parsed.port not in self._ports:
            raise forbidden(f"port {parsed.port} is not allowed")
        self._check_host(parsed.raw_host or "")
        return parsed.with_fragment(None)

    def check_redirect(self, origin: URL, location: str) -> URL:
        """Where a `Location` leads, by the same rules as a first URL. Raises ImageError FETCH_FORBIDDEN."""
        return self.check_url(str(origin.join(_parse(location))))

    def check_address(self, text: str) -> str:
        """The same text. Raises ImageError FETCH_FORBIDDEN."""
        try:
            address = ip_address(text)
        except ValueError:
            raise forbidden("not an IP address") from None
        exempt = any(address.version == n.version and address in n for n in self._allowed)
        reason = None if exempt else why_forbidden(address)
        if reason:
            raise forbidden(f"leads to a forbidden address ({reason})")
        return text

    def _check_host(self, host: str) -> None:
        if ":" in host:
            self.check_address(host)
        elif _is_numeric(host):
            self.check_address(_dotted_quad(host))
        elif len(host) > _MAX_HOST or not all(map(_LABEL.fullmatch, host.removesuffix(".").split("."))):
            raise forbidden("not a host name")


def _parse(url: str) -> URL:
    if len(url) > _MAX_URL:
        raise forbidden(f"URL longer than {_MAX_URL} characters")
    try:
        return URL(url)
    except (ValueError, TypeError, IndexError) as error:  # yarl raises the last for "http://[]@/"
        raise forbidden("not a URL") from error


def _is_numeric(host: str) -> bool:
    """Whether `inet_aton` could read it as an address: its last label is a number (WHATWG URL, 3.5)."""
    return _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]) is not None


def _dotted_quad(host: str) -> str:
    """Only the canonical form of an IPv4 address; decimal, octal, hex and short ones are refused."""
    try:
        return str(IPv4Address(host))
    except ValueError:
        raise forbidden("an IP address in an unusual notation") from None
