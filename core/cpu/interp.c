/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * One instruction: fetch, decode, execute, advance.
 *
 * Decoded instructions are cached under the address they stood at and are believed only while the
 * bytes at hand are the same, so that code may be rewritten, remapped or shared at will.
 */

#include "core/cpu/interp.h"

#include "core/cpu/cpuid.h"
#include "core/cpu/hostexec.h"
#include "core/cpu/interp-memory.h"
#include "core/cpu/interp-private.h"

#include <string.h>

#define CACHE_BITS   13
#define FETCH_WINDOW 16 /* bytes compared at once */

/* The mode bits that change what bytes mean. */
#define DECODE_MODE  (MODE_CS64 | MODE_CS32)

typedef struct {
    uint64_t bytes[2], mask[2]; /* the instruction's bytes and which of them count */
    InterpHandler handler;
    uint32_t mode; /* DECODE_MODE bits; UINT32_MAX: empty */
    uint32_t length;
    Insn insn;
} CacheEntry;

struct InterpCache {
    HostExec *hostexec;
    CacheEntry entries[1 << CACHE_BITS];
};

/* --- which instructions the model has --------------------------------------------------------- */

/* The CPUID feature that the instructions of a set belong to, + 1; 0: every processor has them. */
static const uint16_t set_features[ZYDIS_ISA_SET_MAX_VALUE + 1] = {
    [ZYDIS_ISA_SET_ADOX_ADCX] = CPUID_ADX + 1,
    [ZYDIS_ISA_SET_AES] = CPUID_AES + 1,
    [ZYDIS_ISA_SET_AVX] = CPUID_AVX + 1,
    [ZYDIS_ISA_SET_AVX2] = CPUID_AVX2 + 1,
    [ZYDIS_ISA_SET_AVX2GATHER] = CPUID_AVX2 + 1,
    [ZYDIS_ISA_SET_AVXAES] = CPUID_AES + 1,
    [ZYDIS_ISA_SET_BMI1] = CPUID_BMI1 + 1,
    [ZYDIS_ISA_SET_BMI2] = CPUID_BMI2 + 1,
    [ZYDIS_ISA_SET_CLFLUSHOPT] = CPUID_CLFLUSHOPT + 1,
    [ZYDIS_ISA_SET_CLFSH] = CPUID_CLFLUSH + 1,
    [ZYDIS_ISA_SET_CLWB] = CPUID_CLWB + 1,
    [ZYDIS_ISA_SET_CMOV] = CPUID_CMOV + 1,
    [ZYDIS_ISA_SET_CMPXCHG16B] = CPUID_CX16 + 1,
    [ZYDIS_ISA_SET_F16C] = CPUID_F16C + 1,
    [ZYDIS_ISA_SET_FCMOV] = CPUID_CMOV + 1,
    [ZYDIS_ISA_SET_FMA] = CPUID_FMA + 1,
    [ZYDIS_ISA_SET_FXSAVE] = CPUID_FXSR + 1,
    [ZYDIS_ISA_SET_INVPCID] = CPUID_INVPCID + 1,
    [ZYDIS_ISA_SET_LZCNT] = CPUID_ABM + 1,
    [ZYDIS_ISA_SET_MOVBE] = CPUID_MOVBE + 1,
    [ZYDIS_ISA_SET_PCLMULQDQ] = CPUID_PCLMULQDQ + 1,
    [ZYDIS_ISA_SET_PENTIUMMMX] = CPUID_MMX + 1,
    [ZYDIS_ISA_SET_POPCNT] = CPUID_POPCNT + 1,
    [ZYDIS_ISA_SET_RDPID] = CPUID_RDPID + 1,
    [ZYDIS_ISA_SET_RDRAND] = CPUID_RDRAND + 1,
    [ZYDIS_ISA_SET_RDSEED] = CPUID_RDSEED + 1,
    [ZYDIS_ISA_SET_RDTSCP] = CPUID_RDTSCP + 1,
    [ZYDIS_ISA_SET_RDWRFSGS] = CPUID_FSGSBASE + 1,
    [ZYDIS_ISA_SET_SHA] = CPUID_SHA + 1,
    [ZYDIS_ISA_SET_SMAP] = CPUID_SMAP + 1,
    [ZYDIS_ISA_SET_SSE] = CPUID_SSE + 1,
    [ZYDIS_ISA_SET_SSE2] = CPUID_SSE2 + 1,
    [ZYDIS_ISA_SET_SSE2MMX] = CPUID_SSE2 + 1,
    [ZYDIS_ISA_SET_SSE3] = CPUID_SSE3 + 1,
    [ZYDIS_ISA_SET_SSE3X87] = CPUID_SSE3 + 1,
    [ZYDIS_ISA_SET_SSE4] = CPUID_SSE4_1 + 1,
    [ZYDIS_ISA_SET_SSE42] = CPUID_SSE4_2 + 1,
    [ZYDIS_ISA_SET_SSEMXCSR] = CPUID_SSE + 1,
    [ZYDIS_ISA_SET_SSSE3] = CPUID_SSSE3 + 1,
    [ZYDIS_ISA_SET_SSSE3MMX] = CPUID_SSSE3 + 1,
    [ZYDIS_ISA_SET_XSAVE] = CPUID_XSAVE + 1,
    [ZYDIS_ISA_SET_XSAVEC] = CPUID_XSAVEC + 1,
    [ZYDIS_ISA_SET_XSAVEOPT] = CPUID_XSAVEOPT + 1,
};

