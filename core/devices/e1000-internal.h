/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * What the parts of the e1000 share. "SDM" is Intel's PCI/PCI-X Family of Gigabit Ethernet
 * Controllers Software Developer's Manual (317453), for the 82540EM; registers are of its
 * chapter 13.
 */

#include "core/chipset/pci.h"
#include "core/net/net.h"

#define REG_SPACE 0x20000u /* bytes of BAR0 */

enum {
    CTRL = 0x0000,
    CTRL_FD = 1u << 0,
    CTRL_SLU = 1u << 6,
    CTRL_RST = 1u << 26,
    CTRL_VME = 1u << 30,
    CTRL_PHY_RST = 1u << 31,
    STATUS = 0x0008,
    STATUS_FD = 1u << 0,
    STATUS_LU = 1u << 1,
    STATUS_SPEED_1000 = 2u << 6,
    STATUS_ASDV_1000 = 2u << 8,
    EECD = 0x0010,
    EERD = 0x0014,
    CTRL_EXT = 0x0018,
    CTRL_EXT_EE_RST = 1u << 13,
    FLA = 0x001c,
    MDIC = 0x0020,
    FCAL = 0x0028,
    FCAH = 0x002c,
    FCT = 0x0030,
    VET = 0x0038,
    ICR = 0x00c0,
    ITR = 0x00c4,
    ICS = 0x00c8,
    IMS = 0x00d0,
    IMC = 0x00d8,
    INT_TXDW = 1u << 0,
    INT_TXQE = 1u << 1,
    INT_LSC = 1u << 2,
    INT_RXDMT0 = 1u << 4,
    INT_RXO = 1u << 6,
    INT_RXT0 = 1u << 7,
    INT_MDAC = 1u << 9,
    INT_TXD_LOW = 1u << 15,
    INT_SRPD = 1u << 16,
    INT_ALL = 0x1f6df,
    RCTL = 0x0100,
    RCTL_EN = 1u << 1,
    RCTL_UPE = 1u << 3,
    RCTL_MPE = 1u << 4,
    RCTL_LPE = 1u << 5,
    RCTL_LBM = 3u << 6,
    RCTL_RDMTS_SHIFT = 8,
    RCTL_MO_SHIFT = 12,
    RCTL_BAM = 1u << 15,
    RCTL_BSIZE_SHIFT = 16,
    RCTL_VFE = 1u << 18,
    RCTL_CFIEN = 1u << 19,
    RCTL_CFI = 1u << 20,
    RCTL_DPF = 1u << 22,
    RCTL_PMCF = 1u << 23,
    RCTL_BSEX = 1u << 25,
    RCTL_SECRC = 1u << 26,
    FCTTV = 0x0170,
    TXCW = 0x0178,
    RXCW = 0x0180,
    TCTL = 0x0400,
    TCTL_EN = 1u << 1,
    TCTL_PSP = 1u << 3,
    TIPG = 0x0410,
    AIT = 0x0458,
    LEDCTL = 0x0e00,
    PBA = 0x1000,
    FCRTL = 0x2160,
    FCRTH = 0x2168,
    RDFH = 0x2410,
    RDFPC = 0x2430,
    RDBAL = 0x2800,
    RDBAH = 0x2804,
    RDLEN = 0x2808,
    RDH = 0x2810,
    RDT = 0x2818,
    RDTR = 0x2820,
    RDTR_FPD = 1u << 31,
    RXDCTL = 0x2828,
    RADV = 0x282c,
    RSRPD = 0x2c00,
    TXDMAC = 0x3000,
    TDFH = 0x3410,
    TDFPC = 0x3430,
    TDBAL = 0x3800,
    TDBAH = 0x3804,
    TDLEN = 0x3808,
    TDH = 0x3810,
    TDT = 0x3818,
    TIDV = 0x3820,
    TXDCTL = 0x3828,
    TADV = 0x382c,
    TSPMT = 0x3830,
    /* Statistics; 64-bit ones have their upper half in the next register. */
    STATISTICS = 0x4000,
    MPC = 0x4010,
    PRC64 = 0x405c,
    GPRC = 0x4074,
    BPRC = 0x4078,
    MPRC = 0x407c,
    GPTC = 0x4080,
    GORCL = 0x4088,
    GOTCL = 0x4090,
    RNBC = 0x40a0,
    RUC = 0x40a4,
    ROC = 0x40ac,
    TORL = 0x40c0,
    TOTL = 0x40c8,
    TPR = 0x40d0,
    TPT = 0x40d4,
    PTC64 = 0x40d8,
    MPTC = 0x40f0,
    BPTC = 0x40f4,
    TSCTC = 0x40f8,
    TSCTFC = 0x40fc,
    STATISTICS_END = 0x4100,
    RXCSUM = 0x5000,
    RXCSUM_IPOFL = 1u << 8,
    RXCSUM_TUOFL = 1u << 9,
    MTA = 0x5200,
    MTA_END = 0x5400,
    RAL0 = 0x5400,
    RAH0 = 0x5404,
    RAH_AS_SHIFT = 16,
    RAH_AV = 1u << 31,
    RA_END = 0x5480,
    VFTA = 0x5600,
    VFTA_END = 0x5800,
    WUC = 0x5800,
    WUFC = 0x5808,
    WUS = 0x5810,
    MANC = 0x5820,
    IPAV = 0x5838,
    IP4AT = 0x5840,
    IP4AT_END = 0x5860,
    IP6AT = 0x5880,
    IP6AT_END = 0x5890,
    WUPL = 0x5900,
    WUPM = 0x5a00,
    WUPM_END = 0x5a80,
    FFLT = 0x5f00,
    FFLT_END = 0x5f20,
    FFMT = 0x9000,
    FFMT_END = 0x9400,
    FFVT = 0x9800,
    FFVT_END = 0x9c00,
    PBM = 0x10000,
    PBM_END = 0x20000,
};

