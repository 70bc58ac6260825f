#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remote access with the viewers people have: vncsnapshot, gvnccapture and TigerVNC's, which runs on
an X server of its own. The machine has no window: all is seen and done over VNC."""

import os
import shutil
import subprocess
import sys
import tempfile
import time

from guest import Failure, Guest, program, run, wait_for

FOLDER = os.environ.get("GUEST_FOLDER", "build/guests")
LINUX = ("-m", "256M", "-cdrom", f"{FOLDER}/demo.iso")
MODE = (1280, 800)  # what Linux' driver chooses
FIRST_DISPLAY = 3000 + os.getpid() % 2000 * 10


def display_of(guest):
    """What the guest's server listens on, as a viewer takes it."""
    return f"127.0.0.1:{int(guest.qmp('query-vnc')['service']) - 5900}"


def port_of(guest):
    """The same for TigerVNC, to which a display from 100 on is a port."""
    return f"127.0.0.1::{guest.qmp('query-vnc')['service']}"


def vnc_flags(options=""):
    return ("-vnc", f":{FIRST_DISPLAY},to={FIRST_DISPLAY + 9}{options}")


def command(*words, check=True, timeout=30):
    result = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, timeout=timeout)
    if check and result.returncode:
        raise Failure(f"{' '.join(words)}: {result.stdout[-1000:]}")
    return result


def difference(first, second, fuzz="8%"):
    """The number of pixels in which two pictures of one size differ."""
    result = command("compare", "-metric", "AE", "-fuzz", fuzz, first, second, "null:",
                     check=False)
    return float(result.stdout.split()[0])


class Desktop:
    """An X server with a TigerVNC viewer on it."""

    def __init__(self, folder, server, *flags):
        read, write = os.pipe()
        self.log = open(os.path.join(folder, f"viewer-{time.monotonic_ns()}"), "w+")
        self.x = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1200x24",
                                   "-nolisten", "tcp"], pass_fds=[write],
                                  stdout=self.log, stderr=self.log)
        os.close(write)
        with os.fdopen(read) as file:
            number = file.readline().strip()
        self.environment = dict(os.environ, DISPLAY=f":{number}", HOME=folder)
        self.viewer = subprocess.Popen(["xtigervncviewer", "-RemoteResize=0", *flags, server],
                                       env=self.environment, stdin=subprocess.DEVNULL,
                                       stdout=self.log, stderr=self.log)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        for process in (self.viewer, self.x):
            process.terminate()
            process.wait(10)
        if value is not None:
            self.log.seek(0)
            print("# --- viewer:\n# " + self.log.read()[-2000:].replace("\n", "\n# "))
        self.log.close()

    def run(self, *words, check=True, text=None):
        result = subprocess.run(words, env=self.environment, input=text, stdout=subprocess.PIPE,
                                text=True, timeout=30)
        if check and result.returncode:
            raise Failure(f"{words[0]} failed: {result.stdout}")
        return result.stdout

    def window(self):
        # The title is the machine's name and the program's.
        found = self.run("xdotool", "search", "--name", "TigerVNC", check=False).split()
        return found[-1] if found else None

    def size(self):
        window = self.window()
        if not window:
            return None
        text = self.run("xdotool", "getwindowgeometry", "--shell", window, check=False)
        values = dict(line.split("=") for line in text.split() if "=" in line)
        return int(values.get("WIDTH", 0)), int(values.get("HEIGHT", 0))

    def focus(self):
        window = self.window()
        self.run("xdotool", "mousemove", "--window", window, "300", "300")
        self.run("xdotool", "windowfocus", window)
        time.sleep(0.5)

    def type(self, text):
        self.run("xdotool", "type", "--delay", "60", text + "\n")

    def copy(self, text):
        """xclip stays in the background as the selection's owner; a pipe would be kept open."""
        subprocess.run(["xclip", "-selection", "clipboard"], env=self.environment, input=text,
                       text=True, stdout=subprocess.DEVNULL, stderr=self.log, timeout=10,
                       check=True)

    def clipboard(self):
        return subprocess.run(["xclip", "-o", "-selection", "clipboard"], env=self.environment,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              timeout=10).stdout


def pictures():
    """What two programs see is what the screen shows."""
    with Guest("-m", "64M", *vnc_flags()) as guest:
        guest.wait_screen("No bootable device", timeout=60)
        server = display_of(guest)
        files = {name: os.path.join(guest.folder, name)
                 for name in ("screen.png", "gvnc.png", "snapshot.jpg")}
        command("gvnccapture", server, files["gvnc.png"])
        command("vncsnapshot", "-quality", "95", server, files["snapshot.jpg"])
        guest.screenshot(files["screen.png"])
        # The cursor may blink: a character cell's pixels.
        assert difference(files["screen.png"], files["gvnc.png"]) <= 9 * 16
        assert difference(files["screen.png"], files["snapshot.jpg"], "40%") <= 9 * 16
        guest.qmp("query-status")  # collects what has happened
        names = [e["event"] for e in guest.events if e["event"].startswith("VNC_")]
        assert names[:2] == ["VNC_CONNECTED", "VNC_INITIALIZED"], names


