/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * What the files of the IDE room share: the channel (ide.c), the disk's commands (ata*.c), the
 * CD/DVD drive's (atapi*.c) and the PCI function with the bus master (piix-ide.c).
 *
 * References: ATA/ATAPI-6 (T13/1410D), MMC-5, SFF-8020i, "Programming Interface for Bus Master IDE
 * Controller" rev 1.0, Intel 82371SB data sheet.
 */

#include "core/chipset/pci.h"
#include "core/devices/ide.h"

/* Status register */
enum {
    STATUS_ERR = 0x01,
    STATUS_CHK = 0x01, /* the same bit for packet commands */
    STATUS_DRQ = 0x08,
    STATUS_DSC = 0x10,
    STATUS_DF = 0x20,
    STATUS_DRDY = 0x40,
    STATUS_BSY = 0x80,
};

/* Error register */
enum {
    ERROR_ABRT = 0x04,
    ERROR_IDNF = 0x10,
    ERROR_UNC = 0x40,
};

/* Device register */
enum {
    DEVICE_HEAD = 0x0f,
    DEVICE_DEV = 0x10,
    DEVICE_LBA = 0x40,
};

/* Device Control register */
enum {
    CONTROL_NIEN = 0x02,
    CONTROL_SRST = 0x04,
    CONTROL_HOB = 0x80,
};

#define IDE_BUFFER_SIZE (128u * 1024)
#define IDE_MAX_IOV     (IDE_BUFFER_SIZE / 2048)

typedef struct IdeChannel IdeChannel;
typedef struct IdeDrive IdeDrive;
typedef struct Atapi Atapi;
typedef void (*IdePhaseDone)(IdeDrive *drive);
typedef void (*IdeIoDone)(IdeDrive *drive, int error);

typedef enum { IDE_NONE, IDE_DISK, IDE_CD } IdeKind;

/* The registers that exist twice for 48-bit addresses. */
typedef struct {
    uint8_t features, count, lba_low, lba_mid, lba_high;
} TaskFile;

/* A disk command that moves sectors. */
typedef struct {
    uint64_t lba;
    uint32_t remaining; /* sectors, those in the buffer included */
    uint32_t buffered;  /* sectors of the current host request */
    uint32_t limit;     /* most sectors a host request may have */
    uint32_t block;     /* sectors per DRQ block */
    bool started, write, dma, verify, fua, ext;
} AtaTransfer;

typedef struct {
    AtaTransfer transfer;
    uint64_t sectors;
    uint16_t cylinders, heads, sectors_per_track; /* default translation */
    uint16_t current_heads, current_sectors;      /* INITIALIZE DEVICE PARAMETERS */
    uint8_t multiple;                             /* 0: READ/WRITE MULTIPLE disabled */
    bool write_cache, look_ahead, smart, smart_autosave, standby, sleeping;
    uint8_t sector_buffer[512];       /* READ BUFFER, WRITE BUFFER */
    unsigned trim_position, trim_end; /* bytes of the range list in the buffer */
    uint32_t power_cycles;
} Ata;

struct IdeDrive {
    IdeChannel *channel;
    int unit;
    IdeKind kind;
    Board *board;

    /* Registers */
    TaskFile task, previous; /* previous: what HOB shows */
    uint8_t device, status, error;
    bool interrupt;        /* INTRQ wanted */
    uint8_t transfer_mode; /* SET FEATURES 03h */
    bool revert_defaults;  /* SET FEATURES CCh: a soft reset restores power-on settings */

    /* Reset: BSY until SRST is low and host I/O has ended */
    bool reset_held, resetting;

    /* Data */
    uint8_t *buffer; /* IDE_BUFFER_SIZE */
    size_t pio_position, pio_end;
    bool pio_to_host;
    IdePhaseDone pio_done; /* NULL: no PIO phase */
    size_t dma_position, dma_end;
    bool dma_to_memory;
    IdePhaseDone dma_done; /* NULL: DMARQ not asserted */

