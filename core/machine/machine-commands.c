/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The machine's commands, on the board thread. */

#include "core/machine/input.h"
#include "core/machine/machine-private.h"
#include "core/machine/monitor.h"
#include "core/machine/network-commands.h"
#include "core/machine/query.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <inttypes.h>

/* The end of guest-physical memory: of RAM, and of the ROM and devices below 4 GiB. */
static bool check_memory_range(Machine *machine, const MachineCommand *command, GError **error)
{
    uint64_t end = (4ull << 30) + pc_board(machine->pc)->ram_above_4g;

    if (command->length <= end && (!command->flag || command->address <= end - command->length))
        return true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                "0x%" G_GINT64_MODIFIER "x bytes at 0x%" G_GINT64_MODIFIER
                "x are more than the machine's memory, which ends at 0x%" G_GINT64_MODIFIER "x.",
                command->length, command->address, end);
    return false;
}

static bool write_memory(Machine *machine, const MachineCommand *command, GOutputStream *stream,
                         GError **error)
{
    Board *board = pc_board(machine->pc);
    uint8_t chunk[4096];

    for (uint64_t done = 0; done < command->length;) {
        uint64_t address = command->address + done, physical = address;
        size_t n = MIN(command->length - done, 4096 - (address & 4095));
        if (!command->flag && !monitor_translate(machine->pc, command->cpu, address, &physical)) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                        _("Address 0x%" PRIx64 " is not mapped on CPU %u."), address, command->cpu);
            return false;
        }
        board_lock(board);
        memory_read(board->memory, physical, chunk, n);
        board_unlock(board);
        if (!g_output_stream_write_all(stream, chunk, n, NULL, NULL, error))
            return false;
        done += n;
    }
    return true;
}

static bool save_memory(Machine *machine, const MachineCommand *command, GError **error)
{
    g_autoptr(GFile) file = g_file_new_for_path(command->text[0]);

    if (!check_memory_range(machine, command, error))
        return false;
    g_autoptr(GFileOutputStream) stream =
        g_file_replace(file, NULL, FALSE, G_FILE_CREATE_NONE, NULL, error);
    if (!stream)
        return false;
    if (write_memory(machine, command, G_OUTPUT_STREAM(stream), error))
        return g_output_stream_close(G_OUTPUT_STREAM(stream), NULL, error);
    /* Closing with a cancelled operation leaves what was there before. */
    g_autoptr(GCancellable) cancelled = g_cancellable_new();
    g_cancellable_cancel(cancelled);
    g_output_stream_close(G_OUTPUT_STREAM(stream), cancelled, NULL);
    return false;
}

void machine_input(Machine *machine, const MachineCommand *command)
{
    Board *board = pc_board(machine->pc);

    board_lock(board);
    if (command->type == COMMAND_KEY)
        input_key(board->input, command->key.code, command->key.down);
    else if (command->type == COMMAND_POINTER_MOTION)
        input_motion(board->input, command->pointer.x, command->pointer.y, command->pointer.wheel,
                     command->pointer.buttons);
    else
        input_position(board->input, command->pointer.x, command->pointer.y, command->pointer.wheel,
                       command->pointer.buttons);
    board_unlock(board);
}

static void run_command(Machine *machine, MachinePending *pending)
{
    const MachineCommand *command = &pending->command;
    GError **error = &pending->error;

    if (command->type == COMMAND_START) {
        machine_start(machine, error);
        return;
    }
    if (command->type == COMMAND_SCREENSHOT) {
        display_save(machine->display, command->text[0],
                     command->text[1] ? command->text[1] : "png", error);
        return;
    }
    if (machine_vnc_command(machine, pending))
        return;
    if (!machine->pc) {
        if (command->type != COMMAND_STOP)
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, _("The machine is off."));
        return;
    }
    Board *board = pc_board(machine->pc);
    switch (command->type) {
    case COMMAND_PAUSE:
        if (machine->state == MACHINE_RUNNING)
            machine_pause(machine, CAUSE_USER);
        break;
    case COMMAND_RESUME: machine_resume(machine); break;
    case COMMAND_RESET:
        pc_reset(machine->pc);
        machine_emit(machine, &(MachineEvent){.type = EVENT_RESET, .cause = CAUSE_USER});
        if (machine->state == MACHINE_RUNNING)
            pc_resume(machine->pc);
        break;
    case COMMAND_POWER_BUTTON:
        board_lock(board);
        pc_power_button(machine->pc);
        board_unlock(board);
        machine_emit(machine, &(MachineEvent){.type = EVENT_POWER_BUTTON});
        break;
    case COMMAND_STOP: machine_stop(machine, CAUSE_USER, NULL, 0); break;
    case COMMAND_KEY:
    case COMMAND_POINTER_MOTION:
    case COMMAND_POINTER_POSITION: machine_input(machine, command); break;
    case COMMAND_INSERT_MEDIUM:
        pc_change_medium(machine->pc, command->text[0], command->text[1], command->flag, error);
        break;
    case COMMAND_EJECT_MEDIUM:
        board_lock(board);
        pc_eject_medium(machine->pc, command->text[0], command->flag, error);
        board_unlock(board);
        break;
    case COMMAND_NMI: pc_nmi(machine->pc); break;
    case COMMAND_MONITOR:
        pending->reply_text = monitor_run(machine, machine->pc, command->text[0]);
        break;
    case COMMAND_QUERY: pending->reply_text = query_run(machine->pc, command->text[0]); break;
    case COMMAND_MEMORY_SAVE: save_memory(machine, command, error); break;
    case COMMAND_FORWARD_ADD:
    case COMMAND_FORWARD_REMOVE:
    case COMMAND_SET_LINK:
    case COMMAND_OBJECT_ADD:
    case COMMAND_OBJECT_DELETE:
    case COMMAND_CAPTURE_START:
        network_command_run(machine->pc, command, &pending->reply_text, error);
        break;
    case COMMAND_VNC_OPEN:
        vnc_server_open(machine->vnc, command->text[0], machine->config->name, error);
        break;
    case COMMAND_VNC_PASSWORD:
    case COMMAND_VNC_EXPIRE:
    case COMMAND_VNC_DISCONNECT:
    case COMMAND_START:
    case COMMAND_SCREENSHOT: break;
    }
}

static gboolean deliver_reply(gpointer data)
{
    MachinePending *pending = data;

    pending->reply(pending->opaque, pending->reply_text, pending->error);
    return G_SOURCE_REMOVE;
}

static void pending_free(gpointer data)
{
    MachinePending *pending = data;

    g_main_context_unref(pending->reply_context);
    g_free(pending->text[0]);
    g_free(pending->text[1]);
    g_free(pending->reply_text);
    g_clear_error(&pending->error);
    g_free(pending);
}

static gboolean take_command(gpointer data)
{
    MachinePending *pending = data;

    run_command(pending->machine, pending);
    if (pending->reply)
        machine_run_in(pending->reply_context, deliver_reply, pending, pending_free);
    else
        pending_free(pending);
    return G_SOURCE_REMOVE;
}

void machine_send(Machine *machine, const MachineCommand *command, MachineReply reply, void *opaque)
{
    MachinePending *pending = g_new0(MachinePending, 1);

    pending->machine = machine;
    pending->command = *command;
    for (int i = 0; i < 2; i++)
        pending->command.text[i] = pending->text[i] = g_strdup(command->text[i]);
    pending->reply = reply;
    pending->opaque = opaque;
    pending->reply_context = g_main_context_ref_thread_default();
    machine_run_in(machine->context, take_command, pending, NULL);
}
