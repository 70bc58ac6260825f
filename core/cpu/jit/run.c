/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The dispatcher: finds or makes the block at RIP, runs generated code until it comes back, and
 * sees why. Also what generated code calls.
 *
 * Guest vectors may be live in the host's registers through all of this, so the common paths here
 * are built without vector registers; whatever calls out spills first.
 */

#include "core/cpu/debug.h"
#include "core/cpu/hostexec.h"
#include "core/cpu/interp.h"
#include "core/cpu/jit/jit-internal.h"
#include "core/cpu/lockstep.h"

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* --- positions -------------------------------------------------------------------------------- */

JIT_VECTOR_SAFE static void set_rip(Cpu *cpu, int64_t offset)
{
    uint64_t rip = cpu->jit[SLOT_PAGE] + (uint64_t)offset;

    cpu->rip = cpu->mode & MODE_CS64 ? rip : (uint32_t)rip;
}

JIT_VECTOR_SAFE static void note_x87(Cpu *cpu, const JitSite *site)
{
    uint64_t fip = cpu->jit[SLOT_PAGE] + site->x87_offset;

    cpu->x87_fip = cpu->mode & MODE_CS64 ? fip : (uint32_t)fip;
    cpu->x87_fop = site->x87_opcode & 0x7ff;
    cpu->x87_fcs = cpu->seg[SEG_CS].selector;
    if (site->x87_opcode & X87_HAS_MEMORY)
        cpu->x87_fds = cpu->seg[site->x87_opcode >> 11 & 7].selector;
}

JIT_VECTOR_SAFE void jit_take_site(Cpu *cpu, const JitSite *site)
{
    set_rip(cpu, site->offset);
    jit_take_flags_from(cpu, site->flags_from);
    if (UNLIKELY(site->x87_offset != NO_X87))
        note_x87(cpu, site);
}

/* --- helpers ---------------------------------------------------------------------------------- */

/* MNEMONIC is ZYDIS_MNEMONIC_INVALID where no block knows it. */
JIT_VECTOR_SAFE static void interpret(Cpu *cpu, unsigned mnemonic)
{
    JitCpu *jc = jit_state(cpu);

    jit_count(&jc->statistics.interpreted);
    jit_count(&jc->interpreted[mnemonic]);
    cpu_spill_vectors(cpu);
    if (UNLIKELY(cpu->lockstep))
        lockstep_look_at_next(cpu);
    interp_one(cpu);
}

JIT_VECTOR_SAFE static bool store_meets_code(Cpu *cpu, const void *host, unsigned size)
{
    RamBlock *block = ram_block_find_host(cpu->memory, host);

    if (!block)
        return true;
    return !jit_smc_store_is_plain(jit_state(cpu), block, (const uint8_t *)host - block->host,
                                   size);
}

/* Whether nothing about the access at LINEAR faults: both its ends are translated. */
JIT_VECTOR_SAFE static bool is_mapped(Cpu *cpu, uint64_t linear, unsigned size, MmuAccess access)
{
    unsigned set = cpu_mmu_index(cpu);
    uint64_t last = linear + size - 1;
    uint32_t error;

    return mmu_fill(cpu, set, linear, access, &error) == MMU_FILLED &&
           (!((linear ^ last) & GUEST_PAGE_MASK) ||
            mmu_fill(cpu, set, last, access, &error) == MMU_FILLED);
}

/* The bytes at LINEAR, of two pages, put together where they are as far off alignment. */
JIT_VECTOR_SAFE static void *load_apart(Cpu *cpu, uint64_t linear, unsigned size)
{
    uint8_t *bytes = cpu->straddle + (linear & 63);

    if (size > sizeof cpu->straddle - 63)
        return NULL;
    mmu_load_bytes(cpu, linear, bytes, size);
    return bytes;
}

/* The store at LINEAR, to two pages, if it is a plain MOV from a register to plain memory. Returns
 * where translated code may store the value as well, to no effect, or NULL. */
