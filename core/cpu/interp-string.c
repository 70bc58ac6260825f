/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * String instructions (SDM 1, 7.3.9). A repeated one commits rCX, rSI and rDI element by element or
 * run by run, so that a fault finds them exact, and returns after about a page with RIP still on
 * it, so that interrupts are taken in between.
 */

#include "core/cpu/debug.h"
#include "core/cpu/interp-memory.h"
#include "core/cpu/interp-private.h"

#include <string.h>

#define CHUNK_BYTES 4096u

/* One execution of a string instruction. */
typedef struct {
    const Insn *insn;
    unsigned size; /* of an element */
    unsigned address_size;
    int64_t step; /* +size or -size */
    bool repeated;
    uint64_t count;  /* elements left; 1 when not repeated */
    uint64_t budget; /* elements left for this call */
} StringRun;

/* --- registers -------------------------------------------------------------------------------- */

static bool string_begin(Cpu *cpu, const Insn *insn, StringRun *run)
{
    run->insn = insn;
    run->size = insn->mem_size;
    run->address_size = insn->address_size;
    run->step = cpu->rflags & RFLAGS_DF ? -(int64_t)run->size : run->size;
    run->repeated = insn->rep || insn->repne;
    run->count = run->repeated ? gpr_read(cpu, RCX, run->address_size) : 1;
    /* A single-step trap or breakpoint comes after each iteration (SDM 3B, 17.3.1.4). */
    /* In lockstep translated code may have stopped between any two. */
    bool singly = (cpu->mode & (MODE_TF | MODE_DEBUG)) || cpu->lockstep;
    run->budget = singly ? 1 : CHUNK_BYTES / run->size;
    return run->count;
}

static uint64_t source_offset(const Cpu *cpu, const StringRun *run)
{
    return gpr_read(cpu, RSI, run->address_size);
}

static uint64_t destination_offset(const Cpu *cpu, const StringRun *run)
{
    return gpr_read(cpu, RDI, run->address_size);
}

static void advance(Cpu *cpu, const StringRun *run, unsigned reg, uint64_t elements)
{
    gpr_write(cpu, reg, cpu->gpr[reg] + run->step * (int64_t)elements, run->address_size);
}

/* ELEMENTS are done. False when this call is over. */
static bool consume(Cpu *cpu, StringRun *run, uint64_t elements)
{
    run->count -= elements;
    if (run->repeated)
        gpr_write(cpu, RCX, run->count, run->address_size);
    run->budget -= elements;
    if (__builtin_expect((cpu->mode & MODE_WATCHED) && cpu->debug->hit.reason != STOP_NONE, 0))
        return false; /* between two elements, as a processor */
    return run->count && run->budget;
}

/* Stays on the instruction while elements are left. */
static void string_end(Cpu *cpu, const StringRun *run)
{
    if (run->repeated && run->count)
        cpu->next_rip = cpu->rip;
}

/* --- runs of host memory ---------------------------------------------------------------------- */

/* How many elements from OFFSET on, in the run's direction, lie in the page of LINEAR, within the
 * segment and before the offset wraps. The element at OFFSET is already checked. 0 when it crosses
 * a page. */
static uint64_t elements_in_page(const Cpu *cpu, const StringRun *run, int seg, uint64_t offset,
                                 uint64_t linear)
{
    uint64_t in_page = linear & (GUEST_PAGE_SIZE - 1), bytes;
    if (in_page + run->size > GUEST_PAGE_SIZE)
        return 0;
    if (run->step < 0) {
        bytes = MIN(in_page, offset) + run->size;
    } else {
        bytes = GUEST_PAGE_SIZE - in_page;
        if (run->address_size < 8)
            bytes = MIN(bytes, size_mask(run->address_size) + 1 - offset);
    }
    if (!cpu_is_64bit(cpu)) {
        const CpuSegment *segment = &cpu->seg[seg];
        bool code = segment->attributes & ATTR_CODE;
        if (!code && (segment->attributes & ATTR_EXPAND_DOWN))
            return 1;
        if (run->step > 0)
            bytes = MIN(bytes, (uint64_t)segment->limit + 1 - offset);
    }
    return MAX(bytes / run->size, 1);
}

