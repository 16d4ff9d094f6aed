"""The fake mtr-packet by itself: its words are those of the mtr-packet that is installed here, and
a script does what README.md in tests/fakemtr says."""

import os
import re
import shutil
import subprocess

import pytest

from system import FAKE_MTR, PATIENCE, asleep, until

# Each is answered at once, or by the loopback interface, and so alike by every prober.
CHEAP = """\
1 check-support feature version
2 check-support feature ip-4
3 check-support feature send-probe
4 check-support feature icmp
5 check-support feature udp
6 check-support feature tcp
7 check-support feature mark
8 check-support feature local-device
9 check-support feature nonsense
10 check-support
11 check-support nonsense x
12 check-support x y feature version
 13   check-support\tfeature  version \n\
14 nonsense
15 nonsense x
16 nonsense x y
17

   \n\
18 send-probe
19 send-probe ip-4
20 send-probe protocol icmp
21 send-probe local-ip-4 127.0.0.1
22 send-probe ip-4 0
23 send-probe ip-4 nonsense
24 send-probe ip-4 ::1
25 send-probe ip-6 127.0.0.1
26 send-probe ip-4 127.0.0.1 local-ip-4 x
27 send-probe ip-4 127.0.0.1 local-ip-6 ::1
28 send-probe ip-4 127.0.0.1 protocol gre
29 send-probe ip-4 127.0.0.1 ttl x
30 send-probe ip-4 127.0.0.1 ttl 1x
31 send-probe ip-4 127.0.0.1 timeout x
32 send-probe ip-4 127.0.0.1 size x
33 send-probe ip-4 127.0.0.1 size 20000
34 send-probe ip-4 127.0.0.1 tos x
35 send-probe ip-4 127.0.0.1 mark x
36 send-probe ip-4 127.0.0.1 bit-pattern x
37 send-probe ip-4 127.0.0.1 protocol udp port x
38 send-probe ip-4 127.0.0.1 protocol udp local-port 1023
39 send-probe ip-4 127.0.0.1 protocol tcp ttl 0
40 send-probe ip-4 127.0.0.1 protocol tcp ttl 256
41 send-probe ip-4 127.0.0.1 local-ip-4 127.0.0.1
42 send-probe ip-4 127.0.0.1 timeout 1
43 send-probe ip-4 127.0.0.1 nonsense x ttl 3
44 send-probe ip-4 127.0.0.1 ttl 1 size 10
45 send-probe ip-4 127.0.0.1 ttl 256
46 send-probe ip-4 127.0.0.1 ttl -1
47 send-probe ip-4 127.0.0.1 protocol udp local-ip-4 127.0.0.1
48 send-probe ip-4 127.0.0.1 protocol udp port 20001 local-port 20002
49 send-probe ip-4 127.0.0.1 protocol tcp port 1 timeout 1
50 send-probe ip-4 nonsense ip-4 127.0.0.1
51 send-probe ip-6 ::1 ip-4 127.0.0.1
x check-support feature version
0x1 check-support feature version
+52 check-support feature version
-53 check-support feature version
54x check-support feature version
4294967351 check-support feature version
2147483648 check-support feature version
99999999999999999999 check-support feature version
"""
CHEAP += "60 send-probe" + " a b" * 16 + " \n61 send-probe" + " a b" * 17 + "\n"
CHEAP += "x" * 4094 + "\n" + "x" * 4095 + "\n" + "62 unknown " + "x" * 9000 + "\n63 check-support feature version"
CHEAP += "\n64 check-support feature version without a newline"


def talk(program, text, script=None, timeout=PATIENCE):
    """All lines that a prober says to a text, until it ends by itself."""
    env = {**os.environ, **({"FAKE_MTR_SCRIPT": script} if script else {})}
    done = subprocess.run(
        [program], input=text.encode(), capture_output=True, timeout=timeout, env=env, check=False
    )
    assert done.stderr == b"", done.stderr
    return done.stdout.decode("latin-1").splitlines()


@pytest.fixture
def fake(tmp_path):
    """fake(script, text): what the fake says."""
    path = tmp_path / "script"

    def run(script, text, **kwargs):
        path.write_text(script, encoding="ascii")
        return talk(FAKE_MTR, text, str(path), **kwargs)

    return run


