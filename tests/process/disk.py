"""A small disk that can be full."""

import errno
import os
import subprocess

from system import Process


class Disk:
    """A tmpfs in a mount namespace of its own: only what enter() starts has it at its path."""

    def __init__(self, path, size_bytes):
        self.path, self.size_bytes = path, size_bytes
        self.why = None  # there can be none; then it is a directory like any other
        os.mkdir(path)
        self.user = os.geteuid() != 0
        held = f"mount -t tmpfs -o size={size_bytes} none {path} && echo ready && exec cat"
        self.process = Process(
            ["unshare", *(["-r"] if self.user else []), "-m", "sh", "-c", held],
            path + ".log", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        if self.process.popen.stdout.readline() != b"ready\n":
            self.process.wait()
            self.why = self.process.log().strip()

    def enter(self, argv):
        if self.why:
            return argv
        user = ["-U", "--preserve-credentials"] if self.user else []
        return ["nsenter", "-t", str(self.process.pid), *user, "-m", "-r", "-w", *argv]

    def outside(self, name):
        """The path by which the test gets there."""
        root = "" if self.why else f"/proc/{self.process.pid}/root"
        return root + os.path.join(self.path, name)

    def fill(self):
        """Takes all room, to the last page."""
        with open(self.outside("fill"), "wb", buffering=0) as f:
            size = self.size_bytes
            while size >= 4096:
                try:
                    os.posix_fallocate(f.fileno(), os.fstat(f.fileno()).st_size, size)
                except OSError as error:
                    assert error.errno == errno.ENOSPC, error
                    size //= 2

    def free(self):
        os.unlink(self.outside("fill"))

    def close(self):
        if self.process.popen.poll() is None:
            self.process.popen.stdin.close()
            self.process.stop()
