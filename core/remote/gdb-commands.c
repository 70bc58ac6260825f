/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What packets ask for. An empty answer says that a packet is not known (E.1). */

#include "core/remote/gdb-private.h"

#include <string.h>

#define MAX_TEXT (GDB_PACKET_SIZE / 2 - 1) /* bytes in an O packet */

/* --- threads ---------------------------------------------------------------------------------- */

/* The vCPU of thread id TEXT: -1 for all, and for 0, any. False: there is none. */
static bool parse_thread(GdbClient *client, const char *text, int *cpu)
{
    uint64_t id;

    *cpu = -1;
    if (g_str_equal(text, "-1"))
        return true;
    if (!gdb_take_number(&text, &id) || *text || id > pc_cpu_count(client->pc))
        return false;
    *cpu = (int)id - 1;
    return true;
}

static void choose_thread(GdbClient *client, const char *arguments)
{
    int cpu;

    if ((*arguments != 'g' && *arguments != 'c') || !parse_thread(client, arguments + 1, &cpu)) {
        gdb_client_send_text(client, GDB_ERROR_INVALID);
        return;
    }
    if (*arguments == 'c')
        client->run_cpu = cpu;
    else if (cpu >= 0)
        client->cpu = (unsigned)cpu;
    gdb_client_send_text(client, "OK");
}

static void is_thread_alive(GdbClient *client, const char *arguments)
{
    int cpu;
    bool alive = parse_thread(client, arguments, &cpu) && cpu >= 0;

    gdb_client_send_text(client, alive ? "OK" : GDB_ERROR_INVALID);
}

static void list_threads(GdbClient *client, const char *arguments)
{
    g_autoptr(GString) reply = g_string_new(NULL);

    for (unsigned i = 0; i < pc_cpu_count(client->pc); i++)
        g_string_append_printf(reply, "%c%02x", i ? ',' : 'm', i + 1);
    gdb_client_send_text(client, reply->str);
}

static void list_no_more_threads(GdbClient *client, const char *arguments)
{
    gdb_client_send_text(client, "l");
}

static void describe_thread(GdbClient *client, const char *arguments)
{
    g_autoptr(GString) reply = g_string_new(NULL);
    int cpu;

    if (!parse_thread(client, arguments, &cpu) || cpu < 0) {
        gdb_client_send_text(client, GDB_ERROR_INVALID);
        return;
    }
    bool halted = cpu_is_halted(pc_cpu(client->pc, (unsigned)cpu));
    g_autofree char *text = g_strdup_printf("CPU#%d [%s]", cpu, halted ? "halted" : "running");
    gdb_append_hex(reply, text, strlen(text));
    gdb_client_send_text(client, reply->str);
}

static void tell_current_thread(GdbClient *client, const char *arguments)
{
    g_autofree char *reply = g_strdup_printf("QC%02x", client->cpu + 1);

    gdb_client_send_text(client, reply);
}

/* --- what there is ---------------------------------------------------------------------------- */

static void tell_features(GdbClient *client, const char *arguments)
{
    g_autofree char *reply = g_strdup_printf("PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;"
                                             "vContSupported+;swbreak+;hwbreak+",
                                             GDB_PACKET_SIZE);

    client->swbreak = strstr(arguments, "swbreak+") != NULL;
    client->hwbreak = strstr(arguments, "hwbreak+") != NULL;
    gdb_client_send_text(client, reply);
}

/* "target.xml:OFFSET,LENGTH" */
static void send_description(GdbClient *client, const char *arguments)
{
    uint64_t offset, length;

    if (!gdb_take_prefix(&arguments, "target.xml:")) {
        gdb_client_send_text(client, "E00"); /* no such annex */
        return;
    }
    if (!gdb_take_number(&arguments, &offset) || *arguments++ != ',' ||
        !gdb_take_number(&arguments, &length) || *arguments) {
        gdb_client_send_text(client, GDB_ERROR_INVALID);
        return;
    }
    size_t size = strlen(client->description);
    offset = MIN(offset, size);
    length = MIN(length, GDB_PACKET_SIZE / 2); /* each byte may need two */
    bool last = length >= size - offset;
    g_autoptr(GString) reply = g_string_new(last ? "l" : "m");
    g_string_append_len(reply, client->description + offset, MIN(length, size - offset));
    gdb_client_send(client, reply->str, reply->len);
}

/* The process was there before GDB: it is left alone when GDB goes. */
static void tell_attached(GdbClient *client, const char *arguments)
{
    gdb_client_send_text(client, "1");
}

static void start_without_acks(GdbClient *client, const char *arguments)
{
    gdb_client_send_text(client, "OK");
    client->no_acks = true;
}

/* --- the monitor ------------------------------------------------------------------------------ */

static void send_output(GdbClient *client, const char *text)
{
    size_t left = strlen(text);

    for (size_t n; left; text += n, left -= n) {
        g_autoptr(GString) packet = g_string_new("O");
        n = MIN(left, MAX_TEXT);
        gdb_append_hex(packet, text, n);
        gdb_client_send_text(client, packet->str);
    }
}

static void run_monitor(GdbClient *client, const char *hex)
{
    size_t length = strlen(hex) / 2;
    g_autofree char *line = g_malloc0(length + 1);
    void *opaque;
    const GdbOps *ops = gdb_client_ops(client, &opaque);

    if (strlen(hex) % 2 || !gdb_parse_hex(hex, line, length)) {
        gdb_client_send_text(client, GDB_ERROR_INVALID);
        return;
    }
    g_autofree char *output = ops->monitor(opaque, line); /* which may close the client */
    send_output(client, output);
    gdb_client_send_text(client, "OK");
}

/* --- QEMU's own packets ------------------------------------------------------------------------
 */