JIT_VECTOR_SAFE static void *store_apart(Cpu *cpu, uint64_t linear, const JitSite *site)
{
    uint8_t *spare = cpu->straddle + (linear & 63);
    unsigned first = GUEST_PAGE_SIZE - (linear & 0xfff);

    if (site->x87_offset != NO_X87 || !(site->source & SOURCE_KNOWN))
        return NULL;
    uint8_t *low = mmu_host_pointer(cpu, linear, 1, ACCESS_WRITE);
    uint8_t *high = mmu_host_pointer(cpu, linear + first, 1, ACCESS_WRITE);
    if (!low || !high)
        return NULL;
    uint64_t value = cpu->gpr[site->source & ~SOURCE_KNOWN];
    for (unsigned i = 0; i < site->size; i++, value >>= 8)
        *(i < first ? low + i : high + i - first) = (uint8_t)value;
    return spare;
}

JIT_VECTOR_SAFE static void count_slow(Cpu *cpu, JitSlow kind)
{
    jit_count(&jit_state(cpu)->statistics.slow[kind]);
}

/* Host memory for a store, not over pages, to a page that is not for plain stores; or NULL. */
JIT_VECTOR_SAFE static void *store_near_code(Cpu *cpu, uint64_t linear, unsigned size)
{
    void *host = mmu_locked_pointer(cpu, linear, size);

    if (host && store_meets_code(cpu, host, size))
        host = NULL;
    count_slow(cpu, host ? JIT_SLOW_NEAR_CODE : JIT_SLOW_OTHER);
    return host;
}

/* Host memory for the access at LINEAR, or NULL where the interpreter must see to it. */
JIT_VECTOR_SAFE static void *host_memory(Cpu *cpu, uint64_t linear, const JitSite *site)
{
    bool store = site->flags & SITE_STORE;
    MmuAccess access = store ? ACCESS_WRITE : ACCESS_READ;
    uint64_t last = linear + site->size - 1;
    bool crosses = (linear ^ last) & GUEST_PAGE_MASK;

    /* Alignment faults, ends of segments and waiting x87 exceptions come before page faults: the
     * interpreter knows. */
    if ((cpu->mode & MODE_WATCHED) ||
        (cpu->mode & MODE_CS64 ? !(cpu_canonical(linear) && cpu_canonical(last))
                               : last > UINT32_MAX) ||
        ((site->flags & SITE_ALIGNED) && (linear & (site->size - 1u))) ||
        ((site->flags & SITE_X87) && !is_mapped(cpu, linear, site->size, access))) {
        count_slow(cpu, JIT_SLOW_ODD);
        return NULL;
    }
    void *host = mmu_host_pointer(cpu, linear, site->size, access);
    if (LIKELY(host)) {
        count_slow(cpu, JIT_SLOW_REFILL);
        return host;
    }
    if (crosses) {
        count_slow(cpu, JIT_SLOW_SPLIT);
        return store ? store_apart(cpu, linear, site) : load_apart(cpu, linear, site->size);
    }
    if (store)
        return store_near_code(cpu, linear, site->size);
    count_slow(cpu, JIT_SLOW_OTHER);
    return NULL;
}

/* The access at LINEAR missed the soft TLB. Returns where the bytes are in host memory; or executes
 * the whole instruction, which has changed nothing yet, and returns NULL. */
JIT_VECTOR_SAFE void *jit_helper_slow(Cpu *cpu, uint64_t linear, const JitSite *site)
{
    bool live = cpu->vectors_live;

    jit_take_site(cpu, site);
    void *host = host_memory(cpu, linear, site);
    if (!host) {
        interpret(cpu, site->mnemonic);
        return NULL;
    }
    if (live && !cpu->vectors_live)
        vectors_load(cpu);
    return host;
}

JIT_VECTOR_SAFE void jit_interpret_site(Cpu *cpu, const JitSite *site)
{
    jit_take_site(cpu, site);
    interpret(cpu, site->mnemonic);
}

JIT_VECTOR_SAFE uint64_t jit_helper_interp(Cpu *cpu, uint64_t unused, const JitSite *site)
{
    uint32_t mode = cpu->mode;

    jit_take_site(cpu, site);
    uint64_t next = cpu->rip + site->size;
    interpret(cpu, site->mnemonic);
    if (site->flags & SITE_CUT)
        jit_crossing_interpreted(cpu, site);
    if (!(site->flags & SITE_STAYS) || cpu->rip != next || cpu->mode != mode ||
        atomic_load_explicit(&cpu->requests, memory_order_relaxed) || cpu->interrupt_shadow ||
        jit_state(cpu)->leave || cpu->halt_state != CPU_RUNNING)
        return 0;
    jit_put_flags(cpu);
    return 1;
}

