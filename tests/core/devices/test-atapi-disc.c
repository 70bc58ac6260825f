/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What the CD/DVD drive says of itself and its disc; media that come and go. */

#include "faulty-image.h"
#include "ide-fixture.h"

#define DISC (2u << 20) /* 1024 sectors: lead-out at 00:15:49 */

static void start(Fixture *f, uint64_t size)
{
    fixture_init(f);
    attach_cd(f, 0, 0, size);
    g_assert_cmpint(test_unit_ready(f, 0), ==, -6);
}

/* Runs a packet and compares all it answers. */
static void expect(Fixture *f, const uint8_t cdb[12], const uint8_t *expected, int length)
{
    uint8_t out[4096];
    g_assert_cmpint(packet_in(f, 0, cdb, 4096, out, sizeof out), ==, length);
    g_assert_cmpmem(out, length, expected, length);
}

#define EXPECT(f, cdb, ...)                                                                        \
    expect(f, (const uint8_t[12])CDB cdb, (const uint8_t[]){__VA_ARGS__},                          \
           sizeof((uint8_t[]){__VA_ARGS__}))
#define CDB(...)                                                                                   \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static void expect_sense(Fixture *f, const uint8_t cdb[12], uint32_t sense)
{
    uint8_t out[64];
    g_assert_cmpint(packet_in(f, 0, cdb, 64, out, sizeof out), ==, -(int)(sense >> 16));
    g_assert_cmphex(request_sense(f, 0), ==, sense);
}

static void test_toc(void)
{
    Fixture f;

    start(&f, DISC);
    EXPECT(&f, (0x43, 0, 0, 0, 0, 0, 0, 0, 255), 0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14,
           0xaa, 0, 0, 0, 4, 0);
    EXPECT(&f, (0x43, 2, 0, 0, 0, 0, 1, 0, 255), 0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 2, 0, 0, 0x14,
           0xaa, 0, 0, 0, 15, 49);
    EXPECT(&f, (0x43, 0, 0, 0, 0, 0, 0xaa, 0, 255), 0, 10, 1, 1, 0, 0x14, 0xaa, 0, 0, 0, 4, 0);
    /* only as much as asked for; an odd length */
    EXPECT(&f, (0x43, 0, 0, 0, 0, 0, 0, 0, 5), 0, 18, 1, 1, 0);
    /* sessions, also the old way of asking for them */
    EXPECT(&f, (0x43, 0, 1, 0, 0, 0, 0, 0, 255), 0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0);
    EXPECT(&f, (0x43, 0, 0, 0, 0, 0, 0, 0, 255, 0x40), 0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0);
    EXPECT(&f, (0x43, 2, 2, 0, 0, 0, 0, 0, 255), 0, 46, 1, 1, 1, 0x14, 0, 0xa0, 0, 0, 0, 0, 1, 0, 0,
           1, 0x14, 0, 0xa1, 0, 0, 0, 0, 1, 0, 0, 1, 0x14, 0, 0xa2, 0, 0, 0, 0, 0, 15, 49, 1, 0x14,
           0, 1, 0, 0, 0, 0, 0, 2, 0);
    expect_sense(&f, (uint8_t[12]){0x43, 0, 0, 0, 0, 0, 2, 0, 255}, 0x52400);
    expect_sense(&f, (uint8_t[12]){0x43, 0, 5, 0, 0, 0, 0, 0, 255}, 0x52400);
    fixture_destroy(&f);
}

