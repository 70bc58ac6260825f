#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""`./dev run` without a display: the guest's console in the terminal and a screenshot file."""

import os
import pty
import select
import subprocess
import sys
import tempfile
import time

import pictures
from guest import Failure, run

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
SHELL = "This is a shell. Type poweroff to end."


def command(screenshot):
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return {"args": [os.path.join(ROOT, "dev"), "run", screenshot], "env": environment}


def check_screenshot(path):
    """The framebuffer console with the welcome: bright letters on black."""
    ppm = path + ".ppm"
    subprocess.run(["convert", path, ppm], check=True)
    picture = pictures.Picture(ppm)
    assert picture.width >= 1024 and picture.height >= 768, (picture.width, picture.height)
    lit = sum(1 for i in range(0, len(picture.pixels), 3) if picture.pixels[i] > 100)
    share = lit / (picture.width * picture.height)
    print(f"# {picture.width}x{picture.height}, {share:.1%} of the pixels lit")
    assert 0.002 < share < 0.3, "the picture shows no text"


def without_a_terminal():
    with tempfile.TemporaryDirectory() as folder:
        screenshot = os.path.join(folder, "screen.png")
        begin = time.monotonic()
        result = subprocess.run(**command(screenshot), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                errors="replace", timeout=300)
        print(f"# over after {time.monotonic() - begin:.0f} s")
        assert result.returncode == 0, f"exit status {result.returncode}: {result.stdout[-1000:]}"
        for words in ("Welcome to the Apiary demo machine", "Clock    tsc", SHELL,
                      f"its screen is in {screenshot}"):
            assert words in result.stdout, f"the terminal does not show “{words}”"
        check_screenshot(screenshot)


def on_a_terminal():
    """The console takes what is typed, until the guest powers off."""
    with tempfile.TemporaryDirectory() as folder:
        screenshot = os.path.join(folder, "screen.png")
        ours, theirs = pty.openpty()
        process = subprocess.Popen(**command(screenshot), stdin=theirs, stdout=theirs,
                                   stderr=theirs, start_new_session=True)
        os.close(theirs)
        text = ""

        def wait_for(words, seconds):
            nonlocal text
            end = time.monotonic() + seconds
            while words not in text:
                if time.monotonic() > end:
                    raise Failure(f"no “{words}” in {seconds} s: {text[-1000:]}")
                if select.select([ours], [], [], 0.5)[0]:
                    try:
                        text += os.read(ours, 4096).decode(errors="replace")
                    except OSError:
                        break
            return text

        try:
            wait_for(SHELL, 240)
            time.sleep(4)
            os.write(ours, b"echo typed: $((6 * 7))\r")
            wait_for("typed: 42", 30)
            os.write(ours, b"poweroff\r")
            wait_for("its screen is in", 60)
            assert process.wait(20) == 0, f"exit status {process.returncode}"
            check_screenshot(screenshot)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(20)
            os.close(ours)


if __name__ == "__main__":
    sys.exit(run([without_a_terminal, on_a_terminal]))