JIT_VECTOR_SAFE void jit_helper_vectors(Cpu *cpu)
{
    vectors_load(cpu);
}

/* --- blocks ----------------------------------------------------------------------------------- */

/* Links lead from one of the kernel's TLB sets to the other, and nothing else of the mode changes
 * there: each set has returns of its own, and the two of the kernel are forgotten together. */
JIT_VECTOR_SAFE void jit_enter_context(JitCpu *jc, JitContext *context)
{
    bool user = (context->mode & MODE_CPL) == MODE_CPL;
    uint32_t mode = context->mode & ~(uint32_t)MODE_MMU;

    jc->context = context;
    jc->cpu->jit[SLOT_TARGETS] = (uintptr_t)context->targets;
    if (jc->returns_mode[user] != mode) {
        jc->returns_mode[user] = mode;
        jit_cache_forget_returns(jc, 1u << user);
    }
}

static JitBlock *translate(JitCpu *jc, const JitKey *key, const uint8_t *host_page)
{
    cpu_spill_vectors(jc->cpu);
    uint64_t begin = __builtin_ia32_rdtsc();
    JitBlock *block = jit_translate(jc, key, host_page);
    jc->statistics.translation_ticks += __builtin_ia32_rdtsc() - begin;
    return block;
}

/* BLOCK is about to be entered at LINEAR by another way than a link. */
JIT_VECTOR_SAFE static void note_entry(JitCpu *jc, const JitBlock *block, uint64_t linear)
{
    unsigned set = jc->cpu->cpl == 3;
    uint32_t epoch = (uint32_t)jc->cpu->jit[SLOT_EPOCH + set] + 1;
    JitPage *page = block->page;

    linear &= GUEST_PAGE_MASK;
    if (UNLIKELY(page->seen[set].epoch == epoch && page->seen[set].linear != linear &&
                 !page->aliased)) {
        page->aliased = true;
        jit_unlink_page(jc, page);
    }
    page->seen[set].linear = linear;
    page->seen[set].epoch = epoch;
}

/* The block at CS:RIP; NULL when the instruction there must be interpreted. Raises what fetching
 * it raises. */
JIT_VECTOR_SAFE static JitBlock *find_block(JitCpu *jc, JitKey *key, bool ungrouped)
{
    Cpu *cpu = jc->cpu;
    uint64_t linear = cpu->rip;

    if (UNLIKELY(cpu->mode & MODE_INTERPRETED))
        return NULL;
    if (cpu->mode & MODE_CS64) {
        if (!cpu_canonical(linear))
            return NULL;
    } else {
        if (cpu->rip > cpu->seg[SEG_CS].limit)
            return NULL;
        linear = (uint32_t)(linear + cpu->seg[SEG_CS].base);
    }
    if (UNLIKELY(cpu->mode & MODE_DEBUGGED) && debug_breaks_at_offset(cpu, linear & 0xfff))
        return NULL;
    int i = mmu_fetch_entry(cpu, linear);
    if (i < 0)
        return NULL;
    const FetchTlb *fetch = &cpu->fetch[cpu->cpl == 3];
    key->ram = fetch->ram[i] + (linear & 0xfff);
    key->mode = cpu->mode | (ungrouped ? KEY_UNGROUPED : 0);
    uint64_t page = cpu->rip - (linear & 0xfff);
    if (cpu->mode & (MODE_CS64 | MODE_FLAT_CS)) {
        key->eip_base = 0;
        key->limit = UINT32_MAX;
        cpu->jit[SLOT_PAGE] = cpu->mode & MODE_CS64 ? page : (uint32_t)page;
    } else {
        key->eip_base = (uint32_t)page;
        key->limit = cpu->seg[SEG_CS].limit;
        cpu->jit[SLOT_PAGE] = (uint32_t)page;
    }
    JitBlock *block = jit_page_fetched_block(jc, cpu->cpl == 3, (unsigned)i, key);
    if (UNLIKELY(!block))
        block = translate(jc, key, (const uint8_t *)fetch->host[i]);
    if (LIKELY(block))
        note_entry(jc, block, linear);
    return block;
}

