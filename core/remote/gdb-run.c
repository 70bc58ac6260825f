/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Breakpoints and watchpoints, going on and stopping. */

#include "core/remote/gdb-private.h"

#include <string.h>

#define MAX_POINTS 1024

/* Signals as the protocol counts them (E.3). */
enum { GDB_SIGINT = 2, GDB_SIGQUIT = 3, GDB_SIGTRAP = 5 };

/* --- points ----------------------------------------------------------------------------------- */

static int find_point(GdbClient *client, const GdbPoint *wanted)
{
    for (guint i = 0; i < client->points->len; i++) {
        const GdbPoint *point = &g_array_index(client->points, GdbPoint, i);
        if (point->type == wanted->type && point->address == wanted->address &&
            point->length == wanted->length)
            return (int)i;
    }
    return -1;
}

/* "0,ADDRESS,KIND": KIND is a watchpoint's length, and of no matter for a breakpoint. */
static bool parse_point(const char *text, GdbPoint *point)
{
    uint64_t length;

    if (*text < '0' || *text > '4' || text[1] != ',')
        return false;
    point->type = (uint8_t)(*text - '0');
    text += 2;
    if (!gdb_take_number(&text, &point->address) || *text++ != ',' ||
        !gdb_take_number(&text, &length) || (*text && *text != ';'))
        return false;
    point->length = point->type < 2 ? 1 : length;
    return point->length && point->address + (point->length - 1) >= point->address;
}

void gdb_change_point(GdbClient *client, const char *packet)
{
    GdbPoint point;

    if (packet[1] > '4' || packet[1] < '0') { /* a kind that is not known */
        gdb_client_send_text(client, "");
        return;
    }
    if (!parse_point(packet + 1, &point)) {
        gdb_client_send_text(client, GDB_ERROR_INVALID);
        return;
    }
    int known = find_point(client, &point);
    if (*packet == 'Z' && known < 0 && client->points->len == MAX_POINTS) {
        gdb_client_send_text(client, GDB_ERROR_FULL);
        return;
    }
    /* Twice is once (E.2, "Z"). */
    if (*packet == 'Z' && known < 0)
        g_array_append_val(client->points, point);
    else if (*packet == 'z' && known >= 0)
        g_array_remove_index_fast(client->points, (guint)known);
    gdb_client_send_text(client, "OK");
}

static int compare_points(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, sizeof(DebugPoint));
}

/* In an order that does not depend on how they came. */
static GArray *wanted_points(GdbClient *client)
{
    static const DebugPointKind kinds[] = {DEBUG_EXECUTE, DEBUG_EXECUTE, DEBUG_WRITE, DEBUG_READ,
                                           DEBUG_ACCESS};
    GArray *wanted = g_array_new(FALSE, FALSE, sizeof(DebugPoint));

    for (guint i = 0; i < client->points->len; i++) {
        const GdbPoint *point = &g_array_index(client->points, GdbPoint, i);
        DebugPoint debug = {point->address, point->length, kinds[point->type]};
        g_array_append_val(wanted, debug);
    }
    g_array_sort(wanted, compare_points);
    return wanted;
}

static void set_on_cpu(Cpu *cpu, void *opaque)
{
    const GArray *points = opaque;

    debug_set_points(cpu, (const DebugPoint *)points->data, points->len);
}

static void remove_breakpoints(GArray *points)
{
    for (guint i = points->len; i-- > 0;)
        if (g_array_index(points, DebugPoint, i).kind == DEBUG_EXECUTE)
            g_array_remove_index(points, i);
}

static void append_breakpoints(GArray *points, const GArray *from)
{
    for (guint i = 0; i < from->len; i++)
        if (g_array_index(from, DebugPoint, i).kind == DEBUG_EXECUTE)
            g_array_append_val(points, g_array_index(from, DebugPoint, i));
}

/* GDB takes its points out at every stop and puts them back before it goes on. Only what differs
 * between one run and the next is work. STEPS_ONLY: breakpoints are of no matter, so those that are
 * out for a single step stay where they are. */
static void apply_points(GdbClient *client, bool steps_only)
{
    GArray *wanted = wanted_points(client);

    if (steps_only) {
        remove_breakpoints(wanted);
        append_breakpoints(wanted, client->applied);
        g_array_sort(wanted, compare_points);
    }
    if (wanted->len == client->applied->len &&
        (!wanted->len ||
         memcmp(wanted->data, client->applied->data, wanted->len * sizeof(DebugPoint)) == 0)) {
        g_array_unref(wanted);
        return;
    }
    for (unsigned i = 0; i < pc_cpu_count(client->pc); i++)
        cpu_call_on(pc_cpu(client->pc, i), set_on_cpu, wanted);
    g_array_unref(client->applied);
    client->applied = wanted;
}

static void detach_on_cpu(Cpu *cpu, void *opaque)
{
    debug_detach(cpu);
}

void gdb_let_go(GdbClient *client)
{
    g_array_set_size(client->points, 0);
    g_array_set_size(client->applied, 0);
    for (unsigned i = 0; i < pc_cpu_count(client->pc); i++)
        cpu_call_on(pc_cpu(client->pc, i), detach_on_cpu, NULL);
}

/* --- going on --------------------------------------------------------------------------------- */

static unsigned count_running(const PcRun *runs, unsigned n_cpus)
{
    unsigned count = 0;

    for (unsigned i = 0; i < n_cpus; i++)
        count += runs[i] == PC_RUN;
    return count;
}

