"""What clients and subscribers have seen of a broker, and whether it kept its promises.

    every accepted id has exactly one result; no seq, and no stream_seq of a stream, has two bodies;
    both count by one; what was published came in order, and no gap remains after replay; a summary
    names the results of its parts.

All of it within one origin: a broker with a file that starts again goes on counting.
"""

import collections
import hashlib

import msgpack

Seen = collections.namedtuple("Seen", "seq stream stream_seq id digest")


def seen(result):
    """What counts of a result; `req` is only in those that answer a request."""
    rest = {k: v for k, v in result.items() if k != "req"}
    digest = hashlib.sha256(msgpack.packb(rest)).hexdigest()[:16]
    return Seen(*(result[k] for k in ("seq", "stream", "stream_seq", "id")), digest)


class History:
    def __init__(self):
        self.accepted = set()
        self.unfinished = set()  # accepted, without result
        self.by_id = {}  # the first Seen of each id, seq, and (stream, stream_seq)
        self.by_seq = {}
        self.by_stream_seq = {}
        self.counts = collections.Counter()  # results of each stream
        self.readers = collections.defaultdict(set)  # the seqs that each has seen
        self.last_live = collections.defaultdict(int)
        self.members = {}  # id of a part of a fanout: its seq, as the summary has it
        self.stops = collections.Counter()
        self.origins = set()
        self.wrong = []  # sentences

    def accept(self, name):
        self.accepted.add(name)
        if name not in self.by_id:
            self.unfinished.add(name)

    def origin(self, origin):
        self.origins.add(origin)

    def result(self, reader, result, live=False):
        """A reader has got a result; live: by subscription."""
        new = seen(result)
        if new.id not in self.by_id:
            self.stops[result["stop"]] += 1
            self.counts[new.stream] += 1
            self.members.update({m["id"]: m["seq"] for m in result.get("members", ())})
        for index, key, what in (
            (self.by_id, new.id, f"id {new.id}"),
            (self.by_seq, new.seq, f"seq {new.seq}"),
            (self.by_stream_seq, (new.stream, new.stream_seq), f"{new.stream} {new.stream_seq}"),
        ):
            old = index.setdefault(key, new)
            if old != new:
                self.wrong.append(f"{what} has two results: {old}, and {new} by {reader}")
        if live:
            if new.seq <= self.last_live[reader]:
                self.wrong.append(f"{reader}: seq {new.seq} after {self.last_live[reader]}")
            self.last_live[reader] = new.seq
        self.unfinished.discard(new.id)
        self.readers[reader].add(new.seq)

    def lost(self, reader, first, last):
        self.wrong.append(f"{reader}: {first}..{last} are said to be no longer kept")

    def check(self, whole=(), streams=()):
        """All that is wrong. whole: readers of everything; streams: pairs of a reader and the stream
        that it reads."""
        wrong = list(self.wrong)
        if len(self.origins) > 1:
            wrong.append(f"seq began to count again: origins {sorted(self.origins)}")
        wrong += [f"{i} was accepted and has no result" for i in sorted(self.unfinished)]
        for part, seq in self.members.items():
            if part not in self.by_id or self.by_id[part].seq != seq:
                wrong.append(f"{part} has seq {seq} in its summary, and is {self.by_id.get(part)}")
        last = max(self.by_seq, default=0)
        wrong += [f"seq {n} is of no result" for n in range(1, last + 1) if n not in self.by_seq]
        counts = collections.Counter()
        for seq in sorted(self.by_seq):
            result = self.by_seq[seq]
            counts[result.stream] += 1
            if result.stream_seq != counts[result.stream]:
                wrong.append(f"{result.stream}: seq {seq} is its {counts[result.stream]}th: {result}")
        for reader in whole:
            wrong += self.gaps(reader, self.by_seq)
        for reader, stream in streams:
            wrong += self.gaps(reader, [n for n, r in self.by_seq.items() if r.stream == stream])
        return wrong

    def gaps(self, reader, wanted):
        return [f"{reader}: has not seen seq {n}" for n in sorted(set(wanted) - self.readers[reader])]
