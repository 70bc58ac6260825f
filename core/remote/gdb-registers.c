/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * What GDB is told the machine is: registers with GDB's own names and numbers (appendix G of
 * Debugging with GDB: "Standard Target Features", i386 and amd64), and control registers in a
 * feature of ours.
 *
 * A connection has one architecture. It cannot follow the guest from real mode to long mode, so all
 * of that is x86-64 unless the guest is seen to be a 32-bit system.
 */

#include "core/remote/gdb-private.h"

#include "core/cpu/cpuid.h"
#include "core/cpu/interp.h"
#include "core/cpu/msr.h"
#include "core/cpu/system.h"

#include <string.h>

#define MSR_EFER     0xc0000080u
#define MAX_REGISTER 16 /* bytes */

typedef enum {
    FEATURE_CORE,
    FEATURE_SSE,
    FEATURE_AVX,
    FEATURE_SEGMENTS,
    FEATURE_SYSTEM,
    N_FEATURES,
} Feature;

typedef enum {
    REGISTER_GPR,
    REGISTER_RIP,
    REGISTER_RFLAGS,
    REGISTER_SELECTOR,
    REGISTER_BASE,
    REGISTER_KERNEL_GS_BASE,
    REGISTER_ST,
    REGISTER_X87, /* INDEX: X87_* */
    REGISTER_XMM,
    REGISTER_YMM_HIGH,
    REGISTER_MXCSR,
    REGISTER_CR,
    REGISTER_EFER,
} RegisterKind;

/* In GDB's order. */
enum { X87_FCW, X87_FSW, X87_FTW, X87_FCS, X87_FIP, X87_FDS, X87_FDP, X87_FOP };

struct GdbRegister {
    char name[16];
    const char *type;
    Feature feature;
    RegisterKind kind;
    unsigned index, bytes;
};

/* --- the table -------------------------------------------------------------------------------- */

static void add(GdbClient *client, Feature feature, RegisterKind kind, unsigned index,
                unsigned bytes, const char *type, const char *name)
{
    GdbRegister reg = {
        .type = type, .feature = feature, .kind = kind, .index = index, .bytes = bytes};

    g_strlcpy(reg.name, name, sizeof(reg.name));
    g_array_append_val(client->registers, reg);
}

static void add_numbered(GdbClient *client, Feature feature, RegisterKind kind, unsigned count,
                         unsigned bytes, const char *type, const char *format_prefix,
                         const char *suffix)
{
    for (unsigned i = 0; i < count; i++) {
        g_autofree char *name = g_strdup_printf("%s%u%s", format_prefix, i, suffix);
        add(client, feature, kind, i, bytes, type, name);
    }
}

static void add_general(GdbClient *client)
{
    static const uint8_t order_64[] = {RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP};
    static const uint8_t order_32[] = {RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI};
    static const char *const names[] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
    static const uint8_t segments[] = {SEG_CS, SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS};
    static const char *const segment_names[] = {"cs", "ss", "ds", "es", "fs", "gs"};
    bool wide = client->is_64bit;
    unsigned bytes = wide ? 8 : 4;

    for (unsigned i = 0; i < 8; i++) {
        unsigned reg = wide ? order_64[i] : order_32[i];
        char name[4] = {wide ? 'r' : 'e', names[reg][0], names[reg][1]};
        const char *type = reg == RSP || reg == RBP ? "data_ptr" : wide ? "int64" : "int32";
        add(client, FEATURE_CORE, REGISTER_GPR, reg, bytes, type, name);
    }
    for (unsigned i = R8; wide && i < N_GPR; i++) {
        char name[4];
        g_snprintf(name, sizeof(name), "r%u", i);
        add(client, FEATURE_CORE, REGISTER_GPR, i, 8, "int64", name);
    }
    add(client, FEATURE_CORE, REGISTER_RIP, 0, bytes, "code_ptr", wide ? "rip" : "eip");
    add(client, FEATURE_CORE, REGISTER_RFLAGS, 0, 4, "i386_eflags", "eflags");
    for (unsigned i = 0; i < G_N_ELEMENTS(segments); i++)
        add(client, FEATURE_CORE, REGISTER_SELECTOR, segments[i], 4, "int32", segment_names[i]);
}