def test_words_are_those_of_the_real_one(fake):
    real = shutil.which("mtr-packet")
    version = talk(real, "1 check-support feature version\n")[0].split()[-1]

    def by_word(lines):
        return sorted(re.sub(r"(round-trip-time) \d+", r"\1 N", line) for line in lines)

    expected = by_word(talk(real, CHEAP))
    assert by_word(fake(f"version {version}", CHEAP)) == expected
    assert sum(" reply " in line for line in expected) == 11, "it has no rights here"


def probes(count, arguments="", first=1):
    lines = [f"{i} send-probe ip-4 127.1.0.1 {arguments}\n" for i in range(first, first + count)]
    return "".join(lines)


@pytest.mark.parametrize("version,cap", [("0.88", 1024), ("0.95", 1024), ("0.96", 10240), ("HEAD", 10240)])
def test_cap(fake, version, cap):
    lines = fake(f"version {version}\non probe: silent", probes(cap + 6, "timeout 1"))
    assert len(lines) == cap + 6
    exhausted = [f"{i} probes-exhausted" for i in range(cap + 1, cap + 7)]
    assert [line for line in lines if "exhausted" in line] == exhausted
    assert sum("no-reply" in line for line in lines) == cap


LOCAL = "local-ip-4 127.0.0.1"
BY_VERSION = [  # a probe, and its answer by the versions from which it holds
    (
        "ip-4 127.1.0.1 ttl 2",
        {88: "ttl-expired ip-4 10.0.0.2", 93: "invalid-argument", 94: "ttl-expired ip-4 10.0.0.2"},
    ),
    (f"ip-4 127.1.0.1 {LOCAL} ttl 8", {88: "reply ip-4 127.1.0.1"}),
    (f"ip-4 127.1.0.1 {LOCAL} ttl 258", {88: "ttl-expired ip-4 10.0.0.2", 96: "invalid-argument"}),
    (f"ip-4 127.1.0.1 {LOCAL} ttl 2 size 1501", {88: "unexpected-error errno 90", 96: "ttl-expired ip-4 10.0.0.2"}),
    ("ip-6 fd01::1 local-ip-6 ::1 ttl 2", {88: "ttl-expired ip-6 fd00::2"}),
    (
        "ip-6 fd01::1 local-ip-6 ::1 ttl 2 protocol udp",
        {88: "ttl-expired ip-6 fd00::2", 93: "invalid-argument", 94: "ttl-expired ip-6 fd00::2"},
    ),
    (f"ip-4 127.1.0.1 {LOCAL} ttl 2 protocol udp port 9 local-port 2000", {88: "ttl-expired ip-4 10.0.0.2"}),
    (
        f"ip-4 127.1.0.1 {LOCAL} ttl 9 timeout 0 protocol udp port 9 local-port 2000",
        {88: "no-reply", 93: "reply ip-4 127.1.0.1"},
    ),
    (
        "ip-6 fd01::1 local-ip-6 ::1 timeout 0 ttl 2 protocol udp port 9 local-port 2000",
        {88: "no-reply", 93: "invalid-argument", 94: "no-reply", 96: "ttl-expired ip-6 fd00::2"},
    ),
    (
        f"ip-4 127.1.0.2 {LOCAL} timeout 0 ttl 4",
        {88: "no-reply", 93: "no-route ip-4 10.0.0.4", 96: "no-route-host ip-4 10.0.0.4"},
    ),
    (f"ip-4 127.1.0.3 {LOCAL}", {88: "no-route", 96: "no-route-host"}),
    (f"ip-4 127.1.0.4 {LOCAL} timeout 0", {88: "no-reply", 96: "address-not-available"}),
]


@pytest.mark.parametrize("version", [88, 89, 90, 91, 92, 93, 94, 95, 96])
def test_what_differs_by_version(fake, version):
    script = [f"version 0.{version}", "rtt 0", "on probe ip-4=127.1.0.2: unreachable"]
    script += ["on probe ip-4=127.1.0.3: no-route", "on probe ip-4=127.1.0.4: bad-source"]
    text = "".join(f"{i} send-probe {probe}\n" for i, (probe, _) in enumerate(BY_VERSION, 1))
    lines = {int(line.split()[0]): line for line in fake("\n".join(script), text)}
    for i, (probe, answers) in enumerate(BY_VERSION, 1):
        says = answers[max(v for v in answers if v <= version)]
        assert re.sub(" round-trip-time .*", "", lines[i]) == f"{i} {says}", probe


