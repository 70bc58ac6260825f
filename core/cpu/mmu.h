/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Linear addresses to guest memory: paging (SDM chapter 4: 32-bit, PAE and 4-level, with A/D bits,
 * NX, WP, global and large pages, SMEP, SMAP) and the soft TLB. All on the vCPU's own thread.
 * Functions raise #PF (or complete); nothing has been written when a fault is raised, also when an
 * access crosses a page. Linear addresses are taken modulo 4 GiB outside long mode.
 *
 * Vector-safe: everything here except the cpu_port_* functions is built without
 * vector registers and may be called with guest vectors live. On the way to a device, a code-store
 * hook or an exception the functions call cpu_spill_vectors(), so the caller looks at
 * Cpu.vectors_live when they return.
 */

#include "core/cpu/cpu.h"

/* Any alignment, one host access: what TSO promises the guest for aligned ones. */
typedef uint16_t __attribute__((aligned(1), may_alias)) HostU16;
typedef uint32_t __attribute__((aligned(1), may_alias)) HostU32;
typedef uint64_t __attribute__((aligned(1), may_alias)) HostU64;

static inline __attribute__((always_inline)) uint64_t host_load(const void *host, unsigned size)
{
    switch (size) {
    case 1: return *(const volatile uint8_t *)host;
    case 2: return *(const volatile HostU16 *)host;
    case 4: return *(const volatile HostU32 *)host;
    default: return *(const volatile HostU64 *)host;
    }
}

static inline __attribute__((always_inline)) void host_store(void *host, uint64_t value,
                                                             unsigned size)
{
    switch (size) {
    case 1: *(volatile uint8_t *)host = value; break;
    case 2: *(volatile HostU16 *)host = value; break;
    case 4: *(volatile HostU32 *)host = value; break;
    default: *(volatile HostU64 *)host = value; break;
    }
}

typedef enum { ACCESS_READ = 0, ACCESS_WRITE = 1, ACCESS_FETCH = 2 } MmuAccess;
/* #PF error-code bits */
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };

/* SIZE 1, 2, 4, 8. The set used is the current one (cpu_mmu_index). */
uint64_t mmu_load(Cpu *cpu, uint64_t linear, unsigned size);
void mmu_store(Cpu *cpu, uint64_t linear, uint64_t value, unsigned size);
/* As supervisor whatever the CPL: descriptor tables, TSS, implicit accesses (SDM 4.6.1). */
uint64_t mmu_load_system(Cpu *cpu, uint64_t linear, unsigned size);
void mmu_store_system(Cpu *cpu, uint64_t linear, uint64_t value, unsigned size);
/* Sets and clears bits of one byte as one locked operation: accessed and busy bits of descriptors.
 */
void mmu_change_system_byte(Cpu *cpu, uint64_t linear, uint8_t set, uint8_t clear);
/* The same with the rights of set SET (MMU_*): stacks of another privilege level. */
uint64_t mmu_load_as(Cpu *cpu, unsigned set, uint64_t linear, unsigned size);
void mmu_store_as(Cpu *cpu, unsigned set, uint64_t linear, uint64_t value, unsigned size);
void mmu_probe_as(Cpu *cpu, unsigned set, uint64_t linear, unsigned length, MmuAccess access);
/* The set for explicit accesses at privilege level CPL. */
unsigned mmu_set_for_cpl(const Cpu *cpu, unsigned cpl);
/* Any length up to 4096. Stores probe the whole range first. */
void mmu_load_bytes(Cpu *cpu, uint64_t linear, void *buffer, unsigned length);
void mmu_store_bytes(Cpu *cpu, uint64_t linear, const void *buffer, unsigned length);
/* Faults now if a store (or load) of the range would; fills TLB entries. For read-modify-write and
 * for instructions with several stores. */
void mmu_probe(Cpu *cpu, uint64_t linear, unsigned length, MmuAccess access);
/* Host pointer for a direct load/store of SIZE bytes at LINEAR (translating, faulting), or NULL
 * when it is MMIO, lies on two pages that are no neighbours in host memory, or the stores to a page
 * must be seen (code). For REP strings and vectors. */
void *mmu_host_pointer(Cpu *cpu, uint64_t linear, unsigned size, MmuAccess access);
/* Over the end of a cache line. Locked, that stops all the processors of the host for as long as it
 * takes, and kernels make a program pay for it (Linux: split_lock_mitigate): a guest must not be
 * able to, so locked operations of this kind are left to the bus of bus.h. */
