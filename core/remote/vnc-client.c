/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * A client that was let in. Its thread owns a libvncserver screen with this one client, so that
 * none of the library's data is seen by two threads, and copies the picture when the client asks
 * for it: what changes meanwhile is collected by the Display.
 */

#include "core/remote/vnc-private.h"

#include "core/machine/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <rfb/rfb.h>
#include <rfb/rfbregion.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#define FIRST_WIDTH  720 /* before the machine has shown anything: an empty text screen */
#define FIRST_HEIGHT 400
#define MAX_RECTS    32
#define MAX_WAIT_MS                                                                                \
    20000 /* for a client that takes or gives nothing in the middle of a message                   \
           */
#define POSITION_MAX            32767
#define RELATIVE_ORIGIN         0x7fff /* of a relative pointer's coordinates */
#define INFLATE_MAX             (VNC_MAX_TEXT + 1)

/* Client messages, RFC 6143 section 7.5 and the registry of its section 8.4. */
#define MESSAGE_QEMU            255
#define QEMU_EXTENDED_KEY       0
#define EXTENDED_KEY_LENGTH     12
#define CUT_TEXT_HEADER         8
#define CUT_TEXT_FLAGS_HEADER   12

/* Pseudo-encodings of QEMU. */
#define ENCODING_POINTER_MOTION (-257)
#define ENCODING_EXTENDED_KEY   (-258)

/* Buttons of PointerEvent. */
#define RFB_WHEEL_UP            0x08
#define RFB_WHEEL_DOWN          0x10
#define RFB_SIDE                0x80

typedef struct {
    VncClient *client;
    rfbClientPtr rfb;
    rfbScreenInfoPtr screen;
    DisplayClient *display;
    bool wants_extended_keys, extended_keys_told;
    bool wants_pointer_motion;
    int told_absolute; /* -1: nothing yet */
} Session;

/* --- libvncserver, once for the process ---------------------------------------------------------
 */

static rfbScreenInfoPtr template_screen;

/* The library tells the story of each client. */
static void log_nothing(const char *format, ...)
{
}

static rfbBool enable_encoding(rfbClientPtr rfb, void **data, int encoding)
{
    Session *session = rfb->clientData;

    if (encoding == ENCODING_EXTENDED_KEY)
        session->wants_extended_keys = true;
    else if (encoding == ENCODING_POINTER_MOTION)
        session->wants_pointer_motion = true;
    else
        return FALSE;
    return TRUE;
}

static int encodings[] = {ENCODING_EXTENDED_KEY, ENCODING_POINTER_MOTION, 0};
static rfbProtocolExtension extension = {
    .pseudoEncodings = encodings,
    .enablePseudoEncoding = enable_encoding,
};

/* rfbGetScreen() sets up mutexes of the whole library anew each time, in use or not: it is called
 * once, and screens are copies of what it gives. */
static gpointer prepare_library(gpointer unused)
{
    rfbLog = rfbErr = log_nothing;
    template_screen = rfbGetScreen(NULL, NULL, FIRST_WIDTH, FIRST_HEIGHT, 8, 3, 4);
    rfbRegisterProtocolExtension(&extension);
    return NULL;
}

/* Pixels of the Display: 32-bit xRGB. */
static void set_format(rfbScreenInfoPtr screen)
{
    screen->serverFormat.depth = 24;
    screen->serverFormat.redShift = 16;
    screen->serverFormat.greenShift = 8;
    screen->serverFormat.blueShift = 0;
}

/* rfbNewFramebuffer() takes red and blue for exchanged and asks for a translation. */
static rfbBool set_translation(rfbClientPtr rfb)
{
    set_format(rfb->screen);
    return rfbSetTranslateFunction(rfb);
}

/* --- keyboard and pointer -----------------------------------------------------------------------
 */

static void send_key(void *opaque, unsigned code, bool down)
{
    vnc_client_send_input(
        opaque, &(MachineCommand){.type = COMMAND_KEY, .key = {.code = code, .down = down}});
}

static void on_key(rfbBool down, rfbKeySym keysym, rfbClientPtr rfb)
{
    Session *session = rfb->clientData;

    vnc_keys_press(&session->client->keys, keysym, down);
}

static unsigned buttons_of(int mask)
{
    return (mask & 1 ? POINTER_LEFT : 0) | (mask & 2 ? POINTER_MIDDLE : 0) |
           (mask & 4 ? POINTER_RIGHT : 0) | (mask & RFB_SIDE ? POINTER_SIDE : 0);
}

