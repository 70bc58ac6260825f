/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* A board with one network, on which the test is the card. */

#include "core/net/net.h"
#include "tests/core/devices/storage-fixture.h"

typedef struct {
    Storage storage;
    NetBackend *net;
    GPtrArray *got; /* GBytes*, frames for the guest */
    bool full;      /* the card has no room */
} Lan;

static const uint8_t lan_address[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

static inline bool lan_receive(void *opaque, const uint8_t *frame, size_t length)
{
    Lan *lan = opaque;

    if (lan->full)
        return false;
    g_ptr_array_add(lan->got, g_bytes_new(frame, length));
    return true;
}

static inline void lan_link(void *opaque, bool up)
{
}

static const NetCardOps lan_ops = {.receive = lan_receive, .link_changed = lan_link};

static inline NetBackend *lan_network(Board *board, const NetBackendClass *backend_class,
                                      const char *text, GError **error)
{
    OptionValues *values = option_values_new(backend_class->options);
    NetBackend *net = NULL;

    if (option_values_parse(values, text, NULL, error))
        net = net_backend_new(board, backend_class, "net0", values, error);
    option_values_free(values);
    return net;
}

static inline void lan_init(Lan *lan, const NetBackendClass *backend_class, const char *text)
{
    GError *error = NULL;

    memset(lan, 0, sizeof *lan);
    storage_init(&lan->storage);
    lan->net = lan_network(&lan->storage.board, backend_class, text, &error);
    g_assert_no_error(error);
    lan->got = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g_assert_true(net_backend_attach(lan->net, &lan_ops, lan, "test", NULL, lan_address, NULL));
    g_assert_false(net_backend_attach(lan->net, &lan_ops, lan, "test", NULL, lan_address, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
}

static inline void lan_destroy(Lan *lan)
{
    net_backend_free(lan->net);
    g_ptr_array_unref(lan->got);
    storage_destroy(&lan->storage);
}

/* Runs the board until a frame for which TEST is true; NULL after a second. */
static inline const uint8_t *wait_frame(Lan *lan, bool (*test)(const uint8_t *frame, size_t length),
                                        size_t *length)
{
    gint64 end = g_get_monotonic_time() + G_TIME_SPAN_SECOND;
    guint seen = 0;

    while (g_get_monotonic_time() < end) {
        for (; seen < lan->got->len; seen++) {
            const uint8_t *frame = g_bytes_get_data(lan->got->pdata[seen], length);
            if (test(frame, *length))
                return frame;
        }
        if (!g_main_context_iteration(lan->storage.board.context, FALSE))
            g_usleep(100);
        clock_advance(lan->storage.board.clock, 1000000);
    }
    return NULL;
}
