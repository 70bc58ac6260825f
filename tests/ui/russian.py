# SPDX-License-Identifier: GPL-3.0-or-later
"""The program in Russian: what the windows show has no English left but names and numbers."""

import os
import re
import subprocess
import sys
import time

import pyatspi

from new_machine import walk_through
from settings_window import named
from windows import application, click, find, walk

# Proper names, formats, units and what a person has typed.
NOT_TRANSLATED = re.compile(
    r"Apiary|Linux|ISO|qcow2|raw|CD/DVD|CD|DVD|Ctrl|Alt|Enter|Esc|F\d+|COM1|VNC|Windows|QEMU|"
    r"TCP|UDP|DHCP|PXE|NAT|USB|IDE|PS/2|VGA|Bochs|BSD|DOS|SeaBIOS|Intel|libvirt|ssh|"
    r"COM\d|(?:file|unix|tcp|pty|stdio|null|-serial)\b:?|server=on,wait=off|"
    r"\S+\.iso|\b(?:addr|bootfile|dhcpstart|dns|domainname|hostname|net|restrict|romfile|"
    r"tftp(?:-server-name)?)\b|"  # options have QEMU's names
    r"[a-z]*\d[\w-]*|max|host|/\S+|(?:\S+=\S+)|MAC|Del|Backspace|PrintScreen|SysRq|Tab|B\b")
ROLES = {pyatspi.ROLE_PUSH_BUTTON, pyatspi.ROLE_TOGGLE_BUTTON, pyatspi.ROLE_RADIO_BUTTON,
         pyatspi.ROLE_CHECK_BOX, pyatspi.ROLE_LABEL, pyatspi.ROLE_MENU_ITEM, pyatspi.ROLE_TERMINAL,
         pyatspi.ROLE_LIST, pyatspi.ROLE_FRAME, pyatspi.ROLE_SPIN_BUTTON}
NEW_MACHINE = {
    "No machines yet": "Машин пока нет",
    "New machine from an ISO": "Новая машина из образа ISO",
    "Forward": "Далее",
    "Nothing yet: an empty disk": "Пока ни с чего: пустой диск",
    "Create and Start": "Создать и запустить",
    "Cancel": "Отмена",
}
english = set()


def check(where):
    for node in walk(application()):
        if node.getRole() not in ROLES or not node.getState().contains(pyatspi.STATE_SHOWING):
            continue
        if re.search(r"[A-Za-z]{2,}", NOT_TRANSLATED.sub("", node.name or "")):
            english.add(f"{where}: {node.getRoleName()} “{node.name}”")


def main():
    environment = {**os.environ, "LANGUAGE": "ru"}
    program = subprocess.Popen([os.environ["APIARY"]], env=environment)
    try:
        find("Импортировать", pyatspi.ROLE_PUSH_BUTTON)
        walk_through(check, NEW_MACHINE.__getitem__)

        click("Попробовать демонстрационную машину", pyatspi.ROLE_PUSH_BUTTON)
        find("Экран машины Демо Apiary")
        find("Приостановить")
        check("machine window, console")
        click("Активность", pyatspi.ROLE_RADIO_BUTTON)
        time.sleep(1.5)
        check("machine window, activity")
        subprocess.run([os.environ["APIARY"], "--settings", "Демо Apiary"], check=True,
                       env=environment)
        find("Параметры машины Демо Apiary")
        for page in ("Обзор", "Система", "Экран", "Носители", "Сеть", "Последовательный порт",
                     "Удалённый доступ"):
            row = find(page, pyatspi.ROLE_LIST_ITEM)
            row.parent.querySelection().selectChild(row.getIndexInParent())
            time.sleep(0.7)
            check(f"settings, {page}")
        named("Сервер VNC: экран и клавиатура машины с другого места").queryAction().doAction(0)
        time.sleep(2)
        check("settings, remote access with a server")
        wrong = subprocess.run([os.environ["APIARY"], "--open", "x"], env=environment,
                               capture_output=True, text=True)
        if wrong.returncode != 1 or "Нет машины с именем «x»." not in wrong.stderr:
            english.add(f"--open x: {wrong}")
    finally:
        program.terminate()
    status = program.wait(20)
    for line in sorted(english):
        print("not Russian:", line)
    if english or status:
        sys.exit(f"{len(english)} pieces of English, exit status {status}")
    print("ok: the windows are in Russian")


main()