static void *load_pointer(Cpu *cpu, uint64_t linear, unsigned size)
{
    void *host = tlb_load_pointer(cpu, linear, size);
    return host ? host : mmu_host_pointer(cpu, linear, size, ACCESS_READ);
}

static void *store_pointer(Cpu *cpu, uint64_t linear, unsigned size)
{
    void *host = tlb_store_pointer(cpu, linear, size);
    return host ? host : mmu_host_pointer(cpu, linear, size, ACCESS_WRITE);
}

/* Element by element, as a processor does: what overlapping fills rely on. */
static void copy_elements(uint8_t *to, const uint8_t *from, uint64_t elements, unsigned size,
                          int64_t step)
{
    for (; elements; elements--, to += step, from += step)
        host_store(to, host_load(from, size), size);
}

static void fill_elements(uint8_t *to, uint64_t value, uint64_t elements, unsigned size,
                          int64_t step)
{
    for (; elements; elements--, to += step)
        host_store(to, value, size);
}

/* --- MOVS, STOS, LODS ------------------------------------------------------------------------- */

static uint64_t move_run(Cpu *cpu, StringRun *run)
{
    int seg = run->insn->mem_seg;
    uint64_t from_offset = source_offset(cpu, run), to_offset = destination_offset(cpu, run);
    uint64_t from = interp_linear(cpu, seg, from_offset, run->size, false);
    uint64_t elements = MIN(run->count, run->budget), value = 0;
    elements = MIN(elements, elements_in_page(cpu, run, seg, from_offset, from));
    bool runs = elements > 1 && !(cpu->mode & MODE_AC);
    uint8_t *source = runs ? load_pointer(cpu, from, run->size) : NULL, *destination = NULL;
    if (!source)
        value = interp_load(cpu, from, run->size);
    /* The source has been read: only now does the destination's turn to fault come. */
    uint64_t to = interp_linear(cpu, SEG_ES, to_offset, run->size, true);
    elements = MIN(elements, elements_in_page(cpu, run, SEG_ES, to_offset, to));
    if (source && elements > 1)
        destination = store_pointer(cpu, to, run->size);
    if (!destination) {
        if (source)
            value = host_load(source, run->size);
        interp_store(cpu, to, value, run->size);
        elements = 1;
    } else if (run->step > 0 && (uintptr_t)(destination - source) >= elements * run->size) {
        memmove(destination, source, elements * run->size);
    } else {
        copy_elements(destination, source, elements, run->size, run->step);
    }
    advance(cpu, run, RSI, elements);
    advance(cpu, run, RDI, elements);
    return elements;
}

static void insn_movs(Cpu *cpu, const Insn *insn)
{
    StringRun run;
    if (!string_begin(cpu, insn, &run))
        return;
    while (consume(cpu, &run, move_run(cpu, &run)))
        ;
    string_end(cpu, &run);
}

static uint64_t store_run(Cpu *cpu, StringRun *run)
{
    uint64_t offset = destination_offset(cpu, run), value = cpu->gpr[RAX];
    uint64_t to = interp_linear(cpu, SEG_ES, offset, run->size, true);
    uint64_t elements = MIN(run->count, run->budget);
    elements = MIN(elements, elements_in_page(cpu, run, SEG_ES, offset, to));
    uint8_t *destination = NULL;
    if (elements > 1 && !(cpu->mode & MODE_AC))
        destination = store_pointer(cpu, to, run->size);
    if (!destination) {
        interp_store(cpu, to, value, run->size);
        elements = 1;
    } else if (run->step == 1) {
        memset(destination, (uint8_t)value, elements);
    } else {
        fill_elements(destination, value, elements, run->size, run->step);
    }
    advance(cpu, run, RDI, elements);
    return elements;
}

