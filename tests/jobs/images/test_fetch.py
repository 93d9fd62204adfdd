import ipaddress
import ssl
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from jobs.errors import BadURL, FetchFailed, ForbiddenAddress, InvalidImage
from jobs.images.fetch import fetch_image
from jobs.outbound import tls
from jobs.outbound.connections import check_target
from jobs.outbound.policy import Policy
from tests.support.certificates import write_self_signed
from tests.support.fake_runner import png
from tests.support.web_server import WebServer, answer, redirect

pytestmark = pytest.mark.slow

IMAGE = png(color="red")
DEFAULT_POLICY = Policy(total_s=20)
LOCAL_POLICY = DEFAULT_POLICY.allowing(["127.0.0.1"])


@pytest.fixture
def server():
    server = WebServer()
    server.answers["/a.png"] = answer(200, IMAGE, Content_Type="text/html")
    yield server
    server.close()


def resolver(**addresses):
    """Resolver of these names. Of a list, each call returns the next item."""

    def resolve(host, port):
        found = addresses[host.replace(".", "_")]
        chosen = found.pop(0) if isinstance(found, list) else found
        return [ipaddress.ip_address(address) for address in chosen.split()]

    return resolve


# Download


def test_format_is_detected_by_content_not_by_content_type(server):
    assert fetch_image(server.url("/a.png"), LOCAL_POLICY) == IMAGE
    assert server.asked[0].headers["accept-encoding"] == "identity"


def test_host_header_has_the_name_while_the_address_is_connected(server):
    resolve = resolver(images_test="127.0.0.1")
    assert fetch_image(server.url("/a.png", host="images.test"), LOCAL_POLICY, resolve) == IMAGE
    assert server.asked[0].headers["host"] == f"images.test:{server.port}"


def test_next_address_is_tried_if_one_does_not_respond(server):
    policy = DEFAULT_POLICY.allowing(["127.0.0.0/8"])
    resolve = resolver(images_test="127.0.0.9 127.0.0.1")
    assert fetch_image(server.url("/a.png", host="images.test"), policy, resolve) == IMAGE


def test_number_of_redirects_is_limited(server):
    server.answers |= {f"/{hop}": redirect(f"/{hop + 1}") for hop in range(3)}
    server.answers["/3"] = server.answers["/a.png"]
    assert fetch_image(server.url("/0"), LOCAL_POLICY) == IMAGE
    server.answers |= {"/3": redirect("/4"), "/4": server.answers["/a.png"]}
    with pytest.raises(FetchFailed, match="redirects more than 3 times"):
        fetch_image(server.url("/0"), LOCAL_POLICY)


def test_response_that_is_no_image_is_refused(server):
    server.answers["/a.png"] = answer(200, b"<html>", Content_Type="image/png")
    with pytest.raises(InvalidImage):
        fetch_image(server.url("/a.png"), LOCAL_POLICY)


@pytest.mark.parametrize("status", [404, 500, 304])
def test_error_names_the_http_status(server, status):
    server.answers["/a.png"] = answer(status)
    with pytest.raises(FetchFailed, match=f"status {status}"):
        fetch_image(server.url("/a.png"), LOCAL_POLICY)


def test_closed_port_and_unknown_name_are_told_apart(server):
    server.close()
    with pytest.raises(FetchFailed, match="cannot be reached"):
        fetch_image(server.url("/a.png"), LOCAL_POLICY)
    with pytest.raises(FetchFailed, match="cannot be resolved"):
        fetch_image("http://no-such-host.invalid/", LOCAL_POLICY)


# Addresses


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "0x7f000001",
        "2130706433",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "192.88.99.1",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fd00::1]",
        "[ff02::1]",
        "[fec0::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:8.8.8.8]",
        "[::7f00:1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::a00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "localhost.",
        "LOCALHOST.",
        "any.localhost",
        "localhost.localdomain",
        "ip6-localhost",
        "127.0.0.1.",
        "127.1.",
        "0x7f.1",
        "0x7f000001.",
        "2130706433.",
        "017700000001",
        "017700000001.",
        "00000177.1",
        "127.0x0.0.1",
        "0",
        "0.",
        "127。0。0。1",
        "localhost。",
        "[0:0:0:0:0:ffff:7f00:1]",
        "10.0.0.1.",
        "0xa9fea9fe.",
    ],
)
def test_private_addresses_in_every_spelling_are_refused(host):
    with pytest.raises(ForbiddenAddress):
        fetch_image(f"http://{host}/a.png", DEFAULT_POLICY)
    with pytest.raises(ForbiddenAddress):
        check_target(f"http://{host}/a.png", DEFAULT_POLICY)


