/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PCI as firmware drives it: through ports CF8-CFF and the memory map. */
#include "tests/core/chipset/chipset-fixture.h"

#include <string.h>

#define MIB (1ull << 20)

typedef struct {
    PciDevice pci; /* first */
    MemoryRegion *window;
    uint32_t last_port, port_value;
} TestCard;

static uint64_t window_read(void *opaque, uint64_t offset, unsigned size)
{
    return 0x1122334455667788ull;
}

static void window_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
}

static uint32_t card_port_read(void *opaque, uint16_t port, unsigned size)
{
    return ((TestCard *)opaque)->port_value;
}

static void card_port_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    TestCard *card = opaque;

    card->last_port = port;
    card->port_value = value;
}

static const MmioOps window_ops = {window_read, window_write};
static const PortOps card_ports = {card_port_read, card_port_write, 4};

static uint32_t address_of(uint8_t devfn, unsigned offset)
{
    return 0x80000000u | devfn << 8 | (offset & 0xfc);
}

static uint32_t config_in(Board *board, uint8_t devfn, unsigned offset, unsigned size)
{
    port_write(board->memory, 0xcf8, address_of(devfn, offset), 4);
    return port_read(board->memory, 0xcfc + (offset & 3), size);
}

static void config_out(Board *board, uint8_t devfn, unsigned offset, uint32_t value, unsigned size)
{
    port_write(board->memory, 0xcf8, address_of(devfn, offset), 4);
    port_write(board->memory, 0xcfc + (offset & 3), value, size);
}

static TestCard *card_new(Board *board, int devfn)
{
    static const PciIdentity identity = {
        .vendor = 0x1234,
        .device = 0x5678,
        .revision = 7,
        .class_code = 0x020000,
        .subsystem_vendor = 0x1af4,
        .subsystem = 0x1100,
        .interrupt_pin = 1,
    };
    TestCard *card = g_new0(TestCard, 1);
    g_autoptr(GError) error = NULL;
    static const uint8_t rom[3000] = {0x55, 0xaa, 6};

    g_assert_true(pci_device_plug(board->pci, &card->pci, devfn, &identity, &error));
    g_assert_no_error(error);
    card->window = memory_region_new_mmio(board->memory, "card", &window_ops, card, MIB);
    pci_bar_add_memory(&card->pci, 0, PCI_BAR_PREFETCH, card->window, MIB);
    pci_bar_add_io(&card->pci, 1, &card_ports, card, 64);
    pci_add_rom(&card->pci, "card-rom", rom, sizeof rom);
    return card;
}

static void test_mechanism(void)
{
    ChipsetFixture *fixture = fixture_new(64 * MIB);
    Board *board = &fixture->board;
    TestCard *card = card_new(board, -1);

    g_assert_cmphex(card->pci.devfn, ==, PCI_DEVFN(2, 0));
    /* The type 1 probe every system does. */
    port_write(board->memory, 0xcf8, 0x80000000u, 4);
    g_assert_cmphex(port_read(board->memory, 0xcf8, 4), ==, 0x80000000u);
    g_assert_cmphex(port_read(board->memory, 0xcfc, 4), ==, 0x12378086);
    g_assert_cmphex(port_read(board->memory, 0xcfe, 2), ==, 0x1237);
    /* Reserved address bits read 0. */
    port_write(board->memory, 0xcf8, 0xffffffffu, 4);
    g_assert_cmphex(port_read(board->memory, 0xcf8, 4), ==, 0x80fffffcu);
    g_assert_cmphex(port_read(board->memory, 0xcfc, 4), ==, 0xffffffffu);
    /* Byte writes do not reach CONFIG_ADDRESS. */
    port_write(board->memory, 0xcf8, 0x12, 1);
    g_assert_cmphex(port_read(board->memory, 0xcf8, 4), ==, 0x80fffffcu);
    /* Disabled: CONFIG_DATA is not there. */
    port_write(board->memory, 0xcf8, 0, 4);
    g_assert_cmphex(port_read(board->memory, 0xcfc, 4), ==, 0xffffffffu);
    /* Bus 1 does not exist. */
    port_write(board->memory, 0xcf8, 0x80010000u, 4);
    g_assert_cmphex(port_read(board->memory, 0xcfc, 2), ==, 0xffff);

    g_assert_cmphex(config_in(board, 0x10, 0, 4), ==, 0x56781234);
    g_assert_cmphex(config_in(board, 0x10, 8, 4), ==, 0x02000007);
    g_assert_cmphex(config_in(board, 0x10, 0x0b, 1), ==, 0x02);
    g_assert_cmphex(config_in(board, 0x10, 0x2c, 4), ==, 0x11001af4);
    g_assert_cmphex(config_in(board, 0x11, 0, 4), ==, 0xffffffffu);
    config_out(board, 0x10, 0, 0, 4); /* read only */
    g_assert_cmphex(config_in(board, 0x10, 0, 4), ==, 0x56781234);
    config_out(board, 0x10, 0x3c, 11, 1);
    g_assert_cmphex(config_in(board, 0x10, 0x3c, 2), ==, 0x010b);
    /* Whole words through the API, over the end of the space too. */
    g_assert_cmphex(pci_config_read(board->pci, 0x10, 0xff, 4), ==, 0xffffff00u);
    pci_config_write(board->pci, 0x10, 0xfe, 0x12345678, 4);

    g_assert_true(pci_bus_device(board->pci, 0x10) == &card->pci);
    pci_device_unplug(&card->pci);
    g_assert_cmphex(config_in(board, 0x10, 0, 4), ==, 0xffffffffu);
    g_free(card);
    fixture_free(fixture);
}

