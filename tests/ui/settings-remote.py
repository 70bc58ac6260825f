# SPDX-License-Identifier: GPL-3.0-or-later
"""Remote access in the settings: the VNC server of a running machine goes on, is seen by viewers,
asks for a password, moves to another port, is opened to others and goes off, all at once."""

import os
import re
import socket
import stat
import subprocess
import sys

import pyatspi

from accessible import check_names
from settings_window import (
    Machine, Shell, choose, listens, named, press, run, set_number, texts, wait_for_text,
    wait_without_text,
)
from windows import click, find, wait_for

SWITCH = "VNC server: the machine’s screen and keyboard from elsewhere"
SECRET = "geheim 1"
SOCKET = os.path.join(os.environ["XDG_RUNTIME_DIR"], "vnc")


class Viewer:
    """A small RFB 3.8 client (RFC 6143, section 7.1)."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.name = f"127.0.0.1:{self.socket.getsockname()[1]}"
        if self.receive(12) != b"RFB 003.008\n":
            sys.exit("No RFB server answers.")
        self.socket.sendall(b"RFB 003.008\n")
        self.types = self.receive(self.receive(1)[0])

    def receive(self, length):
        data = b""
        while len(data) < length:
            part = self.socket.recv(length - len(data))
            if not part:
                sys.exit("The server hung up.")
            data += part
        return data

    def log_in(self):
        """Without a password: the size of the screen."""
        self.socket.sendall(b"\x01")
        if self.receive(4) != b"\0\0\0\0":
            sys.exit("The server lets nobody in.")
        self.socket.sendall(b"\x01")
        return self.receive(4)

    def is_open(self):
        self.socket.settimeout(1)
        try:
            return bool(self.socket.recv(1))
        except TimeoutError:
            return True

    def is_closed(self):
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass
        return True


def gets_in(port, secret):
    """A program that people have, with a password."""
    folder = os.environ["XDG_RUNTIME_DIR"]
    password, picture = os.path.join(folder, "password"), os.path.join(folder, "picture.jpg")
    with open(password, "wb") as file:
        subprocess.run(
            ["tigervncpasswd", "-f"], input=(secret + "\n").encode(), stdout=file, check=True
        )
    server = f"127.0.0.1:{port - 5900}"
    result = subprocess.run(
        ["vncsnapshot", "-passwd", password, server, picture],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return result.returncode == 0


def port_of_state():
    said = wait_for_text(r"^Listens on [\d.]+ port \d+ \(display :\d+\)$")
    port, display = map(int, re.search(r"port (\d+) \(display :(\d+)\)", said).groups())
    if port != display + 5900:
        sys.exit(f"Port and display do not go together: {said}")
    return port


def flick(label):
    named(label).queryAction().doAction(0)


def select(name, now):
    """An entry of the list of addresses, which is named by the one that is chosen NOW."""
    click(now, pyatspi.ROLE_COMBO_BOX)
    click(name, pyatspi.ROLE_MENU_ITEM)


def file_mode(machine):
    return stat.S_IMODE(os.stat(os.path.join(machine.folder, "machine.conf")).st_mode)


def test_socket(machine):
    """What was written into the machine's file by hand is shown, and can be left for a port."""
    wait_for_text(f"^Listens on {re.escape(SOCKET)}$")
    wait_for_text("Nobody gets in until there is a password")
    with socket.socket(socket.AF_UNIX) as viewer:
        viewer.connect(SOCKET)
        wait_for_text("^a program on this computer, logging in since ")
    find("Nobody")
    press("Ask viewers for a password")
    select("Only this computer", now=f"unix:{SOCKET}")
    port = port_of_state()
    wait_for("the server to listen", 10, lambda: listens(port))
    machine.wait_for_file(f"VNC=:{port - 5900},share=ignore\n")
    flick(SWITCH)
    find("Off")
    print("ok: a socket is shown, and left for a port")


def test_on(machine):
    # The first display is somebody else's.
    squatter = None if listens(5900) else socket.create_server(("127.0.0.1", 5900))
    find("Nobody")
    find("Off")
    flick(SWITCH)
    port = port_of_state()
    if port == 5900:
        sys.exit("A port that is busy was proposed.")
    wait_for("the server to listen", 10, lambda: listens(port))
    machine.wait_for_file(f"VNC=:{port - 5900},share=ignore\n")
    wait_for_text("Everyone who can run programs on this computer .* there is no password")
    wait_for_text(f"ssh -L {port}:127.0.0.1:{port} ")
    check_names("settings, Remote Access")
    if squatter:
        squatter.close()
    print("ok: the server goes on at a free port")
    return port


def test_viewers(port):
    viewer = Viewer(port)
    wait_for_text(f"^{viewer.name}, logging in since ")
    viewer.log_in()
    wait_for_text(rf"^{viewer.name}, since \d")
    other = Viewer(port)
    other.log_in()
    wait_for_text(f"^{other.name}, since ")
    check_names("settings, Remote Access with viewers")
    press(f"Disconnect {viewer.name}")
    wait_for("the viewer to be let go", 10, viewer.is_closed)
    wait_without_text(viewer.name)
    wait_for_text(f"^{other.name}, since ")
    other.socket.close()
    find("Nobody")
    print("ok: viewers are listed, and one is let go")


