/* SPDX-License-Identifier: GPL-3.0-or-later */

/* CPUID: feature tables, models and leaves (SDM volume 2, CPUID; AMD APM volume 3, appendix E). */

#include "core/cpu/cpuid.h"

#include "core/cpu/cpu.h"

#include <cpuid.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

enum { EAX, EBX, ECX, EDX };

/* The least model that has a feature. */
typedef enum { LEVEL_V1, LEVEL_QEMU64, LEVEL_V2, LEVEL_V3, LEVEL_MAX } Level;

enum {
    /* Instructions executed by the host's own units: the host must have them. */
    ON_HOST = 1,
    /* Not yet done by the engine: in no model, refused when asked for. */
    NOT_YET = 2,
};

typedef struct {
    const char *name;
    uint32_t leaf, subleaf;
    uint8_t reg, bit;
    uint8_t level; /* Level */
    uint8_t flags;
} Feature;

static const Feature features[N_CPUID_FEATURES] = {
    [CPUID_FPU] = {"fpu", 1, 0, EDX, 0, LEVEL_V1, 0},
    [CPUID_VME] = {"vme", 1, 0, EDX, 1, LEVEL_MAX, 0},
    [CPUID_DE] = {"de", 1, 0, EDX, 2, LEVEL_V1, 0},
    [CPUID_PSE] = {"pse", 1, 0, EDX, 3, LEVEL_V1, 0},
    [CPUID_TSC] = {"tsc", 1, 0, EDX, 4, LEVEL_V1, 0},
    [CPUID_MSR] = {"msr", 1, 0, EDX, 5, LEVEL_V1, 0},
    [CPUID_PAE] = {"pae", 1, 0, EDX, 6, LEVEL_V1, 0},
    [CPUID_MCE] = {"mce", 1, 0, EDX, 7, LEVEL_V1, 0},
    [CPUID_CX8] = {"cx8", 1, 0, EDX, 8, LEVEL_V1, 0},
    [CPUID_APIC] = {"apic", 1, 0, EDX, 9, LEVEL_V1, 0},
    [CPUID_SEP] = {"sep", 1, 0, EDX, 11, LEVEL_V1, 0},
    [CPUID_MTRR] = {"mtrr", 1, 0, EDX, 12, LEVEL_V1, 0},
    [CPUID_PGE] = {"pge", 1, 0, EDX, 13, LEVEL_V1, 0},
    [CPUID_MCA] = {"mca", 1, 0, EDX, 14, LEVEL_V1, 0},
    [CPUID_CMOV] = {"cmov", 1, 0, EDX, 15, LEVEL_V1, 0},
    [CPUID_PAT] = {"pat", 1, 0, EDX, 16, LEVEL_V1, 0},
    [CPUID_PSE36] = {"pse36", 1, 0, EDX, 17, LEVEL_V1, 0},
    [CPUID_CLFLUSH] = {"clflush", 1, 0, EDX, 19, LEVEL_V1, 0},
    [CPUID_MMX] = {"mmx", 1, 0, EDX, 23, LEVEL_V1, 0},
    [CPUID_FXSR] = {"fxsr", 1, 0, EDX, 24, LEVEL_V1, 0},
    [CPUID_SSE] = {"sse", 1, 0, EDX, 25, LEVEL_V1, 0},
    [CPUID_SSE2] = {"sse2", 1, 0, EDX, 26, LEVEL_V1, 0},

    [CPUID_SSE3] = {"sse3", 1, 0, ECX, 0, LEVEL_QEMU64, ON_HOST},
    [CPUID_PCLMULQDQ] = {"pclmulqdq", 1, 0, ECX, 1, LEVEL_MAX, ON_HOST},
    [CPUID_SSSE3] = {"ssse3", 1, 0, ECX, 9, LEVEL_V2, ON_HOST},
    [CPUID_FMA] = {"fma", 1, 0, ECX, 12, LEVEL_V3, ON_HOST},
    [CPUID_CX16] = {"cx16", 1, 0, ECX, 13, LEVEL_QEMU64, ON_HOST},
    [CPUID_PCID] = {"pcid", 1, 0, ECX, 17, LEVEL_MAX, 0},
    [CPUID_SSE4_1] = {"sse4.1", 1, 0, ECX, 19, LEVEL_V2, ON_HOST},
    [CPUID_SSE4_2] = {"sse4.2", 1, 0, ECX, 20, LEVEL_V2, ON_HOST},
    [CPUID_X2APIC] = {"x2apic", 1, 0, ECX, 21, LEVEL_MAX, 0},
    [CPUID_MOVBE] = {"movbe", 1, 0, ECX, 22, LEVEL_V3, ON_HOST},
    [CPUID_POPCNT] = {"popcnt", 1, 0, ECX, 23, LEVEL_V2, ON_HOST},
    [CPUID_TSC_DEADLINE] = {"tsc-deadline", 1, 0, ECX, 24, LEVEL_MAX, 0},
    [CPUID_AES] = {"aes", 1, 0, ECX, 25, LEVEL_MAX, ON_HOST},
    [CPUID_XSAVE] = {"xsave", 1, 0, ECX, 26, LEVEL_V3, ON_HOST},
    [CPUID_AVX] = {"avx", 1, 0, ECX, 28, LEVEL_V3, ON_HOST},
    [CPUID_F16C] = {"f16c", 1, 0, ECX, 29, LEVEL_V3, ON_HOST},
    [CPUID_RDRAND] = {"rdrand", 1, 0, ECX, 30, LEVEL_MAX, ON_HOST},
    [CPUID_HYPERVISOR] = {"hypervisor", 1, 0, ECX, 31, LEVEL_V1, 0},

    [CPUID_FSGSBASE] = {"fsgsbase", 7, 0, EBX, 0, LEVEL_MAX, 0},
    [CPUID_TSC_ADJUST] = {"tsc_adjust", 7, 0, EBX, 1, LEVEL_MAX, 0},
    [CPUID_BMI1] = {"bmi1", 7, 0, EBX, 3, LEVEL_V3, ON_HOST},
    [CPUID_AVX2] = {"avx2", 7, 0, EBX, 5, LEVEL_V3, ON_HOST},
    [CPUID_SMEP] = {"smep", 7, 0, EBX, 7, LEVEL_MAX, 0},
    [CPUID_BMI2] = {"bmi2", 7, 0, EBX, 8, LEVEL_V3, ON_HOST},
    [CPUID_ERMS] = {"erms", 7, 0, EBX, 9, LEVEL_MAX, 0},
    [CPUID_INVPCID] = {"invpcid", 7, 0, EBX, 10, LEVEL_MAX, 0},
    [CPUID_RDSEED] = {"rdseed", 7, 0, EBX, 18, LEVEL_MAX, ON_HOST},
    [CPUID_ADX] = {"adx", 7, 0, EBX, 19, LEVEL_MAX, ON_HOST},
    [CPUID_SMAP] = {"smap", 7, 0, EBX, 20, LEVEL_MAX, 0},
    [CPUID_CLFLUSHOPT] = {"clflushopt", 7, 0, EBX, 23, LEVEL_MAX, 0},
    [CPUID_CLWB] = {"clwb", 7, 0, EBX, 24, LEVEL_MAX, 0},
    [CPUID_SHA] = {"sha-ni", 7, 0, EBX, 29, LEVEL_MAX, ON_HOST},
    [CPUID_UMIP] = {"umip", 7, 0, ECX, 2, LEVEL_MAX, 0},
    [CPUID_RDPID] = {"rdpid", 7, 0, ECX, 22, LEVEL_MAX, 0},
    [CPUID_FSRM] = {"fsrm", 7, 0, EDX, 4, LEVEL_MAX, 0},
    [CPUID_SPEC_CTRL] = {"spec-ctrl", 7, 0, EDX, 26, LEVEL_MAX, 0},
    [CPUID_ARCH_CAPABILITIES] = {"arch-capabilities", 7, 0, EDX, 29, LEVEL_MAX, 0},

    [CPUID_XSAVEOPT] = {"xsaveopt", 0xd, 1, EAX, 0, LEVEL_MAX, ON_HOST},
    [CPUID_XSAVEC] = {"xsavec", 0xd, 1, EAX, 1, LEVEL_MAX, ON_HOST},
    [CPUID_XGETBV1] = {"xgetbv1", 0xd, 1, EAX, 2, LEVEL_MAX, 0},

    [CPUID_SYSCALL] = {"syscall", 0x80000001, 0, EDX, 11, LEVEL_V1, 0},
    [CPUID_NX] = {"nx", 0x80000001, 0, EDX, 20, LEVEL_V1, 0},
    [CPUID_PDPE1GB] = {"pdpe1gb", 0x80000001, 0, EDX, 26, LEVEL_MAX, 0},
    [CPUID_RDTSCP] = {"rdtscp", 0x80000001, 0, EDX, 27, LEVEL_MAX, 0},
    [CPUID_LM] = {"lm", 0x80000001, 0, EDX, 29, LEVEL_V1, 0},
    [CPUID_LAHF_LM] = {"lahf_lm", 0x80000001, 0, ECX, 0, LEVEL_QEMU64, 0},
    [CPUID_CR8_LEGACY] = {"cr8legacy", 0x80000001, 0, ECX, 4, LEVEL_MAX, NOT_YET},
    [CPUID_ABM] = {"abm", 0x80000001, 0, ECX, 5, LEVEL_V3, ON_HOST},
    [CPUID_MISALIGNSSE] = {"misalignsse", 0x80000001, 0, ECX, 7, LEVEL_MAX, ON_HOST},
    [CPUID_PREFETCHW] = {"3dnowprefetch", 0x80000001, 0, ECX, 8, LEVEL_MAX, 0},

    /* LFENCE waits for earlier instructions; loading a null selector clears the base. */
    [CPUID_LFENCE_RDTSC] = {"lfence-always-serializing", 0x80000021, 0, EAX, 2, LEVEL_MAX, 0},
    [CPUID_NULL_SEL_CLR_BASE] = {"null-sel-clr-base", 0x80000021, 0, EAX, 6, LEVEL_MAX, 0},
    /* Guest branches run through the host's predictors by way of translations that guest code
     * cannot aim at, retpolines or not: tell the guest that it need not try. */
    [CPUID_AUTO_IBRS] = {"auto-ibrs", 0x80000021, 0, EAX, 8, LEVEL_MAX, 0},

    [CPUID_INVTSC] = {"invtsc", 0x80000007, 0, EDX, 8, LEVEL_MAX, 0},
};