static void add_x87(GdbClient *client)
{
    static const char *const names[] = {"fctrl", "fstat", "ftag",  "fiseg",
                                        "fioff", "foseg", "fooff", "fop"};

    add_numbered(client, FEATURE_CORE, REGISTER_ST, 8, 10, "i387_ext", "st", "");
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        add(client, FEATURE_CORE, REGISTER_X87, i, 4, "int", names[i]);
}

static void add_system(GdbClient *client)
{
    bool wide = client->is_64bit;
    unsigned bytes = wide ? 8 : 4;
    const char *type = wide ? "int64" : "int32";
    /* The standard feature is amd64's only. */
    Feature bases = wide ? FEATURE_SEGMENTS : FEATURE_SYSTEM;

    add(client, bases, REGISTER_BASE, SEG_FS, bytes, type, "fs_base");
    add(client, bases, REGISTER_BASE, SEG_GS, bytes, type, "gs_base");
    if (wide)
        add(client, FEATURE_SYSTEM, REGISTER_KERNEL_GS_BASE, 0, 8, type, "k_gs_base");
    add(client, FEATURE_SYSTEM, REGISTER_CR, 0, bytes, "cr0_flags", "cr0");
    add(client, FEATURE_SYSTEM, REGISTER_CR, 2, bytes, type, "cr2");
    add(client, FEATURE_SYSTEM, REGISTER_CR, 3, bytes, type, "cr3");
    add(client, FEATURE_SYSTEM, REGISTER_CR, 4, bytes, "cr4_flags", "cr4");
    if (wide)
        add(client, FEATURE_SYSTEM, REGISTER_CR, 8, 8, type, "cr8");
    add(client, FEATURE_SYSTEM, REGISTER_EFER, 0, bytes, "efer_flags", "efer");
}

static void make_table(GdbClient *client)
{
    unsigned vectors = client->is_64bit ? 16 : 8;

    add_general(client);
    add_x87(client);
    add_numbered(client, FEATURE_SSE, REGISTER_XMM, vectors, 16, "vec128", "xmm", "");
    add(client, FEATURE_SSE, REGISTER_MXCSR, 0, 4, "i386_mxcsr", "mxcsr");
    if (client->has_avx)
        add_numbered(client, FEATURE_AVX, REGISTER_YMM_HIGH, vectors, 16, "uint128", "ymm", "h");
    add_system(client);
}

