/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/serial-page.h"

#include <glib/gi18n.h>
#include <vte/vte.h>

struct _ApiarySerialPage {
    GtkBox parent;
    ApiaryVm *vm; /* the window's */
    GtkWidget *terminal, *elsewhere;
};

G_DEFINE_FINAL_TYPE(ApiarySerialPage, apiary_serial_page, GTK_TYPE_BOX)

static void on_serial(ApiaryVm *vm, GBytes *bytes, ApiarySerialPage *page)
{
    gsize size;
    const char *data = g_bytes_get_data(bytes, &size);

    vte_terminal_feed(VTE_TERMINAL(page->terminal), data, (gssize)size);
}

static void on_commit(VteTerminal *terminal, const char *text, guint size, ApiarySerialPage *page)
{
    apiary_vm_write_serial(page->vm, text, size);
}

/* A machine that starts again begins with an empty terminal. */
static void on_changed(ApiaryVm *vm, ApiarySerialPage *page)
{
    if (apiary_vm_get_state(vm) == MACHINE_STARTING)
        vte_terminal_reset(VTE_TERMINAL(page->terminal), TRUE, TRUE);
    gtk_widget_set_visible(page->elsewhere, !apiary_vm_has_serial(vm));
}

void apiary_serial_page_set_vm(ApiarySerialPage *page, ApiaryVm *vm)
{
    const GByteArray *history = apiary_vm_get_serial_history(vm);

    page->vm = vm;
    vte_terminal_feed(VTE_TERMINAL(page->terminal), (const char *)history->data, history->len);
    g_signal_connect_object(vm, "serial", G_CALLBACK(on_serial), page, 0);
    g_signal_connect_object(vm, "changed", G_CALLBACK(on_changed), page, 0);
    on_changed(vm, page);
}

static void apiary_serial_page_init(ApiarySerialPage *page)
{
    GtkWidget *scroller = gtk_scrolled_window_new(NULL, NULL);

    gtk_orientable_set_orientation(GTK_ORIENTABLE(page), GTK_ORIENTATION_VERTICAL);
    page->elsewhere =
        gtk_label_new(_("The serial port is connected to something else in this machine's file."));
    g_object_set(page->elsewhere, "margin", 6, NULL);
    gtk_box_pack_start(GTK_BOX(page), page->elsewhere, FALSE, FALSE, 0);
    page->terminal = vte_terminal_new();
    vte_terminal_set_scrollback_lines(VTE_TERMINAL(page->terminal), 10000);
    gtk_widget_show(page->terminal);
    atk_object_set_name(gtk_widget_get_accessible(page->terminal), _("Serial console"));
    g_signal_connect(page->terminal, "commit", G_CALLBACK(on_commit), page);
    gtk_widget_set_can_focus(scroller, FALSE);
    gtk_container_add(GTK_CONTAINER(scroller), page->terminal);
    gtk_widget_show(scroller);
    gtk_box_pack_start(GTK_BOX(page), scroller, TRUE, TRUE, 0);
}

static void apiary_serial_page_class_init(ApiarySerialPageClass *klass)
{
}
