"""Connections of a miner: reuse, HTTP/2, TLS, IPv6, names; between a scripted broker, sink and web."""
import gzip
import ssl
import subprocess
import urllib.request

import pytest

from cluster import preloaded
from h2site import RESET, H2Web
from scripted_peers import DETAIL, Web, closed_port, error, listing, result


def metrics(world, port):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://127.0.0.1:{port}/metrics") as page:
        return {line.split()[0]: float(line.split()[1]) for line in page.read().decode().splitlines() if line[0] != "#"}


def test_connections_are_used_again(world):
    port = closed_port()
    world.start("--workers", "1", "--health", f"127.0.0.1:{port}")
    world.web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    source = world.add(world.template(), "/a")
    for _ in range(20):
        world.poll(source)
    world.pump(lambda: metrics(world, port)["rtm_miner_requests_total"] == 21)
    assert metrics(world, port)["rtm_miner_connections_total"] == 1
    assert metrics(world, port)["rtm_miner_robots_fetched_total"] == 1


def test_ipv6(world):
    world.start()
    web = Web("::1")
    try:
        web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
        assert result(world.poll(world.add(world.template(), url=web.url("/a", host="[::1]")))[-1]) == "changed"
        assert len(web.robots) == 1
    finally:
        web.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A folder with a CA of its own (ca) and a server's certificate and key by it (both, server.pem)."""
    folder = tmp_path_factory.mktemp("ca")

    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca", "-days", "2", "-subj", "/CN=test CA")
    openssl("req", *new, "-keyout", "key", "-out", "csr", "-subj", "/CN=test")
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    openssl("x509", "-req", "-in", "csr", "-CA", "ca", "-CAkey", "ca.key", "-CAcreateserial", "-out", "crt", "-days", "2",
            "-extfile", "ext")
    (folder / "server.pem").write_text((folder / "key").read_text() + (folder / "crt").read_text())
    return folder


