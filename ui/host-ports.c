/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "ui/host-ports.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_UNPRIVILEGED 1024
#define TRIES              200

bool apiary_host_port_is_free(const NetForward *forward)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(forward->host_port), .sin_addr = forward->host};
    int fd = socket(AF_INET, (forward->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0)
        return false;
    /* As for the forward itself: connections that linger do not count. */
    if (!forward->udp)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool free = bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                (forward->udp || listen(fd, 1) == 0);
    close(fd);
    return free;
}

static uint16_t customary_port(uint16_t guest_port)
{
    switch (guest_port) {
    case 22: return 2222;
    case 80: return 8080;
    case 443: return 8443;
    default: return guest_port < FIRST_UNPRIVILEGED ? guest_port + 10000 : guest_port;
    }
}

static bool is_used(const GPtrArray *used, bool udp, uint16_t port)
{
    NetForward forward;

    for (guint i = 0; used && i < used->len; i++)
        if (net_forward_parse(used->pdata[i], &forward, NULL) && forward.udp == udp &&
            forward.host_port == port)
            return true;
    return false;
}

uint16_t apiary_host_port_suggest(bool udp, uint16_t guest_port, const GPtrArray *used)
{
    unsigned port = customary_port(guest_port);

    for (unsigned i = 0; i < TRIES && port + i <= UINT16_MAX; i++) {
        NetForward forward = {
            .udp = udp, .host.s_addr = htonl(INADDR_LOOPBACK), .host_port = (uint16_t)(port + i)};
        if (!is_used(used, udp, forward.host_port) && apiary_host_port_is_free(&forward))
            return forward.host_port;
    }
    return 0;
}