static void run(GdbClient *client, const PcRun *runs)
{
    void *opaque;
    const GdbOps *ops = gdb_client_ops(client, &opaque);
    bool stepping = client->step_mode & GDB_STEP_ENABLE;
    unsigned n_cpus = pc_cpu_count(client->pc), running = count_running(runs, n_cpus);

    apply_points(client, !running);
    client->waiting = true;
    if (running == n_cpus)
        ops->resume(opaque);
    else
        ops->resume_some(opaque, runs, stepping && (client->step_mode & GDB_STEP_NO_IRQ),
                         stepping && (client->step_mode & GDB_STEP_NO_TIMER));
}

void gdb_go_on(GdbClient *client, char action, const char *arguments)
{
    unsigned n_cpus = pc_cpu_count(client->pc);
    g_autofree PcRun *runs = g_new(PcRun, n_cpus);
    bool step = action == 's' || action == 'S';
    unsigned cpu = client->run_cpu < 0 ? client->cpu : (unsigned)client->run_cpu;
    uint64_t number;

    /* Signals are the guest's own affair. */
    if ((action == 'C' || action == 'S') &&
        (!gdb_take_number(&arguments, &number) || (*arguments && *arguments++ != ';'))) {
        gdb_client_send_text(client, GDB_ERROR_INVALID);
        return;
    }
    if (*arguments) {
        if (!gdb_take_number(&arguments, &number) || *arguments) {
            gdb_client_send_text(client, GDB_ERROR_INVALID);
            return;
        }
        gdb_set_rip(client, cpu, number);
    }
    for (unsigned i = 0; i < n_cpus; i++)
        runs[i] = client->run_cpu < 0 ? PC_RUN : PC_STAY;
    runs[cpu] = step ? PC_STEP : PC_RUN;
    run(client, runs);
}

/* One of vCont's actions, at *TEXT: what to do and with which vCPUs (-1: all). */
static bool take_action(GdbClient *client, const char **text, PcRun *what, int *cpu)
{
    char action = *(*text)++;
    uint64_t number;

    if (!action || !strchr("cCsS", action))
        return false;
    if ((action == 'C' || action == 'S') && !gdb_take_number(text, &number))
        return false;
    *what = action == 'c' || action == 'C' ? PC_RUN : PC_STEP;
    *cpu = -1;
    if (**text == ':') {
        (*text)++;
        if (gdb_take_prefix(text, "-1"))
            number = 0;
        else if (!gdb_take_number(text, &number) || number > pc_cpu_count(client->pc))
            return false;
        *cpu = (int)number - 1;
    }
    if (**text == ';')
        (*text)++;
    else if (**text)
        return false;
    return true;
}

void gdb_go_on_by_vcont(GdbClient *client, const char *actions)
{
    unsigned n_cpus = pc_cpu_count(client->pc), chosen = 0;
    g_autofree PcRun *runs = g_new(PcRun, n_cpus);
    g_autofree bool *decided = g_new0(bool, n_cpus);

    while (*actions) {
        PcRun what;
        int cpu;
        if (!take_action(client, &actions, &what, &cpu)) {
            gdb_client_send_text(client, GDB_ERROR_INVALID);
            return;
        }
        /* The leftmost action that fits a thread is its own (E.2, "vCont"). */
        for (unsigned i = 0; i < n_cpus; i++) {
            if (decided[i] || (cpu >= 0 && (unsigned)cpu != i))
                continue;
            decided[i] = true;
            runs[i] = what;
            chosen++;
        }
    }
    if (!chosen) {
        gdb_client_send_text(client, GDB_ERROR_INVALID);
        return;
    }
    for (unsigned i = 0; i < n_cpus; i++)
        if (!decided[i])
            runs[i] = PC_STAY;
    run(client, runs);
}

/* --- stopping --------------------------------------------------------------------------------- */

static bool is_software_breakpoint(GdbClient *client, uint64_t address)
{
    return find_point(client, &(GdbPoint){.type = 0, .address = address, .length = 1}) >= 0;
}

static void append_reason(GdbClient *client, GString *reply, const DebugStop *stop)
{
    static const char *const watch_names[] = {
        [DEBUG_WRITE] = "watch", [DEBUG_READ] = "rwatch", [DEBUG_ACCESS] = "awatch"};

    if (stop->reason == STOP_WATCHPOINT)
        g_string_append_printf(reply, "%s:%" G_GINT64_MODIFIER "x;", watch_names[stop->point.kind],
                               stop->point.address);
    else if (stop->reason == STOP_BREAKPOINT && is_software_breakpoint(client, stop->point.address))
        g_string_append(reply, client->swbreak ? "swbreak:;" : "");
    else if (stop->reason == STOP_BREAKPOINT)
        g_string_append(reply, client->hwbreak ? "hwbreak:;" : "");
}

void gdb_tell_stop(GdbClient *client, MachineCause cause, int cpu, const DebugStop *stop)
{
    int signal = cause == CAUSE_GUEST_POWEROFF ? GDB_SIGQUIT
                 : cause == CAUSE_USER         ? GDB_SIGINT
                                               : GDB_SIGTRAP;

    if (cpu >= 0)
        client->cpu = (unsigned)cpu;
    g_autoptr(GString) reply = g_string_new(NULL);
    g_string_append_printf(reply, "T%02xthread:%02x;", signal, client->cpu + 1);
    if (stop)
        append_reason(client, reply, stop);
    g_free(client->stop_reply);
    client->stop_reply = g_strdup(reply->str);
    if (!client->waiting)
        return;
    client->waiting = false;
    gdb_client_send_text(client, reply->str);
}
