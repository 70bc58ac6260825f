/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The human monitor's lines, as qemu-system-x86_64 7.2 answers them where tools read the answer.
 * The machine is paused at its reset vector. */

#include "core/machine/machine.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

typedef struct {
    Machine *machine;
    char *folder, *cd;
} Fixture;

typedef struct {
    bool done;
    char *text;
} Reply;

static void on_reply(void *opaque, const char *text, const GError *error)
{
    Reply *reply = opaque;

    g_assert_no_error(error);
    reply->text = g_strdup(text);
    reply->done = true;
}

static char *send(Fixture *f, const MachineCommand *command)
{
    gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;
    Reply reply = {0};

    machine_send(f->machine, command, on_reply, &reply);
    while (!reply.done && g_get_monotonic_time() < end)
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(100);
    g_assert_true(reply.done);
    return reply.text;
}

static char *run(Fixture *f, const char *format, ...) G_GNUC_PRINTF(2, 3);

static char *run(Fixture *f, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *line = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return send(f, &(MachineCommand){.type = COMMAND_MONITOR, .text = {line}});
}

#define assert_prints(f, line, expected)                                                           \
    do {                                                                                           \
        g_autofree char *printed_ = run(f, "%s", line);                                            \
        g_assert_cmpstr(printed_, ==, expected);                                                   \
    } while (0)

#define assert_shows(f, line, expected)                                                            \
    do {                                                                                           \
        g_autofree char *printed_ = run(f, "%s", line);                                            \
        if (!strstr(printed_, expected))                                                           \
            g_error("%s: no \"%s\" in \"%s\"", line, expected, printed_);                          \
    } while (0)

static void fixture_init(Fixture *f)
{
    g_autoptr(MachineConfig) config = config_new();
    g_autofree char *data = g_malloc0(1 << 20);

    f->folder = g_dir_make_tmp("apiary-monitor-XXXXXX", NULL);
    f->cd = g_build_filename(f->folder, "cd image.iso", NULL);
    g_assert_true(g_file_set_contents(f->cd, data, 1 << 20, NULL));
    config->ram_bytes = 32 << 20;
    config->cpus = 2;
    config->start_paused = true;
    config_add_drive(config, DRIVE_IDE_CD, 1, 0, NULL);
    config_add_drive(config, DRIVE_FLOPPY, 0, 0, NULL);
    DriveConfig *second = config_add_drive(config, DRIVE_FLOPPY, 0, 1, NULL);
    g_free(second->id);
    second->id = g_strdup("b");
    f->machine = machine_new(config);
    g_free(send(f, &(MachineCommand){.type = COMMAND_START}));
}

static void fixture_destroy(Fixture *f)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->folder);

    machine_free(f->machine);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    g_assert_cmpint(system(command), ==, 0);
    g_free(f->cd);
    g_free(f->folder);
}

static void test_looking(void)
{
    Fixture f;

    fixture_init(&f);
    assert_prints(&f, "info status", "VM status: paused (prelaunch)\n");
    assert_prints(&f, "info name", "Apiary\n");
    assert_shows(&f, "info registers", "\nCPU#0\nEAX=00000000 EBX=00000000 ECX=00000000 EDX=");
    assert_shows(&f, "info registers", "EIP=0000fff0 EFL=00000002 [-------] CPL=0");
    assert_shows(&f, "info registers", "CS =f000 ffff0000 0000ffff 00009b00\n");
    assert_shows(&f, "info registers", "CR0=60000010 CR2=00000000 CR3=00000000 CR4=00000000\n");
    assert_shows(&f, "info registers -a", "\nCPU#1\n");
    assert_shows(&f, "info pic", "pic0: irr=");
    assert_shows(&f, "info pic", "pic1: irr=");
    assert_shows(&f, "info pic", "ioapic0: ver=0x20 id=0x00");
    assert_prints(&f, "info mem", "PG disabled\n");
    assert_shows(&f, "info cpus", "* CPU #0:");
    assert_shows(&f, "info cpus", "  CPU #1: (halted)");
    assert_shows(&f, "info lapic", "");
    assert_shows(&f, "info mtree", "(prio 0, ram): ram-below-4g");
    assert_shows(&f, "info pci", "8086:1237");
    assert_shows(&f, "info jit", "blocks 0");
    assert_shows(&f, "info jit", "\nslow memory accesses 0 (refills 0, ");
    assert_shows(&f, "info jit", "\ninterpreted 0\ntop blocks, of the last 0 samples at ");
    assert_shows(&f, "info bogus", "unknown command: 'info bogus'");
    assert_shows(&f, "info", "info registers -- ");
    assert_shows(&f, "help", "xp -- ");
    assert_prints(&f, "bogus", "unknown command: 'bogus'\n");
    assert_prints(&f, "   ", "");
    g_free(run(&f, "quo\"ted")); /* an open quotation mark: no words at all */
    fixture_destroy(&f);
}

