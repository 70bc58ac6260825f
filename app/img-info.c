/* SPDX-License-Identifier: GPL-3.0-or-later */

/* `apiary img info`, `map` and `snapshot`. */

#include "app/img.h"
#include "core/block/convert.h"
#include "core/block/info.h"
#include "core/block/snapshot.h"

#include <getopt.h>
#include <json-glib/json-glib.h>
#include <stdio.h>

static const struct option long_options[] = {{"output", required_argument, NULL, 'O'},
                                             {"backing-chain", no_argument, NULL, 'C'},
                                             {"force-share", no_argument, NULL, 'U'},
                                             {0}};

/* More than any chain that can be opened. */
#define MAX_CHAIN 200

/* ---- info ---- */

static void print_snapshots(const BlockInfo *info)
{
    printf("Snapshot list:\n%-10s%-17s%8s%20s%13s%11s\n", "ID", "TAG", "VM SIZE", "DATE",
           "VM CLOCK", "ICOUNT");
    for (uint32_t i = 0; i < info->n_snapshots; i++) {
        const BlockSnapshotInfo *snapshot = &info->snapshots[i];
        g_autoptr(GDateTime) date = g_date_time_new_from_unix_local(snapshot->seconds);
        g_autofree char *when = date ? g_date_time_format(date, "%Y-%m-%d %H:%M:%S") : NULL;
        g_autofree char *size = img_human_size(snapshot->vm_state_size);
        uint64_t seconds = snapshot->vm_clock / 1000000000;
        g_autofree char *clock = g_strdup_printf(
            "%02u:%02u:%02u.%03u", (unsigned)(seconds / 3600), (unsigned)(seconds / 60 % 60),
            (unsigned)(seconds % 60), (unsigned)(snapshot->vm_clock / 1000000 % 1000));
        printf("%-10s%-16s %8s%20s%13s", snapshot->id, snapshot->name, size, when ? when : "",
               clock);
        if (snapshot->icount != UINT64_MAX)
            printf("%11" G_GUINT64_FORMAT "\n", snapshot->icount);
        else
            printf("%11s\n", "");
    }
}

static void print_info(const BlockInfo *info)
{
    g_autofree char *virtual_size = img_human_size(info->virtual_size);
    g_autofree char *actual_size = img_human_size(info->actual_size);

    printf("image: %s\nfile format: %s\nvirtual size: %s (%" G_GUINT64_FORMAT
           " bytes)\ndisk size: %s\n",
           info->path, info->format, virtual_size, info->virtual_size, actual_size);
    if (info->dirty)
        puts("cleanly shut down: no");
    if (info->cluster_size)
        printf("cluster_size: %u\n", info->cluster_size);
    if (info->backing_name) {
        printf("backing file: %s", info->backing_name);
        if (!info->backing_path)
            printf(" (cannot determine actual path)");
        else if (!g_str_equal(info->backing_path, info->backing_name))
            printf(" (actual path: %s)", info->backing_path);
        puts("");
        if (info->backing_format)
            printf("backing file format: %s\n", info->backing_format);
    }
    if (info->n_snapshots)
        print_snapshots(info);
    if (!info->version)
        return;
    printf("Format specific information:\n    compat: %s\n    compression type: %s\n",
           info->version >= 3 ? "1.1" : "0.10", info->zstd ? "zstd" : "zlib");
    if (info->version >= 3)
        printf("    lazy refcounts: %s\n", info->lazy_refcounts ? "true" : "false");
    printf("    refcount bits: %u\n", info->refcount_bits);
    if (info->version >= 3)
        printf("    corrupt: %s\n    extended l2: false\n", info->corrupt ? "true" : "false");
}

static void add_string(JsonBuilder *builder, const char *name, const char *value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, value);
}

static void add_number(JsonBuilder *builder, const char *name, uint64_t value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, (gint64)value);
}