static void test_descriptions(void)
{
    Fixture f;
    uint8_t out[4096];

    fixture_init(&f);
    attach_cd(&f, 0, 0, DISC);
    /* INQUIRY goes past a unit attention */
    g_assert_cmpint(packet_in(&f, 0, (uint8_t[12]){0x12, 0, 0, 0, 255}, 255, out, 255), ==, 36);
    g_assert_cmpmem(out, 8, ((uint8_t[]){5, 0x80, 0, 0x21, 31, 0, 0, 0}), 8);
    g_assert_cmpmem(out + 8, 28, "APIARY  DVD-ROM         1.0 ", 28);
    g_assert_cmpint(test_unit_ready(&f, 0), ==, -6);
    g_assert_cmpint(packet_in(&f, 0, (uint8_t[12]){0x12, 1, 0x80, 0, 255}, 255, out, 255), ==, 11);
    g_assert_cmpmem(out + 4, 7, "AP00001", 7);
    expect_sense(&f, (uint8_t[12]){0x12, 1, 0x99, 0, 255}, 0x52400);
    /* READ DISC INFORMATION, READ TRACK INFORMATION, MECHANISM STATUS */
    g_assert_cmpint(packet_in(&f, 0, (uint8_t[12]){0x51, 0, 0, 0, 0, 0, 0, 0, 255}, 255, out, 255),
                    ==, 34);
    g_assert_cmphex(out[2], ==, 0x0e);
    g_assert_cmpint(packet_in(&f, 0, (uint8_t[12]){0x52, 1, 0, 0, 0, 1, 0, 0, 255}, 255, out, 255),
                    ==, 36);
    g_assert_cmpmem(out + 24, 4, ((uint8_t[]){0, 0, 4, 0}), 4);
    expect_sense(&f, (uint8_t[12]){0x52, 1, 0, 0, 0, 2, 0, 0, 255}, 0x52400);
    EXPECT(&f, (0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8), 0, 0, 0, 0, 0, 0, 0, 0);
    /* no music */
    expect_sense(&f, (uint8_t[12]){0x45, 0, 0, 0, 0, 0, 0, 0, 1}, 0x56400);
    expect_sense(&f, (uint8_t[12]){0x2a}, 0x52000);
    fixture_destroy(&f);
}

static void test_profiles(void)
{
    Fixture f;
    uint8_t out[4096];
    uint8_t all[12] = {0x46, 0, 0, 0, 0, 0, 0, 1, 0};

    start(&f, DISC);
    int length = packet_in(&f, 0, all, 4096, out, sizeof out);
    g_assert_cmpint(length, ==, (out[2] << 8 | out[3]) + 4);
    g_assert_cmphex(out[7], ==, 0x08);
    g_assert_cmpmem(out + 8, 12, ((uint8_t[]){0, 0, 3, 8, 0, 0x10, 0, 0, 0, 8, 1, 0}), 12);
    /* one feature: CD read is current, DVD read not */
    EXPECT(&f, (0x46, 2, 0, 0x1e, 0, 0, 0, 0, 32), 0, 0, 0, 12, 0, 0, 0, 8, 0, 0x1e, 9, 4, 0, 0, 0,
           0);
    EXPECT(&f, (0x46, 2, 0, 0x1f, 0, 0, 0, 0, 32), 0, 0, 0, 12, 0, 0, 0, 8, 0, 0x1f, 0, 4, 0, 0, 0,
           0);
    expect_sense(&f, (uint8_t[12]){0xad, 0, 0, 0, 0, 0, 0, 0, 8, 4}, 0x53002);
    fixture_destroy(&f);

    start(&f, 4500ull << 20);
    packet_in(&f, 0, all, 4096, out, sizeof out);
    g_assert_cmphex(out[7], ==, 0x10);
    g_assert_cmpint(
        packet_in(&f, 0, (uint8_t[12]){0xad, 0, 0, 0, 0, 0, 0, 0, 8, 4}, 4096, out, sizeof out), ==,
        2052);
    uint32_t last = 0x30000 + (4500 << 9) - 1;
    g_assert_cmpmem(out + 8, 8,
                    ((uint8_t[]){0, 3, 0, 0, 0, last >> 16, (uint8_t)(last >> 8), (uint8_t)last}),
                    8);
    fixture_destroy(&f);
}

