/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/machine/monitor.h"

#include "core/chipset/pci.h"
#include "core/config/gdb-spec.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/jit/jit.h"
#include "core/cpu/mmu.h"
#include "core/machine/keynames.h"
#include "core/machine/monitor-network.h"
#include "core/machine/monitor-vnc.h"
#include "core/machine/pc-private.h"
#include "core/remote/gdb.h"

#include <inttypes.h>
#include <string.h>

#define MAX_KEYS    16
#define KEY_HOLD_MS 100
#define MAX_HOLD_MS 60000
#define MAX_DUMP    4096 /* values that x and xp show */

typedef struct {
    Machine *machine;
    Pc *pc;
    char **words; /* the line's words, the command first; ends with NULL */
    unsigned n_words;
    GString *out;
} Line;

/* --- helpers ------------------------------------------------------------------------------------
 */

typedef struct {
    GString *out;
    uint64_t linear, physical;
    bool mapped;
} CpuQuery;

static void describe_on_cpu(Cpu *cpu, void *opaque)
{
    cpu_describe(cpu, ((CpuQuery *)opaque)->out);
}

static void translate_on_cpu(Cpu *cpu, void *opaque)
{
    CpuQuery *query = opaque;

    query->mapped = mmu_translate_debug(cpu, query->linear, &query->physical);
}

bool monitor_translate(Pc *pc, unsigned cpu, uint64_t linear, uint64_t *physical)
{
    CpuQuery query = {.linear = linear};

    if (cpu >= pc->n_cpus)
        return false;
    cpu_call_on(pc->cpus[cpu], translate_on_cpu, &query);
    *physical = query.physical;
    return query.mapped;
}

/* "0x1000", "4096" or "$eip"-less: plain numbers only. */
static bool parse_number(Line *line, const char *text, uint64_t *value)
{
    char *end;

    *value = text ? g_ascii_strtoull(text, &end, 0) : 0;
    if (text && end != text && !*end)
        return true;
    g_string_append_printf(line->out, "\"%s\" is not a number\n", text ? text : "");
    return false;
}

/* --- looking ------------------------------------------------------------------------------------
 */

static void info_registers(Line *line)
{
    bool all = line->n_words > 2 && g_str_equal(line->words[2], "-a");

    for (unsigned i = 0; i < (all ? line->pc->n_cpus : 1); i++) {
        CpuQuery query = {.out = line->out};
        g_string_append_printf(line->out, "\nCPU#%u\n", i);
        cpu_call_on(line->pc->cpus[i], describe_on_cpu, &query);
    }
}

static void info_pic(Line *line)
{
    board_lock(&line->pc->board);
    pc_describe_interrupts(line->pc, line->out);
    board_unlock(&line->pc->board);
}

static void info_lapic(Line *line)
{
    board_lock(&line->pc->board);
    for (unsigned i = 0; i < line->pc->n_cpus; i++)
        lapic_describe(interrupts_lapics(line->pc->interrupts), i, line->out);
    board_unlock(&line->pc->board);
}

static void info_block(Line *line)
{
    board_lock(&line->pc->board);
    pc_describe_blocks(line->pc, line->out);
    board_unlock(&line->pc->board);
}

static void info_blockstats(Line *line)
{
    PcDrive drive;

    board_lock(&line->pc->board);
    for (unsigned i = 0; pc_drive(line->pc, i, &drive); i++) {
        if (!drive.image)
            continue;
        BlockStatistics s = block_image_statistics(drive.image);
        g_string_append_printf(
            line->out,
            "%s: rd_bytes=%" PRIu64 " wr_bytes=%" PRIu64 " rd_operations=%" PRIu64
            " wr_operations=%" PRIu64 " flush_operations=%" PRIu64 "\n",
            drive.id, s.read_bytes, s.write_bytes, s.read_ops, s.write_ops, s.flush_ops);
    }
    board_unlock(&line->pc->board);
}

static void info_pci(Line *line)
{
    board_lock(&line->pc->board);
    pci_bus_describe(line->pc->board.pci, line->out);
    board_unlock(&line->pc->board);
}

static void info_mtree(Line *line)
{
    board_lock(&line->pc->board);
    memory_map_describe(line->pc->board.memory, line->out);
    board_unlock(&line->pc->board);
}