static void test_slots(void)
{
    ChipsetFixture *fixture = fixture_new(64 * MIB);
    Board *board = &fixture->board;
    TestCard *cards[30], extra = {0};
    static const PciIdentity identity = {.vendor = 1, .device = 2};
    g_autoptr(GError) error = NULL;

    for (int i = 0; i < 30; i++) {
        cards[i] = card_new(board, -1);
        g_assert_cmpint(cards[i]->pci.devfn >> 3, ==, i + 2);
    }
    g_assert_false(pci_device_plug(board->pci, &extra.pci, -1, &identity, &error));
    g_assert_nonnull(strstr(error->message, "full"));
    g_clear_error(&error);
    g_assert_false(pci_device_plug(board->pci, &extra.pci, 0x10, &identity, &error));
    g_assert_nonnull(strstr(error->message, "slot 2"));
    /* A second function makes its slot multifunction. */
    g_assert_cmphex(config_in(board, 0x10, 0x0e, 1), ==, 0);
    g_assert_true(pci_device_plug(board->pci, &extra.pci, 0x13, &identity, NULL));
    g_assert_cmphex(config_in(board, 0x10, 0x0e, 1), ==, 0x80);
    pci_device_unplug(&extra.pci);
    g_assert_cmphex(config_in(board, 0x10, 0x0e, 1), ==, 0);
    for (int i = 0; i < 30; i++) {
        pci_device_unplug(&cards[i]->pci);
        g_free(cards[i]);
    }
    fixture_free(fixture);
}

static void test_bars(void)
{
    ChipsetFixture *fixture = fixture_new(64 * MIB);
    Board *board = &fixture->board;
    MemoryMap *memory = board->memory;
    TestCard *card = card_new(board, 0x18);

    /* Sizing, with decoding off. */
    config_out(board, 0x18, 0x10, 0xffffffff, 4);
    g_assert_cmphex(config_in(board, 0x18, 0x10, 4), ==, 0xfff00008);
    config_out(board, 0x18, 0x14, 0xffffffff, 4);
    g_assert_cmphex(config_in(board, 0x18, 0x14, 4), ==, 0xffffffc1);
    config_out(board, 0x18, 0x18, 0xffffffff, 4); /* not there */
    g_assert_cmphex(config_in(board, 0x18, 0x18, 4), ==, 0);
    config_out(board, 0x18, 0x30, 0xfffff800, 4);
    g_assert_cmphex(config_in(board, 0x18, 0x30, 4), ==, 0xfffff000);

    config_out(board, 0x18, 0x10, 0xe0000000, 4);
    config_out(board, 0x18, 0x14, 0xc000, 4);
    g_assert_true(pci_bar_base(&card->pci, 0) == PCI_UNMAPPED);
    g_assert_cmphex(memory_read_uint(memory, 0xe0000000, 4), ==, 0xffffffff);
    config_out(board, 0x18, 4, 3, 2);
    g_assert_cmphex(pci_bar_base(&card->pci, 0), ==, 0xe0000000);
    g_assert_cmphex(memory_read_uint(memory, 0xe0000000, 4), ==, 0x55667788);
    port_write(memory, 0xc010, 0xabcd, 4);
    g_assert_cmphex(card->last_port, ==, 0xc010);
    g_assert_cmphex(port_read(memory, 0xc03c, 4), ==, 0xabcd);
    g_assert_cmphex(port_read(memory, 0xc040, 4), ==, 0xffffffff);

    /* Moving while decoding; a byte at a time. */
    config_out(board, 0x18, 0x13, 0xd0, 1);
    g_assert_cmphex(memory_read_uint(memory, 0xe0000000, 4), ==, 0xffffffff);
    g_assert_cmphex(memory_read_uint(memory, 0xd00ffffc, 4), ==, 0x55667788);
    config_out(board, 0x18, 0x14, 0xd000, 2);
    g_assert_cmphex(port_read(memory, 0xc010, 4), ==, 0xffffffff);
    g_assert_cmphex(port_read(memory, 0xd010, 4), ==, 0xabcd);

    /* The option ROM has its own enable bit. */
    config_out(board, 0x18, 0x30, 0xd0200000, 4);
    g_assert_cmphex(memory_read_uint(memory, 0xd0200000, 2), ==, 0xffff);
    config_out(board, 0x18, 0x30, 0xd0200001, 4);
    g_assert_cmphex(memory_read_uint(memory, 0xd0200000, 2), ==, 0xaa55);
    memory_write_uint(memory, 0xd0200000, 0, 2);
    g_assert_cmphex(memory_read_uint(memory, 0xd0200000, 2), ==, 0xaa55);
    g_assert_cmphex(memory_read_uint(memory, 0xd0200000 + 3000, 2), ==, 0xffff);

    g_autoptr(GString) text = g_string_new(NULL);
    pci_bus_describe(board->pci, text);
    g_assert_nonnull(strstr(text->str, "Bus  0, device   3, function 0:\n"
                                       "    Ethernet controller: PCI device 1234:5678\n"
                                       "      PCI subsystem 1af4:1100\n"
                                       "      IRQ 0, pin A\n"
                                       "      BAR0: 32 bit prefetchable memory at 0xd0000000 "
                                       "[0xd00fffff].\n"
                                       "      BAR1: I/O at 0xd000 [0xd03f].\n"));

    pci_device_reset(&card->pci);
    g_assert_cmphex(config_in(board, 0x18, 0x10, 4), ==, 0x00000008);
    g_assert_cmphex(config_in(board, 0x18, 4, 2), ==, 0);
    g_assert_true(pci_bar_base(&card->pci, 0) == PCI_UNMAPPED);
    g_assert_cmphex(memory_read_uint(memory, 0xd0000000, 4), ==, 0xffffffff);
    pci_device_unplug(&card->pci);
    g_free(card);
    fixture_free(fixture);
}

