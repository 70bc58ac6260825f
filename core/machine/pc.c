/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/machine/pc.h"

#include "core/chardev/spec.h"
#include "core/chipset/acpi-tables.h"
#include "core/chipset/boot-items.h"
#include "core/chipset/firmware.h"
#include "core/chipset/fw_cfg.h"
#include "core/chipset/hpet.h"
#include "core/chipset/i440fx.h"
#include "core/chipset/i8237.h"
#include "core/chipset/i8254.h"
#include "core/chipset/interrupts.h"
#include "core/chipset/linuxboot.h"
#include "core/chipset/mc146818.h"
#include "core/chipset/piix3.h"
#include "core/chipset/piix4-pm.h"
#include "core/chipset/pm.h"
#include "core/chipset/ports.h"
#include "core/chipset/smbios.h"
#include "core/config/accel.h"
#include "core/config/options.h"
#include "core/cpu/bus.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/jit/jit.h"
#include "core/devices/debugcon.h"
#include "core/devices/i8042.h"
#include "core/devices/serial.h"
#include "core/devices/uhci.h"
#include "core/devices/vga.h"
#include "core/machine/display.h"
#include "core/machine/input.h"
#include "core/machine/pc-drives.h"
#include "core/machine/pc-network.h"
#include "core/machine/pc-private.h"

#include <glib/gi18n.h>
#include <string.h>
#include <x86intrin.h>

#define PIIX_IDE_DEVFN  (PIIX3_SLOT << 3 | 1)
#define PIIX_UHCI_DEVFN (PIIX3_SLOT << 3 | 2)

static const struct {
    uint16_t port;
    uint8_t irq;
} serial_places[PC_SERIALS] = {{0x3f8, 4}, {0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3}};

/* --- the board's wishes -------------------------------------------------------------------------
 */

static Pc *pc_of(Board *board)
{
    return board->machine;
}

/* The guest asked to stop: its vCPUs go no further than the current instruction. */
static void halt_guest(Pc *pc)
{
    for (unsigned i = 0; i < pc->n_cpus; i++)
        cpu_pause(pc->cpus[i]);
}

static void request_reset(Board *board, const char *cause)
{
    halt_guest(pc_of(board));
    pc_of(board)->ops->reset_requested(pc_of(board)->opaque, false);
}

static void request_power_off(Board *board, const char *cause)
{
    halt_guest(pc_of(board));
    pc_of(board)->ops->power_off_requested(pc_of(board)->opaque);
}

static void request_exit(Board *board, int status)
{
    halt_guest(pc_of(board));
    pc_of(board)->ops->exit_requested(pc_of(board)->opaque, status);
}

static void set_a20(Board *board, bool enabled)
{
    Pc *pc = pc_of(board);

    for (unsigned i = 0; i < pc->n_cpus; i++) {
        if (pc->cpus[i]->a20_mask_off == enabled)
            continue;
        pc->cpus[i]->a20_mask_off = enabled;
        cpu_request(pc->cpus[i], REQUEST_FLUSH_TLB);
    }
}

static void report_error(Board *board, const char *source, const char *message)
{
    pc_of(board)->ops->error(pc_of(board)->opaque, source, message);
}

static Chardev *find_chardev(Board *board, const char *id)
{
    Pc *pc = pc_of(board);

    for (guint i = 0; i < pc->chardevs->len; i++)
        if (g_strcmp0(chardev_id(pc->chardevs->pdata[i]), id) == 0)
            return pc->chardevs->pdata[i];
    return NULL;
}

typedef struct {
    Board *board;
    void (*func)(void *opaque);
    void *opaque;
} Post;

static gboolean run_post(gpointer data)
{
    Post *post = data;

    board_lock(post->board);
    post->func(post->opaque);
    board_unlock(post->board);
    return G_SOURCE_REMOVE;
}

void board_post(Board *board, void (*func)(void *opaque), void *opaque)
{
    Post *post = g_new(Post, 1);
    GSource *source = g_idle_source_new();

    *post = (Post){board, func, opaque};
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, run_post, post, g_free);
    g_source_attach(source, board->context);
    g_source_unref(source);
}