def password():
    with Guest("-m", "64M", *vnc_flags(",password=on")) as guest:
        server = display_of(guest)
        assert guest.qmp("query-vnc")["auth"] == "vnc"
        picture = os.path.join(guest.folder, "picture.jpg")

        def gets_in(secret):
            file = os.path.join(guest.folder, "secret")
            with open(file, "wb") as out:
                subprocess.run(["tigervncpasswd", "-f"], input=(secret + "\n").encode(),
                               stdout=out, check=True, timeout=10)
            return command("vncsnapshot", "-passwd", file, server, picture,
                           check=False).returncode == 0

        assert not gets_in("geheimes"), "there is no password yet"
        guest.qmp("set_password", protocol="vnc", password="geheimes")
        assert gets_in("geheimes")
        assert not gets_in("falsches")
        guest.qmp("expire_password", protocol="vnc", time="now")
        assert not gets_in("geheimes")
        guest.qmp("expire_password", protocol="vnc", time="never")
        guest.qmp("change-vnc-password", password="anderes")
        assert gets_in("anderes")
        assert not guest.monitor("set_password vnc drittes")
        assert gets_in("drittes")
        assert "8" in guest.monitor("set_password vnc viel-zu-lang")
        for arguments in ({"password": "neunneunn"}, {"password": "x", "connected": "disconnect"}):
            try:
                guest.qmp("set_password", protocol="vnc", **arguments)
            except Failure:
                continue
            raise Failure(f"{arguments} was taken")


def on_and_off():
    """While the machine runs; what is in the way is named."""
    with Guest("-m", "64M") as guest:
        assert guest.qmp("query-vnc") == {"enabled": False, "clients": []}
        assert "disabled" in guest.monitor("info vnc")
        assert not guest.monitor(f"change vnc :{FIRST_DISPLAY},to={FIRST_DISPLAY + 9}")
        server, service = display_of(guest), guest.qmp("query-vnc")["service"]
        command("gvnccapture", server, os.path.join(guest.folder, "picture.png"))
        assert f"127.0.0.1:{service}" in guest.monitor("info vnc")
        taken = subprocess.run([*program(), "-display", "none", "-nic", "none", "-vnc", server],
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               timeout=60)
        assert taken.returncode == 1 and service in taken.stderr, taken.stderr
        refused = subprocess.run([*program(), "-display", "none", "-vnc", ":1,websocket=on"],
                                 stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                 timeout=60)
        assert refused.returncode == 1 and "websocket" in refused.stderr, refused.stderr
        assert not guest.monitor("change vnc none")
        assert not guest.qmp("query-vnc")["enabled"]


def in_use():
    """Linux by TigerVNC's viewer: the picture's size follows the guest, keys and pointer arrive."""
    with Guest(*LINUX, *vnc_flags()) as guest, \
            Desktop(guest.folder, port_of(guest)) as first:
        wait_for("the viewer", lambda: first.size(), 60)
        sizes = set()

        def is_large():
            sizes.add(first.size())
            return first.size() == MODE
        guest.wait_serial("~ #", "/ #", timeout=180)
        wait_for("the guest's mode", is_large, 60)
        print(f"# the viewer was {sorted(s for s in sizes if s)}")
        first.focus()
        first.type("echo 'Type_It; \"A\" | <b> & {c} ~ $((6*7)) %^@!?:' > /dev/ttyS0")
        guest.wait_serial("Type_It; \"A\" | <b> & {c} ~ $((6*7)) %^@!?:", timeout=20)

        # The demo machine's init leaves the USB tablet without its driver.
        first.type("modprobe hid-generic; sleep 2; for e in /dev/input/event*; do cat $e > /tmp/${e##*/} & done; "
                   "echo listening > /dev/ttyS0")
        guest.wait_serial("listening", timeout=60)
        window = first.window()
        for step in range(20):
            first.run("xdotool", "mousemove", "--window", window, str(100 + step * 30), "200")
            time.sleep(0.05)
        first.run("xdotool", "click", "1")
        first.focus()
        # struct input_event: 16 bytes of time, type 3 (absolute), code 0 (X), 4 bytes of value.
        first.type("cat /tmp/event* | hexdump -v -e '24/1 \"%02x\" \"\\n\"' | "
                   "grep '^.\\{32\\}03000000' | tail -1 | sed s/^/moved:/ > /dev/ttyS0")
        text = guest.wait_serial("moved:", timeout=60)
        time.sleep(1)
        event = bytes.fromhex(guest.serial().split("moved:")[-1].split()[0])
        x = int.from_bytes(event[20:24], "little")
        expected = 300 * 32767 / (MODE[0] - 1)
        print(f"# the pointer went to {x}, {expected:.0f} is right")
        assert abs(x - expected) <= 32767 / MODE[0], text


def two_viewers():
    """They see one screen; what is copied at one is on the other's clipboard."""
    with Guest("-m", "64M", *vnc_flags()) as guest, \
            Desktop(guest.folder, port_of(guest), "-Shared") as first, \
            Desktop(guest.folder, port_of(guest), "-Shared") as second:
        guest.wait_screen("No bootable device", timeout=60)
        for desktop in first, second:
            wait_for("the viewer", desktop.size, 60)
        assert len(guest.qmp("query-vnc")["clients"]) == 2
        for source, target, text in ((first, second, "words of the first: \u00e9, \u0436"),
                                     (second, first, "words of the second")):
            target.focus()
            source.copy(text)
            source.focus()
            wait_for("the clipboard", lambda: target.clipboard() == text, 20)


def unix_socket():
    folder = tempfile.mkdtemp(prefix="apiary-vnc-")
    path = os.path.join(folder, "vnc")
    try:
        with Guest("-m", "64M", "-vnc", f"unix:{path}") as guest, \
                Desktop(guest.folder, path) as desktop:
            wait_for("the viewer", lambda: desktop.size() == (720, 400), 60)
            assert guest.qmp("query-vnc")["family"] == "unix"
            assert len(guest.qmp("query-vnc")["clients"]) == 1
        assert not os.path.exists(path)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(run([pictures, password, on_and_off, unix_socket, two_viewers, in_use]))
