/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "gdb-peer.h"

#include "core/remote/gdb-private.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRMWARE_SIZE 0x10000
#define PATIENCE_MS   30000

static const uint8_t program[] = {
    0x31, 0xc0,             /* xor ax, ax */
    0x8e, 0xd8,             /* mov ds, ax */
    0x8e, 0xd0,             /* mov ss, ax */
    0xbc, 0x00, 0x70,       /* mov sp, 7000h */
    0xb9, 0x00, 0x00,       /* mov cx, 0 */
    0x41,                   /* inc cx */
    0x89, 0x0e, 0x00, 0x06, /* mov [600h], cx */
    0x8b, 0x16, 0x10, 0x06, /* mov dx, [610h] */
    0x51,                   /* push cx */
    0xe8, 0x02, 0x00,       /* call F01B */
    0xeb, 0xf1,             /* jmp F00C */
    0x39, 0xd1,             /* cmp cx, dx */
    0x5b,                   /* pop bx */
    0x58,                   /* pop ax */
    0x53,                   /* push bx */
    0xc3,                   /* ret */
};
static const uint8_t reset_vector[] = {0xea, 0x00, 0xf0, 0x00, 0xf0}; /* jmp F000:F000 */

/* --- the machine ------------------------------------------------------------------------------ */

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

char *peer_command(Peer *p, MachineCommandType type, const char *text)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_MS * 1000;
    Reply reply = {0};

    machine_send(p->machine, &(MachineCommand){.type = type, .text = {text}}, on_reply, &reply);
    while (!reply.done) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(200);
    }
    return reply.text;
}

static char *make_firmware(const char *folder)
{
    g_autofree char *image = g_malloc0(FIRMWARE_SIZE);
    char *path = g_build_filename(folder, "firmware", NULL);

    memcpy(image + 0xf000, program, sizeof(program));
    memcpy(image + 0xfff0, reset_vector, sizeof(reset_vector));
    g_assert_true(g_file_set_contents(path, image, FIRMWARE_SIZE, NULL));
    return path;
}

void peer_init_with(Peer *p, bool interpreted, unsigned cpus, const char *gdb_options)
{
    g_autoptr(MachineConfig) config = config_new();

    *p = (Peer){.fd = -1, .received = g_byte_array_new()};
    p->folder = g_dir_make_tmp("apiary-gdb-XXXXXX", NULL);
    p->path = g_build_filename(p->folder, "gdb", NULL);
    g_free(config->firmware);
    config->firmware = make_firmware(p->folder);
    config->ram_bytes = 32 << 20;
    config->cpus = cpus;
    config->accel_interp = interpreted;
    config->start_paused = true;
    config->gdb = g_strdup_printf("unix:%s%s", p->path, gdb_options);
    p->machine = machine_new(config);
    g_free(peer_command(p, COMMAND_START, NULL));
    peer_connect(p);
}

void peer_init(Peer *p, bool interpreted, unsigned cpus)
{
    peer_init_with(p, interpreted, cpus, ",server=on,wait=off");
}

void peer_clear(Peer *p)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", p->folder);

    peer_disconnect(p);
    machine_free(p->machine);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    g_assert_false(g_file_test(p->path, G_FILE_TEST_EXISTS));
    g_assert_cmpint(system(command), ==, 0);
    g_byte_array_unref(p->received);
    g_free(p->path);
    g_free(p->folder);
}

/* --- the connection --------------------------------------------------------------------------- */

void peer_dial(Peer *p)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    peer_disconnect(p);
    g_strlcpy(address.sun_path, p->path, sizeof(address.sun_path));
    p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(p->fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
}

void peer_connect(Peer *p)
{
    peer_dial(p);
    /* Answered when the machine has been stopped for it. */
    peer_expect(p, "?", "T05thread:01;");
}

void peer_disconnect(Peer *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    p->no_acks = false;
    g_byte_array_set_size(p->received, 0);
}

void peer_send_raw(Peer *p, const void *bytes, size_t length)
{
    g_assert_cmpint(send(p->fd, bytes, length, MSG_NOSIGNAL), ==, length);
}

void peer_send_bytes(Peer *p, const void *payload, size_t length)
{
    g_autoptr(GByteArray) packet = g_byte_array_new();

    gdb_append_packet(packet, payload, length);
    peer_send_raw(p, packet->data, packet->len);
}

