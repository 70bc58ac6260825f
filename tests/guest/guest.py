# SPDX-License-Identifier: GPL-3.0-or-later
"""Drives one machine for a test: starts the program with QEMU's flags, types on its keyboard, reads its
serial line, its text screen and its picture. Works with qemu-system-x86_64 as well, which is how
a test itself is tested (GUEST_PROGRAM=qemu-system-x86_64)."""

import http.server
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

KEYS = {" ": "spc", "\n": "ret", "-": "minus", "=": "equal", "/": "slash", ".": "dot",
        ",": "comma", ";": "semicolon", "'": "apostrophe", "\\": "backslash", "\t": "tab",
        "[": "bracket_left", "]": "bracket_right", "`": "grave_accent"}
SHIFTED = {"_": "-", "+": "=", "?": "/", ">": ".", "<": ",", ":": ";", '"': "'", "|": "\\",
           "(": "9", ")": "0", "*": "8", "&": "7", "^": "6", "%": "5", "$": "4", "#": "3",
           "@": "2", "!": "1", "~": "`", "{": "[", "}": "]"}


# What a guest's kernel says when something went wrong in it or in a program, and when it took too long.
FAULTS = (r"Oops|BUG:|WARNING:|Call Trace|Kernel panic|general protection|segfault|traps:|invalid opcode|"
          r"unable to handle|Bad page|Freezing execution")
DELAYS = r"soft lockup|hung_task|blocked for more than|rcu.*(stall|detected)"


class Failure(Exception):
    pass


def program():
    """The command that takes QEMU's flags."""
    text = os.environ.get("GUEST_PROGRAM")
    if text:
        return shlex.split(text)
    return [os.environ.get("APIARY", "build/app/apiary"), "run"]


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def processor_seconds(pid):
    """What a process has had of the host's processors so far."""
    with open(f"/proc/{pid}/stat") as file:
        words = file.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def waiting_seconds(pid):
    """How long a process' threads have waited for one of the host's processors, together."""
    nanoseconds = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            nanoseconds += int(file.read().split()[1])
    return nanoseconds / 1e9


def wait_for(what, test, timeout=30):
    """Until TEST() is true; WHAT names that for people."""
    end = time.monotonic() + timeout
    while not test():
        if time.monotonic() > end:
            raise Failure(f"{what} did not come about in {timeout} s")
        time.sleep(0.2)