static const struct {
    const char *name;
    Level level;
    const char *title;
} models[] = {
    {"max", LEVEL_MAX, "Everything the host and this program can do (default)"},
    {"host", LEVEL_MAX, "The same as max"},
    {"qemu64", LEVEL_QEMU64, "QEMU's generic 64-bit processor"},
    {"x86-64-v1", LEVEL_V1, "The x86-64 psABI baseline"},
    {"x86-64-v2", LEVEL_V2, "The x86-64 psABI level 2: SSE4.2, POPCNT, CMPXCHG16B"},
    {"x86-64-v3", LEVEL_V3, "The x86-64 psABI level 3: AVX2, BMI, FMA, MOVBE"},
};

/* Features nothing works without. */
static const CpuidFeature depends[][2] = {
    {CPUID_SSE, CPUID_FXSR},      {CPUID_SSE2, CPUID_SSE},       {CPUID_SSE3, CPUID_SSE2},
    {CPUID_SSSE3, CPUID_SSE3},    {CPUID_SSE4_1, CPUID_SSSE3},   {CPUID_SSE4_2, CPUID_SSE4_1},
    {CPUID_AVX, CPUID_XSAVE},     {CPUID_AVX2, CPUID_AVX},       {CPUID_FMA, CPUID_AVX},
    {CPUID_F16C, CPUID_AVX},      {CPUID_XSAVEOPT, CPUID_XSAVE}, {CPUID_XSAVEC, CPUID_XSAVE},
    {CPUID_XGETBV1, CPUID_XSAVE}, {CPUID_LM, CPUID_PAE},         {CPUID_PDPE1GB, CPUID_LM},
    {CPUID_LAHF_LM, CPUID_LM},
};

