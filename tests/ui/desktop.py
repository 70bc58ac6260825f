# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program owes its desktop: D-Bus activation, actions, files, options, notifications."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib
import pyatspi

from windows import application, click, find, wait_for, walk

APP = "io.github.apiary.Apiary"
APIARY = os.environ["APIARY"]
DATA = pathlib.Path(os.environ["XDG_DATA_HOME"])
NOTIFICATIONS = """<node><interface name="org.freedesktop.Notifications">
<method name="Notify"><arg type="s"/><arg type="u"/><arg type="s"/><arg type="s"/><arg type="s"/>
<arg type="as"/><arg type="a{sv}"/><arg type="i"/><arg type="u" direction="out"/></method>
<method name="CloseNotification"><arg type="u"/></method>
<method name="GetCapabilities"><arg type="as" direction="out"/></method>
<method name="GetServerInformation"><arg type="s" direction="out"/><arg type="s" direction="out"/>
<arg type="s" direction="out"/><arg type="s" direction="out"/></method></interface></node>"""


def fail(text):
    sys.exit(f"not as it should be: {text}")


def call(bus, method, parameters, name=APP, path="/io/github/apiary/Apiary",
         interface="org.freedesktop.Application"):
    return bus.call_sync(name, path, interface, method, parameters, None, 0, 20000, None)


def make_machine(name, extra=""):
    folder = DATA / "apiary" / name
    folder.mkdir(parents=True)
    (folder / "machine.conf").write_text(f"[Machine]\nName={name}\nMemory=32M\n{extra}")


def collect_notifications(bus):
    received = []

    def on_call(_bus, _sender, _path, _interface, method, parameters, invocation):
        answers = {"GetCapabilities": ("(as)", (["actions", "body"],)), "Notify": ("(u)", (1,)),
                   "GetServerInformation": ("(ssss)", ("test", "test", "1", "1.2")),
                   "CloseNotification": ("()", ())}
        if method == "Notify":
            received.append(parameters.unpack())
        invocation.return_value(GLib.Variant(*answers[method]))

    bus.register_object("/org/freedesktop/Notifications",
                        Gio.DBusNodeInfo.new_for_xml(NOTIFICATIONS).interfaces[0], on_call, None,
                        None)
    Gio.bus_own_name_on_connection(bus, "org.freedesktop.Notifications", 0, None, None)
    return received


def check_terminal():
    version = subprocess.check_output([APIARY, "--version"], text=True)
    if not version.startswith("Apiary 0."):
        fail(f"--version prints {version!r}")
    make_machine("Quiet")
    listed = subprocess.check_output([APIARY, "--list"], text=True)
    if listed != f"Quiet\t{DATA}/apiary/Quiet\n":
        fail(f"--list prints {listed!r}")
    bare = {key: value for key, value in os.environ.items() if "DISPLAY" not in key}
    wrong = subprocess.run([APIARY, "--start", "None", "--headless"], env=bare, text=True,
                           capture_output=True)
    if wrong.returncode != 1 or "There is no machine called “None”." not in wrong.stderr:
        fail(f"--headless with a name that is not there: {wrong}")
    headless = subprocess.Popen([APIARY, "--headless", "--start=Quiet"], env=bare)
    time.sleep(2)
    if headless.poll() is not None:
        fail(f"a headless machine ended with {headless.returncode}")
    headless.send_signal(signal.SIGTERM)
    if headless.wait(20):
        fail(f"a headless machine that is told to end gives {headless.returncode}")


def check_activation(bus):
    services = DATA / "dbus-1" / "services"
    services.mkdir(parents=True)
    (services / (APP + ".service")).write_text(
        f"[D-BUS Service]\nName={APP}\nExec={APIARY} --gapplication-service\n")
    call(bus, "ReloadConfig", None, "org.freedesktop.DBus", "/org/freedesktop/DBus",
         "org.freedesktop.DBus")
    call(bus, "ActivateAction", GLib.Variant("(sava{sv})", ("new", [], {})))
    find("Forward", pyatspi.ROLE_PUSH_BUTTON)
    click("Cancel", pyatspi.ROLE_PUSH_BUTTON)
    uri = pathlib.Path(os.environ["APIARY_DEMO_ISO"]).as_uri()
    call(bus, "Open", GLib.Variant("(asa{sv})", ([uri], {})))
    wait_for("the disc in the assistant", 20,
             lambda: any("demo.iso" in (node.name or "") for node in walk(application())))
    click("Cancel", pyatspi.ROLE_PUSH_BUTTON)
    call(bus, "Activate", GLib.Variant("(a{sv})", ({},)))
    find("Machines")


def check_notification(bus):
    received = collect_notifications(bus)
    make_machine("Broken", "\n[Drive ide0-hd0]\nType=disk\nFile=/does/not/exist.qcow2\n")
    # Without a window manager the window under the pointer is the active one.
    subprocess.run(["xdotool", "mousemove", "1279", "899"], check=True)
    program = subprocess.Popen([APIARY, "--start", "Broken"])
    context = GLib.MainContext.default()

    def probe():
        while context.iteration(False):
            pass
        return received

    wait_for("a notification that the machine failed", 20, probe)
    if received[0][3] != "Broken" or "error" not in received[0][4]:
        fail(f"the notification says {received[0]}")
    program.terminate()
    if program.wait(20):
        fail(f"exit status {program.returncode}")


def main():
    bus = Gio.bus_get_sync(Gio.BusType.SESSION)
    check_terminal()
    check_activation(bus)
    call(bus, "ActivateAction", GLib.Variant("(sava{sv})", ("quit", [], {})))
    wait_for("the program's end", 20, lambda: application() is None)
    check_notification(bus)
    print("ok: activated, opened, listed, notified")


main()
