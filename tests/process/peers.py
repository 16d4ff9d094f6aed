"""Clients and subscribers that do all that the protocol asks of them to lose nothing: they send again
what was not answered, and replay what they have missed. All that they see goes into a History."""

import time

import msgpack
import zmq

SILENCE_S = 1.5  # without an answer; then the request is sent again
DEAF_S = 3.0  # without `alive.`; then the subscriber connects again
MAX_WAITING = 4  # requests of a client that are not answered


def now():
    return time.monotonic()


def dial(kind, endpoint):
    socket = zmq.Context.instance().socket(kind)
    for option, value in (
        *((zmq.LINGER, 0), (zmq.SNDHWM, 0), (zmq.RCVHWM, 0)),
        *((zmq.RECONNECT_IVL, 100), (zmq.RECONNECT_IVL_MAX, 1000)),
    ):
        socket.setsockopt(option, value)
    if kind != zmq.SUB:  # libzmq 4.3.4 aborts (fq.cpp, !_more) if a SUB with it is cut between two frames
        socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.connect(endpoint)
    return socket


class Asker:
    """A DEALER whose requests are sent again until they are answered."""

    def __init__(self, endpoint, rng):
        self.endpoint, self.rng = endpoint, rng
        self.socket = dial(zmq.DEALER, endpoint)
        self.waiting = {}  # req: (when it is given up, op, fields)
        self.count = self.resent = self.redialled = 0

    def ask(self, op, **fields):
        self.count += 1
        self.waiting[self.count] = (now() + SILENCE_S, op, fields)
        request = {"v": 1, "op": op, "req": self.count, **fields}
        try:
            self.socket.send(msgpack.packb(request), zmq.DONTWAIT)
        except zmq.Again:  # nobody is connected
            pass

    def resend(self):
        """What has waited for too long, half of the times by another connection."""
        late = [req for req, (until, _, _) in self.waiting.items() if until < now()]
        if late and self.rng.random() < 0.5:
            self.redialled += 1
            self.socket.close()
            self.socket = dial(zmq.DEALER, self.endpoint)
        for req in late:
            _, op, fields = self.waiting.pop(req)
            self.resent += 1
            self.ask(op, **fields)

    def messages(self):
        """Those that are there: pairs of a message, and the request that it was the first to answer."""
        while True:
            try:
                message = msgpack.unpackb(self.socket.recv(zmq.DONTWAIT))
            except zmq.Again:
                return
            notified = message["op"] in ("result", "hop")
            yield message, None if notified else self.waiting.pop(message.get("req"), None)

    def close(self):
        self.socket.close()


class Submitter:
    """Submits its traces until each has been accepted, and cancels some of them."""

    def __init__(self, endpoint, name, traces, history, rng):
        self.name, self.history, self.rng = name, history, rng
        self.asker = Asker(endpoint, rng)
        self.todo = list(reversed(traces))
        self.traces = {trace["id"]: trace for trace in traces}
        self.later = []  # (when, trace): after `busy`
        self.busy = 0
        self.wrong = []

    def done(self):
        """All are accepted."""
        return not self.todo and not self.later and not self.asker.waiting

    def step(self, allowed):
        """Goes on, until `allowed` of the traces have been sent."""
        for message, asked in self.asker.messages():
            self.take(message, asked)
        self.asker.resend()
        t = now()
        self.todo += [trace for when, trace in self.later if when <= t]
        self.later = [(when, trace) for when, trace in self.later if when > t]
        left = len(self.traces) - allowed
        while len(self.todo) > left and len(self.asker.waiting) < MAX_WAITING:
            size = min(self.rng.randint(1, 40), len(self.todo) - left)
            batch = [self.todo.pop() for _ in range(size)]
            self.asker.ask("submit", traces=batch, notify=True)

    def take(self, message, asked):
        op = message["op"]
        if op == "result":
            self.history.result(self.name, message)
        elif op == "accepted" and asked is not None:
            for trace, answer in zip(asked[2]["traces"], message["ids"]):
                self.answered(trace, answer)
        elif op == "error" and asked is not None and asked[1] == "submit":
            for trace in asked[2]["traces"]:
                self.answered(trace, message)

    def answered(self, trace, answer):
        if answer == trace["id"]:
            self.history.accept(answer)
            if "cancel" in trace["meta"]:
                self.asker.ask("cancel", ids=[answer])
        elif isinstance(answer, dict) and answer["code"] == "busy":
            self.busy += 1
            self.later.append((now() + answer.get("retry_ms", 100) / 1000, trace))
        else:
            self.wrong.append(f"{self.name}: {trace['id']}: {answer}")

    def close(self):
        self.asker.close()


class Subscriber:
    """Reads all results, or those of one stream, and replays what it has missed."""

    def __init__(self, results, submit, name, history, rng, stream=None):
        self.results, self.name, self.history, self.stream = results, name, history, stream
        self.number = "stream_seq" if stream else "seq"
        self.topic = f"result.{stream}." if stream else "result."
        self.asker = Asker(submit, rng)
        self.socket = None
        self.last, self.last_seq = 0, 0  # all up to here has been seen; the seq of that one
        self.ahead = {}  # number: seq, of results behind a gap
        self.known = 0  # there is a result of this number
        self.gaps = self.deaf = self.replayed = 0
        self.listen()

    def listen(self):
        if self.socket is not None:
            self.socket.close()
            self.deaf += 1
        self.socket = dial(zmq.SUB, self.results)
        for topic in ("alive.", self.topic):
            self.socket.subscribe(topic)
        self.heard = now()

    def sockets(self):
        return [self.socket, self.asker.socket]

    def step(self):
        while True:
            try:
                _, encoded = self.socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            self.heard = now()
            self.published(msgpack.unpackb(encoded))
        for message, asked in self.asker.messages():
            if asked is not None:
                self.answered(message, asked[1])
        self.asker.resend()
        if now() - self.heard > DEAF_S:
            self.listen()
        if self.known > self.last and not self.asker.waiting:
            self.gaps += 1
            self.replay()

    def replay(self):
        stream = {"stream": self.stream} if self.stream else {}
        self.asker.ask("replay", after=self.last_seq, limit=self.asker.rng.randint(1, 1000), **stream)

    def published(self, message):
        if message["op"] == "result":
            self.see(message, True)
        elif message["op"] == "alive":
            self.history.origin(message["origin"])
            number = message["streams"].get(self.stream, 0) if self.stream else message["seq"]
            self.known = max(self.known, number)

    def answered(self, message, op):
        if op == "replay" and message["op"] == "results":
            for result in message["results"]:
                self.replayed += 1
                self.see(result, False)
            if "lost" in message:
                self.history.lost(self.name, *message["lost"])
            if message["more"]:
                self.replay()

    def see(self, result, live):
        self.history.result(self.name, result, live)
        number = result[self.number]
        self.known = max(self.known, number)
        if number > self.last:
            self.ahead[number] = result["seq"]
        while self.last + 1 in self.ahead:
            self.last += 1
            self.last_seq = self.ahead.pop(self.last)

    def close(self):
        self.socket.close()
        self.asker.close()