static void insn_stos(Cpu *cpu, const Insn *insn)
{
    StringRun run;
    if (!string_begin(cpu, insn, &run))
        return;
    while (consume(cpu, &run, store_run(cpu, &run)))
        ;
    string_end(cpu, &run);
}

static uint64_t load_source(Cpu *cpu, const StringRun *run)
{
    uint64_t linear =
        interp_linear(cpu, run->insn->mem_seg, source_offset(cpu, run), run->size, false);
    return interp_load(cpu, linear, run->size);
}

static uint64_t load_destination(Cpu *cpu, const StringRun *run)
{
    uint64_t linear = interp_linear(cpu, SEG_ES, destination_offset(cpu, run), run->size, false);
    return interp_load(cpu, linear, run->size);
}

static void insn_lods(Cpu *cpu, const Insn *insn)
{
    StringRun run;
    if (!string_begin(cpu, insn, &run))
        return;
    do {
        gpr_write(cpu, RAX, load_source(cpu, &run), run.size);
        advance(cpu, &run, RSI, 1);
    } while (consume(cpu, &run, 1));
    string_end(cpu, &run);
}

/* --- CMPS, SCAS ------------------------------------------------------------------------------- */

/* Whether the element at OFFSET loads without the MMU, and so without a fault. */
static bool surely_loads(Cpu *cpu, int seg, uint64_t offset, unsigned size)
{
    if (!cpu_is_64bit(cpu))
        return false;
    return tlb_load_pointer(cpu, seg >= SEG_FS ? offset + cpu->seg[seg].base : offset, size);
}

/* One comparison is done. Ends the repetition when ZF is not what the prefix wants. Its flags are
 * computed when somebody may see them: at the end, or before an element that may fault. */
static bool comparison_goes_on(Cpu *cpu, StringRun *run, uint64_t left, uint64_t right,
                               bool has_source)
{
    bool equal = !((left ^ right) & size_mask(run->size));
    bool more = consume(cpu, run, 1);
    if (run->repeated && equal != run->insn->rep)
        run->count = 0;
    more = more && run->count;
    if (!more || !surely_loads(cpu, SEG_ES, destination_offset(cpu, run), run->size) ||
        (has_source && !surely_loads(cpu, run->insn->mem_seg, source_offset(cpu, run), run->size)))
        set_sum_flags(cpu, left, right, run->size, true);
    return more;
}

static void insn_cmps(Cpu *cpu, const Insn *insn)
{
    StringRun run;
    uint64_t left, right;
    if (!string_begin(cpu, insn, &run))
        return;
    do {
        left = load_source(cpu, &run);
        right = load_destination(cpu, &run);
        advance(cpu, &run, RSI, 1);
        advance(cpu, &run, RDI, 1);
    } while (comparison_goes_on(cpu, &run, left, right, true));
    string_end(cpu, &run);
}

static void insn_scas(Cpu *cpu, const Insn *insn)
{
    StringRun run;
    uint64_t left, right;
    if (!string_begin(cpu, insn, &run))
        return;
    left = gpr_read(cpu, RAX, run.size);
    do {
        right = load_destination(cpu, &run);
        advance(cpu, &run, RDI, 1);
    } while (comparison_goes_on(cpu, &run, left, right, false));
    string_end(cpu, &run);
}

/* --- INS, OUTS -------------------------------------------------------------------------------- */

/* Elements that may go through the port in one call: ascending, in one page, with nothing watching
 * each of them. */
