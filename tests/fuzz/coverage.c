/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The coverage list: every form (mnemonic, encoding, operand size, vector length, register or
 * memory, counting prefix) that Zydis' decoder tables hold for a mode, found by decoding every
 * opcode with every prefix that selects another instruction. A form is fuzzed or exempt with a
 * reason.
 */

#include "core/cpu/cpuid.h"
#include "core/cpu/interp.h"
#include "tests/fuzz/fuzz.h"

#include <cpuid.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static GArray *forms, *templates; /* FuzzForm, FuzzTemplate by form */
static GArray *pickable[N_FUZZ_MODES];
static uint32_t (*counts)[N_ADDRESS_FORMS]; /* by form, shared */

/* --- verdicts --------------------------------------------------------------------------------- */

static const char *exemption(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_RDPID:
    case ZYDIS_MNEMONIC_RDRAND:
    case ZYDIS_MNEMONIC_RDSEED:
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_RDTSCP: return "gives another result each time";
    case ZYDIS_MNEMONIC_WRFSBASE:
    case ZYDIS_MNEMONIC_WRGSBASE: return "changes a segment: test-system";
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ: return "sets TF and AC, which the run loop serves: test-run";
    case ZYDIS_MNEMONIC_HLT: return "ends the run";
    case ZYDIS_MNEMONIC_STI:
    case ZYDIS_MNEMONIC_CLI: return "opens shadows that the run loop serves: test-run";
    case ZYDIS_MNEMONIC_SYSCALL:
    case ZYDIS_MNEMONIC_SYSENTER:
    case ZYDIS_MNEMONIC_SYSEXIT:
    case ZYDIS_MNEMONIC_SYSRET:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
    case ZYDIS_MNEMONIC_INT:
    case ZYDIS_MNEMONIC_INT1:
    case ZYDIS_MNEMONIC_INT3:
    case ZYDIS_MNEMONIC_INTO:
    case ZYDIS_MNEMONIC_RSM: return "goes through descriptor tables: test-system";
    default: break;
    }
    if ((insn->category_flags & INSN_IS_BRANCH) && (insn->category_flags & INSN_IS_SYSTEM))
        return "goes through descriptor tables: test-system";
    return NULL;
}

/* Processors that deprecate the x87's selectors (CPUID.7.EBX bit 13) store zeros for them (SDM 1,
 * 8.1.8). */
static bool shows_x87_selectors(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_FNSAVE:
    case ZYDIS_MNEMONIC_FNSTENV:
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_XSAVE:
    case ZYDIS_MNEMONIC_XSAVEC:
    case ZYDIS_MNEMONIC_XSAVEOPT: return true;
    default: return false;
    }
}

static bool host_has_x87_selectors(void)
{
    unsigned eax, ebx, ecx, edx;

    return !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(ebx & 1u << 13);
}

