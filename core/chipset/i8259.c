/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/chipset/i8259.h"

enum {
    PORT_MASTER = 0x20,
    PORT_SLAVE = 0xa0,
    PORT_ELCR = 0x4d0,
};

enum {
    ICW1_IC4 = 1 << 0,  /* ICW4 follows */
    ICW1_SNGL = 1 << 1, /* no ICW3 */
    ICW1_SELECT = 1 << 4,
    ICW4_AEOI = 1 << 1,
    ICW4_SFNM = 1 << 4,
    OCW3_SELECT = 1 << 3,
    OCW3_RIS = 1 << 0,
    OCW3_RR = 1 << 1,
    OCW3_P = 1 << 2,
    OCW3_SMM = 1 << 5,
    OCW3_ESMM = 1 << 6,
    POLL_INTERRUPT = 1 << 7,
};

enum { CASCADE = 2 };

typedef enum { WAIT_NONE, WAIT_ICW2, WAIT_ICW3, WAIT_ICW4 } InitStep;

typedef struct {
    uint8_t lines; /* levels at the IR pins */
    uint8_t irr, imr, isr;
    uint8_t elcr;      /* 1: level triggered */
    uint8_t elcr_mask; /* bits of elcr that exist */
    uint8_t vector_base;
    uint8_t lowest; /* level with the lowest priority, 7 after ICW1 */
    uint8_t icw1, icw4;
    InitStep step;
    bool read_isr; /* OCW3 RIS */
    bool poll;     /* the next read is a poll */
    bool special_mask;
    bool rotate_on_aeoi;
    bool output;
} Chip;

struct I8259 {
    Board *board;
    IrqLine output;
    IrqLine mask_changed;
    Chip master, slave;
};

/* The level with the highest priority among BITS, -1 when there is none. */
static int highest(const Chip *chip, uint8_t bits)
{
    for (int i = 1; i <= 8; i++) {
        int level = (chip->lowest + i) & 7;
        if (bits >> level & 1)
            return level;
    }
    return -1;
}

/* 0 is the highest priority. */
static int rank(const Chip *chip, int level)
{
    return (level - chip->lowest - 1) & 7;
}

/* The level that drives INT, -1: none. */
static int pending_level(const Chip *chip, bool is_master)
{
    int request = highest(chip, chip->irr & ~chip->imr);
    if (request < 0)
        return -1;
    uint8_t in_service = chip->isr;
    if (chip->special_mask) /* a masked level in service blocks nobody */
        in_service &= ~chip->imr;
    /* Special fully nested: the slave in service does not lock out its own higher levels. */
    if (is_master && (chip->icw4 & ICW4_SFNM))
        in_service &= ~(1 << CASCADE);
    int serving = highest(chip, in_service);
    return serving < 0 || rank(chip, request) < rank(chip, serving) ? request : -1;
}

static void set_line(Chip *chip, int level, bool high)
{
    uint8_t bit = 1 << level;
    bool was_high = chip->lines & bit;

    chip->lines = high ? chip->lines | bit : chip->lines & ~bit;
    if (chip->elcr & bit)
        chip->irr = (chip->irr & ~bit) | (high ? bit : 0);
    else if (high && !was_high)
        /* The part forgets an edge whose line falls before INTA. Here the CPU may look much later
         * than 100 ns, so that an edge stays latched. */
        chip->irr |= bit;
}

static void update(I8259 *pic)
{
    pic->slave.output = pending_level(&pic->slave, false) >= 0;
    /* The slave pulses INT for each request; to the master that is a level it follows. */
    uint8_t cascade = 1 << CASCADE;
    pic->master.lines = (pic->master.lines & ~cascade) | (pic->slave.output ? cascade : 0);
    pic->master.irr = (pic->master.irr & ~cascade) | (pic->slave.output ? cascade : 0);

    bool output = pending_level(&pic->master, true) >= 0;
    if (output != pic->master.output) {
        pic->master.output = output;
        irq_set(&pic->output, output);
    }
}

