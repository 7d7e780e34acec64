"""The PROXY protocol with programs that nobody here wrote: curl, HAProxy and nginx in front of
acceptd and behind it, each telling whom it takes for the client."""
import os

import pytest

from harness import admin, client, programs
from harness.admin import closed
from harness.config import listener
from harness.waiting import wait_for

BALANCER, FRONT, BACK = 6000, 7000, 7100
CLIENT = "127.0.5.5"
STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"

# A connection that acceptd resets early is to HAProxy a connect that failed, to be tried again.
HAPROXY = """
global
    maxconn 200
defaults
    mode {mode}
    retries 0
    timeout connect 10s
    timeout client 30s
    timeout server 30s
"""


@pytest.fixture
def haproxy(directory, start_program):
    """haproxy(lines, port=, mode=) runs one that is ready when the port takes a connection."""
    def start(lines, port, mode="tcp"):
        programs.need("haproxy")
        path = os.path.join(directory, "haproxy.cfg")
        with open(path, "w", encoding="ascii") as file:
            file.write(HAPROXY.format(mode=mode) + lines + "\n")
        return start_program(["haproxy", "-f", path, "-db"], lambda _: not client.refuses(
            ("127.0.0.1", port)))
    return start


@pytest.fixture
def nginx(directory, start_program):
    """nginx(block, port=) runs one with this http or stream block."""
    def start(block, port):
        programs.need("nginx")
        is_stream = block.startswith("stream")
        if is_stream and not os.path.exists(STREAM_MODULE):
            pytest.skip("not installed: the stream module of nginx (tools/deps ci)")
        path = os.path.join(directory, "nginx.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"load_module {STREAM_MODULE};\n" if is_stream else "")
            file.write(f"worker_processes 1; error_log {directory}/error.log; "
                       f"pid {directory}/nginx.pid; events {{ }}\n{block}\n")
        words = ["nginx", "-c", path, "-p", directory, "-e", os.path.join(directory, "error.log"),
                 "-g", "daemon off;"]
        return start_program(words, lambda _: not client.refuses(("127.0.0.1", port)))
    return start


NGINX_BACK = """http {{
    access_log off;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:7100 proxy_protocol;
        return 200 "$proxy_protocol_addr:$proxy_protocol_port $proxy_protocol_server_addr:$proxy_protocol_server_port";
    }}
}}"""
HAPROXY_BACK = """
frontend back
    bind 127.0.0.1:7100 accept-proxy
    http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port] %[dst]:%[dst_port]"
"""


@pytest.fixture
def behind(server):
    """Not started: echo for clients that come through load balancers of this machine."""
    server.listeners = [listener("echo", accept_proxy=True, trusted=["127.0.0.1"],
                                 allow=["127.0.5.0/24", "127.0.0.1"], proxy_timeout="60s")]
    return server


@pytest.fixture
def front(server):
    """Not started: a proxy without load balancers in front of it."""
    server.listeners = [listener("front", protocol="proxy", upstream="be")]
    server.options["upstreams"] = [{"name": "be", "servers": [{"address": f"127.0.0.1:{BACK}"}]}]
    return server


def text(peer):
    return f"{peer[0]}:{peer[1]}"


def check_client(server, port=BALANCER):
    """A client of the load balancer is served, and known to acceptd as who it is; one that the
    lists keep out is kept out, although the balancer is welcome."""
    data = client.pattern(300000)
    with client.connect(("127.0.0.1", port), source=CLIENT) as sock:
        assert client.ask(sock) == b"hello\n"
        (row,) = [row for row in admin.asked_json(server, "connections")["connections"]
                  if row["phase"] != "prelude"]
        assert row["peer"] == text(sock.getsockname())
        assert row["via"].split(":")[0] in ("127.0.0.1", "unix")
        assert client.ask(sock, data) == data
    with client.connect(("127.0.0.1", port), source="127.0.6.6") as sock:
        try:
            sock.sendall(b"hello")
            assert sock.recv(1) == b""
        except ConnectionError:
            pass
    wait_for("the denial", lambda: closed(server).get("denied") == 1)
    assert not {"proxy_header", "proxy_timeout", "untrusted"} & closed(server).keys()


@pytest.mark.parametrize("words", ["send-proxy", "send-proxy-v2",
                                   "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
def test_haproxy_in_front(behind, haproxy, words):
    behind.start()
    haproxy(f"""
frontend f
    bind 127.0.0.1:{BALANCER}
    unique-id-format %Ts-%rt
    default_backend b
backend b
    server s 127.0.0.1:{FRONT} {words}
""", BALANCER)
    check_client(behind)


def test_haproxy_in_front_over_a_unix_socket(behind, haproxy):
    path = behind.path("front.sock")
    behind.listeners[0].update(address="unix:" + path)
    del behind.listeners[0]["trusted"]
    behind.start()
    haproxy(f"listen f\n    bind 127.0.0.1:{BALANCER}\n    server s unix@{path} send-proxy-v2",
            BALANCER)
    check_client(behind)


@pytest.mark.parametrize("words", ["send-proxy", "send-proxy-v2"])
def test_health_checks_of_haproxy_are_no_faults(behind, haproxy, words):
    """In its header it speaks for itself."""
    behind.start()
    haproxy(f"listen f\n    bind 127.0.0.1:{BALANCER}\n"
            f"    server s 127.0.0.1:{FRONT} {words} check inter 50ms", BALANCER)
    wait_for("checks", lambda: sum(closed(behind).values()) >= 10)
    assert set(closed(behind)) <= {"client", "reset", "gone_in_queue"}
    assert not behind.log_lines(" warning ")


def test_nginx_in_front(behind, nginx):
    behind.start()
    nginx(f"""stream {{
    server {{
        listen 127.0.0.1:{BALANCER};
        proxy_pass 127.0.0.1:{FRONT};
        proxy_protocol on;
    }}
}}""", BALANCER)
    check_client(behind)


def ask_http(address, source=CLIENT):
    """@return own address, target and the body that was answered"""
    with client.connect(address, source=source) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = client.receive_all(sock).decode()
        assert answer.startswith("HTTP/1.1 200"), answer
        return text(sock.getsockname()), text(address), answer.split("\r\n\r\n", 1)[1]


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("program", ["haproxy", "nginx"])
def test_a_server_behind_takes_our_header(front, haproxy, nginx, directory, program, version):
    front.options["upstreams"][0]["send_proxy"] = version
    front.start()
    if program == "haproxy":
        haproxy(HAPROXY_BACK, BACK, "http")
    else:
        nginx(NGINX_BACK.format(directory=directory), BACK)
    for _ in range(3):
        own, target, answer = ask_http(("127.0.0.1", FRONT))
        assert answer == f"{own} {target}"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_between_two_of_haproxy_nothing_is_lost_of_client_and_target(front, haproxy, version):
    front.listeners[0].update(accept_proxy=True, trusted=["127.0.0.1"], allow=[CLIENT])
    front.options["upstreams"][0]["send_proxy"] = version
    front.start()
    haproxy(f"{HAPROXY_BACK}\nlisten f\n    mode tcp\n    bind 127.0.0.1:{BALANCER}\n"
            f"    server s 127.0.0.1:{FRONT} send-proxy-v2", BALANCER, "http")
    own, target, answer = ask_http(("127.0.0.1", BALANCER))
    assert answer == f"{own} {target}"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_curl_in_front(front, nginx, directory, version):
    """It sends the header for itself, as to a server that is said to be behind a load balancer."""
    programs.need("curl")
    front.listeners[0].update(accept_proxy=True, trusted=["127.0.0.0/8"], allow=[CLIENT])
    front.options["upstreams"][0]["send_proxy"] = version
    front.start()
    nginx(NGINX_BACK.format(directory=directory), BACK)
    answer = programs.run("curl", "-sS", "--interface", CLIENT, "--haproxy-protocol",
                          f"http://127.0.0.1:{FRONT}/")
    assert answer.startswith(f"{CLIENT}:") and answer.endswith(f" 127.0.0.1:{FRONT}")
    result = programs.attempt("curl", "-sS", "--interface", CLIENT, f"http://127.0.0.1:{FRONT}/")
    assert result.returncode == 56, result  # without a header: reset
    wait_for("the books", lambda: closed(front) == {"client": 1, "proxy_header": 1})