def test_redirect_to_a_private_address_is_refused(server):
    server.answers["/out"] = redirect(server.url("/a.png", host="inside.test"))
    resolve = resolver(outside_test="127.0.0.1", inside_test="127.0.0.1")
    with pytest.raises(ForbiddenAddress, match=r"inside\.test"):
        fetch_image(
            server.url("/out", host="outside.test"), DEFAULT_POLICY.allowing(["outside.test"]), resolve
        )
    assert [request.path for request in server.asked] == ["/out"]


def test_a_name_with_one_private_address_is_refused():
    resolve = resolver(both_test="93.184.215.14 10.0.0.1")
    with pytest.raises(ForbiddenAddress):
        fetch_image("http://both.test/", DEFAULT_POLICY, resolve)


def test_name_is_resolved_once_per_request_against_dns_rebinding(server):
    first, second = "127.0.0.1", "10.0.0.1"
    resolve = resolver(rebinding_test=[first, second])
    policy = DEFAULT_POLICY.allowing(["127.0.0.1"])
    assert fetch_image(server.url("/a.png", host="rebinding.test"), policy, resolve) == IMAGE
    with pytest.raises(ForbiddenAddress):
        fetch_image(server.url("/a.png", host="rebinding.test"), policy, resolve)


def test_refusal_does_not_reveal_the_address(server):
    with pytest.raises(ForbiddenAddress) as refused:
        fetch_image("http://inside.test/", DEFAULT_POLICY, resolver(inside_test="10.9.8.7"))
    assert "10.9.8.7" not in refused.value.message


@pytest.mark.parametrize(
    ("allowed", "host", "is_allowed"),
    [
        ("img.lan", "img.lan", True),
        ("IMG.lan", "Img.LAN", True),
        ("img.lan", "img.lan.", True),
        ("img.lan", "a.img.lan", False),
        (".lan", "img.lan", True),
        (".img.lan", "img.lan", False),
        ("img.lan", "evilimg.lan", False),
        ("10.0.0.0/8", "any.name", True),
        ("10.1.2.3", "any.name", True),
        ("10.2.0.0/16", "any.name", False),
        ("fd00::/8", "any.name", False),
    ],
)
def test_policy_allows_hosts_and_networks(allowed, host, is_allowed):
    assert DEFAULT_POLICY.allowing([allowed]).allows(host, ipaddress.ip_address("10.1.2.3")) is is_allowed


def test_allowed_hosts_of_the_platform_and_of_the_source_are_combined(source, settings):
    settings.OUTBOUND_ALLOWED = ["10.0.0.0/8"]
    source.reachable = ["img.lan"]
    source.full_clean()
    policy = Policy.of(source)
    assert policy.allows("any.name", ipaddress.ip_address("10.1.1.1"))
    assert policy.allows("img.lan", ipaddress.ip_address("192.168.0.1"))
    assert not policy.allows("any.name", ipaddress.ip_address("192.168.0.1"))


# URLs


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a.png",
        "file:///etc/passwd",
        "gopher://example.com/",
        "//example.com/a.png",
        "example.com",
        "",
        "http://",
        "http:///a.png",
        "http://user:word@example.com/",
        "http://user@example.com/",
        "http://example.com:99999/",
        "http://exa\0mple.com/",
        "http://exa mple.com/",
        "http://example.com/" + "a" * 3000,
        "http://[::1",
        "http://localhost../a.png",
        "http://127.0.0.1../a.png",
        "http://4294967297/",
        "http://0x100000001/",
        "http://127.0.0.256./",
        "http://[fe80::1%25eth0]/",
        "http://１２７.0.0.1/",
        "http://①②⑦.0.0.1/",
        "http://ⓛocalhost/",
        "http://lo­calhost/",
        "http://1.1.1.1@127.0.0.1/",
        "http://127.0.0.1\\@example.com/",
        "http://127.0.0.1%2e/",
        "http://٣.1.1.1/",
        "http://127.0.0.1:80:80/",
    ],
)
def test_invalid_url_is_refused(url):
    with pytest.raises(BadURL):
        fetch_image(url, LOCAL_POLICY)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://user:word@127.0.0.1/", "ftp://127.0.0.1/"])
def test_redirect_to_an_invalid_url_is_refused(server, target):
    server.answers["/out"] = redirect(target)
    with pytest.raises((BadURL, FetchFailed)):
        fetch_image(server.url("/out"), LOCAL_POLICY)


# Size and time limits


SMALL = Policy(total_s=20, max_bytes=1000).allowing(["127.0.0.1"])


