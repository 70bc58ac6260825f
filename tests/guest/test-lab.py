#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines on a private network: two of ours, ours and QEMU's, by stream and by datagram; what a
capture of it holds; and what can be changed about networks while a machine runs."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile

from guest import Failure, Guest, run

FOLDER = os.environ.get("GUEST_FOLDER", "build/guests")
QEMU = "qemu-system-x86_64"
FIRST, SECOND = "10.77.0.1", "10.77.0.2"


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def linux(address, script, *flags, command=None):
    """Gives the card ADDRESS, runs SCRIPT."""
    line = f"ip address add {address}/24 dev eth0;{script}"
    return Guest("-m", "256M", "-kernel", f"{FOLDER}/vmlinuz-amd64", "-initrd",
                 f"{FOLDER}/initrd-amd64.gz", "-no-reboot", "-append",
                 "console=ttyS0 loglevel=4 apiary.run=" + line.replace(" ", "%20"), *flags,
                 command=command)


SERVER = ("mkdir /www;dd if=/dev/urandom of=/www/noise bs=1M count=2 2>/dev/null;"
          "echo sum=$(md5sum </www/noise);httpd -p 80 -h /www;echo serving$x-now;sleep 1000")
CLIENT = (f"until ping -c 1 -W 1 {FIRST} >/dev/null;do :;done;ping -c 5 -i 0.2 {FIRST};"
          f"ping -c 2 -s 8000 {FIRST} >/dev/null&&echo large$x-ping;"
          f"echo sum=$(wget -q -O - http://{FIRST}/noise|md5sum);echo end-of$x-test")


def meet(first, second):
    """Machine FIRST serves, SECOND visits it; what arrives is what was sent."""
    with first as server, second as client:
        server.wait_serial("serving-now", timeout=180)
        text = client.wait_serial("end-of-test", timeout=180)
        assert "5 packets received" in text and "large-ping" in text, text[-1000:]
        sums = re.findall(r"sum=([0-9a-f]{32})", server.serial() + text)
        assert len(sums) == 2 and sums[0] == sums[1], sums


def card(number, back_end):
    return ["-netdev", back_end + ",id=lab", "-device",
            f"e1000,netdev=lab,mac=52:54:00:77:00:0{number}"]


def two_machines():
    port = free_port()
    meet(linux(FIRST, SERVER, *card(1, f"socket,listen=127.0.0.1:{port}")),
         linux(SECOND, CLIENT, *card(2, f"socket,connect=127.0.0.1:{port}")))


def qemu_listens():
    port = free_port()
    meet(linux(FIRST, SERVER, *card(1, f"socket,listen=127.0.0.1:{port}"), command=QEMU),
         linux(SECOND, CLIENT, *card(2, "stream,addr.type=inet,addr.host=127.0.0.1,"
                                     f"addr.port={port}")))


def qemu_by_datagram():
    first, second = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
    meet(linux(FIRST, SERVER, *card(1, "dgram,local.type=inet,local.host=127.0.0.1,"
                                    f"local.port={first},remote.type=inet,remote.host=127.0.0.1,"
                                    f"remote.port={second}")),
         linux(SECOND, CLIENT, *card(2, f"socket,udp=127.0.0.1:{first},"
                                     f"localaddr=127.0.0.1:{second}"), command=QEMU))


def tshark(path, *flags):
    if not shutil.which("tshark"):
        return None
    return subprocess.run(["tshark", "-n", "-r", path, *flags], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=True, timeout=60).stdout