static int to_position(int at, int size)
{
    return CLAMP(at, 0, size - 1) * POSITION_MAX / MAX(size - 1, 1);
}

static void on_pointer(int mask, int x, int y, rfbClientPtr rfb)
{
    Session *session = rfb->clientData;
    VncClient *client = session->client;
    bool absolute = g_atomic_int_get(&client->absolute);
    /* A wheel's click is a button that goes down and up. */
    unsigned pressed = (unsigned)mask & ~client->last_buttons;
    int wheel = (pressed & RFB_WHEEL_UP ? 1 : 0) - (pressed & RFB_WHEEL_DOWN ? 1 : 0);
    MachineCommand command = {.pointer = {.wheel = wheel, .buttons = buttons_of(mask)}};

    if (absolute) {
        command.type = COMMAND_POINTER_POSITION;
        command.pointer.x = to_position(x, session->screen->width);
        command.pointer.y = to_position(y, session->screen->height);
    } else {
        bool relative = session->told_absolute == 0;
        command.type = COMMAND_POINTER_MOTION;
        command.pointer.x = x - (relative ? RELATIVE_ORIGIN : client->last_x);
        command.pointer.y = y - (relative ? RELATIVE_ORIGIN : client->last_y);
    }
    client->last_buttons = (unsigned)mask;
    client->last_x = x;
    client->last_y = y;
    vnc_client_send_input(client, &command);
}

/* Nothing stays pressed in the guest when the client goes. */
static void release_everything(Session *session)
{
    VncClient *client = session->client;
    bool absolute = g_atomic_int_get(&client->absolute);
    MachineCommand command = {.type = COMMAND_POINTER_MOTION};

    vnc_keys_release_all(&client->keys);
    if (!client->last_buttons)
        return;
    if (absolute) {
        command.type = COMMAND_POINTER_POSITION;
        command.pointer.x = to_position(client->last_x, session->screen->width);
        command.pointer.y = to_position(client->last_y, session->screen->height);
    }
    vnc_client_send_input(client, &command);
}

/* --- clipboard ----------------------------------------------------------------------------------
 */

/* There is no agent in the guest to take a clipboard, and typing it unasked would be a surprise: it
 * goes to the other viewers of the same screen. */
static void on_cut_text(char *text, int length, rfbClientPtr rfb)
{
    Session *session = rfb->clientData;
    g_autofree char *utf8 = g_convert(text, (gssize)strnlen(text, (size_t)length), "UTF-8",
                                      "ISO-8859-1", NULL, NULL, NULL);

    if (utf8)
        vnc_client_share_text(session->client, utf8);
}

/* The text part of an extended clipboard's "provide", which libvncserver would hand out with what
 * was in its buffer before when a client promises more than it sends. */
static char *inflate_text(const uint8_t *data, size_t length)
{
    g_autofree uint8_t *out = g_malloc(INFLATE_MAX + 4);
    z_stream stream = {.next_in = (Bytef *)data, .avail_in = (uInt)length};

    if (inflateInit(&stream) != Z_OK)
        return NULL;
    stream.next_out = out;
    stream.avail_out = INFLATE_MAX + 4;
    int status = inflate(&stream, Z_SYNC_FLUSH);
    size_t n = stream.total_out;
    inflateEnd(&stream);
    if ((status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) || n < 4)
        return NULL;
    size_t size = (size_t)out[0] << 24 | (size_t)out[1] << 16 | (size_t)out[2] << 8 | out[3];
    if (size > n - 4)
        return NULL;
    char *text = g_strndup((const char *)out + 4, size);
    if (g_utf8_validate(text, -1, NULL))
        return text;
    g_free(text);
    return NULL;
}

