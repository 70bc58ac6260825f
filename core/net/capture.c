/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/net/capture.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>

/* File format: "PCAP Capture File Format", draft-ietf-opsawg-pcap, section 4. */
#define PCAP_MAGIC    0xa1b2c3d4u /* times in microseconds; this computer's byte order */
#define PCAP_MAJOR    2
#define PCAP_MINOR    4
#define PCAP_ETHERNET 1

#define BUFFER_SIZE   (256u << 10)
#define WRITE_MS      200 /* the longest a frame waits in the buffer */

typedef struct {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t zone, accuracy; /* both zero in practice */
    uint32_t max_length;
    uint32_t link_type;
} FileHeader;

typedef struct {
    uint32_t seconds, microseconds;
    uint32_t stored, length;
} FrameHeader;

typedef struct {
    NetTap tap;
    Board *board;
    char *path;
    FILE *file;
    GSource *writer; /* set while there is something in the buffer */
    uint32_t max_length;
    bool from_guest, to_guest;
    bool failed;
    uint64_t frames, bytes;
} Capture;

const OptionInfo capture_options[] = {
    {"id", OPTION_STRING, NULL, 0, 0, NULL, N_("name of the capture")},
    {"netdev", OPTION_REF, NULL, 0, 0, NULL, N_("id of the -netdev whose frames are written")},
    {"file", OPTION_STRING, NULL, 0, 0, NULL, N_("pcap file, made anew")},
    {"maxlen", OPTION_UINT, "65536", 1, UINT32_MAX, NULL, N_("bytes of a frame that are kept")},
    {"queue", OPTION_ENUM, "all", 0, 0, "all|rx|tx",
     N_("all frames, those from the guest (rx, as the network sees it) or those to it (tx)")},
    {.name = NULL},
};

/* A capture that cannot go on ends itself, not the machine. */
static void check_written(Capture *capture, bool written)
{
    if (written || capture->failed)
        return;
    g_autofree char *text = g_strdup_printf(_("The capture %s ends here: %s: %s."), capture->tap.id,
                                            capture->path, g_strerror(errno));
    capture->failed = true;
    if (capture->board->report_error)
        capture->board->report_error(capture->board, capture->tap.id, text);
}

static gboolean write_out(gpointer data)
{
    Capture *capture = data;

    board_lock(capture->board);
    g_clear_pointer(&capture->writer, g_source_unref);
    check_written(capture, fflush(capture->file) == 0);
    board_unlock(capture->board);
    return G_SOURCE_REMOVE;
}

static void frame_seen(NetTap *tap, bool from_guest, const uint8_t *frame, size_t length)
{
    Capture *capture = (Capture *)tap;
    int64_t now = g_get_real_time();
    FrameHeader header = {
        .seconds = (uint32_t)(now / G_USEC_PER_SEC),
        .microseconds = (uint32_t)(now % G_USEC_PER_SEC),
        .stored = (uint32_t)MIN(length, capture->max_length),
        .length = (uint32_t)length,
    };

    if (capture->failed || !(from_guest ? capture->from_guest : capture->to_guest))
        return;
    check_written(capture, fwrite(&header, sizeof header, 1, capture->file) == 1 &&
                               fwrite(frame, header.stored, 1, capture->file) == 1);
    if (capture->failed)
        return;
    capture->frames++;
    capture->bytes += length;
    if (capture->writer)
        return;
    capture->writer = g_timeout_source_new(WRITE_MS);
    g_source_set_callback(capture->writer, write_out, capture, NULL);
    g_source_attach(capture->writer, capture->board->context);
}

static void destroy(NetTap *tap)
{
    Capture *capture = (Capture *)tap;

    if (capture->writer) {
        g_source_destroy(capture->writer);
        g_source_unref(capture->writer);
    }
    check_written(capture, fclose(capture->file) == 0);
    g_free(capture->path);
    g_free(tap->id);
    g_free(capture);
}

static FILE *open_file(const char *path, uint32_t max_length, GError **error)
{
    const FileHeader header = {.magic = PCAP_MAGIC,
                               .major = PCAP_MAJOR,
                               .minor = PCAP_MINOR,
                               .max_length = max_length,
                               .link_type = PCAP_ETHERNET};
    FILE *file = fopen(path, "wbe");

    if (file && setvbuf(file, NULL, _IOFBF, BUFFER_SIZE) == 0 &&
        fwrite(&header, sizeof header, 1, file) == 1 && fflush(file) == 0)
        return file;
    int cause = errno;
    g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(cause),
                _("The capture file %s cannot be written: %s."), path, g_strerror(cause));
    if (file)
        fclose(file);
    return NULL;
}

bool capture_start(NetBackend *backend, const OptionValues *values, GError **error)
{
    const char *path = option_string(values, "file"), *queue = option_string(values, "queue");
    uint32_t max_length = (uint32_t)option_uint(values, "maxlen");
    FILE *file = open_file(path, max_length, error);

    if (!file)
        return false;
    Capture *capture = g_new0(Capture, 1);
    capture->tap = (NetTap){
        .frame = frame_seen, .destroy = destroy, .id = g_strdup(option_string(values, "id"))};
    capture->board = backend->board;
    capture->path = g_strdup(path);
    capture->file = file;
    capture->max_length = max_length;
    capture->from_guest = !g_str_equal(queue, "tx");
    capture->to_guest = !g_str_equal(queue, "rx");
    net_backend_add_tap(backend, &capture->tap);
    return true;
}

bool capture_describe(const NetTap *tap, CaptureInfo *info)
{
    const Capture *capture = (const Capture *)tap;

    if (tap->frame != frame_seen)
        return false;
    *info = (CaptureInfo){tap->id, capture->path, capture->frames, capture->bytes, capture->failed};
    return true;
}