/* --- target.xml ------------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    unsigned bit;
} Flag;

static const Flag eflags[] = {
    {"CF", 0},  {"", 1},    {"PF", 2},   {"AF", 4},   {"ZF", 6},  {"SF", 7},
    {"TF", 8},  {"IF", 9},  {"DF", 10},  {"OF", 11},  {"NT", 14}, {"RF", 16},
    {"VM", 17}, {"AC", 18}, {"VIF", 19}, {"VIP", 20}, {"ID", 21}, {NULL},
};
static const Flag mxcsr_flags[] = {
    {"IE", 0}, {"DE", 1}, {"ZE", 2},  {"OE", 3},  {"UE", 4},  {"PE", 5},  {"DAZ", 6}, {"IM", 7},
    {"DM", 8}, {"ZM", 9}, {"OM", 10}, {"UM", 11}, {"PM", 12}, {"FZ", 15}, {NULL},
};
static const Flag cr0_flags[] = {
    {"PE", 0},  {"MP", 1},  {"EM", 2},  {"TS", 3},  {"ET", 4},  {"NE", 5},
    {"WP", 16}, {"AM", 18}, {"NW", 29}, {"CD", 30}, {"PG", 31}, {NULL},
};
static const Flag cr4_flags[] = {
    {"VME", 0},         {"PVI", 1},   {"TSD", 2},   {"DE", 3},        {"PSE", 4},
    {"PAE", 5},         {"MCE", 6},   {"PGE", 7},   {"PCE", 8},       {"OSFXSR", 9},
    {"OSXMMEXCPT", 10}, {"UMIP", 11}, {"LA57", 12}, {"FSGSBASE", 16}, {"PCIDE", 17},
    {"OSXSAVE", 18},    {"SMEP", 20}, {"SMAP", 21}, {NULL},
};
static const Flag efer_flags[] = {
    {"SCE", 0}, {"LME", 8}, {"LMA", 10}, {"NXE", 11}, {NULL},
};

static void append_flags(GString *xml, const char *id, unsigned bytes, const Flag *flags)
{
    g_string_append_printf(xml, "<flags id=\"%s\" size=\"%u\">", id, bytes);
    for (; flags->name; flags++)
        g_string_append_printf(xml, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", flags->name,
                               flags->bit, flags->bit);
    g_string_append(xml, "</flags>\n");
}

static void append_vector_types(GString *xml)
{
    static const struct {
        const char *id, *type;
        unsigned count;
    } vectors[] = {
        {"v4f", "ieee_single", 4}, {"v2d", "ieee_double", 2}, {"v16i8", "int8", 16},
        {"v8i16", "int16", 8},     {"v4i32", "int32", 4},     {"v2i64", "int64", 2},
    };
    static const char fields[] =
        "<union id=\"vec128\">"
        "<field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>"
        "<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>"
        "<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>"
        "<field name=\"uint128\" type=\"uint128\"/></union>\n";

    for (size_t i = 0; i < G_N_ELEMENTS(vectors); i++)
        g_string_append_printf(xml, "<vector id=\"%s\" type=\"%s\" count=\"%u\"/>\n", vectors[i].id,
                               vectors[i].type, vectors[i].count);
    g_string_append(xml, fields);
}

static void append_types(GdbClient *client, GString *xml, Feature feature)
{
    unsigned bytes = client->is_64bit ? 8 : 4;

    switch (feature) {
    case FEATURE_CORE: append_flags(xml, "i386_eflags", 4, eflags); break;
    case FEATURE_SSE:
        append_vector_types(xml);
        append_flags(xml, "i386_mxcsr", 4, mxcsr_flags);
        break;
    case FEATURE_SYSTEM:
        append_flags(xml, "cr0_flags", bytes, cr0_flags);
        append_flags(xml, "cr4_flags", bytes, cr4_flags);
        append_flags(xml, "efer_flags", bytes, efer_flags);
        break;
    default: break;
    }
}

static char *make_description(GdbClient *client)
{
    static const char *const names[N_FEATURES] = {
        "org.gnu.gdb.i386.core",     "org.gnu.gdb.i386.sse", "org.gnu.gdb.i386.avx",
        "org.gnu.gdb.i386.segments", "apiary.i386.system",
    };
    GString *xml = g_string_new("<?xml version=\"1.0\"?>\n"
                                "<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n");

    g_string_append_printf(xml, "<architecture>%s</architecture>\n",
                           client->is_64bit ? "i386:x86-64" : "i386");
    for (guint i = 0; i < client->registers->len; i++) {
        const GdbRegister *reg = &g_array_index(client->registers, GdbRegister, i);
        bool first = !i || reg[-1].feature != reg->feature;
        bool last = i + 1 == client->registers->len || reg[1].feature != reg->feature;
        if (first) {
            g_string_append_printf(xml, "<feature name=\"%s\">\n", names[reg->feature]);
            append_types(client, xml, reg->feature);
        }
        g_string_append_printf(xml, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"/>\n", reg->name,
                               reg->bytes * 8, reg->type);
        if (last)
            g_string_append(xml, "</feature>\n");
    }
    g_string_append(xml, "</target>\n");
    return g_string_free(xml, FALSE);
}

/* --- which architecture ----------------------------------------------------------------------- */

typedef struct {
    bool long_mode, has_long_mode, paging, has_avx;
} CpuKind;

static void look_on_cpu(Cpu *cpu, void *opaque)
{
    CpuKind *kind = opaque;

    kind->has_long_mode = cpuid_has(cpu->model, CPUID_LM);
    kind->has_avx = cpuid_has(cpu->model, CPUID_AVX);
    kind->long_mode |= (cpu->efer & EFER_LMA) != 0;
    kind->paging |= (cpu->cr0 & CR0_PG) != 0;
}

