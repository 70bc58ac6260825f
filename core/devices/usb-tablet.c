/* SPDX-License-Identifier: GPL-3.0-or-later */

/* "USB" is the Universal Serial Bus Specification 1.1, "HID" the Device Class Definition for Human
 * Interface Devices 1.11. */

#include "core/devices/usb.h"
#include "core/machine/input.h"

#include <string.h>

/* Standard requests, USB table 9-4; class requests, HID 7.2. */
enum {
    GET_STATUS = 0,
    CLEAR_FEATURE = 1,
    SET_FEATURE = 3,
    SET_ADDRESS = 5,
    GET_DESCRIPTOR = 6,
    GET_CONFIGURATION = 8,
    SET_CONFIGURATION = 9,
    GET_INTERFACE = 10,
    SET_INTERFACE = 11,
    HID_GET_REPORT = 0x01,
    HID_GET_IDLE = 0x02,
    HID_GET_PROTOCOL = 0x03,
    HID_SET_IDLE = 0x0a,
    HID_SET_PROTOCOL = 0x0b,
};
enum { TYPE_STANDARD = 0x00, TYPE_CLASS = 0x20, TYPE_MASK = 0x60, DIRECTION_IN = 0x80 };
enum {
    DESCRIPTOR_DEVICE = 1,
    DESCRIPTOR_CONFIGURATION = 2,
    DESCRIPTOR_STRING = 3,
    DESCRIPTOR_HID = 0x21,
    DESCRIPTOR_REPORT = 0x22,
};

#define REPORT_SIZE 6

/* Five buttons, X and Y absolute from 0 to 7FFFh, a relative wheel (HID appendix E.10's mouse with
 * other axes). */
static const uint8_t report_descriptor[] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00, 0x05, 0x09, 0x19, 0x01, 0x29,
    0x05, 0x15, 0x00, 0x25, 0x01, 0x95, 0x05, 0x75, 0x01, 0x81, 0x02, 0x95, 0x01, 0x75, 0x03,
    0x81, 0x01, 0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x15, 0x00, 0x26, 0xff, 0x7f, 0x35, 0x00,
    0x46, 0xff, 0x7f, 0x75, 0x10, 0x95, 0x02, 0x81, 0x02, 0x05, 0x01, 0x09, 0x38, 0x15, 0x81,
    0x25, 0x7f, 0x35, 0x00, 0x45, 0x00, 0x75, 0x08, 0x95, 0x01, 0x81, 0x06, 0xc0, 0xc0,
};

static const uint8_t device_descriptor[] = {
    18,   DESCRIPTOR_DEVICE,
    0x10, 0x01,
    0,    0,
    0,    8,
    0x09, 0x12,
    0x01, 0x00, /* pid.codes' test identity 1209:0001 */
    0x00, 0x01,
    1,    2,
    0,    1,
};

static const uint8_t configuration_descriptor[] = {
    9,
    DESCRIPTOR_CONFIGURATION,
    34,
    0,
    1,
    1,
    0,
    0xa0,
    50,
    9,
    4,
    0,
    0,
    1,
    3,
    0,
    0,
    0, /* interface: HID, no boot */
    9,
    DESCRIPTOR_HID,
    0x11,
    0x01,
    0,
    1,
    DESCRIPTOR_REPORT,
    sizeof(report_descriptor),
    0,
    7,
    5,
    0x81,
    3,
    8,
    0,
    10, /* interrupt IN, 10 ms */
};

static const char *const strings[] = {NULL, "Apiary", "Apiary USB Tablet"};

typedef struct {
    UsbDevice usb;
    Board *board;
    /* The control endpoint: what the setup stage left for the data stage. */
    uint8_t answer[256];
    unsigned answer_length, answer_sent;
    uint8_t pending_address; /* takes effect after the status stage (USB 9.4.6) */
    bool stalled;
    uint8_t configuration, idle, protocol;

    int x, y, wheel;
    unsigned buttons;
    bool news;
} Tablet;

static void make_report(Tablet *tablet, uint8_t report[REPORT_SIZE])
{
    int wheel = CLAMP(tablet->wheel, -127, 127);

    report[0] = tablet->buttons & 0x1f;
    report[1] = tablet->x & 0xff;
    report[2] = tablet->x >> 8;
    report[3] = tablet->y & 0xff;
    report[4] = tablet->y >> 8;
    report[5] = (uint8_t)wheel;
    tablet->wheel -= wheel;
    tablet->news = tablet->wheel != 0;
}

/* --- control endpoint ---------------------------------------------------------------------------
 */

static void answer(Tablet *tablet, const void *data, size_t length)
{
    length = MIN(length, sizeof(tablet->answer));
    memcpy(tablet->answer, data, length);
    tablet->answer_length = length;
}

static bool answer_string(Tablet *tablet, unsigned index)
{
    uint8_t descriptor[128] = {4, DESCRIPTOR_STRING, 0x09, 0x04}; /* languages: US English */

    if (index >= G_N_ELEMENTS(strings))
        return false;
    if (index > 0) {
        size_t length = strlen(strings[index]);
        descriptor[0] = 2 + length * 2;
        for (size_t i = 0; i < length; i++) {
            descriptor[2 + i * 2] = strings[index][i];
            descriptor[3 + i * 2] = 0;
        }
    }
    answer(tablet, descriptor, descriptor[0]);
    return true;
}