def capture():
    folder = tempfile.mkdtemp(prefix="apiary-capture-")
    whole, some, short = (os.path.join(folder, name) for name in ("whole", "some,1", "short"))
    script = ("echo start$x-now;until [ -n \"$go\" ];do ping -c 1 -W 1 10.0.2.2|grep -q '1 packets rec'"
              "&&n=$((n+1))&&echo pings=$n;sleep 0.2;done")
    try:
        with linux("10.0.2.99", script, "-nic", "user,id=home", "-object",
                   f"filter-dump,id=f0,netdev=home,file={whole}") as guest:
            guest.wait_serial("pings=1\n", timeout=120)
            guest.qmp("object-add", **{"qom-type": "filter-dump", "id": "f1", "netdev": "home",
                                       "file": some})
            guest.monitor(f"object_add filter-dump,id=f2,netdev=home,maxlen=40,file={short}")
            begin = int(guest.serial().rsplit("pings=", 1)[1].split()[0])
            guest.wait_serial(f"pings={begin + 5}\n", timeout=60)
            shown = guest.monitor("info network")
            assert "f1" in shown and some in shown, shown
            guest.qmp("object-del", id="f1")
            assert guest.monitor("object_del f2") == ""
            size = os.path.getsize(some)
            guest.wait_serial(f"pings={begin + 10}\n", timeout=60)
            assert os.path.getsize(some) == size, "a capture that was ended goes on"
            for wrong in ("f1", "f9"):
                assert wrong in guest.monitor(f"object_del {wrong}")
            answer = guest.monitor("object_add filter-dump,id=x,netdev=home,file=/absent/x")
            assert "/absent/x" in answer, answer
            assert "nowhere" in guest.monitor(
                "object_add filter-dump,id=x,netdev=nowhere,file=/tmp/x")
        pings = ["-Y", "icmp.type == 8 && ip.dst == 10.0.2.2", "-T", "fields", "-e",
                 "frame.cap_len", "-e", "icmp.seq"]
        for path, least in ((whole, begin + 10), (some, 4)):
            lines = tshark(path, *pings)
            if lines is None:
                print("# tshark is not installed")
                break
            assert len(lines.splitlines()) >= least, (path, lines)
        replies = tshark(whole, "-Y", "icmp.type == 0 && ip.src == 10.0.2.2")
        assert replies is None or len(replies.splitlines()) >= begin + 10, replies
        lengths = tshark(short, "-T", "fields", "-e", "frame.cap_len")
        assert lengths is None or set(lengths.split()) == {"40"}, lengths
    finally:
        shutil.rmtree(folder)


def at_run_time():
    """QMP's ways to what the window's Network page does."""
    first = free_port()
    with linux("10.0.2.99", "echo up$x-now;sleep 1000", "-netdev", "user,id=home,hostname=bee",
               "-device", "e1000,netdev=home,id=card") as guest:
        guest.wait_serial("up-now", timeout=120)

        def home():
            return guest.qmp("x-query-networks")[0]
        assert home()["card"]["mac"] == "52:54:00:12:34:56", home()
        assert home()["guest-address"] == "10.0.2.15", home()
        assert home()["link"] is True and home()["forwards"] == [], home()
        guest.monitor(f"hostfwd_add home tcp::{first}-:22")
        guest.monitor("hostfwd_add tcp::0-:80")
        guest.monitor("hostfwd_add udp:127.0.0.1:0-10.0.2.99:53")
        rules = home()["forwards"]
        assert [(r["protocol"], r["host"], r["guest"], r["guest-port"]) for r in rules] == [
            ("tcp", "127.0.0.1", "10.0.2.15", 22), ("tcp", "127.0.0.1", "10.0.2.15", 80),
            ("udp", "127.0.0.1", "10.0.2.99", 53)], rules
        assert rules[0]["host-port"] == first and rules[1]["host-port"] > 1023, rules
        socket.create_connection(("127.0.0.1", rules[1]["host-port"]), timeout=5).close()
        for rule in rules:
            host = f"{rule['protocol']}:{rule['host']}:{rule['host-port']}"
            assert "removed" in guest.monitor(f"hostfwd_remove {host}")
        assert home()["forwards"] == [], home()
        guest.qmp("set_link", name="card", up=False)
        assert home()["link"] is False, home()
        guest.qmp("set_link", name="home", up=True)
        assert home()["link"] is True, home()
        for command, arguments, word in (
                ("set_link", {"name": "nothing", "up": True}, "nothing"),
                ("object-add", {"qom-type": "filter-mirror", "id": "x"}, "filter-mirror"),
                ("object-add", {"qom-type": "filter-dump", "id": "x", "netdev": "home"}, "file")):
            try:
                guest.qmp(command, **arguments)
            except Failure as error:
                assert word in str(error), error
            else:
                raise Failure(f"{command} {arguments} was accepted")


def eight_cards():
    flags = []
    for number in range(8):
        flags += ["-nic", f"user,net=10.8.{number}.0/24"]
    with linux("10.9.9.9", "ip -4 address show|grep -c 'inet 10.8.';for n in 0 1 2 3 4 5 6 7;do "
               "ping -c 1 -W 3 10.8.$n.2 >/dev/null&&echo reached=$n;done;echo end-of$x-test",
               *flags) as guest:
        text = guest.wait_serial("end-of-test", timeout=180)
    for number in range(8):
        assert f"reached={number}" in text, text[-1000:]


if __name__ == "__main__":
    sys.exit(run([two_machines, qemu_listens, qemu_by_datagram, capture, at_run_time, eight_cards]))