static bool loads_segment(const Insn *insn)
{
    for (unsigned i = 0; i < insn->n_operands; i++)
        if (insn->operands[i].reg_class == REG_CLASS_SEG &&
            (insn->operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
            return true;
    return false;
}

/* System instructions that are no secret between the host's system and its processes. */
static bool is_harmless(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ:
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2: return true;
    default: return false;
    }
}

static bool names_segment(const Insn *insn)
{
    for (unsigned i = 0; i < insn->n_operands; i++)
        if (insn->operands[i].kind == OPERAND_REG && insn->operands[i].reg_class == REG_CLASS_SEG)
            return true;
    return false;
}

/* A CPU of the most capable model, to ask what exists. */
static const Cpu *model_cpu(void)
{
    static Cpu *cpu;

    if (!cpu) {
        cpu = g_new0(Cpu, 1);
        cpu->model = cpuid_model_new("max", 1, NULL);
    }
    return cpu;
}

Verdict coverage_verdict(const Insn *insn, FuzzMode mode, const char **reason)
{
    if (!interp_insn_exists(model_cpu(), insn)) {
        *reason = "of an extension that no model shows on this host";
        return VERDICT_EXEMPT;
    }
    *reason = exemption(insn);
    if (*reason)
        return VERDICT_EXEMPT;
    if (insn_has_reserved_prefix(insn)) {
        *reason = "reserved prefix";
        return VERDICT_EXEMPT;
    }
    if (loads_segment(insn)) {
        *reason = "changes a segment: test-system";
        return VERDICT_EXEMPT;
    }
    if (mode == FUZZ_REAL && (insn->category_flags & INSN_IS_SYSTEM) && !is_harmless(insn)) {
        *reason = "is allowed here and changes the machine: test-system";
        return VERDICT_EXEMPT;
    }
    if (mode >= FUZZ_16) {
        *reason = "16-bit code";
        return VERDICT_GUEST;
    }
    if ((insn->category_flags & INSN_IS_SYSTEM) && !is_harmless(insn)) {
        *reason = "shows or needs what the host's system keeps";
        return VERDICT_GUEST;
    }
    if (names_segment(insn)) {
        *reason = "shows the host's selectors";
        return VERDICT_GUEST;
    }
    if (shows_x87_selectors(insn) && !host_has_x87_selectors()) {
        *reason = "shows the x87's selectors, which this host has no more";
        return VERDICT_GUEST;
    }
    if ((insn->category_flags & INSN_HAS_MEMORY || insn->mem_size) && insn->mem_seg >= SEG_FS) {
        *reason = "FS and GS belong to the host's C library";
        return VERDICT_GUEST;
    }
    return VERDICT_HOST;
}

/* --- walking the tables ----------------------------------------------------------------------- */

typedef struct {
    FuzzMode mode;
    ZydisDecoder decoder;
    GHashTable *by_key; /* of forms; number + 1 */
    GHashTable *known;  /* encodings */
    GArray *owners;     /* form of each encoding of `found` */
    GArray *found;
} Walk;

static bool names_by_rm(const FuzzTemplate *t)
{
    if (t->vex)
        return false;
    if (t->map == 0)
        return (t->opcode & 0xf8) == 0xd8;
    return t->map == 1 &&
           (t->opcode == 0x01 || t->opcode == 0xae || t->opcode == 0x1e || t->opcode == 0xc7);
}

static unsigned write_template(const FuzzTemplate *t, uint8_t *bytes)
{
    static const uint8_t maps[] = {0, 0, 0x38, 0x3a};
    unsigned n = 0;

    if (t->vex) {
        unsigned pp = t->prefix == 0x66 ? 1 : t->prefix == 0xf3 ? 2 : t->prefix == 0xf2 ? 3 : 0;
        bytes[n++] = 0xc4;
        bytes[n++] = 0xe0 | t->map;
        bytes[n++] = t->w << 7 | 0x78 | t->l << 2 | pp;
    } else {
        if (t->prefix)
            bytes[n++] = t->prefix;
        if (t->w)
            bytes[n++] = 0x48;
        if (t->map)
            bytes[n++] = 0x0f;
        if (t->map > 1)
            bytes[n++] = maps[t->map];
    }
    bytes[n++] = t->opcode;
    bytes[n++] = t->modrm;
    if (t->vector_index)
        bytes[n++] = 0x20; /* SIB: an index */
    memset(bytes + n, 0, INSN_MAX_BYTES - n);
    return n;
}

static uint8_t counting_prefix(const ZydisDecodedInstruction *zi)
{
    if (zi->attributes & ZYDIS_ATTRIB_HAS_LOCK)
        return 0xf0;
    if (zi->attributes & ZYDIS_ATTRIB_HAS_REPNE)
        return 0xf2;
    return zi->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE) ? 0xf3 : 0;
}

static unsigned add_form(const Walk *walk, const FuzzForm *form, const uint8_t *bytes)
{
    FuzzForm copy = *form;
    Insn insn;

    copy.verdict = VERDICT_EXEMPT;
    copy.reason = "of an extension that no model shows on this host";
    if (insn_decode(bytes, INSN_MAX_BYTES, fuzz_decode_mode(walk->mode), &insn) == DECODE_OK)
        copy.verdict = coverage_verdict(&insn, walk->mode, &copy.reason);
    g_array_append_val(forms, copy);
    return forms->len - 1;
}

