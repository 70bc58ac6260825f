/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/demo.h"

#include "core/config/network.h"
#include "ui/dialogs.h"
#include "ui/paths.h"

#include <glib/gi18n.h>

#define DEMO_RAM (512ull << 20)

static void say(GtkWindow *parent, const char *text, const char *secondary)
{
    GtkWidget *dialog = gtk_message_dialog_new(parent, GTK_DIALOG_MODAL, GTK_MESSAGE_INFO,
                                               GTK_BUTTONS_CLOSE, "%s", text);

    gtk_message_dialog_format_secondary_text(GTK_MESSAGE_DIALOG(dialog), "%s", secondary);
    g_signal_connect(dialog, "response", G_CALLBACK(apiary_dialog_close), NULL);
    gtk_window_present(GTK_WINDOW(dialog));
}

static ApiaryVm *make_demo(ApiaryCollection *collection, const char *name, const char *iso,
                           GError **error)
{
    g_autoptr(MachineConfig) config = config_new();

    g_free(config->name);
    config->name = g_strdup(name);
    config->ram_bytes = DEMO_RAM;
    config->cpus = 1;
    config_add_drive(config, DRIVE_IDE_CD, 1, 0, iso);
    if (!network_add_card(config, NULL, error))
        return NULL;
    if (!library_add(apiary_collection_get_library(collection), config, error))
        return NULL;
    return apiary_collection_add(collection, g_steal_pointer(&config));
}

void apiary_demo_start(ApiaryApplication *application, GtkWindow *parent)
{
    ApiaryCollection *collection = apiary_application_get_collection(application);
    const char *name = _("Apiary demo");
    ApiaryVm *vm = apiary_collection_find(collection, name);
    g_autofree char *iso = apiary_paths_demo_iso();
    g_autoptr(GError) error = NULL;

    if (!vm && !iso) {
        g_autofree char *where =
            g_build_filename(g_get_user_data_dir(), "apiary", "demo.iso", NULL);
        g_autofree char *text = g_strdup_printf(
            _("It is made from Debian's packages, once, by this command in Apiary's source "
              "folder:\n\ndata/demo/build-iso %s"),
            where);
        say(parent, _("The demo machine's CD is not here yet."), text);
        return;
    }
    if (!vm)
        vm = make_demo(collection, name, iso, &error);
    if (!vm) {
        say(parent, _("The demo machine cannot be made."), error->message);
        return;
    }
    const DriveConfig *cd = apiary_vm_get_cd(vm);
    if (iso && cd && !apiary_vm_is_on(vm) &&
        (!cd->file || !g_file_test(cd->file, G_FILE_TEST_EXISTS)))
        apiary_vm_change_medium(vm, cd->id, iso, false);
    apiary_application_open_vm(application, vm);
    apiary_vm_start(vm);
}
