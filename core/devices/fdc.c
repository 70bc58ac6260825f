/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The floppy controller's registers and phases (82077AA data sheet 2 to 4). */

#include "core/devices/fdc-internal.h"

#include "core/chipset/i8237.h"

#include <errno.h>
#include <string.h>

enum {
    PORT_DOR = 0x3f2,
    PORT_TDR = 0x3f3,
    PORT_MSR_DSR = 0x3f4,
    PORT_FIFO = 0x3f5,
    PORT_DIR_CCR = 0x3f7,
    FDC_IRQ = 6,
    FDC_DMA = 2,
};

/* Main status register */
enum {
    MSR_BUSY = 0x10,
    MSR_NON_DMA = 0x20,
    MSR_TO_HOST = 0x40, /* DIO */
    MSR_RQM = 0x80,
};

/* Data rate select register */
enum { DSR_RATE = 0x03, DSR_RESET = 0x80 };

enum { DIR_DISK_CHANGE = 0x80, SPECIFY_NON_DMA = 0x01 };

/* --- Interrupt -------------------------------------------------------------------------------- */

static void update_irq(Fdc *fdc)
{
    bool level = fdc->interrupt && (fdc->dor & DOR_DMA_GATE);
    if (level == fdc->irq_level)
        return;
    fdc->irq_level = level;
    irq_set(&fdc->board->isa_irq[FDC_IRQ], level);
}

void fdc_interrupt(Fdc *fdc)
{
    fdc->interrupt = true;
    update_irq(fdc);
}

void fdc_clear_interrupt(Fdc *fdc)
{
    fdc->interrupt = false;
    update_irq(fdc);
}

/* --- Data of the execution phase -------------------------------------------------------------- */

static bool non_dma(const Fdc *fdc)
{
    return fdc->specify[1] & SPECIFY_NON_DMA;
}

static void data_finished(Fdc *fdc, bool terminal_count)
{
    FdcDataDone done = fdc->data_done;
    fdc->data_done = NULL;
    done(fdc, terminal_count);
}

/* Serves the DMA request as far as the 8237 lets it. */
static void pump_dma(void *opaque)
{
    Fdc *fdc = opaque;
    bool terminal_count = false;

    if (!fdc->data_done || non_dma(fdc) || !(fdc->dor & DOR_DMA_GATE) || !fdc->board->dma)
        return;
    fdc->data_position +=
        isa_dma_transfer(fdc->board->dma, FDC_DMA, fdc->buffer + fdc->data_position,
                         fdc->data_end - fdc->data_position, fdc->data_to_host, &terminal_count);
    if (terminal_count || fdc->data_position == fdc->data_end)
        data_finished(fdc, terminal_count);
}

/* Non-DMA: the interrupt asks for a threshold's worth of bytes (82077AA 4.2). */
static void start_burst(Fdc *fdc)
{
    fdc->burst = fdc->config & CONFIG_FIFO_DISABLE ? 1 : (fdc->config & CONFIG_THRESHOLD) + 1;
    fdc_interrupt(fdc);
}

void fdc_move_data(Fdc *fdc, bool to_host, size_t length, FdcDataDone done)
{
    g_assert(length > 0 && length <= FDC_BUFFER_SIZE);
    fdc->data_position = 0;
    fdc->data_end = length;
    fdc->data_to_host = to_host;
    fdc->data_done = done;
    if (non_dma(fdc))
        start_burst(fdc);
    else
        pump_dma(fdc);
}

static void byte_moved(Fdc *fdc)
{
    fdc_clear_interrupt(fdc);
    if (++fdc->data_position == fdc->data_end)
        data_finished(fdc, false);
    else if (--fdc->burst == 0)
        start_burst(fdc);
}

/* --- Command and result phases ---------------------------------------------------------------- */

void fdc_result(Fdc *fdc, unsigned length, bool interrupt)
{
    fdc->phase = length ? PHASE_RESULT : PHASE_COMMAND;
    fdc->result_length = length;
    fdc->result_position = 0;
    fdc->command_position = 0;
    if (interrupt)
        fdc_interrupt(fdc);
}

static void command_byte(Fdc *fdc, uint8_t value)
{
    if (fdc->command_position == 0)
        fdc->command_length = fdc_command_length(value);
    fdc->command[fdc->command_position++] = value;
    if (fdc->command_position < fdc->command_length)
        return;
    fdc->phase = PHASE_EXECUTION;
    fdc_execute(fdc);
}

static void fifo_write(Fdc *fdc, uint8_t value)
{
    if (!(fdc->dor & DOR_NRESET) || fdc->resetting)
        return;
    if (fdc->phase == PHASE_COMMAND) {
        command_byte(fdc, value);
    } else if (fdc->phase == PHASE_EXECUTION && fdc->data_done && non_dma(fdc) &&
               !fdc->data_to_host) {
        fdc->buffer[fdc->data_position] = value;
        byte_moved(fdc);
    }
}

static uint8_t fifo_read(Fdc *fdc)
{
    uint8_t value;

    if (!(fdc->dor & DOR_NRESET) || fdc->resetting)
        return 0xff;
    if (fdc->phase == PHASE_EXECUTION && fdc->data_done && non_dma(fdc) && fdc->data_to_host) {
        value = fdc->buffer[fdc->data_position];
        byte_moved(fdc);
        return value;
    }
    if (fdc->phase != PHASE_RESULT)
        return 0xff;
    fdc_clear_interrupt(fdc); /* by the first result byte */
    value = fdc->result[fdc->result_position++];
    if (fdc->result_position == fdc->result_length)
        fdc->phase = PHASE_COMMAND;
    return value;
}

