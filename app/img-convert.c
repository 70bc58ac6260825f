/* SPDX-License-Identifier: GPL-3.0-or-later */

/* `apiary img convert` and `compare`. */

#include "app/img.h"
#include "core/block/convert.h"
#include "core/block/options.h"

#include <getopt.h>
#include <stdio.h>

static const struct option long_options[] = {{"force-share", no_argument, NULL, 'U'}, {0}};

int img_convert(int argc, char **argv)
{
    BlockConvertOptions options = {.sparse = 4096};
    g_autofree char *target_options = NULL;
    double last = -1;
    bool show = false, quiet = false;
    GError *error = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "+:cnpqUf:O:o:S:t:T:m:W", long_options, NULL)) != -1) {
        switch (option) {
        case 'c': options.compress = true; break;
        case 'n': options.into_existing = true; break;
        case 'p': show = true; break;
        case 'q': quiet = true; break;
        case 'U': options.share = true; break;
        case 'f': options.source_format = optarg; break;
        case 'O': options.target_format = optarg; break;
        case 'o': img_add_options(&target_options, optarg); break;
        case 'S':
            if (!block_parse_size(optarg, &options.sparse) || options.sparse % 512)
                return img_fail("convert: -S needs a multiple of 512 bytes.");
            break;
        case 't':
        case 'T':
        case 'm':
        case 'W': break; /* only how the work is done, not what comes out */
        default: return img_fail("convert: -%c is not supported, or lacks its value.", optopt);
        }
    }
    if (argc - optind != 2)
        return img_fail("convert: expecting a source and a target file name.");
    if (options.into_existing && target_options)
        return img_fail("convert: -o needs a new image; leave out -n.");
    options.target_options = target_options;
    show = show && !quiet;
    bool ok = block_convert(argv[optind], argv[optind + 1], &options, img_progress,
                            show ? &last : NULL, &error);
    if (show)
        puts("");
    return ok ? 0 : img_fail_error(error);
}

int img_compare(int argc, char **argv)
{
    const char *format_a = NULL, *format_b = NULL;
    bool strict = false, quiet = false, show = false;
    BlockComparison comparison;
    uint64_t at;
    double last = -1;
    GError *error = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "+:f:F:spqU", long_options, NULL)) != -1) {
        switch (option) {
        case 'f': format_a = optarg; break;
        case 'F': format_b = optarg; break;
        case 's': strict = true; break;
        case 'p': show = true; break;
        case 'q': quiet = true; break;
        default: return img_fail("compare: -%c is not supported, or lacks its value.", optopt);
        }
    }
    if (argc - optind != 2)
        return img_fail("compare: expecting two image file names.");
    /* 2 and above are errors; 1 means that they differ. */
    if (!block_compare(argv[optind], format_a, argv[optind + 1], format_b, strict, &comparison, &at,
                       img_progress, show && !quiet ? &last : NULL, &error)) {
        img_fail_error(error);
        return 2;
    }
    if (comparison == BLOCK_SIZES_DIFFER && !quiet)
        puts("Strict mode: Image size mismatch!");
    else if (comparison == BLOCK_DIFFERENT && !quiet)
        printf("Content mismatch at offset %" G_GUINT64_FORMAT "!\n", at);
    else if (!quiet)
        puts("Images are identical.");
    return comparison == BLOCK_SAME ? 0 : 1;
}
