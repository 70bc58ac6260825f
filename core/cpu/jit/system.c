/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * What translated code calls for string instructions and for transfers between privilege levels.
 * Guest vectors may be live in the host's registers all the time: no code here uses any.
 */

#include "core/cpu/system.h"
#include "core/cpu/jit/jit-internal.h"
#include "core/cpu/lockstep.h"

/* --- MOVS and STOS in 64-bit mode ------------------------------------------------------------- */

/* How many elements from LINEAR on lie in its page; 0: the first does not, or is no address. */
JIT_VECTOR_SAFE static uint64_t elements_in_page(uint64_t linear, unsigned size)
{
    return cpu_canonical(linear) ? (GUEST_PAGE_SIZE - (linear & 0xfff)) / size : 0;
}

/* As the guest's own instruction would: element by element where both overlap. */
JIT_VECTOR_SAFE static void move(void *to, const void *from, uint64_t elements, unsigned size)
{
    switch (size) {
    case 1:
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(elements) : : "memory");
        break;
    case 2:
        __asm__ volatile("rep movsw" : "+D"(to), "+S"(from), "+c"(elements) : : "memory");
        break;
    case 4:
        __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(elements) : : "memory");
        break;
    default: __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(elements) : : "memory");
    }
}

JIT_VECTOR_SAFE static void fill(void *to, uint64_t value, uint64_t elements, unsigned size)
{
    switch (size) {
    case 1: __asm__ volatile("rep stosb" : "+D"(to), "+c"(elements) : "a"(value) : "memory"); break;
    case 2: __asm__ volatile("rep stosw" : "+D"(to), "+c"(elements) : "a"(value) : "memory"); break;
    case 4: __asm__ volatile("rep stosl" : "+D"(to), "+c"(elements) : "a"(value) : "memory"); break;
    default: __asm__ volatile("rep stosq" : "+D"(to), "+c"(elements) : "a"(value) : "memory");
    }
}

/* Executes up to COUNT elements within a page of each operand and commits rSI and rDI. Returns how
 * many; 0 when the interpreter must do the next one. The source is looked at first: its faults come
 * before the destination's. */
JIT_VECTOR_SAFE static uint64_t run_piece(Cpu *cpu, JitString string, uint64_t count)
{
    uint64_t to = cpu->gpr[RDI], from = cpu->gpr[RSI], elements = count;
    const void *source = NULL;

    if (string.moves) {
        if (string.seg >= SEG_FS)
            from += cpu->seg[string.seg].base;
        elements = MIN(elements, elements_in_page(from, string.size));
        source = elements ? mmu_host_pointer(cpu, from, string.size, ACCESS_READ) : NULL;
        if (!source)
            return 0;
    }
    elements = MIN(elements, elements_in_page(to, string.size));
    void *destination = elements ? mmu_host_pointer(cpu, to, string.size, ACCESS_WRITE) : NULL;
    if (!destination)
        return 0;
    if (string.moves) {
        move(destination, source, elements, string.size);
        cpu->gpr[RSI] += elements * string.size;
    } else {
        fill(destination, cpu->gpr[RAX], elements, string.size);
    }
    cpu->gpr[RDI] += elements * string.size;
    return elements;
}

/* Piece by piece, until all is done (1) or the vCPU must leave, RIP still on the instruction (0).
 * What is odd is the interpreter's. */
JIT_VECTOR_SAFE uint64_t jit_helper_string(Cpu *cpu, uint64_t packed, const JitSite *site)
{
    JitCpu *jc = jit_state(cpu);
    JitString string = {.packed = (uint32_t)packed};
    bool odd =
        (cpu->rflags & RFLAGS_DF) || (cpu->mode & MODE_WATCHED) || jc->jit->options.slow_accesses;
    uint64_t count = string.repeated ? cpu->gpr[RCX] : 1;

    jit_take_site(cpu, site);
    while (count) {
        uint64_t done = odd ? 0 : run_piece(cpu, string, count);
        if (!done)
            return jit_helper_interp(cpu, 0, site);
        count -= done;
        if (string.repeated)
            cpu->gpr[RCX] = count;
        if (count && atomic_load_explicit(&cpu->requests, memory_order_relaxed))
            return 0;
    }
    if (jc->leave) {
        cpu->rip += site->size;
        return 0;
    }
    return 1;
}

/* --- SYSCALL, SYSRET, IRETQ ------------------------------------------------------------------- */

/* The way into the block at the new RIP, in the new mode, as for an indirect branch. NULL: by the
 * dispatcher. */
JIT_VECTOR_SAFE static const void *way_on(Cpu *cpu)
{
    JitCpu *jc = jit_state(cpu);

    if (atomic_load_explicit(&cpu->requests, memory_order_relaxed) || jc->leave ||
        !(cpu->mode & MODE_CS64) || (cpu->mode & MODE_INTERPRETED) || jc->jit->options.no_links)
        return NULL;
    jit_enter_context(jc, jit_cache_context(jc, cpu->mode, 0, UINT32_MAX));
    jit_put_flags(cpu);
    const JitTarget *target = &jc->context->targets[jit_target_index(cpu->rip)];
    return target->rip == cpu->rip ? target->code : jit_helper_target(cpu, cpu->rip);
}

JIT_VECTOR_SAFE const void *jit_helper_transfer(Cpu *cpu, uint64_t transfer, const JitSite *site)
{
    jit_take_site(cpu, site);
    if (cpu->lockstep)
        lockstep_look_at_next(cpu);
    cpu->next_rip = cpu->rip + site->size;
    switch ((JitTransfer)transfer) {
    case TRANSFER_SYSCALL: system_syscall(cpu); break;
    case TRANSFER_SYSRET_32: system_sysret(cpu, 4); break;
    case TRANSFER_SYSRET_64: system_sysret(cpu, 8); break;
    case TRANSFER_IRETQ: interrupt_return(cpu, 8); break;
    }
    cpu->rip = cpu->next_rip;
    return way_on(cpu);
}