/* --- vCPUs to board
 * ------------------------------------------------------------------------------- */

static void cpu_lock_board(void *opaque)
{
    board_lock(&((CpuSlot *)opaque)->pc->board);
}

static void cpu_unlock_board(void *opaque)
{
    board_unlock(&((CpuSlot *)opaque)->pc->board);
}

static LapicSet *lapics(const CpuSlot *slot)
{
    return interrupts_lapics(slot->pc->interrupts);
}

static int cpu_acknowledge(void *opaque)
{
    return lapic_acknowledge(lapics(opaque), ((CpuSlot *)opaque)->index);
}

static uint8_t cpu_get_cr8(void *opaque)
{
    return lapic_get_cr8(lapics(opaque), ((CpuSlot *)opaque)->index);
}

static void cpu_set_cr8(void *opaque, uint8_t value)
{
    lapic_set_cr8(lapics(opaque), ((CpuSlot *)opaque)->index, value);
}

static bool cpu_read_msr(void *opaque, uint32_t msr, uint64_t *value)
{
    return lapic_read_msr(lapics(opaque), ((CpuSlot *)opaque)->index, msr, value);
}

static bool cpu_write_msr(void *opaque, uint32_t msr, uint64_t value)
{
    return lapic_write_msr(lapics(opaque), ((CpuSlot *)opaque)->index, msr, value);
}

static void cpu_triple_fault(void *opaque)
{
    Pc *pc = ((CpuSlot *)opaque)->pc;

    halt_guest(pc);
    pc->ops->reset_requested(pc->opaque, true);
}

static void cpu_ferr(void *opaque, bool level)
{
    irq_set(&((CpuSlot *)opaque)->pc->board.isa_irq[13], level);
}

static void cpu_init_received(void *opaque)
{
    lapic_init(lapics(opaque), ((CpuSlot *)opaque)->index);
}

static int64_t cpu_timer_borrow(void *opaque)
{
    return lapic_timer_borrow(lapics(opaque), ((CpuSlot *)opaque)->index);
}

static void cpu_timer_give_back(void *opaque)
{
    lapic_timer_give_back(lapics(opaque), ((CpuSlot *)opaque)->index);
}

static void cpu_debug_stopped(void *opaque)
{
    Pc *pc = ((CpuSlot *)opaque)->pc;

    pc->ops->debug_stopped(pc->opaque);
}

static const CpuBoardOps cpu_board_ops = {
    .lock = cpu_lock_board,
    .unlock = cpu_unlock_board,
    .acknowledge = cpu_acknowledge,
    .get_cr8 = cpu_get_cr8,
    .set_cr8 = cpu_set_cr8,
    .read_msr = cpu_read_msr,
    .write_msr = cpu_write_msr,
    .triple_fault = cpu_triple_fault,
    .ferr = cpu_ferr,
    .init_received = cpu_init_received,
    .debug_stopped = cpu_debug_stopped,
    .timer_borrow = cpu_timer_borrow,
    .timer_give_back = cpu_timer_give_back,
};

/* --- local APICs to vCPUs
 * --------------------------------------------------------------------------- */

static void lapic_set_interrupt(void *opaque, unsigned cpu, bool level)
{
    Pc *pc = opaque;

    if (cpu >= pc->n_cpus)
        return;
    if (level)
        cpu_request(pc->cpus[cpu], REQUEST_INTERRUPT);
    else
        cpu_clear_request(pc->cpus[cpu], REQUEST_INTERRUPT);
}

static void lapic_nmi(void *opaque, unsigned cpu)
{
    cpu_request(((Pc *)opaque)->cpus[cpu], REQUEST_NMI);
}

static void lapic_send_init(void *opaque, unsigned cpu)
{
    cpu_request(((Pc *)opaque)->cpus[cpu], REQUEST_INIT);
}

