/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The PHY in the 82540EM behind MDIC (SDM 13.4.7): IEEE 802.3 clause 22 registers
 * and the part's own from 16 up. Its link partner is a gigabit switch. */

#include "core/devices/e1000-internal.h"

#define PHY_ADDRESS 1

/* MDIC */
enum {
    MDIC_REG_SHIFT = 16,
    MDIC_PHY_SHIFT = 21,
    MDIC_OP_WRITE = 1u << 26,
    MDIC_OP_READ = 2u << 26,
    MDIC_OP = 3u << 26,
    MDIC_READY = 1u << 28,
    MDIC_INTERRUPT = 1u << 29,
    MDIC_ERROR = 1u << 30,
};

enum {
    PCTRL = 0,
    PCTRL_RESTART = 1 << 9,
    PCTRL_POWER_DOWN = 1 << 11,
    PCTRL_LOOPBACK = 1 << 14,
    PCTRL_RESET = 1 << 15,
    PSTATUS = 1,
    PSTATUS_LINK = 1 << 2,
    PSTATUS_COMPLETE = 1 << 5,
    PHY_ID1 = 2,
    PHY_ID2 = 3,
    ANA = 4,
    LPA = 5,
    ANE = 6,
    ANNPT = 7,
    GCON = 9,
    GSTATUS = 10,
    ESTATUS = 15,
    PSCON = 16,
    PSSTAT = 17,
    PSSTAT_LINK = 1 << 10,
    PSSTAT_RESOLVED = 1 << 11,
    PSSTAT_FULL_DUPLEX = 1 << 13,
    PSSTAT_1000 = 2 << 14,
    PINTE = 18,
    PINTS = 19,
    EPSCON1 = 20,
    PREC = 21,
    EPSCON2 = 26,
    PAGE_SELECT = 29,
    PAGE_DATA = 30,
};

/* After a reset; the status registers follow the link. */
static const uint16_t phy_defaults[32] = {
    [PCTRL] = 0x1140,   /* gigabit, full duplex, negotiates */
    [PSTATUS] = 0x7949, /* all of 10 and 100 Mbit/s, extended status and capabilities */
    [PHY_ID1] = 0x0141, [PHY_ID2] = 0x0c20, [ANA] = 0x0de1, /* 10 and 100 Mbit/s, pause */
    [ANNPT] = 0x2001,   [GCON] = 0x0300,                    /* advertise 1000BASE-T */
    [ESTATUS] = 0x3000,                                     /* can do 1000BASE-T */
    [PSCON] = 0x0360,   [EPSCON1] = 0x0d60, [EPSCON2] = 0x000a,
};

/* Bits the guest may change. */
static const uint16_t phy_writable[32] = {
    [PCTRL] = 0x7dc0, [ANA] = 0xbfff,   [ANNPT] = 0xbfff,       [GCON] = 0xff00,
    [PSCON] = 0xffff, [PINTE] = 0xffff, [EPSCON1] = 0xffff,     [22] = 0xffff,
    [23] = 0xffff,    [24] = 0xffff,    [25] = 0xffff,          [EPSCON2] = 0xffff,
    [27] = 0xffff,    [28] = 0xffff,    [PAGE_SELECT] = 0xffff, [PAGE_DATA] = 0xffff,
    [31] = 0xffff,
};

static bool phy_link(const E1000 *e1000)
{
    return (e1000->link_up || e1000_phy_loopback(e1000)) && !(e1000->phy[PCTRL] & PCTRL_POWER_DOWN);
}

bool e1000_phy_loopback(const E1000 *e1000)
{
    return e1000->phy[PCTRL] & PCTRL_LOOPBACK;
}

static void update_phy_status(E1000 *e1000)
{
    uint16_t *phy = e1000->phy;

    phy[PSTATUS] &= ~(PSTATUS_LINK | PSTATUS_COMPLETE);
    phy[PSSTAT] = 0;
    phy[LPA] = phy[ANE] = phy[GSTATUS] = 0;
    if (!phy_link(e1000))
        return;
    phy[PSTATUS] |= PSTATUS_LINK | PSTATUS_COMPLETE;
    phy[LPA] = 0x45e1;     /* 10 and 100 Mbit/s, pause, acknowledged */
    phy[ANE] = 0x0001;     /* the partner negotiates */
    phy[GSTATUS] = 0x3c00; /* both receivers good, the partner can do 1000BASE-T */
    phy[PSSTAT] = PSSTAT_1000 | PSSTAT_FULL_DUPLEX | PSSTAT_RESOLVED | PSSTAT_LINK;
}

/* STATUS.LU is the PHY's link once the driver has set CTRL.SLU (SDM 13.4.2). */
void e1000_update_link(E1000 *e1000)
{
    uint32_t *status = e1000_reg(e1000, STATUS), old = *status;
    bool up = phy_link(e1000) && (*e1000_reg(e1000, CTRL) & CTRL_SLU);

    update_phy_status(e1000);
    *status = STATUS_SPEED_1000 | STATUS_ASDV_1000 | (up ? STATUS_LU : 0) |
              (*e1000_reg(e1000, CTRL) & CTRL_FD ? STATUS_FD : 0);
    if ((old ^ *status) & STATUS_LU)
        e1000_raise(e1000, INT_LSC);
}

void e1000_reset_phy(E1000 *e1000)
{
    memcpy(e1000->phy, phy_defaults, sizeof e1000->phy);
    e1000_update_link(e1000);
}

static void write_phy(E1000 *e1000, unsigned reg, uint16_t value)
{
    if (reg == PCTRL && (value & PCTRL_RESET)) {
        e1000_reset_phy(e1000);
        return;
    }
    e1000->phy[reg] = (e1000->phy[reg] & ~phy_writable[reg]) | (value & phy_writable[reg]);
    if (reg != PCTRL)
        return;
    e1000_update_link(e1000);
    /* Negotiating again takes the link down for a moment; that it came back is what is told. */
    if ((value & PCTRL_RESTART) && (*e1000_reg(e1000, STATUS) & STATUS_LU))
        e1000_raise(e1000, INT_LSC);
}

uint32_t e1000_mdic(E1000 *e1000, uint32_t command)
{
    unsigned reg = command >> MDIC_REG_SHIFT & 31, phy = command >> MDIC_PHY_SHIFT & 31;
    uint32_t result = command & ~(MDIC_ERROR | MDIC_READY);

    if (phy != PHY_ADDRESS) {
        result |= MDIC_ERROR;
    } else if ((command & MDIC_OP) == MDIC_OP_WRITE) {
        write_phy(e1000, reg, (uint16_t)command);
    } else if ((command & MDIC_OP) == MDIC_OP_READ) {
        result = (result & ~0xffffu) | e1000->phy[reg];
        if (reg == PINTS)
            e1000->phy[PINTS] = 0;
    } else {
        result |= MDIC_ERROR;
    }
    result |= MDIC_READY;
    if (command & MDIC_INTERRUPT)
        e1000_raise(e1000, INT_MDAC);
    return result;
}
