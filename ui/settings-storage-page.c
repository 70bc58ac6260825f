/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/settings-storage-page.h"

#include "core/block/convert.h"
#include "core/block/info.h"
#include "ui/dialogs.h"
#include "ui/disk-dialog.h"
#include "ui/job.h"
#include "ui/paths.h"

#include <glib/gi18n.h>
#include <glib/gstdio.h>

struct _ApiarySettingsStoragePage {
    ApiarySettingsPage parent;
    char *shown;       /* what the list was made from */
    GHashTable *about; /* path -> words about the image, "" while it is being looked at */
    GHashTable *sizes; /* path -> uint64_t*: size the guest sees */
    GtkWidget *drives, *problem, *new_disk, *attach, *add_cd, *add_floppy, *pending;
};

G_DEFINE_FINAL_TYPE(ApiarySettingsStoragePage, apiary_settings_storage_page,
                    APIARY_TYPE_SETTINGS_PAGE)

static void update(ApiarySettingsPage *page);

static GtkWindow *get_window(ApiarySettingsStoragePage *self)
{
    return GTK_WINDOW(gtk_widget_get_toplevel(GTK_WIDGET(self)));
}

static MachineConfig *get_config(ApiarySettingsStoragePage *self)
{
    return apiary_settings_page_get_config(APIARY_SETTINGS_PAGE(self));
}

static void save(ApiarySettingsStoragePage *self)
{
    apiary_settings_page_save(APIARY_SETTINGS_PAGE(self));
}

/* --- what is known about an image ------------------------------------------------------------- */

typedef struct {
    char *text;
    uint64_t size;
} About;

static void about_free(gpointer data)
{
    About *about = data;

    g_free(about->text);
    g_free(about);
}

static void look(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    g_autoptr(GError) error = NULL;
    BlockInfo *info = block_info_read(data, NULL, true, &error);
    About *about = g_new0(About, 1);

    if (info) {
        g_autofree char *size = g_format_size_full(info->virtual_size, G_FORMAT_SIZE_IEC_UNITS);
        g_autofree char *used = g_format_size_full(info->actual_size, G_FORMAT_SIZE_IEC_UNITS);
        about->text =
            g_strdup_printf(_("%s, %s; takes %s on this computer"), info->format, size, used);
        about->size = info->virtual_size;
        block_info_free(info);
    } else {
        about->text = g_strdup(error->message);
    }
    g_task_return_pointer(task, about, about_free);
}

static void on_looked(GObject *source, GAsyncResult *result, gpointer data)
{
    ApiarySettingsStoragePage *self = APIARY_SETTINGS_STORAGE_PAGE(source);
    About *about = g_task_propagate_pointer(G_TASK(result), NULL);
    const char *path = g_task_get_task_data(G_TASK(result));

    if (!about)
        return;
    g_hash_table_replace(self->about, g_strdup(path), g_strdup(about->text));
    g_hash_table_replace(self->sizes, g_strdup(path), g_memdup2(&about->size, sizeof about->size));
    about_free(about);
    if (apiary_settings_page_get_vm(APIARY_SETTINGS_PAGE(self)))
        update(APIARY_SETTINGS_PAGE(self));
}

/* "" until it is known. */
static const char *tell_about(ApiarySettingsStoragePage *self, const char *path)
{
    const char *text = g_hash_table_lookup(self->about, path);

    if (text)
        return text;
    g_hash_table_insert(self->about, g_strdup(path), g_strdup(""));
    g_autoptr(GTask) task = g_task_new(self, NULL, on_looked, NULL);
    g_task_set_task_data(task, g_strdup(path), g_free);
    g_task_run_in_thread(task, look);
    return "";
}

static void forget_about(ApiarySettingsStoragePage *self, const char *path)
{
    g_hash_table_remove(self->about, path);
    g_clear_pointer(&self->shown, g_free);
}

/* --- slow work -------------------------------------------------------------------------------- */

typedef enum { WORK_CREATE, WORK_RESIZE, WORK_CONVERT } WorkKind;

typedef struct {
    ApiarySettingsStoragePage *page;
    WorkKind kind;
    char *drive, *path, *format; /* the disk it is about; drive: its id */
    ApiaryDiskWish wish;
} Work;

static void work_free(Work *work)
{
    g_object_unref(work->page);
    g_free(work->drive);
    g_free(work->path);
    g_free(work->format);
    g_free(work->wish.path);
    g_free(work);
}