static void test_mode_pages(void)
{
    Fixture f;
    Storage *s = &f.storage;
    uint8_t out[256];

    start(&f, DISC);
    EXPECT(&f, (0x5a, 0, 0x01, 0, 0, 0, 0, 0, 255), 0, 18, 1, 0, 0, 0, 0, 0, 1, 10, 0, 5, 0, 0, 0,
           0, 0, 0, 0, 0);
    g_assert_cmpint(packet_in(&f, 0, (uint8_t[12]){0x5a, 0, 0x3f, 0, 0, 0, 0, 1, 0}, 256, out, 256),
                    ==, 8 + 12 + 8 + 16 + 12 + 12 + 26);
    expect_sense(&f, (uint8_t[12]){0x5a, 0, 0xc1, 0, 0, 0, 0, 0, 255}, 0x53900);
    expect_sense(&f, (uint8_t[12]){0x5a, 0, 0x05, 0, 0, 0, 0, 0, 255}, 0x52400);
    /* MODE SELECT: more retries */
    uint8_t list[20] = {[8] = 1, [9] = 10, [11] = 9};
    send_packet(&f, 0, (uint8_t[12]){0x55, 0x10, 0, 0, 0, 0, 0, 0, 20}, false, 20);
    g_assert_cmphex(wait_irq(&f), ==, 0x48);
    g_assert_cmphex(inb(s, 0x1f2) & 3, ==, 0);
    write_words(&f, list, 20);
    g_assert_cmphex(wait_irq(&f), ==, 0x40);
    packet_in(&f, 0, (uint8_t[12]){0x5a, 0, 0x01, 0, 0, 0, 0, 0, 255}, 256, out, 256);
    g_assert_cmphex(out[11], ==, 9);
    /* a field that cannot be changed; a page that claims too much */
    list[12] = 1;
    send_packet(&f, 0, (uint8_t[12]){0x55, 0x10, 0, 0, 0, 0, 0, 0, 20}, false, 20);
    wait_irq(&f);
    write_words(&f, list, 20);
    g_assert_cmphex(wait_irq(&f), ==, 0x41);
    g_assert_cmphex(request_sense(&f, 0), ==, 0x52600);
    list[9] = 200;
    send_packet(&f, 0, (uint8_t[12]){0x55, 0x10, 0, 0, 0, 0, 0, 0, 20}, false, 20);
    wait_irq(&f);
    write_words(&f, list, 20);
    g_assert_cmphex(wait_irq(&f), ==, 0x41);
    g_assert_cmphex(request_sense(&f, 0), ==, 0x51a00);
    fixture_destroy(&f);
}

/* --- Raw sectors ------------------------------------------------------------------------------ */

static uint8_t gf_multiply(uint8_t a, uint8_t b)
{
    uint8_t result = 0;
    for (; b; b >>= 1, a = a << 1 ^ (a & 0x80 ? 0x1d : 0))
        if (b & 1)
            result ^= a;
    return result;
}

/* Both checks of a code word must give zero: its sum, and its sum weighted with powers of alpha. */
static void check_code_word(const uint8_t *data, const unsigned *positions, unsigned length)
{
    uint8_t sum = 0, weighted = 0;
    for (unsigned i = 0; i < length; i++) {
        sum ^= data[positions[i]];
        weighted = gf_multiply(weighted, 2) ^ data[positions[i]];
    }
    g_assert_cmphex(sum, ==, 0);
    g_assert_cmphex(weighted, ==, 0);
}

static void check_raw_sector(const uint8_t *sector)
{
    const uint8_t *data = sector + 12;
    unsigned positions[45];

    for (unsigned lane = 0; lane < 2; lane++) {
        for (unsigned column = 0; column < 43; column++) {
            for (unsigned m = 0; m < 26; m++)
                positions[m] = 2 * (column + 43 * m) + lane;
            check_code_word(data, positions, 26);
        }
        for (unsigned diagonal = 0; diagonal < 26; diagonal++) {
            for (unsigned m = 0; m < 43; m++)
                positions[m] = 2 * ((44 * m + 43 * diagonal) % 1118) + lane;
            positions[43] = 2 * (1118 + diagonal) + lane;
            positions[44] = 2 * (1144 + diagonal) + lane;
            check_code_word(data, positions, 45);
        }
    }
    /* the EDC over all before it and itself leaves nothing */
    uint32_t crc = 0;
    for (int i = 0; i < 2068; i++) {
        crc ^= sector[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xd8018001 : 0);
    }
    g_assert_cmphex(crc, ==, 0);
}