static void info_status(Line *line)
{
    const char *status = machine_status_text(line->machine);
    bool running = g_str_equal(status, "running");

    g_string_append_printf(line->out, "VM status: %s", running ? status : "paused");
    if (!running && !g_str_equal(status, "paused"))
        g_string_append_printf(line->out, " (%s)", status);
    g_string_append_c(line->out, '\n');
}

static void info_cpus(Line *line)
{
    for (unsigned i = 0; i < line->pc->n_cpus; i++)
        g_string_append_printf(line->out, "%s CPU #%u:%s\n", i ? " " : "*", i,
                               cpu_is_halted(line->pc->cpus[i]) ? " (halted)" : "");
}

static void info_name(Line *line)
{
    g_string_append_printf(line->out, "%s\n", line->pc->config->name);
}

static void info_version(Line *line)
{
    g_string_append(line->out, "Apiary\n");
}

static void info_network(Line *line)
{
    monitor_info_network(line->pc, line->out);
}

static void info_usernet(Line *line)
{
    monitor_info_usernet(line->pc, line->out);
}

/* Which instructions, the most frequent first. */
static void info_interpreted(Line *line)
{
    enum { SHOWN = 20, A_LINE = 4 };
    JitInterpreted most[SHOWN];
    unsigned n = jit_most_interpreted(line->pc->jit, most, SHOWN);

    for (unsigned i = 0; i < n; i++)
        g_string_append_printf(line->out, "%s%s %" PRIu64, i % A_LINE ? ", " : "\n    ",
                               most[i].mnemonic ? most[i].mnemonic : "without a block",
                               most[i].count);
    g_string_append_c(line->out, '\n');
}

static void info_hottest(Line *line)
{
    enum { SHOWN = 10 };
    JitHot hottest[SHOWN];
    unsigned total, n = jit_hottest(line->pc->jit, hottest, SHOWN, &total);

    g_string_append_printf(line->out, "top blocks, of the last %u samples at interrupts%s\n", total,
                           n ? ":" : "");
    for (unsigned i = 0; i < n; i++)
        g_string_append_printf(line->out, "    %5.1f %%  %016" PRIx64 " %s\n",
                               100.0 * hottest[i].samples / total, hottest[i].rip,
                               hottest[i].user ? "user" : "kernel");
}

/* Nanoseconds that an instruction's translation took. */
static double translation_ns(const Pc *pc, const JitStatistics *statistics)
{
    double ticks = (double)statistics->translation_ticks * 1e6 / cpuid_tsc_khz(pc->cpuid);

    return ticks / (double)MAX(statistics->instructions, 1);
}

static void info_jit(Line *line)
{
    if (!line->pc->jit) {
        g_string_append(line->out, "The interpreter runs this machine.\n");
        return;
    }
    JitStatistics s = jit_statistics(line->pc->jit);
    g_string_append_printf(
        line->out,
        "blocks %" PRIu64 " (tier 1 %" PRIu64 ", tier 2 %" PRIu64 ")\ntranslated: blocks %" PRIu64
        " (tier 2 %" PRIu64 "), instructions %" PRIu64 ", %.0f ns each\ncode %" PRIu64
        " of %" PRIu64 " bytes\nflushes %" PRIu64 ", evictions %" PRIu64 ", evicted blocks %" PRIu64
        ", invalidated blocks %" PRIu64 "\nexits %" PRIu64 " (direct branches %" PRIu64
        ", indirect %" PRIu64 ", requests %" PRIu64 ", others %" PRIu64 ")\nlinks %" PRIu64
        ", traps %" PRIu64 "\nslow memory accesses %" PRIu64 " (refills %" PRIu64
        ", stores near code %" PRIu64 ", over pages %" PRIu64 ", alignment and x87 %" PRIu64
        ", devices, faults, code %" PRIu64 ")\ninterpreted %" PRIu64,
        s.present, s.present - s.present_again, s.present_again, s.blocks, s.translated_again,
        s.instructions, translation_ns(line->pc, &s), s.code_bytes, s.cache_bytes, s.flushes,
        s.evictions, s.evicted, s.invalidated, s.exits, s.exits_direct, s.exits_indirect,
        s.exits_requested, s.exits - s.exits_direct - s.exits_indirect - s.exits_requested, s.links,
        s.traps, jit_slow_accesses(&s), s.slow[JIT_SLOW_REFILL], s.slow[JIT_SLOW_NEAR_CODE],
        s.slow[JIT_SLOW_SPLIT], s.slow[JIT_SLOW_ODD], s.slow[JIT_SLOW_OTHER], s.interpreted);
    info_interpreted(line);
    info_hottest(line);
}

