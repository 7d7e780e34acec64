"""The proxy between programs that nobody here wrote: what they count themselves is the oracle."""
import hashlib
import json
import os
import re
import signal

import pytest

from harness import admin, client, programs
from harness.config import listener
from harness.kernel import nstat
from harness.waiting import wait_for

FRONT, BACK = 7000, 7100


@pytest.fixture
def proxy(server):
    """Not started: one listener, one upstream with one server."""
    server.listeners = [listener("front", protocol="proxy", upstream="be")]
    server.options["upstreams"] = [{"name": "be", "servers": [{"address": f"127.0.0.1:{BACK}"}]}]
    return server


def front(proxy):
    return admin.asked_json(proxy, "listeners")[0]


def ended(proxy):
    """{reason: count} when no session is open any more."""
    row = wait_for("all sessions over", lambda: (lambda row: row["open"] == 0 and row)(front(proxy)))
    assert row["accepted"] == sum(row["closed"].values())
    return {reason: count for reason, count in row["closed"].items() if count}


def of_server(proxy, name):
    rows = admin.asked_json(proxy, "stats", f"server.be/127.0.0.1:{BACK}.{name}")
    assert len(rows) == 1, rows
    return list(rows.values())[0]


# -- Redis ----------------------------------------------------------------------------------------

def redis(port, *words):
    return programs.run("redis-cli", "-p", port, "--raw", *words).strip()


@pytest.fixture
def redis_server(directory, start_program):
    programs.need("redis-server", "redis-cli", "redis-benchmark")
    words = ["redis-server", "--port", BACK, "--bind", "127.0.0.1", "--save", "", "--appendonly",
             "no", "--dir", directory]
    return start_program(words, lambda _: programs.succeeds("redis-cli", "-p", BACK, "ping"))


def test_redis_benchmark_meets_no_error_and_every_key_is_there(redis_server, proxy):
    proxy.start()
    programs.run("redis-benchmark", "-p", FRONT, "-c", 20, "-n", 20000, "-P", 16, "-q",
                 "incr", "counter")
    programs.run("redis-benchmark", "-p", FRONT, "-c", 10, "-n", 1000, "-d", 3000, "-r", 100000,
                 "-t", "set,get,lpush,lrange_100", "-q")
    assert redis(FRONT, "get", "counter") == redis(BACK, "get", "counter") == "20000"
    assert redis(FRONT, "llen", "mylist") == redis(BACK, "llen", "mylist") != "0"
    assert redis(FRONT, "dbsize") == redis(BACK, "dbsize")
    assert redis(FRONT, "debug", "digest") == redis(BACK, "debug", "digest")
    assert set(ended(proxy)) <= {"client", "reset"}
    assert redis(BACK, "info", "stats").count("rejected_connections:0") == 1


# -- PostgreSQL -----------------------------------------------------------------------------------

@pytest.fixture
def postgres(directory, start_program):
    programs.need("initdb", "postgres", "pgbench", "pg_isready")
    try:
        owner = programs.user_for("postgres")
    except KeyError:
        owner = programs.user_for("nobody")
    data = os.path.join(directory, "postgres")
    os.mkdir(data)
    if owner:
        os.chown(data, owner["user"], owner["group"])
    programs.run("initdb", "-N", "--no-instructions", "-A", "trust", "-U", "tester", "-D", data,
                 cwd=data, **owner)
    words = ["postgres", "-D", data, "-p", BACK, "-h", "127.0.0.1", "-k", "", "-F",
             "-c", "log_connections=on", "-c", "max_connections=20"]
    ready = ("pg_isready", "-q", "-h", "127.0.0.1", "-p", BACK)
    return start_program(words, lambda _: programs.succeeds(*ready), end=signal.SIGINT, cwd=data,
                         **owner)


def pgbench(*words):
    return programs.run("pgbench", "-h", "127.0.0.1", "-p", FRONT, "-U", "tester", *words,
                        "postgres", cwd="/")


@pytest.mark.once
def test_pgbench_with_a_connection_for_each_transaction_fails_none(postgres, proxy):
    """As many sessions as PostgreSQL saw connections."""
    proxy.start()
    pgbench("-i", "-q")
    before, seen = front(proxy)["accepted"], postgres.log().count("connection authorized")
    said = pgbench("-C", "-c", 5, "-j", 2, "-t", 60, "-n")
    assert "number of transactions actually processed: 300/300" in said
    assert "number of failed transactions: 0 (0.000%)" in said
    assert set(ended(proxy)) <= {"client", "backend"}  # pgbench says goodbye, and both close
    sessions = front(proxy)["accepted"] - before
    assert sessions >= 300
    assert sessions == postgres.log().count("connection authorized") - seen


@pytest.mark.once
def test_pgbench_waits_for_a_place_instead_of_being_turned_away(postgres, proxy):
    """Thirty clients at once and a server that takes five."""
    proxy.options["upstreams"][0]["servers"][0]["max_connections"] = 5
    proxy.start()
    pgbench("-i", "-q")
    said = pgbench("-C", "-S", "-c", 30, "-j", 30, "-t", 10, "-n")
    assert "number of transactions actually processed: 300/300" in said
    assert set(ended(proxy)) <= {"client", "backend"}
    assert "too many clients" not in postgres.log()


# -- nginx: wrk and curl --------------------------------------------------------------------------

NGINX = """
worker_processes 1;
error_log {directory}/error.log;
pid {directory}/nginx.pid;
events {{ worker_connections 1000; }}
http {{
    access_log {directory}/access.log;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {directory}/www;
        client_max_body_size 0;
        keepalive_requests 100000;
        location /upload/ {{ dav_methods PUT; }}
        location = /status {{ stub_status; access_log off; }}
    }}
}}
"""