static void lapic_sipi(void *opaque, unsigned cpu, uint8_t vector)
{
    Cpu *target = ((Pc *)opaque)->cpus[cpu];

    atomic_store(&target->sipi_vector, vector);
    cpu_request(target, REQUEST_SIPI);
}

static unsigned lapic_current_cpu(void *opaque)
{
    Cpu *cpu = cpu_current();

    return cpu ? cpu->index : LAPIC_NO_CPU;
}

static uint64_t lapic_read_tsc(void *opaque, unsigned cpu)
{
    const Cpu *target = ((Pc *)opaque)->cpus[cpu];

    return __rdtsc() + target->tsc_offset + target->tsc_adjust;
}

static const LapicCpuOps lapic_cpu_ops = {
    .set_interrupt = lapic_set_interrupt,
    .nmi = lapic_nmi,
    .init = lapic_send_init,
    .sipi = lapic_sipi,
    .current_cpu = lapic_current_cpu,
    .read_tsc = lapic_read_tsc,
};

/* --- memory to vCPUs
 * ---------------------------------------------------------------------------------- */

static void memory_changed(void *opaque)
{
    Pc *pc = opaque;

    for (unsigned i = 0; i < pc->n_cpus; i++)
        cpu_request(pc->cpus[i], REQUEST_FLUSH_TLB);
}

static void code_written(void *opaque, RamBlock *block, uint64_t offset, uint64_t length)
{
    Pc *pc = opaque;

    if (pc->jit)
        jit_code_written(pc->jit, block, offset, length);
}

/* --- building
 * ------------------------------------------------------------------------------------------- */

static bool make_memory(Pc *pc, GError **error)
{
    Board *board = &pc->board;

    board->memory = memory_map_new();
    board->ram = ram_block_new(board->memory, "pc.ram", pc->config->ram_bytes, error);
    if (!board->ram)
        return false;
    board->ram_below_4g = MIN(board->ram->size, I440FX_MAX_RAM_BELOW_4G);
    board->ram_above_4g = board->ram->size - board->ram_below_4g;
    return true;
}

static bool make_chipset(Pc *pc, GError **error)
{
    Board *board = &pc->board;
    uint64_t tsc_hz = (uint64_t)cpuid_tsc_khz(pc->cpuid) * 1000;

    pc->host_bridge = i440fx_new(board, error);
    if (!pc->host_bridge)
        return false;
    pc->interrupts = interrupts_new(board, &lapic_cpu_ops, pc, tsc_hz);
    pc->isa_bridge = piix3_new(board, error);
    if (!pc->isa_bridge)
        return false;
    pc->pm_function = piix4_pm_new(board, piix3_sci(pc->isa_bridge), error);
    if (!pc->pm_function)
        return false;
    pc->hpet = hpet_new(board, board->isa_irq[0], board->isa_irq[8],
                        interrupts_ioapic_pin(pc->interrupts, 2));
    pc->pit = i8254_new(board, hpet_pit_line(pc->hpet));
    hpet_connect_heard(pc->hpet, (IrqLine){i8254_set_heard, pc->pit, 0});
    interrupts_connect_heard(pc->interrupts, hpet_heard_line(pc->hpet));
    pc->rtc = mc146818_new(board, hpet_rtc_line(pc->hpet), pc->config->rtc_base);
    pc->ports = system_ports_new(board);
    board->dma = isa_dma_new(board);
    return true;
}

static Chardev *open_chardev(Pc *pc, const char *spec, GError **error)
{
    if (g_str_has_prefix(spec, "chardev:")) {
        const char *id = spec + strlen("chardev:");
        Chardev *chardev = find_chardev(&pc->board, id);
        if (!chardev)
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                        _("There is no -chardev with id=%s."), id);
        return chardev;
    }
    g_autoptr(ChardevSpec) parsed = chardev_spec_parse(spec, error);
    if (!parsed)
        return NULL;
    Chardev *chardev = chardev_open(&pc->board, parsed->id, spec, error);
    if (chardev)
        g_ptr_array_add(pc->chardevs, chardev);
    return chardev;
}