/* Ranges of linear addresses mapped alike, as QEMU prints them (present pages only). */
static void walk_tables(Line *line, uint64_t table, int level, int entry_bytes, uint64_t base)
{
    Board *board = &line->pc->board;
    int index_bits = entry_bytes == 8 ? 9 : 10, shift = 12 + index_bits * level;
    int entries = entry_bytes == 8 && level == 2 ? 512 : 1 << index_bits;

    for (int i = 0; i < entries && line->out->len < (1 << 20); i++) {
        uint64_t entry = memory_read_uint(board->memory, table + i * entry_bytes, entry_bytes);
        uint64_t linear = base + ((uint64_t)i << shift);
        if (!(entry & 1))
            continue;
        if (level && !(entry & 0x80)) {
            walk_tables(line, entry & 0x000ffffffffff000ull, level - 1, entry_bytes, linear);
            continue;
        }
        if (linear & (1ull << 47))
            linear |= 0xffffull << 48;
        g_string_append_printf(line->out, "%016" PRIx64 "-%016" PRIx64 " %016" PRIx64 " %c%c%c\n",
                               linear, linear + ((uint64_t)1 << shift), (uint64_t)1 << shift,
                               entry & 4 ? 'u' : '-', 'r', entry & 2 ? 'w' : '-');
    }
}

static void info_mem_on_cpu(Cpu *cpu, void *opaque)
{
    Line *line = opaque;
    uint64_t cr3 = cpu->cr3 & 0x000ffffffffff000ull;

    board_lock(&line->pc->board);
    if (!(cpu->cr0 & CR0_PG)) {
        g_string_append(line->out, "PG disabled\n");
    } else if (cpu->efer & EFER_LMA) {
        walk_tables(line, cr3, 3, 8, 0);
    } else if (cpu->cr4 & CR4_PAE) {
        for (int i = 0; i < 4; i++)
            if (cpu->pdpte[i] & 1)
                walk_tables(line, cpu->pdpte[i] & 0x000ffffffffff000ull, 1, 8, (uint64_t)i << 30);
    } else {
        walk_tables(line, cr3, 1, 4, 0);
    }
    board_unlock(&line->pc->board);
}

static void info_mem(Line *line)
{
    cpu_call_on(line->pc->cpus[0], info_mem_on_cpu, line);
}

static void info_vnc(Line *line)
{
    monitor_info_vnc(line->machine, line->out);
}

static const struct {
    const char *name;
    void (*func)(Line *line);
    const char *help;
} infos[] = {
    {"block", info_block, "drives and their media"},
    {"blockstats", info_blockstats, "what the drives have moved"},
    {"cpus", info_cpus, "the vCPUs"},
    {"jit", info_jit, "the translator's counters"},
    {"lapic", info_lapic, "local APICs"},
    {"mem", info_mem, "mapped linear ranges"},
    {"mtree", info_mtree, "the physical address map"},
    {"name", info_name, "the machine's name"},
    {"network", info_network, "networks and their cards"},
    {"pci", info_pci, "PCI functions"},
    {"pic", info_pic, "interrupt controllers"},
    {"registers", info_registers, "CPU registers; -a for all CPUs"},
    {"status", info_status, "running or paused"},
    {"usernet", info_usernet, "connections of user-mode networks"},
    {"version", info_version, "the program"},
    {"vnc", info_vnc, "the VNC server and its clients"},
};

static void do_info(Line *line)
{
    for (size_t i = 0; i < G_N_ELEMENTS(infos); i++) {
        if (line->n_words > 1 && g_str_equal(infos[i].name, line->words[1])) {
            infos[i].func(line);
            return;
        }
    }
    if (line->n_words > 1)
        g_string_append_printf(line->out, "unknown command: 'info %s'\n", line->words[1]);
    for (size_t i = 0; i < G_N_ELEMENTS(infos); i++)
        g_string_append_printf(line->out, "info %s -- %s\n", infos[i].name, infos[i].help);
}

/* What follows the slash of x and xp, "16xb": how many, how, how large. */
typedef struct {
    unsigned count, size;
    char type; /* x, d, u, o or c */
} Format;