static bool on_progress(void *opaque, double fraction)
{
    ApiaryJob *job = opaque;

    apiary_job_set_fraction(job, fraction);
    return !g_cancellable_is_cancelled(apiary_job_get_cancellable(job));
}

static bool run_work(ApiaryJob *job, void *opaque, GError **error)
{
    Work *work = opaque;
    BlockConvertOptions options = {
        .source_format = work->format, .target_format = work->wish.format, .sparse = 4096};

    switch (work->kind) {
    case WORK_CREATE:
        return block_image_create(work->wish.path, work->wish.format, work->wish.size, NULL, NULL,
                                  NULL, error);
    case WORK_RESIZE: return block_resize(work->path, work->format, work->wish.size, false, error);
    case WORK_CONVERT: break;
    }
    if (block_convert(work->path, work->wish.path, &options, on_progress, job, error))
        return true;
    g_unlink(work->wish.path);
    return false;
}

/* A place on the IDE channels or, FLOPPY, the floppy cable that no drive has; -1: none. */
static int free_place(const MachineConfig *config, bool floppy)
{
    for (int place = 0; place < (floppy ? 2 : 4); place++) {
        bool taken = false;
        for (guint i = 0; i < config->drives->len; i++) {
            const DriveConfig *drive = config->drives->pdata[i];
            taken |= floppy == (drive->kind == DRIVE_FLOPPY) &&
                     (floppy ? drive->unit : drive->bus * 2 + drive->unit) == place;
        }
        if (!taken)
            return place;
    }
    return -1;
}

static DriveConfig *add_drive(ApiarySettingsStoragePage *self, DriveKind kind, const char *path)
{
    bool floppy = kind == DRIVE_FLOPPY;
    int place = free_place(get_config(self), floppy);

    return place < 0 ? NULL
                     : config_add_drive(get_config(self), kind, floppy ? 0 : place / 2,
                                        floppy ? place : place % 2, path);
}

static void apply_work(Work *work)
{
    ApiarySettingsStoragePage *self = work->page;
    DriveConfig *drive = work->kind == WORK_CREATE
                             ? add_drive(self, DRIVE_IDE_DISK, work->wish.path)
                             : config_find_drive(get_config(self), work->drive);

    if (drive && work->kind != WORK_RESIZE) {
        apiary_settings_set_text(&drive->file, work->wish.path);
        apiary_settings_set_text(&drive->format, work->wish.format);
    }
    if (work->path)
        forget_about(self, work->path);
    save(self);
}

static void finish_work(void *opaque, const GError *error)
{
    Work *work = opaque;
    bool alive = apiary_settings_page_get_vm(APIARY_SETTINGS_PAGE(work->page)) != NULL;

    if (alive) {
        bool cancelled = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
        apiary_settings_show_problem(work->page->problem,
                                     error && !cancelled ? error->message : NULL);
        if (!error)
            apply_work(work);
    }
    work_free(work);
}

static Work *work_new(ApiarySettingsStoragePage *self, WorkKind kind, const DriveConfig *drive)
{
    Work *work = g_new0(Work, 1);

    work->page = g_object_ref(self);
    work->kind = kind;
    work->drive = g_strdup(drive ? drive->id : NULL);
    work->path = g_strdup(drive ? drive->file : NULL);
    work->format = g_strdup(drive ? drive->format : NULL);
    return work;
}

/* The dialog's answer: the work begins. */
static void on_wish(void *opaque, const ApiaryDiskWish *wish)
{
    static const char *const titles[] = {
        [WORK_CREATE] = N_("Making the disk…"),
        [WORK_RESIZE] = N_("Resizing the disk…"),
        [WORK_CONVERT] = N_("Converting the disk…"),
    };
    Work *work = opaque;

    if (!wish || !apiary_settings_page_get_vm(APIARY_SETTINGS_PAGE(work->page))) {
        work_free(work);
        return;
    }
    work->wish = *wish;
    work->wish.path = g_strdup(wish->path);
    apiary_job_run(get_window(work->page), _(titles[work->kind]), run_work, finish_work, work);
}

/* --- buttons of a drive ----------------------------------------------------------------------- */

static DriveConfig *drive_of(ApiarySettingsStoragePage *self, GtkButton *button)
{
    return config_find_drive(get_config(self), g_object_get_data(G_OBJECT(button), "drive"));
}

