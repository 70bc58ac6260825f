/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Registers (SDM chapter 13): which there are, which bits of them can be written, and what reading
 * or writing one does besides.
 */

#define G_LOG_DOMAIN "e1000"

#include "core/devices/e1000-internal.h"

/* Registers that are plain memory but for bits that cannot be written. */
static const struct {
    uint32_t offset, writable;
} plain[] = {
    {CTRL_EXT, 0x0fffffff & ~CTRL_EXT_EE_RST},
    {FLA, 0xffffffff},
    {FCAL, 0xffffffff},
    {FCAH, 0x0000ffff},
    {FCT, 0x0000ffff},
    {VET, 0x0000ffff},
    {ITR, 0x0000ffff},
    {FCTTV, 0x0000ffff},
    {TXCW, 0xc000ffff},
    {TIPG, 0x3fffffff},
    {AIT, 0x0000ffff},
    {LEDCTL, 0xcfcfcfcf},
    {FCRTL, 0x8000fff8},
    {FCRTH, 0x0000fff8},
    {RDBAL, 0xfffffff0},
    {RDBAH, 0xffffffff},
    {RDLEN, 0x000fff80},
    {RDH, 0x0000ffff},
    {RXDCTL, 0x013f3f3f},
    {RADV, 0x0000ffff},
    {RSRPD, 0x00000fff},
    {TXDMAC, 0x00000001},
    {TDBAL, 0xfffffff0},
    {TDBAH, 0xffffffff},
    {TDLEN, 0x000fff80},
    {TDH, 0x0000ffff},
    {TIDV, 0x0000ffff},
    {TXDCTL, 0xff7f3f3f},
    {TADV, 0x0000ffff},
    {TSPMT, 0xffffffff},
    {RXCSUM, 0x000007ff},
    {WUC, 0x0000000f},
    {WUFC, 0x000f00ff},
    {MANC, 0xffffffff},
    {IPAV, 0x0001000f},
    {WUPL, 0x00000000},
};

/* Ranges that are plain memory. Those after the address filters are diagnostic or filter memory. */
static const struct {
    uint32_t first, end;
} memories[] = {
    {MTA, MTA_END},     {RAL0, RA_END},    {VFTA, VFTA_END},  {IP4AT, IP4AT_END},
    {IP6AT, IP6AT_END}, {WUPM, WUPM_END},  {FFLT, FFLT_END},  {FFMT, FFMT_END},
    {FFVT, FFVT_END},   {RDFH, RDFPC + 4}, {TDFH, TDFPC + 4}, {PBM, PBM_END},
};

/* Offsets of the 82542 that its successors still answer at (SDM tables 13-2 and 13-3). */
static const struct {
    uint32_t first, end, target;
} aliases[] = {
    {0x0004, 0x0008, CTRL},  {0x0040, 0x00c0, RAL0},  {0x0108, 0x010c, RDTR},
    {0x0110, 0x0118, RDBAL}, {0x0118, 0x011c, RDLEN}, {0x0120, 0x0124, RDH},
    {0x0128, 0x012c, RDT},   {0x0160, 0x0164, FCRTH}, {0x0168, 0x016c, FCRTL},
    {0x0200, 0x0400, MTA},   {0x0420, 0x0428, TDBAL}, {0x0428, 0x042c, TDLEN},
    {0x0430, 0x0434, TDH},   {0x0438, 0x043c, TDT},   {0x0440, 0x0444, TIDV},
    {0x0600, 0x0800, VFTA},
};

static uint32_t resolve_alias(uint32_t offset)
{
    if (offset >= 0x0800)
        return offset;
    for (size_t i = 0; i < G_N_ELEMENTS(aliases); i++)
        if (offset >= aliases[i].first && offset < aliases[i].end)
            return aliases[i].target + (offset - aliases[i].first);
    return offset;
}

/* The bits of a plain register that can be written; false when it is none. */
static bool plain_mask(uint32_t offset, uint32_t *mask)
{
    for (size_t i = 0; i < G_N_ELEMENTS(plain); i++)
        if (plain[i].offset == offset) {
            *mask = plain[i].writable;
            return true;
        }
    *mask = UINT32_MAX;
    for (size_t i = 0; i < G_N_ELEMENTS(memories); i++)
        if (offset >= memories[i].first && offset < memories[i].end)
            return true;
    return false;
}

void e1000_complain(E1000 *e1000, uint32_t mistake, const char *what)
{
    if (!(e1000->complained & mistake))
        g_debug("%s; this is not reported again", what);
    e1000->complained |= mistake;
}