static void test_raw_sectors(void)
{
    Fixture f;
    g_autofree uint8_t *out = g_malloc(100 * 2352);

    start(&f, DISC);
    uint8_t raw[12] = {0xbe, 0, 0, 0, 0, 20, 0, 0, 100, 0xf8};
    g_assert_cmpint(packet_in(&f, 0, raw, 0xffff, out, 100 * 2352), ==, 100 * 2352);
    for (int i = 0; i < 100; i++) {
        const uint8_t *sector = out + i * 2352;
        uint32_t word;
        check_raw_sector(sector);
        memcpy(&word, sector + 16, 4);
        g_assert_cmphex(word, ==, storage_pattern((20 + i) * 2048));
    }
    g_assert_cmpmem(out + 12, 4, ((uint8_t[]){0x00, 0x02, 0x20, 0x01}), 4); /* 00:02:20 in BCD */
    /* header and user data alone, by minutes and seconds */
    uint8_t msf[12] = {0xb9, 0, 0, 0, 2, 20, 0, 2, 22, 0x30};
    g_assert_cmpint(packet_in(&f, 0, msf, 0xffff, out, 8192), ==, 2 * 2052);
    g_assert_cmpmem(out + 2052, 4, ((uint8_t[]){0x00, 0x02, 0x21, 0x01}), 4);
    /* nothing wanted, nothing sent; audio and subchannels are not to be had */
    uint8_t nothing[12] = {0xbe, 0, 0, 0, 0, 20, 0, 0, 1};
    g_assert_cmpint(packet_in(&f, 0, nothing, 0xffff, out, 8192), ==, 0);
    expect_sense(&f, (uint8_t[12]){0xbe, 4, 0, 0, 0, 20, 0, 0, 1, 0xf8}, 0x56400);
    expect_sense(&f, (uint8_t[12]){0xbe, 0, 0, 0, 0, 20, 0, 0, 1, 0xf8, 1}, 0x52400);
    expect_sense(&f, (uint8_t[12]){0xbe, 0, 0, 0, 4, 0, 0, 0, 1, 0x10}, 0x52100);
    fixture_destroy(&f);
}

/* --- Media ------------------------------------------------------------------------------------ */

/* GET EVENT STATUS NOTIFICATION: event << 8 | status */
static unsigned media_event(Fixture *f)
{
    uint8_t out[8];
    uint8_t cdb[12] = {0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8};
    g_assert_cmpint(packet_in(f, 0, cdb, 8, out, 8), ==, 8);
    g_assert_cmphex(out[1], ==, 6);
    return out[4] << 8 | out[5];
}

static int start_stop(Fixture *f, uint8_t what)
{
    return packet_in(f, 0, (uint8_t[12]){0x1b, 0, 0, 0, what}, 0, NULL, 0);
}

static int prevent(Fixture *f, uint8_t what)
{
    return packet_in(f, 0, (uint8_t[12]){0x1e, 0, 0, 0, what}, 0, NULL, 0);
}

