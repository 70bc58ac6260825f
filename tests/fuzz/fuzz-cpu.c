/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * fuzz-cpu [--cases N] [--seed S] [--case K] [--jobs J] [--coverage]
 *
 * The last line is "N cases, M mismatches, seed S"; the exit status is 1 if M is not 0.
 */

#include "tests/fuzz/fuzz.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_JOBS = 64, MAX_PRINTED = 8 /* a worker */, HANG_SECONDS = 60 };

/* Shared by the workers. */
typedef struct {
    _Atomic uint64_t cases, asked_host, mismatches, useless, interrupted;
    _Atomic uint64_t current[MAX_JOBS]; /* the case a worker is at */
} Totals;

static Totals *totals;
static uint64_t seed;
static unsigned jobs;

/* --- a worker --------------------------------------------------------------------------------- */

typedef struct {
    unsigned index, printed;
    RunPath path[GROUP];
    CpuState interpreter[GROUP], jit;
    Verdicts failures[GROUP]; /* of those that differ */
} Worker;

/* A host that answers differently the second time is no witness. A switch to another process
 * between an x87 instruction and one that shows its address makes AMD's processors forget the
 * address (APM 2, 11.4.4). And a host that is itself virtual may carry on with an emulator after an
 * interrupt: one raised #UD or #GP, wherever it happened to be, when rCX was not canonical. */
static bool was_interrupted(const FuzzCase *c, const Verdicts *before, const Verdicts *now)
{
    return before->asked_host && !before->lost_host &&
           (!now->differs || (!now->lost_host && !state_equal(&before->host, &now->host))) &&
           judge_agree_translated(c, &before->interpreter, &before->jit) &&
           state_equal(&before->interpreter, &now->interpreter);
}

static void report(Worker *worker, uint64_t number, const Verdicts *failure)
{
    static FuzzCase c;
    static Verdicts verdicts;

    fuzz_limit_time(HANG_SECONDS);
    generate_case(&c, seed, number);
    judge_alone(&c, &verdicts);
    if (was_interrupted(&c, failure, &verdicts)) {
        totals->interrupted++;
        return;
    }
    totals->mismatches++;
    if (worker->printed++ >= MAX_PRINTED)
        return;
    if (verdicts.differs && judge_shrink(&c, &verdicts)) {
        judge_print(&c, &verdicts, seed);
        return;
    }
    printf("alone there is no difference in:\n");
    judge_print(&c, failure, seed);
}

/* N cases of a group. The host works on them while they are translated. */
static void run_group(Worker *worker, uint64_t group, unsigned n)
{
    HostBatch *batch = host_batch();
    bool failed[GROUP] = {false}, asked_host[GROUP], any = false;
    unsigned asked = 0;

    for (unsigned i = 0; i < n; i++) {
        FuzzCase *c = &batch->cases[i];
        generate_case(c, seed, group * GROUP + i);
        totals->current[worker->index] = c->number;
        worker->path[i] = guest_run(GUEST_INTERPRETER, c, &worker->interpreter[i]);
        batch->wanted[i] = c->asks_host && worker->path[i] == RUN_INSIDE && host_can_run(c->mode);
        asked += batch->wanted[i];
        for (unsigned k = 0; k < c->n; k++)
            coverage_count(&c->insns[k]);
    }
    if (asked)
        host_begin(n);
    for (unsigned i = 0; i < n; i++) {
        const FuzzCase *c = &batch->cases[i];
        totals->current[worker->index] = c->number;
        asked_host[i] = batch->wanted[i];
        if (worker->path[i] == RUN_USELESS) {
            totals->useless++;
            continue;
        }
        guest_run(GUEST_JIT, c, &worker->jit);
        if (!judge_agree_translated(c, &worker->interpreter[i], &worker->jit)) {
            failed[i] = any = true;
            worker->failures[i] = (Verdicts){.jit = worker->jit};
        }
    }
    if (asked)
        host_finish(n);
    for (unsigned i = 0; i < n; i++) {
        if (!asked_host[i] || judge_agree_host(&batch->cases[i], &worker->interpreter[i],
                                               batch->done[i] ? &batch->out[i] : NULL))
            continue;
        if (!failed[i])
            worker->failures[i] = (Verdicts){.jit = worker->interpreter[i]};
        worker->failures[i].asked_host = true;
        worker->failures[i].lost_host = !batch->done[i];
        worker->failures[i].host = batch->out[i];
        failed[i] = any = true;
    }
    totals->cases += n;
    totals->asked_host += asked;
    if (!any)
        return;
    for (unsigned i = 0; i < n; i++) {
        if (!failed[i])
            continue;
        worker->failures[i].interpreter = worker->interpreter[i];
        report(worker, group * GROUP + i, &worker->failures[i]);
    }
    guest_reset(group * GROUP);
}

