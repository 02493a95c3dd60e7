# SPDX-License-Identifier: LGPL-2.1-or-later
"""Redis GET and SET by redis-benchmark; the server's own CPU time."""

import csv
import os
import socket
import subprocess
import tempfile

CLIENTS = 20
PIPELINE = 16
VALUE_BYTES = 100


def ask(path, command):
    """The reply to one command that answers by a bulk string."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(command.encode() + b"\r\n")
        with connection.makefile("rb") as file:
            head = file.readline()
            size = int(head[1:])
            return file.read(size).decode()


def field(text, name):
    for line in text.splitlines():
        if line.startswith(name + ":"):
            return float(line.split(":")[1])
    raise KeyError(name)


def cpu_s(path):
    text = ask(path, "INFO cpu")
    return field(text, "used_cpu_sys") + field(text, "used_cpu_user")


def status_kib(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(name + ":"):
                return int(line.split()[1])
    return 0


def benchmark(path, test, nr_requests):
    out = subprocess.run(
        ["redis-benchmark", "-s", path, "-t", test, "-n", str(nr_requests),
         "-r", str(nr_requests // 2), "-d", str(VALUE_BYTES),
         "-c", str(CLIENTS), "-P", str(PIPELINE), "--csv"],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        encoding="ascii").stdout
    return nr_requests / float(list(csv.DictReader(out.splitlines()))[0]["rps"])


def run(allocator, scale):
    """[(metric, wall_s, cpu_s)], peak_kib"""
    nr_requests = max(1000, int(2000000 * scale))
    found = []
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "redis.sock")
        server = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", path,
             "--save", "", "--appendonly", "no", "--dir", directory],
            env=allocator.env(), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        try:
            for line in server.stdout:
                if b"Ready to accept" in line or b"is now ready" in line:
                    break
            for test in ("set", "get"):
                before = cpu_s(path)
                wall = benchmark(path, test, nr_requests)
                found.append(("redis-" + test, wall, cpu_s(path) - before))
            peak = (status_kib(server.pid, "VmHWM")
                    + status_kib(server.pid, "HugetlbPages"))
        finally:
            server.kill()
            server.wait()
            server.stdout.close()
    return found, peak
