# SPDX-License-Identifier: GPL-3.0-or-later
"""Screendumps as pixels, and how far two of them differ."""

import os
import re
import time

from guest import Failure


class Picture:
    """A PPM file (P6, 8 bits a sample)."""

    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", data)
        assert head, f"{path} is not a PPM file"
        self.width, self.height = int(head[1]), int(head[2])
        self.pixels = data[head.end():]
        assert len(self.pixels) == self.width * self.height * 3, f"{path} is cut short"

    def line(self, y):
        return self.pixels[y * self.width * 3:(y + 1) * self.width * 3]

    def colors(self):
        return {self.pixels[i:i + 3] for i in range(0, len(self.pixels), 3)}

    def differing(self, other, tolerance=0):
        """The (x, y) of pixels with a sample that differs by more than TOLERANCE."""
        assert (self.width, self.height) == (other.width, other.height), \
            f"{self.width}x{self.height} and {other.width}x{other.height}"
        found = []
        for y in range(self.height):
            ours, theirs = self.line(y), other.line(y)
            if ours != theirs:
                found += [(x, y) for x in range(self.width)
                          if any(abs(ours[x * 3 + i] - theirs[x * 3 + i]) > tolerance
                                 for i in range(3))]
        return found


def take(guest):
    """The guest's screen now."""
    path = os.path.join(guest.folder, "picture.ppm")
    end = time.monotonic() + 10
    while True:
        try:
            guest.qmp("screendump", filename=path)
            break
        except Failure as error: # the first one may be yet to come
            if "not shown a picture yet" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.05)
    for _ in range(100):
        try:
            return Picture(path)
        except (OSError, AssertionError):
            time.sleep(0.05)
    return Picture(path)


def settled(guest, quiet=1.5, timeout=30):
    """The screen once it has not changed for QUIET seconds; a blinking cursor of up to 200 pixels
    is no change."""
    last, since, end = take(guest), time.monotonic(), time.monotonic() + timeout
    while time.monotonic() - since < quiet and time.monotonic() < end:
        time.sleep(0.3)
        now = take(guest)
        if (now.width, now.height) != (last.width, last.height) or \
                len(now.differing(last)) > 200:
            since = time.monotonic()
        last = now
    return last