/* Without a look at anything that may fault or must be made first: those come by the dispatcher. */
JIT_VECTOR_SAFE const void *jit_helper_target(Cpu *cpu, uint64_t rip)
{
    JitCpu *jc = jit_state(cpu);
    const FetchTlb *fetch = &cpu->fetch[cpu->cpl == 3];
    unsigned i = cpu_fetch_index(rip);

    if (atomic_load_explicit(&cpu->requests, memory_order_relaxed) || !(cpu->mode & MODE_CS64) ||
        jc->jit->options.no_links || rip - fetch->tag[i] >= GUEST_PAGE_SIZE)
        return NULL;
    JitKey key = {fetch->ram[i] + (rip & 0xfff), cpu->mode, 0, UINT32_MAX};
    JitBlock *block = jit_page_fetched_block(jc, cpu->cpl == 3, i, &key);
    if (!block)
        return NULL;
    note_entry(jc, block, rip);
    /* A link may have led into another mode. */
    if (cpu->jit[SLOT_TARGETS] != (uintptr_t)jc->context->targets)
        jit_enter_context(jc, jit_cache_context(jc, cpu->mode, 0, UINT32_MAX));
    jit_cache_put_target(jc, rip, block);
    return jit_rx(jc, block->indirect_entry);
}

/* Last offset that may be read and written through each segment without a look at its type. */
JIT_VECTOR_SAFE static void put_segment_limits(Cpu *cpu)
{
    bool real = !(cpu->mode & MODE_PE) || (cpu->mode & MODE_VM86);

    for (unsigned i = 0; i <= SEG_GS; i++) {
        const CpuSegment *seg = &cpu->seg[i];
        uint64_t *limits = &cpu->jit[SLOT_LIMITS + i * 2];
        unsigned type = seg->attributes & ATTR_TYPE;
        bool code = type & ATTR_CODE;
        bool usable = (seg->attributes & ATTR_P) && (seg->attributes & ATTR_S) &&
                      (code || !(type & ATTR_EXPAND_DOWN));
        limits[0] = limits[1] = UINT64_MAX;
        if (real && i == SEG_CS)
            usable = true;
        if (!usable)
            continue;
        if (real || !code || (type & ATTR_READABLE))
            limits[0] = seg->limit;
        if (real || (!code && (type & ATTR_WRITABLE)))
            limits[1] = seg->limit;
    }
}

/* --- coming back from generated code ---------------------------------------------------------- */

/* What the next block shall be connected to. */
typedef struct {
    uint32_t exit;       /* number + 1 */
    bool ungrouped;      /* the next block is one with KEY_UNGROUPED */
    bool target;         /* an indirect branch wants RIP in its table */
    bool unshown;        /* the next block overwrites flags at once that are not known */
    JitBlock *dead;      /* was entered and should lead on */
    uint64_t generation; /* of the cache when this was noted */
} Connection;

JIT_VECTOR_SAFE static unsigned trap_offset(const JitTrap *trap)
{
    return trap->host_offset & ~(unsigned)TRAP_FLAGS;
}

JIT_VECTOR_SAFE static JitFlags trap_flags(Cpu *cpu, const JitTrap *trap)
{
    JitFlags from = trap->flags_from;

    if (from.second == FLAGS_WIDE_CONSTANT) {
        cpu->jit[SLOT_NOTES + 1] = (uint64_t)(int64_t)trap[-1].constant;
        from.second = FLAGS_NOTED + 1;
    }
    return from;
}

JIT_VECTOR_SAFE static void handle_trap(JitCpu *jc)
{
    Cpu *cpu = jc->cpu;
    const uint8_t *rw = jit_rw(jc, (const void *)cpu->jit[SLOT_TRAP]);
    JitBlock *block = jit_cache_block_at(jc, rw);

    jit_count(&jc->statistics.traps);
    if (!block || !block->n_traps)
        __builtin_trap(); /* a fault of ours: no guest instruction stands there */
    const JitTrap *traps = &jc->traps[block->first_trap];
    unsigned low = 0, high = block->n_traps;
    while (high - low > 1) {
        unsigned middle = (low + high) / 2;
        if (trap_offset(&traps[middle]) <= rw - block->entry)
            low = middle;
        else
            high = middle;
    }
    if (trap_offset(&traps[low]) != rw - block->entry)
        __builtin_trap();
    JitSite site = {.x87_offset = NO_X87};
    if (low > 0 && traps[low - 1].host_offset == traps[low].host_offset &&
        (traps[low - 1].where & TRAP_X87)) {
        site.x87_offset = traps[low].x87_offset;
        site.x87_opcode = traps[low].x87_opcode;
        low--;
    }
    site.offset = traps[low].where & TRAP_OFFSET;
    unsigned flags = low;
    while (flags > 0 && !(traps[flags].host_offset & TRAP_FLAGS))
        flags--;
    if (traps[flags].host_offset & TRAP_FLAGS)
        site.flags_from = trap_flags(cpu, &traps[flags]);
    if (site.flags_from.kind == FLAGS_NONE)
        jit_take_flags(cpu, cpu->jit[SLOT_SCRATCH]);
    jit_take_site(cpu, &site);
    interpret(cpu, traps[low].mnemonic);
}

