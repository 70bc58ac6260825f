/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The library as a list model of ApiaryVm, for the windows. Saving happens on a thread of its own,
 * in order.
 */

#include "core/library/library.h"
#include "ui/vm.h"

#define APIARY_TYPE_COLLECTION (apiary_collection_get_type())
G_DECLARE_FINAL_TYPE(ApiaryCollection, apiary_collection, APIARY, COLLECTION, GObject)

/* Reads the library. PROBLEMS gets a char* for every machine that could not be read. */
ApiaryCollection *apiary_collection_new(GPtrArray *problems);
Library *apiary_collection_get_library(ApiaryCollection *collection);
GListModel *apiary_collection_get_model(ApiaryCollection *collection);
ApiaryVm *apiary_collection_find(ApiaryCollection *collection, const char *name);
/* Takes CONFIG, which is in the library already. */
ApiaryVm *apiary_collection_add(ApiaryCollection *collection, MachineConfig *config);
void apiary_collection_remove(ApiaryCollection *collection, ApiaryVm *vm);
/* Writes VM's settings soon, and tells everybody that they have changed. A failure becomes a
 * message of VM. Machines that are not in the library are only told about. */
void apiary_collection_save(ApiaryCollection *collection, ApiaryVm *vm);
/* Waits until everything is written. */
void apiary_collection_flush(ApiaryCollection *collection);
unsigned apiary_collection_count_running(ApiaryCollection *collection);