static bool make_serials(Pc *pc, GError **error)
{
    for (guint i = 0; i < pc->config->chardevs->len; i++)
        if (!open_chardev(pc, pc->config->chardevs->pdata[i], error))
            return false;
    for (guint i = 0; i < pc->config->serials->len && i < PC_SERIALS; i++) {
        const char *spec = pc->config->serials->pdata[i];
        if (g_str_equal(spec, "none"))
            continue;
        Chardev *chardev = open_chardev(pc, spec, error);
        if (!chardev)
            return false;
        pc->serials[i] =
            serial_new(&pc->board, serial_places[i].port,
                       interrupts_isa_source(pc->interrupts, serial_places[i].irq), chardev);
    }
    if (pc->config->debugcon) {
        Chardev *chardev = open_chardev(pc, pc->config->debugcon, error);
        if (!chardev)
            return false;
        pc->debugcon = debugcon_new(&pc->board, DEBUGCON_PORT, chardev);
    }
    return true;
}

static bool make_devices(Pc *pc, GError **error)
{
    Board *board = &pc->board;

    pc->keyboard_controller = i8042_new(board);
    pc->fdc = fdc_new(board);
    fdc_set_events(pc->fdc, &pc_fdc_events, pc);
    pc->ide = piix_ide_new(board, PIIX_IDE_DEVFN, error);
    if (!pc->ide)
        return false;
    ide_set_events(pc->ide, &pc_ide_events, pc);
    if (!pc_attach_drives(pc, error) || !make_serials(pc, error))
        return false;
    pc->uhci = uhci_new(board, PIIX_UHCI_DEVFN, error);
    if (!pc->uhci)
        return false;
    if (pc->config->usb_tablet)
        uhci_plug(pc->uhci, 0, usb_tablet_new(board));
    if (!g_str_equal(pc->config->vga, "none")) {
        pc->vga = vga_new(board, (uint64_t)pc->config->vga_memory_mb << 20, error);
        if (!pc->vga)
            return false;
    }
    if (!pc_make_networks(pc, error))
        return false;
    for (guint i = 0; i < pc->config->devices->len; i++) {
        const DeviceConfig *config = pc->config->devices->pdata[i];
        const DeviceClass *device_class = device_class_find(config->driver);
        Device *device = g_malloc0(device_class->instance_size);
        device->device_class = device_class;
        device->board = board;
        device->id = g_strdup(config->id);
        if (!device_class->create(device, board, config->values, error)) {
            g_prefix_error(error, "-device %s: ", config->driver);
            g_free(device->id);
            g_free(device);
            return false;
        }
        g_ptr_array_add(pc->devices, device);
    }
    return true;
}

/* CMOS, fw_cfg, tables and ROMs: what firmware reads. */
static bool publish_configuration(Pc *pc, GError **error)
{
    Board *board = &pc->board;
    const MachineConfig *config = pc->config;

    mc146818_set_memory(pc->rtc, board->ram_below_4g, board->ram_above_4g);
    mc146818_set_boot_order(pc->rtc, config->boot_once ? config->boot_once : config->boot_order,
                            true);
    mc146818_set_floppies(pc->rtc, fdc_drive_type(pc->fdc, 0), fdc_drive_type(pc->fdc, 1));
    mc146818_set(pc->rtc, CMOS_CPU_COUNT, config->cpus - 1);

    board->fw_cfg = fw_cfg_new(board);
    boot_items_publish(board, config);
    boot_order_publish(board, config, config->boot_once ? config->boot_once : config->boot_order);
    AcpiOptions acpi = {
        .hpet = true,
        .serial = {pc->serials[0] != NULL, pc->serials[1] != NULL},
        .floppy_type = {fdc_drive_type(pc->fdc, 0), fdc_drive_type(pc->fdc, 1)},
        .floppy_controller = true,
    };
    acpi_tables_publish(board, &acpi);
    smbios_publish(board, config);
    if (config->kernel && !linuxboot_publish(board, config, error))
        return false;
    return firmware_load(board, pc->host_bridge, config, error);
}

