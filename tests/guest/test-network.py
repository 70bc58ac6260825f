#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The e1000 on the user-mode network: Linux gets an address, reaches the host and is reached through
forwards that come and go while it runs; what is closed stays closed; network boot by iPXE."""

import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request

from guest import Failure, Guest, WebServer, free_port, program, run, wait_for

FOLDER = os.environ.get("GUEST_FOLDER", "build/guests")
NETBOOT = "/usr/lib/debian-installer/images/12/amd64/text"
SIZE = 16 << 20


def linux(command, *flags):
    """Runs COMMAND as the first process' only work."""
    return Guest("-m", "256M", "-kernel", f"{FOLDER}/vmlinuz-amd64", "-initrd",
                 f"{FOLDER}/initrd-amd64.gz", "-no-reboot", "-append",
                 "console=ttyS0 loglevel=4 apiary.run=" + command.replace(" ", "%20"), *flags)


def fetch(port, path="/", timeout=10):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout) as answer:
        return answer.read()


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=3).close()
    except ConnectionRefusedError:
        return True
    return False


def answers_nothing(port):
    """Nobody answers through PORT: no connection, or one that ends without a byte."""
    try:
        fetch(port, timeout=5)
    except OSError:
        return True
    return False


def address_and_download():
    data = os.urandom(SIZE)
    with WebServer(lambda path: data) as server:
        command = ("ip -4 address show eth0;ip route;cat /etc/resolv.conf;"
                   "ping -c 3 10.0.2.2;ping -c 1 -s 5000 10.0.2.2 >/dev/null&&echo large$x-ping;"
                   f"wget -q -O - http://10.0.2.2:{server.server_port}/|md5sum;"
                   "cat /sys/class/net/eth0/statistics/rx_errors;echo end-of$x-test")
        with linux(command) as guest:
            text = guest.wait_serial("end-of-test", timeout=120)
    for words in ("inet 10.0.2.15/24", "default via 10.0.2.2", "nameserver 10.0.2.3",
                  "3 packets received", "large-ping", hashlib.md5(data).hexdigest(),
                  "\n0\nend-of-test"):
        assert words in text, f"{words!r} was not shown"


def upload():
    came = hashlib.md5()
    count = 0
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(120)
        port = server.getsockname()[1]
        command = (f"dd if=/dev/urandom of=/tmp/noise bs=1M count={SIZE >> 20} 2>/dev/null;"
                   f"nc 10.0.2.2 {port} </tmp/noise;md5sum </tmp/noise;echo end-of$x-test")
        with linux(command) as guest:
            connection, _ = server.accept()
            connection.settimeout(60)
            while count < SIZE:
                piece = connection.recv(1 << 20)
                if not piece:
                    break
                came.update(piece)
                count += len(piece)
            connection.close()
            text = guest.wait_serial("end-of-test", timeout=60)
    assert count == SIZE, f"{count} of {SIZE} bytes arrived"
    assert came.hexdigest() in text, "what arrived is not what was sent"


SERVER = ("mkdir /www;echo served-by-$(hostname) >/www/index.html;"
          "dd if=/dev/urandom of=/www/noise bs=1M count=4 2>/dev/null;md5sum </www/noise;"
          "httpd -p 80 -h /www;"
          "echo serving$x-now;")


def forwards():
    first, second, third = free_port(), free_port(), free_port(socket.SOCK_DGRAM)
    # Busybox has no UDP server; datagrams to a port where nobody listens are counted.
    count = "echo stray=$(awk '/^Udp:/ {n=$3} END {print n}' /proc/net/snmp);sleep 0.5"
    with linux(SERVER + f"while :;do {count};done", "-nic",
               f"user,id=home,hostname=bee,hostfwd=tcp::{first}-:80") as guest:
        text = guest.wait_serial("serving-now", timeout=120)
        assert fetch(first) == b"served-by-bee\n"
        noise = fetch(first, "/noise", 60)
        assert hashlib.md5(noise).hexdigest() in text
        for _ in range(50):
            fetch(first)
        pool = [threading.Thread(target=fetch, args=(first,)) for _ in range(20)]
        for thread in pool:
            thread.start()
        for thread in pool:
            thread.join()

        assert refused(second)
        assert guest.monitor(f"hostfwd_add tcp::{second}-:80") == ""
        assert guest.monitor(f"hostfwd_add home udp::{third}-:5353") == ""
        assert fetch(second) == b"served-by-bee\n"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            for _ in range(7):
                probe.sendto(b"hello", ("127.0.0.1", third))
        guest.wait_serial("stray=7", timeout=10)
        shown = guest.monitor("info usernet")
        assert str(first) in shown and str(second) in shown, shown
        shown = guest.monitor("info network")
        assert re.search(r"model=e1000,macaddr=52:54:00:12:34:56\r?\n \\ home: index=0,type=user",
                         shown), shown
        answer = guest.monitor(f"hostfwd_add tcp::{first}-:80")
        assert str(first) in answer and "in use" in answer, answer
        assert "removed" in guest.monitor(f"hostfwd_remove tcp::{second}")
        assert refused(second)
        assert f"{second}" in guest.monitor(f"hostfwd_remove tcp::{second}")
        assert fetch(first) == b"served-by-bee\n"
    assert refused(first), "the forward outlived its machine"