static void try_template(Walk *walk, FuzzTemplate *t)
{
    ZydisDecodedInstruction zi;
    uint8_t bytes[INSN_MAX_BYTES];

    write_template(t, bytes);
    if (!ZYAN_SUCCESS(
            ZydisDecoderDecodeInstruction(&walk->decoder, NULL, bytes, INSN_MAX_BYTES, &zi)))
        return;
    if (zi.opcode != t->opcode || zi.opcode_map != t->map) /* a prefix and what follows it */
        return;
    t->has_modrm = zi.attributes & ZYDIS_ATTRIB_HAS_MODRM;
    t->memory = t->has_modrm && t->modrm < 0xc0;
    FuzzForm form = {
        .mnemonic = zi.mnemonic,
        .mode = walk->mode,
        .encoding = zi.encoding,
        .operand_width = zi.operand_width,
        .vector_length = zi.avx.vector_length == 256 ? 1 : 0,
        .memory = t->memory,
        .prefix = counting_prefix(&zi),
    };
    uint64_t key = (uint64_t)form.mnemonic << 40 | (uint64_t)form.encoding << 32 |
                   form.operand_width << 16 | form.vector_length << 12 | form.memory << 8 |
                   form.prefix;
    unsigned number = GPOINTER_TO_UINT(g_hash_table_lookup(walk->by_key, GSIZE_TO_POINTER(key)));
    if (!number) {
        number = add_form(walk, &form, bytes) + 1;
        g_hash_table_insert(walk->by_key, GSIZE_TO_POINTER(key), GUINT_TO_POINTER(number));
    }
    uint64_t encoding = (uint64_t)number << 32 | t->map << 28 | t->opcode << 20 | t->prefix << 8 |
                        t->vex << 3 | t->w << 2 | t->l << 1 | t->vector_index;
    if (g_hash_table_add(walk->known, GSIZE_TO_POINTER(encoding))) {
        unsigned owner = number - 1;
        g_array_append_val(walk->owners, owner);
        g_array_append_val(walk->found, *t);
    }
}

static void try_modrms(Walk *walk, FuzzTemplate *t)
{
    for (unsigned reg = 0; reg < 8; reg++) {
        t->modrm = reg << 3;
        t->vector_index = false;
        try_template(walk, t);
        t->modrm = reg << 3 | 4;
        t->vector_index = true;
        if (t->vex)
            try_template(walk, t);
        t->vector_index = false;
        for (unsigned rm = 0; rm < (names_by_rm(t) ? 8 : 1); rm++) {
            t->modrm = 0xc0 | reg << 3 | rm;
            try_template(walk, t);
        }
    }
}

static void walk_opcodes(Walk *walk)
{
    static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2, 0xf0};
    bool wide = walk->mode == FUZZ_64;

    for (unsigned opcode = 0; opcode < 256; opcode++) {
        for (unsigned map = 0; map < 4; map++) {
            for (unsigned i = 0; i < 5; i++) {
                FuzzTemplate t = {.map = map, .opcode = opcode, .prefix = prefixes[i]};
                for (unsigned w = 0; w < (wide ? 2 : 1); w++) {
                    t.w = w;
                    try_modrms(walk, &t);
                }
                if (!map || prefixes[i] == 0xf0 || walk->mode == FUZZ_REAL)
                    continue;
                t.vex = true;
                for (unsigned wl = 0; wl < 4; wl++) {
                    t.w = wl & 1;
                    t.l = wl >> 1;
                    try_modrms(walk, &t);
                }
            }
        }
    }
}

/* As insn_decode() has it: hints of extensions that no model shows are the NOPs they are without.
 */
static ZydisDecoder decoder_of(FuzzMode mode)
{
    static const ZydisMachineMode machine_modes[] = {
        ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_MACHINE_MODE_LEGACY_16,
        ZYDIS_MACHINE_MODE_REAL_16};
    static const ZydisStackWidth widths[] = {ZYDIS_STACK_WIDTH_64, ZYDIS_STACK_WIDTH_32,
                                             ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_16};
    ZydisDecoder decoder;

    ZydisDecoderInit(&decoder, machine_modes[mode], widths[mode]);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_WBNOINVD, ZYAN_FALSE);
    return decoder;
}

