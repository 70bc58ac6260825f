/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/library/library.h"

#include "core/library/copy.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>

#define RECENT_FILE    "recent-media"
#define MAX_RECENT     10
#define MAX_NAME_BYTES 120

struct Library {
    char *root;
};

Library *library_new(const char *root)
{
    Library *library = g_new0(Library, 1);

    library->root = root ? g_strdup(root) : g_build_filename(g_get_user_data_dir(), "apiary", NULL);
    return library;
}

void library_free(Library *library)
{
    if (!library)
        return;
    g_free(library->root);
    g_free(library);
}

const char *library_root(const Library *library)
{
    return library->root;
}

/* --- paths: relative in the file, absolute in memory ------------------------------------------ */

/* The part of PATH below FOLDER, or NULL when it lies elsewhere. */
static const char *path_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);

    if (!path || strncmp(path, folder, length) != 0 || path[length] != '/')
        return NULL;
    return path + length + 1;
}

/* Calls REWRITE for each file name in CONFIG that may point into the machine's folder. */
static void rewrite_paths(MachineConfig *config, char *(*rewrite)(const char *, const char *),
                          const char *folder)
{
    char **const fields[] = {&config->kernel, &config->initrd, &config->firmware};

    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        char *path = *fields[i] ? rewrite(*fields[i], folder) : NULL;
        g_free(*fields[i]);
        *fields[i] = path;
    }
    for (guint i = 0; i < config->drives->len; i++) {
        DriveConfig *drive = config->drives->pdata[i];
        char *path = drive->file ? rewrite(drive->file, folder) : NULL;
        g_free(drive->file);
        drive->file = path;
    }
}

static char *make_relative(const char *path, const char *folder)
{
    const char *below = path_below(path, folder);

    return g_strdup(below ? below : path);
}

static char *make_absolute(const char *path, const char *folder)
{
    return g_path_is_absolute(path) ? g_strdup(path) : g_build_filename(folder, path, NULL);
}

static char *machine_file(const char *folder)
{
    return g_build_filename(folder, LIBRARY_MACHINE_FILE, NULL);
}

static void set_text(char **field, const char *text)
{
    char *copy = g_strdup(text);

    g_free(*field);
    *field = copy;
}

/* --- the list --------------------------------------------------------------------------------- */

static void item_free(gpointer data)
{
    LibraryItem *item = data;

    g_free(item->folder);
    config_free(item->config);
    g_clear_error(&item->error);
    g_free(item);
}

static int compare_items(gconstpointer a, gconstpointer b)
{
    const LibraryItem *first = *(LibraryItem *const *)a, *second = *(LibraryItem *const *)b;
    g_autofree char *first_base = g_path_get_basename(first->folder);
    g_autofree char *second_base = g_path_get_basename(second->folder);
    g_autofree char *first_key =
        g_utf8_collate_key_for_filename(first->config ? first->config->name : first_base, -1);
    g_autofree char *second_key =
        g_utf8_collate_key_for_filename(second->config ? second->config->name : second_base, -1);

    return strcmp(first_key, second_key);
}

GPtrArray *library_list(Library *library, GError **error)
{
    g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(item_free);
    g_autoptr(GError) local = NULL;
    g_autoptr(GDir) dir = g_dir_open(library->root, 0, &local);

    if (!dir) {
        if (g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            return g_steal_pointer(&items);
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
    }
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *folder = g_build_filename(library->root, name, NULL);
        g_autofree char *path = machine_file(folder);
        if (!g_file_test(path, G_FILE_TEST_EXISTS))
            continue;
        LibraryItem *item = g_new0(LibraryItem, 1);
        item->config = config_load(path, &item->error);
        if (item->config) {
            rewrite_paths(item->config, make_absolute, folder);
            set_text(&item->config->folder, folder);
        }
        item->folder = g_steal_pointer(&folder);
        g_ptr_array_add(items, item);
    }
    g_ptr_array_sort(items, compare_items);
    return g_steal_pointer(&items);
}

/* --- names ------------------------------------------------------------------------------------ */

static char *folder_of_name(Library *library, const char *name)
{
    return g_build_filename(library->root, name, NULL);
}