static bool get_descriptor(Tablet *tablet, unsigned value)
{
    switch (value >> 8) {
    case DESCRIPTOR_DEVICE:
        answer(tablet, device_descriptor, sizeof(device_descriptor));
        return true;
    case DESCRIPTOR_CONFIGURATION:
        answer(tablet, configuration_descriptor, sizeof(configuration_descriptor));
        return true;
    case DESCRIPTOR_STRING: return answer_string(tablet, value & 0xff);
    case DESCRIPTOR_HID: answer(tablet, configuration_descriptor + 18, 9); return true;
    case DESCRIPTOR_REPORT:
        answer(tablet, report_descriptor, sizeof(report_descriptor));
        return true;
    default: return false;
    }
}

static void configure(Tablet *tablet, uint8_t configuration)
{
    tablet->configuration = configuration;
    tablet->news = false;
    input_hub_set_active(tablet->board->input, tablet, configuration != 0);
}

static bool standard_request(Tablet *tablet, uint8_t request, unsigned value)
{
    static const uint8_t zero[2] = {0, 0};

    switch (request) {
    case GET_STATUS: answer(tablet, zero, 2); return true;
    case CLEAR_FEATURE:
    case SET_FEATURE:
    case SET_INTERFACE: return true;
    case SET_ADDRESS: tablet->pending_address = value & 0x7f; return true;
    case GET_DESCRIPTOR: return get_descriptor(tablet, value);
    case GET_CONFIGURATION: answer(tablet, &tablet->configuration, 1); return true;
    case SET_CONFIGURATION:
        if (value > 1)
            return false;
        configure(tablet, value);
        return true;
    case GET_INTERFACE: answer(tablet, zero, 1); return true;
    default: return false;
    }
}

static bool class_request(Tablet *tablet, uint8_t request, unsigned value)
{
    uint8_t report[REPORT_SIZE];

    switch (request) {
    case HID_GET_REPORT:
        make_report(tablet, report);
        answer(tablet, report, sizeof(report));
        return true;
    case HID_GET_IDLE: answer(tablet, &tablet->idle, 1); return true;
    case HID_GET_PROTOCOL: answer(tablet, &tablet->protocol, 1); return true;
    case HID_SET_IDLE: tablet->idle = value >> 8; return true;
    case HID_SET_PROTOCOL: tablet->protocol = value & 1; return true;
    default: return false;
    }
}

static int setup(Tablet *tablet, const uint8_t *data, unsigned length)
{
    if (length != 8)
        return USB_STALL;
    unsigned value = data[2] | data[3] << 8, wanted = data[6] | data[7] << 8;

    tablet->answer_length = tablet->answer_sent = 0;
    tablet->stalled = (data[0] & TYPE_MASK) == TYPE_STANDARD
                          ? !standard_request(tablet, data[1], value)
                      : (data[0] & TYPE_MASK) == TYPE_CLASS ? !class_request(tablet, data[1], value)
                                                            : true;
    tablet->answer_length = MIN(tablet->answer_length, wanted);
    return 8; /* SETUP is always acknowledged; the next stage tells (USB 8.5.2) */
}

static int control(Tablet *tablet, uint8_t pid, uint8_t *data, unsigned length)
{
    if (pid == USB_SETUP)
        return setup(tablet, data, length);
    if (tablet->stalled)
        return USB_STALL;
    if (pid == USB_OUT)
        return length; /* data nobody needs, or the status stage of a read */
    unsigned n = MIN(length, tablet->answer_length - tablet->answer_sent);
    memcpy(data, tablet->answer + tablet->answer_sent, n);
    tablet->answer_sent += n;
    if (n == 0 && tablet->pending_address) {
        tablet->usb.address = tablet->pending_address;
        tablet->pending_address = 0;
    }
    return n;
}

static int transact(UsbDevice *device, uint8_t pid, unsigned endpoint, uint8_t *data,
                    unsigned length)
{
    Tablet *tablet = (Tablet *)device;
    uint8_t report[REPORT_SIZE];

    if (endpoint == 0)
        return control(tablet, pid, data, length);
    if (endpoint != 1 || pid != USB_IN || !tablet->configuration)
        return USB_STALL;
    if (!tablet->news)
        return USB_NAK;
    make_report(tablet, report);
    memcpy(data, report, MIN(length, sizeof(report)));
    return MIN(length, sizeof(report));
}

/* --- input and life
 * ------------------------------------------------------------------------------- */

static void position(void *opaque, int x, int y, int wheel, unsigned buttons)
{
    Tablet *tablet = opaque;

    tablet->x = x;
    tablet->y = y;
    tablet->wheel = CLAMP(tablet->wheel + wheel, -1000, 1000);
    tablet->buttons = buttons;
    tablet->news = true;
    if (tablet->usb.wake)
        tablet->usb.wake(tablet->usb.wake_opaque);
}

static void tablet_reset(UsbDevice *device)
{
    Tablet *tablet = (Tablet *)device;

    device->address = tablet->pending_address = 0;
    tablet->answer_length = tablet->answer_sent = 0;
    tablet->stalled = false;
    tablet->protocol = 1;
    configure(tablet, 0);
}

static void tablet_free(UsbDevice *device)
{
    input_hub_remove(((Tablet *)device)->board->input, device);
    g_free(device);
}

UsbDevice *usb_tablet_new(Board *board)
{
    static const InputHandler handler = {.priority = 10, .absolute = true, .position = position};
    Tablet *tablet = g_new0(Tablet, 1);

    tablet->board = board;
    tablet->usb.reset = tablet_reset;
    tablet->usb.transact = transact;
    tablet->usb.free = tablet_free;
    input_hub_add(board->input, &handler, tablet);
    tablet_reset(&tablet->usb);
    return &tablet->usb;
}