static inline bool mmu_splits_line(uint64_t linear, unsigned size)
{
    enum { LINE = 64 };

    return (linear & (LINE - 1)) + size > LINE;
}
/* For a locked read-modify-write: as mmu_host_pointer() for ACCESS_WRITE, but also gives pages with
 * translated code, and NULL for what mmu_splits_line(); after the store call mmu_locked_done() with
 * the same range. */
void *mmu_locked_pointer(Cpu *cpu, uint64_t linear, unsigned size);
void mmu_locked_done(Cpu *cpu, uint64_t linear, unsigned size);
/* Fills the TLB entry for an access of set SET without raising: MMU_FILLED (look again: the entry
 * may still be empty where only the slow path may go), or MMU_FAULT with the #PF error code in
 * *ERROR. */
typedef enum { MMU_FILLED, MMU_FAULT } MmuFill;
MmuFill mmu_fill(Cpu *cpu, unsigned set, uint64_t linear, MmuAccess access, uint32_t *error);
/* Up to 15 bytes of instruction at LINEAR into BUFFER. Returns how many there are up to the end of
 * the page that holds the last of NEEDED ones (at least 1). Bytes that are needed and fault raise.
 */
unsigned mmu_fetch(Cpu *cpu, uint64_t linear, uint8_t *buffer, unsigned needed);
/* Finds the code page of LINEAR: raises #PF or fills a FetchTlb entry and returns its index; -1
 * when the page is not RAM/ROM (the interpreter then reads byte by byte). */
int mmu_fetch_entry(Cpu *cpu, uint64_t linear);

/* The memory map changed: forgets everything about it. */
void mmu_forget_map(Cpu *cpu);
void mmu_flush_all(Cpu *cpu); /* of all PCIDs, incl. global */
void mmu_flush_non_global(Cpu *cpu);
/* CR3 was written. KEEP: what is remembered of the PCID that it names (SDM 4.10.4.1). */
void mmu_switch_tables(Cpu *cpu, bool keep);
/* The page at LINEAR, of the current PCID and global. */
void mmu_flush_page(Cpu *cpu, uint64_t linear);
/* What is not global of PCID (0 to 4095): all, or the page at LINEAR. */
void mmu_flush_pcid(Cpu *cpu, unsigned pcid);
void mmu_flush_pcid_page(Cpu *cpu, unsigned pcid, uint64_t linear);
/* For lockstep.h: all entries go, or only what they let store and what the second-level TLB holds;
 * translations of code that hang on them stay, since memory and registers will be again as they are
 * when the entries were made. */
void mmu_drop(Cpu *cpu);
void mmu_drop_stores(Cpu *cpu);
/* Makes stores to this RAM page take the slow path on this vCPU (its page got code or is clean). */
void mmu_flush_stores_to(Cpu *cpu, const void *host_page);
void mmu_load_pdptes(Cpu *cpu, uint64_t cr3); /* raises #GP on reserved bits */

/* Debugger's view, no faults and no A/D bits: false when unmapped. */
bool mmu_translate_debug(Cpu *cpu, uint64_t linear, uint64_t *physical);

/* Called on the store slow path when a page with translated code was written by this vCPU: set by
 * the JIT (NULL: nobody). */
extern void (*mmu_code_store_hook)(Cpu *cpu, RamBlock *block, uint64_t offset, unsigned length);
/* Called when instruction-fetch translations were dropped, with a bit for each FetchTlb that lost
 * some (1 supervisor, 2 user): set by the JIT (NULL: nobody). Vectors may be live. */
extern void (*mmu_fetch_flush_hook)(Cpu *cpu, unsigned sets);

/* Port I/O after permission checks. Take the board lock themselves. */
uint32_t cpu_port_in(Cpu *cpu, uint16_t port, unsigned size);
void cpu_port_out(Cpu *cpu, uint16_t port, uint32_t value, unsigned size);
/* COUNT elements of SIZE bytes from or to the same port. */
void cpu_port_in_run(Cpu *cpu, uint16_t port, void *buffer, size_t count, unsigned size);
void cpu_port_out_run(Cpu *cpu, uint16_t port, const void *buffer, size_t count, unsigned size);