void gdb_make_registers(GdbClient *client, GdbArch arch)
{
    CpuKind kind = {0};

    for (unsigned i = 0; i < pc_cpu_count(client->pc); i++)
        cpu_call_on(pc_cpu(client->pc, i), look_on_cpu, &kind);
    /* Nothing on the way to long mode pages without it. */
    bool is_32bit_system = !kind.has_long_mode || (kind.paging && !kind.long_mode);
    client->is_64bit = arch == GDB_ARCH_AUTO ? !is_32bit_system : arch == GDB_ARCH_X86_64;
    client->has_avx = kind.has_avx;
    client->registers = g_array_new(FALSE, TRUE, sizeof(GdbRegister));
    make_table(client);
    client->description = make_description(client);
}

/* --- reading ---------------------------------------------------------------------------------- */

static uint64_t read_x87(const Cpu *cpu, unsigned index)
{
    switch (index) {
    case X87_FCW: return cpu->vectors.fcw;
    case X87_FSW: return cpu->vectors.fsw;
    case X87_FTW: return interp_x87_tags(cpu);
    case X87_FCS: return cpu->x87_fcs;
    case X87_FIP: return cpu->x87_fip;
    case X87_FDS: return cpu->x87_fds;
    case X87_FDP: return cpu->x87_fdp;
    default: return cpu->x87_fop;
    }
}

static uint64_t read_cr(Cpu *cpu, unsigned cr)
{
    uint64_t value = 0;

    switch (cr) {
    case 0: return cpu->cr0;
    case 2: return cpu->cr2;
    case 3: return cpu->cr3;
    case 4: return cpu->cr4;
    default:
        cpu->board->lock(cpu->board_opaque);
        value = cpu->board->get_cr8(cpu->board_opaque);
        cpu->board->unlock(cpu->board_opaque);
        return value;
    }
}

/* Where the bytes of a vector or x87 register are; NULL for others. */
static uint8_t *register_bytes(Cpu *cpu, const GdbRegister *reg)
{
    switch (reg->kind) {
    case REGISTER_ST: return cpu->vectors.st[reg->index];
    case REGISTER_XMM: return cpu->vectors.xmm[reg->index];
    case REGISTER_YMM_HIGH: return cpu->vectors.ymm_high + reg->index * 16;
    case REGISTER_MXCSR: return (uint8_t *)&cpu->vectors.mxcsr;
    default: return NULL;
    }
}

static uint64_t read_number(Cpu *cpu, const GdbRegister *reg)
{
    switch (reg->kind) {
    case REGISTER_GPR: return cpu->gpr[reg->index];
    case REGISTER_RIP: return cpu->rip;
    case REGISTER_RFLAGS: return cpu->rflags;
    case REGISTER_SELECTOR: return cpu->seg[reg->index].selector;
    case REGISTER_BASE: return cpu->seg[reg->index].base;
    case REGISTER_KERNEL_GS_BASE: return cpu->kernel_gs_base;
    case REGISTER_X87: return read_x87(cpu, reg->index);
    case REGISTER_CR: return read_cr(cpu, reg->index);
    default: return cpu->efer;
    }
}

static void read_register(Cpu *cpu, const GdbRegister *reg, uint8_t *out)
{
    const uint8_t *bytes = register_bytes(cpu, reg);
    uint64_t value = bytes ? 0 : read_number(cpu, reg);

    memcpy(out, bytes ? bytes : (const uint8_t *)&value, reg->bytes);
}

/* --- writing: with the checks of the instruction that would do it -------------------------------
 */

typedef struct {
    unsigned index;
    uint64_t value;
} Change;

static void load_segment(Cpu *cpu, void *opaque)
{
    const Change *change = opaque;

    segment_load(cpu, (int)change->index, (uint16_t)change->value);
}

