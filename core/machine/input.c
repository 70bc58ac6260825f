/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/machine/input.h"

#include <linux/input-event-codes.h>

typedef struct {
    InputHandler handler;
    void *opaque;
    bool active;
} Entry;

struct InputHub {
    GArray *entries; /* Entry */
    void (*changed)(void *opaque);
    void *changed_opaque;
    bool was_absolute;
};

InputHub *input_hub_new(void)
{
    InputHub *hub = g_new0(InputHub, 1);

    hub->entries = g_array_new(FALSE, TRUE, sizeof(Entry));
    return hub;
}

void input_hub_free(InputHub *hub)
{
    if (!hub)
        return;
    g_array_unref(hub->entries);
    g_free(hub);
}

typedef enum { WANT_KEY, WANT_MOTION, WANT_POSITION } Want;

static bool entry_takes(const Entry *entry, Want want)
{
    switch (want) {
    case WANT_KEY: return entry->handler.key;
    case WANT_MOTION: return entry->handler.motion && !entry->handler.absolute;
    case WANT_POSITION: return entry->handler.position && entry->handler.absolute;
    }
    return false;
}

static Entry *find(InputHub *hub, Want want)
{
    Entry *best = NULL;

    for (guint i = 0; i < hub->entries->len; i++) {
        Entry *entry = &g_array_index(hub->entries, Entry, i);
        if (entry->active && entry_takes(entry, want) &&
            (!best || entry->handler.priority > best->handler.priority))
            best = entry;
    }
    return best;
}

static void check_changed(InputHub *hub)
{
    bool absolute = input_hub_is_absolute(hub);

    if (absolute == hub->was_absolute)
        return;
    hub->was_absolute = absolute;
    if (hub->changed)
        hub->changed(hub->changed_opaque);
}

void input_hub_add(InputHub *hub, const InputHandler *handler, void *opaque)
{
    Entry entry = {.handler = *handler, .opaque = opaque};

    g_array_append_val(hub->entries, entry);
}

void input_hub_remove(InputHub *hub, void *opaque)
{
    for (guint i = hub->entries->len; i-- > 0;)
        if (g_array_index(hub->entries, Entry, i).opaque == opaque)
            g_array_remove_index(hub->entries, i);
    check_changed(hub);
}

void input_hub_set_active(InputHub *hub, void *opaque, bool active)
{
    for (guint i = 0; i < hub->entries->len; i++) {
        Entry *entry = &g_array_index(hub->entries, Entry, i);
        if (entry->opaque == opaque)
            entry->active = active;
    }
    check_changed(hub);
}

bool input_hub_is_absolute(InputHub *hub)
{
    return find(hub, WANT_POSITION) != NULL;
}

void input_hub_set_changed(InputHub *hub, void (*changed)(void *opaque), void *opaque)
{
    hub->changed = changed;
    hub->changed_opaque = opaque;
}

void input_key(InputHub *hub, unsigned evdev_code, bool down)
{
    Entry *entry = find(hub, WANT_KEY);

    if (entry && evdev_code < KEY_MAX)
        entry->handler.key(entry->opaque, evdev_code, down);
}

void input_motion(InputHub *hub, int dx, int dy, int wheel, unsigned buttons)
{
    Entry *entry = find(hub, WANT_MOTION);

    if (entry)
        entry->handler.motion(entry->opaque, dx, dy, wheel, buttons);
}

void input_position(InputHub *hub, int x, int y, int wheel, unsigned buttons)
{
    Entry *entry = find(hub, WANT_POSITION);

    if (entry)
        entry->handler.position(entry->opaque, CLAMP(x, 0, 32767), CLAMP(y, 0, 32767), wheel,
                                buttons);
}