static void service(Chip *chip, int level)
{
    if (chip->icw4 & ICW4_AEOI) {
        if (chip->rotate_on_aeoi)
            chip->lowest = level;
    } else {
        chip->isr |= 1 << level;
    }
    if (!(chip->elcr >> level & 1))
        chip->irr &= ~(1 << level);
}

/* One chip's INTA: the level, 7 without a trace in ISR when the request is gone (page 18). */
static int acknowledge_chip(Chip *chip, bool is_master)
{
    int level = pending_level(chip, is_master);
    if (level < 0)
        return 7;
    service(chip, level);
    return level;
}

int i8259_acknowledge(I8259 *pic)
{
    int vector;
    bool cascaded = pending_level(&pic->master, true) == CASCADE;
    int level = acknowledge_chip(&pic->master, true);

    if (cascaded)
        vector = pic->slave.vector_base | acknowledge_chip(&pic->slave, false);
    else
        vector = pic->master.vector_base | level;
    update(pic);
    return vector;
}

bool i8259_is_masked(const I8259 *pic, int number)
{
    return (number < 8 ? &pic->master : &pic->slave)->imr >> (number & 7) & 1;
}

void i8259_on_mask(I8259 *pic, IrqLine told)
{
    pic->mask_changed = told;
}

bool i8259_output(const I8259 *pic)
{
    return pic->master.output;
}

void i8259_set_irq(void *opaque, int number, bool level)
{
    I8259 *pic = opaque;

    if (number == CASCADE)
        return;
    set_line(number < 8 ? &pic->master : &pic->slave, number & 7, level);
    update(pic);
}

static void write_icw1(Chip *chip, uint8_t value)
{
    chip->icw1 = value;
    chip->irr &= chip->elcr; /* the edge sense circuit is reset */
    chip->imr = 0;
    chip->isr = 0;
    chip->lowest = 7;
    chip->special_mask = false;
    chip->read_isr = false;
    chip->poll = false;
    if (!(value & ICW1_IC4))
        chip->icw4 = 0;
    chip->step = WAIT_ICW2;
}

static void write_ocw2(Chip *chip, uint8_t value)
{
    int specific = value & 7, level;

    switch (value >> 5) {
    case 0: /* rotate in automatic EOI mode: clear */
    case 4: /* ... set */ chip->rotate_on_aeoi = value & 0x80; break;
    case 1: /* non-specific EOI */
    case 5: /* rotate on non-specific EOI */
        level = highest(chip, chip->special_mask ? chip->isr & ~chip->imr : chip->isr);
        if (level < 0)
            break;
        chip->isr &= ~(1 << level);
        if (value & 0x80)
            chip->lowest = level;
        break;
    case 3: /* specific EOI */ chip->isr &= ~(1 << specific); break;
    case 7: /* rotate on specific EOI */
        chip->isr &= ~(1 << specific);
        chip->lowest = specific;
        break;
    case 6: /* set priority */ chip->lowest = specific; break;
    }
}

static void write_ocw3(Chip *chip, uint8_t value)
{
    if (value & OCW3_P)
        chip->poll = true;
    else if (value & OCW3_RR)
        chip->read_isr = value & OCW3_RIS;
    if (value & OCW3_ESMM)
        chip->special_mask = value & OCW3_SMM;
}

static void write_data(Chip *chip, uint8_t value)
{
    switch (chip->step) {
    case WAIT_NONE: chip->imr = value; break;
    case WAIT_ICW2:
        chip->vector_base = value & 0xf8;
        if (!(chip->icw1 & ICW1_SNGL))
            chip->step = WAIT_ICW3;
        else
            chip->step = chip->icw1 & ICW1_IC4 ? WAIT_ICW4 : WAIT_NONE;
        break;
    case WAIT_ICW3: /* the cascade is hard-wired */
        chip->step = chip->icw1 & ICW1_IC4 ? WAIT_ICW4 : WAIT_NONE;
        break;
    case WAIT_ICW4:
        chip->icw4 = value;
        chip->step = WAIT_NONE;
        break;
    }
}