static bool write_selector(Cpu *cpu, unsigned seg, uint64_t value)
{
    bool real = !(cpu->mode & MODE_PE) || (cpu->mode & MODE_VM86);

    if (value > UINT16_MAX)
        return false;
    /* MOV cannot load CS: that would be a far jump, with another RIP. */
    if (seg == SEG_CS && !real)
        return false;
    if (seg == SEG_CS) {
        segment_load_real(cpu, SEG_CS, (uint16_t)value);
        return true;
    }
    return cpu_try(cpu, load_segment, &(Change){seg, value});
}

static void load_cr(Cpu *cpu, void *opaque)
{
    const Change *change = opaque;

    system_mov_to_cr(cpu, change->index, change->value);
}

/* A debugger has no privilege level. */
static bool write_cr(Cpu *cpu, unsigned cr, uint64_t value)
{
    uint8_t cpl = cpu->cpl;

    cpu->cpl = 0;
    bool done = cpu_try(cpu, load_cr, &(Change){cr, value});
    cpu->cpl = cpl;
    cpu_update_mode(cpu);
    return done;
}

static bool write_base(Cpu *cpu, unsigned seg, uint64_t value)
{
    if (!cpu_canonical(value) || (!(cpu->mode & MODE_LMA) && value > UINT32_MAX))
        return false;
    cpu->seg[seg].base = value;
    cpu_update_mode(cpu);
    return true;
}

static bool write_x87(Cpu *cpu, unsigned index, uint64_t value)
{
    uint16_t word = (uint16_t)value;

    switch (index) {
    case X87_FCW: cpu->vectors.fcw = word; break;
    case X87_FSW: cpu->vectors.fsw = word; break;
    case X87_FTW: interp_x87_set_tags(cpu, word); break;
    case X87_FCS: cpu->x87_fcs = word; break;
    case X87_FIP: cpu->x87_fip = value; break;
    case X87_FDS: cpu->x87_fds = word; break;
    case X87_FDP: cpu->x87_fdp = value; break;
    default: cpu->x87_fop = word & 0x7ff; break;
    }
    interp_x87_update_summary(cpu);
    return true;
}

static bool write_rip(Cpu *cpu, uint64_t value)
{
    if (cpu->mode & MODE_CS64 ? !cpu_canonical(value) : value > UINT32_MAX)
        return false;
    cpu->rip = value;
    /* It is to run there, whatever it was waiting for. */
    if (cpu->halt_state == CPU_HALTED)
        cpu->halt_state = CPU_RUNNING;
    return true;
}

static bool write_number(Cpu *cpu, const GdbRegister *reg, uint64_t value)
{
    const uint64_t flags = RFLAGS_ARITH | RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_IOPL |
                           RFLAGS_NT | RFLAGS_RF | RFLAGS_AC | RFLAGS_VIF | RFLAGS_VIP | RFLAGS_ID;

    switch (reg->kind) {
    case REGISTER_GPR: cpu->gpr[reg->index] = value; return true;
    case REGISTER_RIP: return write_rip(cpu, value);
    case REGISTER_RFLAGS: cpu_set_rflags(cpu, value, flags); return true;
    case REGISTER_SELECTOR: return write_selector(cpu, reg->index, value);
    case REGISTER_BASE: return write_base(cpu, reg->index, value);
    case REGISTER_KERNEL_GS_BASE:
        if (!cpu_canonical(value))
            return false;
        cpu->kernel_gs_base = value;
        return true;
    case REGISTER_X87: return write_x87(cpu, reg->index, value);
    case REGISTER_CR: return write_cr(cpu, reg->index, value);
    default: return msr_write(cpu, MSR_EFER, value);
    }
}

/* Reserved bits of MXCSR would fault when the state is loaded (SDM 1, 10.2.3). */
static bool is_valid(const Cpu *cpu, const GdbRegister *reg, const uint8_t *in)
{
    uint32_t value;

    memcpy(&value, in, sizeof(value));
    return reg->kind != REGISTER_MXCSR || !(value & ~cpu->mxcsr_mask);
}

