/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "app/img.h"
#include "core/block/block.h"
#include "core/block/convert.h"
#include "core/block/info.h"
#include "core/block/options.h"
#include "core/block/snapshot.h"

#include <getopt.h>
#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *synopsis;
} Command;

static const Command commands[] = {
    {"check", img_check, "[-q] [-f FMT] [--output=human|json] [-r leaks|all] [-U] FILE"},
    {"compare", img_compare, "[-p] [-q] [-s] [-f FMT] [-F FMT] FILE1 FILE2"},
    {"convert", img_convert,
     "[-c] [-n] [-p] [-q] [-U] [-f FMT] [-O FMT] [-o OPTIONS] [-S SIZE] SOURCE TARGET"},
    {"create", img_create, "[-q] [-f FMT] [-b BACKING -F FMT] [-o OPTIONS] FILE [SIZE]"},
    {"info", img_info, "[-f FMT] [--output=human|json] [--backing-chain] [-U] FILE"},
    {"map", img_map, "[-f FMT] [--output=human|json] [-U] FILE"},
    {"resize", img_resize, "[-q] [-f FMT] [--shrink] FILE [+|-]SIZE"},
    {"snapshot", img_snapshot, "[-q] [-l | -a NAME | -c NAME | -d NAME] FILE"},
};

/* ---- what the commands share ---- */

int img_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *message = g_strdup_vprintf(_(format), arguments);
    va_end(arguments);
    fprintf(stderr, "apiary img: %s\n", message);
    return 1;
}

int img_fail_error(GError *error)
{
    img_fail("%s", error->message);
    g_error_free(error);
    return 1;
}

bool img_parse_output(const char *word, bool *json)
{
    *json = g_str_equal(word, "json");
    if (*json || g_str_equal(word, "human"))
        return true;
    img_fail("--output must be used with human or json as argument.");
    return false;
}

char *img_human_size(uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1000 && unit + 1 < G_N_ELEMENTS(units)) {
        value /= 1024;
        unit++;
    }
    return g_strdup_printf("%0.3g %s", value, units[unit]);
}

void img_add_options(char **options, const char *more)
{
    char *joined = *options ? g_strdup_printf("%s,%s", *options, more) : g_strdup(more);

    g_free(*options);
    *options = joined;
}

bool img_progress(void *opaque, double fraction)
{
    double *last = opaque;

    if (last && (*last < 0 || fraction >= 1 || fraction - *last >= 0.01)) {
        printf("    (%3.2f/100%%)\r", fraction * 100);
        fflush(stdout);
        *last = fraction;
    }
    return true;
}

/* ---- create ---- */

int img_create(int argc, char **argv)
{
    const char *format = "raw", *backing = NULL, *backing_format = NULL;
    g_autofree char *options = NULL;
    uint64_t size = 0;
    bool quiet = false;
    GError *error = NULL;
    int option;

    while ((option = getopt(argc, argv, "+:f:o:b:F:qu")) != -1) {
        switch (option) {
        case 'f': format = optarg; break;
        case 'o': img_add_options(&options, optarg); break;
        case 'b': backing = optarg; break;
        case 'F': backing_format = optarg; break;
        case 'q': quiet = true; break;
        default: return img_fail("create: -%c is not supported, or lacks its value.", optopt);
        }
    }
    if (optind >= argc || argc - optind > 2)
        return img_fail("create: expecting a file name and a size.");
    const char *path = argv[optind], *size_text = argv[optind + 1];
    if (size_text && !block_parse_size(size_text, &size))
        return img_fail("Invalid image size “%s”. Write a number with K, M, G or T after it.",
                        size_text);
    bool has_size = size_text || (options && strstr(options, "size=")) || backing ||
                    (options && strstr(options, "backing_file="));
    if (!has_size)
        return img_fail("%s: Image creation needs a size parameter.", path);
    if (!block_image_create(path, format, size, options, backing, backing_format, &error))
        return img_fail_error(error);
    if (quiet)
        return 0;
    BlockInfo *info = block_info_read(path, format, true, NULL);
    printf("Formatting '%s', fmt=%s", path, format);
    if (info && info->cluster_size)
        printf(" cluster_size=%u compression_type=%s", info->cluster_size,
               info->zstd ? "zstd" : "zlib");
    if (info)
        printf(" size=%" G_GUINT64_FORMAT, info->virtual_size);
    if (info && info->backing_name)
        printf(" backing_file=%s", info->backing_name);
    if (info && info->backing_format)
        printf(" backing_fmt=%s", info->backing_format);
    if (info && info->version)
        printf(" lazy_refcounts=%s refcount_bits=%u", info->lazy_refcounts ? "on" : "off",
               info->refcount_bits);
    puts("");
    block_info_free(info);
    return 0;
}

/* ---- resize ---- */

int img_resize(int argc, char **argv)
{
    static const struct option long_options[] = {{"shrink", no_argument, NULL, 's'}, {0}};
    const char *format = NULL;
    bool quiet = false, shrink = false;
    GError *error = NULL;
    uint64_t size;
    int option, last = argc - 1;

    /* The size comes last and may begin with a minus. */
    const char *text = argc > 2 ? argv[last] : "";
    while ((option = getopt_long(last, argv, "+:f:q", long_options, NULL)) != -1) {
        switch (option) {
        case 'f': format = optarg; break;
        case 'q': quiet = true; break;
        case 's': shrink = true; break;
        default: return img_fail("resize: an option is not supported, or lacks its value.");
        }
    }
    if (last - optind != 1)
        return img_fail("resize: expecting a file name and a size.");
    const char *path = argv[optind];
    char sign = *text == '+' || *text == '-' ? *text : 0;
    if (!block_parse_size(text + (sign != 0), &size))
        return img_fail("Invalid size “%s”. Write a number with K, M, G or T after it.", text);
    if (sign) {
        BlockInfo *info = block_info_read(path, format, false, &error);
        if (!info)
            return img_fail_error(error);
        uint64_t old = info->virtual_size;
        block_info_free(info);
        if (sign == '-' ? size >= old : size > INT64_MAX - old)
            return img_fail("New image size must be positive.");
        size = sign == '-' ? old - size : old + size;
    }
    if (!block_resize(path, format, size, shrink, &error))
        return img_fail_error(error);
    if (!quiet)
        puts("Image resized.");
    return 0;
}

/* ---- the table ---- */

static int usage(FILE *out)
{
    fputs(_("Usage: apiary img COMMAND [OPTIONS]\n\n"
            "Makes, checks and converts disk images (raw, qcow2).\n\n"),
          out);
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        fprintf(out, "  %s %s\n", commands[i].name, commands[i].synopsis);
    return out == stdout ? 0 : 1;
}

int img_main(int argc, char **argv)
{
    if (argc < 2)
        return usage(stderr);
    if (g_str_equal(argv[1], "--help") || g_str_equal(argv[1], "-h") ||
        g_str_equal(argv[1], "help"))
        return usage(stdout);
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (!g_str_equal(commands[i].name, argv[1]))
            continue;
        opterr = 0;
        optind = 1;
        return commands[i].run(argc - 1, argv + 1);
    }
    return img_fail("There is no command “%s”. See “apiary img --help”.", argv[1]);
}
