"""A TCP proxy that cuts, delays and swallows what goes through it, in a thread of its own.

A link stands before one endpoint of a broker; peers dial the link instead. What is swallowed is missing
in the stream, so repair() cuts the connections that lost something, as a network that comes back finds
peers that have forgotten them.
"""

import collections
import errno
import random
import selectors
import socket
import threading
import time

from system import PATIENCE

UP, DOWN = "up", "down"  # from the one that dials, to it
READ_BYTES = 65536
PENDING_BYTES = 1024 * 1024  # that wait in one direction; more stay with the sender
# For brokers. Not those that the kernel gives to connections: who dials such a port in vain, while its
# broker is away, can be connected to himself.
PORTS = range(20000, 30000)


def free_port():
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


class Link:
    def __init__(self, listener, target):
        self.listener, self.target = listener, target
        self.delay_s = {UP: 0, DOWN: 0}
        self.swallows = {UP: False, DOWN: False}
        self.swallowed_bytes = 0
        self.connections = set()


class Way:
    """One direction of a connection."""

    def __init__(self, name, source, sink):
        self.name, self.source, self.sink = name, source, sink
        self.pending = collections.deque()  # of (when it may go on, bytes)
        self.pending_bytes = 0
        self.robbed = self.ended = False

    def due(self):
        return self.pending[0][0] if self.pending else None

    def read(self, link, now):
        """False when the connection has ended."""
        data = self.source.recv(READ_BYTES)
        if link.swallows[self.name]:  # the end too
            self.robbed, self.ended = True, not data
            link.swallowed_bytes += len(data)
            return True
        if data:
            last = self.pending[-1][0] if self.pending else 0
            self.pending.append((max(last, now + link.delay_s[self.name]), data))
            self.pending_bytes += len(data)
        return bool(data)

    def write(self, now):
        while self.pending and self.pending[0][0] <= now:
            due, data = self.pending[0]
            sent = self.sink.send(data)
            self.pending_bytes -= sent
            if sent < len(data):
                self.pending[0] = (due, data[sent:])
                return
            self.pending.popleft()


class Connection:
    def __init__(self, link, dialler):
        self.link, self.dialler = link, dialler
        self.server = socket.socket()
        for end in (self.dialler, self.server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connected = False
        self.server.connect_ex(("127.0.0.1", link.target))
        up, down = Way(UP, self.dialler, self.server), Way(DOWN, self.server, self.dialler)
        self.ways = (up, down)

    def events(self, end, now):
        """What to wait for at this end."""
        if not self.connected:
            return selectors.EVENT_WRITE if end is self.server else 0
        wanted = 0
        for way in self.ways:
            if way.source is end and not way.ended and way.pending_bytes < PENDING_BYTES:
                wanted |= selectors.EVENT_READ
            if way.sink is end and way.pending and way.due() <= now:
                wanted |= selectors.EVENT_WRITE
        return wanted

    def ready(self, end, events, now):
        """False when it has ended, or was refused."""
        try:
            if not self.connected:
                self.connected = self.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
                return self.connected
            for way in self.ways:
                if way.source is end and events & selectors.EVENT_READ:
                    if not way.read(self.link, now):
                        return False
                if way.sink is end and events & selectors.EVENT_WRITE:
                    way.write(now)
            return True
        except OSError as error:
            return error.errno == errno.EAGAIN


class Proxy:
    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.links = {}
        self.commands = collections.deque()
        self.waker, self.woken = socket.socketpair()
        self.woken.setblocking(False)
        self.selector.register(self.woken, selectors.EVENT_READ, None)
        self.ended = False
        self.cuts = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    # ---- for the test: done by the thread, before call() returns ----

    def call(self, command):
        done = threading.Event()
        self.commands.append((command, done))
        self.waker.send(b".")
        assert done.wait(PATIENCE), "the proxy's thread has ended"

    def link(self, name):
        """The endpoint that the broker is to listen on, and the one to dial instead."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        listener.setblocking(False)
        self.links[name] = link = Link(listener, free_port())
        self.call(lambda: self.selector.register(listener, selectors.EVENT_READ, link))
        return f"tcp://127.0.0.1:{link.target}", f"tcp://127.0.0.1:{listener.getsockname()[1]}"

    def cut(self, name, choose=lambda connections: connections):
        """Ends all connections of a link, or those chosen of the list; what is on its way is lost."""
        connections = self.links[name].connections
        self.call(lambda: [self.close_connection(c) for c in choose(list(connections))])

    def delay(self, name, way, seconds):
        self.call(lambda: self.links[name].delay_s.update({way: seconds}))

    def swallow(self, name, way):
        self.call(lambda: self.links[name].swallows.update({way: True}))

    def repair(self, name):
        link = self.links[name]

        def heal():
            for way in (UP, DOWN):
                link.delay_s[way], link.swallows[way] = 0, False
            for connection in list(link.connections):
                if any(way.robbed for way in connection.ways):
                    self.close_connection(connection)

        self.call(heal)

    def close(self):
        self.call(lambda: setattr(self, "ended", True))
        self.thread.join()

    # ---- the thread ----

    def close_connection(self, connection):
        connection.link.connections.discard(connection)
        self.cuts += 1
        for end in (connection.dialler, connection.server):
            if end in self.selector.get_map():
                self.selector.unregister(end)
            end.close()

    def wait_for(self, connection, now):
        """Registers its two ends for what they wait for."""
        for end in (connection.dialler, connection.server):
            wanted = connection.events(end, now)
            known = self.selector.get_map().get(end)
            if known is None and wanted:
                self.selector.register(end, wanted, connection)
            elif known is not None and not wanted:
                self.selector.unregister(end)
            elif known is not None and known.events != wanted:
                self.selector.modify(end, wanted, connection)

    def take(self, key, events, now):
        if key.data is None:
            self.woken.recv(READ_BYTES)
        elif isinstance(key.data, Link):
            dialler, _ = key.data.listener.accept()
            key.data.connections.add(Connection(key.data, dialler))
        elif key.data in key.data.link.connections:
            if not key.data.ready(key.fileobj, events, now):
                self.close_connection(key.data)

    def run(self):
        while not self.ended:
            now, first = time.monotonic(), None
            for link in self.links.copy().values():
                for connection in link.connections:
                    self.wait_for(connection, now)
                    for way in connection.ways:
                        if way.pending and way.due() > now:
                            first = min(first or way.due(), way.due())
            for key, events in self.selector.select(None if first is None else first - now):
                self.take(key, events, time.monotonic())
            while self.commands:
                command, done = self.commands.popleft()
                command()
                done.set()
        for link in self.links.values():
            link.listener.close()
            for connection in list(link.connections):
                self.close_connection(connection)
