/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The handshake of RFC 6143 section 7.1 up to ClientInit, on our own: libvncserver keeps the
 * security types it offers in one list for the whole process, so that a client of a machine with a
 * password could come in by the "None" of another machine; and it looks for web sockets, by which
 * any page in a browser could reach the machine.
 */

#include "core/remote/vnc-private.h"

#include <errno.h>
#include <poll.h>
#include <rfb/rfb.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define HANDSHAKE_US     (20 * G_USEC_PER_SEC) /* for all of it */
#define FAILURE_DELAY_MS 1000                  /* before a wrong password is told */
#define VERSION_LENGTH   12
#define RESULT_OK        0u
#define RESULT_FAILED    1u

typedef struct {
    VncClient *client;
    int64_t deadline;
} Link;

/* --- bytes --------------------------------------------------------------------------------------
 */

static bool wait_for(const Link *link, short events)
{
    int64_t left = link->deadline - g_get_monotonic_time();
    struct pollfd poll_fd = {.fd = link->client->fd, .events = events};

    if (left <= 0 || g_atomic_int_get(&link->client->stopping))
        return false;
    return poll(&poll_fd, 1, (int)(left / 1000) + 1) > 0 || errno == EINTR;
}

static bool receive(const Link *link, void *data, size_t length)
{
    for (size_t done = 0; done < length;) {
        if (!wait_for(link, POLLIN))
            return false;
        ssize_t n = recv(link->client->fd, (char *)data + done, length - done, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool transmit(const Link *link, const void *data, size_t length)
{
    for (size_t done = 0; done < length;) {
        if (!wait_for(link, POLLOUT))
            return false;
        ssize_t n = send(link->client->fd, (const char *)data + done, length - done,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool transmit_number(const Link *link, uint32_t number)
{
    number = GUINT32_TO_BE(number);
    return transmit(link, &number, sizeof(number));
}

/* SecurityResult (7.1.3); the reason exists since version 3.8. */
static bool fail(const Link *link, int minor, const char *reason)
{
    if (transmit_number(link, RESULT_FAILED) && minor >= 8 &&
        transmit_number(link, (uint32_t)strlen(reason)))
        transmit(link, reason, strlen(reason));
    return false;
}

/* --- steps --------------------------------------------------------------------------------------
 */

static bool agree_on_version(const Link *link, int *minor)
{
    char text[VERSION_LENGTH + 1] = {0};
    int major, their_minor, end = 0;

    if (!transmit(link, "RFB 003.008\n", VERSION_LENGTH) || !receive(link, text, VERSION_LENGTH))
        return false;
    if (sscanf(text, "RFB %3d.%3d\n%n", &major, &their_minor, &end) != 2 || text[3] != ' ' ||
        text[VERSION_LENGTH - 1] != '\n' || major != 3 || their_minor < 3)
        return false;
    /* Versions that were never published count as 3.3 (7.1.1); 3.889 is a viewer that leaves out
     * ClientInit in 3.7 and later. */
    *minor = their_minor == 7 || their_minor == 8 ? their_minor : 3;
    return true;
}

/* True when the client has chosen TYPE, the only one there is. */
static bool agree_on_security(const Link *link, int minor, uint8_t type)
{
    uint8_t offer[] = {1, type}, chosen;

    if (minor < 7)
        return transmit_number(link, type);
    if (!transmit(link, offer, sizeof(offer)) || !receive(link, &chosen, 1))
        return false;
    return chosen == type || fail(link, minor, "This security type is not offered");
}

/* libvncserver's DES is not said to be usable by several threads at once. */
static void encrypt(uint8_t *challenge, char *password)
{
    static GMutex lock;

    g_mutex_lock(&lock);
    rfbEncryptBytes(challenge, password);
    g_mutex_unlock(&lock);
}

/* VNC Authentication, 7.2.2. */
static bool check_password(const Link *link, int minor)
{
    uint8_t challenge[CHALLENGESIZE], response[CHALLENGESIZE];
    unsigned difference = 0;

    if (getrandom(challenge, sizeof(challenge), 0) != sizeof(challenge) ||
        !transmit(link, challenge, sizeof(challenge)) || !receive(link, response, sizeof(response)))
        return false;
    g_autofree char *password = vnc_server_current_password(link->client->server);
    if (password) {
        encrypt(challenge, password);
        explicit_bzero(password, strlen(password));
        for (size_t i = 0; i < sizeof(challenge); i++)
            difference |= challenge[i] ^ response[i];
    }
    if (password && !difference)
        return true;
    struct pollfd poll_fd = {.fd = link->client->wake_fd, .events = POLLIN};
    poll(&poll_fd, 1, FAILURE_DELAY_MS);
    return fail(link, minor, "The password is wrong, has expired or is not set");
}

bool vnc_handshake(VncClient *client, int *minor, bool *shared)
{
    Link link = {client, g_get_monotonic_time() + HANDSHAKE_US};
    bool protected = client->session->spec->password;
    uint8_t client_init;

    if (!agree_on_version(&link, minor) ||
        !agree_on_security(&link, *minor, protected ? rfbSecTypeVncAuth : rfbSecTypeNone))
        return false;
    if (protected && !check_password(&link, *minor))
        return false;
    /* Without authentication there is a result since version 3.8 only. */
    if ((protected || *minor >= 8) && !transmit_number(&link, RESULT_OK))
        return false;
    if (!receive(&link, &client_init, 1))
        return false;
    *shared = client_init != 0;
    return true;
}