static void hang(int number)
{
    _exit(3);
}

static _Noreturn void work(unsigned index, uint64_t first_group, uint64_t cases)
{
    static Worker worker;
    uint64_t slots = UINT64_MAX;

    worker.index = index;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPROF, hang);
    host_batch();
    for (uint64_t group = first_group; group * GROUP < cases; group += jobs) {
        fuzz_limit_time(HANG_SECONDS);
        /* Code is only ever written to slots that nothing was translated from. */
        if (group * GROUP / N_SLOTS != slots) {
            slots = group * GROUP / N_SLOTS;
            guest_reset(group * GROUP);
        }
        run_group(&worker, group, MIN(cases - group * GROUP, GROUP));
    }
    host_stop();
    _exit(0);
}

/* --- all of them ------------------------------------------------------------------------------ */

static pid_t start(unsigned index, uint64_t first_group, uint64_t cases)
{
    fflush(stdout);
    pid_t pid = fork();

    if (pid < 0)
        g_error("Cannot start a worker");
    if (!pid)
        work(index, first_group, cases);
    return pid;
}

static void run_all(uint64_t cases)
{
    pid_t pids[MAX_JOBS];
    unsigned running = jobs;

    for (unsigned i = 0; i < jobs; i++)
        pids[i] = start(i, i, cases);
    while (running) {
        int status;
        pid_t pid = wait(&status);
        unsigned i = 0;
        while (i < jobs && pids[i] != pid)
            i++;
        if (i == jobs)
            continue;
        running--;
        if (WIFEXITED(status) && !WEXITSTATUS(status))
            continue;
        printf("case %lu of seed %lu %s\n", totals->current[i], seed,
               WIFEXITED(status) ? "does not end" : "kills the process of the guests");
        totals->mismatches++;
        totals->cases += GROUP;
        pids[i] = start(i, totals->current[i] / GROUP + jobs, cases);
        running++;
    }
}

static void run_one(uint64_t number)
{
    static FuzzCase c;
    Verdicts verdicts;

    generate_case(&c, seed, number);
    judge_alone(&c, &verdicts);
    totals->cases = 1;
    totals->asked_host = verdicts.asked_host;
    totals->mismatches = verdicts.differs;
    if (verdicts.differs)
        judge_shrink(&c, &verdicts);
    judge_print(&c, &verdicts, seed);
    host_stop();
}

int main(int argc, char **argv)
{
    gint64 cases = 1000000, number = -1, jobs_wanted = 0, seed_wanted = 1;
    gboolean coverage = FALSE;
    const GOptionEntry entries[] = {
        {"cases", 0, 0, G_OPTION_ARG_INT64, &cases, "How many cases to run", "N"},
        {"seed", 0, 0, G_OPTION_ARG_INT64, &seed_wanted, "What the cases are made from", "S"},
        {"case", 0, 0, G_OPTION_ARG_INT64, &number, "Run only case K of the seed", "K"},
        {"jobs", 0, 0, G_OPTION_ARG_INT64, &jobs_wanted, "Worker processes", "J"},
        {"coverage", 0, 0, G_OPTION_ARG_NONE, &coverage, "Print the whole coverage list", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("");
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc > 1 || cases < 1) {
        g_printerr("fuzz-cpu: %s\n", error ? error->message : "See --help.");
        return 2;
    }
    seed = seed_wanted;
    jobs = CLAMP(jobs_wanted ? jobs_wanted : g_get_num_processors(), 1, MAX_JOBS);
    totals = mmap(NULL, sizeof *totals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_assert(totals != MAP_FAILED);
    coverage_init();
    gint64 began = g_get_monotonic_time();
    if (number >= 0)
        run_one(number);
    else
        run_all(cases);
    double seconds = (g_get_monotonic_time() - began) / 1e6;
    if (number < 0)
        coverage_print(coverage);
    if (!host_can_run(FUZZ_32))
        printf("This host's kernel runs no 32-bit code: such cases are compared between the "
               "interpreter and translated code only.\n");
    printf("%lu of the cases ran on the host, too, where %lu were interrupted; %lu had no end or "
           "went astray; %.1f s, %.0f cases a second\n",
           totals->asked_host, totals->interrupted, totals->useless, seconds,
           totals->cases / seconds);
    printf("%lu cases, %lu mismatches, seed %lu\n", totals->cases, totals->mismatches, seed);
    return totals->mismatches ? 1 : 0;
}