bool library_check_name(Library *library, const char *name, const char *own_folder, GError **error)
{
    const char *problem = NULL;

    if (!*name || strspn(name, " ") == strlen(name))
        problem = _("Give the machine a name.");
    else if (!g_utf8_validate(name, -1, NULL))
        problem = _("The name has characters that cannot be shown.");
    else if (strchr(name, '/'))
        problem = _("A name cannot have a slash: it is also the name of the machine's folder.");
    else if (*name == '.')
        problem = _("A name cannot begin with a dot: its folder would be hidden.");
    else if (strlen(name) > MAX_NAME_BYTES)
        problem = _("The name is too long.");
    for (const char *c = name; !problem && *c; c++)
        if ((unsigned char)*c < 0x20)
            problem = _("The name has characters that cannot be shown.");
    if (!problem) {
        g_autofree char *folder = folder_of_name(library, name);
        if (g_file_test(folder, G_FILE_TEST_EXISTS) && g_strcmp0(folder, own_folder) != 0)
            problem = _("There is already a machine with this name.");
    }
    if (problem)
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_FILENAME, problem);
    return !problem;
}

char *library_free_name(Library *library, const char *wish)
{
    g_autofree char *base = g_strdup(wish);

    g_strstrip(g_strdelimit(base, "/\n\r\t", ' '));
    if (!*base || *base == '.')
        set_text(&base, _("Machine"));
    for (unsigned number = 1;; number++) {
        g_autofree char *name =
            number == 1 ? g_strdup(base) : g_strdup_printf("%s %u", base, number);
        g_autofree char *folder = folder_of_name(library, name);
        if (!g_file_test(folder, G_FILE_TEST_EXISTS))
            return g_steal_pointer(&name);
    }
}

/* --- add, save, rename ------------------------------------------------------------------------ */

static bool make_folder(Library *library, const char *name, char **folder, GError **error)
{
    g_autofree char *path = folder_of_name(library, name);

    if (!library_check_name(library, name, NULL, error))
        return false;
    if (g_mkdir_with_parents(library->root, 0755) != 0 || g_mkdir(path, 0755) != 0) {
        int code = errno;
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(code),
                    _("Cannot make the folder “%s”: %s."), path, g_strerror(code));
        return false;
    }
    *folder = g_steal_pointer(&path);
    return true;
}

bool library_save(Library *library, const MachineConfig *config, GError **error)
{
    g_autoptr(MachineConfig) copy = config_copy(config);
    g_autofree char *path = machine_file(config->folder);

    rewrite_paths(copy, make_relative, config->folder);
    return config_save(copy, path, error);
}

bool library_add(Library *library, MachineConfig *config, GError **error)
{
    g_autofree char *folder = NULL;

    if (!make_folder(library, config->name, &folder, error))
        return false;
    set_text(&config->folder, folder);
    if (library_save(library, config, error))
        return true;
    g_rmdir(folder);
    g_clear_pointer(&config->folder, g_free);
    return false;
}

bool library_rename(Library *library, MachineConfig *config, const char *name, GError **error)
{
    g_autofree char *folder = folder_of_name(library, name);
    g_autofree char *old_folder = g_strdup(config->folder);
    g_autoptr(MachineConfig) renamed = NULL;

    if (!library_check_name(library, name, old_folder, error))
        return false;
    /* The file first: whatever fails after it, folder and file agree on where the disks are. */
    renamed = config_copy(config);
    set_text(&renamed->name, name);
    if (!library_save(library, renamed, error))
        return false;
    if (!g_str_equal(folder, old_folder) && g_rename(old_folder, folder) != 0) {
        int code = errno;
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(code),
                    _("Cannot rename the folder “%s”: %s."), old_folder, g_strerror(code));
        library_save(library, config, NULL);
        return false;
    }
    rewrite_paths(config, make_relative, old_folder);
    rewrite_paths(config, make_absolute, folder);
    set_text(&config->folder, folder);
    set_text(&config->name, name);
    return true;
}

/* --- clone and delete ------------------------------------------------------------------------- */

GPtrArray *library_own_disks(const MachineConfig *config)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; config->folder && i < config->drives->len; i++) {
        const DriveConfig *drive = config->drives->pdata[i];
        if (path_below(drive->file, config->folder))
            g_ptr_array_add(paths, g_strdup(drive->file));
    }
    return paths;
}

