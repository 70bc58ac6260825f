/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The GDB server packet by packet, against a guest of a dozen instructions: what a debugger may ask
 * for, with the translator and the interpreter. Answers are those of "Debugging with GDB", appendix
 * E. */

#include "gdb-peer.h"

#include "core/remote/gdb-private.h"

#include <string.h>

/* --- packets ---------------------------------------------------------------------------------- */

static GdbInput parse(GdbParser *parser, const char *text)
{
    GdbInput input = GDB_NOTHING_YET;

    for (; *text; text++)
        input = gdb_parser_take(parser, (uint8_t)*text);
    return input;
}

static void test_parser(void)
{
    GdbParser parser;

    gdb_parser_init(&parser);
    g_assert_cmpint(parse(&parser, "$g#67"), ==, GDB_PACKET);
    g_assert_cmpstr(parser.payload->str, ==, "g");
    g_assert_cmpint(parse(&parser, "noise$#00"), ==, GDB_PACKET);
    g_assert_cmpuint(parser.payload->len, ==, 0);
    g_assert_cmpint(parse(&parser, "$X}\x03#e1"), ==, GDB_BAD_SUM);
    g_assert_cmpint(parse(&parser, "$X}\x03#d8"), ==, GDB_PACKET);
    g_assert_cmpstr(parser.payload->str, ==, "X#");
    g_assert_cmpint(parse(&parser, "$g#6x"), ==, GDB_BAD_SUM);
    g_assert_cmpint(parse(&parser, "$broken$g#67"), ==, GDB_PACKET);
    g_assert_cmpstr(parser.payload->str, ==, "g");
    g_assert_cmpint(parse(&parser, "+"), ==, GDB_ACK);
    g_assert_cmpint(parse(&parser, "-"), ==, GDB_NAK);
    g_assert_cmpint(parse(&parser, "\x03"), ==, GDB_INTERRUPT);
    g_assert_cmpint(gdb_parser_take(&parser, '$'), ==, GDB_NOTHING_YET);
    for (unsigned i = 0; i < GDB_PACKET_SIZE + 256; i++)
        gdb_parser_take(&parser, 0);
    g_assert_cmpint(parse(&parser, "#00"), ==, GDB_TOO_LONG);
    g_assert_cmpuint(parser.payload->len, ==, GDB_PACKET_SIZE);
    gdb_parser_clear(&parser);

    g_autoptr(GByteArray) out = g_byte_array_new();
    gdb_append_packet(out, "a}#$*b", 6);
    g_assert_cmpmem(out->data, out->len, "$a}]}\x03}\x04}\nb#25", 14);
}