static bool make_cpus(Pc *pc, GError **error)
{
    if (!pc->config->accel_interp) {
        JitOptions options;
        if (!accel_parse_jit(pc->config->accel_options, &options, error))
            return false;
        if (options.lockstep && pc->config->cpus > 1)
            return option_refuse(error, "-accel jit,lockstep=on takes one CPU, not %u.",
                                 pc->config->cpus);
        if (!options.cache_bytes)
            options.cache_bytes = jit_usual_cache_bytes(pc->config->cpus);
        pc->jit = jit_new_with_options(&options, error);
        if (!pc->jit)
            return false;
    }
    pc->cpu_bus = cpu_bus_new();
    pc->cpus = g_new0(Cpu *, pc->config->cpus);
    pc->slots = g_new0(CpuSlot, pc->config->cpus);
    for (unsigned i = 0; i < pc->config->cpus; i++) {
        pc->slots[i] = (CpuSlot){pc, i};
        CpuConfig config = {
            .index = i,
            .apic_id = i,
            .accel = pc->config->accel_interp ? CPU_ACCEL_INTERP : CPU_ACCEL_JIT,
            .memory = pc->board.memory,
            .model = pc->cpuid,
            .board = &cpu_board_ops,
            .board_opaque = &pc->slots[i],
            .jit = pc->jit,
            .bus = pc->cpu_bus,
        };
        pc->cpus[i] = cpu_new(&config, error);
        if (!pc->cpus[i])
            return false;
        pc->n_cpus++;
    }
    for (unsigned i = 0; i < pc->n_cpus; i++)
        cpu_start(pc->cpus[i]);
    return true;
}

static void pointer_mode_changed(void *opaque)
{
    Pc *pc = opaque;

    pc->ops->pointer_mode(pc->opaque, input_hub_is_absolute(pc->board.input));
}

static bool build(Pc *pc, GError **error)
{
    return make_memory(pc, error) && make_chipset(pc, error) && make_devices(pc, error) &&
           publish_configuration(pc, error) && make_cpus(pc, error);
}

Pc *pc_new(const MachineConfig *config, GMainContext *context, Display *display, const PcOps *ops,
           void *opaque, GError **error)
{
    Pc *pc = g_new0(Pc, 1);
    Board *board = &pc->board;

    pc->ops = ops;
    pc->opaque = opaque;
    pc->config = config_copy(config);
    pc->chardevs = g_ptr_array_new();
    pc->devices = g_ptr_array_new();
    pc->netdevs = g_ptr_array_new();
    g_mutex_init(&board->lock);
    board->context = context;
    board->clock = clock_new(context, &board->lock);
    board->display = display;
    board->input = input_hub_new();
    input_hub_set_changed(board->input, pointer_mode_changed, pc);
    board->n_cpus = config->cpus;
    board->machine = pc;
    board->request_reset = request_reset;
    board->request_power_off = request_power_off;
    board->request_exit = request_exit;
    board->set_a20 = set_a20;
    board->report_error = report_error;
    board->find_chardev = find_chardev;
    board->find_netdev = pc_find_netdev;

    pc->cpuid = cpuid_model_new(config->cpu_model, config->cpus, error);
    board_lock(board);
    bool built = pc->cpuid && build(pc, error);
    if (built)
        memory_map_set_listeners(board->memory, memory_changed, code_written, pc);
    board_unlock(board);
    if (!built) {
        pc_free(pc);
        return NULL;
    }
    pc_reset(pc);
    return pc;
}

