"""The page at /metrics of a broker or worker that runs with --metrics, and its other answers."""

import http.client
import re

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


def figures(process):
    """Each sample's value."""
    status, text = get(process, "/metrics")
    assert status == 200
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = SAMPLE.fullmatch(line.replace('le="+Inf"', 'le="Inf"'))
        assert match and match[1] not in found, line
        found[match[1]] = float(match[2])
    return found


def until_figures(process, **expected):
    """Waits until these have these values; they are rendered once a second."""
    expected = {f"hopmq_{name}": value for name, value in expected.items()}

    def reached():
        now = figures(process)
        return {k: now.get(k) for k in expected} == expected

    try:
        until(reached, "figures")
    except AssertionError:
        now = figures(process)
        raise AssertionError({k: (now.get(k), v) for k, v in expected.items()}) from None


def until_status(process, path, status, body):
    until(lambda: get(process, path) == (status, body + "\n"), f"{path} {status} {body}")