/* Received lengths, SDM 13.4.35; without FCS here. */
enum {
    MAX_STANDARD_FRAME = 1518,
    MAX_TAGGED_FRAME = 1522,
    MAX_LONG_FRAME = 16384,
    FCS_SIZE = 4,
};

#define EEPROM_WORDS        64
#define DESCRIPTOR_SIZE     16
#define E1000_VLAN_TAG_SIZE 4

/* The serial EEPROM on its four wires (SDM 5.3, 13.4.3). */
typedef struct {
    uint16_t words[EEPROM_WORDS];
    bool selected, clock, output, write_enabled;
    bool started;       /* the start bit has come */
    unsigned bits;      /* that have come since */
    uint32_t shifted;   /* those bits */
    uint32_t outgoing;  /* data of a READ, next bit in bit 15 */
    unsigned remaining; /* bits of it */
    unsigned address;
    bool reading;
} Eeprom;

/* A context descriptor (SDM 3.3.6). */
typedef struct {
    uint8_t ipcss, ipcso, tucss, tucso;
    uint16_t ipcse, tucse;
    uint32_t payload_length;
    uint8_t header_length;
    uint16_t mss;
    bool tcp, ip;
} TxContext;

/* The frame being put together from descriptors. */
typedef struct {
    TxContext checksum, segmentation; /* the two contexts the part keeps */
    uint8_t *frame;                   /* NET_MAX_FRAME bytes and room for a tag before and after */
    size_t length;
    bool open;             /* a frame is being put together; what follows was set by its first
                              descriptor */
    bool data_descriptors; /* extended ones */
    bool segmenting;
    uint8_t popts;
    bool too_long;     /* dropped at its end */
    uint16_t vlan_tag; /* of the last descriptor */
    bool insert_vlan, insert_fcs;
    bool insert_checksum; /* legacy: at cso, from css */
    uint8_t cso, css;
    uint32_t fetched;     /* bytes already taken of the descriptor at TDH */
    size_t segment_limit; /* payload bytes a segment sent takes */
    uint32_t segments, payload_sent;
    int64_t run_end; /* host's monotonic us: then others have the board */
} TxState;

