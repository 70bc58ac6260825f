/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Memory as GDB reads and writes it: by linear address through the chosen vCPU's page tables, or
 * by physical address. */

#include "core/machine/monitor.h"
#include "core/remote/gdb-private.h"

#include <string.h>

static bool find(GdbClient *client, uint64_t address, uint64_t *physical)
{
    *physical = address;
    return client->physical || monitor_translate(client->pc, client->cpu, address, physical);
}

/* How much of it could be had: up to LENGTH. */
static size_t transfer(GdbClient *client, uint64_t address, uint8_t *data, size_t length,
                       bool store)
{
    Board *board = pc_board(client->pc);
    size_t done = 0;

    while (done < length) {
        uint64_t at = address + done, physical;
        size_t n = MIN(length - done, GUEST_PAGE_SIZE - (at & 0xfff));
        if (at < address || !find(client, at, &physical))
            break;
        board_lock(board);
        bool reached = store ? memory_write(board->memory, physical, data + done, n)
                             : memory_read(board->memory, physical, data + done, n);
        board_unlock(board);
        if (!reached)
            break;
        done += n;
    }
    return done;
}

/* "ADDRESS,LENGTH" and END behind it. */
static bool take_range(const char **text, uint64_t *address, uint64_t *length, char end)
{
    if (!gdb_take_number(text, address) || *(*text)++ != ',' || !gdb_take_number(text, length) ||
        **text != end)
        return false;
    if (end)
        (*text)++;
    return true;
}

void gdb_read_memory(GdbClient *client, const char *arguments)
{
    uint8_t data[GDB_PACKET_SIZE / 2];
    uint64_t address, length;

    if (!take_range(&arguments, &address, &length, '\0')) {
        gdb_client_send_text(client, GDB_ERROR_INVALID);
        return;
    }
    /* Less than was asked for is an answer, too; nothing is an error. */
    size_t done = transfer(client, address, data, MIN(length, sizeof(data)), false);
    if (length && !done) {
        gdb_client_send_text(client, GDB_ERROR_MEMORY);
        return;
    }
    g_autoptr(GString) reply = g_string_new(NULL);
    gdb_append_hex(reply, data, done);
    gdb_client_send_text(client, reply->str);
}

void gdb_write_memory(GdbClient *client, const char *arguments, size_t total, bool binary)
{
    uint8_t data[GDB_PACKET_SIZE];
    const char *text = arguments;
    uint64_t address, length;
    bool valid = take_range(&text, &address, &length, ':');
    size_t left = valid ? total - (size_t)(text - arguments) : 0;

    if (!valid || length > sizeof(data) || left != (binary ? length : length * 2) ||
        (!binary && !gdb_parse_hex(text, data, length))) {
        gdb_client_send_text(client, GDB_ERROR_INVALID);
        return;
    }
    if (binary)
        memcpy(data, text, length);
    bool done = transfer(client, address, data, length, true) == length;
    gdb_client_send_text(client, done ? "OK" : GDB_ERROR_MEMORY);
}