static bool parse_format(Line *line, const char *text, Format *format)
{
    static const char sizes[] = "bhwg";

    if (g_ascii_isdigit(*text)) {
        char *end;
        uint64_t count = g_ascii_strtoull(text, &end, 10);
        format->count = MIN(count, MAX_DUMP);
        text = end;
    }
    for (; *text; text++) {
        const char *size = strchr(sizes, *text);
        if (size) {
            format->size = 1u << (size - sizes);
        } else if (strchr("xduoc", *text)) {
            format->type = *text;
        } else {
            g_string_append_printf(line->out, "invalid char in format: '%c'\n", *text);
            return false;
        }
    }
    if (format->type == 'c')
        format->size = 1;
    return true;
}

static void append_character(GString *out, uint8_t c)
{
    if (c == '\'' || c == '\\')
        g_string_append_printf(out, " '\\%c'", c);
    else if (c == '\n' || c == '\r')
        g_string_append_printf(out, " '\\%c'", c == '\n' ? 'n' : 'r');
    else if (g_ascii_isprint(c))
        g_string_append_printf(out, " '%c'", c);
    else
        g_string_append_printf(out, " '\\x%02x'", c);
}

/* Columns are as wide as the largest value, as in QEMU. */
static void append_value(GString *out, const Format *format, uint64_t value)
{
    int bits = format->size * 8, shift = 64 - bits, decimal = (bits * 10 + 32) / 33;

    switch (format->type) {
    case 'd':
        g_string_append_printf(out, " %*" PRId64, decimal, (int64_t)(value << shift) >> shift);
        break;
    case 'u': g_string_append_printf(out, " %*" PRIu64, decimal, value); break;
    case 'o': g_string_append_printf(out, " %#*" PRIo64, (bits + 2) / 3, value); break;
    case 'c': append_character(out, value); break;
    default: g_string_append_printf(out, " 0x%0*" PRIx64, bits / 4, value); break;
    }
}

/* x and xp: "/16xb", then the address. */
static void dump_memory(Line *line, bool physical)
{
    Format format = {.count = 1, .size = 4, .type = 'x'};
    bool formatted = line->n_words > 1 && line->words[1][0] == '/';
    Board *board = &line->pc->board;
    uint64_t address;

    if (formatted && !parse_format(line, line->words[1] + 1, &format))
        return;
    if (!parse_number(line, line->n_words > 1u + formatted ? line->words[1 + formatted] : NULL,
                      &address))
        return;
    unsigned a_line = format.size == 1 ? 8 : 16 / format.size;
    for (unsigned i = 0; i < format.count; i++, address += format.size) {
        uint64_t at = address;
        if (i % a_line == 0)
            g_string_append_printf(line->out, "%s%016" PRIx64 ":", i ? "\n" : "", address);
        if (!physical && !monitor_translate(line->pc, 0, address, &at)) {
            g_string_append(line->out, "\nCannot access memory\n");
            return;
        }
        board_lock(board);
        uint64_t value = memory_read_uint(board->memory, at, format.size);
        board_unlock(board);
        append_value(line->out, &format, value);
    }
    g_string_append_c(line->out, '\n');
}

static void do_x(Line *line)
{
    dump_memory(line, false);
}

static void do_xp(Line *line)
{
    dump_memory(line, true);
}

/* --- acting: through the machine's own queue, so that all clients take one way -------------------
 */

static void send_simple(Line *line, MachineCommandType type)
{
    machine_send(line->machine, &(MachineCommand){.type = type}, NULL, NULL);
}

static void do_stop(Line *line)
{
    send_simple(line, COMMAND_PAUSE);
}

static void do_cont(Line *line)
{
    send_simple(line, COMMAND_RESUME);
}

static void do_reset(Line *line)
{
    send_simple(line, COMMAND_RESET);
}

static void do_powerdown(Line *line)
{
    send_simple(line, COMMAND_POWER_BUTTON);
}

static void do_quit(Line *line)
{
    send_simple(line, COMMAND_STOP);
}

static void do_nmi(Line *line)
{
    send_simple(line, COMMAND_NMI);
}

typedef struct {
    Machine *machine;
    unsigned codes[MAX_KEYS], n_codes;
} HeldKeys;