typedef struct {
    LibraryProgress progress;
    void *opaque;
    unsigned done, count;
} CloneProgress;

static void on_copied(void *opaque, double fraction)
{
    CloneProgress *clone = opaque;

    if (clone->progress)
        clone->progress(clone->opaque, (clone->done + fraction) / clone->count);
}

MachineConfig *library_clone(Library *library, const MachineConfig *config, const char *name,
                             LibraryProgress progress, void *opaque, GCancellable *cancellable,
                             GError **error)
{
    g_autoptr(MachineConfig) clone = config_copy(config);
    g_autoptr(GPtrArray) disks = library_own_disks(config);
    CloneProgress state = {.progress = progress, .opaque = opaque, .count = MAX(disks->len, 1)};
    g_autofree char *folder = NULL;

    if (!make_folder(library, name, &folder, error))
        return NULL;
    rewrite_paths(clone, make_relative, config->folder);
    rewrite_paths(clone, make_absolute, folder);
    set_text(&clone->folder, folder);
    set_text(&clone->name, name);
    for (; state.done < disks->len; state.done++) {
        const char *from = disks->pdata[state.done];
        g_autofree char *to = g_build_filename(folder, path_below(from, config->folder), NULL);
        g_autofree char *to_folder = g_path_get_dirname(to);
        g_mkdir_with_parents(to_folder, 0755);
        if (!copy_file_sparse(from, to, on_copied, &state, cancellable, error)) {
            library_delete(library, clone, true, NULL);
            return NULL;
        }
    }
    if (!library_save(library, clone, error)) {
        library_delete(library, clone, true, NULL);
        return NULL;
    }
    return g_steal_pointer(&clone);
}

bool library_delete(Library *library, const MachineConfig *config, bool with_disks, GError **error)
{
    g_autofree char *path = machine_file(config->folder);
    g_autofree char *picture = g_build_filename(config->folder, "screen.png", NULL);
    g_autoptr(GPtrArray) disks = library_own_disks(config);

    /* The disks first: if one cannot go, the machine is still there to try again. */
    for (guint i = 0; with_disks && i < disks->len; i++) {
        if (g_unlink(disks->pdata[i]) == 0 || errno == ENOENT)
            continue;
        int code = errno;
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(code), _("Cannot delete “%s”: %s."),
                    (char *)disks->pdata[i], g_strerror(code));
        return false;
    }
    if (g_unlink(path) != 0 && errno != ENOENT) {
        int code = errno;
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(code), _("Cannot delete “%s”: %s."),
                    path, g_strerror(code));
        return false;
    }
    g_unlink(picture);
    g_rmdir(config->folder); /* stays when something of the user's is in it */
    return true;
}

/* --- recent media ----------------------------------------------------------------------------- */

char **library_recent_media(Library *library)
{
    g_autofree char *path = g_build_filename(library->root, RECENT_FILE, NULL);
    g_autofree char *text = NULL;
    g_autoptr(GPtrArray) list = g_ptr_array_new();

    if (g_file_get_contents(path, &text, NULL, NULL)) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++)
            if (**line && g_file_test(*line, G_FILE_TEST_EXISTS))
                g_ptr_array_add(list, g_strdup(*line));
    }
    g_ptr_array_add(list, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&list), FALSE);
}

void library_note_medium(Library *library, const char *medium)
{
    g_autofree char *path = g_build_filename(library->root, RECENT_FILE, NULL);
    g_auto(GStrv) old = library_recent_media(library);
    g_autoptr(GString) text = g_string_new(medium);

    if (strchr(medium, '\n'))
        return;
    g_string_append_c(text, '\n');
    for (unsigned i = 0, kept = 1; old[i] && kept < MAX_RECENT; i++) {
        if (g_str_equal(old[i], medium))
            continue;
        g_string_append_printf(text, "%s\n", old[i]);
        kept++;
    }
    g_mkdir_with_parents(library->root, 0755);
    g_autoptr(GError) error = NULL;
    if (!g_file_set_contents(path, text->str, (gssize)text->len, &error))
        g_message("%s", error->message); /* a list for convenience: losing it costs nothing */
}
