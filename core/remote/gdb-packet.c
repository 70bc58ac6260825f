/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Packets: $DATA#SUM, with } before bytes that would be taken for something else (E.1). */

#include "core/remote/gdb-private.h"

#include <string.h>

#define ESCAPE     '}'
#define ESCAPE_XOR 0x20
#define CTRL_C     3

void gdb_parser_init(GdbParser *parser)
{
    *parser = (GdbParser){.state = GDB_OUTSIDE, .payload = g_string_new(NULL)};
}

void gdb_parser_clear(GdbParser *parser)
{
    g_string_free(parser->payload, TRUE);
}

static void begin(GdbParser *parser)
{
    g_string_truncate(parser->payload, 0);
    parser->state = GDB_INSIDE;
    parser->sum = 0;
    parser->too_long = false;
}

static GdbInput take_outside(GdbParser *parser, uint8_t byte)
{
    switch (byte) {
    case '$': begin(parser); return GDB_NOTHING_YET;
    case '+': return GDB_ACK;
    case '-': return GDB_NAK;
    case CTRL_C: return GDB_INTERRUPT;
    default: return GDB_NOTHING_YET; /* noise */
    }
}

static void keep(GdbParser *parser, uint8_t byte)
{
    if (parser->payload->len < GDB_PACKET_SIZE)
        g_string_append_c(parser->payload, (char)byte);
    else
        parser->too_long = true;
}

static void take_inside(GdbParser *parser, uint8_t byte)
{
    if (byte == '$') { /* the one before was broken off */
        begin(parser);
        return;
    }
    if (byte == '#') {
        parser->state = GDB_SUM_HIGH;
        return;
    }
    parser->sum += byte;
    if (byte == ESCAPE)
        parser->state = GDB_ESCAPED;
    else
        keep(parser, byte);
}

GdbInput gdb_parser_take(GdbParser *parser, uint8_t byte)
{
    int digit = g_ascii_xdigit_value((char)byte);

    switch (parser->state) {
    case GDB_OUTSIDE: return take_outside(parser, byte);
    case GDB_INSIDE: take_inside(parser, byte); return GDB_NOTHING_YET;
    case GDB_ESCAPED:
        parser->sum += byte;
        keep(parser, byte ^ ESCAPE_XOR);
        parser->state = GDB_INSIDE;
        return GDB_NOTHING_YET;
    case GDB_SUM_HIGH:
        parser->state = digit < 0 ? GDB_OUTSIDE : GDB_SUM_LOW;
        parser->sent_sum = (uint8_t)(digit << 4);
        return digit < 0 ? GDB_BAD_SUM : GDB_NOTHING_YET;
    case GDB_SUM_LOW: break;
    }
    parser->state = GDB_OUTSIDE;
    if (digit < 0 || (parser->sent_sum | digit) != parser->sum)
        return GDB_BAD_SUM;
    return parser->too_long ? GDB_TOO_LONG : GDB_PACKET;
}

void gdb_append_packet(GByteArray *out, const char *payload, size_t length)
{
    uint8_t sum = 0;

    g_byte_array_append(out, (const guint8 *)"$", 1);
    for (size_t i = 0; i < length; i++) {
        uint8_t bytes[2] = {(uint8_t)payload[i]};
        unsigned n = 1;
        if (bytes[0] == ESCAPE || bytes[0] == '#' || bytes[0] == '$' || bytes[0] == '*') {
            bytes[1] = bytes[0] ^ ESCAPE_XOR;
            bytes[0] = ESCAPE;
            n = 2;
        }
        for (unsigned k = 0; k < n; k++)
            sum += bytes[k];
        g_byte_array_append(out, bytes, n);
    }
    g_autofree char *end = g_strdup_printf("#%02x", sum);
    g_byte_array_append(out, (const guint8 *)end, 3);
}

void gdb_append_hex(GString *out, const void *data, size_t length)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < length; i++) {
        uint8_t byte = ((const uint8_t *)data)[i];
        g_string_append_c(out, digits[byte >> 4]);
        g_string_append_c(out, digits[byte & 15]);
    }
}

bool gdb_parse_hex(const char *text, void *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        int high = g_ascii_xdigit_value(text[i * 2]);
        int low = high < 0 ? -1 : g_ascii_xdigit_value(text[i * 2 + 1]);
        if (low < 0)
            return false;
        ((uint8_t *)data)[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool gdb_take_number(const char **text, uint64_t *value)
{
    const char *c = *text;

    *value = 0;
    for (; g_ascii_isxdigit(*c); c++) {
        if (*value >> 60)
            return false;
        *value = *value << 4 | (unsigned)g_ascii_xdigit_value(*c);
    }
    bool any = c > *text;
    *text = c;
    return any;
}

bool gdb_take_prefix(const char **text, const char *prefix)
{
    if (!g_str_has_prefix(*text, prefix))
        return false;
    *text += strlen(prefix);
    return true;
}