typedef struct {
    PciDevice pci;
    NetBackend *netdev; /* NULL: no cable */
    uint8_t address[NET_ADDRESS_SIZE];
    MemoryRegion *mmio;
    uint32_t regs[REG_SPACE / 4]; /* by offset */
    uint32_t io_address;          /* IOADDR of the I/O BAR */
    bool link_up;                 /* the cable */

    uint32_t icr, ims;
    bool line;              /* the INTA pin */
    int64_t throttle_until; /* no new interrupt before, ns */
    ClockTimer *throttle_timer;
    ClockTimer *rx_timer, *tx_timer;  /* RDTR/RADV and TIDV/TADV */
    int64_t rx_deadline, tx_deadline; /* packet timers; 0: not waiting */
    int64_t rx_absolute, tx_absolute; /* the absolute timers' ends */

    TxState tx;
    ClockTimer *tx_continue_timer; /* what one access may not do goes on there */
    bool transmitting, receiving;

    Eeprom eeprom;
    uint16_t phy[32];
    bool starved;        /* RNBC was counted for what waits */
    uint32_t complained; /* kinds of guest mistakes already reported */
} E1000;

enum {
    MISTAKE_REGISTER = 1 << 0,
    MISTAKE_TX_RING = 1 << 1,
    MISTAKE_RX_RING = 1 << 2,
    MISTAKE_TX_LENGTH = 1 << 3,
    MISTAKE_TX_OFFLOAD = 1 << 4,
    MISTAKE_DMA = 1 << 5,
};

/* Says once a machine what the guest did wrong. */
void e1000_complain(E1000 *e1000, uint32_t mistake, const char *what);

static inline uint32_t *e1000_reg(E1000 *e1000, uint32_t offset)
{
    return &e1000->regs[offset / 4];
}

/* e1000-registers.c */
uint32_t e1000_read(E1000 *e1000, uint32_t offset);
void e1000_write(E1000 *e1000, uint32_t offset, uint32_t value);
void e1000_reset_registers(E1000 *e1000);

/* e1000-interrupt.c */
void e1000_raise(E1000 *e1000, uint32_t causes);
void e1000_update_interrupt(E1000 *e1000);
uint32_t e1000_read_icr(E1000 *e1000);
void e1000_received(E1000 *e1000, size_t length);  /* RXT0, now or delayed */
void e1000_written_back(E1000 *e1000, bool delay); /* TXDW, now or delayed */
void e1000_flush_rx_delay(E1000 *e1000);
void e1000_init_interrupt(E1000 *e1000);
void e1000_reset_interrupt(E1000 *e1000);
void e1000_destroy_interrupt(E1000 *e1000);

/* e1000-phy.c, e1000-eeprom.c */
uint32_t e1000_mdic(E1000 *e1000, uint32_t command);
void e1000_reset_phy(E1000 *e1000);
void e1000_update_link(E1000 *e1000); /* after link_up or CTRL changed; LSC when STATUS.LU did */
bool e1000_phy_loopback(const E1000 *e1000);
void e1000_fill_eeprom(E1000 *e1000);
uint32_t e1000_read_eecd(const E1000 *e1000);
void e1000_write_eecd(E1000 *e1000, uint32_t value);
uint32_t e1000_eerd(const E1000 *e1000, uint32_t command);
void e1000_load_address(E1000 *e1000); /* RAL0 and RAH0 from the EEPROM */

/* e1000-rx.c */
bool e1000_receive(void *opaque, const uint8_t *frame, size_t length);
void e1000_overrun(void *opaque);

/* e1000-tx.c */
void e1000_transmit(E1000 *e1000);
void e1000_init_tx(E1000 *e1000);
void e1000_reset_tx(E1000 *e1000);
void e1000_destroy_tx(E1000 *e1000);

/* e1000-statistics.c */
void e1000_count(E1000 *e1000, uint32_t reg);
void e1000_count_octets(E1000 *e1000, uint32_t low, size_t octets);
void e1000_count_received(E1000 *e1000, const uint8_t *frame, size_t length);
void e1000_count_sent(E1000 *e1000, const uint8_t *frame, size_t length);
uint32_t e1000_read_statistic(E1000 *e1000, uint32_t offset);