typedef struct {
    ApiarySettingsStoragePage *page;
    char *drive;
} Insertion;

static void on_image_chosen(void *opaque, const char *path)
{
    Insertion *insertion = opaque;
    ApiarySettingsStoragePage *self = insertion->page;
    ApiaryVm *vm = apiary_settings_page_get_vm(APIARY_SETTINGS_PAGE(self));
    DriveConfig *drive = vm ? config_find_drive(get_config(self), insertion->drive) : NULL;

    if (drive && path && drive->kind == DRIVE_IDE_DISK) { /* comes with the next start */
        apiary_settings_set_text(&drive->file, path);
        g_clear_pointer(&drive->format, g_free);
    } else if (drive && path) {
        apiary_vm_change_medium(vm, drive->id, path, false);
    }
    if (drive && path)
        save(self);
    g_object_unref(self);
    g_free(insertion->drive);
    g_free(insertion);
}

static void on_insert(GtkButton *button, ApiarySettingsStoragePage *self)
{
    static const char *const patterns[] = {"*.iso", "*.ISO", "*.img", "*.qcow2", "*.raw", NULL};
    Insertion *insertion = g_new(Insertion, 1);

    *insertion =
        (Insertion){g_object_ref(self), g_strdup(g_object_get_data(G_OBJECT(button), "drive"))};
    apiary_dialog_open_file(get_window(self), _("Choose an Image"), _("Images"), patterns,
                            on_image_chosen, insertion);
}

static void on_eject(GtkButton *button, ApiarySettingsStoragePage *self)
{
    apiary_vm_change_medium(apiary_settings_page_get_vm(APIARY_SETTINGS_PAGE(self)),
                            g_object_get_data(G_OBJECT(button), "drive"), NULL, true);
    save(self);
}

static void on_remove(GtkButton *button, ApiarySettingsStoragePage *self)
{
    DriveConfig *drive = drive_of(self, button);

    if (drive)
        g_ptr_array_remove(get_config(self)->drives, drive);
    save(self);
}

static void on_resize(GtkButton *button, ApiarySettingsStoragePage *self)
{
    DriveConfig *drive = drive_of(self, button);
    const uint64_t *size = drive ? g_hash_table_lookup(self->sizes, drive->file) : NULL;

    if (size && *size)
        apiary_disk_dialog_resize(get_window(self), *size, on_wish,
                                  work_new(self, WORK_RESIZE, drive));
}

static void on_convert(GtkButton *button, ApiarySettingsStoragePage *self)
{
    DriveConfig *drive = drive_of(self, button);

    if (drive)
        apiary_disk_dialog_convert(get_window(self), drive->file, drive->format, on_wish,
                                   work_new(self, WORK_CONVERT, drive));
}

/* --- buttons of the page ---------------------------------------------------------------------- */

static void on_new_disk(ApiarySettingsStoragePage *self)
{
    apiary_disk_dialog_create(get_window(self), get_config(self)->folder, on_wish,
                              work_new(self, WORK_CREATE, NULL));
}

static void on_disk_chosen(void *opaque, const char *path)
{
    g_autoptr(ApiarySettingsStoragePage) self = opaque;

    if (path && apiary_settings_page_get_vm(APIARY_SETTINGS_PAGE(self)) &&
        add_drive(self, DRIVE_IDE_DISK, path))
        save(self);
}

static void on_attach(ApiarySettingsStoragePage *self)
{
    static const char *const patterns[] = {"*.qcow2", "*.raw", "*.img", NULL};

    apiary_dialog_open_file(get_window(self), _("Attach a Disk"), _("Disk images"), patterns,
                            on_disk_chosen, g_object_ref(self));
}

static void on_add_cd(ApiarySettingsStoragePage *self)
{
    add_drive(self, DRIVE_IDE_CD, NULL);
    save(self);
}

static void on_add_floppy(ApiarySettingsStoragePage *self)
{
    add_drive(self, DRIVE_FLOPPY, NULL);
    save(self);
}

/* --- the list --------------------------------------------------------------------------------- */

static const char *kind_text(const DriveConfig *drive)
{
    switch (drive->kind) {
    case DRIVE_IDE_CD: return _("CD/DVD drive");
    case DRIVE_FLOPPY: return _("Floppy drive");
    case DRIVE_IDE_DISK: break;
    }
    return _("Hard disk");
}

