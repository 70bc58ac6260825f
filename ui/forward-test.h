/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Tries a port forward out, from the host's side, without waiting on the UI thread. */

#include "core/net/forward.h"
#include "ui/vm.h"

typedef enum {
    FORWARD_TEST_CONNECTED,
    FORWARD_TEST_REFUSED,   /* the guest has nothing on that port */
    FORWARD_TEST_NO_ANSWER, /* the guest does not answer at all */
    FORWARD_TEST_BUSY,      /* another program has the host port */
    FORWARD_TEST_READY,     /* the host port is free; the forward opens with the machine */
    FORWARD_TEST_OPEN,      /* UDP: open, and more cannot be known */
    FORWARD_TEST_FAILED,    /* the host refused; ERROR says why */
} ForwardTestResult;

/* RULE of network ID; VM NULL: only whether the host port is free. */
void forward_test_start(ApiaryVm *vm, const char *id, const char *rule, GCancellable *cancellable,
                        GAsyncReadyCallback done, void *opaque);
/* False with ERROR when it was cancelled or the host refused. */
bool forward_test_finish(GAsyncResult *result, ForwardTestResult *outcome, GError **error);
/* A translated sentence. */
const char *forward_test_text(ForwardTestResult result);