/* True when the message was an extended clipboard's "provide", which is dealt with here. */
static bool take_provided_text(Session *session)
{
    uint8_t head[CUT_TEXT_FLAGS_HEADER];
    rfbClientPtr rfb = session->rfb;

    if (!rfb->enableExtendedClipboard ||
        rfbPeekExactTimeout(rfb, (char *)head, CUT_TEXT_HEADER, MAX_WAIT_MS) <= 0 ||
        !(head[4] & 0x80)) /* the length is negative: an extended message */
        return false;
    uint32_t length =
        -((uint32_t)head[4] << 24 | (uint32_t)head[5] << 16 | (uint32_t)head[6] << 8 | head[7]);
    if (length < 4 || length > VNC_MAX_TEXT ||
        rfbPeekExactTimeout(rfb, (char *)head, CUT_TEXT_FLAGS_HEADER, MAX_WAIT_MS) <= 0)
        return false;
    uint32_t flags =
        (uint32_t)head[8] << 24 | (uint32_t)head[9] << 16 | (uint32_t)head[10] << 8 | head[11];
    uint32_t action = flags & (rfbExtendedClipboard_Caps | rfbExtendedClipboard_Request |
                               rfbExtendedClipboard_Peek | rfbExtendedClipboard_Notify |
                               rfbExtendedClipboard_Provide);
    if (action != rfbExtendedClipboard_Provide && action != rfbExtendedClipboard_Notify)
        return false;
    g_autofree uint8_t *body = g_malloc(length);
    if (rfbReadExact(rfb, (char *)head, CUT_TEXT_HEADER) <= 0 ||
        rfbReadExact(rfb, (char *)body, (int)length) <= 0) {
        rfbCloseClient(rfb);
        return true;
    }
    if (action == rfbExtendedClipboard_Notify) {
        /* The client has something new: ask for it. */
        uint8_t request[] = {rfbServerCutText, 0, 0, 0, 0xff, 0xff, 0xff, 0xfc, 0x02, 0, 0, 1};
        if (flags & rfbExtendedClipboard_Text)
            rfbWriteExact(rfb, (char *)request, sizeof(request));
    } else if (flags & rfbExtendedClipboard_Text) {
        g_autofree char *text = inflate_text(body + 4, length - 4);
        if (text)
            vnc_client_share_text(session->client, text);
    }
    return true;
}

static void send_text(Session *session)
{
    VncClient *client = session->client;

    g_mutex_lock(&client->server->lock);
    g_autofree char *text = g_steal_pointer(&client->clipboard);
    g_mutex_unlock(&client->server->lock);
    if (!text)
        return;
    if (session->rfb->enableExtendedClipboard) {
        rfbSendServerCutTextUTF8(session->screen, text, (int)strlen(text), NULL, 0);
        return;
    }
    /* Not by its fallback, which would announce the length of the UTF-8. */
    gsize length;
    g_autofree char *latin =
        g_convert_with_fallback(text, -1, "ISO-8859-1", "UTF-8", "?", NULL, &length, NULL);
    if (latin)
        rfbSendServerCutText(session->screen, latin, (int)length);
}

/* --- messages -----------------------------------------------------------------------------------
 */

static void read_extended_key(Session *session)
{
    uint8_t message[EXTENDED_KEY_LENGTH];
    VncKeys *keys = &session->client->keys;

    if (rfbReadExact(session->rfb, (char *)message, sizeof(message)) <= 0 ||
        message[1] != QEMU_EXTENDED_KEY || !session->wants_extended_keys) {
        rfbCloseClient(session->rfb);
        return;
    }
    bool down = message[2] || message[3];
    uint32_t keysym = (uint32_t)message[4] << 24 | (uint32_t)message[5] << 16 |
                      (uint32_t)message[6] << 8 | message[7];
    uint32_t scan_code = (uint32_t)message[8] << 24 | (uint32_t)message[9] << 16 |
                         (uint32_t)message[10] << 8 | message[11];
    if (!vnc_keys_press_scan_code(keys, scan_code, down))
        vnc_keys_press(keys, keysym, down);
}

/* Only what a viewer needs reaches libvncserver: no file transfer, chat, scaling, or power switch.
 */
static void read_message(Session *session)
{
    uint8_t type;
    ssize_t n = recv(session->rfb->sock, &type, 1, MSG_PEEK | MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n != 1)
        type = MESSAGE_QEMU - 1; /* gone */
    switch (type) {
    case rfbSetPixelFormat:
    case rfbSetEncodings:
    case rfbFramebufferUpdateRequest:
    case rfbKeyEvent:
    case rfbPointerEvent:
    case rfbSetDesktopSize: rfbProcessClientMessage(session->rfb); break;
    case rfbClientCutText:
        if (!take_provided_text(session))
            rfbProcessClientMessage(session->rfb);
        break;
    case MESSAGE_QEMU: read_extended_key(session); break;
    default: rfbCloseClient(session->rfb);
    }
}