def test_internet(fake):
    """A path of this many hops, each with this round-trip time; a late answer does not count."""
    probes_4_to_1 = "".join(f"{t} send-probe ip-4 127.1.0.1 ttl {t}\n" for t in (4, 3, 2, 1))
    assert fake("hops 3\nrtt 1000", probes_4_to_1) == [
        "1 ttl-expired ip-4 10.0.0.1 round-trip-time 1000",
        "2 ttl-expired ip-4 10.0.0.2 round-trip-time 2000",
        "4 reply ip-4 127.1.0.1 round-trip-time 3000",
        "3 reply ip-4 127.1.0.1 round-trip-time 3000",
    ]
    assert fake("rtt 200000", probes(1, "timeout 1")) == ["1 no-reply"]
    late = fake("on probe: late 20", probes(1, "ttl 1"))
    assert late == ["1 ttl-expired ip-4 10.0.0.1 round-trip-time 20500"]
    text = "".join(f"{i} send-probe ip-4 127.1.0.{i} ttl 30\n" for i in range(1, 200))
    times = [int(line.split()[-1]) for line in fake("hops 4..12\nrtt 100", text)]
    assert set(times) == {hops * 100 for hops in range(4, 13)}


ACTIONS = [  # a rule, and all that is said to two probes to hop 1 and a question
    ("on probe n=1: silent", ["1 no-reply", "2 OK", "3 V"]),
    ("on probe n=2..: silent", ["1 OK", "2 no-reply", "3 V"]),
    ("on probe n=..2: silent", ["1 no-reply", "2 no-reply", "3 V"]),
    ("on probe ttl=2: silent", ["1 OK", "2 OK", "3 V"]),
    ("on probe protocol=icmp ttl=1..9 ip-4=127.1.0.1: silent", ["1 no-reply", "2 no-reply", "3 V"]),
    ("on probe protocol=udp: silent", ["1 OK", "2 OK", "3 V"]),
    ("on probe chance=0: silent", ["1 OK", "2 OK", "3 V"]),
    ("on probe chance=1: silent", ["1 no-reply", "2 no-reply", "3 V"]),
    ("on loopback: silent", ["1 OK", "2 OK", "3 V"]),
    ("on probe n=1: drop", ["2 OK", "3 V"]),
    ("on probe n=1: repeat 2", ["1 OK", "1 OK", "1 OK", "2 OK", "3 V"]),
    ("on probe n=1: token 7", ["2 OK", "3 V", "7 OK"]),
    ("on probe n=1: answer x {addr} {rtt} {token}", ["1 x 10.0.0.1 0 1", "2 OK", "3 V"]),
    (r"on probe n=1: say a\x09b", ["1 OK", "2 OK", "3 V", "a\tb"]),
    ("on probe n=1: late 2000", ["1 no-reply", "2 OK", "3 V"]),
    ("on probe n=1: lag 20", ["1 OK", "2 OK", "3 V"]),
    ("on probe n=1: overlong 70", ["1 OK", "2 OK", "3 V", "x" * 70]),
    ("on check-support feature=version: answer feature-support support 9", ["1 OK", "2 OK", "3 feature-support support 9"]),
    ("on check-support: silent", ["1 OK", "2 OK"]),
    ("on check-support: drop", ["1 OK", "2 OK"]),
    ("on start: say hello", ["1 OK", "2 OK", "3 V", "hello"]),
    ("on start: hang", []),
    ("on probe n=2: hang", []),
    ("on check-support: exit 0", []),
    ("on start: exit 0", []),
    ("pieces 3", ["1 OK", "2 OK", "3 V"]),
    ("version HEAD # a comment\n\n# another", ["1 OK", "2 OK", "3 feature-support support 0.96-163-g7b01773"]),
]