def endless(server):
    """A handler that sends until the client disconnects, and an event that is set then."""
    stopped = threading.Event()

    def write(handler):
        handler.send_response(200)
        handler.end_headers()
        with suppress(OSError):
            while not server.closing.is_set():
                handler.wfile.write(b"x" * 1000)
        stopped.set()

    return write, stopped


def test_body_with_a_content_length_above_the_limit_is_not_read(server):
    server.answers["/big"] = answer(200, Content_Length="1001")
    with pytest.raises(FetchFailed, match="exceeds"):
        fetch_image(server.url("/big"), SMALL)


def test_endless_body_is_cut_off_at_the_limit(server):
    server.answers["/endless"], stopped = endless(server)
    with pytest.raises(FetchFailed, match="exceeds"):
        fetch_image(server.url("/endless"), SMALL)
    assert stopped.wait(60)


def test_body_of_a_redirect_is_not_read(server):
    body, stopped = endless(server)

    def write(handler):
        handler.send_response(302)
        handler.send_header("Location", "/a.png")
        body(handler)

    server.answers["/out"] = write
    with suppress(FetchFailed):
        fetch_image(server.url("/out"), LOCAL_POLICY)
    assert stopped.wait(60)


@pytest.mark.parametrize("part", ["status", "headers", "body"])
def test_slow_response_exceeds_the_time_limit(server, part):
    """Each byte arrives in time, but the whole response does not."""
    preludes = {"status": b"", "headers": b"HTTP/1.1 200 OK\r\nX: ", "body": b"HTTP/1.1 200 OK\r\n\r\n"}

    def write(handler):
        with suppress(OSError):
            handler.wfile.write(preludes[part])
            while not server.closing.wait(0.05):
                handler.wfile.write(b"H")

    server.answers["/drip"] = write
    brief = Policy(total_s=0.3).allowing(["127.0.0.1"])
    with pytest.raises(FetchFailed):
        fetch_image(server.url("/drip"), brief)


def test_silent_server_exceeds_the_time_limit(server):
    server.answers["/silent"] = lambda handler: server.closing.wait(60)
    with pytest.raises(FetchFailed, match="time limit"):
        fetch_image(server.url("/silent"), Policy(total_s=0.2).allowing(["127.0.0.1"]))


# TLS


@pytest.fixture
def certificate(tmp_path):
    return write_self_signed(tmp_path / "server.pem", "images.test")


@pytest.fixture
def tls_server(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = WebServer(context)
    server.answers["/a.png"] = answer(200, IMAGE)
    yield server
    server.close()


@pytest.fixture
def trusted_ca(settings, certificate):
    """The server's CA is an in-house CA that the operator trusts."""
    settings.OUTBOUND_CA_FILE = str(certificate)
    tls.trusted.cache_clear()
    yield
    tls.trusted.cache_clear()


def test_tls_certificate_must_match_the_host_name(tls_server, trusted_ca):
    resolve = resolver(images_test="127.0.0.1", other_test="127.0.0.1")
    url = tls_server.url("/a.png", host="images.test", scheme="https")
    assert fetch_image(url, LOCAL_POLICY, resolve) == IMAGE
    with pytest.raises(FetchFailed, match=r"certificate of other\.test is not trusted: .*ostname mismatch"):
        fetch_image(tls_server.url("/a.png", host="other.test", scheme="https"), LOCAL_POLICY, resolve)


def test_untrusted_certificate_is_not_unreachable(tls_server):
    url = tls_server.url("/a.png", host="images.test", scheme="https")
    with pytest.raises(FetchFailed) as refused:
        fetch_image(url, LOCAL_POLICY, resolver(images_test="127.0.0.1"))
    assert refused.value.message == (
        "The certificate of images.test is not trusted: self-signed certificate. See docs/outside.md."
    )
    guide = (Path(__file__).resolve().parents[3] / "docs" / "outside.md").read_text()
    assert "OUTBOUND_CA_FILE=" in guide


def test_host_without_tls_is_told(server):
    with pytest.raises(FetchFailed, match=r"TLS connection to 127\.0\.0\.1 failed"):
        fetch_image(server.url("/a.png", scheme="https"), LOCAL_POLICY)


def test_response_that_ends_early_is_told(server):
    server.answers["/short"] = answer(200, b"x", Content_Length="100")
    with pytest.raises(FetchFailed, match="ended early"):
        fetch_image(server.url("/short"), LOCAL_POLICY)


def test_message_names_the_host_of_the_redirect_that_failed(server):
    closed = WebServer()
    closed.close()
    server.answers["/out"] = redirect(closed.url("/a.png", host="localhost"))
    with pytest.raises(FetchFailed, match="localhost cannot be reached"):
        fetch_image(server.url("/out"), LOCAL_POLICY.allowing(["localhost"]))