/* Extensions without a feature bit in our table are never shown. */
static bool is_never_shown(const Insn *insn)
{
    switch (insn->isa_set) {
    case ZYDIS_ISA_SET_AVX_GFNI:
    case ZYDIS_ISA_SET_AVX_VNNI:
    case ZYDIS_ISA_SET_GFNI:
    case ZYDIS_ISA_SET_MONITOR:
    case ZYDIS_ISA_SET_VAES:
    case ZYDIS_ISA_SET_VPCLMULQDQ: return true;
    default: return false;
    }
}

bool interp_insn_exists(const Cpu *cpu, const Insn *insn)
{
    unsigned feature = set_features[insn->isa_set];

    if (!cpu->model)
        return true;
    return feature ? cpuid_has(cpu->model, feature - 1) : !is_never_shown(insn);
}

/* --- handlers --------------------------------------------------------------------------------- */

static void insn_undefined(Cpu *cpu, const Insn *insn)
{
    cpu_raise(cpu, EXC_UD);
}

static InterpHandler find_handler(const Cpu *cpu, const Insn *insn)
{
    static InterpHandler (*const finders[])(const Insn *) = {
        interp_string_handler, interp_data_handler,   interp_alu_handler,  interp_shift_handler,
        interp_muldiv_handler, interp_stack_handler,  interp_flow_handler, interp_system_handler,
        interp_x87_handler,    interp_vector_handler,
    };
    if (!interp_insn_exists(cpu, insn)) {
        if (insn->mnemonic == ZYDIS_MNEMONIC_LZCNT || insn->mnemonic == ZYDIS_MNEMONIC_TZCNT)
            return interp_bit_scan_handler(insn); /* the F3 is ignored */
        return insn_undefined;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(finders); i++) {
        InterpHandler handler = finders[i](insn);
        if (handler)
            return handler;
    }
    return insn_undefined;
}

/* --- the cache -------------------------------------------------------------------------------- */

static struct InterpCache *cache_new(Cpu *cpu)
{
    struct InterpCache *cache = g_new(struct InterpCache, 1);
    cache->hostexec = NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(cache->entries); i++)
        cache->entries[i].mode = UINT32_MAX;
    cpu->interp_cache = cache;
    return cache;
}

HostExec *interp_hostexec(Cpu *cpu)
{
    struct InterpCache *cache = cpu->interp_cache ? cpu->interp_cache : cache_new(cpu);
    if (!cache->hostexec)
        cache->hostexec = hostexec_new();
    return cache->hostexec;
}

void interp_free(Cpu *cpu)
{
    if (!cpu->interp_cache)
        return;
    hostexec_free(cpu->interp_cache->hostexec);
    g_free(cpu->interp_cache);
    cpu->interp_cache = NULL;
}

INTERP_INLINE CacheEntry *cache_slot(struct InterpCache *cache, uint64_t linear)
{
    return &cache->entries[(linear ^ (linear >> CACHE_BITS)) & ((1 << CACHE_BITS) - 1)];
}

static void cache_fill(Cpu *cpu, CacheEntry *entry, uint32_t mode)
{
    uint8_t bytes[FETCH_WINDOW] = {0}, mask[FETCH_WINDOW] = {0};
    entry->handler = find_handler(cpu, &entry->insn);
    entry->mode = mode;
    entry->length = entry->insn.length;
    memcpy(bytes, entry->insn.bytes, entry->length);
    memset(mask, 0xff, entry->length);
    memcpy(entry->bytes, bytes, sizeof bytes);
    memcpy(entry->mask, mask, sizeof mask);
}

/* --- one instruction -------------------------------------------------------------------------- */