static void test_insert_and_eject(void)
{
    Fixture f;
    GError *error = NULL;

    start(&f, 0);
    g_assert_cmpint(test_unit_ready(&f, 0), ==, -2);
    g_assert_cmphex(request_sense(&f, 0), ==, 0x23a01);
    g_assert_cmphex(media_event(&f), ==, 0x000);
    g_assert_true(
        ide_insert_medium(f.ide, 0, 0, storage_image(&f.storage, "one", DISC), false, &error));
    g_assert_cmpuint(f.changes, ==, 1);
    g_assert_cmpuint(f.moves, ==, 2);
    g_assert_cmphex(media_event(&f), ==, 0x202);
    g_assert_cmphex(media_event(&f), ==, 0x002);
    g_assert_cmpint(test_unit_ready(&f, 0), ==, -6);
    g_assert_cmphex(request_sense(&f, 0), ==, 0x62800);
    g_assert_cmpint(test_unit_ready(&f, 0), ==, 0);
    /* replaced in one go: gone, then new */
    g_assert_true(
        ide_insert_medium(f.ide, 0, 0, storage_image(&f.storage, "two", DISC / 2), false, &error));
    g_assert_cmphex(media_event(&f), ==, 0x302);
    g_assert_cmphex(media_event(&f), ==, 0x202);
    g_assert_cmpint(test_unit_ready(&f, 0), ==, -2);
    g_assert_cmpint(test_unit_ready(&f, 0), ==, -6);
    EXPECT(&f, (0x25), 0, 0, 1, 0xff, 0, 0, 8, 0);
    /* out by the user */
    g_assert_true(ide_eject_medium(f.ide, 0, 0, false, &error));
    g_assert_cmphex(media_event(&f), ==, 0x301);
    g_assert_cmpint(test_unit_ready(&f, 0), ==, -2);
    g_assert_cmphex(request_sense(&f, 0), ==, 0x23a02);
    IdeDriveInfo info = ide_drive_info(f.ide, 0, 0);
    g_assert_true(info.is_cd && info.tray_open && !info.locked && !info.image);
    /* the guest closes the empty tray */
    g_assert_cmpint(start_stop(&f, 3), ==, 0);
    g_assert_cmpint(test_unit_ready(&f, 0), ==, -2);
    g_assert_cmphex(request_sense(&f, 0), ==, 0x23a01);
    g_assert_no_error(error);
    fixture_destroy(&f);
}