static void pic_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    I8259 *pic = opaque;
    Chip *chip = port < PORT_SLAVE ? &pic->master : &pic->slave;
    uint8_t old_imr = chip->imr;

    if (port & 1)
        write_data(chip, value);
    else if (value & ICW1_SELECT)
        write_icw1(chip, value);
    else if (value & OCW3_SELECT)
        write_ocw3(chip, value);
    else
        write_ocw2(chip, value);
    update(pic);
    if (chip->imr != old_imr)
        irq_set(&pic->mask_changed, true);
}

static uint32_t pic_read(void *opaque, uint16_t port, unsigned size)
{
    I8259 *pic = opaque;
    bool is_master = port < PORT_SLAVE;
    Chip *chip = is_master ? &pic->master : &pic->slave;

    if (chip->poll) { /* the read is the INTA */
        uint32_t answer = 0;
        int level = pending_level(chip, is_master);
        chip->poll = false;
        if (level >= 0) {
            service(chip, level);
            answer = POLL_INTERRUPT | level;
        }
        update(pic);
        return answer;
    }
    if (port & 1)
        return chip->imr;
    return chip->read_isr ? chip->isr : chip->irr;
}

static void elcr_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    I8259 *pic = opaque;
    Chip *chip = port & 1 ? &pic->slave : &pic->master;

    chip->elcr = value & chip->elcr_mask;
    chip->irr = (chip->irr & ~chip->elcr) | (chip->lines & chip->elcr);
    update(pic);
}

static uint32_t elcr_read(void *opaque, uint16_t port, unsigned size)
{
    I8259 *pic = opaque;
    return port & 1 ? pic->slave.elcr : pic->master.elcr;
}

static const PortOps pic_ops = {.read = pic_read, .write = pic_write, .max_size = 1};
static const PortOps elcr_ops = {.read = elcr_read, .write = elcr_write, .max_size = 1};

I8259 *i8259_new(Board *board, IrqLine output)
{
    I8259 *pic = g_new0(I8259, 1);

    pic->board = board;
    pic->output = output;
    pic->master.elcr_mask = 0xf8; /* IRQ 0, 1, 2 are always edge */
    pic->slave.elcr_mask = 0xde;  /* IRQ 8 and 13 too */
    i8259_reset(pic);
    port_register(board->memory, PORT_MASTER, 2, &pic_ops, pic);
    port_register(board->memory, PORT_SLAVE, 2, &pic_ops, pic);
    port_register(board->memory, PORT_ELCR, 2, &elcr_ops, pic);
    return pic;
}

void i8259_free(I8259 *pic)
{
    if (!pic)
        return;
    port_unregister(pic->board->memory, PORT_MASTER, 2, pic);
    port_unregister(pic->board->memory, PORT_SLAVE, 2, pic);
    port_unregister(pic->board->memory, PORT_ELCR, 2, pic);
    g_free(pic);
}

/* The part has no reset pin; this is its state before the first ICW1, with nothing latched. */
static void reset_chip(Chip *chip)
{
    bool output = chip->output;
    *chip = (Chip){.lines = chip->lines, .elcr_mask = chip->elcr_mask, .lowest = 7};
    chip->output = output;
}

void i8259_reset(I8259 *pic)
{
    reset_chip(&pic->master);
    reset_chip(&pic->slave);
    update(pic);
    irq_set(&pic->mask_changed, true);
}

void i8259_describe(const I8259 *pic, GString *out)
{
    const Chip *chips[] = {&pic->master, &pic->slave};

    for (int i = 0; i < 2; i++) {
        const Chip *chip = chips[i];
        g_string_append_printf(out,
                               "pic%d: irr=%02x imr=%02x isr=%02x lines=%02x lowest=%d "
                               "irq_base=%02x read=%s elcr=%02x special_mask=%d sfnm=%d aeoi=%d\n",
                               i, chip->irr, chip->imr, chip->isr, chip->lines, chip->lowest,
                               chip->vector_base, chip->read_isr ? "isr" : "irr", chip->elcr,
                               chip->special_mask, !!(chip->icw4 & ICW4_SFNM),
                               !!(chip->icw4 & ICW4_AEOI));
    }
}