static void walk_mode(FuzzMode mode)
{
    Walk walk = {
        .mode = mode,
        .decoder = decoder_of(mode),
        .by_key = g_hash_table_new(NULL, NULL),
        .known = g_hash_table_new(NULL, NULL),
        .owners = g_array_new(FALSE, FALSE, sizeof(unsigned)),
        .found = g_array_new(FALSE, FALSE, sizeof(FuzzTemplate)),
    };
    unsigned first = forms->len;

    walk_opcodes(&walk);
    /* Encodings in the order of their forms. */
    for (unsigned i = 0; i < walk.owners->len; i++)
        g_array_index(forms, FuzzForm, g_array_index(walk.owners, unsigned, i)).n_templates++;
    unsigned at = templates->len;
    for (unsigned i = first; i < forms->len; i++) {
        FuzzForm *form = &g_array_index(forms, FuzzForm, i);
        form->first_template = at;
        at += form->n_templates;
        form->n_templates = 0;
        if (form->verdict != VERDICT_EXEMPT)
            g_array_append_val(pickable[mode], i);
    }
    g_array_set_size(templates, at);
    for (unsigned i = 0; i < walk.owners->len; i++) {
        FuzzForm *form = &g_array_index(forms, FuzzForm, g_array_index(walk.owners, unsigned, i));
        g_array_index(templates, FuzzTemplate, form->first_template + form->n_templates++) =
            g_array_index(walk.found, FuzzTemplate, i);
    }
    g_hash_table_unref(walk.by_key);
    g_hash_table_unref(walk.known);
    g_array_unref(walk.owners);
    g_array_unref(walk.found);
}

void coverage_init(void)
{
    forms = g_array_new(FALSE, FALSE, sizeof(FuzzForm));
    templates = g_array_new(FALSE, FALSE, sizeof(FuzzTemplate));
    for (FuzzMode mode = 0; mode < N_FUZZ_MODES; mode++) {
        pickable[mode] = g_array_new(FALSE, FALSE, sizeof(unsigned));
        walk_mode(mode);
    }
    counts = mmap(NULL, forms->len * sizeof *counts, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_assert(counts != MAP_FAILED);
}

/* --- using the list --------------------------------------------------------------------------- */

unsigned coverage_pick(Random *random, FuzzMode mode, const FuzzTemplate **encoding)
{
    unsigned number =
        g_array_index(pickable[mode], unsigned, random_below(random, pickable[mode]->len));
    const FuzzForm *form = coverage_form(number);

    *encoding = &g_array_index(templates, FuzzTemplate,
                               form->first_template + random_below(random, form->n_templates));
    return number;
}

const FuzzForm *coverage_form(unsigned form)
{
    return &g_array_index(forms, FuzzForm, form);
}

void coverage_count(const FuzzInsn *insn)
{
    if (insn->form != NO_FORM)
        __atomic_fetch_add(&counts[insn->form][insn->address_form], 1, __ATOMIC_RELAXED);
}

static uint64_t form_count(unsigned form)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < N_ADDRESS_FORMS; i++)
        sum += counts[form][i];
    return sum;
}

static void print_form(const FuzzForm *form, uint64_t count)
{
    static const char *const verdicts[] = {"host", "guest", "exempt"};
    static const char *const modes[] = {"64", "32", "16", "real"};

    printf("%-4s %-18s %3u bits%s %-8s %s %10lu  %s%s%s\n", modes[form->mode],
           ZydisMnemonicGetString(form->mnemonic), form->operand_width,
           form->vector_length ? ", 256" : "     ", form->memory ? "memory" : "register",
           form->prefix == 0xf0   ? "lock "
           : form->prefix == 0xf3 ? "rep  "
           : form->prefix         ? "repne"
                                  : "     ",
           count, verdicts[form->verdict], form->reason ? ": " : "",
           form->reason ? form->reason : "");
}

void coverage_print(bool all)
{
    static const char *const names[] = {"64-bit", "32-bit", "16-bit", "real mode"};
    unsigned verdicts[N_FUZZ_MODES][3] = {0}, idle[N_FUZZ_MODES] = {0}, pairs[N_FUZZ_MODES] = {0};

    for (unsigned i = 0; i < forms->len; i++) {
        const FuzzForm *form = coverage_form(i);
        uint64_t count = form_count(i);
        verdicts[form->mode][form->verdict]++;
        idle[form->mode] += form->verdict != VERDICT_EXEMPT && !count;
        for (unsigned k = 0; k < N_ADDRESS_FORMS; k++)
            pairs[form->mode] += counts[i][k] != 0;
        if (all)
            print_form(form, count);
    }
    for (unsigned mode = 0; mode < N_FUZZ_MODES; mode++)
        printf("%s: %u forms against the host, %u between interpreter and JIT, %u exempt; "
               "%u not met yet; %u with their address forms met\n",
               names[mode], verdicts[mode][VERDICT_HOST], verdicts[mode][VERDICT_GUEST],
               verdicts[mode][VERDICT_EXEMPT], idle[mode], pairs[mode]);
}