static void test_lock(void)
{
    Fixture f;
    GError *error = NULL;

    start(&f, DISC);
    g_assert_cmpint(prevent(&f, 1), ==, 0);
    g_assert_true(ide_drive_info(f.ide, 0, 0).locked);
    expect_sense(&f, (uint8_t[12]){0x1b, 0, 0, 0, 2}, 0x55302);
    /* the user's wish goes to the guest, who lets go; then the disc is out */
    g_assert_false(ide_eject_medium(f.ide, 0, 0, false, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_BUSY);
    g_clear_error(&error);
    g_assert_cmphex(media_event(&f), ==, 0x102);
    g_assert_cmphex(media_event(&f), ==, 0x002);
    g_assert_cmpint(prevent(&f, 0), ==, 0);
    g_assert_nonnull(ide_drive_info(f.ide, 0, 0).image);
    g_assert_cmpint(start_stop(&f, 2), ==, 0);
    g_assert_null(ide_drive_info(f.ide, 0, 0).image);
    /* a guest's own eject leaves the disc in the tray */
    g_assert_true(
        ide_insert_medium(f.ide, 0, 0, storage_image(&f.storage, "one", DISC), false, &error));
    g_assert_cmpint(test_unit_ready(&f, 0), ==, -6);
    g_assert_cmpint(start_stop(&f, 2), ==, 0);
    g_assert_cmpint(test_unit_ready(&f, 0), ==, -2);
    g_assert_nonnull(ide_drive_info(f.ide, 0, 0).image);
    g_assert_cmpint(start_stop(&f, 3), ==, 0);
    g_assert_cmpint(test_unit_ready(&f, 0), ==, -6);
    g_assert_cmphex(request_sense(&f, 0), ==, 0x62800);
    /* by force */
    g_assert_cmpint(prevent(&f, 1), ==, 0);
    BlockImage *two = storage_image(&f.storage, "two", DISC);
    g_assert_false(ide_insert_medium(f.ide, 0, 0, two, false, NULL));
    g_assert_true(ide_insert_medium(f.ide, 0, 0, two, true, &error));
    g_assert_true(ide_eject_medium(f.ide, 0, 0, true, &error));
    g_assert_null(ide_drive_info(f.ide, 0, 0).image);
    /* a hard reset unlocks */
    piix_ide_reset(f.ide);
    g_assert_false(ide_drive_info(f.ide, 0, 0).locked);
    g_assert_false(ide_eject_medium(f.ide, 1, 1, false, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
    g_clear_error(&error);
    fixture_destroy(&f);
}

static void test_host_errors(void)
{
    Fixture f;
    Faults faults;
    GError *error = NULL;
    uint8_t out[16 * 2048];

    start(&f, 0);
    g_assert_true(ide_insert_medium(f.ide, 0, 0, faulty_image(&faults, DISC), false, &error));
    test_unit_ready(&f, 0);
    faults.bad_from = 5 * 2048 + 100;
    faults.bad_to = 5 * 2048 + 101;
    faults.error = EIO;
    uint8_t read10[12] = {0x28, 0, 0, 0, 0, 0, 0, 0, 16};
    g_assert_cmpint(packet_in(&f, 0, read10, 2048, out, sizeof out), ==, -3);
    uint8_t sense[18];
    packet_in(&f, 0, (uint8_t[12]){0x03, 0, 0, 0, 18}, 18, sense, 18);
    g_assert_cmphex(sense[2], ==, 3);
    g_assert_cmphex(sense[0], ==, 0xf0);
    g_assert_cmphex(sense[6], ==, 5);
    g_assert_cmpuint(f.storage.errors, ==, 1);
    /* taken out by force while the host reads */
    faults.error = 0;
    faults_hold(&faults, true);
    send_packet(&f, 0, read10, false, 2048);
    faults_wait(&faults);
    faults_let_go_soon(&faults);
    g_assert_true(ide_eject_medium(f.ide, 0, 0, true, &error));
    g_assert_cmphex(wait_irq(&f), ==, 0x41);
    g_assert_cmphex(request_sense(&f, 0), ==, 0x23a02);
    /* DEVICE RESET in the middle of a read */
    g_assert_true(ide_insert_medium(f.ide, 0, 0, faulty_image(&faults, DISC), false, &error));
    test_unit_ready(&f, 0);
    faults_hold(&faults, true);
    send_packet(&f, 0, read10, false, 2048);
    faults_wait(&faults);
    outb(&f.storage, 0x1f7, 0x08);
    g_assert_cmphex(alternate_status(&f), ==, 0x80);
    faults_hold(&faults, false);
    g_assert_cmphex(wait_not_busy(&f), ==, 0);
    g_assert_cmphex(inb(&f.storage, 0x1f4), ==, 0x14);
    g_assert_cmpint(packet_in(&f, 0, read10, 2048, out, sizeof out), ==, sizeof out);
    /* a packet with data, but no room for it */
    send_packet(&f, 0, read10, false, 0);
    g_assert_cmphex(wait_irq(&f), ==, 0x41);
    /* an image that ends within a sector */
    g_assert_true(ide_insert_medium(f.ide, 0, 0, storage_image(&f.storage, "odd", 2048 + 512),
                                    false, &error));
    test_unit_ready(&f, 0);
    test_unit_ready(&f, 0);
    read10[8] = 2;
    memset(out, 0xee, sizeof out);
    g_assert_cmpint(packet_in(&f, 0, read10, 2048, out, sizeof out), ==, 4096);
    for (int i = 0; i < 4096; i += 4)
        g_assert_cmphex(*(uint32_t *)(void *)(out + i), ==, i < 2560 ? storage_pattern(i) : 0);
    g_assert_no_error(error);
    fixture_destroy(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/atapi-disc/toc", test_toc);
    g_test_add_func("/atapi-disc/descriptions", test_descriptions);
    g_test_add_func("/atapi-disc/profiles", test_profiles);
    g_test_add_func("/atapi-disc/mode-pages", test_mode_pages);
    g_test_add_func("/atapi-disc/raw-sectors", test_raw_sectors);
    g_test_add_func("/atapi-disc/insert-and-eject", test_insert_and_eject);
    g_test_add_func("/atapi-disc/lock", test_lock);
    g_test_add_func("/atapi-disc/host-errors", test_host_errors);
    return g_test_run();
}
