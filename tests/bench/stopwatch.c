/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Runs a command and prints how long it took and a checksum of all that it wrote to its standard
 * output. Usage: stopwatch NAME OUTPUT-FILE COMMAND... */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* FNV-1a, 64 bits. */
static uint64_t checksum(const char *path)
{
    uint64_t sum = 0xcbf29ce484222325u;
    uint8_t data[65536];
    ssize_t n;
    int fd = open(path, O_RDONLY);

    while (fd >= 0 && (n = read(fd, data, sizeof(data))) > 0)
        for (ssize_t i = 0; i < n; i++)
            sum = (sum ^ data[i]) * 0x100000001b3u;
    if (fd >= 0)
        close(fd);
    return sum;
}

int main(int argc, char **argv)
{
    struct timespec begin, end;
    int status;

    if (argc < 4) {
        fprintf(stderr, "Usage: stopwatch NAME OUTPUT-FILE COMMAND...\n");
        return 2;
    }
    clock_gettime(CLOCK_MONOTONIC, &begin);
    pid_t child = fork();
    if (!child) {
        int fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd < 0 || dup2(fd, 1) < 0)
            _exit(126);
        execvp(argv[3], argv + 3);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        perror(argv[3]);
        return 1;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (!WIFEXITED(status) || WEXITSTATUS(status)) {
        fprintf(stderr, "%s: %s ended with status %x\n", argv[1], argv[3], status);
        return 1;
    }
    printf("result %s %.4f %016llx\n", argv[1],
           end.tv_sec - begin.tv_sec + (end.tv_nsec - begin.tv_nsec) * 1e-9,
           (unsigned long long)checksum(argv[2]));
    return 0;
}
