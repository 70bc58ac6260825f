/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The option ROM that boots -kernel: a bootstrap entry vector (Plug and Play BIOS specification 1.0A,
 * section 3.2) that follows the BootPlan (boot-plan.h) the machine has written behind the code.
 * Everything is addressed relative to the start of the ROM, which runs at offset 0 of its segment.
 */

#define PORT_DMA_HIGH  0x514
#define PORT_DMA_LOW   0x518
#define DMA_ERROR      1
#define DMA_READ       2
#define DMA_SKIP       4
#define DMA_SELECT     8

/* BootPlan */
#define PLAN_MODE          0
#define PLAN_N_LOADS       2
#define PLAN_SEGMENT       4
#define PLAN_STACK         6
#define PLAN_ENTRY         8
#define PLAN_INFO_SEGMENT  12
#define PLAN_MMAP_OFFSET   14
#define PLAN_LOADS         16
#define LOAD_KEY           0
#define LOAD_OFFSET        4
#define LOAD_ADDRESS       8
#define LOAD_SIZE          12
#define LOAD_LENGTH        16

/* Multiboot information structure */
#define INFO_MEM_LOWER     4
#define INFO_MEM_UPPER     8
#define INFO_MMAP_LENGTH   44
#define MAX_MMAP           128
#define SMAP               0x534d4150
#define E820_LENGTH        20

/* Scratch below the boot sector's place: stack under it, the DMA descriptor in it. */
#define SCRATCH            0x7c00

        .section .rodata
        .code16
        .balign 16
        .globl  linuxboot_rom
linuxboot_rom:
        .byte   0x55, 0xaa
        .byte   0                       /* size in 512-byte units, filled in */
        lretw                           /* nothing to initialize */
        .org    linuxboot_rom + 0x18
        .word   0                       /* no PCI data structure */
        .word   pnp_header - linuxboot_rom
        .org    linuxboot_rom + 0x20
pnp_header:
        .ascii  "$PnP"
        .byte   1, 2                    /* revision; length in 16-byte units */
        .word   0                       /* no next header */
        .byte   0, 0
        .long   0                       /* device */
        .word   manufacturer - linuxboot_rom
        .word   product - linuxboot_rom
        .byte   0, 0, 0                 /* device type */
        .byte   0x04                    /* initial program load device */
        .word   0, 0                    /* no boot connection, no disconnect */
        .word   boot - linuxboot_rom    /* bootstrap entry vector */
        .word   0, 0
manufacturer:
        .asciz  "Apiary"
product:
        .asciz  "Kernel given to the machine"
failure:
        .asciz  "\r\nThe kernel could not be loaded into memory.\r\n"

        .balign 4
gdt:                                    /* accessed bits set: the ROM cannot be written */
        .quad   0
        .quad   0x00cf9b000000ffff      /* 08: code, 0-4 GiB */
        .quad   0x00cf93000000ffff      /* 10: data */
gdt_end:

/* --- loading ----------------------------------------------------------------------------------- */

boot:
        cli
        cld
        pushw   %cs
        popw    %ds
        xorw    %ax, %ax
        movw    %ax, %ss
        movw    $SCRATCH, %sp
        movw    %ax, %es
        movw    $(plan - linuxboot_rom + PLAN_LOADS), %si
        movw    (plan - linuxboot_rom + PLAN_N_LOADS), %bp
1:      testw   %bp, %bp
        jz      2f
        movzwl  LOAD_KEY(%si), %eax
        shll    $16, %eax
        orl     $(DMA_SELECT | DMA_SKIP), %eax
        movl    LOAD_OFFSET(%si), %ecx
        xorl    %edx, %edx
        call    dma
        movl    $DMA_READ, %eax
        movl    LOAD_SIZE(%si), %ecx
        movl    LOAD_ADDRESS(%si), %edx
        call    dma
        addw    $LOAD_LENGTH, %si
        decw    %bp
        jmp     1b
2:      cmpw    $0, (plan - linuxboot_rom + PLAN_MODE)
        jne     multiboot