/* An update of one rectangle without pixels, which tells the client of a pseudo-encoding. */
static bool tell_encoding(Session *session, int encoding, uint16_t x)
{
    struct {
        rfbFramebufferUpdateMsg update;
        rfbFramebufferUpdateRectHeader rect;
    } __attribute__((packed)) message = {
        .update = {.type = rfbFramebufferUpdate, .nRects = GUINT16_TO_BE(1)},
        .rect = {.r = {.x = GUINT16_TO_BE(x),
                       .w = GUINT16_TO_BE((uint16_t)session->screen->width),
                       .h = GUINT16_TO_BE((uint16_t)session->screen->height)},
                 .encoding = GUINT32_TO_BE((uint32_t)encoding)},
    };

    G_STATIC_ASSERT(sizeof(message) ==
                    sz_rfbFramebufferUpdateMsg + sz_rfbFramebufferUpdateRectHeader);
    return rfbWriteExact(session->rfb, (char *)&message, sizeof(message)) > 0;
}

static bool tell_news(Session *session)
{
    bool done = true;

    if (session->wants_extended_keys && !session->extended_keys_told)
        done = session->extended_keys_told = tell_encoding(session, ENCODING_EXTENDED_KEY, 0);
    int absolute = g_atomic_int_get(&session->client->absolute);
    if (done && session->wants_pointer_motion && session->told_absolute != absolute) {
        session->told_absolute = absolute;
        done = tell_encoding(session, ENCODING_POINTER_MOTION, absolute ? 1 : 0);
    }
    if (done)
        send_text(session);
    return done;
}

/* --- picture ------------------------------------------------------------------------------------
 */

/* A request that stands was made for the old size; it is taken for one of the whole new picture,
 * since not every client asks again when the size changes. */
static void set_size(Session *session, int width, int height)
{
    rfbClientPtr rfb = session->rfb;
    rfbScreenInfoPtr screen = session->screen;
    char *old = screen->frameBuffer;
    char *pixels = g_malloc0((size_t)width * (size_t)height * 4);

    rfbNewFramebuffer(screen, pixels, width, height, 8, 3, 4);
    g_free(old);
    if (rfb->useNewFBSize && !sraRgnEmpty(rfb->requestedRegion)) {
        sraRegionPtr all = sraRgnCreateRect(0, 0, width, height);
        sraRgnOr(rfb->requestedRegion, all);
        sraRgnDestroy(all);
    }
}

/* What has changed since the client was last told, out of the newest frame. */
static void copy_picture(Session *session)
{
    DisplayFrame frame;
    DisplayRect rects[MAX_RECTS];
    rfbScreenInfoPtr screen = session->screen;
    int n = display_client_lock(session->display, &frame, rects, MAX_RECTS);

    if (n && (frame.width != screen->width || frame.height != screen->height)) {
        set_size(session, frame.width, frame.height);
        rects[0] = (DisplayRect){0, 0, frame.width, frame.height};
        n = 1;
    }
    for (int i = 0; i < n; i++) {
        const DisplayRect *r = &rects[i];
        for (int y = r->y; y < r->y + r->height; y++)
            memcpy(screen->frameBuffer + ((size_t)y * (size_t)screen->width + (size_t)r->x) * 4,
                   frame.pixels + (size_t)y * (size_t)frame.stride + (size_t)r->x * 4,
                   (size_t)r->width * 4);
    }
    display_client_unlock(session->display);
    for (int i = 0; i < n; i++)
        rfbMarkRectAsModified(screen, rects[i].x, rects[i].y, rects[i].x + rects[i].width,
                              rects[i].y + rects[i].height);
}

static void update_picture(Session *session)
{
    rfbClientPtr rfb = session->rfb;

    if (sraRgnEmpty(rfb->requestedRegion))
        return; /* the client has not asked again: it may be slow */
    copy_picture(session);
    /* A new size is an update by itself, and the request stands until pixels have come. */
    int updates = rfb->useNewFBSize && rfb->newFBSizePending ? 2 : 1;
    for (int i = 0; i < updates && FB_UPDATE_PENDING(rfb); i++) {
        if (!rfbSendFramebufferUpdate(rfb, rfb->modifiedRegion)) {
            rfbCloseClient(rfb);
            return;
        }
    }
}

/* --- life ---------------------------------------------------------------------------------------
 */

void vnc_client_wake(VncClient *client)
{
    eventfd_write(client->wake_fd, 1);
}

static void on_display_changed(void *opaque)
{
    vnc_client_wake(opaque);
}

static void serve(Session *session)
{
    VncClient *client = session->client;
    eventfd_t count;

    while (!g_atomic_int_get(&client->stopping) && session->rfb->sock != RFB_INVALID_SOCKET) {
        struct pollfd fds[] = {{.fd = session->rfb->sock, .events = POLLIN},
                               {.fd = client->wake_fd, .events = POLLIN}};
        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0 && errno != EINTR)
            break;
        if (fds[1].revents)
            eventfd_read(client->wake_fd, &count);
        if (fds[0].revents)
            read_message(session);
        if (session->rfb->sock != RFB_INVALID_SOCKET && session->rfb->state == RFB_NORMAL &&
            !tell_news(session))
            break;
        if (session->rfb->sock != RFB_INVALID_SOCKET)
            update_picture(session);
    }
}