class WebServer(http.server.ThreadingHTTPServer):
    """Serves what ANSWER(path) gives, bytes or None, on a port of the loopback while it is entered;
    keeps the paths that were ASKED for and what was POSTED."""

    def __init__(self, answer):
        asked, posted = self.asked, self.posted = [], []

        class Handler(http.server.BaseHTTPRequestHandler):
            def reply(self, data):
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def do_GET(self):
                asked.append(self.path)
                self.reply(answer(self.path))

            def do_POST(self):
                posted.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.reply(b"")

            def log_message(self, *arguments):
                pass
        super().__init__(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.shutdown()
        self.server_close()


class Guest:
    def __init__(self, *flags, serial=True, display="none", command=None, serial_input=False):
        """COMMAND is another program that takes QEMU's flags, as one string. With SERIAL_INPUT the
        serial line can be written to as well."""
        self.folder = tempfile.mkdtemp(prefix="apiary-guest-")
        self.serial_path = os.path.join(self.folder, "serial")
        qmp_path = os.path.join(self.folder, "qmp")
        command = (shlex.split(command) if command else program()) + [
            *flags, "-display", display, "-qmp", f"unix:{qmp_path},server=on,wait=off"]
        listener = self._listen_serial(command) if serial_input else None
        if serial and not serial_input:
            command += ["-serial", f"file:{self.serial_path}"]
        if "qemu" in command[0] and not {"-nic", "-netdev"} & set(flags):
            command += ["-nic", "none"]
        self.log = open(os.path.join(self.folder, "log"), "w+")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=subprocess.STDOUT)
        self.started = time.monotonic()
        self.events = []
        self.serial_socket = self._accept_serial(listener) if listener else None
        self.qmp_socket = self._connect(qmp_path)
        # To be read only: a text file that is written, too, forgets lines that it has read ahead.
        self.qmp_file = self.qmp_socket.makefile("r")
        self.greeting = json.loads(self.qmp_file.readline())
        self.qmp("qmp_capabilities")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if value is not None:
            self._explain()
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _connect(self, path):
        for _ in range(200):
            if self.process.poll() is not None:
                break
            try:
                connection = socket.socket(socket.AF_UNIX)
                connection.connect(path)
                return connection
            except OSError:
                time.sleep(0.05)
        raise Failure("the program did not open its QMP socket: " + self.output())

    def _listen_serial(self, command):
        path = os.path.join(self.folder, "serial-socket")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(1)
        listener.settimeout(10)
        command += ["-serial", f"unix:{path}"]
        return listener

    def _accept_serial(self, listener):
        """What the guest sends goes to the file that serial() reads."""
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            raise Failure("the program did not connect its serial line: " + self.output())
        finally:
            listener.close()
        connection.settimeout(None)

        def copy():
            with open(self.serial_path, "wb", buffering=0) as file:
                try:
                    while data := connection.recv(65536):
                        file.write(data)
                except OSError:
                    pass
        self.serial_copier = threading.Thread(target=copy, daemon=True)
        self.serial_copier.start()
        return connection

    def send_serial(self, text):
        self.serial_socket.sendall(text.encode())

    def _explain(self):
        def show(title, text):
            print(f"# --- {title}:\n# " + text.replace("\n", "\n# "))
        show("program", self.output()[-2000:])
        show("serial", self.serial()[-3000:])
        if self.process.poll() is None:
            try:
                show("screen", self.screen())
                show("cpu", self.monitor("info registers"))
                keep = os.environ.get("GUEST_SCREENSHOTS")
                if keep:
                    self.screenshot(os.path.join(keep, f"failed-{os.getpid()}.png"))
            except (Failure, OSError, ValueError, KeyError) as error:
                print("#", error)

    def output(self):
        self.log.flush()
        with open(self.log.name) as file:
            return file.read()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    # --- control ---

    def qmp(self, command, **arguments):
        line = json.dumps({"execute": command, "arguments": arguments}) + "\n"
        self.qmp_socket.sendall(line.encode())
        while True:
            line = self.qmp_file.readline()
            if not line:
                raise Failure("the program closed its QMP socket: " + self.output())
            answer = json.loads(line)
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise Failure(f"{command}: {answer['error']['desc']}")
            elif "return" in answer:
                return answer["return"]

    def monitor(self, line):
        return self.qmp("human-monitor-command", **{"command-line": line})

    def wait_exit(self, timeout):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"still running after {timeout} s")

    def seconds(self):
        return time.monotonic() - self.started

    # --- keyboard ---

    def key(self, *names):
        self.qmp("send-key", keys=[{"type": "qcode", "data": name} for name in names],
                 **{"hold-time": 20})
        time.sleep(0.03)

    def type(self, text):
        for character in text:
            if character in SHIFTED or character.isupper():
                character = SHIFTED.get(character, character.lower())
                self.key("shift", KEYS.get(character, character))
            else:
                self.key(KEYS.get(character, character))

    # --- reading ---

    def serial(self):
        try:
            with open(self.serial_path, "rb") as file:
                return file.read().decode("utf-8", "replace").replace("\r", "")
        except FileNotFoundError:
            return ""

    def memory(self, address, length):
        path = os.path.join(self.folder, "memory")
        self.qmp("pmemsave", val=address, size=length, filename=path)
        for _ in range(100):
            if os.path.exists(path) and os.path.getsize(path) == length:
                break
            time.sleep(0.01)
        with open(path, "rb") as file:
            data = file.read()
        os.unlink(path)
        return data

    def screen(self, columns=80, rows=25):
        """The characters at B8000, one line a row."""
        data = self.memory(0xb8000, columns * rows * 2)[::2]
        text = data.decode("cp437").replace("\0", " ")
        return "\n".join(text[i:i + columns].rstrip() for i in range(0, len(text), columns))

    def screenshot(self, path):
        self.qmp("screendump", filename=path, format="png")

    def _wait(self, what, read, needles, timeout, poll):
        end = time.monotonic() + timeout
        while True:
            text = read()
            if any(needle in text for needle in needles):
                return text
            if self.process.poll() is not None:
                text = self.serial()
                if any(needle in text for needle in needles):
                    return text
                raise Failure(f"the program ended (status {self.process.returncode}) before "
                              f"{what} showed {needles}")
            if time.monotonic() > end:
                raise Failure(f"{what} did not show {needles} in {timeout} s")
            time.sleep(poll)

    def wait_serial(self, *needles, timeout=60):
        return self._wait("the serial line", self.serial, needles, timeout, 0.1)

    def wait_screen(self, *needles, timeout=60, poll=0.2):
        return self._wait("the screen", self.screen, needles, timeout, poll)


def run(tests):
    """Runs functions as TAP, all or those named as arguments."""
    chosen = [t for t in tests if len(sys.argv) < 2 or t.__name__ in sys.argv[1:]]
    print(f"1..{len(chosen)}")
    failed = 0
    for number, test in enumerate(chosen, 1):
        begin = time.monotonic()
        try:
            test()
            result = "ok"
        except (Failure, AssertionError, OSError, subprocess.SubprocessError) as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(f"# {os.path.basename(where.filename)}:{where.lineno}: {where.line}")
            print("#", str(error).replace("\n", "\n# "))
            result = "not ok"
            failed += 1
        print(f"{result} {number} - {test.__name__} # {time.monotonic() - begin:.1f} s",
              flush=True)
    return failed
