"""A real name server, dnsmasq, inside the simulated internet, for workers that know no other."""

import os
import re
import shutil
import subprocess

import pytest
from system import until

# As a new mount namespace: the worker's resolv.conf is the file of the test's.
BIND = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


def record(name, *addresses, ttl=3600):
    """A and AAAA for the name, PTR for its addresses."""
    return f"host-record={name},{','.join(addresses)},{ttl}"


def reverse(addr):
    return ".".join(reversed(addr.split("."))) + ".in-addr.arpa"


def raw_ptr(addr, data):
    """A PTR record of an IPv4 address that holds these bytes."""
    return f"dns-rr={reverse(addr)},12,{data.hex()}"


class NameServer:
    """Answers for .example and all reverse names with the lines of its configuration. It has the
    enter() of the net that it serves, for workers that are to use it."""

    def __init__(self, system, net, lines):
        program = shutil.which("dnsmasq", path=os.environ["PATH"] + ":/usr/sbin")
        assert program, "dnsmasq is missing; `make deps` installs dnsmasq-base"
        self.net = net
        self.resolv_conf = system.path("resolv.conf")
        with open(self.resolv_conf, "w", encoding="ascii") as f:
            f.write("nameserver 127.0.0.1\n")
        able = subprocess.run(self.enter(["true"]), capture_output=True, text=True, check=False)
        if able.returncode != 0:
            pytest.skip("no mount namespace here: " + able.stderr.strip())
        with open(system.path("dnsmasq.conf"), "w", encoding="ascii") as f:
            fixed = "no-resolv no-hosts bind-interfaces listen-address=127.0.0.1 log-queries"
            fixed += " local=/example/ local=/arpa/ user= pid-file= log-facility=-"
            f.write("\n".join([*fixed.split(), *lines]) + "\n")
        argv = [program, "--keep-in-foreground", "--conf-file=" + system.path("dnsmasq.conf")]
        self.process = system.run(net.enter(argv), "dnsmasq")
        until(lambda: "started, version" in self.process.log(), "dnsmasq")

    def enter(self, argv):
        return self.net.enter(["unshare", "-m", "sh", "-c", BIND, self.resolv_conf, *argv])

    def send_signal(self, number):
        self.process.send_signal(number)

    def asked(self):
        """{name: how often its PTR was asked for}"""
        times = {}
        for name in re.findall(r"query\[PTR\] (\S+) from", self.process.log()):
            times[name] = times.get(name, 0) + 1
        return times
