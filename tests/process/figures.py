"""The page at /metrics of a broker or worker that runs with --metrics, and its other answers."""

import http.client
import re
import subprocess
import sys

from system import PATIENCE, until

HERE = "127.0.0.1:0"
SAMPLE = re.compile(r'([a-z_]+(?:\{[a-z]+="(?:[^"\\]|\\.)*"\})?) (-?[0-9.]+)')


def port(process):
    found = until(
        lambda: re.search(r"event=metrics .* port=(\d+)\n", process.log()), "no endpoint"
    )
    return int(found[1])


def get(process, path, host="127.0.0.1", method="GET"):
    """Status and body."""
    connection = http.client.HTTPConnection(host, port(process), timeout=PATIENCE)
    try:
        connection.request(method, path)
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()


PRINT = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"


def page(process, net=None):
    """The page of a process here, or in a network namespace of its own."""
    if net is not None:
        argv = net.enter([sys.executable, "-c", PRINT, f"http://127.0.0.1:{port(process)}/metrics"])
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.rstrip("\n")
    status, text = get(process, "/metrics")
    assert status == 200
    return text


def figures(process, net=None):
    """Each sample's value."""
    found = {}
    for line in page(process, net).splitlines():
        if line.startswith("#"):
            continue
        match = SAMPLE.fullmatch(line.replace('le="+Inf"', 'le="Inf"'))
        assert match and match[1] not in found, line
        found[match[1]] = float(match[2])
    return found


def until_figures(process, net=None, **expected):
    """Waits until these have these values; they are rendered once a second."""
    expected = {f"hopmq_{name}": value for name, value in expected.items()}

    def reached():
        now = figures(process, net)
        return {k: now.get(k) for k in expected} == expected

    try:
        until(reached, "figures")
    except AssertionError:
        now = figures(process, net)
        raise AssertionError({k: (now.get(k), v) for k, v in expected.items()}) from None


def until_status(process, path, status, body):
    until(lambda: get(process, path) == (status, body + "\n"), f"{path} {status} {body}")