struct CpuidModel {
    bool has[N_CPUID_FEATURES];
    bool amd;
    char vendor[12];
    unsigned n_cpus;
    uint32_t tsc_khz;
    uint64_t tsc_origin;
    uint32_t tsc_numerator, tsc_denominator; /* of CPUID_APIC_HZ */
};

/* --- the host ----------------------------------------------------------------------------------
 */

typedef struct {
    uint64_t ticks;
    int64_t ns;
} Instant;

/* The TSC and the clock at one moment. Of several looks the one counts that was interrupted least:
 * on a busy host a thread may lose its processor for many milliseconds between the two. */
static Instant instant(void)
{
    Instant best = {0};
    uint64_t shortest = UINT64_MAX;

    for (int i = 0; i < 20; i++) {
        struct timespec now;
        uint64_t before = __rdtsc();
        clock_gettime(CLOCK_MONOTONIC_RAW, &now);
        uint64_t took = __rdtsc() - before;
        if (took < shortest) {
            shortest = took;
            best = (Instant){before + took / 2, now.tv_sec * 1000000000ll + now.tv_nsec};
        }
    }
    return best;
}

/* Xeons and EPYCs under most hypervisors tell; otherwise count 20 ms against the clock. */
static gpointer measure_tsc(gpointer unused)
{
    uint32_t a = 0, b = 0, c = 0, d = 0;

    if (__get_cpuid(0x15, &a, &b, &c, &d) && a && b && c)
        return GUINT_TO_POINTER((guint)((uint64_t)c * b / a / 1000));
    Instant first = instant();
    g_usleep(20000);
    Instant last = instant();
    return GUINT_TO_POINTER(
        (guint)((double)(last.ticks - first.ticks) * 1e6 / (double)(last.ns - first.ns)));
}

