/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/config/accel.h"

#include "core/config/options.h"

#include <glib/gi18n.h>

static const OptionInfo jit_table[] = {
    /* Jumps reach 2 GiB. */
    {"tb-size", OPTION_UINT, "0", 0, 1024, NULL,
     N_("MiB of translated code a CPU; 0: as is usual")},
    {"perf", OPTION_BOOL, "off", 0, 0, NULL,
     N_("name translated code for Linux perf, in /tmp/perf-PID.map")},
    {"lockstep", OPTION_BOOL, "off", 0, 0, NULL,
     N_("compare each translated block with the interpreter; one CPU")},
    {"stress", OPTION_STRING, NULL, 0, 0, NULL,
     N_("a colon-separated list of one-insn, no-links, no-groups, slow-paths, tiny-cache, "
        "tiny-tlb, tier-2, flushes")},
    {NULL},
};

static bool apply_stress(const char *name, JitOptions *options)
{
    if (g_str_equal(name, "one-insn"))
        options->max_insns = 1;
    else if (g_str_equal(name, "no-links"))
        options->no_links = true;
    else if (g_str_equal(name, "no-groups"))
        options->no_groups = true;
    else if (g_str_equal(name, "slow-paths"))
        options->slow_accesses = true;
    else if (g_str_equal(name, "tiny-cache"))
        options->cache_bytes = JIT_LEAST_CACHE;
    else if (g_str_equal(name, "tiny-tlb"))
        options->tiny_tlb = true;
    else if (g_str_equal(name, "tier-2"))
        options->tier_2 = true;
    else if (g_str_equal(name, "flushes"))
        options->random_flushes = true;
    else
        return false;
    return true;
}

bool accel_parse_jit(const char *text, JitOptions *options, GError **error)
{
    g_autoptr(OptionValues) values = option_values_new(jit_table);

    *options = JIT_OPTIONS_DEFAULT;
    if (text && !option_values_parse(values, text, NULL, error))
        return false;
    options->cache_bytes = option_uint(values, "tb-size") << 20;
    options->perf = option_bool(values, "perf");
    options->lockstep = option_bool(values, "lockstep");
    options->no_links = options->lockstep; /* block by block, and all that can be seen */
    if (!option_string(values, "stress"))
        return true;
    g_auto(GStrv) names = g_strsplit(option_string(values, "stress"), ":", -1);
    for (unsigned i = 0; names[i]; i++)
        if (!apply_stress(names[i], options))
            return option_refuse(error,
                                 "-accel jit,stress= knows no \"%s\"; it takes one-insn, no-links, "
                                 "no-groups, slow-paths, tiny-cache, tiny-tlb, tier-2 and "
                                 "flushes, with colons between them.",
                                 names[i]);
    return true;
}