static void complain_register(E1000 *e1000, uint32_t offset)
{
    g_autofree char *what = NULL;

    if (e1000->complained & MISTAKE_REGISTER)
        return;
    what = g_strdup_printf("there is no register at %05x", offset);
    e1000_complain(e1000, MISTAKE_REGISTER, what);
}

uint32_t e1000_read(E1000 *e1000, uint32_t offset)
{
    uint32_t mask;

    offset = resolve_alias(offset & (REG_SPACE - 4));
    switch (offset) {
    case CTRL:
    case STATUS:
    case EERD:
    case MDIC:
    case RCTL:
    case TCTL:
    case PBA:
    case RDT:
    case RDTR:
    case TDT:
    case WUS: return *e1000_reg(e1000, offset);
    case EECD: return e1000_read_eecd(e1000);
    case ICR: return e1000_read_icr(e1000);
    case IMS: return e1000->ims;
    case ICS: /* write only */
    case IMC:
    case RXCW: return 0;
    default: break;
    }
    if (offset >= STATISTICS && offset < STATISTICS_END)
        return e1000_read_statistic(e1000, offset);
    if (plain_mask(offset, &mask))
        return *e1000_reg(e1000, offset);
    complain_register(e1000, offset);
    return 0;
}

static void reset_all(E1000 *e1000)
{
    e1000_reset_registers(e1000);
    e1000_reset_interrupt(e1000);
    e1000_reset_tx(e1000);
    e1000->starved = false;
    e1000_update_link(e1000);
    /* The link the driver finds is no change to tell of. */
    e1000->icr = 0;
    e1000_update_interrupt(e1000);
}

static void write_ctrl(E1000 *e1000, uint32_t value)
{
    if (value & CTRL_RST) {
        reset_all(e1000);
        return;
    }
    *e1000_reg(e1000, CTRL) = value & ~(CTRL_RST | CTRL_PHY_RST);
    if (value & CTRL_PHY_RST)
        e1000_reset_phy(e1000);
    else
        e1000_update_link(e1000);
}

void e1000_write(E1000 *e1000, uint32_t offset, uint32_t value)
{
    uint32_t mask, *reg;

    offset = resolve_alias(offset & (REG_SPACE - 4));
    reg = e1000_reg(e1000, offset);
    switch (offset) {
    case CTRL: write_ctrl(e1000, value); return;
    case EECD: e1000_write_eecd(e1000, value); return;
    case EERD: *reg = e1000_eerd(e1000, value); return;
    case CTRL_EXT:
        if (value & CTRL_EXT_EE_RST)
            e1000_load_address(e1000);
        break;
    case MDIC: *reg = e1000_mdic(e1000, value); return;
    case PBA:
        /* The transmit half is what the receive half leaves of 64 KiB. */
        *reg = (value & 0x7f) | (0x40 - MIN(value & 0x7f, 0x40)) << 16;
        return;
    case ICR:
        e1000->icr &= ~value;
        e1000_update_interrupt(e1000);
        return;
    case ICS: e1000_raise(e1000, value & INT_ALL); return;
    case IMS:
        e1000->ims |= value & INT_ALL;
        e1000_update_interrupt(e1000);
        return;
    case IMC:
        e1000->ims &= ~value;
        e1000_update_interrupt(e1000);
        return;
    case RCTL:
        *reg = value & 0x07ffffff;
        net_backend_flush(e1000->netdev);
        return;
    case RDT:
        *reg = value & 0xffff;
        net_backend_flush(e1000->netdev);
        return;
    case RDTR:
        *reg = value & 0xffff;
        if (value & RDTR_FPD)
            e1000_flush_rx_delay(e1000);
        return;
    case TCTL:
        *reg = value & 0x03ffffff;
        e1000_transmit(e1000);
        return;
    case TDT:
        *reg = value & 0xffff;
        e1000_transmit(e1000);
        return;
    case WUS: *reg &= ~value; return;
    case STATUS: /* read only */
    case RXCW: return;
    default: break;
    }
    if (plain_mask(offset, &mask))
        *reg = (*reg & ~mask) | (value & mask);
    else if (offset < STATISTICS || offset >= STATISTICS_END) /* statistics are read only */
        complain_register(e1000, offset);
}

void e1000_reset_registers(E1000 *e1000)
{
    memset(e1000->regs, 0, sizeof e1000->regs);
    *e1000_reg(e1000, CTRL) = CTRL_FD | 2 << 8; /* gigabit, full duplex */
    *e1000_reg(e1000, PBA) = 0x00100030;
    *e1000_reg(e1000, TIPG) = 0x00602008;
    *e1000_reg(e1000, LEDCTL) = 0x07068302;
    *e1000_reg(e1000, RXDCTL) = 0x01010000;
    *e1000_reg(e1000, EERD) = 0;
    e1000_load_address(e1000);
}