static uint32_t host_tsc_khz(void)
{
    static GOnce once = G_ONCE_INIT; /* a constant of the host */

    return GPOINTER_TO_UINT(g_once(&once, measure_tsc, NULL));
}

static bool host_has(const Feature *feature)
{
    uint32_t regs[4];

    return __get_cpuid_count(feature->leaf, feature->subleaf, &regs[EAX], &regs[EBX], &regs[ECX],
                             &regs[EDX]) &&
           (regs[feature->reg] >> feature->bit & 1);
}

/* --- models --------------------------------------------------------------------------------------
 */

/* The best fraction of 32-bit factors for KHZ / (CPUID_APIC_HZ / 1000), by continued fractions,
 * with a numerator that keeps crystal kHz times numerator below 2^32 as guests multiply so. */
static void tsc_ratio(CpuidModel *model)
{
    uint64_t n = model->tsc_khz, d = CPUID_APIC_HZ / 1000;
    const uint64_t limit = UINT32_MAX / d;
    uint64_t p0 = 0, q0 = 1, p1 = 1, q1 = 0;

    while (d) {
        uint64_t a = n / d, p2 = a * p1 + p0, q2 = a * q1 + q0, rest = n % d;
        if (p2 > limit)
            break;
        p0 = p1, q0 = q1, p1 = p2, q1 = q2;
        n = d, d = rest;
    }
    model->tsc_numerator = (uint32_t)p1;
    model->tsc_denominator = (uint32_t)q1;
}

static int find_feature(const char *name)
{
    g_autofree char *wanted = g_strdup(name);

    g_strdelimit(wanted, "._", '-');
    for (int i = 0; i < N_CPUID_FEATURES; i++) {
        g_autofree char *known = g_strdup(features[i].name);
        g_strdelimit(known, "._", '-');
        if (g_ascii_strcasecmp(known, wanted) == 0)
            return i;
    }
    if (g_ascii_strcasecmp(wanted, "pni") == 0)
        return CPUID_SSE3;
    return -1;
}

static bool available(int feature)
{
    const Feature *f = &features[feature];

    return !(f->flags & NOT_YET) && (!(f->flags & ON_HOST) || host_has(f));
}

static bool apply_option(CpuidModel *model, const char *option, GError **error)
{
    g_autofree char *name = NULL;
    bool on;
    const char *equals = strchr(option, '=');

    if (*option == '+' || *option == '-') {
        name = g_strdup(option + 1);
        on = *option == '+';
    } else {
        const char *value = equals ? equals + 1 : "on";
        name = equals ? g_strndup(option, equals - option) : g_strdup(option);
        on = !strcmp(value, "on") || !strcmp(value, "true") || !strcmp(value, "yes");
        if (!on && strcmp(value, "off") && strcmp(value, "false") && strcmp(value, "no")) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                        _("CPU feature “%s” takes on or off, not “%s”."), name, value);
            return false;
        }
    }
    int feature = find_feature(name);
    if (feature < 0) {
        if (!on)
            return true; /* turning off what cannot be on */
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    _("Unknown CPU feature “%s”. “-cpu help” lists those known."), name);
        return false;
    }
    if (on && !available(feature)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                    features[feature].flags & NOT_YET
                        ? _("CPU feature “%s” is not supported yet. Remove it from -cpu.")
                        : _("This computer's processor lacks “%s”. Remove it from -cpu."),
                    features[feature].name);
        return false;
    }
    model->has[feature] = on;
    return true;
}

