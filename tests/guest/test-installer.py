#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian 12's installer from package debian-installer-12-netboot-amd64: the text one reaches its language
menu, the graphical one shows its list and answers keyboard and pointer, and an automatic one finds its
card and goes to a mirror on this computer."""

import os
import sys
import time

from guest import Failure, Guest, WebServer, run, wait_for

IMAGES = "/usr/lib/debian-installer/images/12/amd64"


def flags(kind, append, memory="1G"):
    folder = f"{IMAGES}/{kind}/debian-installer/amd64"
    return ("-m", memory, "-kernel", f"{folder}/linux", "-initrd", f"{folder}/initrd.gz",
            "-append", append)


def text_language_menu():
    with Guest(*flags("text", "console=ttyS0 TERM=dumb DEBIAN_FRONTEND=text")) as guest:
        guest.wait_serial("Choose the language", "Select a language", timeout=180)
        print(f"# language menu after {guest.seconds():.1f} s")


class Picture:
    """A screendump as rows of RGB triples."""

    def __init__(self, guest):
        path = os.path.join(guest.folder, "picture.ppm")
        guest.qmp("screendump", filename=path, format="ppm")
        with open(path, "rb") as file:
            magic, size, depth, self.pixels = file.read().split(b"\n", 3)
        assert magic == b"P6" and depth == b"255", "not a picture"
        self.width, self.height = map(int, size.split())

    def at(self, x, y):
        offset = (y * self.width + x) * 3
        return tuple(self.pixels[offset:offset + 3])

    def selected_row(self):
        """The middle of the highlighted (dark teal) row of the list, or None."""
        rows = [y for y in range(100, self.height - 60)
                if sum(self.at(x, y)[2] > self.at(x, y)[0] + 40
                       for x in range(400, self.width - 100, 50)) > 5]
        return rows[len(rows) // 2] if rows else None


def wait_row(guest, wanted, timeout):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        try:
            row = Picture(guest).selected_row()
        except Failure:
            row = None  # no picture yet
        if row is not None and wanted(row):
            return row
        time.sleep(0.5)
    raise Failure("the picture did not show the expected row highlighted")


def graphical_list():
    with Guest(*flags("gtk", "vga=788 quiet")) as guest:
        first = wait_row(guest, lambda row: True, 240)
        print(f"# graphical language list after {guest.seconds():.1f} s")
        for _ in range(10):  # until the list has been laid out and scrolled to its row
            time.sleep(2)
            before, first = first, wait_row(guest, lambda row: True, 20)
            if first == before:
                break
        guest.key("down")
        second = wait_row(guest, lambda row: row != first, 20)
        assert 15 < second - first < 60, "the key did not move the selection by a row"
        picture = Picture(guest)
        x, y = picture.width // 3, first - 2 * (second - first)
        guest.qmp("input-send-event", events=[
            {"type": "abs", "data": {"axis": "x", "value": x * 32767 // picture.width}},
            {"type": "abs", "data": {"axis": "y", "value": y * 32767 // picture.height}}])
        time.sleep(0.5)
        for down in (True, False):
            guest.qmp("input-send-event",
                      events=[{"type": "btn", "data": {"button": "left", "down": down}}])
            time.sleep(0.2)
        wait_row(guest, lambda row: abs(row - y) < 15, 20)


PRESEED = """d-i mirror/country string manual
d-i mirror/http/hostname string 10.0.2.2:{port}
d-i mirror/http/directory string /debian
d-i mirror/http/proxy string
"""


def mirror_on_this_computer():
    """Further it does not get: what the mirror would have to have, packages' mirrors lack."""
    def answer(path):
        return PRESEED.format(port=mirror.server_port).encode() if path == "/preseed.cfg" else None
    with WebServer(answer) as mirror, \
            Guest(*flags("text", "console=ttyS0 TERM=dumb DEBIAN_FRONTEND=text auto=true priority=critical "
                         "locale=en_US.UTF-8 keymap=us hostname=hive domain=test "
                         f"url=http://10.0.2.2:{mirror.server_port}/preseed.cfg"),
                  "-nic", "user,model=e1000") as guest:
        guest.wait_serial("Network Connection", timeout=180)
        print(f"# the card is found after {guest.seconds():.1f} s")
        guest.wait_serial("Configuring the network with DHCP", timeout=180)
        print(f"# DHCP after {guest.seconds():.1f} s")
        wait_for("a question to the mirror", lambda: any(
            path.startswith("/debian/dists/") for path in mirror.asked), 180)
        print(f"# the mirror is asked after {guest.seconds():.1f} s: {' '.join(mirror.asked)}")
        assert mirror.asked[0] == "/preseed.cfg"


if __name__ == "__main__":
    sys.exit(run([text_language_menu, graphical_list, mirror_on_this_computer]))