void pc_free(Pc *pc)
{
    Board *board = &pc->board;

    /* All stand still before the first is gone: they send each other notes. */
    for (unsigned i = 0; i < pc->n_cpus; i++)
        cpu_pause(pc->cpus[i]);
    for (unsigned i = 0; i < pc->n_cpus; i++)
        cpu_wait_paused(pc->cpus[i]);
    for (unsigned i = 0; i < pc->n_cpus; i++)
        cpu_free(pc->cpus[i]);
    pc->n_cpus = 0;
    g_free(pc->cpus);
    g_free(pc->slots);
    g_clear_pointer(&pc->jit, jit_free);
    g_clear_pointer(&pc->cpu_bus, cpu_bus_free);

    board_lock(board);
    clock_stop(board->clock);
    display_set_source(board->display, NULL, NULL);
    for (guint i = pc->devices->len; i-- > 0;) {
        Device *device = pc->devices->pdata[i];
        device->device_class->destroy(device);
        g_free(device->id);
        g_free(device);
    }
    g_ptr_array_unref(pc->devices);
    pc_free_networks(pc);
    vga_free(pc->vga);
    debugcon_free(pc->debugcon);
    for (int i = 0; i < PC_SERIALS; i++)
        serial_free(pc->serials[i]);
    for (guint i = 0; i < pc->chardevs->len; i++)
        chardev_close(pc->chardevs->pdata[i]);
    g_ptr_array_unref(pc->chardevs);
    fdc_free(pc->fdc);
    uhci_free(pc->uhci);
    piix_ide_free(pc->ide);
    i8042_free(pc->keyboard_controller);
    isa_dma_free(board->dma);
    system_ports_free(pc->ports);
    mc146818_free(pc->rtc);
    i8254_free(pc->pit);
    hpet_free(pc->hpet);
    piix4_pm_free(pc->pm_function);
    piix3_free(pc->isa_bridge);
    interrupts_free(pc->interrupts);
    i440fx_free(pc->host_bridge);
    fw_cfg_free(board->fw_cfg);
    memory_map_free(board->memory);
    input_hub_free(board->input);
    board_unlock(board);

    clock_free(board->clock);
    cpuid_model_free(pc->cpuid);
    g_mutex_clear(&board->lock);
    config_free(pc->config);
    g_free(pc);
}

/* --- running
 * -------------------------------------------------------------------------------------------- */

void pc_pause(Pc *pc)
{
    halt_guest(pc);
    for (unsigned i = 0; i < pc->n_cpus; i++)
        cpu_wait_paused(pc->cpus[i]);
    board_lock(&pc->board);
    clock_stop(pc->board.clock);
    board_unlock(&pc->board);
    pc->running = false;
}

static void start_clock(Pc *pc, bool silent)
{
    board_lock(&pc->board);
    if (silent)
        clock_start_silent(pc->board.clock);
    else
        clock_start(pc->board.clock);
    for (unsigned i = 0; i < pc->n_cpus; i++)
        pc->cpus[i]->tsc_offset = clock_host_tsc_offset(pc->board.clock);
    board_unlock(&pc->board);
}

void pc_resume(Pc *pc)
{
    start_clock(pc, false);
    for (unsigned i = 0; i < pc->n_cpus; i++)
        cpu_resume(pc->cpus[i]);
    pc->running = true;
}

void pc_resume_some(Pc *pc, const PcRun *runs, bool hold_interrupts, bool hold_timers)
{
    for (unsigned i = 0; i < pc->n_cpus; i++)
        if (runs[i] == PC_RUN || (runs[i] == PC_STEP && cpu_is_halted(pc->cpus[i])))
            hold_timers = false;
    start_clock(pc, hold_timers);
    pc->running = true;
    for (unsigned i = 0; i < pc->n_cpus; i++) {
        if (runs[i] == PC_RUN)
            cpu_resume(pc->cpus[i]);
        else if (runs[i] == PC_STEP)
            cpu_resume_step(pc->cpus[i], hold_interrupts);
    }
}

bool pc_has_debug_stop(Pc *pc)
{
    for (unsigned i = 0; i < pc->n_cpus; i++)
        if (debug_has_stopped(pc->cpus[i]))
            return true;
    return false;
}