static bool write_register(Cpu *cpu, const GdbRegister *reg, const uint8_t *in)
{
    uint8_t now[MAX_REGISTER], *bytes = register_bytes(cpu, reg);
    uint64_t value = 0;

    read_register(cpu, reg, now);
    if (memcmp(now, in, reg->bytes) == 0)
        return true; /* nothing that could be refused */
    if (!bytes) {
        memcpy(&value, in, reg->bytes);
        return write_number(cpu, reg, value);
    }
    if (!is_valid(cpu, reg, in))
        return false;
    memcpy(bytes, in, reg->bytes);
    return true;
}

/* --- packets ---------------------------------------------------------------------------------- */

/* A run of registers on its way between a vCPU and a packet. */
typedef struct {
    GdbClient *client;
    guint first, count;
    uint8_t *data;
    bool failed;
} Transfer;

static size_t registers_size(GdbClient *client, guint first, guint count)
{
    size_t size = 0;

    for (guint i = first; i < first + count; i++)
        size += g_array_index(client->registers, GdbRegister, i).bytes;
    return size;
}

static void read_on_cpu(Cpu *cpu, void *opaque)
{
    Transfer *transfer = opaque;
    uint8_t *out = transfer->data;

    cpu_spill_vectors(cpu);
    for (guint i = transfer->first; i < transfer->first + transfer->count; i++) {
        const GdbRegister *reg = &g_array_index(transfer->client->registers, GdbRegister, i);
        read_register(cpu, reg, out);
        out += reg->bytes;
    }
}

static void write_on_cpu(Cpu *cpu, void *opaque)
{
    Transfer *transfer = opaque;
    const uint8_t *in = transfer->data;

    cpu_spill_vectors(cpu);
    for (guint i = transfer->first; i < transfer->first + transfer->count; i++) {
        const GdbRegister *reg = &g_array_index(transfer->client->registers, GdbRegister, i);
        transfer->failed |= !write_register(cpu, reg, in);
        in += reg->bytes;
    }
}

static void send_registers(GdbClient *client, guint first, guint count)
{
    size_t size = registers_size(client, first, count);
    g_autofree uint8_t *data = g_malloc(size);
    g_autoptr(GString) reply = g_string_new(NULL);
    Transfer transfer = {client, first, count, data, false};

    cpu_call_on(pc_cpu(client->pc, client->cpu), read_on_cpu, &transfer);
    gdb_append_hex(reply, data, size);
    gdb_client_send_text(client, reply->str);
}

static void take_registers(GdbClient *client, guint first, guint count, const char *hex)
{
    size_t size = registers_size(client, first, count);
    g_autofree uint8_t *data = g_malloc(size);
    Transfer transfer = {client, first, count, data, false};

    if (strlen(hex) != size * 2 || !gdb_parse_hex(hex, data, size)) {
        gdb_client_send_text(client, GDB_ERROR_INVALID);
        return;
    }
    cpu_call_on(pc_cpu(client->pc, client->cpu), write_on_cpu, &transfer);
    gdb_client_send_text(client, transfer.failed ? GDB_ERROR_INVALID : "OK");
}

void gdb_read_registers(GdbClient *client)
{
    send_registers(client, 0, client->registers->len);
}

void gdb_write_registers(GdbClient *client, const char *hex)
{
    take_registers(client, 0, client->registers->len, hex);
}

void gdb_read_register(GdbClient *client, const char *arguments)
{
    uint64_t number;

    if (!gdb_take_number(&arguments, &number) || *arguments || number >= client->registers->len)
        gdb_client_send_text(client, GDB_ERROR_INVALID);
    else
        send_registers(client, (guint)number, 1);
}

void gdb_write_register(GdbClient *client, const char *arguments)
{
    uint64_t number;

    if (!gdb_take_number(&arguments, &number) || *arguments++ != '=' ||
        number >= client->registers->len)
        gdb_client_send_text(client, GDB_ERROR_INVALID);
    else
        take_registers(client, (guint)number, 1, arguments);
}

static void set_rip_on_cpu(Cpu *cpu, void *opaque)
{
    write_rip(cpu, *(const uint64_t *)opaque);
}

void gdb_set_rip(GdbClient *client, unsigned cpu, uint64_t rip)
{
    cpu_call_on(pc_cpu(client->pc, cpu), set_rip_on_cpu, &rip);
}