static void add_bool(JsonBuilder *builder, const char *name, bool value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_boolean_value(builder, value);
}

static void build_snapshots(JsonBuilder *builder, const BlockInfo *info)
{
    json_builder_set_member_name(builder, "snapshots");
    json_builder_begin_array(builder);
    for (uint32_t i = 0; i < info->n_snapshots; i++) {
        const BlockSnapshotInfo *snapshot = &info->snapshots[i];
        json_builder_begin_object(builder);
        if (snapshot->icount != UINT64_MAX)
            add_number(builder, "icount", snapshot->icount);
        add_number(builder, "vm-clock-nsec", snapshot->vm_clock % 1000000000);
        add_string(builder, "name", snapshot->name);
        add_number(builder, "date-sec", snapshot->seconds);
        add_number(builder, "date-nsec", snapshot->nanoseconds);
        add_number(builder, "vm-clock-sec", snapshot->vm_clock / 1000000000);
        add_string(builder, "id", snapshot->id);
        add_number(builder, "vm-state-size", snapshot->vm_state_size);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

static void build_info(JsonBuilder *builder, const BlockInfo *info)
{
    json_builder_begin_object(builder);
    if (info->backing_format)
        add_string(builder, "backing-filename-format", info->backing_format);
    if (info->n_snapshots)
        build_snapshots(builder, info);
    add_number(builder, "virtual-size", info->virtual_size);
    add_string(builder, "filename", info->path);
    if (info->cluster_size)
        add_number(builder, "cluster-size", info->cluster_size);
    add_string(builder, "format", info->format);
    add_number(builder, "actual-size", info->actual_size);
    if (info->version) {
        json_builder_set_member_name(builder, "format-specific");
        json_builder_begin_object(builder);
        add_string(builder, "type", "qcow2");
        json_builder_set_member_name(builder, "data");
        json_builder_begin_object(builder);
        add_string(builder, "compat", info->version >= 3 ? "1.1" : "0.10");
        add_string(builder, "compression-type", info->zstd ? "zstd" : "zlib");
        if (info->version >= 3)
            add_bool(builder, "lazy-refcounts", info->lazy_refcounts);
        add_number(builder, "refcount-bits", info->refcount_bits);
        if (info->version >= 3) {
            add_bool(builder, "corrupt", info->corrupt);
            add_bool(builder, "extended-l2", false);
        }
        json_builder_end_object(builder);
        json_builder_end_object(builder);
    }
    if (info->backing_path)
        add_string(builder, "full-backing-filename", info->backing_path);
    if (info->backing_name)
        add_string(builder, "backing-filename", info->backing_name);
    add_bool(builder, "dirty-flag", info->dirty);
    json_builder_end_object(builder);
}

static void print_json(JsonBuilder *builder)
{
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autoptr(JsonGenerator) generator = json_generator_new();

    json_generator_set_root(generator, root);
    json_generator_set_pretty(generator, TRUE);
    json_generator_set_indent(generator, 4);
    g_autofree char *text = json_generator_to_data(generator, NULL);
    puts(text);
}

int img_info(int argc, char **argv)
{
    const char *format = NULL;
    bool json = false, chain = false, share = false;
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autofree char *path = NULL, *next_format = NULL;
    GError *error = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "+:f:U", long_options, NULL)) != -1) {
        switch (option) {
        case 'f': format = optarg; break;
        case 'U': share = true; break;
        case 'C': chain = true; break;
        case 'O':
            if (!img_parse_output(optarg, &json))
                return 1;
            break;
        default: return img_fail("info: an option is not supported, or lacks its value.");
        }
    }
    if (argc - optind != 1)
        return img_fail("info: expecting one image file name.");
    path = g_strdup(argv[optind]);
    if (chain)
        json_builder_begin_array(builder);
    for (int depth = 0; path; depth++) {
        BlockInfo *info = block_info_read(path, format, share, &error);
        if (!info)
            return img_fail_error(error);
        if (json) {
            build_info(builder, info);
        } else {
            if (depth)
                puts("");
            print_info(info);
        }
        g_free(path);
        g_free(next_format);
        path = chain ? g_steal_pointer(&info->backing_path) : NULL;
        format = next_format = g_steal_pointer(&info->backing_format);
        block_info_free(info);
        if (depth == MAX_CHAIN)
            return img_fail("“%s” has itself among its backing files, or too many of them.", path);
    }
    if (chain)
        json_builder_end_array(builder);
    if (json)
        print_json(builder);
    return 0;
}

