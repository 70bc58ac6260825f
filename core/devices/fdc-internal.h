/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* What the floppy controller's files share: fdc.c (registers, interrupts, resets, command and
 * result phases), fdc-commands.c (the commands), fdc-drive.c (drives and media). */

#include "core/devices/fdc.h"

/* Digital output register */
enum {
    DOR_DRIVE = 0x03,
    DOR_NRESET = 0x04,
    DOR_DMA_GATE = 0x08, /* lets IRQ and DRQ out */
    DOR_MOTOR_0 = 0x10,
};

/* Status register 0 */
enum {
    ST0_HEAD = 0x04,
    ST0_EQUIPMENT_CHECK = 0x10,
    ST0_SEEK_END = 0x20,
    ST0_ABNORMAL = 0x40,
    ST0_INVALID = 0x80,
    ST0_READY_CHANGED = 0xc0,
};

/* Status register 1 */
enum {
    ST1_MISSING_ADDRESS_MARK = 0x01,
    ST1_NOT_WRITABLE = 0x02,
    ST1_NO_DATA = 0x04,
    ST1_DATA_ERROR = 0x20,
    ST1_END_OF_CYLINDER = 0x80,
};

/* Status register 2 */
enum {
    ST2_WRONG_CYLINDER = 0x10,
    ST2_DATA_ERROR = 0x20,
    ST2_CONTROL_MARK = 0x40,
};

/* CONFIGURE, second byte */
enum {
    CONFIG_THRESHOLD = 0x0f,
    CONFIG_POLL_DISABLE = 0x10,
    CONFIG_FIFO_DISABLE = 0x20,
    CONFIG_IMPLIED_SEEK = 0x40,
};

enum {
    FLOPPY_SECTOR = 512,
    FLOPPY_MAX_SECTORS = 36, /* of a track */
    FLOPPY_LAST_TRACK = 84,  /* where a drive's head stops */
    FDC_BUFFER_SIZE = 64 * FLOPPY_SECTOR,
};

typedef struct {
    uint32_t kilobytes;
    uint8_t tracks, heads, sectors;
    uint8_t rates; /* a bit for each data rate code the medium can be read with */
} FloppyGeometry;

typedef struct {
    bool present;
    FloppyDriveType type;
    BlockImage *image;
    FloppyGeometry geometry;
    uint8_t track;   /* where the head is */
    bool changed;    /* the disk change latch */
    uint8_t passing; /* the sector that READ ID last saw */
    bool error_reported;
} FloppyDrive;

/* A READ, WRITE, VERIFY or READ TRACK in execution */
typedef struct {
    uint8_t unit, side;             /* where the heads are */
    uint8_t cylinder, head, sector; /* the id looked for */
    uint8_t end;                    /* EOT */
    unsigned run;                   /* sectors of this side in the buffer */
    unsigned left;                  /* of counted sectors */
    bool multi_track, write, verify, counted, whole_track;
    bool deleted;        /* looking for deleted data, of which there is none */
    bool no_data;        /* READ TRACK met another id than it looked for */
    bool terminal_count; /* came while the run was gathered */
} FloppyTransfer;

typedef enum { PHASE_COMMAND, PHASE_EXECUTION, PHASE_RESULT } FdcPhase;

typedef void (*FdcDataDone)(Fdc *fdc, bool terminal_count);
typedef void (*FdcIoDone)(Fdc *fdc, int error);

struct Fdc {
    Board *board;
    const FdcEvents *events;
    void *events_opaque;
    FloppyDrive drives[2];

    /* Registers */
    uint8_t dor, tdr, rate;
    bool irq_level, interrupt;

    /* Settings */
    uint8_t specify[2]; /* SRT/HUT, HLT/ND */
    uint8_t config, precompensation_start, perpendicular;
    bool lock;

    /* Seeks */
    uint8_t cylinder[4];     /* PCN */
    bool sense_pending[4];   /* a SENSE INTERRUPT STATUS is due */
    uint8_t sense_status[4]; /* its ST0 */

    /* Command and result bytes */
    FdcPhase phase;
    uint8_t command[16], result[16];
    unsigned command_length, command_position, result_length, result_position;

    /* Execution: data */
    uint8_t *buffer; /* FDC_BUFFER_SIZE */
    size_t data_position, data_end;
    bool data_to_host;
    FdcDataDone data_done; /* NULL: no data wanted */
    unsigned burst;        /* non-DMA: bytes until the next interrupt */
    FloppyTransfer transfer;

    /* Host I/O */
    bool running, resetting;
    FdcIoDone io_done;
    unsigned io_unit;
    struct iovec iov;
};

/* fdc.c */
void fdc_interrupt(Fdc *fdc);
void fdc_clear_interrupt(Fdc *fdc);
/* Enters the result phase with LENGTH bytes of fdc->result. */
void fdc_result(Fdc *fdc, unsigned length, bool interrupt);
/* Moves LENGTH bytes of the buffer by DMA or through the FIFO; DONE runs at the end or at TC. */
void fdc_move_data(Fdc *fdc, bool to_host, size_t length, FdcDataDone done);
void fdc_io_finished(void *opaque, int error);

/* fdc-commands.c */
unsigned fdc_command_length(uint8_t command);
void fdc_execute(Fdc *fdc);
void fdc_default_settings(Fdc *fdc, bool hard);

/* fdc-drive.c */
FloppyDrive *fdc_drive(Fdc *fdc, unsigned unit); /* NULL: not there */
bool fdc_motor_on(const Fdc *fdc, unsigned unit);
/* A disk turns under the head and can be read at the current data rate. */
bool fdc_readable(Fdc *fdc, unsigned unit);
void fdc_move_head(Fdc *fdc, unsigned unit, int steps);
unsigned fdc_track(const FloppyDrive *drive); /* of the medium, under the head */
uint64_t fdc_offset(const FloppyDrive *drive, unsigned track, unsigned head, unsigned sector);
/* Reads or writes LENGTH bytes of the buffer at byte OFFSET of UNIT's image. What a short image
 * lacks reads as zeroes. */
void fdc_submit(Fdc *fdc, unsigned unit, bool write, uint64_t offset, size_t length,
                FdcIoDone done);
void fdc_report_io_error(Fdc *fdc, unsigned unit, const char *what, int error);
void fdc_set_image(Fdc *fdc, unsigned unit, BlockImage *image);