@pytest.mark.parametrize("rule,says", ACTIONS, ids=[rule for rule, _ in ACTIONS])
def test_rules(fake, rule, says):
    long = {"OK": "ttl-expired ip-4 10.0.0.1 round-trip-time 0", "V": "feature-support support 0.95"}
    lines = fake("rtt 0\n" + rule, probes(2, "ttl 1 timeout 0") + "3 check-support feature version\n")
    expected = [re.sub(r"(OK|V)$", lambda m: long[m[0]], line) for line in says]
    assert sorted(lines) == sorted(expected)


def test_lag_puts_lines_out_of_order(fake):
    lines = fake("on probe n=1: lag 30", probes(2, "ttl 1"))
    assert [line.split()[0] for line in lines] == ["2", "1"]


def test_chance_is_repeatable(fake):
    script = "seed {}\non probe chance=0.5: silent\non probe chance=0.2: garbage"
    once, again, other = (fake(script.format(seed), probes(50, "timeout 0")) for seed in (1, 1, 2))
    assert once == again != other


def test_run_counts_the_starts(fake):
    script = "on start run=2: say second\non start run=3..: say later"
    assert [fake(script, "") for _ in range(4)] == [[], ["second"], ["later"], ["later"]]


@pytest.mark.parametrize(
    "line,says",
    [
        ("nonsense 1", "nonsense: must be version, hops, rtt, seed, pieces or on"),
        ("version 0.87", "version 0.87: must be 0.88 or later, or HEAD"),
        ("hops 0", "0: must be a whole number, 1 or more"),
        ("rtt x", "x: must be a whole number, 0 or more"),
        ("on", "on : must be: on start|"),
        ("on never: exit", "on never: exit: must be: on start|check-support|probe|loopback"),
        ("on probe exit", "on probe exit: must be: on start|"),
        ("on probe 5: exit", "5: must be NAME=VALUE"),
        ("on probe n=a..b: exit", "a: must be a whole number, 0 or more"),
        ("on probe: explode", "explode: no such action"),
        ("on start: pieces 0", "0: 0: must be a whole number, 1 or more"),
        ("on start: overlong x", "x: x: must be a whole number, 0 or more"),
        ("on start: close nothing", "nothing: "),
        ("on start: kill NOTHING", "NOTHING: "),
    ],
)
def test_script_that_is_wrong(tmp_path, line, says):
    path = tmp_path / "script"
    path.write_text("# first\n" + line + "\n", encoding="ascii")
    done = subprocess.run(
        [FAKE_MTR], env={**os.environ, "FAKE_MTR_SCRIPT": str(path)}, input="", text=True,
        capture_output=True, timeout=PATIENCE, check=False,
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"fake-mtr-packet: {path}:2: {says}"), done.stderr


def test_readme(fake):
    """Each line of its scripts is one, and the conversation is what happens."""
    with open(os.path.join(os.path.dirname(FAKE_MTR), "README.md"), encoding="utf-8") as f:
        text = f.read()
    blocks = re.findall(r"```(\w*)\n(.*?)```", text, re.S)
    recipes = next(b for kind, b in blocks if kind == "") + re.search("<<'END'\n(.*?)END", text, re.S)[1]
    for line in recipes.splitlines():
        if line and not line.startswith("#"):
            fake(line, "")
    console = next(b for kind, b in blocks if kind == "console")
    command = re.match(r"\$ printf '(.*)' \|\s+\S+\n", console)
    typed, says = command[1].replace("\\n", "\n"), console[command.end() :]
    assert talk(FAKE_MTR, typed) == says.splitlines() != []


@pytest.mark.parametrize("how", ["hang", "freeze", "deaf", "close stdin", "close stdout", "flood x"])
def test_ends_with_its_parent(tmp_path, how):
    """However it hangs, nothing is left behind by a test that was killed; and it does not spin."""
    path = tmp_path / "script"
    path.write_text(f"on start: say ready\non start: {how}\n", encoding="ascii")
    env = {**os.environ, "FAKE_MTR_SCRIPT": str(path)}
    with subprocess.Popen([FAKE_MTR], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as fake:
        if how not in ("hang", "freeze"):
            assert fake.stdout.readline() in (b"ready\n", b"x\n")
        until(lambda: asleep(fake.pid), "a time when it does nothing: it spins")
        assert fake.poll() is None, "it has not hung"
        fake.stdin.close()
        fake.stdout.close()
        fake.wait(PATIENCE)