/* x and xp: formats, sizes, columns. The words at the reset vector are the firmware's. */
static void test_dumps(void)
{
    Fixture f;

    fixture_init(&f);
    assert_prints(&f, "xp 0", "0000000000000000: 0x00000000\n");
    assert_prints(&f, "xp /4xw 0",
                  "0000000000000000: 0x00000000 0x00000000 0x00000000 0x00000000\n");
    assert_prints(&f, "xp/3xb 16", "0000000000000010: 0x00 0x00 0x00\n");
    assert_prints(&f, "xp /9xb 0x10",
                  "0000000000000010: 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00\n"
                  "0000000000000018: 0x00\n");
    assert_prints(&f, "xp /3xg 0",
                  "0000000000000000: 0x0000000000000000 0x0000000000000000\n"
                  "0000000000000010: 0x0000000000000000\n");
    assert_prints(&f, "xp /3dh 0", "0000000000000000:     0     0     0\n");
    assert_prints(&f, "xp /1db 0xffff0", "00000000000ffff0: -22\n"); /* EAh */
    assert_prints(&f, "xp /1ub 0xffff0", "00000000000ffff0: 234\n");
    assert_prints(&f, "xp /1ob 0xffff0", "00000000000ffff0: 0352\n");
    assert_prints(&f, "xp /2c 0xffff0", "00000000000ffff0: '\\xea' '['\n");
    assert_prints(&f, "x /2xw 0x10", "0000000000000010: 0x00000000 0x00000000\n");
    assert_prints(&f, "xp /0x 0", "\n");
    assert_prints(&f, "xp /2xw 0xfffffffffffffffc",
                  "fffffffffffffffc: 0xffffffff 0x00000000\n"); /* around the end */
    assert_prints(&f, "xp /4xz 0", "invalid char in format: 'z'\n");
    assert_prints(&f, "xp", "\"\" is not a number\n");
    assert_prints(&f, "xp /4xb zzz", "\"zzz\" is not a number\n");
    g_autofree char *much = run(&f, "xp /99999999999999999999xb 0");
    g_assert_cmpuint(strlen(much), <, 64 * 1024); /* bounded */
    fixture_destroy(&f);
}

static void test_media(void)
{
    Fixture f;

    fixture_init(&f);
    assert_shows(&f, "info block", "ide1-cd0: [not inserted]");
    g_autofree char *changed = run(&f, "change ide1-cd0 '%s'", f.cd);
    g_assert_cmpstr(changed, ==, "");
    g_autofree char *shown = g_strdup_printf("ide1-cd0: %s (raw, read-only)\n", f.cd);
    assert_shows(&f, "info block", shown);
    assert_prints(&f, "eject ide1-cd0", "");
    assert_shows(&f, "info block", "ide1-cd0: [not inserted]");
    assert_shows(&f, "info block", "tray open");
    /* A floppy is written to, whatever its drive is called. */
    g_autofree char *floppy = g_build_filename(f.folder, "floppy", NULL);
    g_autofree char *data = g_malloc0(1474560);
    g_assert_true(g_file_set_contents(floppy, data, 1474560, NULL));
    g_autofree char *inserted = run(&f, "change b %s", floppy);
    g_assert_cmpstr(inserted, ==, "");
    shown = (g_free(shown), g_strdup_printf("b: %s (raw)\n", floppy));
    assert_shows(&f, "info block", shown);
    assert_prints(&f, "eject nope", "Error: There is no drive \"nope\".\n");
    assert_shows(&f, "change nope /x", "Error: There is no drive \"nope\".");
    assert_shows(&f, "change ide1-cd0 /nonexistent", "Error: ");
    assert_shows(&f, "eject", "needs a drive");
    assert_shows(&f, "change ide1-cd0", "needs a drive and a file");
    fixture_destroy(&f);
}