    /* Host */
    BlockImage *image; /* owned; NULL: no medium */
    bool running;      /* a request is; at most one at a time */
    IdeIoDone io_done;
    struct iovec iov[IDE_MAX_IOV];
    bool error_reported; /* one message per run of failures */
    char serial[21];

    Ata ata;
    Atapi *atapi;
};

typedef struct {
    uint8_t command, status;
    uint32_t table;     /* BMIDTP */
    uint32_t next;      /* address of the next descriptor */
    uint32_t address;   /* of the current region */
    uint32_t remaining; /* bytes of the current region */
    bool last;          /* the current region is the table's last */
} BusMaster;

struct IdeChannel {
    PiixIde *ide;
    Board *board;
    int number;
    uint16_t command_base, control_base;
    IdeDrive drives[2];
    IdeDrive *selected;
    uint8_t control;
    bool irq_level;
    bool decoded; /* legacy ports registered */
    BusMaster bus_master;
};

struct PiixIde {
    PciDevice pci;
    IdeChannel channels[2];
    const IdeEvents *events;
    void *events_opaque;
};

/* ide.c: the channel */
void ide_channel_init(IdeChannel *channel, PiixIde *ide, int number);
void ide_channel_destroy(IdeChannel *channel);
void ide_channel_hard_reset(IdeChannel *channel);
void ide_channel_decode(IdeChannel *channel, bool enabled);
void ide_update_irq(IdeChannel *channel);
void ide_set_signature(IdeDrive *drive);
/* Ends the command: not busy, ERROR in the error register (0: success), interrupt. */
void ide_command_done(IdeDrive *drive, uint8_t error);
/* The host is to move buffer bytes [POSITION, POSITION + LENGTH) through the data register; DONE
 * runs when it has. LENGTH > 0. */
void ide_pio_start(IdeDrive *drive, bool to_host, size_t position, size_t length, bool interrupt,
                   IdePhaseDone done);
/* Asserts DMARQ for the first LENGTH bytes of the buffer. */
void ide_dma_start(IdeDrive *drive, bool to_memory, size_t length, IdePhaseDone done);
/* Starts host I/O on the drive's medium at byte OFFSET. Reads beyond the end of an image whose size
 * is no whole sector deliver zeroes there. DONE is not called when a reset intervened. */
void ide_submit(IdeDrive *drive, BlockOp op, uint64_t offset, const struct iovec *iov, int n_iov,
                uint64_t length, IdeIoDone done);
void ide_report_io_error(IdeDrive *drive, const char *what, uint64_t offset, int error);
/* Closes the drive's image and takes IMAGE (may be NULL) instead. */
void ide_set_image(IdeDrive *drive, BlockImage *image);
void ide_medium_changed(IdeDrive *drive);
void ide_tray_moved(IdeDrive *drive, bool open);
/* SET FEATURES 03h. False: not a mode we have. */
bool ide_set_transfer_mode(IdeDrive *drive, uint8_t mode);
void ide_put_string(uint16_t *words, const char *text, size_t length);
/* Words 49-53, 62-68, 88 and 93, which disks and packet drives share. */
void ide_identify_modes(const IdeDrive *drive, uint16_t *words);
void ide_identify_finish(const uint16_t *words, uint8_t *out);

/* ata.c, ata-identify.c: the disk */
void ata_power_on(IdeDrive *drive);
void ata_soft_reset(IdeDrive *drive);
void ata_command(IdeDrive *drive, uint8_t command);
void ata_identify(IdeDrive *drive, uint8_t *out);
void ata_smart(IdeDrive *drive);
/* DRQ data-in of LENGTH prepared bytes, then the end of the command. */
void ata_reply(IdeDrive *drive, size_t length);

/* atapi.c: the packet device */
void atapi_init(IdeDrive *drive);
void atapi_free(IdeDrive *drive);
void atapi_power_on(IdeDrive *drive);
void atapi_abandon(IdeDrive *drive); /* a reset interrupts the running command */
void atapi_command(IdeDrive *drive, uint8_t command);

/* piix-ide.c: the bus master */
void bus_master_run(IdeChannel *channel);