/* --- where time is spent ---------------------------------------------------------------------- */

enum {
    TICKS_A_MISS = 4096, /* fewer between two misses of a SitePage make it a loss */
    MAX_LOOP = 2048,     /* bytes of code */
};

static void look_at_sites(JitCpu *jc, uint64_t ticks)
{
    for (unsigned store = 0; store < 2; store++)
        for (unsigned i = 0; i < N_SITES; i++) {
            uint64_t misses = 0;
            for (unsigned set = 0; set < N_MMU; set++) {
                misses += jc->cpu->sites[set][store].misses[i].count;
                jc->cpu->sites[set][store].misses[i].count = 0;
            }
            if (misses > ticks / TICKS_A_MISS && jc->site_owners[store][i])
                jit_smc_give_up_sites(jc, jc->site_owners[store][i]);
        }
}

/* A request, mostly the guest's timer, caught the vCPU on the way from RIP's page offset FROM to
 * RIP: hardly a matter of chance if that is a loop. */
JIT_VECTOR_SAFE static void sample(JitCpu *jc, unsigned other)
{
    Cpu *cpu = jc->cpu;
    const FetchTlb *fetch = &cpu->fetch[cpu->cpl == 3];
    uint64_t page = cpu->rip & GUEST_PAGE_MASK, now = __builtin_ia32_rdtsc();
    unsigned i = cpu_fetch_index(page);
    unsigned first = MIN(other, cpu->rip & 0xfff), last = MAX(other, cpu->rip & 0xfff);

    jit_note_sample(jc, now);
    if (now - jc->last_sample < SAMPLE_TICKS || fetch->tag[i] != page || !(cpu->mode & MODE_CS64))
        return;
    uint64_t since = now - jc->last_sample;
    jc->last_sample = now;
    if (last - first > MAX_LOOP)
        first = last = cpu->rip & 0xfff;
    cpu_spill_vectors(cpu);
    look_at_sites(jc, since);
    jit_smc_sample(jc, fetch->ram[i], first, last);
}

/* --- coming back, by reason ------------------------------------------------------------------- */

/* The N-th number behind the call that left. */
JIT_VECTOR_SAFE static int32_t read_site(const uint8_t *site, unsigned n)
{
    struct {
        int32_t value;
    } __attribute__((packed)) const *numbers = (const void *)site;

    return numbers[n].value;
}

/* On the way to a block that needs the flags it finds in EFLAGS, or may show those that SLOT_FLAGS
 * says. */
JIT_VECTOR_SAFE static void take_flags_between(Cpu *cpu, bool live, bool shown)
{
    if (live || !shown)
        jit_take_flags(cpu, cpu->jit[SLOT_SCRATCH]);
    else
        jit_take_flags_from(cpu, jit_flags_noted(cpu));
}

