# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot sectors for hostile guests, assembled by nasm. Each starts at 7C00 in real mode; a disk image
made of one may have more sectors behind it."""

import os
import subprocess
import tempfile

SIZE = 1474560


def assemble(source):
    with tempfile.TemporaryDirectory() as folder:
        text, binary = os.path.join(folder, "sector.asm"), os.path.join(folder, "sector.bin")
        with open(text, "w") as file:
            file.write(source)
        subprocess.run(["nasm", "-f", "bin", "-o", binary, text], check=True)
        with open(binary, "rb") as file:
            return file.read()


def image(code, more=b""):
    """A file with CODE as its boot sector and MORE behind it; the caller keeps the object."""
    assert len(code) <= 510
    file = tempfile.NamedTemporaryFile(suffix=".img")
    file.write((code.ljust(510, b"\0") + b"\x55\xaa" + more).ljust(SIZE, b"\0"))
    file.flush()
    return file


# Runs the garbage at 10000 in 32-bit or 64-bit mode. Every exception, and the timer, goes on at another
# place of it, so that many pieces run, and another after every triple fault; port E9 hears of each.
GARBAGE = """
bits 16
org 0x7c00
    cli
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x7000
    mov si, packet
    mov ah, 0x42
    int 0x13
    mov di, 0x2000                  ; IDT: 256 gates of 8 or 16 bytes
    mov es, ax
    mov cx, 256
gate:
    mov ax, handler
    stosw
    mov ax, 8
    stosw
    mov ax, 0x8e00
    stosw
    xor ax, ax
    stosw
%if MODE = 64
    stosw
    stosw
    stosw
    stosw
%endif
    loop gate
%if MODE = 64
    mov dword [0x4000], 0x5007      ; four levels, 2 MiB pages over the first 4 GiB
    mov dword [0x4004], 0
    mov di, 0x5000
    mov eax, 0x6007
directories:
    mov [di], eax
    mov dword [di + 4], 0
    add eax, 0x1000
    add di, 8
    cmp eax, 0xa007
    jb directories
    push word 0x600
    pop es
    xor di, di
    mov eax, 0x87
pages:
    mov [es:di], eax
    mov dword [es:di + 4], 0
    add di, 8
    add eax, 0x200000
    jnc pages
    mov eax, 0x20
    mov cr4, eax
    mov eax, 0x4000
    mov cr3, eax
    mov ecx, 0xc0000080
    xor edx, edx
    mov eax, 0x100
    wrmsr
%endif
    lgdt [gdt_register]
    lidt [idt_register]
%if MODE = 64
    mov eax, 0x80000011
%else
    mov eax, 0x00000011
%endif
    mov cr0, eax
    jmp 8:handler

bits MODE
handler:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x7000
    mov al, 0x20
    out 0x20, al
    mov al, '.'
    out 0xe9, al
    rdtsc
    add [counter], eax
    mov eax, [counter]
    and eax, 0x3fff
    add eax, 0x10000
    cld
    sti
%if MODE = 64
    jmp rax
%else
    jmp eax
%endif

align 8
counter: dd 0
packet: db 16, 0
    dw 40, 0, 0x1000
    dq 1
gdt: dq 0
%if MODE = 64
    dq 0x00af9b000000ffff
%else
    dq 0x00cf9b000000ffff
%endif
    dq 0x00cf93000000ffff
gdt_register: dw 23
    dd gdt
idt_register: dw 0x0fff
    dd 0x2000
"""


# Moves the network card's registers over RAM and away again. Port E9 hears, for each of three looks at that
# RAM, whether the RAM answered (R) or something else did (-).
BAR_OVER_RAM = """
bits 16
org 0x7c00
    cli
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x7000
    push word 0x4000
    pop es
    mov dword [es:0], 'RAM1'
    mov eax, 0x80001804             ; 00:03.0: memory space on
    mov ebx, 0x00000107
    call config
    mov eax, 0x80001810             ; BAR 0
    mov ebx, 0x00040000
    call config
    mov ebx, 'RAM1'
    call look
    mov dword [es:0], 'RAM2'
    mov eax, 0x80001810
    mov ebx, 0xfe000000
    call config
    mov ebx, 'RAM2'
    call look
    mov eax, 0x80001010             ; 00:02.0: the display's memory over everything low
    mov ebx, 0x00000008
    call config
    mov ebx, 'RAM2'
    call look
    mov al, '!'
    out 0xe9, al
forever:
    hlt
    jmp forever
config:
    mov dx, 0xcf8
    out dx, eax
    mov dx, 0xcfc
    mov eax, ebx
    out dx, eax
    ret
look:
    mov al, 'R'
    cmp [es:0], ebx
    je tell
    mov al, '-'
tell:
    out 0xe9, al
    ret
"""


# Random values into random registers of PCI configuration space, with a write to RAM, to where BARs may
# be, and to a random port after each.
CONFIG_STORM = """
bits 16
org 0x7c00
    cli
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x7000
    lgdt [gdt_register]             ; unreal mode: FS reaches 4 GiB
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp short flush
flush:
    mov bx, 8
    mov fs, bx
    and al, 0xfe
    mov cr0, eax
    mov esi, SEED
again:
    call random
    and eax, 0x00001ffc             ; bus 0, devices 0 to 3
    or eax, 0x80000000
    mov dx, 0xcf8
    out dx, eax
    call random
    mov dx, 0xcfc
    out dx, eax
    call random
    and eax, 0x0007fffc
    add eax, 0x00010000
    mov [fs:eax], esi
    call random
    and eax, 0x0007fffc
    or eax, 0xfeb80000
    mov [fs:eax], esi
    mov ebx, [fs:eax]
    call random
    mov edx, eax
    and dh, 0xcf
    out dx, al
    in eax, dx
    inc word [count]
    jnz again
    mov al, '.'
    out 0xe9, al
    jmp again
random:
    imul esi, esi, 1664525
    add esi, 1013904223
    mov eax, esi
    ror eax, 11
    ret
align 8
count: dw 0
gdt: dq 0
    dq 0x00cf93000000ffff
gdt_register: dw 15
    dd gdt
"""


# Counts into the serial port as fast as its transmitter takes it, then powers off by port 604.
COUNTED_FLOOD = """
bits 16
org 0x7c00
    cli
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x7000
    xor ebx, ebx
line:
    mov ecx, 8
    mov esi, ebx
digit:
    rol esi, 4
    mov eax, esi
    and al, 15
    add al, 'a'
    call send
    loop digit
    mov al, 10
    call send
    inc ebx
    cmp ebx, LINES
    jb line
    mov dx, 0x604                   ; PM1 control: sleep type of S5, sleep enable
    mov ax, S5
    out dx, ax
halt:
    hlt
    jmp halt
send:
    mov ah, al
    mov dx, 0x3fd                   ; line status: transmitter holding register empty
busy:
    in al, dx
    test al, 0x20
    jz busy
    mov al, ah
    mov dx, 0x3f8
    out dx, al
    ret
"""