INTERP_INLINE void execute(Cpu *cpu, const Insn *insn, InterpHandler handler)
{
    uint64_t next = cpu->rip + insn->length;
    cpu->next_rip = cpu->mode & MODE_CS64 ? next : (uint32_t)next;
    handler(cpu, insn);
    cpu->rip = cpu->next_rip;
}

/* The last byte must lie within CS. */
INTERP_INLINE void check_code_limit(Cpu *cpu, unsigned length)
{
    if (!(cpu->mode & MODE_CS64) &&
        __builtin_expect(cpu->rip + length - 1 > cpu->seg[SEG_CS].limit, 0))
        cpu_raise_error(cpu, EXC_GP, 0);
}

/* Bytes that are not in the cache, or at a page's end. */
static __attribute__((noinline)) void fetch_and_execute(Cpu *cpu, uint64_t linear,
                                                        InterpWatch *watch)
{
    struct InterpCache *cache = cpu->interp_cache ? cpu->interp_cache : cache_new(cpu);
    CacheEntry *entry = cache_slot(cache, linear);
    uint32_t mode = cpu->mode & DECODE_MODE;
    uint8_t bytes[FETCH_WINDOW] = {0};

    if ((mode & MODE_CS64) && !cpu_canonical(cpu->rip))
        cpu_raise_error(cpu, EXC_GP, 0);
    check_code_limit(cpu, 1);
    unsigned available = mmu_fetch(cpu, linear, bytes, 1);
    uint64_t low, high;
    memcpy(&low, bytes, 8);
    memcpy(&high, bytes + 8, 8);
    if (entry->mode != mode || entry->length > available ||
        (low & entry->mask[0]) != entry->bytes[0] || (high & entry->mask[1]) != entry->bytes[1]) {
        DecodeResult result;
        entry->mode = UINT32_MAX; /* half-filled while a fault may leave this function */
        while ((result = insn_decode(bytes, available, mode, &entry->insn)) == DECODE_NEED_MORE) {
            check_code_limit(cpu, available + 1);
            available = mmu_fetch(cpu, linear, bytes, available + 1);
        }
        if (result == DECODE_TOO_LONG) {
            check_code_limit(cpu, INSN_MAX_BYTES);
            cpu_raise_error(cpu, EXC_GP, 0);
        }
        if (result == DECODE_INVALID)
            cpu_raise(cpu, EXC_UD);
        cache_fill(cpu, entry, mode);
    }
    check_code_limit(cpu, entry->length);
    if (watch)
        watch(cpu, &entry->insn);
    execute(cpu, &entry->insn, entry->handler);
}

/* The entry for the bytes at LINEAR, CS:RIP; NULL if they are not there or cannot be read at once.
 */
INTERP_INLINE const CacheEntry *cached(const Cpu *cpu, uint64_t linear)
{
    const FetchTlb *tlb = &cpu->fetch[cpu->cpl == 3];
    unsigned i = cpu_fetch_index(linear);
    uint64_t delta = linear - tlb->tag[i];

    if (delta > GUEST_PAGE_SIZE - FETCH_WINDOW || !cpu->interp_cache)
        return NULL;
    const HostU64 *code = (const HostU64 *)(uintptr_t)(tlb->host[i] + delta);
    const CacheEntry *entry = cache_slot(cpu->interp_cache, linear);
    bool same = entry->mode == (cpu->mode & DECODE_MODE) &&
                (code[0] & entry->mask[0]) == entry->bytes[0] &&
                (code[1] & entry->mask[1]) == entry->bytes[1];
    return same ? entry : NULL;
}

const Insn *interp_next_insn(const Cpu *cpu)
{
    const CacheEntry *entry = cached(cpu, cpu_linear_rip(cpu));

    return entry ? &entry->insn : NULL;
}

INTERP_INLINE void execute_next(Cpu *cpu, InterpWatch *watch)
{
    uint64_t linear = cpu_linear_rip(cpu);
    const CacheEntry *entry = cached(cpu, linear);

    if (!entry) {
        fetch_and_execute(cpu, linear, watch);
        return;
    }
    check_code_limit(cpu, entry->length);
    if (watch)
        watch(cpu, &entry->insn);
    execute(cpu, &entry->insn, entry->handler);
}

void interp_one(Cpu *cpu)
{
    execute_next(cpu, NULL);
}

void interp_one_watched(Cpu *cpu, InterpWatch *watch)
{
    execute_next(cpu, watch);
}

void interp_execute(Cpu *cpu, const Insn *insn)
{
    find_handler(cpu, insn)(cpu, insn);
    cpu->rip = cpu->next_rip;
}
