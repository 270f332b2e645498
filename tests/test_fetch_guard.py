"""Which URLs and addresses the guard lets through: the SSRF set, without a network."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from yarl import URL

from moderation.errors import ImageError
from moderation.events import Status
from stream.fetch.guard import Guard
from stream.networks import is_exempt, why_forbidden, why_never_allowed

GUARD = Guard(("http", "https"), (80, 443))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:0:8.8.8.8",
        "64:ff9b::127.0.0.1",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "2606:4700::1%eth0",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    ],
)
def test_no_address_but_a_public_one(address: str) -> None:
    assert why_forbidden(ip_address(address)), address


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "151.101.1.69", "2606:4700:4700::1111", "2a00:1450::1"])
def test_public_addresses_pass(address: str) -> None:
    assert why_forbidden(ip_address(address)) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "cdn.example/a.jpg",
        "//cdn.example/a.jpg",
        "file:///etc/passwd",
        "ftp://cdn.example/a.jpg",
        "gopher://cdn.example:80/_x",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "unix:///var/run/docker.sock",
        "http://user@cdn.example/",
        "http://user:secret@cdn.example/",
        "http://:secret@cdn.example/",
        "http://cdn.example@127.0.0.1/",
        "http://cdn.example:22/",
        "http://cdn.example:6379/",
        "http://cdn.example:8080/",
        "http://cdn.example:0/",
        "http://cdn.example:99999/",
        "http:///a.jpg",
        "http://127.0.0.1/",
        "http://127.1/",
        "http://127.0.1/",
        "http://2130706433/",
        "http://017700000001/",
        "http://0177.0.0.1/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0x7f.1/",
        "http://127.0.0.1./",
        "http://127.0.0.01/",
        "http://127.0.0.0x1/",
        "http://8.8.8/",
        "http://1.2.3.4.5/",
        "http://１２７.0.0.1/",
        "http://127。0。0。1/",
        "http://%31%32%37.0.0.1/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:ffff:127.0.0.1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[fe80::1%25eth0]/",
        "http://[2606:4700::1%25eth0]/",
        "http://[fd00:ec2::254]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://cdn.exa mple/",
        "http://cdn.example\\@127.0.0.1/",
        "http://cdn..example/",
        "http://-cdn.example/",
        "http://" + "a" * 64 + ".example/",
        "http://" + "a." * 130 + "example/",
        "http://cdn.example/" + "a" * 5000,
    ],
)
def test_refused_urls(url: str) -> None:
    with pytest.raises(ImageError) as refused:
        GUARD.check_url(url)
    assert refused.value.status is Status.FETCH_FORBIDDEN


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn.example/a.jpg",
        "https://cdn.example/a.jpg?w=300&h=250",
        "https://CDN.Example:443/a.jpg",
        "http://bücher.example/a.jpg",
        "https://a_b.cdn.example./a.jpg",
        "https://8.8.8.8/a.jpg",
        "https://[2606:4700:4700::1111]/a.jpg",
    ],
)
def test_accepted_urls(url: str) -> None:
    assert GUARD.check_url(url).host


def test_ports_and_schemes_not_listed_are_off() -> None:
    strict = Guard(("https",), (443,))
    for url in ("http://cdn.example/", "https://cdn.example:8443/", "http://cdn.example:443/"):
        with pytest.raises(ImageError, match="not allowed"):
            strict.check_url(url)


def test_a_refusal_repeats_nothing_of_the_url() -> None:
    with pytest.raises(ImageError) as refused:
        GUARD.check_url("http://someone:secret@cdn.example/?user=alice")
    assert "secret" not in str(refused.value)
    assert "alice" not in str(refused.value)


ALLOWED = tuple(map(ip_network, ("10.20.0.0/16", "127.0.0.1/32", "169.254.0.0/16", "fd12:3456::/32", "fd00::/8")))


def test_an_exempt_network_exempts_nothing_else() -> None:
    guard = Guard(("http",), (80,), ALLOWED)
    for address in ("10.20.0.1", "10.20.255.254", "127.0.0.1", "169.254.1.1", "fd12:3456::1", "8.8.8.8"):
        assert guard.check_address(address)
        assert guard.check_url(f"http://[{address}]/" if ":" in address else f"http://{address}/")
    for address in ("10.21.0.1", "10.19.255.255", "127.0.0.2", "::1", "192.168.0.1", "fe80::1", "0.0.0.0"):
        with pytest.raises(ImageError):
            guard.check_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "::ffff:10.20.0.1",
        "::ffff:a14:1",
        "::10.20.0.1",
        "::ffff:0:10.20.0.1",
        "64:ff9b::10.20.0.1",
        "64:ff9b:1::10.20.0.1",
        "2002:a14:1::",
        "2001:0:a14:1::",
        "fd12:3456::1%eth0",
    ],
)
def test_an_allowed_network_is_not_reached_by_another_notation(address: str) -> None:
    for networks in (ALLOWED, (ip_network("::/1"), ip_network("2000::/3"), ip_network("fc00::/6"))):
        assert not is_exempt(ip_address(address), networks)
        with pytest.raises(ImageError):
            Guard(("http",), (80,), networks).check_address(address)


@pytest.mark.parametrize("url", ["http://10.20.1/", "http://0x0a140001/", "http://169082881/", "http://user@10.20.0.1/",
                                 "http://10.20.0.1:22/", "ftp://10.20.0.1/", "http://10.20.0.01/"])  # fmt: skip
def test_an_allowed_network_lifts_no_other_rule(url: str) -> None:
    with pytest.raises(ImageError):
        Guard(("http",), (80,), ALLOWED).check_url(url)


METADATA = ["169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254"]


@pytest.mark.parametrize("address", METADATA)
def test_a_metadata_service_is_allowed_by_its_own_address_alone(address: str) -> None:
    wide = tuple(map(ip_network, ("169.254.0.0/16", "168.0.0.0/8", "100.64.0.0/10", "fd00::/8", "169.254.169.254/31")))
    assert not is_exempt(ip_address(address), wide)
    assert is_exempt(ip_address(address), (*wide, ip_network(address)))


@pytest.mark.parametrize(
    ("network", "why"),
    [
        ("0.0.0.0/0", "every address"),
        ("::/0", "every address"),
        ("::ffff:10.0.0.0/104", "IPv4 in IPv6"),
        ("64:ff9b::/96", "IPv4 in IPv6"),
        ("2002:a00::/24", "IPv4 in IPv6"),
        ("224.0.0.0/4", "multicast"),
        ("ff02::/16", "multicast"),
    ],
)
def test_networks_that_nobody_may_allow(network: str, why: str) -> None:
    assert why in (why_never_allowed(ip_network(network)) or "")


@pytest.mark.parametrize("network", ["10.0.0.0/8", "127.0.0.0/8", "::1/128", "fd00::/8", "169.254.169.254/32"])
def test_networks_that_an_operator_may_allow(network: str) -> None:
    assert why_never_allowed(ip_network(network)) is None


NUMBERS = ["127", "0", "1", "0x7f", "0177", "１", "ffff"]
HOST_PIECES = st.sampled_from([*NUMBERS, *".:[]@#?/\\a。 ", "::", "%25"])


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(HOST_PIECES, max_size=12).map("".join)))
@example("2130706433")
@example("[::ffff:127.0.0.1]")
def test_any_text_gives_a_refusal_or_a_url_whose_host_is_a_name_or_public(host: str) -> None:
    try:
        url: URL = GUARD.check_url(f"http://{host}/")
    except ImageError as refused:
        assert refused.status is Status.FETCH_FORBIDDEN
        return
    assert url.raw_host
    assert url.port == 80
    try:
        address = ip_address(url.raw_host)
    except ValueError:
        assert not url.raw_host.rstrip(".").rpartition(".")[2].isdigit()
    else:
        assert why_forbidden(address) is None


@settings(max_examples=400, deadline=None)
@given(st.ip_addresses())
def test_what_passes_is_global_in_every_reading(address: object) -> None:
    parsed = ip_address(str(address))
    if why_forbidden(parsed) is None:
        assert parsed.is_global
        assert not parsed.is_multicast
        assert not getattr(parsed, "ipv4_mapped", None)
        assert not getattr(parsed, "sixtofour", None)


@settings(max_examples=400, deadline=None)
@given(st.ip_addresses(), st.ip_addresses(), st.integers(1, 128))
@example(ip_address("169.254.169.254"), ip_address("169.254.0.0"), 16)
@example(ip_address("::ffff:10.0.0.1"), ip_address("::"), 1)
def test_nothing_outside_an_allowed_network_is_exempt(address: object, base: object, length: int) -> None:
    parsed, start = ip_address(str(address)), ip_address(str(base))
    network = ip_network((start, min(length, start.max_prefixlen)), strict=False)
    if is_exempt(parsed, (network,)):
        assert parsed in network
        assert not getattr(parsed, "ipv4_mapped", None)
        assert str(parsed) not in METADATA or network.prefixlen == network.max_prefixlen