/* BARs over RAM, ROM, each other and the ports of the chipset. */
static void test_hostile_bars(void)
{
    ChipsetFixture *fixture = fixture_new(64 * MIB);
    Board *board = &fixture->board;
    MemoryMap *memory = board->memory;
    TestCard *one = card_new(board, 0x18), *two = card_new(board, 0x20);
    RamBlock *rom = ram_block_new(memory, "bios", 256 << 10, NULL);

    memset(rom->host, 0x90, rom->size);
    i440fx_set_bios(fixture->host_bridge, rom);
    memory_write_uint(memory, 0x500000, 0xcafe, 4);
    config_out(board, 0x18, 4, 7, 2);
    config_out(board, 0x20, 4, 7, 2);

    config_out(board, 0x18, 0x10, 0x00500000, 4); /* over RAM */
    g_assert_cmphex(memory_read_uint(memory, 0x500000, 4), ==, 0xcafe);
    config_out(board, 0x18, 0x10, 0xffffffff, 4); /* over the BIOS, as sizing does */
    g_assert_cmphex(memory_read_uint(memory, 0xfffffff0, 4), ==, 0x90909090);
    g_assert_cmphex(memory_read_uint(memory, 0xfff00000, 4), ==, 0x55667788);
    config_out(board, 0x18, 0x10, 0x00000000, 4); /* over low RAM and the BIOS below 1 MiB */
    g_assert_cmphex(memory_read_uint(memory, 0xffff0, 4), ==, 0x90909090);
    memory_write_uint(memory, 0x1000, 0x1234, 2);
    g_assert_cmphex(memory_read_uint(memory, 0x1000, 2), ==, 0x1234);

    for (int i = 0; i < 2; i++) { /* both at one place, then one goes */
        config_out(board, 0x18, 0x10, 0xe0000000, 4);
        config_out(board, 0x20, 0x10, 0xe0000000, 4);
        config_out(board, 0x18, 0x14, 0xc001, 4);
        config_out(board, 0x20, 0x14, 0xc001, 4);
        g_assert_cmphex(memory_read_uint(memory, 0xe0000000, 4), ==, 0x55667788);
        config_out(board, i ? 0x18 : 0x20, 4, 0, 2);
        g_assert_cmphex(memory_read_uint(memory, 0xe0000000, 4), ==, 0x55667788);
        (i ? two : one)->port_value = 77;
        g_assert_cmphex(port_read(memory, 0xc000, 4), ==, 77);
        config_out(board, i ? 0x18 : 0x20, 4, 7, 2);
    }

    config_out(board, 0x18, 0x14, 0xffffffff, 4); /* outside the port space */
    g_assert_true(pci_bar_base(&one->pci, 1) == PCI_UNMAPPED);
    config_out(board, 0x18, 0x14, 0xffc0, 4);
    g_assert_cmphex(pci_bar_base(&one->pci, 1), ==, 0xffc0);
    config_out(board, 0x18, 0x14, 0x12340000, 4);
    g_assert_true(pci_bar_base(&one->pci, 1) == PCI_UNMAPPED);
    config_out(board, 0x18, 0x14, 0x0000, 4);
    g_assert_true(pci_bar_base(&one->pci, 1) == PCI_UNMAPPED);

    pci_device_unplug(&one->pci);
    pci_device_unplug(&two->pci);
    g_assert_cmphex(memory_read_uint(memory, 0xe0000000, 4), ==, 0xffffffff);
    g_free(one);
    g_free(two);
    fixture_free(fixture);
}