def test_password(machine, port):
    press("Ask viewers for a password")
    wait_for_text("Nobody gets in until there is a password")
    wait_without_text("Everyone who can run programs")
    wait_for("the offer of a password", 10, lambda: Viewer(port).types == b"\x02")
    if gets_in(port, ""):
        sys.exit("A viewer gets in while there is no password.")
    named("Password").queryEditableText().setTextContents(SECRET)
    wait_without_text("Nobody gets in until")
    machine.wait_for_file(f"VNCPassword={SECRET}\n")
    if file_mode(machine) != 0o600:
        sys.exit(f"Others can read the password: {file_mode(machine):o}")
    wait_for("the password to count", 10, lambda: gets_in(port, SECRET))
    if gets_in(port, "geheim 2"):
        sys.exit("A wrong password opens.")
    # Another password leaves those alone who are connected.
    viewer = Viewer(port)
    wait_for_text(f"^{viewer.name}, logging in since ")
    named("Password").queryEditableText().setTextContents("zweites")
    wait_for("the second password to count", 10, lambda: gets_in(port, "zweites"))
    if gets_in(port, SECRET):
        sys.exit("The old password still opens.")
    wait_for_text(f"^{viewer.name}, logging in since ")
    if not viewer.is_open():
        sys.exit("A new password threw a viewer out.")
    viewer.socket.close()
    shown = named("Password").queryText()
    if "zweites" in shown.getText(0, shown.characterCount):
        sys.exit("The password can be read off the screen.")
    press("Show Password")
    if shown.getText(0, shown.characterCount) != "zweites":
        sys.exit("The password cannot be shown.")
    named("Password").queryEditableText().setTextContents("äöüäöüäö")
    wait_for_text("Longer than the 8 bytes that count")
    machine.wait_for_file("VNCPassword=zweites\n")
    print("ok: a password is asked for, kept in a private file, and changed")


def test_port(machine, port):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        taken = busy.getsockname()[1]
        set_number("Port", taken)
        wait_for_text(f"VNC cannot listen on 127.0.0.1 port {taken}")
        wait_for_text(f"After power-off: off → 127.0.0.1 port {taken}")
        if listens(port):
            sys.exit("The server is still at its old place.")
        press("Take a Free Port")
        other = port_of_state()
        wait_without_text("cannot listen")
        wait_without_text("After power-off")
        wait_for("the password at the new port", 10, lambda: gets_in(other, "zweites"))
    machine.wait_for_file(f"VNC=:{other - 5900},password=on,share=ignore\n")
    print("ok: a busy port is told of, and left for a free one")
    return other


def test_address(machine, port):
    select("All networks of this computer", now="Only this computer")
    wait_for_text("Open to others: only the password keeps them out")
    wait_for_text(rf"^Listens on 0\.0\.0\.0 port {port} ")
    machine.wait_for_file(f"VNC=0.0.0.0:{port - 5900},password=on,share=ignore\n")
    press("Ask viewers for a password")
    wait_for_text("Open to others: whoever reaches .* There is no password")
    wait_for("no password", 10, lambda: Viewer(port).types == b"\x01")
    select("Only this computer", now="All networks of this computer")
    wait_for_text(rf"^Listens on 127\.0\.0\.1 port {port} ")
    wait_without_text("Open to others")
    print("ok: opened to others, with a warning, and closed again")


def test_next_run(machine, port, shell):
    viewer = Viewer(port)
    viewer.log_in()
    shell.socket.sendall(b"poweroff\n")
    wait_for_text("Off: the guest powered off", 60)
    wait_for_text(rf"^Listens on 127\.0\.0\.1 port {port} .* when the machine starts$")
    find("Nobody")
    subprocess.run([os.environ["APIARY"], "--start", machine.name], check=True)
    wait_for_text(rf"^Listens on 127\.0\.0\.1 port {port} \(display :\d+\)$")
    wait_for("the server of the next run", 10, lambda: listens(port))
    flick(SWITCH)
    find("Off")
    wait_for("the port to close", 10, lambda: not listens(port))
    machine.wait_for_file("VNC=", there=False)
    if any("After power-off" in text for text in texts()):
        sys.exit("Something is left for after power-off.")
    print("ok: the next run has it too, until it is turned off")


def test(machine):
    choose("Remote Access")
    shell = Shell(machine.serial)
    test_socket(machine)
    port = test_on(machine)
    test_viewers(port)
    test_password(machine, port)
    port = test_port(machine, port)
    test_address(machine, port)
    test_next_run(machine, port, shell)


run(Machine("Remote test", f"VNC=unix:{SOCKET},password=on,share=ignore\n"), test)
