/* SPDX-License-Identifier: GPL-3.0-or-later */

/* A guest that writes nonsense to every interrupt controller and timer: nothing may crash, hang or
 * take long. */

#include "core/chipset/hpet.h"
#include "core/chipset/i8254.h"
#include "core/chipset/mc146818.h"
#include "core/chipset/pm.h"
#include "core/chipset/ports.h"
#include "timer-fixture.h"

static const uint16_t ports[] = {0x20, 0x21,  0xa0,  0xa1,  0x4d0, 0x4d1, 0x40,  0x41, 0x42,
                                 0x43, 0x61,  0x70,  0x71,  0x72,  0x73,  0x80,  0x92, 0xb2,
                                 0xb3, 0x600, 0x602, 0x604, 0x608, 0x60c, 0x60e, 0x60b};
static const uint64_t windows[] = {0xfee00000, 0xfec00000, 0xfed00000};

static uint32_t odd_value(GRand *rand)
{
    switch (g_rand_int_range(rand, 0, 4)) {
    case 0: return g_rand_int(rand);
    case 1: return 1u << g_rand_int_range(rand, 0, 32);
    case 2: return ~0u;
    default: return g_rand_int_range(rand, 0, 256);
    }
}

static void poke(TimerFixture *f, GRand *rand)
{
    unsigned size = 1u << g_rand_int_range(rand, 0, 4);
    uint64_t buffer = (uint64_t)odd_value(rand) << 32 | odd_value(rand);
    uint16_t port = ports[g_rand_int_range(rand, 0, G_N_ELEMENTS(ports))];
    uint64_t address = windows[g_rand_int_range(rand, 0, 3)] + g_rand_int_range(rand, 0, 0x400);
    unsigned cpu = g_rand_int_range(rand, 0, FIXTURE_CPUS);
    uint64_t value;

    if (g_rand_boolean(rand))
        address &= ~0xfull;
    f->current = cpu;
    switch (g_rand_int_range(rand, 0, 10)) {
    case 0: port_read(f->board.memory, port, MIN(size, 4)); break;
    case 1:
    case 2: port_write(f->board.memory, port, buffer, MIN(size, 4)); break;
    case 3: memory_read(f->board.memory, address, &buffer, size); break;
    case 4:
    case 5: memory_write(f->board.memory, address, &buffer, size); break;
    case 6: irq_set(&f->board.isa_irq[buffer & 15], buffer & 16); break;
    case 7: lapic_acknowledge(f->lapics, cpu); break;
    case 8: fixture_advance(f, buffer % 3000000); break;
    default:
        lapic_read_msr(f->lapics, cpu, 0x800 + (buffer & 0x3f), &value);
        lapic_write_msr(f->lapics, cpu, 0x800 + (buffer & 0x3f), odd_value(rand));
        if (!(buffer >> 6 & 31))
            lapic_write_msr(f->lapics, cpu, 0x1b, 0xfee00000 | (buffer >> 8 & 0xc00));
        lapic_write_msr(f->lapics, cpu, 0x6e0, buffer);
    }
}

static void test_nonsense(void)
{
    TimerFixture *f = timer_fixture_new();
    GRand *rand = g_rand_new_with_seed(g_test_rand_int());
    Hpet *hpet = hpet_new(&f->board, f->board.isa_irq[0], f->board.isa_irq[8],
                          interrupts_ioapic_pin(f->interrupts, 2));
    I8254 *pit = i8254_new(&f->board, hpet_pit_line(hpet));
    Mc146818 *rtc = mc146818_new(&f->board, hpet_rtc_line(hpet), "2024-02-29");
    AcpiPm *pm = acpi_pm_new(&f->board, interrupts_isa_source(f->interrupts, 9));
    SystemPorts *system_ports = system_ports_new(&f->board);
    g_autoptr(GString) out = g_string_new(NULL);

    acpi_pm_map(pm, 0x600, true);
    for (int i = 0; i < 100000; i++)
        poke(f, rand);
    hpet_describe(hpet, out);
    i8254_describe(pit, out);
    mc146818_describe(rtc, out);
    acpi_pm_describe(pm, out);
    interrupts_describe(f->interrupts, out);
    hpet_reset(hpet);
    i8254_reset(pit);
    mc146818_reset(rtc);
    acpi_pm_reset(pm);
    interrupts_reset(f->interrupts);
    for (int i = 0; i < FIXTURE_CPUS; i++)
        g_assert_false(f->intr[i]);
    g_rand_free(rand);
    system_ports_free(system_ports);
    acpi_pm_free(pm);
    mc146818_free(rtc);
    i8254_free(pit);
    hpet_free(hpet);
    timer_fixture_free(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/chipset/nonsense", test_nonsense);
    return g_test_run();
}