/* As it stands: what is to be escaped has been. */
void peer_send(Peer *p, const char *payload)
{
    uint8_t sum = 0;

    for (const char *c = payload; *c; c++)
        sum += (uint8_t)*c;
    g_autofree char *packet = g_strdup_printf("$%s#%02x", payload, sum);
    peer_send_raw(p, packet, strlen(packet));
}

int peer_receive_byte(Peer *p)
{
    if (!p->received->len) {
        struct pollfd poll_fd = {.fd = p->fd, .events = POLLIN};
        uint8_t bytes[4096];
        g_assert_cmpint(poll(&poll_fd, 1, PATIENCE_MS), ==, 1);
        ssize_t n = recv(p->fd, bytes, sizeof(bytes), 0);
        if (n <= 0)
            return -1;
        g_byte_array_append(p->received, bytes, (guint)n);
    }
    int byte = p->received->data[0];
    g_byte_array_remove_index(p->received, 0);
    return byte;
}

char *peer_receive(Peer *p)
{
    GdbParser parser;
    GdbInput input;

    gdb_parser_init(&parser);
    do {
        int byte = peer_receive_byte(p);
        g_assert_cmpint(byte, >=, 0);
        input = gdb_parser_take(&parser, (uint8_t)byte);
        g_assert_cmpint(input, !=, GDB_BAD_SUM);
    } while (input != GDB_PACKET);
    if (!p->no_acks)
        send(p->fd, "+", 1, MSG_NOSIGNAL); /* after the last packet nobody may be there */
    char *payload = g_strndup(parser.payload->str, parser.payload->len);
    gdb_parser_clear(&parser);
    return payload;
}

char *peer_ask(Peer *p, const char *payload)
{
    peer_send(p, payload);
    return peer_receive(p);
}

void peer_expect(Peer *p, const char *payload, const char *answer)
{
    g_autofree char *given = peer_ask(p, payload);

    if (!g_str_equal(given, answer))
        g_error("%s: \"%s\" instead of \"%s\"", payload, given, answer);
    if (g_str_equal(payload, "QStartNoAckMode"))
        p->no_acks = true;
}

bool peer_is_cut_off(Peer *p)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_MS * 1000;

    while (g_get_monotonic_time() < end)
        if (peer_receive_byte(p) < 0)
            return true;
    return false;
}

/* --- the guest -------------------------------------------------------------------------------- */

uint64_t peer_number(Peer *p, unsigned number)
{
    g_autofree char *request = g_strdup_printf("p%x", number);
    g_autofree char *hex = peer_ask(p, request);
    uint64_t value = 0;

    g_assert_cmpuint(strlen(hex), <=, 16);
    g_assert_true(gdb_parse_hex(hex, &value, strlen(hex) / 2));
    return value;
}

unsigned peer_register(Peer *p, const char *name)
{
    g_autofree char *xml = peer_ask(p, "qXfer:features:read:target.xml:0,2000");
    g_autoptr(GString) whole = g_string_new(xml + 1);
    unsigned number = 0;

    while (*xml == 'm') {
        g_autofree char *request =
            g_strdup_printf("qXfer:features:read:target.xml:%zx,2000", whole->len);
        g_free(xml);
        xml = peer_ask(p, request);
        g_string_append(whole, xml + 1);
    }
    g_autofree char *wanted = g_strdup_printf("<reg name=\"%s\"", name);
    for (const char *at = strstr(whole->str, "<reg "); at; at = strstr(at + 1, "<reg "), number++)
        if (g_str_has_prefix(at, wanted))
            return number;
    g_error("There is no register %s.", name);
}

static uint64_t count(Peer *p)
{
    g_autofree char *hex = peer_ask(p, "m600,2");
    uint16_t value;

    g_assert_true(gdb_parse_hex(hex, &value, sizeof(value)));
    return value;
}

void peer_run_for(Peer *p, unsigned ms)
{
    uint64_t before = count(p);

    for (unsigned i = 0; i < 100; i++) {
        peer_send(p, "c");
        g_usleep(ms * 1000);
        peer_send_raw(p, "\x03", 1);
        g_autofree char *reply = peer_receive(p);
        g_assert_cmpstr(reply, ==, "T02thread:01;");
        if (count(p) != before)
            return;
    }
    g_error("The guest stands.");
}