static bool fill_level(CpuidModel *model, const char *name, Level level, GError **error)
{
    for (int i = 0; i < N_CPUID_FEATURES; i++) {
        if (features[i].level > level)
            continue;
        if (available(i)) {
            model->has[i] = true;
        } else if (level < LEVEL_MAX) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                        _("CPU model “%s” needs “%s”, which %s. Choose another model with -cpu."),
                        name, features[i].name,
                        features[i].flags & NOT_YET ? _("is not supported yet")
                                                    : _("this computer's processor lacks"));
            return false;
        }
    }
    return true;
}

static void drop_dependents(CpuidModel *model)
{
    for (unsigned again = 0; again < G_N_ELEMENTS(depends); again++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(depends); i++) {
            if (!model->has[depends[i][1]])
                model->has[depends[i][0]] = false;
        }
    }
}

CpuidModel *cpuid_model_new(const char *spec, unsigned n_cpus, GError **error)
{
    g_autofree CpuidModel *model = g_new0(CpuidModel, 1);
    g_auto(GStrv) words = g_strsplit(spec && *spec ? spec : "max", ",", -1);
    uint32_t eax, regs[3];
    unsigned m;

    for (m = 0; m < G_N_ELEMENTS(models); m++) {
        if (!strcmp(models[m].name, words[0]))
            break;
    }
    if (m == G_N_ELEMENTS(models)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    _("Unknown CPU model “%s”. “-cpu help” lists those known."), words[0]);
        return NULL;
    }
    if (!fill_level(model, models[m].name, models[m].level, error))
        return NULL;

    __get_cpuid(0, &eax, &regs[0], &regs[2], &regs[1]); /* EBX, EDX, ECX spell the vendor */
    memcpy(model->vendor, regs, 12);
    model->amd = memcmp(model->vendor, "GenuineIntel", 12) != 0;
    if (model->amd) {
        memcpy(model->vendor, "AuthenticAMD", 12);
        model->has[CPUID_ARCH_CAPABILITIES] = model->has[CPUID_SPEC_CTRL] = false;
    } else {
        model->has[CPUID_LFENCE_RDTSC] = model->has[CPUID_NULL_SEL_CLR_BASE] =
            model->has[CPUID_AUTO_IBRS] = false;
    }
    for (char **word = words + 1; *word; word++) {
        if (**word && !apply_option(model, *word, error))
            return NULL;
    }
    drop_dependents(model);
    model->n_cpus = CLAMP(n_cpus, 1, 255);
    model->tsc_khz = host_tsc_khz();
    model->tsc_origin = __rdtsc();
    tsc_ratio(model);
    return g_steal_pointer(&model);
}

void cpuid_model_free(CpuidModel *model)
{
    g_free(model);
}

bool cpuid_has(const CpuidModel *model, CpuidFeature feature)
{
    return model->has[feature];
}

bool cpuid_is_amd(const CpuidModel *model)
{
    return model->amd;
}

/* Old, plain processors that have long mode: operating systems apply few model-specific tricks.
 * AMD: K8 family 0Fh model 6Bh stepping 1; Intel: family 6 model 0Fh stepping 0Bh. */
uint32_t cpuid_signature(const CpuidModel *model)
{
    return model->amd ? 0x00060fb1 : 0x000006fb;
}

uint32_t cpuid_tsc_khz(const CpuidModel *model)
{
    return model->tsc_khz;
}

uint64_t cpuid_tsc_origin(const CpuidModel *model)
{
    return model->tsc_origin;
}

uint64_t cpuid_xcr0_mask(const CpuidModel *model)
{
    return model->has[CPUID_AVX] ? 7 : 3;
}

/* --- leaves --------------------------------------------------------------------------------------
 */

static void feature_bits(const CpuidModel *model, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    for (int i = 0; i < N_CPUID_FEATURES; i++) {
        if (model->has[i] && features[i].leaf == leaf && features[i].subleaf == subleaf)
            out[features[i].reg] |= 1u << features[i].bit;
    }
}

