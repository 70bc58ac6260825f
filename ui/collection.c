/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/collection.h"

#include <gtk/gtk.h>
#include <string.h>

struct _ApiaryCollection {
    GObject parent;
    Library *library;
    GListStore *vms;
    GThreadPool *writer; /* one thread */
};

G_DEFINE_FINAL_TYPE(ApiaryCollection, apiary_collection, G_TYPE_OBJECT)

/* --- saving ----------------------------------------------------------------------------------- */

typedef struct {
    ApiaryVm *vm;
    MachineConfig *config; /* a copy */
    Library *library;
    GError *error;
} Save;

static gboolean finish_save(gpointer data)
{
    Save *save = data;

    if (save->error)
        apiary_vm_message(save->vm, GTK_MESSAGE_ERROR, save->error->message);
    g_clear_error(&save->error);
    g_object_unref(save->vm);
    config_free(save->config);
    g_free(save);
    return G_SOURCE_REMOVE;
}

static void run_save(gpointer data, gpointer user_data)
{
    Save *save = data;

    library_save(save->library, save->config, &save->error);
    g_idle_add(finish_save, save);
}

void apiary_collection_save(ApiaryCollection *collection, ApiaryVm *vm)
{
    const MachineConfig *config = apiary_vm_get_config(vm);

    if (config->folder) {
        Save *save = g_new0(Save, 1);
        save->vm = g_object_ref(vm);
        save->config = config_copy(config);
        save->library = collection->library;
        g_thread_pool_push(collection->writer, save, NULL);
    }
    apiary_vm_config_changed(vm);
}

void apiary_collection_flush(ApiaryCollection *collection)
{
    g_thread_pool_free(collection->writer, FALSE, TRUE);
    collection->writer = g_thread_pool_new(run_save, NULL, 1, FALSE, NULL);
}

/* --- the list --------------------------------------------------------------------------------- */

static int compare_vms(gconstpointer a, gconstpointer b, gpointer data)
{
    g_autofree char *first = g_utf8_collate_key_for_filename(apiary_vm_get_name((ApiaryVm *)a), -1);
    g_autofree char *second =
        g_utf8_collate_key_for_filename(apiary_vm_get_name((ApiaryVm *)b), -1);

    return strcmp(first, second);
}

Library *apiary_collection_get_library(ApiaryCollection *collection)
{
    return collection->library;
}

GListModel *apiary_collection_get_model(ApiaryCollection *collection)
{
    return G_LIST_MODEL(collection->vms);
}

ApiaryVm *apiary_collection_find(ApiaryCollection *collection, const char *name)
{
    unsigned n = g_list_model_get_n_items(G_LIST_MODEL(collection->vms));

    for (unsigned i = 0; i < n; i++) {
        g_autoptr(ApiaryVm) vm = g_list_model_get_item(G_LIST_MODEL(collection->vms), i);
        if (g_str_equal(apiary_vm_get_name(vm), name))
            return vm; /* the list keeps it */
    }
    return NULL;
}

ApiaryVm *apiary_collection_add(ApiaryCollection *collection, MachineConfig *config)
{
    g_autoptr(ApiaryVm) vm = apiary_vm_new(config);

    g_list_store_insert_sorted(collection->vms, vm, compare_vms, NULL);
    return vm;
}

void apiary_collection_remove(ApiaryCollection *collection, ApiaryVm *vm)
{
    unsigned position;

    if (g_list_store_find(collection->vms, vm, &position))
        g_list_store_remove(collection->vms, position);
}

unsigned apiary_collection_count_running(ApiaryCollection *collection)
{
    unsigned n = g_list_model_get_n_items(G_LIST_MODEL(collection->vms)), running = 0;

    for (unsigned i = 0; i < n; i++) {
        g_autoptr(ApiaryVm) vm = g_list_model_get_item(G_LIST_MODEL(collection->vms), i);
        running += apiary_vm_is_on(vm);
    }
    return running;
}

/* --- class ------------------------------------------------------------------------------------ */

ApiaryCollection *apiary_collection_new(GPtrArray *problems)
{
    ApiaryCollection *collection = g_object_new(APIARY_TYPE_COLLECTION, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) items = library_list(collection->library, &error);

    if (error)
        g_ptr_array_add(problems, g_strdup(error->message));
    for (guint i = 0; items && i < items->len; i++) {
        LibraryItem *item = items->pdata[i];
        if (item->config)
            apiary_collection_add(collection, g_steal_pointer(&item->config));
        else
            g_ptr_array_add(problems, g_strdup(item->error->message));
    }
    return collection;
}

static void apiary_collection_finalize(GObject *object)
{
    ApiaryCollection *collection = APIARY_COLLECTION(object);

    g_thread_pool_free(collection->writer, FALSE, TRUE);
    g_object_unref(collection->vms);
    library_free(collection->library);
    G_OBJECT_CLASS(apiary_collection_parent_class)->finalize(object);
}

static void apiary_collection_init(ApiaryCollection *collection)
{
    collection->library = library_new(NULL);
    collection->vms = g_list_store_new(APIARY_TYPE_VM);
    collection->writer = g_thread_pool_new(run_save, NULL, 1, FALSE, NULL);
}

static void apiary_collection_class_init(ApiaryCollectionClass *klass)
{
    G_OBJECT_CLASS(klass)->finalize = apiary_collection_finalize;
}
