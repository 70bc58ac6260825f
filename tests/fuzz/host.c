/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The host's part in a process of its own, which is told of a batch by a byte and answers by one.
 */

#include "tests/core/cpu/host-cpu.h"
#include "tests/fuzz/fuzz.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST_USER_PAGE 0x7ffffffff000

enum { HANG_SECONDS = 10 };

static HostBatch *batch;
static pid_t child;
static int line; /* the worker's end */

/* --- the process ------------------------------------------------------------------------------ */

static uint8_t *code; /* writable; at fuzz_places[].code it is not */

static void *map_at(uint64_t address, size_t length, int protection, int fd)
{
    void *p = mmap((void *)address, length, protection,
                   (address ? MAP_FIXED_NOREPLACE : 0) | MAP_SHARED | MAP_POPULATE |
                       (fd < 0 ? MAP_ANONYMOUS : 0),
                   fd, 0);

    if (p == MAP_FAILED || (address && p != (void *)address)) {
        perror("fuzz: cannot map what a guest has mapped");
        _exit(2);
    }
    return p;
}

static int shared_pages(const char *name, size_t length)
{
    int fd = memfd_create(name, MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, length) < 0)
        _exit(2);
    return fd;
}

/* The same code and data at both places, as the guests have it. */
static void map_places(void)
{
    int code_fd = shared_pages("fuzz-code", CODE_SIZE);
    int data_fd = shared_pages("fuzz-data", STATE_PAGE + STATE_DATA);

    code = map_at(0, CODE_SIZE, PROT_READ | PROT_WRITE, code_fd);
    fuzz_fill_read_only(map_at(0, STATE_PAGE, PROT_READ | PROT_WRITE, data_fd));
    for (FuzzMode mode = FUZZ_64; mode <= FUZZ_32; mode++) {
        const FuzzPlaces *places = &fuzz_places[mode];
        uint64_t pages = places->data - STATE_PAGE;
        map_at(places->code, CODE_SIZE, PROT_READ | PROT_EXEC, code_fd);
        map_at(pages, STATE_PAGE + STATE_DATA, PROT_READ | PROT_WRITE, data_fd);
        mprotect((void *)pages, STATE_PAGE, PROT_READ);
        if (!host_cpu_place_exit(places->exit, mode == FUZZ_32))
            _exit(2);
    }
    close(code_fd);
    close(data_fd);
}

static void run_case(const FuzzCase *c, CpuState *out)
{
    uint8_t *data = (uint8_t *)fuzz_places[c->mode].data;

    memcpy(code + c->offset, c->code, c->length);
    memcpy(data, c->in.data, STATE_DATA);
    *out = c->in;
    out->rip = c->start;
    host_cpu_set_code(fuzz_places[c->mode].code, CODE_SIZE);
    host_cpu_run(out, c->mode == FUZZ_32);
    memcpy(out->data, data, STATE_DATA);
    memset(code + c->offset, 0, c->length); /* the next case shall not see it */
    if (out->vector < 0)
        out->rip = c->end;
    if (out->vector != EXC_PF)
        out->address = 0;
    /* Linux hides what is mapped in its half. */
    if (out->vector == EXC_PF && out->address >= LAST_USER_PAGE)
        out->error &= ~1u;
}

static _Noreturn void serve(int fd)
{
    uint8_t n;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    map_places();
    host_cpu_init();
    while (read(fd, &n, 1) == 1) {
        fuzz_limit_time(HANG_SECONDS);
        for (unsigned i = 0; i < n; i++) {
            if (!batch->wanted[i] || batch->done[i])
                continue;
            run_case(&batch->cases[i], &batch->out[i]);
            batch->done[i] = true;
        }
        if (write(fd, &n, 1) != 1)
            break;
    }
    _exit(0);
}

/* --- the worker's side ------------------------------------------------------------------------ */

bool host_can_run(FuzzMode mode)
{
    return mode == FUZZ_64 || (mode == FUZZ_32 && host_cpu_has_compatibility());
}

HostBatch *host_batch(void)
{
    if (!batch) {
        batch =
            mmap(NULL, sizeof *batch, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        g_assert(batch != MAP_FAILED);
    }
    return batch;
}

static void start(void)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        g_error("Cannot make a socket for the host's process");
    child = fork();
    if (child < 0)
        g_error("Cannot start the host's process");
    if (!child) {
        signal(SIGALRM, SIG_DFL);
        close(ends[0]);
        serve(ends[1]);
    }
    close(ends[1]);
    line = ends[0];
}

void host_stop(void)
{
    if (!child)
        return;
    close(line);
    waitpid(child, NULL, 0);
    child = 0;
}

static void tell(unsigned n)
{
    uint8_t byte = n;

    if (!child)
        start();
    if (send(line, &byte, 1, MSG_NOSIGNAL) != 1)
        host_stop();
}

void host_begin(unsigned n)
{
    memset(batch->done, 0, sizeof batch->done);
    tell(n);
}

void host_finish(unsigned n)
{
    uint8_t byte;

    while (!child || read(line, &byte, 1) != 1) {
        int status = 0;
        unsigned i = 0;
        if (child) {
            close(line);
            waitpid(child, &status, 0);
            child = 0;
            if (WIFEXITED(status))
                g_error("The host's process could not be set up");
        }
        while (i < n && (!batch->wanted[i] || batch->done[i]))
            i++;
        if (i == n)
            return;
        batch->wanted[i] = false; /* of this one it died */
        tell(n);
    }
}