static uint8_t main_status(const Fdc *fdc)
{
    if (!(fdc->dor & DOR_NRESET) || fdc->resetting)
        return 0;
    switch (fdc->phase) {
    case PHASE_COMMAND: return MSR_RQM | (fdc->command_position ? MSR_BUSY : 0);
    case PHASE_RESULT: return MSR_RQM | MSR_TO_HOST | MSR_BUSY;
    default: break;
    }
    if (!non_dma(fdc))
        return MSR_BUSY;
    return MSR_BUSY | MSR_NON_DMA |
           (fdc->data_done ? MSR_RQM | (fdc->data_to_host ? MSR_TO_HOST : 0) : 0);
}

/* --- Reset ------------------------------------------------------------------------------------ */

/* The reset ends once no host I/O runs; then, drive polling being on, all four drives are reported
 * as having changed their ready state (82077AA 4.1 and 5.2.4). */
static void finish_reset(Fdc *fdc)
{
    if (!(fdc->dor & DOR_NRESET) || fdc->running)
        return;
    fdc->resetting = false;
    for (unsigned unit = 0; unit < 4; unit++) {
        fdc->sense_pending[unit] = true;
        fdc->sense_status[unit] = ST0_READY_CHANGED | unit;
    }
    fdc_interrupt(fdc);
}

static void begin_reset(Fdc *fdc, bool hard)
{
    fdc->resetting = true;
    fdc->phase = PHASE_COMMAND;
    fdc->command_position = 0;
    fdc->data_done = NULL;
    memset(fdc->cylinder, 0, sizeof fdc->cylinder);
    memset(fdc->sense_pending, 0, sizeof fdc->sense_pending);
    fdc_default_settings(fdc, hard);
    fdc_clear_interrupt(fdc);
}

void fdc_io_finished(void *opaque, int error)
{
    Fdc *fdc = opaque;

    fdc->running = false;
    if (fdc->resetting)
        finish_reset(fdc);
    else
        fdc->io_done(fdc, fdc->drives[fdc->io_unit].image ? error : ENOMEDIUM);
}

void fdc_reset(Fdc *fdc)
{
    fdc->dor = 0;
    fdc->tdr = 0;
    fdc->rate = 2; /* 250 kb/s */
    begin_reset(fdc, true);
}

/* --- Ports ------------------------------------------------------------------------------------ */

static void dor_write(Fdc *fdc, uint8_t value)
{
    uint8_t changed = fdc->dor ^ value;

    fdc->dor = value;
    if (changed & DOR_NRESET) {
        if (value & DOR_NRESET)
            finish_reset(fdc);
        else
            begin_reset(fdc, false);
    }
    update_irq(fdc);
    if (changed & DOR_DMA_GATE)
        pump_dma(fdc);
}

static void dsr_write(Fdc *fdc, uint8_t value)
{
    fdc->rate = value & DSR_RATE;
    if (value & DSR_RESET) { /* clears itself */
        begin_reset(fdc, false);
        finish_reset(fdc);
    }
}

/* The change line is the selected drive's, while its motor runs. */
static uint8_t digital_input(Fdc *fdc)
{
    unsigned unit = fdc->dor & DOR_DRIVE;
    const FloppyDrive *drive = fdc_drive(fdc, unit);
    return drive && fdc_motor_on(fdc, unit) && drive->changed ? DIR_DISK_CHANGE : 0;
}

static uint32_t fdc_read(void *opaque, uint16_t port, unsigned size)
{
    Fdc *fdc = opaque;

    switch (port) {
    case PORT_DOR: return fdc->dor;
    case PORT_TDR: return fdc->tdr | 0xfc; /* the upper bits float */
    case PORT_MSR_DSR: return main_status(fdc);
    case PORT_FIFO: return fifo_read(fdc);
    default: return digital_input(fdc);
    }
}

static void fdc_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    Fdc *fdc = opaque;

    switch (port) {
    case PORT_DOR: dor_write(fdc, value); break;
    case PORT_TDR: fdc->tdr = value & 0x03; break;
    case PORT_MSR_DSR: dsr_write(fdc, value); break;
    case PORT_FIFO: fifo_write(fdc, value); break;
    default: fdc->rate = value & DSR_RATE; break;
    }
}

static const PortOps fdc_ops = {fdc_read, fdc_write, 1};

Fdc *fdc_new(Board *board)
{
    Fdc *fdc = g_new0(Fdc, 1);

    fdc->board = board;
    fdc->buffer = g_malloc0(FDC_BUFFER_SIZE);
    fdc_reset(fdc);
    port_register(board->memory, PORT_DOR, 4, &fdc_ops, fdc);
    port_register(board->memory, PORT_DIR_CCR, 1, &fdc_ops, fdc);
    if (board->dma)
        isa_dma_set_listener(board->dma, FDC_DMA, pump_dma, fdc);
    return fdc;
}

void fdc_free(Fdc *fdc)
{
    if (!fdc)
        return;
    port_unregister(fdc->board->memory, PORT_DOR, 4, fdc);
    port_unregister(fdc->board->memory, PORT_DIR_CCR, 1, fdc);
    if (fdc->board->dma)
        isa_dma_set_listener(fdc->board->dma, FDC_DMA, NULL, NULL);
    fdc->dor = 0; /* in reset: nothing follows what still completes */
    fdc->resetting = true;
    for (int unit = 0; unit < 2; unit++)
        fdc_set_image(fdc, unit, NULL);
    g_free(fdc->buffer);
    g_free(fdc);
}

void fdc_set_events(Fdc *fdc, const FdcEvents *events, void *opaque)
{
    fdc->events = events;
    fdc->events_opaque = opaque;
}