JIT_VECTOR_SAFE static void come_back(JitCpu *jc, JitLeft reason, Connection *connection)
{
    Cpu *cpu = jc->cpu;
    const uint8_t *site = (const uint8_t *)cpu->jit[SLOT_SITE];

    connection->exit = 0;
    connection->target = false;
    connection->ungrouped = false;
    connection->unshown = false;
    connection->dead = NULL;
    connection->generation = jc->generation;
    switch (reason) {
    case LEFT_LINK: {
        uint32_t number = (uint32_t)read_site(site, 0);
        const JitExit *exit = &jc->exits[number];
        jit_count(&jc->statistics.exits_direct);
        if (exit->returns)
            jit_take_flags(cpu, cpu->jit[SLOT_FLAGS]);
        else
            take_flags_between(cpu, exit->live, exit->shown);
        connection->unshown = !exit->shown;
        set_rip(cpu, exit->target);
        connection->ungrouped = exit->ungrouped;
        if (!jc->jit->options.no_links)
            connection->exit = number + 1;
        break;
    }
    case LEFT_INDIRECT:
        jit_count(&jc->statistics.exits_indirect);
        jit_take_flags(cpu, cpu->jit[SLOT_FLAGS]);
        connection->target = !jc->jit->options.no_links;
        if (atomic_load_explicit(&cpu->requests, memory_order_relaxed))
            sample(jc, cpu->rip & 0xfff);
        break;
    case LEFT_REQUEST:
        jit_count(&jc->statistics.exits_requested);
        jit_take_flags_from(cpu, (JitFlags){.packed = (uint32_t)read_site(site, 2)});
        set_rip(cpu, read_site(site, 0));
        sample(jc, (unsigned)read_site(site, 1));
        break;
    case LEFT_DEAD: {
        JitBlock *block = jit_cache_block_at(jc, jit_rw(jc, site) - 1);
        take_flags_between(cpu, block->live_in, block->shown_in);
        connection->unshown = !block->shown_in;
        set_rip(cpu, (int64_t)(block->key.ram & 0xfff));
        connection->dead = block;
        connection->ungrouped = block->key.mode & KEY_UNGROUPED;
        break;
    }
    case LEFT_TRAP: handle_trap(jc); break;
    case LEFT_DONE: break;
    }
}

JIT_VECTOR_SAFE static void connect(JitCpu *jc, const Connection *connection, JitBlock *block)
{
    Cpu *cpu = jc->cpu;

    if (connection->generation != jc->generation)
        return;
    if (connection->exit) {
        const JitExit *exit = &jc->exits[connection->exit - 1];
        uint8_t *site = jit_at(jc, exit->site);
        if (!jit_block(jc, exit->block)->valid)
            return;
        /* Without groups the block may hand on flags that the one with them only shows. */
        if (!exit->live && block->live_in && block->shown_in)
            return;
        if (exit->targets_before) {
            if (!jit_cache_pin_context(jc, jc->context))
                return;
            *(HostU64 *)(site - exit->targets_before) = (uintptr_t)jc->context->targets;
        }
        if (exit->far || exit->returns) {
            cpu_spill_vectors(cpu);
            if (exit->far)
                jit_link_far(jc, connection->exit - 1, block);
            else
                jit_link_return(jc, connection->exit - 1, block);
        } else {
            emit_patch(site, block->entry);
            jit_count(&jc->statistics.links);
        }
    } else if (connection->target) {
        /* The branch was left in the mode that it is found in: only helpers change the mode, and
         * they leave in another way. */
        jit_cache_put_target(jc, cpu->rip, block);
    } else if (connection->dead && connection->dead != block &&
               jit_key_equal(&connection->dead->key, &block->key)) {
        Emit e = {connection->dead->entry};
        emit_jmp(&e, block->entry);
    }
}

/* --- the loop --------------------------------------------------------------------------------- */

static JitCpu *state_of(Cpu *cpu)
{
    Jit *jit = cpu->jit_shared;
    JitCpu *jc = jit_state(cpu);

    if (jc && jc->jit == jit)
        return jc;
    jc = NULL;
    g_mutex_lock(&jit->lock);
    for (guint i = 0; i < jit->cpus->len && !jc; i++) {
        JitCpu *known = g_ptr_array_index(jit->cpus, i);
        if (known->cpu == cpu) {
            jc = known; /* a reset cleared the slots */
            jc->flush_first = true;
        }
    }
    if (!jc && !jit->no_cache) {
        jc = jit_cpu_new(jit, cpu);
        if (jc) {
            g_ptr_array_add(jit->cpus, jc);
            mmu_flush_all(cpu); /* nobody has told it of code pages */
        } else {
            jit->no_cache = true;
        }
    }
    cpu->jit[SLOT_STATE] = (uintptr_t)jc;
    g_mutex_unlock(&jit->lock);
    return jc;
}

JIT_VECTOR_SAFE static bool must_return(const Cpu *cpu)
{
    return atomic_load_explicit(&cpu->requests, memory_order_relaxed) || cpu->interrupt_shadow ||
           cpu->halt_state != CPU_RUNNING || (cpu->mode & (MODE_TF | MODE_DEBUG));
}