int pc_take_debug_stop(Pc *pc, DebugStop *stop)
{
    for (unsigned i = 1; i <= pc->n_cpus; i++) {
        unsigned n = (pc->last_debug_stop + i) % pc->n_cpus;
        *stop = debug_take_stop(pc->cpus[n]);
        if (stop->reason == STOP_NONE)
            continue;
        pc->last_debug_stop = n;
        for (unsigned k = 0; k < pc->n_cpus; k++)
            debug_postpone_stop(pc->cpus[k]);
        return (int)n;
    }
    return -1;
}

void pc_reset(Pc *pc)
{
    Board *board = &pc->board;

    pc_pause(pc);
    /* Before the local APICs, whose requests must not be lost. */
    for (unsigned i = 0; i < pc->n_cpus; i++)
        cpu_reset(pc->cpus[i]);
    board_lock(board);
    i440fx_reset(pc->host_bridge);
    piix3_reset(pc->isa_bridge);
    piix4_pm_reset(pc->pm_function);
    hpet_reset(pc->hpet);
    i8254_reset(pc->pit);
    mc146818_reset(pc->rtc);
    system_ports_reset(pc->ports);
    isa_dma_reset(board->dma);
    i8042_reset(pc->keyboard_controller);
    fdc_reset(pc->fdc);
    piix_ide_reset(pc->ide);
    uhci_reset(pc->uhci);
    for (int i = 0; i < PC_SERIALS; i++)
        if (pc->serials[i])
            serial_reset(pc->serials[i]);
    if (pc->vga)
        vga_reset(pc->vga);
    for (guint i = 0; i < pc->devices->len; i++) {
        Device *device = pc->devices->pdata[i];
        if (device->device_class->reset)
            device->device_class->reset(device);
    }
    fw_cfg_reset(board->fw_cfg);
    interrupts_reset(pc->interrupts);
    if (pc->was_reset && pc->config->boot_once) { /* which is over now */
        mc146818_set_boot_order(pc->rtc, pc->config->boot_order, true);
        boot_order_publish(board, pc->config, pc->config->boot_order);
    }
    pc->was_reset = true;
    board_unlock(board);
}

void pc_nmi(Pc *pc)
{
    board_lock(&pc->board);
    interrupts_nmi(pc->interrupts);
    board_unlock(&pc->board);
}

void pc_power_button(Pc *pc)
{
    acpi_pm_power_button(piix4_pm_acpi(pc->pm_function));
}

/* --- looking at it
 * -------------------------------------------------------------------------------------- */

Board *pc_board(Pc *pc)
{
    return &pc->board;
}

unsigned pc_cpu_count(const Pc *pc)
{
    return pc->n_cpus;
}

Cpu *pc_cpu(Pc *pc, unsigned index)
{
    return pc->cpus[index];
}

void pc_describe_interrupts(Pc *pc, GString *out)
{
    interrupts_describe(pc->interrupts, out);
}

void pc_describe_blocks(Pc *pc, GString *out)
{
    PcDrive drive;

    for (unsigned i = 0; pc_drive(pc, i, &drive); i++) {
        g_string_append_printf(out, "%s%s: ", i ? "\n" : "", drive.id);
        if (drive.image)
            g_string_append_printf(out, "%s (%s%s)\n", block_image_path(drive.image),
                                   block_image_format(drive.image),
                                   block_image_read_only(drive.image) ? ", read-only" : "");
        else
            g_string_append(out, "[not inserted]\n");
        if (drive.removable)
            g_string_append_printf(out, "    Removable device: %s, tray %s\n",
                                   drive.locked ? "locked" : "not locked",
                                   drive.tray_open ? "open" : "closed");
    }
}

uint64_t pc_guest_instructions(Pc *pc)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < pc->n_cpus; i++)
        sum += __atomic_load_n(&pc->cpus[i]->instructions, __ATOMIC_RELAXED);
    return sum;
}

JitStatistics pc_jit_statistics(Pc *pc)
{
    return pc->jit ? jit_statistics(pc->jit) : (JitStatistics){0};
}

uint64_t pc_exits(Pc *pc)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < pc->n_cpus; i++)
        sum += __atomic_load_n(&pc->cpus[i]->count_exits, __ATOMIC_RELAXED);
    return sum;
}