static void send_keys(const HeldKeys *held, bool down)
{
    for (unsigned i = 0; i < held->n_codes; i++) {
        unsigned code = held->codes[down ? i : held->n_codes - 1 - i];
        machine_send(held->machine,
                     &(MachineCommand){.type = COMMAND_KEY, .key = {.code = code, .down = down}},
                     NULL, NULL);
    }
}

static gboolean release_keys(gpointer held)
{
    send_keys(held, false);
    return G_SOURCE_REMOVE;
}

static void do_sendkey(Line *line)
{
    HeldKeys keys = {.machine = line->machine};
    uint64_t hold = KEY_HOLD_MS;
    g_autoptr(GError) error = NULL;

    if (line->n_words < 2) {
        g_string_append(line->out, "sendkey needs keys, like ctrl-alt-delete\n");
        return;
    }
    if (line->n_words > 2 && !parse_number(line, line->words[2], &hold))
        return;
    keys.n_codes = keys_by_combination(line->words[1], keys.codes, MAX_KEYS, &error);
    if (!keys.n_codes) {
        g_string_append_printf(line->out, "%s\n", error->message);
        return;
    }
    send_keys(&keys, true);
    /* On the board's context: what is left of it goes with the machine. */
    g_autoptr(GSource) release = g_timeout_source_new(MIN(hold, MAX_HOLD_MS));
    g_source_set_callback(release, release_keys, g_memdup2(&keys, sizeof(keys)), g_free);
    g_source_attach(release, g_main_context_get_thread_default());
}

static void report(Line *line, const GError *error)
{
    if (error)
        g_string_append_printf(line->out, "Error: %s\n", error->message);
}

static void do_screendump(Line *line)
{
    g_autoptr(GError) error = NULL;
    const char *format = "ppm";

    if (line->n_words < 2) {
        g_string_append(line->out, "screendump needs a file name\n");
        return;
    }
    for (unsigned i = 2; i + 1 < line->n_words; i++)
        if (g_str_equal(line->words[i], "-f"))
            format = line->words[i + 1];
    board_lock(&line->pc->board);
    display_refresh(line->pc->board.display);
    board_unlock(&line->pc->board);
    display_save(line->pc->board.display, line->words[1], format, &error);
    report(line, error);
}

static void do_eject(Line *line)
{
    bool force = line->n_words > 2 && g_str_equal(line->words[1], "-f");
    g_autoptr(GError) error = NULL;

    if (line->n_words < 2) {
        g_string_append(line->out, "eject needs a drive; see info block\n");
        return;
    }
    board_lock(&line->pc->board);
    pc_eject_medium(line->pc, line->words[force ? 2 : 1], force, &error);
    board_unlock(&line->pc->board);
    report(line, error);
}

static void do_change(Line *line)
{
    g_autoptr(GError) error = NULL;
    bool force = line->n_words > 3 && g_str_equal(line->words[1], "-f");
    char **words = line->words + force;

    if (line->n_words > 1 && g_str_equal(line->words[1], "vnc")) {
        monitor_change_vnc(line->machine, line->words, line->out);
        return;
    }
    if (line->n_words < 3u + force) {
        g_string_append(line->out, "change needs a drive and a file\n");
        return;
    }
    pc_change_medium(line->pc, words[1], words[2], force, &error);
    report(line, error);
}

static void save_memory(Line *line, bool physical)
{
    uint64_t address, length;

    if (line->n_words < 4 || !parse_number(line, line->words[1], &address) ||
        !parse_number(line, line->words[2], &length)) {
        g_string_append(line->out, "needs address, size and file name\n");
        return;
    }
    machine_send(line->machine,
                 &(MachineCommand){.type = COMMAND_MEMORY_SAVE,
                                   .address = address,
                                   .length = length,
                                   .text = {line->words[3]},
                                   .flag = physical},
                 NULL, NULL);
}

static void do_memsave(Line *line)
{
    save_memory(line, false);
}

static void do_pmemsave(Line *line)
{
    save_memory(line, true);
}

static void do_hostfwd_add(Line *line)
{
    monitor_hostfwd_add(line->pc, line->words, line->out);
}

static void do_hostfwd_remove(Line *line)
{
    monitor_hostfwd_remove(line->pc, line->words, line->out);
}

static void do_set_link(Line *line)
{
    monitor_set_link(line->pc, line->words, line->out);
}

static void do_set_password(Line *line)
{
    monitor_set_password(line->machine, line->words, line->out);
}

