/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/machine/query.h"

#include "core/cpu/cpu.h"
#include "core/machine/pc-network.h"

#include <json-glib/json-glib.h>
#include <string.h>

static void set_string(JsonBuilder *json, const char *name, const char *value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_string_value(json, value);
}

static void set_bool(JsonBuilder *json, const char *name, bool value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_boolean_value(json, value);
}

static void set_int(JsonBuilder *json, const char *name, int64_t value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_int_value(json, value);
}

/* The members that QAPI's BlockDeviceInfo cannot be without; there are no I/O limits here. */
static void add_inserted(JsonBuilder *json, const PcDrive *drive)
{
    static const char *const limits[] = {"bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"};
    BlockImage *image = drive->image;
    const char *cache = drive->cache ? drive->cache : "writeback";

    json_builder_set_member_name(json, "inserted");
    json_builder_begin_object(json);
    set_string(json, "file", block_image_path(image));
    set_string(json, "drv", block_image_format(image));
    set_bool(json, "ro", block_image_read_only(image));
    set_bool(json, "encrypted", false);
    set_int(json, "backing_file_depth", block_image_backing_depth(image));
    set_string(json, "detect_zeroes", "off");
    for (size_t i = 0; i < G_N_ELEMENTS(limits); i++)
        set_int(json, limits[i], 0);
    set_int(json, "write_threshold", 0);
    json_builder_set_member_name(json, "cache");
    json_builder_begin_object(json);
    set_bool(json, "writeback",
             strcmp(cache, "writethrough") != 0 && strcmp(cache, "directsync") != 0);
    set_bool(json, "direct", strcmp(cache, "none") == 0 || strcmp(cache, "directsync") == 0);
    set_bool(json, "no-flush", strcmp(cache, "unsafe") == 0);
    json_builder_end_object(json);
    json_builder_set_member_name(json, "image");
    json_builder_begin_object(json);
    set_string(json, "filename", block_image_path(image));
    set_string(json, "format", block_image_format(image));
    set_int(json, "virtual-size", block_image_size(image));
    json_builder_end_object(json);
    json_builder_end_object(json);
}

static void add_blocks(Pc *pc, JsonBuilder *json)
{
    PcDrive drive;

    for (unsigned i = 0; pc_drive(pc, i, &drive); i++) {
        json_builder_begin_object(json);
        set_string(json, "device", drive.id);
        set_string(json, "type", "unknown");
        set_bool(json, "removable", drive.removable);
        set_bool(json, "locked", drive.locked);
        if (drive.removable)
            set_bool(json, "tray_open", drive.tray_open);
        if (drive.image)
            add_inserted(json, &drive);
        json_builder_end_object(json);
    }
}

static void add_block_statistics(Pc *pc, JsonBuilder *json)
{
    PcDrive drive;

    for (unsigned i = 0; pc_drive(pc, i, &drive); i++) {
        if (!drive.image)
            continue;
        BlockStatistics s = block_image_statistics(drive.image);
        json_builder_begin_object(json);
        set_string(json, "device", drive.id);
        json_builder_set_member_name(json, "stats");
        json_builder_begin_object(json);
        set_int(json, "rd_bytes", s.read_bytes);
        set_int(json, "wr_bytes", s.write_bytes);
        set_int(json, "rd_operations", s.read_ops);
        set_int(json, "wr_operations", s.write_ops);
        set_int(json, "flush_operations", s.flush_ops);
        json_builder_end_object(json);
        json_builder_end_object(json);
    }
}

static void add_cpus(Pc *pc, JsonBuilder *json)
{
    for (unsigned i = 0; i < pc_cpu_count(pc); i++) {
        g_autofree char *path = g_strdup_printf("/machine/unattached/device[%u]", i);
        json_builder_begin_object(json);
        set_int(json, "cpu-index", i);
        set_string(json, "qom-path", path);
        set_int(json, "thread-id", cpu_thread_id(pc_cpu(pc, i)));
        set_string(json, "target", "x86_64");
        json_builder_set_member_name(json, "props");
        json_builder_begin_object(json);
        set_int(json, "socket-id", i);
        set_int(json, "core-id", 0);
        set_int(json, "thread-id", 0);
        json_builder_end_object(json);
        json_builder_end_object(json);
    }
}

char *query_run(Pc *pc, const char *what)
{
    static const struct {
        const char *name;
        void (*func)(Pc *pc, JsonBuilder *json);
    } queries[] = {
        {"block", add_blocks},
        {"blockstats", add_block_statistics},
        {"cpus", add_cpus},
        {"networks", pc_query_networks},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(queries); i++) {
        if (strcmp(queries[i].name, what) != 0)
            continue;
        g_autoptr(JsonBuilder) json = json_builder_new();
        json_builder_begin_array(json);
        board_lock(pc_board(pc));
        queries[i].func(pc, json);
        board_unlock(pc_board(pc));
        json_builder_end_array(json);
        g_autoptr(JsonNode) root = json_builder_get_root(json);
        return json_to_string(root, FALSE);
    }
    return NULL;
}
