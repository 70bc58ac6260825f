/* SPDX-License-Identifier: GPL-3.0-or-later */

/* What leans on the kernel and the MMU: processes, pipes, system calls, page faults, copying. Each
 * prints its name, seconds and a checksum. The best of REPEATS runs counts. Usage: system REPEATS
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *self;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* 300 times: a child that executes this program again, which ends with 7. */
static uint64_t run_forkexec(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < 300; i++) {
        int status;
        pid_t child = fork();
        if (child < 0)
            die("fork");
        if (!child) {
            execl(self, self, "child", NULL);
            _exit(1);
        }
        if (waitpid(child, &status, 0) < 0)
            die("waitpid");
        sum = sum * 31 + WEXITSTATUS(status);
    }
    return sum;
}

/* A number goes to and fro between two processes and is raised each time. */
static uint64_t run_pipes(void)
{
    int there[2], back[2];
    uint64_t value = 0;
    enum { ROUNDS = 10000 };

    if (pipe(there) < 0 || pipe(back) < 0)
        die("pipe");
    pid_t child = fork();
    if (child < 0)
        die("fork");
    for (int i = 0; i < ROUNDS; i++) {
        int in = child ? back[0] : there[0], out = child ? there[1] : back[1];
        if (child && write(out, &value, sizeof(value)) != sizeof(value))
            die("write");
        if (read(in, &value, sizeof(value)) != sizeof(value))
            die("read");
        value += i;
        if (!child && write(out, &value, sizeof(value)) != sizeof(value))
            die("write");
    }
    if (!child)
        _exit(0);
    waitpid(child, NULL, 0);
    for (int i = 0; i < 2; i++) {
        close(there[i]);
        close(back[i]);
    }
    return value;
}

static uint64_t run_syscalls(void)
{
    long own = syscall(SYS_getpid);
    uint64_t equal = 0;

    for (int i = 0; i < 1000000; i++)
        equal += syscall(SYS_getpid) == own;
    return equal;
}

static uint64_t run_pagefaults(void)
{
    enum { PAGES = 8192, PAGE = 4096 };
    uint64_t sum = 0;

    for (int round = 0; round < 4; round++) {
        uint8_t *memory = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            die("mmap");
        madvise(memory, (size_t)PAGES * PAGE, MADV_NOHUGEPAGE);
        for (int i = 0; i < PAGES; i++)
            memory[(size_t)i * PAGE] = (uint8_t)(i + round);
        for (int i = 0; i < PAGES; i++)
            sum = sum * 31 + memory[(size_t)i * PAGE];
        munmap(memory, (size_t)PAGES * PAGE);
    }
    return sum;
}

static uint64_t run_memcopy(void)
{
    enum { SIZE = 32 << 20 };
    uint8_t *from = malloc(SIZE), *to = malloc(SIZE);
    uint64_t sum = 0;

    if (!from || !to)
        die("malloc");
    for (int i = 0; i < SIZE; i++)
        from[i] = (uint8_t)(i * 7 >> 3);
    for (int round = 0; round < 20; round++) {
        from[round * 1000] = (uint8_t)round;
        memcpy(to, from, SIZE);
        sum = sum * 31 + to[round * 1000] + to[SIZE - 1];
    }
    free(from);
    free(to);
    return sum;
}

static const struct {
    const char *name;
    uint64_t (*run)(void);
} tasks[] = {
    {"forkexec", run_forkexec},     {"pipes", run_pipes},     {"syscalls", run_syscalls},
    {"pagefaults", run_pagefaults}, {"memcopy", run_memcopy},
};

int main(int argc, char **argv)
{
    int repeats = argc > 1 ? atoi(argv[1]) : 1;

    if (argc > 1 && !strcmp(argv[1], "child"))
        return 7;
    self = argv[0];
    for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++) {
        double best = 1e9;
        uint64_t result = 0;
        for (int round = 0; round < repeats; round++) {
            struct timespec begin, end;
            clock_gettime(CLOCK_MONOTONIC, &begin);
            result = tasks[i].run();
            clock_gettime(CLOCK_MONOTONIC, &end);
            double seconds = end.tv_sec - begin.tv_sec + (end.tv_nsec - begin.tv_nsec) * 1e-9;
            if (seconds < best)
                best = seconds;
        }
        printf("result %s %.4f %016llx\n", tasks[i].name, best, (unsigned long long)result);
        fflush(stdout);
    }
    return 0;
}