/* ---- map ---- */

static void print_extent(void *opaque, const BlockExtent *extent)
{
    if (!extent->data || extent->zero)
        return;
    if (extent->compressed || !extent->has_offset) {
        int *status = opaque;
        if (*status == 0)
            img_fail("File contains external, encrypted or compressed clusters.");
        *status = 1;
        return;
    }
    printf("%#-16" G_GINT64_MODIFIER "x%#-16" G_GINT64_MODIFIER "x%#-16" G_GINT64_MODIFIER "x%s\n",
           extent->start, extent->length, extent->offset, extent->path);
}

static void build_extent(void *opaque, const BlockExtent *extent)
{
    bool *first = opaque;

    printf("%s{ \"start\": %" G_GUINT64_FORMAT ", \"length\": %" G_GUINT64_FORMAT
           ", \"depth\": %u, \"present\": %s, \"zero\": %s, \"data\": %s",
           *first ? "[" : ",\n", extent->start, extent->length, extent->depth,
           extent->present ? "true" : "false", extent->zero ? "true" : "false",
           extent->data ? "true" : "false");
    if (extent->has_offset)
        printf(", \"offset\": %" G_GUINT64_FORMAT, extent->offset);
    printf("}");
    *first = false;
}

int img_map(int argc, char **argv)
{
    const char *format = NULL;
    bool json = false, share = false, first = true;
    GError *error = NULL;
    int option, status = 0;

    while ((option = getopt_long(argc, argv, "+:f:U", long_options, NULL)) != -1) {
        switch (option) {
        case 'f': format = optarg; break;
        case 'U': share = true; break;
        case 'O':
            if (!img_parse_output(optarg, &json))
                return 1;
            break;
        default: return img_fail("map: an option is not supported, or lacks its value.");
        }
    }
    if (argc - optind != 1)
        return img_fail("map: expecting one image file name.");
    if (!json)
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    bool ok = block_map(argv[optind], format, share, json ? build_extent : print_extent,
                        json ? (void *)&first : &status, &error);
    if (json)
        printf("%s]\n", first ? "[" : "");
    return ok ? status : img_fail_error(error);
}

/* ---- snapshot ---- */

int img_snapshot(int argc, char **argv)
{
    const char *name = NULL;
    char action = 'l';
    bool share = false, ok;
    GError *error = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "+:la:c:d:qU", long_options, NULL)) != -1) {
        switch (option) {
        case 'q': break;
        case 'U': share = true; break;
        case 'l': action = 'l'; break;
        case 'a':
        case 'c':
        case 'd':
            action = (char)option;
            name = optarg;
            break;
        default: return img_fail("snapshot: an option is not supported, or lacks its value.");
        }
    }
    if (argc - optind != 1)
        return img_fail("snapshot: expecting one image file name.");
    const char *path = argv[optind];
    if (action == 'l') {
        BlockInfo *info = block_info_read(path, NULL, share, &error);
        if (info && info->n_snapshots)
            print_snapshots(info);
        ok = info;
        block_info_free(info);
    } else {
        ok = action == 'a'   ? block_snapshot_apply(path, name, &error)
             : action == 'c' ? block_snapshot_create(path, name, &error)
                             : block_snapshot_delete(path, name, &error);
    }
    return ok ? 0 : img_fail_error(error);
}
