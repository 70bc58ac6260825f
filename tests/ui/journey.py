# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's journey through the window: the wizard makes a machine of 2 CPUs and 2 GB with two forwarded
ports, its console shows how it goes, ssh and http reach it, the Shut Down button ends it, and its disk
is clean. The short form starts a disk that is made already; with the argument "whole" Debian is
installed from its CD on a new disk, and the machine restarts itself from that."""

import os
import subprocess
import sys
import time

import pyatspi

sys.path.insert(1, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "guest"))

import journey_steps as steps
from accessible import check_names, finish, serial_text
from guest import free_port
from settings_window import named, set_number
from windows import application, click, find, keys, typed, wait_for, walk

NAME = "Journey"
FOLDER = os.path.join(os.environ["XDG_DATA_HOME"], "apiary", NAME)
MANAGER = "Apiary"


def forward():
    time.sleep(0.7)  # the page slides in
    button = find("Forward", pyatspi.ROLE_PUSH_BUTTON)
    wait_for("the page to be right", 30,
             lambda: button.getState().contains(pyatspi.STATE_SENSITIVE))
    button.queryAction().doAction(0)


def choose_file(title, path):
    """In the file chooser, the path typed into its location line. The chooser runs while the button's
    action does, which for one called through AT-SPI would be no end: so by the keyboard."""
    find("Choose a File…", pyatspi.ROLE_PUSH_BUTTON)
    time.sleep(0.7)
    keys("New Machine", "alt+c")
    find("Open", pyatspi.ROLE_PUSH_BUTTON)
    keys(title, "ctrl+l")
    typed(title, path)
    keys(title, "Return")
    base = os.path.basename(path)
    wait_for(f"{base} to be looked at", 30,
             lambda: any(base in node.name for node in walk(application())))


def add_forward(host_port, guest_port):
    set_number("Guest port", guest_port)
    set_number("Host port", host_port)
    click("Add Forward", pyatspi.ROLE_PUSH_BUTTON)
    find(f"Test: TCP 127.0.0.1:{host_port} → 10.0.2.15:{guest_port}")


def make_machine(source, title, path, ports, new_disk):
    """Through the wizard's pages, with everything that the journey orders."""
    click("New machine from an ISO")
    click(source, pyatspi.ROLE_RADIO_BUTTON)
    forward()
    choose_file(title, path)
    forward()
    set_number("Memory (MiB)", 2048)
    set_number("CPUs", 2)
    forward()
    if new_disk:
        set_number("Size (GiB)", 10)
        forward()
    for port, guest_port in zip(ports, (22, 80)):
        add_forward(port, guest_port)
    check_names("the wizard's network page with forwards")
    forward()
    name = named("Name").queryEditableText()
    name.setTextContents(NAME)
    time.sleep(0.7)
    click("Create and Start", pyatspi.ROLE_PUSH_BUTTON)
    find(f"Screen of {NAME}")


def state():
    """As the manager's list has it."""
    names = [node.name for node in walk(application()) if node.getRole() == pyatspi.ROLE_LIST_ITEM]
    return next((name for name in names if name.startswith(f"{NAME}, ")), "")


def screen_text():
    """Of a text mode."""
    return find(f"Screen of {NAME}", pyatspi.ROLE_TERMINAL).queryText().getText(0, -1)


def watch_installation():
    """Its progress is read off the console, in the order in which it comes."""
    begin = time.monotonic()
    seen = []

    def look():
        text = screen_text()
        if steps.FAILED in text:
            sys.exit("The installation failed:\n" + text)
        for step in steps.STEPS[:-2]:
            if step in text and step not in seen:
                seen.append(step)
                print(f"# {time.monotonic() - begin:6.1f} s: {step[2:]}", flush=True)
        return steps.GRUB in text

    wait_for("the installation", steps.PATIENCE, look)
    print(f"# {time.monotonic() - begin:6.1f} s: {steps.GRUB}", flush=True)
    # What is on the screen for less than a look may be missed, the long steps not.
    for step in steps.STEPS[2], steps.STEPS[4], steps.STEPS[5]:
        if step not in seen:
            sys.exit(f"The console never showed “{step}”, only {seen}")
    if seen != sorted(seen, key=steps.STEPS.index):
        sys.exit(f"The steps came in another order: {seen}")


def expect_tray_open():
    """The guest ejected its disc: the header's menu says so."""
    click("Disc")
    find(os.path.basename(steps.ISO) + " (tray open)")
    keys(NAME, "Escape")


def use(ports):
    """What is on the disk starts, lets its visitors in and says so on its serial line."""
    click("Serial", pyatspi.ROLE_RADIO_BUTTON)
    ssh_port, web_port = ports
    wait_for("the login prompt", 600, lambda: steps.LOGIN in serial_text())
    steps.wait_ssh(ssh_port, 300, lambda: state() != f"{NAME}, Running")
    steps.fetch_page(web_port)
    steps.look_inside(ssh_port)
    steps.copy_both_ways(ssh_port)


def shut_down():
    row = find(f"{NAME}, Running", pyatspi.ROLE_LIST_ITEM)
    row.parent.querySelection().selectChild(row.getIndexInParent())
    click("Shut Down", pyatspi.ROLE_PUSH_BUTTON)
    wait_for("the power to go off", 180, lambda: state() == f"{NAME}, Off: the guest powered off")


def use_and_shut_down(ports):
    try:
        use(ports)
        print("ok: ssh and http through the forwards")
        shut_down()
        print("ok: the Shut Down button")
    except BaseException:
        print("# The end of the serial line:", serial_text()[-4000:])
        raise


def main():
    sys.stdout.reconfigure(line_buffering=True)  # hours may be between two lines
    whole = sys.argv[1:] == ["whole"]
    ports = free_port(), free_port()
    with steps.scratch() as folder:
        program = subprocess.Popen([os.environ["APIARY"]])
        try:
            find("No machines yet")
            if whole:
                disk = os.path.join(FOLDER, "disk.qcow2")
                make_machine("From a disc image (ISO)", "Choose a Disc Image",
                             os.path.realpath(steps.ISO), ports, True)
                print("ok: the wizard makes a machine for the CD")
                watch_installation()
                expect_tray_open()
                print("ok: Debian is installed, the disc is out")
            else:
                disk = steps.prepared_disk(folder)
                make_machine("From an existing disk image", "Choose a Disk", disk, ports, False)
                wait_for("GRUB's menu on the console", 120, lambda: steps.GRUB in screen_text())
                print("ok: the wizard makes a machine of a disk, GRUB starts")
            use_and_shut_down(ports)
            steps.check(disk, folder)
            print("ok: the disk is clean")
        finally:
            program.terminate()
        finish(program)


main()