/* Bits of the APIC id below the package number: one package, one thread a core. */
static unsigned core_bits(const CpuidModel *model)
{
    return model->n_cpus > 1 ? 32 - __builtin_clz(model->n_cpus - 1) : 0;
}

static void leaf_1(const Cpu *cpu, uint32_t out[4])
{
    const CpuidModel *model = cpu->model;

    feature_bits(model, 1, 0, out);
    out[EAX] = cpuid_signature(model);
    out[EBX] = cpu->apic_id << 24 | 8 << 8; /* CLFLUSH line: 8 quadwords */
    if (model->n_cpus > 1) {
        out[EBX] |= 1u << core_bits(model) << 16;
        out[EDX] |= 1 << 28; /* HTT: EBX 23:16 is valid */
    }
    if (model->has[CPUID_XSAVE] && (cpu->cr4 & CR4_OSXSAVE))
        out[ECX] |= 1 << 27;
}

/* Deterministic cache parameters (Intel): L1D and L1I 32K 8-way, L2 256K 8-way, L3 16M 16-way. */
static void leaf_4(const CpuidModel *model, uint32_t subleaf, uint32_t out[4])
{
    static const struct {
        uint8_t type, level, ways, shared;
        uint16_t sets;
    } caches[] = {{1, 1, 8, 0, 64}, {2, 1, 8, 0, 64}, {3, 2, 8, 0, 512}, {3, 3, 16, 1, 16384}};

    if (subleaf >= G_N_ELEMENTS(caches) || model->amd)
        return;
    unsigned sharing = caches[subleaf].shared ? (1u << core_bits(model)) - 1 : 0;
    out[EAX] = caches[subleaf].type | caches[subleaf].level << 5 | 1 << 8 | sharing << 14 |
               ((1u << MIN(core_bits(model), 6)) - 1) << 26;
    out[EBX] = (caches[subleaf].ways - 1u) << 22 | 63;
    out[ECX] = caches[subleaf].sets - 1u;
    out[EDX] = caches[subleaf].shared ? 2 : 0; /* inclusive */
}

static void leaf_b(const Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    out[ECX] = subleaf & 0xff;
    out[EDX] = cpu->apic_id;
    if (subleaf == 0) { /* threads of a core */
        out[EBX] = 1;
        out[ECX] |= 1 << 8;
    } else if (subleaf == 1) { /* cores of the package */
        out[EAX] = core_bits(cpu->model);
        out[EBX] = cpu->model->n_cpus;
        out[ECX] |= 2 << 8;
    }
}

static void leaf_d(const Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    const CpuidModel *model = cpu->model;
    uint64_t mask = cpuid_xcr0_mask(model);

    if (!model->has[CPUID_XSAVE])
        return;
    if (subleaf == 0) {
        out[EAX] = (uint32_t)mask;
        out[EBX] = cpuid_xsave_size(cpu->xcr0);
        out[ECX] = cpuid_xsave_size(mask);
    } else if (subleaf == 1) {
        feature_bits(model, 0xd, 1, out);
        if (model->has[CPUID_XSAVEC])
            out[EBX] =
                cpuid_xsave_size(cpu->xcr0); /* nothing lies before AVX that could be left out */
    } else if (subleaf == 2 && (mask & 4)) {
        out[EAX] = 256; /* YMM_Hi128 */
        out[EBX] = 576;
    }
}

static void leaf_extended_1(const CpuidModel *model, uint32_t out[4])
{
    feature_bits(model, 0x80000001, 0, out);
    out[EAX] = cpuid_signature(model);
    if (!model->amd)
        return;
    /* AMD repeats bits 0-9, 12-17, 23 and 24 of leaf 1 EDX. */
    uint32_t basic[4] = {0};
    feature_bits(model, 1, 0, basic);
    out[EDX] |= basic[EDX] & 0x0183f3ff;
    if (model->n_cpus > 1)
        out[ECX] |= 1 << 1; /* CmpLegacy: the logical processors are cores */
}

static void leaf_brand(uint32_t index, uint32_t out[4])
{
    char brand[48] = "Apiary Virtual CPU";

    memcpy(out, brand + index * 16, 16);
}

static void leaf_hypervisor(const CpuidModel *model, uint32_t leaf, uint32_t out[4])
{
    if (!model->has[CPUID_HYPERVISOR])
        return;
    if (leaf == 0x40000000) {
        out[EAX] = 0x40000010;
        memcpy(&out[EBX], "ApiaryApiary", 12);
    } else if (leaf == 0x40000010) {
        out[EAX] = model->tsc_khz;
        out[EBX] = CPUID_APIC_HZ / 1000;
    }
}

