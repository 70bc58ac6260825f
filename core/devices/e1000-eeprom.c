/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The serial EEPROM: contents (SDM table 5-2), the four wires of EECD (13.4.3) that speak the
 * Microwire protocol of a 93C46, and the read register EERD (13.4.4). */

#include "core/devices/e1000-internal.h"

/* EECD */
enum {
    EE_SK = 1u << 0,
    EE_CS = 1u << 1,
    EE_DI = 1u << 2,
    EE_DO = 1u << 3,
    EE_FWE = 3u << 4, /* flash writes disabled: 01 */
    EE_REQ = 1u << 6,
    EE_GNT = 1u << 7,
    EE_PRES = 1u << 8,
    EERD_START = 1u << 0,
    EERD_DONE = 1u << 4,
};

/* Words of the EEPROM. */
enum {
    WORD_ADDRESS = 0x00, /* three words */
    WORD_COMPATIBILITY = 0x03,
    WORD_PBA = 0x08, /* two words: the board's number */
    WORD_INIT_CONTROL_1 = 0x0a,
    WORD_SUBSYSTEM_ID = 0x0b,
    WORD_SUBSYSTEM_VENDOR = 0x0c,
    WORD_DEVICE_ID = 0x0d,
    WORD_VENDOR_ID = 0x0e,
    WORD_INIT_CONTROL_2 = 0x0f,
    WORD_CHECKSUM = 0x3f,
    CHECKSUM_TARGET = 0xbaba,
};

/* Opcodes after the start bit. */
enum { OPCODE_SPECIAL = 0, OPCODE_WRITE = 1, OPCODE_READ = 2, OPCODE_ERASE = 3 };
#define ADDRESS_BITS 6
#define COMMAND_BITS (2 + ADDRESS_BITS)

void e1000_fill_eeprom(E1000 *e1000)
{
    uint16_t *words = e1000->eeprom.words, sum = 0;

    for (int i = 0; i < EEPROM_WORDS; i++)
        words[i] = 0xffff;
    for (int i = 0; i < 3; i++)
        words[WORD_ADDRESS + i] =
            (uint16_t)(e1000->address[i * 2] | e1000->address[i * 2 + 1] << 8);
    words[WORD_COMPATIBILITY] = 0;
    words[WORD_PBA] = 0;
    words[WORD_PBA + 1] = 0;
    /* Signature 01 in bits 15:14, load subsystem and vendor ids. */
    words[WORD_INIT_CONTROL_1] = 0x4003;
    words[WORD_SUBSYSTEM_ID] = 0x1100;
    words[WORD_SUBSYSTEM_VENDOR] = 0x1af4;
    words[WORD_DEVICE_ID] = 0x100e;
    words[WORD_VENDOR_ID] = 0x8086;
    words[WORD_INIT_CONTROL_2] = 0x3040;
    for (int i = 0; i < WORD_CHECKSUM; i++)
        sum += words[i];
    words[WORD_CHECKSUM] = CHECKSUM_TARGET - sum;
}

void e1000_load_address(E1000 *e1000)
{
    const uint16_t *words = e1000->eeprom.words;

    *e1000_reg(e1000, RAL0) = words[0] | (uint32_t)words[1] << 16;
    *e1000_reg(e1000, RAH0) = words[2] | RAH_AV;
}

uint32_t e1000_eerd(const E1000 *e1000, uint32_t command)
{
    unsigned address = command >> 8 & 0xff;

    if (!(command & EERD_START))
        return command & 0xff00;
    return (uint32_t)(address < EEPROM_WORDS ? e1000->eeprom.words[address] : 0xffff) << 16 |
           address << 8 | EERD_DONE;
}

/* --- the wires -------------------------------------------------------------------------------- */

static void start_over(Eeprom *eeprom)
{
    eeprom->started = eeprom->reading = false;
    eeprom->bits = eeprom->shifted = eeprom->remaining = 0;
    eeprom->output = true; /* ready */
}

static void special(Eeprom *eeprom)
{
    switch (eeprom->address >> (ADDRESS_BITS - 2)) {
    case 0: eeprom->write_enabled = false; break;
    case 3: eeprom->write_enabled = true; break;
    case 2:
        if (eeprom->write_enabled)
            for (int i = 0; i < EEPROM_WORDS; i++)
                eeprom->words[i] = 0xffff;
        break;
    default: break; /* WRAL: with its data */
    }
}

/* The opcode and address are complete. */
static void command_complete(Eeprom *eeprom)
{
    eeprom->address = eeprom->shifted & ((1 << ADDRESS_BITS) - 1);
    switch (eeprom->shifted >> ADDRESS_BITS) {
    case OPCODE_READ:
        eeprom->reading = true;
        eeprom->output = false; /* the dummy bit */
        eeprom->outgoing = eeprom->words[eeprom->address];
        eeprom->remaining = 16;
        break;
    case OPCODE_ERASE:
        if (eeprom->write_enabled)
            eeprom->words[eeprom->address] = 0xffff;
        break;
    case OPCODE_SPECIAL: special(eeprom); break;
    case OPCODE_WRITE: break; /* data follow */
    }
}

static void data_complete(Eeprom *eeprom)
{
    unsigned opcode = eeprom->shifted >> (16 + ADDRESS_BITS);
    uint16_t data = (uint16_t)eeprom->shifted;

    if (!eeprom->write_enabled)
        return;
    if (opcode == OPCODE_WRITE)
        eeprom->words[eeprom->address] = data;
    else if (opcode == OPCODE_SPECIAL && eeprom->address >> (ADDRESS_BITS - 2) == 1)
        for (int i = 0; i < EEPROM_WORDS; i++)
            eeprom->words[i] = data;
}

static void rising_edge(Eeprom *eeprom, bool input)
{
    if (eeprom->reading) {
        if (!eeprom->remaining) { /* the next word follows on */
            eeprom->address = (eeprom->address + 1) % EEPROM_WORDS;
            eeprom->outgoing = eeprom->words[eeprom->address];
            eeprom->remaining = 16;
        }
        eeprom->output = eeprom->outgoing >> 15 & 1;
        eeprom->outgoing <<= 1;
        eeprom->remaining--;
        return;
    }
    if (!eeprom->started) {
        eeprom->started = input;
        return;
    }
    if (eeprom->bits >= COMMAND_BITS + 16)
        return;
    eeprom->shifted = eeprom->shifted << 1 | input;
    eeprom->bits++;
    if (eeprom->bits == COMMAND_BITS)
        command_complete(eeprom);
    else if (eeprom->bits == COMMAND_BITS + 16)
        data_complete(eeprom);
}

uint32_t e1000_read_eecd(const E1000 *e1000)
{
    uint32_t value = e1000->regs[EECD / 4] & (EE_SK | EE_CS | EE_DI | EE_FWE | EE_REQ);

    value |= EE_PRES;
    if (value & EE_REQ)
        value |= EE_GNT;
    if (e1000->eeprom.output)
        value |= EE_DO;
    return value;
}

void e1000_write_eecd(E1000 *e1000, uint32_t value)
{
    Eeprom *eeprom = &e1000->eeprom;
    bool selected = value & EE_CS, clock = value & EE_SK;

    *e1000_reg(e1000, EECD) = value;
    if (!selected || !eeprom->selected)
        start_over(eeprom);
    else if (clock && !eeprom->clock)
        rising_edge(eeprom, value & EE_DI);
    eeprom->selected = selected;
    eeprom->clock = clock;
}