@pytest.fixture
def nginx(directory, start_program):
    programs.need("nginx", "curl")
    os.makedirs(os.path.join(directory, "www/upload"))
    os.chmod(os.path.join(directory, "www/upload"), 0o777)
    path = os.path.join(directory, "nginx.conf")
    with open(path, "w", encoding="ascii") as file:
        file.write(NGINX.format(directory=directory, port=BACK))
    words = ["nginx", "-c", path, "-p", directory, "-e", os.path.join(directory, "error.log"),
             "-g", "daemon off;"]
    return start_program(words, lambda _: programs.succeeds("curl", "-fs", status()))


def status():
    return f"http://127.0.0.1:{BACK}/status"


def put_file(directory, name, size):
    data = os.urandom(size)
    with open(os.path.join(directory, "www", name), "wb") as file:
        file.write(data)
    return data


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_wrk_sees_only_good_answers_of_nginx(nginx, directory, proxy, connection):
    programs.need("wrk")
    put_file(directory, "page", 2000)
    proxy.start()
    said = programs.run("wrk", "-t", 2, "-c", 20, "-d", 1, "-H", f"Connection: {connection}",
                        f"http://127.0.0.1:{FRONT}/page")
    assert "Socket errors" not in said and "Non-2xx" not in said, said
    requests = int(re.search(r"(\d+) requests in", said).group(1))
    assert requests > 50
    sessions = ended(proxy)
    assert set(sessions) <= {"client", "backend", "reset"}  # the last ones are cut off by wrk
    if connection == "close":
        assert sum(sessions.values()) >= requests
    handled = int(programs.run("curl", "-fs", status()).splitlines()[2].split()[1])
    assert of_server(proxy, "connected") <= handled  # those by the readiness and this one are more
    assert of_server(proxy, "syn_retries") == 0


def test_curl_down_and_up_is_the_same_file(nginx, directory, proxy):
    """Through the kernel's pipes: far more than any buffer."""
    data = put_file(directory, "large", 24 << 20)
    proxy.start()
    got = os.path.join(directory, "got")
    programs.run("curl", "-fsS", "-o", got, f"http://127.0.0.1:{FRONT}/large")
    programs.run("curl", "-fsS", "-T", got, f"http://127.0.0.1:{FRONT}/upload/back")
    for path in (got, os.path.join(directory, "www/upload/back")):
        with open(path, "rb") as file:
            assert hashlib.file_digest(file, "sha256").digest() == hashlib.sha256(data).digest()
    assert ended(proxy) == {"client": 2}
    assert of_server(proxy, "from_server_bytes") > len(data) < of_server(proxy, "to_server_bytes")


# -- iperf3 ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("words", [(), ("-R",), ("-P", "8"), ("-R", "-P", "8"), ("--bidir",)],
                         ids=lambda words: " ".join(words) or "plain")
def test_iperf3_in_both_directions_and_in_several_streams(start_program, proxy, words):
    programs.need("iperf3")
    proxy.start()
    size = 64 << 20
    start_program(["iperf3", "-s", "-p", BACK, "-B", "127.0.0.1", "--forceflush"],
                  lambda iperf: "listening" in iperf.log())
    said = json.loads(programs.run("iperf3", "-c", "127.0.0.1", "-p", FRONT, "-n", size, "-J",
                                   *words))
    assert "error" not in said
    # what is under way when the sender is done is cut off by iperf3 itself
    assert all(stream["receiver"]["bytes"] > 0 for stream in said["end"]["streams"])
    assert sum(ended(proxy).values()) == len(said["start"]["connected"]) + 1


# -- a weak Java server ---------------------------------------------------------------------------

JAVA = """
import java.net.*;
import java.util.concurrent.*;

/** One thread accepts, with a pause each time; others answer a line and close. */
class Weak {
    public static void main(String[] words) throws Exception {
        ServerSocket server = new ServerSocket(Integer.parseInt(words[0]), 50);
        ExecutorService crew = Executors.newFixedThreadPool(8);
        System.out.println("ready");
        while (true) {
            Socket socket = server.accept();
            crew.execute(() -> answer(socket));
            Thread.sleep(1);
        }
    }

    static void answer(Socket socket) {
        try (socket) {
            byte[] line = new byte[100];
            int size = socket.getInputStream().read(line);
            socket.getOutputStream().write(line, 0, size);
        } catch (Exception e) {
            System.out.println("failed: " + e);
        }
    }
}
"""


@pytest.fixture
def weak_server(directory, start_program):
    programs.need("java")
    path = os.path.join(directory, "Weak.java")
    with open(path, "w", encoding="ascii") as file:
        file.write(JAVA)
    words = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", path, BACK]
    return start_program(words, lambda java: "ready" in java.log(), end=signal.SIGKILL)


def dropped():
    return nstat("TcpExtListenOverflows") + nstat("TcpExtTCPSynRetrans")


@pytest.mark.once
def test_a_crowd_overruns_a_weak_java_server_but_not_behind_the_proxy(weak_server, proxy):
    """Four hundred clients at once and a queue of fifty. The last part proves the first one."""
    crowd = 400
    proxy.options["upstreams"][0]["settle_time"] = "30s"  # on a busy machine it may sleep long
    proxy.options["upstreams"][0]["servers"][0].update(backlog=50, max_connections=200)
    proxy.start()
    assert client.crowd(crowd)[0] == crowd
    assert (dropped(), of_server(proxy, "syn_retries")) == (0, 0)
    assert sum(ended(proxy).values()) == crowd
    assert of_server(proxy, "connected") == crowd
    assert "failed" not in weak_server.log()
    assert client.crowd(crowd, ("127.0.0.1", BACK), limit=1.0)[0] < crowd
    assert dropped() > 0