static void extended_leaf(const Cpu *cpu, uint32_t leaf, uint32_t out[4])
{
    const CpuidModel *model = cpu->model;

    switch (leaf) {
    case 0x80000000:
        out[EAX] = model->amd ? 0x80000021 : 0x80000008;
        if (model->amd)
            memcpy(&out[EBX], "Auth", 4), memcpy(&out[EDX], "enti", 4),
                memcpy(&out[ECX], "cAMD", 4);
        break;
    case 0x80000001: leaf_extended_1(model, out); break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: leaf_brand(leaf - 0x80000002, out); break;
    case 0x80000005: /* L1 TLBs and caches: 64K 2-way, 64-byte lines */
        if (model->amd) {
            out[EAX] = 0xff08ff08;
            out[EBX] = 0xff20ff20;
            out[ECX] = out[EDX] = 64u << 24 | 2 << 16 | 1 << 8 | 64;
        }
        break;
    case 0x80000006: /* L2 512K 16-way, L3 16M 16-way (AMD) */
        out[ECX] = 512u << 16 | 8 << 12 | (model->amd ? 1 << 8 : 0) | 64;
        if (model->amd) {
            out[EBX] = 0x42004200;
            out[EDX] = 32u << 18 | 8 << 12 | 1 << 8 | 64;
        }
        break;
    case 0x80000007:
    case 0x80000021: feature_bits(model, leaf, 0, out); break;
    case 0x80000008:
        out[EAX] = CPUID_PHYSICAL_BITS | CPUID_LINEAR_BITS << 8;
        if (model->amd)
            out[ECX] = core_bits(model) << 12 | (model->n_cpus - 1);
        break;
    }
}

void cpuid_query(const Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const CpuidModel *model = cpu->model;
    const uint32_t highest = model->amd ? 0xd : 0x16;

    memset(out, 0, 4 * sizeof *out);
    if (leaf >= 0x80000000 && leaf <= (model->amd ? 0x80000021 : 0x80000008)) {
        extended_leaf(cpu, leaf, out);
        return;
    }
    if (leaf >= 0x40000000 && leaf <= 0x400000ff && model->has[CPUID_HYPERVISOR]) {
        leaf_hypervisor(model, leaf, out);
        return;
    }
    if (leaf > highest) {
        /* Intel answers the highest basic leaf, AMD zeros. */
        if (model->amd)
            return;
        leaf = highest;
    }
    switch (leaf) {
    case 0:
        out[EAX] = highest;
        memcpy(&out[EBX], model->vendor, 4);
        memcpy(&out[EDX], model->vendor + 4, 4);
        memcpy(&out[ECX], model->vendor + 8, 4);
        break;
    case 1: leaf_1(cpu, out); break;
    case 2: /* descriptor FFh: see leaf 4 */
        if (!model->amd)
            out[EAX] = 0x00feff01;
        break;
    case 4: leaf_4(model, subleaf, out); break;
    case 6: out[EAX] = 1 << 2; break; /* ARAT: the APIC timer never stops */
    case 7:
        if (subleaf == 0)
            feature_bits(model, 7, 0, out);
        break;
    case 0xb: leaf_b(cpu, subleaf, out); break;
    case 0xd: leaf_d(cpu, subleaf, out); break;
    case 0x15:
        out[EAX] = model->tsc_denominator;
        out[EBX] = model->tsc_numerator;
        out[ECX] = CPUID_APIC_HZ;
        break;
    case 0x16:
        out[EAX] = out[EBX] = (model->tsc_khz + 500) / 1000;
        out[ECX] = 100;
        break;
    }
}

void cpuid_describe_models(GString *out)
{
    g_string_append(out, "Available CPUs:\n");
    for (unsigned i = 0; i < G_N_ELEMENTS(models); i++)
        g_string_append_printf(out, "  %-12s  %s\n", models[i].name, models[i].title);
    g_string_append(out, "\nRecognized features (with + or - after a CPU name):\n");
    for (int i = 0; i < N_CPUID_FEATURES; i++) {
        if (available(i))
            g_string_append_printf(out, "  %s\n", features[i].name);
    }
}
