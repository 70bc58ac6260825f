# SPDX-License-Identifier: GPL-3.0-or-later
"""Loops that PyPy traces, with guards that fail now and then."""


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def moved(self, by):
        return Point(self.x + by, self.y ^ by)


def mixed(n):
    total = 0
    for i in range(n):
        value = i if i % 97 else float(i) if i % 3 else str(i)
        total += value if isinstance(value, int) else len(repr(value))
    return total


point = Point(1, 2)
for step in range(2000000):
    point = point.moved(step & 0xff)
words = {}
state = 42
for _ in range(300000):
    state = (state * 1103515245 + 12345) & 0x7fffffff
    words["w%d" % (state >> 8 & 4095)] = words.get("w%d" % (state >> 8 & 4095), 0) + 1
print(point.x, point.y, mixed(2000000), sorted(words.items(), key=lambda item: (-item[1], item[0]))[:5],
      sum(x * 0.1 for x in range(1000000)), pow(3, 20001, 10**40 + 1))
