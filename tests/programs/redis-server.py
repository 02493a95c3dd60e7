#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's redis-server with 2 million keys of 100 bytes.

At least 95 % of its heap on huge pages; what was set is what is got; a BGSAVE
during which every hundredth key is overwritten writes the data of the moment
of the fork: a server without the library loads the same digest from it, and
so does one with the library.  So does one that keeps Debian's jemalloc, whose
arenas are on huge pages then.
"""

import os
import socket
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import shimtest as t  # noqa: E402

NR_KEYS = int(os.environ.get("HS_REDIS_KEYS", "2000000"))
BATCH = 10000
POOL_BYTES = 2 << 30


def key(i):
    return b"key:%08d" % i


def value(i, generation=0):
    """100 bytes that no other key and no other generation has."""
    word = b"%010d" % ((i * 2654435761 + generation * 97) % 10**10)
    return word * 10


class Client:
    """Enough of the protocol to pipeline and to tell replies apart."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(300)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb", buffering=1 << 20)

    def send(self, commands):
        parts = []
        for command in commands:
            parts.append(b"*%d\r\n" % len(command))
            parts.extend(b"$%d\r\n%s\r\n" % (len(word), word)
                         for word in command)
        self.socket.sendall(b"".join(parts))

    def reply(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            size = int(rest)
            return None if size < 0 else self.file.read(size + 2)[:-2]
        if kind == b"*":
            return [self.reply() for _ in range(max(0, int(rest)))]
        if kind == b"-":
            t.fail("redis says: " + rest.decode())
        return int(rest) if kind == b":" else rest

    def call(self, *command):
        self.send([command])
        return self.reply()

    def pipeline(self, commands):
        """The replies to commands, sent in batches."""
        batch = []
        for command in commands:
            batch.append(command)
            if len(batch) == BATCH:
                self.send(batch)
                yield from (self.reply() for _ in batch)
                batch = []
        self.send(batch)
        yield from (self.reply() for _ in batch)

    def info(self, section):
        text = self.call(b"INFO", section).decode()
        return dict(line.split(":", 1) for line in text.splitlines()
                    if ":" in line)

    def wait_for_save(self):
        """Blocks in the server, a tenth of a second a time."""
        while True:
            info = self.info(b"persistence")
            if info["rdb_bgsave_in_progress"] == "0":
                return info["rdb_last_bgsave_status"]
            self.call(b"BLPOP", b"no such list", b"0.1")


class Server:
    """A redis-server in directory, on a socket of its own."""

    def __init__(self, directory, name, env):
        self.socket = os.path.join(directory, name + ".sock")
        self.context = t.running(
            [REDIS, "--port", "0", "--unixsocket", self.socket,
             "--dir", directory, "--save", "", "--appendonly", "no",
             "--enable-debug-command", "yes", "--daemonize", "no",
             "--pidfile", "", "--logfile", ""],
            env=env, cwd=directory, stdin=t.subprocess.DEVNULL,
            stdout=t.subprocess.PIPE, stderr=t.subprocess.STDOUT)

    def __enter__(self):
        self.process = self.context.__enter__()
        log = b""
        for line in self.process.stdout:
            log += line
            if b"The server is now ready" in line or b"Ready to acc" in line:
                break
        else:
            t.fail("redis-server did not start:\n" + log.decode())
        self.client = Client(self.socket)
        return self

    def stop(self):
        """An orderly end, so that the library writes its report."""
        self.client.send([[b"SHUTDOWN", b"NOSAVE"]])
        log = self.process.stdout.read()
        status = self.process.wait()
        t.expect(status == 0, f"redis-server ended with {status}:\n"
                 + log.decode(errors="replace"))

    def __exit__(self, *why):
        self.context.__exit__(*why)


def digest(client):
    return client.call(b"DEBUG", b"DIGEST")


def expect_values(client, generation):
    """SET / GET right: every seventh key, generation(i) being its last."""
    wanted = range(0, NR_KEYS, 7)
    replies = client.pipeline([b"GET", key(i)] for i in wanted)
    for i, got in zip(wanted, replies):
        t.expect(got == value(i, generation(i)),
                 f"GET {key(i)} says {got}, set was {value(i)}")
    t.expect(client.call(b"GET", b"no such key") is None, "a key from nowhere")


def load(client):
    for reply in client.pipeline([b"SET", key(i), value(i)]
                                 for i in range(NR_KEYS)):
        t.expect(reply == b"OK", f"SET says {reply}")
    t.expect(client.call(b"DBSIZE") == NR_KEYS, "keys got lost")


def save_while_writing(client):
    """BGSAVE, with every hundredth key overwritten meanwhile."""
    t.expect(b"started" in client.call(b"BGSAVE"), "BGSAVE did not start")
    for reply in client.pipeline([b"SET", key(i), value(i, 1)]
                                 for i in range(0, NR_KEYS, 100)):
        t.expect(reply == b"OK", f"SET during BGSAVE says {reply}")
    t.expect(client.wait_for_save() == "ok", "BGSAVE failed")


def expect_huge(server, stats_dir):
    memory = t.Memory(server.process.pid)
    heap = int(server.client.info(b"memory")["used_memory"])
    t.expect_coverage("redis-server", memory, heap)
    server.stop()
    t.expect_reported("redis-server", t.report(stats_dir, server.process.pid),
                      memory)


def own_allocator(env):
    """With the library that leaves malloc to the program."""
    return dict(env, LD_PRELOAD=env["LD_PRELOAD"].replace(".so", "-mmap.so"))


def expect_loads(directory, name, env, wanted, huge=False):
    """A fresh server finds in the file what the first one had."""
    with Server(directory, name, env) as server:
        t.expect(server.client.call(b"DBSIZE") == NR_KEYS,
                 f"the {name} server loaded other keys")
        t.expect(digest(server.client) == wanted,
                 f"the {name} server loaded other data")
        expect_values(server.client, lambda i: 0)
        if huge:
            memory = server.client.info(b"memory")
            t.expect_coverage(name, t.Memory(server.process.pid),
                              int(memory["used_memory"]))
        server.stop()
        if huge:
            report = t.report(directory, server.process.pid)
            t.expect(report["coverage_at_peak"] is None, "a heap of ours")
            t.expect(report["mmap_coverage"] >= t.COVERAGE, str(report))


def main():
    with t.workdir() as directory:
        with t.pool(POOL_BYTES):
            shim = t.shim_env(directory)
            with Server(directory, "first", shim) as server:
                load(server.client)
                before = digest(server.client)
                save_while_writing(server.client)
                expect_values(server.client, lambda i: int(i % 100 == 0))
                expect_huge(server, directory)
            expect_loads(directory, "shim", shim, before)
            expect_loads(directory, "jemalloc", own_allocator(shim), before,
                         huge=True)
        expect_loads(directory, "bare", t.bare_env(), before)


REDIS = t.need_command("redis-server")
main()