@pytest.fixture
def safe(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem")
    web = Web(tls=context)
    web.context = context
    web.pages["/a"] = (200, {}, listing((1, "/1", "one")))
    yield web
    web.close()


@pytest.mark.parametrize("tls,highest,wanted", [
    (None, None, "tls"), ({"ca": "ca"}, None, None), ({"insecure": True}, None, None), ({"ca": "none"}, None, "no_secret"),
    ({"ca": "ca"}, "TLSv1_2", None), ({"ca": "ca", "min_version": "1.3"}, "TLSv1_2", "tls"),
    ({"ca": "ca", "min_version": "1.3"}, None, None), ({"insecure": True}, "TLSv1_1", "tls"),
])
def test_tls(world, safe, authority, tls, highest, wanted):
    world.start("--secrets", str(authority))
    if highest:
        safe.context.minimum_version = ssl.TLSVersion.TLSv1
        safe.context.maximum_version = ssl.TLSVersion[highest]
    template = world.template(tls=tls, politeness={"robots": False})
    o = world.poll(world.add(template, url=safe.url("/a")))[-1]
    assert (error(o) if result(o) == "failed" else None) == wanted, o
    assert bool(safe.requests) == (wanted is None)


def test_tls_options_hold_for_robots_txt_too(world, safe, authority):
    world.start("--secrets", str(authority))
    safe.pages["/robots.txt"] = (200, {}, "User-agent: *\nDisallow: /b")
    template = world.template(tls={"ca": "ca"})
    assert error(world.poll(world.add(template, url=safe.url("/b")))[-1]) == "robots"
    assert result(world.poll(world.add(template, url=safe.url("/a")))[-1]) == "changed"


def test_http2_is_offered(world, safe, authority):
    world.start("--secrets", str(authority))
    safe.context.set_alpn_protocols(["http/1.1"])
    chosen = []
    safe.pages["/a"] = lambda r: (chosen.append(r.connection.selected_alpn_protocol()), (200, {}, "x"))[1]
    template = world.template(tls={"ca": "ca"}, politeness={"robots": False})
    world.poll(world.add(template, url=safe.url("/a")))
    assert chosen == ["http/1.1"]
    safe.context.set_alpn_protocols(["h2", "http/1.1"])
    o = world.poll(world.add(template, url=safe.url("/a", host="localhost")))[-1]
    assert result(o) == "failed" and len(chosen) == 1  # the server cannot speak the h2 that was chosen


# -- HTTP/2 --


@pytest.fixture
def site(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem")
    web = H2Web(context)
    yield web
    web.close()


def trusting(world, **members):
    return world.template(tls={"ca": "ca"}, **members)


def test_http2(world, site, authority):
    """Robots, list, detail and the polls after them: all over one connection."""
    world.start("--secrets", str(authority), "--workers", "1")
    site.pages["/robots.txt"] = (200, {}, "User-agent: *\nDisallow: /no")
    site.pages["/a"] = lambda r: (304, {}, b"") if r.headers.get("if-none-match") == 'W/"1"' else (
        200, {"etag": 'W/"1"', "content-type": "text/html", "content-encoding": "gzip"},
        gzip.compress(listing((1, "/1", "one"), (2, "/no", "two")).encode()))
    site.pages["/1"] = (200, {}, "<h1>text</h1>")
    source = world.add(trusting(world, detail={"fields": {"summary": "h1"}}), url=site.url("/a"))
    o = world.poll(source)[-1]
    assert (result(o), o["items"], o["etag"]) == ("changed", 2, 'W/"1"')
    assert sorted(i["summary"] for i in world.items() if i["part"] == DETAIL) == ["", "text"]
    assert [result(world.poll(source)[-1]) for _ in range(3)] == ["not_modified"] * 3
    assert [r.path for r in site.requests] == ["/robots.txt", "/a", "/1", "/a", "/a", "/a"]
    assert site.connections == 1
    asked = site.requests[1].headers
    assert asked[":authority"] == f"127.0.0.1:{site.port}" and asked["user-agent"].startswith("rtm/") and "br" in asked["accept-encoding"]


def test_http2_requests_and_answers(world, site, authority):
    world.start("--secrets", str(authority))
    site.pages["/post"] = lambda r: (200, {}, listing((1, "/1", r.method + r.body.decode() + r.headers["x-mine"])))
    site.pages["/old"] = (301, {"location": "/new"}, b"")
    site.pages["/new"] = (200, {}, listing((2, "/2", "moved")))
    site.pages["/long"] = (200, {}, [b"<ul>"] + [b"<!-- %s -->" % (b"x" * 9000)] * 200 + [b"<li id=3><a href=/3>long</a></ul>"])
    site.pages["/429"] = (429, {"retry-after": "7"}, b"")
    template = trusting(world, body={"q": 1}, headers={"X-Mine": "!"})
    assert result(world.poll(world.add(template, url=site.url("/post")))[-1]) == "changed"
    o = world.poll(world.add(trusting(world), url=site.url("/old")))[-1]
    assert (result(o), o["fetch_url"]) == ("changed", site.url("/new"))
    assert result(world.poll(world.add(trusting(world), url=site.url("/long")))[-1]) == "changed"
    assert [i["title"] for i in world.items()] == ['POST{"q":1}!', "moved", "long"]
    o, = world.poll(world.add(trusting(world), url=site.url("/429")))
    assert (error(o), o["retry_after_s"]) == ("rate_limited", 7)


def test_http2_answers_that_break_off(world, site, authority):
    """A stream that fails is its request's failure only; a connection that goes away is replaced."""
    world.start("--secrets", str(authority), "--workers", "1")
    template = trusting(world, politeness={"robots": False, "gap": "0ms"})
    good, reset, torn, endless = [world.add(template, url=site.url(p)) for p in ("/a", "/reset", "/torn", "/endless")]
    site.pages["/a"] = lambda r: (200, {}, listing((len(site.requests), "/1", "one")))
    site.pages["/reset"] = lambda r: RESET
    site.pages["/torn"] = (200, {}, [b"<ul><li id=7><a href=/7>half", RESET])
    site.pages["/endless"] = lambda r: (200, {}, (b"<p>more" * 1000 for _ in range(1 << 20)))
    for source, wanted in ((reset, {"reset"}), (torn, {"reset", "truncated"}), (endless, {"too_big"})):
        assert result(world.poll(good)[-1]) == "changed"
        o, = world.poll(source)
        assert error(o) in wanted, o
    assert not [i for i in world.items() if i["key"] == "7"]
    site.going_away = True
    before = site.connections
    for _ in range(3):
        assert result(world.poll(good)[-1]) == "changed"
    assert site.connections - before in (2, 3)


# -- names --

SHIM = r"""
// Counts look-ups of names and moves the clock, both for libcurl alone.
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long shift(void *caller)
{
    Dl_info where;
    long seconds = 0;
    if (!dladdr(caller, &where) || !strstr(where.dli_fname, "libcurl")) return 0;
    FILE *file = fopen(getenv("SHIM_SHIFT"), "r");
    if (file && fscanf(file, "%ld", &seconds) != 1) seconds = 0;
    if (file) fclose(file);
    return seconds;
}

time_t time(time_t *out)
{
    struct timespec now;
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    real(CLOCK_REALTIME, &now);
    now.tv_sec += shift(__builtin_return_address(0));
    return out ? *out = now.tv_sec : now.tv_sec;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int rc = real(clock, now);
    now->tv_sec += shift(__builtin_return_address(0));
    return rc;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
    if (!name || strcmp(name, "pages.example") != 0) return real(name, service, hints, out);
    FILE *file = fopen(getenv("SHIM_LOOKUPS"), "a");
    if (file) fputs("x", file), fclose(file);
    return real("127.0.0.1", service, hints, out);
}
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text("#define _GNU_SOURCE\n" + SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "shim.so", "shim.c", "-ldl"], cwd=folder, check=True, capture_output=True)
    return folder


def test_names_are_looked_up_once_in_300_seconds(world, shim):
    """Also where each poll needs a new connection; libcurl's own habit would be 60 seconds."""
    (shim / "shift").write_text("0")
    (shim / "lookups").write_text("")
    world.start("--workers", "1", env=preloaded(
        shim / "shim.so", SHIM_SHIFT=str(shim / "shift"), SHIM_LOOKUPS=str(shim / "lookups")))
    world.web.pages["/a"] = (200, {"Connection": "close"}, listing((1, "/1", "one")))
    source = world.add(world.template(politeness={"robots": False}), url=world.web.url("/a", host="pages.example"))
    found = []
    for shift in (0, 0, 0, 120, 290, 310, 310, 600):
        (shim / "shift").write_text(str(shift))
        assert result(world.poll(source)[-1]) in ("changed", "unchanged")
        found.append(len((shim / "lookups").read_text()))
    assert found == [1, 1, 1, 1, 1, 2, 2, 2] and len(world.web.requests) == 8