static char *place_text(const DriveConfig *drive)
{
    if (drive->kind == DRIVE_FLOPPY)
        return g_strdup_printf("%c:", 'A' + drive->unit);
    return g_strdup_printf(drive->unit ? _("IDE channel %d, slave") : _("IDE channel %d, master"),
                           drive->bus + 1);
}

static void add_button(ApiarySettingsStoragePage *self, GtkWidget *box, const DriveConfig *drive,
                       const char *label, GCallback clicked, bool sensitive)
{
    GtkWidget *button = gtk_button_new_with_label(label);
    g_autofree char *spoken = g_strdup_printf("%s: %s", drive->id, label);

    g_object_set_data_full(G_OBJECT(button), "drive", g_strdup(drive->id), g_free);
    atk_object_set_name(gtk_widget_get_accessible(button), spoken);
    gtk_widget_set_sensitive(button, sensitive);
    if (!sensitive)
        gtk_widget_set_tooltip_text(button, _("Only while the machine is off"));
    g_signal_connect(button, "clicked", clicked, self);
    gtk_container_add(GTK_CONTAINER(box), button);
}

static GtkWidget *add_line(GtkWidget *box, const char *text, const char *style)
{
    GtkWidget *label = gtk_label_new(text);

    gtk_label_set_xalign(GTK_LABEL(label), 0);
    gtk_label_set_ellipsize(GTK_LABEL(label), PANGO_ELLIPSIZE_MIDDLE);
    gtk_widget_set_tooltip_text(label, text);
    if (style)
        gtk_style_context_add_class(gtk_widget_get_style_context(label), style);
    gtk_container_add(GTK_CONTAINER(box), label);
    return label;
}

static void add_pending(ApiarySettingsStoragePage *self, GtkWidget *box, const DriveConfig *drive)
{
    const MachineConfig *running = apiary_settings_page_get_running(APIARY_SETTINGS_PAGE(self));
    const DriveConfig *now = running ? config_find_drive(running, drive->id) : NULL;

    if (!running ||
        (now && (drive->kind != DRIVE_IDE_DISK || g_strcmp0(now->file, drive->file) == 0)))
        return;
    GtkWidget *label = add_line(box, "", "apiary-pending");
    apiary_settings_show_pending(label, now && now->file ? now->file : _("no drive"),
                                 drive->file ? drive->file : _("an empty drive"));
    gtk_widget_set_tooltip_text(label, gtk_label_get_text(GTK_LABEL(label)));
}

static void add_drive_box(ApiarySettingsStoragePage *self, const DriveConfig *drive)
{
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 3);
    GtkWidget *buttons = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
    ApiaryVm *vm = apiary_settings_page_get_vm(APIARY_SETTINGS_PAGE(self));
    const char *file =
        drive->kind == DRIVE_IDE_DISK ? drive->file : apiary_vm_get_medium(vm, drive->id);
    bool off = !apiary_vm_is_on(vm), disk = drive->kind == DRIVE_IDE_DISK;
    g_autofree char *place = place_text(drive);
    g_autofree char *markup =
        g_markup_printf_escaped("<b>%s</b>  %s (%s)", kind_text(drive), place, drive->id);
    GtkWidget *title = add_line(box, "", NULL);

    gtk_label_set_markup(GTK_LABEL(title), markup);
    add_line(box, file ? file : _("Empty"), NULL);
    if (file)
        add_line(box, tell_about(self, file), "dim-label");
    add_pending(self, box, drive);
    gtk_widget_set_margin_top(buttons, 3);
    add_button(self, buttons, drive, disk ? _("Choose…") : _("Insert…"), G_CALLBACK(on_insert),
               true);
    if (disk) {
        add_button(self, buttons, drive, _("Resize…"), G_CALLBACK(on_resize), off);
        add_button(self, buttons, drive, _("Convert…"), G_CALLBACK(on_convert), off);
    } else if (file) {
        add_button(self, buttons, drive, _("Eject"), G_CALLBACK(on_eject), true);
    }
    add_button(self, buttons, drive, _("Remove"), G_CALLBACK(on_remove), true);
    gtk_container_add(GTK_CONTAINER(box), buttons);
    gtk_container_add(GTK_CONTAINER(self->drives), box);
}

