/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Types text into a machine as keystrokes of a US keyboard, at a pace a keyboard controller's
 * buffer and a guest's interrupt handler keep up with.
 */

#include "ui/vm.h"

typedef struct ApiaryKeyTyper ApiaryKeyTyper;
/* FRACTION 0-1; called with 1 at the end, after which the typer is idle again. */
typedef void (*ApiaryKeyTyperProgress)(void *opaque, double fraction);

ApiaryKeyTyper *apiary_key_typer_new(ApiaryVm *vm, ApiaryKeyTyperProgress progress, void *opaque);
void apiary_key_typer_free(ApiaryKeyTyper *typer);
/* Characters that no key has are left out; returns how many. Drops what is still being typed. */
unsigned apiary_key_typer_type(ApiaryKeyTyper *typer, const char *text);
void apiary_key_typer_cancel(ApiaryKeyTyper *typer);
void apiary_send_combination(ApiaryVm *vm, const unsigned *codes, unsigned n);