static void do_expire_password(Line *line)
{
    monitor_expire_password(line->machine, line->words, line->out);
}

static void do_object_add(Line *line)
{
    monitor_object_add(line->pc, line->words, line->out);
}

static void do_object_del(Line *line)
{
    monitor_object_del(line->pc, line->words, line->out);
}

static void do_gdbserver(Line *line)
{
    g_autoptr(GError) error = NULL;
    GdbServer *server = machine_gdb(line->machine);
    const char *spec = line->n_words > 1 ? line->words[1] : GDB_DEFAULT_SPEC;

    if (!gdb_server_open(server, spec, &error)) {
        report(line, error);
        return;
    }
    g_autofree char *text = gdb_server_describe(server);
    g_string_append_printf(line->out, "%s\n", text);
}

static void do_help(Line *line);

static const struct {
    const char *name;
    void (*func)(Line *line);
    const char *help;
} commands[] = {
    {"c", do_cont, "go on"},
    {"change", do_change, "[-f] DRIVE FILE: put a medium in; vnc ADDRESS; vnc password SECRET"},
    {"cont", do_cont, "go on"},
    {"eject", do_eject, "[-f] DRIVE: take the medium out"},
    {"expire_password", do_expire_password, "vnc now|never|+SECONDS|SECONDS: when it ends"},
    {"gdbserver", do_gdbserver, "[tcp:[HOST]:PORT|unix:PATH|none]: let GDB connect; tcp::1234"},
    {"help", do_help, "this list"},
    {"hostfwd_add", do_hostfwd_add, "[NETWORK] tcp|udp:[ADDR]:PORT-[GUEST]:PORT: open a host port"},
    {"hostfwd_remove", do_hostfwd_remove, "[NETWORK] tcp|udp:[ADDR]:PORT: close it"},
    {"info", do_info, "SUBJECT: what there is to see"},
    {"memsave", do_memsave, "ADDRESS SIZE FILE: linear memory of CPU 0 to a file"},
    {"nmi", do_nmi, "send an NMI to the CPUs"},
    {"object_add", do_object_add, "filter-dump,id=ID,netdev=NETWORK,file=FILE: capture packets"},
    {"object_del", do_object_del, "ID: end a capture"},
    {"pmemsave", do_pmemsave, "ADDRESS SIZE FILE: physical memory to a file"},
    {"q", do_quit, "end the machine"},
    {"quit", do_quit, "end the machine"},
    {"screendump", do_screendump, "FILE [-f png|ppm]: the picture to a file"},
    {"sendkey", do_sendkey, "KEYS [MS]: press keys, like ctrl-alt-delete"},
    {"set_link", do_set_link, "NAME on|off: plug or pull a network cable"},
    {"set_password", do_set_password, "vnc SECRET: what clients must give from now on"},
    {"stop", do_stop, "pause"},
    {"system_powerdown", do_powerdown, "press the power button"},
    {"system_reset", do_reset, "reset"},
    {"x", do_x, "/FMT ADDRESS: show linear memory of CPU 0"},
    {"xp", do_xp, "/FMT ADDRESS: show physical memory"},
};

static void do_help(Line *line)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        g_string_append_printf(line->out, "%s -- %s\n", commands[i].name, commands[i].help);
}

/* "x/4xw" is "x /4xw". */
static char **split_words(const char *text)
{
    g_autofree char *line = g_strstrip(g_strdup(text));
    char *slash = strchr(line, '/');
    g_autoptr(GString) spaced = g_string_new(line);
    char **words = NULL;

    if (slash && slash > line && (g_str_has_prefix(line, "x/") || g_str_has_prefix(line, "xp/")))
        g_string_insert_c(spaced, slash - line, ' ');
    if (spaced->len)
        g_shell_parse_argv(spaced->str, NULL, &words, NULL);
    return words;
}

char *monitor_run(Machine *machine, Pc *pc, const char *text)
{
    g_auto(GStrv) words = split_words(text);
    Line line = {machine, pc, words, words ? g_strv_length(words) : 0, g_string_new(NULL)};

    if (!line.n_words)
        return g_string_free(line.out, FALSE);
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (g_str_equal(commands[i].name, words[0])) {
            commands[i].func(&line);
            return g_string_free(line.out, FALSE);
        }
    }
    g_string_append_printf(line.out, "unknown command: '%s'\n", words[0]);
    return g_string_free(line.out, FALSE);
}