static void test_files(void)
{
    Fixture f;
    g_autofree char *data = NULL;
    gsize length;

    fixture_init(&f);
    g_autofree char *path = g_build_filename(f.folder, "out put", NULL);
    g_autofree char *saved = run(&f, "pmemsave 0xffff0 16 '%s'", path);
    g_assert_cmpstr(saved, ==, "");
    g_free(run(&f, "info name")); /* after it in the queue */
    g_assert_true(g_file_get_contents(path, &data, &length, NULL));
    g_assert_cmpuint(length, ==, 16);
    g_assert_cmphex((uint8_t)data[0], ==, 0xea);
    assert_shows(&f, "memsave 0 x /tmp", "\"x\" is not a number");
    assert_shows(&f, "pmemsave 0 16", "needs address, size and file name");
    assert_shows(&f, "screendump /nonexistent/x", "Error: ");
    assert_shows(&f, "screendump", "needs a file name");
    g_autofree char *picture = run(&f, "screendump '%s' -f png", path);
    g_clear_pointer(&data, g_free);
    if (!*picture) {
        g_assert_true(g_file_get_contents(path, &data, &length, NULL));
        g_assert_cmpmem(data, 4, "\x89PNG", 4);
    }
    assert_shows(&f, "screendump /tmp/x -f gif", "Error: ");
    fixture_destroy(&f);
}

static void test_keys(void)
{
    Fixture f;

    fixture_init(&f);
    assert_prints(&f, "sendkey ctrl-alt-delete", "");
    assert_prints(&f, "sendkey a 60000", ""); /* still held when the machine goes */
    assert_prints(&f, "sendkey bogus", "There is no key \"bogus\".\n");
    assert_prints(&f, "sendkey a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a", "Too many keys at once.\n");
    assert_shows(&f, "sendkey", "needs keys");
    assert_shows(&f, "sendkey a soon", "\"soon\" is not a number");
    assert_shows(&f, "sendkey ''", "There is no key");
    fixture_destroy(&f);
}

static void test_running(void)
{
    Fixture f;

    fixture_init(&f);
    assert_prints(&f, "cont", "");
    assert_prints(&f, "info status", "VM status: running\n");
    assert_prints(&f, "stop", "");
    assert_prints(&f, "info status", "VM status: paused\n");
    assert_prints(&f, "nmi", "");
    assert_prints(&f, "system_reset", "");
    assert_shows(&f, "info registers", "EIP=0000fff0");
    assert_prints(&f, "system_powerdown", "");
    assert_prints(&f, "c", "");
    /* Looking while it runs: paging comes and goes under the walk. */
    for (int i = 0; i < 100; i++) {
        g_free(run(&f, "info mem"));
        g_free(run(&f, "info registers -a"));
        g_free(run(&f, "info cpus"));
        g_free(run(&f, "x /16xb 0x7c00"));
    }
    assert_prints(&f, "quit", "");
    gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;
    while (machine_state(f.machine) != MACHINE_OFF && g_get_monotonic_time() < end)
        g_usleep(1000);
    g_assert_cmpint(machine_state(f.machine), ==, MACHINE_OFF);
    fixture_destroy(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/monitor/looking", test_looking);
    g_test_add_func("/monitor/dumps", test_dumps);
    g_test_add_func("/monitor/media", test_media);
    g_test_add_func("/monitor/files", test_files);
    g_test_add_func("/monitor/keys", test_keys);
    g_test_add_func("/monitor/running", test_running);
    return g_test_run();
}