def busy_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = subprocess.run(program() + ["-display", "none", "-nic",
                                             f"user,hostfwd=tcp::{port}-:22"],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                timeout=20)
    assert result.returncode == 1, result
    assert str(port) in result.stdout and "in use" in result.stdout, result.stdout


def restrict():
    port = free_port()
    with WebServer(lambda path: b"secret") as server:
        outside = server.server_port
        command = (SERVER + f"wget -T 5 -q -O - http://10.0.2.2:{outside}/||echo no$x-way;"
                   f"nc -w 5 10.0.2.2 {outside} </dev/null;ping -c 1 -W 3 10.0.2.2;"
                   "echo tried$x-all;sleep 1000")
        with linux(command, "-nic", f"user,restrict=on,hostfwd=tcp::{port}-:80") as guest:
            text = guest.wait_serial("tried-all", timeout=120)
            assert "no-way" in text and "secret" not in text, text[-500:]
            assert fetch(port).startswith(b"served-by-")


def link():
    port = free_port()
    command = (SERVER + "while :;do echo carrier=$(cat /sys/class/net/eth0/carrier)"
               "-$((n=n+1));sleep 0.3;done")
    with linux(command, "-netdev", f"user,id=lan,hostfwd=tcp::{port}-:80", "-device",
               "e1000,netdev=lan,id=card,mac=52:54:00:aa:bb:cc") as guest:
        guest.wait_serial("carrier=1", timeout=120)
        assert fetch(port)
        guest.monitor("set_link card off")
        guest.wait_serial("carrier=0", timeout=20)
        assert answers_nothing(port)
        assert "link=off" in guest.monitor("info network")
        guest.monitor("set_link lan on")
        wait_for("the link", lambda: "carrier=1" in guest.serial().rsplit("carrier=0", 1)[1], 20)
        assert fetch(port, timeout=20)
        assert "no network" in guest.monitor("set_link nothing on").lower()


def two_cards():
    with linux("ip link;udhcpc -q -n -i eth1;ip -4 a;ping -c 1 -I eth1 10.9.0.2;echo end-of$x-test",
               "-nic", "user", "-nic", "user,net=10.9.0.0/24,dhcpstart=10.9.0.77") as guest:
        text = guest.wait_serial("end-of-test", timeout=120)
    for words in ("52:54:00:12:34:56", "52:54:00:12:34:57", "10.0.2.15", "10.9.0.77",
                  "1 packets received"):
        assert words in text, f"{words!r} was not shown"


def wait_size(guest, wanted, timeout):
    """Waits for a picture of that size."""
    end = time.monotonic() + timeout
    path = os.path.join(guest.folder, "picture.png")
    while True:
        guest.screenshot(path)
        with open(path, "rb") as file:
            header = file.read(24)
        size = int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")
        if size == wanted:
            return
        if time.monotonic() > end:
            raise Failure(f"the screen is {size}, not {wanted}")
        time.sleep(0.5)


def network_boot():
    with Guest("-m", "256M", "-boot", "n", "-nic",
               f"user,tftp={NETBOOT},bootfile=pxelinux.0") as guest:
        guest.wait_screen("iPXE", timeout=60)
        print(f"# iPXE after {guest.seconds():.1f} s")
        guest.wait_screen("10.0.2.15", timeout=60, poll=0.01)  # a tenth of a second, then the menu
        wait_size(guest, (640, 480), 90)
        print(f"# PXELINUX' menu after {guest.seconds():.1f} s")
        time.sleep(2)
        guest.key("ret")
        wait_size(guest, (800, 600), 180) # vga=788
        print(f"# the installer's kernel after {guest.seconds():.1f} s")


if __name__ == "__main__":
    sys.exit(run([address_and_download, upload, forwards, busy_port_is_named, restrict, link,
                  two_cards, network_boot]))
