/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The machine's events, on their way to those who listen. */

#include "core/machine/machine-private.h"

typedef struct {
    unsigned id;
    MachineListener func;
    void *opaque;
    GMainContext *context;
    gint dead; /* atomic */
    gint references;
} Listener;

typedef struct {
    Listener *listener;
    MachineEvent event;
    char *text, *text2;
} Delivery;

static void listener_unref(Listener *listener)
{
    if (!g_atomic_int_dec_and_test(&listener->references))
        return;
    g_main_context_unref(listener->context);
    g_free(listener);
}

static gboolean deliver(gpointer data)
{
    Delivery *delivery = data;

    if (!g_atomic_int_get(&delivery->listener->dead))
        delivery->listener->func(delivery->listener->opaque, &delivery->event);
    return G_SOURCE_REMOVE;
}

static void delivery_free(gpointer data)
{
    Delivery *delivery = data;

    listener_unref(delivery->listener);
    g_free(delivery->text);
    g_free(delivery->text2);
    g_free(delivery);
}

void machine_run_in(GMainContext *context, GSourceFunc func, gpointer data, GDestroyNotify free)
{
    GSource *source = g_idle_source_new();

    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, func, data, free);
    g_source_attach(source, context);
    g_source_unref(source);
}

void machine_emit(Machine *machine, const MachineEvent *event)
{
    g_mutex_lock(&machine->lock);
    for (GList *l = machine->listeners; l; l = l->next) {
        Delivery *delivery = g_new0(Delivery, 1);
        delivery->listener = l->data;
        g_atomic_int_inc(&delivery->listener->references);
        delivery->event = *event;
        delivery->event.text = delivery->text = g_strdup(event->text);
        delivery->event.text2 = delivery->text2 = g_strdup(event->text2);
        machine_run_in(delivery->listener->context, deliver, delivery, delivery_free);
    }
    g_mutex_unlock(&machine->lock);
}

void machine_set_state(Machine *machine, MachineState state, MachineCause cause, const char *text,
                       int exit_status)
{
    g_mutex_lock(&machine->lock);
    machine->state = state;
    machine->cause = cause;
    g_mutex_unlock(&machine->lock);
    machine_emit(machine, &(MachineEvent){.type = EVENT_STATE,
                                          .state = state,
                                          .cause = cause,
                                          .text = text,
                                          .exit_status = exit_status});
}

unsigned machine_listen(Machine *machine, MachineListener func, void *opaque)
{
    Listener *listener = g_new0(Listener, 1);

    listener->func = func;
    listener->opaque = opaque;
    listener->context = g_main_context_ref_thread_default();
    listener->references = 1;
    g_mutex_lock(&machine->lock);
    listener->id = ++machine->next_listener;
    machine->listeners = g_list_append(machine->listeners, listener);
    g_mutex_unlock(&machine->lock);
    return listener->id;
}

void machine_unlisten(Machine *machine, unsigned id)
{
    g_mutex_lock(&machine->lock);
    for (GList *l = machine->listeners; l; l = l->next) {
        Listener *listener = l->data;
        if (listener->id != id)
            continue;
        g_atomic_int_set(&listener->dead, 1);
        machine->listeners = g_list_delete_link(machine->listeners, l);
        listener_unref(listener);
        break;
    }
    g_mutex_unlock(&machine->lock);
}

void machine_forget_listeners(Machine *machine)
{
    while (machine->listeners)
        machine_unlisten(machine, ((Listener *)machine->listeners->data)->id);
}