/* Linux: documentation "x86 boot protocol", "Running the Kernel". */
        movw    (plan - linuxboot_rom + PLAN_SEGMENT), %bx
        movw    (plan - linuxboot_rom + PLAN_STACK), %cx
        movw    %bx, %ds
        movw    %bx, %es
        movw    %bx, %fs
        movw    %bx, %gs
        movw    %bx, %ss
        movzwl  %cx, %esp
        addw    $0x20, %bx
        pushw   %bx
        pushw   $0
        lretw

/* One fw_cfg transfer: EAX control, ECX length, EDX address. */
dma:
        bswapl  %eax
        bswapl  %ecx
        bswapl  %edx
        movl    %eax, %es:SCRATCH
        movl    %ecx, %es:SCRATCH + 4
        movl    $0, %es:SCRATCH + 8
        movl    %edx, %es:SCRATCH + 12
        movw    $PORT_DMA_HIGH, %dx
        xorl    %eax, %eax
        outl    %eax, %dx
        movw    $PORT_DMA_LOW, %dx
        movl    $SCRATCH, %eax
        bswapl  %eax
        outl    %eax, %dx
3:      movl    %es:SCRATCH, %eax
        bswapl  %eax
        testb   $DMA_ERROR, %al
        jnz     fail
        testl   %eax, %eax
        jnz     3b
        retw

fail:
        movw    $(failure - linuxboot_rom), %si
4:      lodsb
        testb   %al, %al
        jz      5f
        movb    $0x0e, %ah
        movw    $7, %bx
        int     $0x10
        jmp     4b
5:      sti
        int     $0x18                   /* on to the next boot device */
6:      hlt
        jmp     6b

/* --- multiboot --------------------------------------------------------------------------------- */

/* The firmware's memory map goes into the information structure, then the kernel is entered as
 * multiboot 0.6.96 section 3.2 says. */
multiboot:
        movw    (plan - linuxboot_rom + PLAN_INFO_SEGMENT), %ax
        movw    %ax, %es
        movw    (plan - linuxboot_rom + PLAN_MMAP_OFFSET), %di
        movw    $0, %es:INFO_MMAP_LENGTH
        movw    $MAX_MMAP, %bp
        xorl    %ebx, %ebx
7:      movl    $E820_LENGTH, %es:(%di)
        addw    $4, %di
        movl    $0xe820, %eax
        movl    $SMAP, %edx
        movl    $E820_LENGTH, %ecx
        int     $0x15
        jc      9f
        cmpl    $SMAP, %eax
        jne     9f
        addw    $(E820_LENGTH + 4), %es:INFO_MMAP_LENGTH
        /* RAM around 1 MiB ends where mem_upper ends. */
        cmpl    $1, %es:16(%di)
        jne     8f
        cmpl    $0, %es:4(%di)
        jne     8f
        movl    %es:(%di), %eax
        cmpl    $0x100000, %eax
        ja      8f
        addl    %es:8(%di), %eax
        jc      8f
        subl    $0x100000, %eax
        jbe     8f
        shrl    $10, %eax
        movl    %eax, %es:INFO_MEM_UPPER
8:      addw    $E820_LENGTH, %di
        decw    %bp
        jz      9f
        testl   %ebx, %ebx
        jnz     7b
9:      int     $0x12
        movzwl  %ax, %eax
        movl    %eax, %es:INFO_MEM_LOWER

        cli
        inb     $0x92, %al              /* A20 on */
        orb     $0x02, %al
        andb    $0xfe, %al
        outb    %al, $0x92
        movzwl  (plan - linuxboot_rom + PLAN_INFO_SEGMENT), %ebx
        shll    $4, %ebx
        movl    (plan - linuxboot_rom + PLAN_ENTRY), %edi
        xorl    %eax, %eax
        movw    %cs, %ax
        shll    $4, %eax
        movl    %eax, %ecx
        addl    $(gdt - linuxboot_rom), %ecx
        pushl   %ecx
        pushw   $(gdt_end - gdt - 1)
        movw    %sp, %bp
        lgdtw   (%bp)
        addl    $(protected - linuxboot_rom), %eax
        pushl   $8
        pushl   %eax
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        lretl

        .code32
protected:
        movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movl    $0x2badb002, %eax
        jmpl    *%edi

/* --- the plan ---------------------------------------------------------------------------------- */

        .balign 16
        .globl  linuxboot_rom_plan
linuxboot_rom_plan:
plan:
        .section .note.GNU-stack, "", @progbits