JIT_VECTOR_SAFE static bool is_at_breakpoint(Cpu *cpu)
{
    return UNLIKELY(cpu->mode & MODE_DEBUGGED) && debug_at_breakpoint(cpu);
}

/* Now and then, at a time that no program can know. */
static void flush_at_random(JitCpu *jc)
{
    unsigned chance = (unsigned)(__builtin_ia32_rdtsc() >> 4) % 512;

    cpu_spill_vectors(jc->cpu);
    if (chance < 32)
        mmu_flush_all(jc->cpu);
    if (chance == 0)
        jc->flush_first = true;
}

JIT_VECTOR_SAFE void jit_run(Cpu *cpu)
{
    typedef uint64_t (*Enter)(Cpu * cpu, const void *code);
    JitCpu *jc = state_of(cpu);

    if (!jc) {
        do
            interp_one(cpu);
        while (!must_return(cpu) && !is_at_breakpoint(cpu));
        return;
    }
    Enter enter = (Enter)(uintptr_t)jc->stub_enter;
    Connection connection = {0};

    cpu->jit_frame = (uintptr_t)__builtin_frame_address(0);
    jit_trap_enter(jc);
    if (UNLIKELY(jc->jit->options.random_flushes))
        flush_at_random(jc);
    do {
        if (UNLIKELY(atomic_load_explicit(&jc->oldest_stale, memory_order_acquire))) {
            cpu_spill_vectors(cpu);
            jit_take_notes(cpu);
        }
        if (UNLIKELY(jc->flush_first)) {
            cpu_spill_vectors(cpu);
            jit_cache_flush(jc);
        }
        if (UNLIKELY(jc->evict_first)) {
            cpu_spill_vectors(cpu);
            jit_cache_evict(jc);
        }
        JitKey key;
        JitBlock *block = find_block(jc, &key, connection.ungrouped);
        if (UNLIKELY(!block)) {
            if (is_at_breakpoint(cpu))
                break;
            connection = (Connection){0};
            interpret(cpu, ZYDIS_MNEMONIC_INVALID);
            continue;
        }
        jit_enter_context(jc, jit_cache_context(jc, cpu->mode,
                                                key.limit == UINT32_MAX ? 0 : cpu->seg[SEG_CS].base,
                                                key.limit));
        connect(jc, &connection, block);
        if (!(cpu->mode & MODE_CS64))
            put_segment_limits(cpu);
        jc->leave = false;
        jit_put_flags(cpu);
        jit_count(&jc->statistics.exits);
        JitLeft reason = enter(cpu, jit_rx(jc, block->entry));
        come_back(jc, reason, &connection);
        /* A block that could not begin for its groups has not got ahead. */
    } while (connection.ungrouped || connection.unshown ||
             !(must_return(cpu) || lockstep_is_over(cpu)));
    cpu_spill_vectors(cpu);
}

void jit_limit_blocks(Cpu *cpu, unsigned max_insns)
{
    JitCpu *jc = state_of(cpu);

    cpu->jit_shared->options.max_insns = max_insns;
    if (jc)
        jc->flush_first = true;
}

/* --- the machine's part ----------------------------------------------------------------------- */

Jit *jit_new_with_options(const JitOptions *options, GError **error)
{
    if (options->perf && !jit_perf_open(error))
        return NULL;
    Jit *jit = g_new0(Jit, 1);
    jit->options = *options;
    g_mutex_init(&jit->lock);
    jit->cpus = g_ptr_array_new();
    jit->code_pages = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    jit_trap_install();
    jit_smc_install();
    return jit;
}

Jit *jit_new(GError **error)
{
    JitOptions options = JIT_OPTIONS_DEFAULT;

    return jit_new_with_options(&options, error);
}

const JitOptions *jit_options(const Jit *jit)
{
    return &jit->options;
}

void jit_free(Jit *jit)
{
    if (!jit)
        return;
    for (guint i = 0; i < jit->cpus->len; i++)
        jit_cpu_free(g_ptr_array_index(jit->cpus, i));
    g_ptr_array_unref(jit->cpus);
    g_hash_table_unref(jit->code_pages);
    g_mutex_clear(&jit->lock);
    g_free(jit);
}