static void test_intx(void)
{
    ChipsetFixture *fixture = fixture_new(64 * MIB);
    Board *board = &fixture->board;
    /* Slots 2 and 6 share PIRQB, slot 3 has PIRQC. */
    TestCard *b1 = card_new(board, PCI_DEVFN(2, 0)), *b2 = card_new(board, PCI_DEVFN(6, 0)),
             *c = card_new(board, PCI_DEVFN(3, 0));

    pci_set_intx(&b1->pci, true); /* routing is disabled at power-on */
    for (int irq = 0; irq < 16; irq++)
        g_assert_false(fixture->irq_level[irq]);
    g_assert_cmphex(config_in(board, PCI_DEVFN(2, 0), 6, 1) & 8, ==, 8);
    config_out(board, 0x08, 0x61, 10, 1);
    g_assert_true(fixture->irq_level[10]);
    config_out(board, 0x08, 0x61, 11, 1); /* moved while asserted */
    g_assert_false(fixture->irq_level[10]);
    g_assert_true(fixture->irq_level[11]);
    config_out(board, 0x08, 0x61, 2, 1); /* not a routable IRQ */
    g_assert_false(fixture->irq_level[11]);
    g_assert_false(fixture->irq_level[2]);
    config_out(board, 0x08, 0x61, 11, 1);
    config_out(board, 0x08, 0x62, 11, 1);

    pci_set_intx(&b2->pci, true);
    pci_set_intx(&c->pci, true);
    pci_set_intx(&b1->pci, false);
    g_assert_true(fixture->irq_level[11]);
    pci_set_intx(&b2->pci, false);
    g_assert_true(fixture->irq_level[11]); /* still slot 3 by PIRQC */
    config_out(board, PCI_DEVFN(3, 0), 4, 1 << 10, 2);
    g_assert_false(fixture->irq_level[11]);
    config_out(board, PCI_DEVFN(3, 0), 4, 0, 2);
    g_assert_true(fixture->irq_level[11]);
    pci_device_unplug(&c->pci);
    g_assert_false(fixture->irq_level[11]);

    IrqLine sci = piix3_sci(fixture->isa_bridge);
    irq_set(&sci, true);
    g_assert_true(fixture->irq_level[9]);
    irq_set(&sci, false);
    g_assert_false(fixture->irq_level[9]);

    pci_device_unplug(&b1->pci);
    pci_device_unplug(&b2->pci);
    g_free(b1);
    g_free(b2);
    g_free(c);
    fixture_free(fixture);
}

static void test_reset_control(void)
{
    ChipsetFixture *fixture = fixture_new(64 * MIB);
    MemoryMap *memory = fixture->board.memory;

    port_write(memory, 0xcf9, 2, 1);
    g_assert_cmphex(port_read(memory, 0xcf9, 1), ==, 2);
    g_assert_cmpuint(fixture->resets, ==, 0);
    port_write(memory, 0xcf8, 0x80000600, 4); /* CONFIG_ADDRESS, not CF9 */
    g_assert_cmpuint(fixture->resets, ==, 0);
    port_write(memory, 0xcf9, 6, 1);
    g_assert_cmpuint(fixture->resets, ==, 1);
    port_write(memory, 0xcf9, 6, 1);
    g_assert_cmpuint(fixture->resets, ==, 1);
    piix3_reset(fixture->isa_bridge);
    g_assert_cmphex(port_read(memory, 0xcf9, 1), ==, 0);
    fixture_free(fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pci/mechanism-1", test_mechanism);
    g_test_add_func("/pci/slots", test_slots);
    g_test_add_func("/pci/bars", test_bars);
    g_test_add_func("/pci/hostile-bars", test_hostile_bars);
    g_test_add_func("/pci/intx-routing", test_intx);
    g_test_add_func("/pci/reset-control", test_reset_control);
    return g_test_run();
}
