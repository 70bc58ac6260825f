/* SPDX-License-Identifier: GPL-3.0-or-later */

/* `apiary img check`. */

#include "app/img.h"
#include "core/block/check.h"

#include <getopt.h>
#include <stdio.h>

/* Exit statuses of qemu-img check. */
enum {
    CHECK_CLEAN = 0,
    CHECK_FAILED = 1,
    CHECK_CORRUPT = 2,
    CHECK_LEAKS = 3,
    CHECK_NO_CHECKS = 63
};

typedef struct {
    const char *path, *format;
    BlockCheckFix fix;
    bool json, quiet, share;
} Options;

static void print_fault(void *opaque, const char *line)
{
    fprintf(opaque, "%s\n", line);
}

static int run_check(const Options *options, BlockCheckFix fix, BlockCheck *check)
{
    GError *error = NULL;
    BlockFileFlags flags = fix == BLOCK_CHECK_FIX_NONE ? 0 : BLOCK_FILE_WRITE;
    BlockNode *node = block_node_open(options->path, options->format,
                                      flags | (options->share ? BLOCK_FILE_NO_LOCK : 0),
                                      BLOCK_NODE_NO_BACKING | BLOCK_NODE_CHECK, &error);

    if (!node)
        return img_fail_error(error);
    if (node->driver != &block_qcow2_driver) {
        block_node_close(node);
        if (!options->quiet)
            img_fail("This image format does not support checks");
        return CHECK_NO_CHECKS;
    }
    bool ok = qcow2_check(node, fix, check, options->quiet ? NULL : print_fault, stderr, &error);
    block_node_close(node);
    return ok ? 0 : img_fail_error(error);
}

static void print_human(const BlockCheck *check)
{
    if (check->corruptions)
        printf("\n%" G_GUINT64_FORMAT " errors were found on the image.\n"
               "Data may be corrupted, or further writes to the image may corrupt it.\n",
               check->corruptions);
    if (check->leaks)
        printf("\n%" G_GUINT64_FORMAT " leaked clusters were found on the image.\n"
               "This means waste of disk space, but no harm to data.\n",
               check->leaks);
    if (!check->corruptions && !check->leaks)
        puts("No errors were found on the image.");
    if (check->total_clusters && check->allocated_clusters)
        printf("%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT
               " = %0.2f%% allocated, %0.2f%% fragmented, "
               "%0.2f%% compressed clusters\n",
               check->allocated_clusters, check->total_clusters,
               (double)check->allocated_clusters * 100 / (double)check->total_clusters,
               (double)check->fragmented_clusters * 100 / (double)check->allocated_clusters,
               (double)check->compressed_clusters * 100 / (double)check->allocated_clusters);
    printf("Image end offset: %" G_GUINT64_FORMAT "\n", check->image_end);
}

static void print_field(const char *name, uint64_t value)
{
    if (value)
        printf("    \"%s\": %" G_GUINT64_FORMAT ",\n", name, value);
}

static void print_json(const Options *options, const BlockCheck *check)
{
    g_autofree char *path = g_strescape(options->path, NULL);

    puts("{");
    print_field("image-end-offset", check->image_end);
    print_field("total-clusters", check->total_clusters);
    print_field("allocated-clusters", check->allocated_clusters);
    print_field("fragmented-clusters", check->fragmented_clusters);
    print_field("compressed-clusters", check->compressed_clusters);
    print_field("corruptions", check->corruptions);
    print_field("corruptions-fixed", check->corruptions_fixed);
    print_field("leaks", check->leaks);
    print_field("leaks-fixed", check->leaks_fixed);
    printf("    \"check-errors\": 0,\n    \"filename\": \"%s\",\n    \"format\": \"qcow2\"\n}\n",
           path);
}

static int check(const Options *options)
{
    BlockCheck result = {0};
    int status = run_check(options, options->fix, &result);

    if (status)
        return status;
    uint64_t corruptions_fixed = result.corruptions_fixed, leaks_fixed = result.leaks_fixed;
    if (corruptions_fixed || leaks_fixed) {
        if (!options->json && !options->quiet)
            printf("The following inconsistencies were found and repaired:\n\n"
                   "    %" G_GUINT64_FORMAT " leaked clusters\n    %" G_GUINT64_FORMAT
                   " corruptions\n\nDouble checking the fixed image now...\n",
                   leaks_fixed, corruptions_fixed);
        status = run_check(options, BLOCK_CHECK_FIX_NONE, &result);
        if (status)
            return status;
        result.corruptions_fixed = corruptions_fixed;
        result.leaks_fixed = leaks_fixed;
    }
    if (options->json)
        print_json(options, &result);
    else if (!options->quiet)
        print_human(&result);
    return result.corruptions ? CHECK_CORRUPT : result.leaks ? CHECK_LEAKS : CHECK_CLEAN;
}

int img_check(int argc, char **argv)
{
    static const struct option long_options[] = {{"output", required_argument, NULL, 'O'},
                                                 {"repair", required_argument, NULL, 'r'},
                                                 {"force-share", no_argument, NULL, 'U'},
                                                 {0}};
    Options options = {0};
    int option;

    while ((option = getopt_long(argc, argv, "+:f:r:qU", long_options, NULL)) != -1) {
        switch (option) {
        case 'f': options.format = optarg; break;
        case 'q': options.quiet = true; break;
        case 'U': options.share = true; break;
        case 'r':
            if (!g_str_equal(optarg, "leaks") && !g_str_equal(optarg, "all"))
                return img_fail("--repair (-r) expects 'leaks' or 'all' as argument.");
            options.fix = g_str_equal(optarg, "all") ? BLOCK_CHECK_FIX_ALL : BLOCK_CHECK_FIX_LEAKS;
            break;
        case 'O':
            if (!img_parse_output(optarg, &options.json))
                return 1;
            break;
        default: return img_fail("check: an option is not supported, or lacks its value.");
        }
    }
    if (argc - optind != 1)
        return img_fail("check: expecting one image file name.");
    if (options.share && options.fix)
        return img_fail("check: an image in use cannot be repaired (-U and -r).");
    options.path = argv[optind];
    return check(&options);
}