static void tell_qemu_features(GdbClient *client, const char *arguments)
{
    gdb_client_send_text(client, "sstepbits;sstep;PhyMemMode");
}

static void tell_step_bits(GdbClient *client, const char *arguments)
{
    gdb_client_send_text(client, "ENABLE=1,NOIRQ=2,NOTIMER=4");
}

static void tell_step_mode(GdbClient *client, const char *arguments)
{
    g_autofree char *reply = g_strdup_printf("0x%x", client->step_mode);

    gdb_client_send_text(client, reply);
}

static void set_step_mode(GdbClient *client, const char *arguments)
{
    uint64_t mode;

    gdb_take_prefix(&arguments, "0x");
    if (!gdb_take_number(&arguments, &mode) || *arguments ||
        mode > (GDB_STEP_ENABLE | GDB_STEP_NO_IRQ | GDB_STEP_NO_TIMER)) {
        gdb_client_send_text(client, GDB_ERROR_INVALID);
        return;
    }
    client->step_mode = (unsigned)mode;
    gdb_client_send_text(client, "OK");
}

static void tell_physical(GdbClient *client, const char *arguments)
{
    gdb_client_send_text(client, client->physical ? "1" : "0");
}

static void set_physical(GdbClient *client, const char *arguments)
{
    if (!g_str_equal(arguments, "0") && !g_str_equal(arguments, "1")) {
        gdb_client_send_text(client, GDB_ERROR_INVALID);
        return;
    }
    client->physical = *arguments == '1';
    gdb_client_send_text(client, "OK");
}

/* --- packets with a name ---------------------------------------------------------------------- */

static void tell_actions(GdbClient *client, const char *arguments)
{
    gdb_client_send_text(client, "vCont;c;C;s;S");
}

static void kill_machine(GdbClient *client)
{
    void *opaque;
    const GdbOps *ops = gdb_client_ops(client, &opaque);

    ops->kill(opaque);
    client->waiting = false;
}

static void kill_and_say_so(GdbClient *client, const char *arguments)
{
    gdb_client_send_text(client, "OK");
    kill_machine(client);
}

typedef void (*PacketFunc)(GdbClient *client, const char *arguments);

/* The first that fits is taken. Those that end in nothing take no arguments. */
static const struct {
    const char *name;
    bool has_arguments;
    PacketFunc func;
} named_packets[] = {
    {"QStartNoAckMode", false, start_without_acks},
    {"Qqemu.PhyMemMode:", true, set_physical},
    {"Qqemu.sstep:", true, set_step_mode},
    {"Qqemu.sstep=", true, set_step_mode},
    {"qAttached", false, tell_attached},
    {"qC", false, tell_current_thread},
    {"qRcmd,", true, run_monitor},
    {"qSupported", true, tell_features},
    {"qThreadExtraInfo,", true, describe_thread},
    {"qXfer:features:read:", true, send_description},
    {"qfThreadInfo", false, list_threads},
    {"qqemu.PhyMemMode", false, tell_physical},
    {"qqemu.Supported", false, tell_qemu_features},
    {"qqemu.sstep", false, tell_step_mode},
    {"qqemu.sstep=", true, set_step_mode},
    {"qqemu.sstepbits", false, tell_step_bits},
    {"qsThreadInfo", false, list_no_more_threads},
    {"vCont;", true, gdb_go_on_by_vcont},
    {"vCont?", false, tell_actions},
    {"vKill;", true, kill_and_say_so},
};

static void run_named_packet(GdbClient *client, const char *payload)
{
    for (size_t i = 0; i < G_N_ELEMENTS(named_packets); i++) {
        const char *arguments = payload;
        if (!gdb_take_prefix(&arguments, named_packets[i].name) ||
            (*arguments && !named_packets[i].has_arguments))
            continue;
        named_packets[i].func(client, arguments);
        return;
    }
    gdb_client_send_text(client, "");
}

/* --- all packets ------------------------------------------------------------------------------ */

static void detach(GdbClient *client)
{
    void *opaque;
    const GdbOps *ops = gdb_client_ops(client, &opaque);

    gdb_client_send_text(client, "OK");
    gdb_let_go(client);
    client->waiting = false;
    gdb_client_end(client);
    ops->resume(opaque);
}

void gdb_interrupt(GdbClient *client)
{
    void *opaque;
    const GdbOps *ops = gdb_client_ops(client, &opaque);

    ops->pause(opaque);
    /* It stood already, unnoticed. */
    if (client->waiting)
        gdb_tell_stop(client, CAUSE_USER, -1, NULL);
}

void gdb_run_packet(GdbClient *client, const char *payload, size_t length)
{
    const char *arguments = payload + 1;

    switch (*payload) {
    case '?': gdb_client_send_text(client, client->stop_reply); break;
    case 'C':
    case 'S':
    case 'c':
    case 's': gdb_go_on(client, *payload, arguments); break;
    case 'D': detach(client); break;
    case 'G': gdb_write_registers(client, arguments); break;
    case 'H': choose_thread(client, arguments); break;
    case 'M': gdb_write_memory(client, arguments, length - 1, false); break;
    case 'P': gdb_write_register(client, arguments); break;
    case 'Q':
    case 'q':
    case 'v': run_named_packet(client, payload); break;
    case 'T': is_thread_alive(client, arguments); break;
    case 'X': gdb_write_memory(client, arguments, length - 1, true); break;
    case 'Z':
    case 'z': gdb_change_point(client, payload); break;
    case 'g': gdb_read_registers(client); break;
    case 'k': kill_machine(client); break;
    case 'm': gdb_read_memory(client, arguments); break;
    case 'p': gdb_read_register(client, arguments); break;
    default: gdb_client_send_text(client, ""); break;
    }
}