static void test_numbers(void)
{
    static const struct {
        const char *text;
        bool valid;
        uint64_t value;
        const char *rest;
    } numbers[] = {
        {"0", true, 0, ""},
        {"7c00,4", true, 0x7c00, ",4"},
        {"FFFFffffFFFFffff:", true, UINT64_MAX, ":"},
        {"00000000000000000000001", true, 1, ""},
        {"", false, 0, ""},
        {"-1", false, 0, "-1"},
        {"10000000000000000", false, 0, NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        const char *text = numbers[i].text;
        uint64_t value;
        g_assert_cmpint(gdb_take_number(&text, &value), ==, numbers[i].valid);
        if (numbers[i].valid)
            g_assert_cmphex(value, ==, numbers[i].value);
        if (numbers[i].rest)
            g_assert_cmpstr(text, ==, numbers[i].rest);
    }
}

/* --- the connection --------------------------------------------------------------------------- */

static void test_acks(void)
{
    Peer p;

    peer_init(&p, false, 1);
    peer_send_raw(&p, "$g#00", 5);
    g_assert_cmpint(peer_receive_byte(&p), ==, '-');
    peer_send_raw(&p, "$qC#b4", 6);
    g_assert_cmpint(peer_receive_byte(&p), ==, '+');
    g_autofree char *first = peer_receive(&p);
    g_assert_cmpstr(first, ==, "QC01");
    peer_send_raw(&p, "-", 1); /* once more */
    g_autofree char *second = peer_receive(&p);
    g_assert_cmpstr(second, ==, "QC01");
    peer_expect(&p, "QStartNoAckMode", "OK");
    peer_send_raw(&p, "+$qC#b4", 7);
    g_assert_cmpint(peer_receive_byte(&p), ==, '$'); /* and no + before it */
    peer_clear(&p);
}

static void test_queries(void)
{
    Peer p;

    peer_init(&p, false, 2);
    peer_expect(&p, "qSupported:multiprocess+;swbreak+;hwbreak+;xmlRegisters=i386",
                "PacketSize=4000;qXfer:features:read+;QStartNoAckMode+;vContSupported+;swbreak+;"
                "hwbreak+");
    peer_expect(&p, "?", "T05thread:01;");
    peer_expect(&p, "qAttached", "1");
    peer_expect(&p, "qfThreadInfo", "m01,02");
    peer_expect(&p, "qsThreadInfo", "l");
    peer_expect(&p, "T1", "OK");
    peer_expect(&p, "T2", "OK");
    peer_expect(&p, "T3", "E22");
    peer_expect(&p, "T0", "E22");
    peer_expect(&p, "Hg2", "OK");
    peer_expect(&p, "qC", "QC02");
    peer_expect(&p, "Hg0", "OK"); /* any: as it was */
    peer_expect(&p, "qC", "QC02");
    peer_expect(&p, "Hg3", "E22");
    peer_expect(&p, "Hc-1", "OK");
    peer_expect(&p, "Hx1", "E22");
    peer_expect(&p, "qThreadExtraInfo,2",
                "435055233120"
                "5b68616c7465645d"); /* CPU#1 [halted] */
    peer_expect(&p, "qThreadExtraInfo,9", "E22");
    peer_expect(&p, "vMustReplyEmpty", "");
    peer_expect(&p, "qTStatus", "");
    peer_expect(&p, "vCont?", "vCont;c;C;s;S");
    peer_expect(&p, "j", "");
    peer_expect(&p, "qqemu.Supported", "sstepbits;sstep;PhyMemMode");
    peer_expect(&p, "qqemu.sstepbits", "ENABLE=1,NOIRQ=2,NOTIMER=4");
    peer_expect(&p, "qqemu.sstep", "0x7");
    peer_expect(&p, "Qqemu.sstep=0x1", "OK");
    peer_expect(&p, "qqemu.sstep", "0x1");
    peer_expect(&p, "Qqemu.sstep=8", "E22");
    peer_expect(&p, "qRcmd,696e666f20737461747573", /* info status */
                "O564d207374617475733a2070617573656420287072656c61756e6368290a");
    g_autofree char *end = peer_receive(&p);
    g_assert_cmpstr(end, ==, "OK");
    peer_expect(&p, "qRcmd,1", "E22");
    peer_expect(&p, "qRcmd,xx", "E22");
    peer_clear(&p);
}

/* --- registers -------------------------------------------------------------------------------- */

static void count_register(GMarkupParseContext *context, const char *element, const char **names,
                           const char **values, gpointer opaque, GError **error)
{
    unsigned *bits = opaque;

    for (; *names && g_str_equal(element, "reg"); names++, values++)
        if (g_str_equal(*names, "bitsize"))
            *bits += (unsigned)g_ascii_strtoull(*values, NULL, 10);
}

static char *read_description(Peer *p)
{
    GString *xml = g_string_new(NULL);

    for (;;) {
        g_autofree char *request =
            g_strdup_printf("qXfer:features:read:target.xml:%zx,1f3", xml->len);
        g_autofree char *part = peer_ask(p, request);
        g_assert_true(*part == 'm' || *part == 'l');
        g_string_append(xml, part + 1);
        if (*part == 'l')
            return g_string_free(xml, FALSE);
        g_assert_cmpuint(strlen(part + 1), ==, 0x1f3);
    }
}

static void test_description(void)
{
    static const GMarkupParser parser = {.start_element = count_register};
    Peer p;
    g_autoptr(GError) error = NULL;
    unsigned bits = 0;

    peer_init(&p, false, 1);
    g_autofree char *xml = read_description(&p);
    g_autofree char *registers = peer_ask(&p, "g");
    g_autoptr(GMarkupParseContext) context = g_markup_parse_context_new(&parser, 0, &bits, NULL);
    g_assert_true(g_markup_parse_context_parse(context, xml, -1, &error));
    g_assert_true(g_markup_parse_context_end_parse(context, &error));
    g_assert_nonnull(strstr(xml, "<architecture>i386:x86-64</architecture>"));
    g_assert_nonnull(strstr(xml, "org.gnu.gdb.i386.core"));
    g_assert_nonnull(strstr(xml, "\"cr8\""));
    g_assert_cmpuint(strlen(registers), ==, bits / 4);
    peer_expect(&p, "qXfer:features:read:other.xml:0,100", "E00");
    peer_expect(&p, "qXfer:features:read:target.xml:x,100", "E22");
    peer_expect(&p, "qXfer:features:read:target.xml:ffffffffffffffff,ffffffffffffffff", "l");
    peer_clear(&p);

    /* A 32-bit system is told as such. */
    peer_init_with(&p, false, 1, ",arch=i386");
    g_autofree char *narrow = read_description(&p);
    g_assert_nonnull(strstr(narrow, "<architecture>i386</architecture>"));
    g_assert_null(strstr(narrow, "\"r8\""));
    peer_expect(&p, "p8", "f0ff0000"); /* eip */
    peer_clear(&p);
}

static void test_registers(void)
{
    Peer p;

    peer_init(&p, false, 1);
    peer_expect(&p, "p10", "f0ff000000000000"); /* rip */
    peer_expect(&p, "p11", "02000000");         /* eflags */
    peer_expect(&p, "p12", "00f00000");         /* cs */
    peer_expect(&p, "P8=efcdab8967452301", "OK");
    peer_expect(&p, "p8", "efcdab8967452301"); /* r8 */
    peer_expect(&p, "P11=d70e0000", "OK");
    peer_expect(&p, "p11", "d70e0000");
    peer_expect(&p, "P14=34120000", "OK"); /* ds, in real mode: its base follows */
    peer_expect(&p, "p14", "34120000");
    peer_expect(&p, "p22", "55550000");                /* ftag at power-on: all zero */
    peer_expect(&p, "P21=00380000", "OK");             /* fstat: another top of the stack */
    peer_expect(&p, "P18=000102030405060708ff", "OK"); /* st0 */
    peer_expect(&p, "p18", "000102030405060708ff");
    peer_expect(&p, "P28=000102030405060708090a0b0c0d0e0f", "OK"); /* xmm0 */
    peer_expect(&p, "p28", "000102030405060708090a0b0c0d0e0f");
    peer_expect(&p, "P38=00000100", "E22"); /* mxcsr: reserved */
    peer_expect(&p, "p38", "801f0000");
    /* What an instruction may not load, a debugger may not either: PG without PE. */
    unsigned cr0 = peer_register(&p, "cr0"), efer = peer_register(&p, "efer");
    g_autofree char *set_cr0 = g_strdup_printf("P%x=10000080000000000", cr0);
    g_autofree char *paging = g_strdup_printf("P%x=1000008000000000", cr0);
    g_autofree char *set_efer = g_strdup_printf("P%x=0000001000000000", efer);
    g_autofree char *set_sce = g_strdup_printf("P%x=0100000000000000", efer);
    peer_expect(&p, set_cr0, "E22"); /* a digit too many */
    peer_expect(&p, paging, "E22");
    peer_expect(&p, set_efer, "E22");
    peer_expect(&p, set_sce, "OK");
    /* All at once: nothing of it changes anything. */
    g_autofree char *all = peer_ask(&p, "g");
    g_autofree char *write = g_strconcat("G", all, NULL);
    peer_expect(&p, write, "OK");
    g_autofree char *again = peer_ask(&p, "g");
    g_assert_cmpstr(all, ==, again);
    peer_expect(&p, "pffff", "E22");
    peer_expect(&p, "p", "E22");
    peer_expect(&p, "P8=", "E22");
    peer_expect(&p, "P8", "E22");
    peer_expect(&p, "G00", "E22");
    peer_clear(&p);
}

/* --- memory ----------------------------------------------------------------------------------- */

static void test_memory(void)
{
    Peer p;

    peer_init(&p, false, 1);
    peer_expect(&p, "mffff0,5", "ea00f000f0");
    peer_expect(&p, "mfffffff0,5", "ea00f000f0");
    peer_expect(&p, "m5000,0", "");
    peer_expect(&p, "M5000,4:01020304", "OK");
    peer_expect(&p, "m5000,6", "010203040000");
    peer_expect(&p, "X5ffe,4:a}\x03}]}\x04", "OK"); /* over a page's end, with escapes */
    peer_expect(&p, "m5ffe,4", "61237d24");
    peer_expect(&p, "X5000,0:", "OK");
    peer_expect(&p, "M5000,4:010203", "E22");
    peer_expect(&p, "M5000,4:0102030x", "E22");
    peer_expect(&p, "X5000,4:abc", "E22");
    peer_expect(&p, "m5000", "E22");
    peer_expect(&p, "m,4", "E22");
    peer_expect(&p, "m5000,4,4", "E22");
    /* Outside long mode addresses have 32 bits; 80000000 is nowhere. */
    peer_expect(&p, "m80000000,4", "E14");
    peer_expect(&p, "M80000000,4:00000000", "E14");
    peer_expect(&p, "Mffff0,1:00", "E14"); /* ROM */
    /* What can be had. */
    g_autofree char *part = peer_ask(&p, "m1fffffc,100");
    g_assert_cmpuint(strlen(part), ==, 8);
    peer_expect(&p, "qqemu.PhyMemMode", "0");
    peer_expect(&p, "Qqemu.PhyMemMode:1", "OK");
    peer_expect(&p, "qqemu.PhyMemMode", "1");
    peer_expect(&p, "m5000,4", "01020304");
    peer_expect(&p, "m10000000005000,4", "E14");
    peer_expect(&p, "Qqemu.PhyMemMode:2", "E22");
    peer_clear(&p);
}

/* --- breakpoints and steps -------------------------------------------------------------------- */

static void go_on(Peer *p, const char *packet, const char *reply, uint64_t rip)
{
    peer_expect(p, packet, reply);
    g_assert_cmphex(peer_number(p, PEER_RIP), ==, rip);
}

static void test_breakpoints(gconstpointer interpreted)
{
    Peer p;

    peer_init(&p, interpreted != NULL, 1);
    peer_expect(&p, "qSupported:swbreak+;hwbreak+",
                "PacketSize=4000;qXfer:features:read+;QStartNoAckMode+;vContSupported+;swbreak+;"
                "hwbreak+");
    peer_expect(&p, "Z0,ff011,1", "OK"); /* GUEST_READ */
    peer_expect(&p, "Z0,ff011,1", "OK"); /* twice is once */
    go_on(&p, "vCont;c", "T05thread:01;swbreak:;", 0xf011);
    g_assert_cmpstr(machine_status_text(p.machine), ==, "debug");
    peer_expect(&p, "m600,2", "0100"); /* GUEST_COUNT */
    peer_expect(&p, "mff011,4", "8b161006");
    for (unsigned lap = 2; lap < 100; lap++) {
        /* As GDB does: out, over it, in again. */
        peer_expect(&p, "z0,ff011,1", "OK");
        go_on(&p, "vCont;s:1", "T05thread:01;", 0xf015);
        peer_expect(&p, "Z0,ff011,1", "OK");
        go_on(&p, "vCont;c", "T05thread:01;swbreak:;", 0xf011);
        g_autofree char *count = peer_ask(&p, "m600,2");
        g_autofree char *expected = g_strdup_printf("%02x00", lap);
        g_assert_cmpstr(count, ==, expected);
    }
    /* Another in the middle of code that has run often. */
    peer_expect(&p, "z0,ff011,1", "OK");
    peer_expect(&p, "Z1,ff01d,1", "OK");
    go_on(&p, "c", "T05thread:01;hwbreak:;", 0xf01d);
    peer_expect(&p, "z1,ff01d,1", "OK");
    /* Inside of an instruction there is nothing to stop at. */
    peer_expect(&p, "Z1,ff00e,1", "OK");
    peer_expect(&p, "Z1,ff019,1", "OK");
    go_on(&p, "c", "T05thread:01;hwbreak:;", 0xf019);
    peer_expect(&p, "z1,ff019,1", "OK");
    peer_run_for(&p, 50);
    peer_expect(&p, "Z1,ff019,1", "OK");
    go_on(&p, "c", "T05thread:01;hwbreak:;", 0xf019);
    /* One that was there before, in code that was translated meanwhile without it. */
    peer_expect(&p, "z1,ff00e,1", "OK");
    peer_expect(&p, "z1,ff019,1", "OK");
    peer_run_for(&p, 50);
    peer_expect(&p, "Z1,ff019,1", "OK");
    go_on(&p, "c", "T05thread:01;hwbreak:;", 0xf019);
    peer_expect(&p, "z9,0,1", "");
    peer_expect(&p, "z0,ff011", "E22");
    peer_expect(&p, "Z0", "E22");
    peer_clear(&p);
}

static void test_steps(gconstpointer interpreted)
{
    static const uint64_t lap[] = {0xf00c, 0xf00d, 0xf011, 0xf015, 0xf016, 0xf01b, 0xf01d,
                                   0xf01e, 0xf01f, 0xf020, 0xf019, 0xf00c, 0xf00d, 0xf011};
    Peer p;

    peer_init(&p, interpreted != NULL, 1);
    peer_expect(&p, "Z0,ff00c,1", "OK");
    peer_expect(&p, "c", "T05thread:01;");
    for (unsigned i = 0; i < G_N_ELEMENTS(lap); i++) {
        g_assert_cmphex(peer_number(&p, PEER_RIP), ==, lap[i]);
        peer_expect(&p, i & 1 ? "s" : "vCont;s:1;c", "T05thread:01;");
    }
    g_assert_cmpstr(machine_status_text(p.machine), ==, "debug");
    /* From elsewhere. */
    go_on(&p, "sf01b", "T05thread:01;", 0xf01d);
    go_on(&p, "S05;f01b", "T05thread:01;", 0xf01d);
    peer_expect(&p, "sxyz", "E22");
    peer_expect(&p, "S", "E22");
    peer_clear(&p);
}

/* CMP's flags are overwritten by INC before anybody looks: a debugger sees them nevertheless. */
static void test_flags(gconstpointer interpreted)
{
    Peer p;

    peer_init(&p, interpreted != NULL, 1);
    peer_expect(&p, "M610,2:0a00", "OK");
    peer_expect(&p, "Z0,ff01d,1", "OK");
    for (unsigned count = 1; count < 20; count++) {
        go_on(&p, "c", "T05thread:01;", 0xf01d);
        uint64_t flags = peer_number(&p, PEER_EFLAGS);
        g_assert_cmpint((flags & RFLAGS_CF) != 0, ==, count < 10);
        g_assert_cmpint((flags & RFLAGS_ZF) != 0, ==, count == 10);
        g_assert_cmpint((flags & RFLAGS_SF) != 0, ==, count < 10);
        g_assert_cmpint((flags & RFLAGS_AF) != 0, ==, (count & 15) < 10);
        peer_expect(&p, "z0,ff01d,1", "OK");
        peer_expect(&p, "s", "T05thread:01;");
        peer_expect(&p, "Z0,ff01d,1", "OK");
    }
    peer_clear(&p);
}

static void test_watchpoints(gconstpointer interpreted)
{
    Peer p;

    peer_init(&p, interpreted != NULL, 1);
    peer_expect(&p, "Z2,600,2", "OK");
    go_on(&p, "c", "T05thread:01;watch:600;", 0xf011);
    go_on(&p, "c", "T05thread:01;watch:600;", 0xf011);
    peer_expect(&p, "m600,2", "0200");
    peer_expect(&p, "z2,600,2", "OK");
    peer_expect(&p, "Z3,611,1", "OK"); /* the second byte of what is read */
    go_on(&p, "c", "T05thread:01;rwatch:611;", 0xf015);
    go_on(&p, "c", "T05thread:01;rwatch:611;", 0xf015);
    peer_expect(&p, "z3,611,1", "OK");
    peer_expect(&p, "Z4,6ffe,2", "OK"); /* the stack's first word: pushed, popped, pushed ... */
    go_on(&p, "c", "T05thread:01;awatch:6ffe;", 0xf016);
    go_on(&p, "c", "T05thread:01;awatch:6ffe;", 0xf01f);
    go_on(&p, "c", "T05thread:01;awatch:6ffe;", 0xf020);
    go_on(&p, "c", "T05thread:01;awatch:6ffe;", 0xf019);
    peer_expect(&p, "z4,6ffe,2", "OK");
    /* A step that stores, onto a watched place. */
    peer_expect(&p, "Z0,ff00d,1", "OK");
    go_on(&p, "c", "T05thread:01;", 0xf00d);
    peer_expect(&p, "Z2,601,1", "OK");
    go_on(&p, "s", "T05thread:01;watch:601;", 0xf011);
    peer_expect(&p, "z2,601,1", "OK");
    peer_expect(&p, "z0,ff00d,1", "OK");
    /* Read where it is written, written where it is read, the bytes beside it: nothing. */
    peer_expect(&p, "Z3,600,2", "OK");
    peer_expect(&p, "Z2,610,2", "OK");
    peer_expect(&p, "Z4,5ff,1", "OK");
    peer_expect(&p, "Z4,602,e", "OK");
    peer_run_for(&p, 100);
    peer_expect(&p, "Z2,600,0", "E22");
    peer_expect(&p, "Z2,ffffffffffffffff,2", "E22");
    peer_expect(&p, "Z2,ffffffffffffffff,1", "OK");
    peer_expect(&p, "Z2,0,ffffffffffffffff", "OK"); /* all there is */
    peer_expect(&p, "z3,600,2", "OK");
    peer_expect(&p, "z4,5ff,1", "OK");
    peer_expect(&p, "z4,602,e", "OK");
    g_autofree char *reply = peer_ask(&p, "c");
    g_assert_true(g_str_has_prefix(reply, "T05thread:01;watch:"));
    peer_clear(&p);
}

/* --- beside others ---------------------------------------------------------------------------- */

static void test_interrupt(void)
{
    Peer p;

    peer_init(&p, false, 2);
    peer_send(&p, "vCont;c");
    g_usleep(50000);
    g_assert_cmpstr(machine_status_text(p.machine), ==, "running");
    peer_send_raw(&p, "\x03", 1);
    g_autofree char *reply = peer_receive(&p);
    g_assert_cmpstr(reply, ==, "T02thread:01;");
    g_assert_cmpstr(machine_status_text(p.machine), ==, "paused");
    /* Somebody else stops the machine. */
    peer_send(&p, "c");
    g_usleep(20000);
    peer_command(&p, COMMAND_PAUSE, NULL);
    g_autofree char *second = peer_receive(&p);
    g_assert_cmpstr(second, ==, "T02thread:01;");
    /* And lets it go behind GDB's back: nothing is told, and GDB may go on by itself. */
    peer_command(&p, COMMAND_RESUME, NULL);
    g_assert_cmpstr(machine_status_text(p.machine), ==, "running");
    peer_expect(&p, "qC", "QC01");
    peer_expect(&p, "Z0,ff00c,1", "OK");
    peer_expect(&p, "c", "T05thread:01;");
    peer_expect(&p, "z0,ff00c,1", "OK");
    peer_command(&p, COMMAND_RESUME, NULL);
    peer_expect(&p, "vCont;s:1", "T05thread:01;"); /* of a machine that runs */
    g_assert_cmpstr(machine_status_text(p.machine), ==, "debug");
    peer_expect(&p, "Z0,ff00c,1", "OK");
    peer_expect(&p, "c", "T05thread:01;");
    /* One vCPU alone, which waits for an interrupt that nobody sends. */
    peer_send(&p, "vCont;s:2");
    g_usleep(20000);
    peer_send_raw(&p, "\x03", 1);
    g_autofree char *third = peer_receive(&p);
    g_assert_cmpstr(third, ==, "T02thread:01;");
    g_assert_cmphex(peer_number(&p, PEER_RIP), ==, 0xf00c);
    /* A reset is a machine's own affair. */
    peer_expect(&p, "z0,ff00c,1", "OK");
    peer_command(&p, COMMAND_RESET, NULL);
    g_assert_cmphex(peer_number(&p, PEER_RIP), ==, 0xfff0);
    peer_clear(&p);
}

static void test_detach(void)
{
    Peer p;

    peer_init(&p, false, 1);
    peer_expect(&p, "Z0,ff00c,1", "OK");
    peer_expect(&p, "Z2,600,2", "OK");
    peer_expect(&p, "c", "T05thread:01;");
    peer_expect(&p, "D", "OK");
    g_assert_true(peer_is_cut_off(&p));
    g_assert_cmpstr(machine_status_text(p.machine), ==, "running");
    peer_connect(&p);
    g_assert_cmpstr(machine_status_text(p.machine), ==, "paused");
    peer_run_for(&p, 50);
    peer_clear(&p);
}

static void test_kill(void)
{
    Peer p;

    peer_init(&p, false, 1);
    peer_send(&p, "k");
    g_assert_true(peer_is_cut_off(&p));
    while (machine_state(p.machine) != MACHINE_OFF)
        g_usleep(1000);
    peer_clear(&p);

    /* A machine that ends under a debugger says so. */
    peer_init(&p, false, 1);
    peer_send(&p, "c");
    g_usleep(20000);
    peer_command(&p, COMMAND_STOP, NULL);
    g_autofree char *reply = peer_receive(&p);
    g_assert_cmpstr(reply, ==, "W00");
    g_assert_true(peer_is_cut_off(&p));
    peer_clear(&p);
}

static void test_monitor(void)
{
    Peer p;

    peer_init(&p, false, 1);
    g_autofree char *off = peer_command(&p, COMMAND_MONITOR, "gdbserver none");
    g_assert_cmpstr(off, ==, "The GDB server is off.\n");
    g_assert_true(peer_is_cut_off(&p));
    g_assert_false(g_file_test(p.path, G_FILE_TEST_EXISTS));
    g_autofree char *wrong = peer_command(&p, COMMAND_MONITOR, "gdbserver pty");
    g_assert_nonnull(strstr(wrong, "\"pty\" is nothing that GDB can connect to"));
    g_autofree char *line = g_strdup_printf("gdbserver unix:%s", p.path);
    g_autofree char *on = peer_command(&p, COMMAND_MONITOR, line);
    g_autofree char *expected =
        g_strdup_printf("The GDB server is at %s; nobody is connected.\n", p.path);
    g_assert_cmpstr(on, ==, expected);
    peer_connect(&p);
    peer_expect(&p, "qC", "QC01");
    /* The server goes in the middle of the packet that asks for it. */
    peer_send(&p, "qRcmd,676462736572766572206e6f6e65"); /* gdbserver none */
    g_assert_true(peer_is_cut_off(&p));
    peer_clear(&p);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*func)(gconstpointer interpreted);
    } both[] = {
        {"breakpoints", test_breakpoints},
        {"steps", test_steps},
        {"flags", test_flags},
        {"watchpoints", test_watchpoints},
    };

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gdb/parser", test_parser);
    g_test_add_func("/gdb/numbers", test_numbers);
    g_test_add_func("/gdb/acks", test_acks);
    g_test_add_func("/gdb/queries", test_queries);
    g_test_add_func("/gdb/description", test_description);
    g_test_add_func("/gdb/registers", test_registers);
    g_test_add_func("/gdb/memory", test_memory);
    for (size_t i = 0; i < G_N_ELEMENTS(both); i++) {
        g_autofree char *jit = g_strconcat("/gdb/jit/", both[i].name, NULL);
        g_autofree char *interp = g_strconcat("/gdb/interp/", both[i].name, NULL);
        g_test_add_data_func(jit, NULL, both[i].func);
        g_test_add_data_func(interp, "interp", both[i].func);
    }
    g_test_add_func("/gdb/interrupt", test_interrupt);
    g_test_add_func("/gdb/detach", test_detach);
    g_test_add_func("/gdb/kill", test_kill);
    g_test_add_func("/gdb/monitor", test_monitor);
    return g_test_run();
}