static uint64_t port_run_length(const Cpu *cpu, const StringRun *run, int seg, uint64_t offset,
                                uint64_t linear)
{
    if (run->step < 0 || (cpu->mode & (MODE_AC | MODE_TF | MODE_DEBUG | MODE_WATCHED)))
        return 1;
    uint64_t elements = MIN(run->count, run->budget);
    return MAX(MIN(elements, elements_in_page(cpu, run, seg, offset, linear)), 1);
}

/* The destination is proved writable before the port is read: a read may have side effects. */
static uint64_t input_run(Cpu *cpu, StringRun *run, uint16_t port)
{
    uint8_t buffer[GUEST_PAGE_SIZE];
    uint64_t offset = destination_offset(cpu, run);
    uint64_t linear = interp_linear(cpu, SEG_ES, offset, run->size, true);
    uint64_t elements = port_run_length(cpu, run, SEG_ES, offset, linear);
    uint8_t *destination = NULL;

    if (elements > 1 && !store_pointer(cpu, linear, run->size))
        elements = 1;
    if (elements == 1) {
        interp_probe_store(cpu, linear, run->size);
        interp_store(cpu, linear, cpu_port_in(cpu, port, run->size), run->size);
    } else {
        cpu_port_in_run(cpu, port, buffer, elements, run->size);
        /* asked for again: the page may hold translated code by now */
        destination = store_pointer(cpu, linear, run->size);
        if (destination)
            memcpy(destination, buffer, elements * run->size);
        for (uint64_t i = 0; !destination && i < elements; i++)
            interp_store(cpu, linear + i * run->size, host_load(buffer + i * run->size, run->size),
                         run->size);
    }
    advance(cpu, run, RDI, elements);
    return elements;
}

static void insn_ins(Cpu *cpu, const Insn *insn)
{
    StringRun run;
    uint16_t port = cpu->gpr[RDX];
    system_check_io(cpu, port, insn->mem_size);
    if (!string_begin(cpu, insn, &run))
        return;
    while (consume(cpu, &run, input_run(cpu, &run, port)))
        ;
    string_end(cpu, &run);
}

static uint64_t output_run(Cpu *cpu, StringRun *run, uint16_t port)
{
    uint8_t buffer[GUEST_PAGE_SIZE];
    int seg = run->insn->mem_seg;
    uint64_t offset = source_offset(cpu, run);
    uint64_t linear = interp_linear(cpu, seg, offset, run->size, false);
    uint64_t elements = port_run_length(cpu, run, seg, offset, linear);
    const uint8_t *source = elements > 1 ? load_pointer(cpu, linear, run->size) : NULL;

    if (source) {
        memcpy(buffer, source, elements * run->size);
        cpu_port_out_run(cpu, port, buffer, elements, run->size);
    } else {
        elements = 1;
        cpu_port_out(cpu, port, interp_load(cpu, linear, run->size), run->size);
    }
    advance(cpu, run, RSI, elements);
    return elements;
}

static void insn_outs(Cpu *cpu, const Insn *insn)
{
    StringRun run;
    uint16_t port = cpu->gpr[RDX];
    system_check_io(cpu, port, insn->mem_size);
    if (!string_begin(cpu, insn, &run))
        return;
    while (consume(cpu, &run, output_run(cpu, &run, port)))
        ;
    string_end(cpu, &run);
}

/* --- table ------------------------------------------------------------------------------------ */

InterpHandler interp_string_handler(const Insn *insn)
{
    if (!(insn->category_flags & INSN_IS_STRING))
        return NULL; /* MOVSD and CMPSD are SSE instructions too */
    switch (insn->opcode) {
    case 0x6c:
    case 0x6d: return insn_ins;
    case 0x6e:
    case 0x6f: return insn_outs;
    case 0xa4:
    case 0xa5: return insn_movs;
    case 0xa6:
    case 0xa7: return insn_cmps;
    case 0xaa:
    case 0xab: return insn_stos;
    case 0xac:
    case 0xad: return insn_lods;
    case 0xae:
    case 0xaf: return insn_scas;
    default: return NULL;
    }
}
