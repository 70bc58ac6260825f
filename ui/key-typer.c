/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/key-typer.h"

#include "core/machine/keynames.h"
#include "ui/keys.h"

#include <linux/input-event-codes.h>

/* One key with Shift is at most 4 scan code bytes down and up; the controller's keyboard buffer
 * takes 16. */
#define PACE_MS 25

typedef struct {
    unsigned code;
    bool shift;
} Stroke;

struct ApiaryKeyTyper {
    ApiaryVm *vm; /* not owned: the window's */
    ApiaryKeyTyperProgress progress;
    void *opaque;
    GArray *strokes;
    guint done;
    guint timer;
};

ApiaryKeyTyper *apiary_key_typer_new(ApiaryVm *vm, ApiaryKeyTyperProgress progress, void *opaque)
{
    ApiaryKeyTyper *typer = g_new0(ApiaryKeyTyper, 1);

    typer->vm = vm;
    typer->progress = progress;
    typer->opaque = opaque;
    typer->strokes = g_array_new(FALSE, FALSE, sizeof(Stroke));
    return typer;
}

static void stop(ApiaryKeyTyper *typer)
{
    if (typer->timer)
        g_source_remove(typer->timer);
    typer->timer = 0;
    typer->done = 0;
    g_array_set_size(typer->strokes, 0);
}

void apiary_key_typer_free(ApiaryKeyTyper *typer)
{
    stop(typer);
    g_array_unref(typer->strokes);
    g_free(typer);
}

static gboolean type_next(gpointer data)
{
    ApiaryKeyTyper *typer = data;

    if (typer->done == typer->strokes->len || apiary_vm_get_state(typer->vm) != MACHINE_RUNNING) {
        apiary_key_typer_cancel(typer);
        return G_SOURCE_REMOVE;
    }
    const Stroke *stroke = &g_array_index(typer->strokes, Stroke, typer->done++);
    unsigned codes[2] = {KEY_LEFTSHIFT, stroke->code};
    apiary_send_combination(typer->vm, stroke->shift ? codes : codes + 1, stroke->shift ? 2 : 1);
    /* A copy: PROGRESS may start over. */
    typer->progress(typer->opaque, (double)typer->done / (typer->strokes->len + 1));
    return G_SOURCE_CONTINUE;
}

unsigned apiary_key_typer_type(ApiaryKeyTyper *typer, const char *text)
{
    unsigned left_out = 0;

    stop(typer);
    for (const char *c = text; *c; c = g_utf8_next_char(c)) {
        Stroke stroke;
        if (*c == '\r')
            continue;
        if (key_for_character(g_utf8_get_char(c), &stroke.code, &stroke.shift))
            g_array_append_val(typer->strokes, stroke);
        else
            left_out++;
    }
    typer->timer = g_timeout_add(PACE_MS, type_next, typer);
    return left_out;
}

void apiary_key_typer_cancel(ApiaryKeyTyper *typer)
{
    stop(typer);
    typer->progress(typer->opaque, 1);
}

void apiary_send_combination(ApiaryVm *vm, const unsigned *codes, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        apiary_vm_send_key(vm, codes[i], true);
    for (unsigned i = n; i-- > 0;)
        apiary_vm_send_key(vm, codes[i], false);
}
