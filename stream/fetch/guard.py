"""Which URLs and which addresses may be connected to. Pure: resolves nothing, opens nothing."""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, ip_address
from typing import Final

from yarl import URL

from moderation.errors import ImageError
from moderation.events import Status, one_line
from stream.networks import Network, is_exempt, why_forbidden

_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_MAX_HOST: Final = 253
_MAX_URL: Final = 4096


def forbidden(status_detail: str) -> ImageError:
    return ImageError(Status.FETCH_FORBIDDEN, status_detail)


class Guard:
    """The rules of one fetcher.

    allowed_networks: exempt from the rules for addresses (`fetch.allow_networks`), not from any other.
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
        reason = None if is_exempt(address, self._allowed) else why_forbidden(address)
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