static const char *known_about(ApiarySettingsStoragePage *self, const char *path)
{
    const char *text = path ? g_hash_table_lookup(self->about, path) : NULL;

    return text ? text : "";
}

/* All that the list depends on, so that it is made anew (and the focus lost) only when needed. */
static char *describe(ApiarySettingsStoragePage *self)
{
    ApiaryVm *vm = apiary_settings_page_get_vm(APIARY_SETTINGS_PAGE(self));
    const MachineConfig *config = get_config(self);
    GString *text = g_string_new(apiary_vm_is_on(vm) ? "on" : "off");

    for (guint i = 0; i < config->drives->len; i++) {
        const DriveConfig *drive = config->drives->pdata[i];
        const char *medium = apiary_vm_get_medium(vm, drive->id);
        g_string_append_printf(text, "\n%s|%s|%s|%s|%s", drive->id, drive->file ? drive->file : "",
                               medium ? medium : "", known_about(self, drive->file),
                               known_about(self, medium));
    }
    return g_string_free(text, FALSE);
}

static char *describe_count(unsigned n)
{
    return g_strdup_printf(ngettext("%u drive", "%u drives", n), n);
}

static void update_pending(ApiarySettingsStoragePage *self)
{
    const MachineConfig *running = apiary_settings_page_get_running(APIARY_SETTINGS_PAGE(self));
    g_autofree char *now = running ? describe_count(running->drives->len) : NULL;
    g_autofree char *next = describe_count(get_config(self)->drives->len);

    apiary_settings_show_pending(self->pending, now, next);
}

static void update(ApiarySettingsPage *page)
{
    ApiarySettingsStoragePage *self = APIARY_SETTINGS_STORAGE_PAGE(page);
    const MachineConfig *config = get_config(self);
    bool room = free_place(config, false) >= 0;
    char *description = describe(self);

    gtk_widget_set_sensitive(self->new_disk, room && config->folder);
    gtk_widget_set_sensitive(self->attach, room);
    gtk_widget_set_sensitive(self->add_cd, room);
    gtk_widget_set_sensitive(self->add_floppy, free_place(config, true) >= 0);
    update_pending(self);
    if (g_strcmp0(description, self->shown) == 0) {
        g_free(description);
        return;
    }
    apiary_settings_clear(self->drives);
    for (guint i = 0; i < config->drives->len; i++)
        add_drive_box(self, config->drives->pdata[i]);
    gtk_widget_show_all(self->drives);
    g_free(self->shown);
    g_free(description);
    self->shown = describe(self);
}

/* --- class ------------------------------------------------------------------------------------ */

static void apiary_settings_storage_page_finalize(GObject *object)
{
    ApiarySettingsStoragePage *self = APIARY_SETTINGS_STORAGE_PAGE(object);

    g_hash_table_unref(self->about);
    g_hash_table_unref(self->sizes);
    g_free(self->shown);
    G_OBJECT_CLASS(apiary_settings_storage_page_parent_class)->finalize(object);
}

static void apiary_settings_storage_page_init(ApiarySettingsStoragePage *self)
{
    self->about = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    self->sizes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    gtk_widget_init_template(GTK_WIDGET(self));
}

static void apiary_settings_storage_page_class_init(ApiarySettingsStoragePageClass *klass)
{
    GtkWidgetClass *widget_class = GTK_WIDGET_CLASS(klass);

    APIARY_SETTINGS_PAGE_CLASS(klass)->update = update;
    G_OBJECT_CLASS(klass)->finalize = apiary_settings_storage_page_finalize;
    gtk_widget_class_set_template_from_resource(widget_class,
                                                APIARY_RESOURCE_PATH "/settings-storage-page.ui");
#define BIND(child)                                                                                \
    gtk_widget_class_bind_template_child(widget_class, ApiarySettingsStoragePage, child)
    BIND(drives);
    BIND(problem);
    BIND(new_disk);
    BIND(attach);
    BIND(add_cd);
    BIND(add_floppy);
    BIND(pending);
#undef BIND
    gtk_widget_class_bind_template_callback(widget_class, on_new_disk);
    gtk_widget_class_bind_template_callback(widget_class, on_attach);
    gtk_widget_class_bind_template_callback(widget_class, on_add_cd);
    gtk_widget_class_bind_template_callback(widget_class, on_add_floppy);
}