static rfbScreenInfoPtr screen_new(const VncClient *client)
{
    rfbScreenInfoPtr screen = calloc(1, sizeof(*screen)); /* libvncserver frees it */

    if (!screen)
        return NULL;
    memcpy(screen, template_screen, sizeof(*screen));
    pthread_mutex_init(&screen->cursorMutex, NULL);
    screen->frameBuffer = g_malloc0((size_t)FIRST_WIDTH * FIRST_HEIGHT * 4);
    set_format(screen);
    screen->setTranslateFunction = set_translation;
    screen->desktopName = client->session->name;
    screen->cursor = NULL; /* the VGA has none: the guest draws its own */
    screen->kbdAddEvent = on_key;
    screen->ptrAddEvent = on_pointer;
    screen->setXCutText = on_cut_text;
    screen->deferUpdateTime = 0;
    screen->deferPtrUpdateTime = 0;
    screen->maxClientWait = MAX_WAIT_MS;
    screen->alwaysShared = TRUE;
    return screen;
}

/* No client gets as far as libvncserver's own authentication; if one did, it would be refused. With
 * authPasswdData set, the library never offers "None" either. */
static rfbBool refuse_password(rfbClientPtr rfb, const char *response, int length)
{
    return FALSE;
}

/* A libvncserver client on a duplicate of the connection. The library greets a new client and looks
 * whether it speaks HTTP; that happens on a pair of sockets, one of which then becomes the
 * connection. */
static rfbClientPtr rfb_client_new(VncClient *client, rfbScreenInfoPtr screen)
{
    static const char no_web_socket[] = "RFB ";
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return NULL;
    rfbClientPtr rfb = NULL;
    if (pair[0] < FD_SETSIZE && send(pair[1], no_web_socket, 4, MSG_NOSIGNAL) == 4)
        rfb = rfbNewClient(screen, pair[0]);
    else
        close(pair[0]);
    close(pair[1]);
    if (rfb && dup3(client->fd, rfb->sock, O_CLOEXEC) < 0) {
        rfbCloseClient(rfb);
        rfbClientConnectionGone(rfb);
        rfb = NULL;
    }
    return rfb;
}

/* rfbDisableExtension() forgets the list's nodes, rfbClientConnectionGone() the list. */
static void free_extensions(rfbClientPtr rfb)
{
    while (rfb->extensions) {
        rfbExtensionData *first = rfb->extensions;
        rfb->extensions = first->next;
        free(first);
    }
}

static void start_and_serve(VncClient *client, int minor)
{
    Session session = {.client = client, .told_absolute = -1};
    rfbScreenInfoPtr screen = screen_new(client);

    if (!screen)
        return;
    screen->passwordCheck = refuse_password;
    screen->authPasswdData = client;
    session.screen = screen;
    session.rfb = rfb_client_new(client, screen);
    if (session.rfb) {
        session.rfb->clientData = &session;
        session.rfb->protocolMajorVersion = 3;
        session.rfb->protocolMinorVersion = minor;
        session.rfb->state = RFB_INITIALISATION_SHARED; /* ClientInit has been read */
        session.display = display_client_new(client->server->display, on_display_changed, client);
        copy_picture(&session);
        rfbProcessClientMessage(session.rfb);
        vnc_client_send_event(client, "VNC_INITIALIZED");
        serve(&session);
        display_client_free(session.display);
        free_extensions(session.rfb);
        if (session.rfb->sock != RFB_INVALID_SOCKET)
            rfbCloseClient(session.rfb);
        rfbClientConnectionGone(session.rfb);
        release_everything(&session);
    }
    g_free(screen->frameBuffer);
    rfbScreenCleanup(screen);
}

gpointer vnc_client_run(gpointer data)
{
    static GOnce prepared = G_ONCE_INIT;
    VncClient *client = data;
    int minor;
    bool shared;

    g_once(&prepared, prepare_library, NULL);
    client->keys.send = send_key;
    client->keys.opaque = client;
    vnc_client_send_event(client, "VNC_CONNECTED");
    if (vnc_handshake(client, &minor, &shared) && vnc_client_apply_share(client, shared))
        start_and_serve(client, minor);
    return NULL;
}
