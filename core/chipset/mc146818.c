/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "core/chipset/mc146818.h"

#include "core/chipset/beat.h"

#include <string.h>
#include <time.h>

enum {
    PORT_INDEX = 0x70,
    PORT_DATA = 0x71,
    PORT_INDEX_2 = 0x72,
    PORT_DATA_2 = 0x73,
    INDEX_NMI_MASK = 0x80,
};

enum {
    SECONDS = 0x00,
    SECONDS_ALARM = 0x01,
    MINUTES = 0x02,
    MINUTES_ALARM = 0x03,
    HOURS = 0x04,
    HOURS_ALARM = 0x05,
    DAY_OF_WEEK = 0x06, /* 1-7, Sunday 1 */
    DATE = 0x07,
    MONTH = 0x08,
    YEAR = 0x09,
    REG_A = 0x0a,
    REG_B = 0x0b,
    REG_C = 0x0c,
    REG_D = 0x0d,
    CHECKSUM_FIRST = 0x10,
    CHECKSUM_LAST = 0x2d,
    CHECKSUM = 0x2e, /* high byte first */
};

enum {
    A_RS = 0x0f,
    A_DV_SHIFT = 4,
    A_UIP = 1 << 7,
    B_24 = 1 << 1,
    B_DM = 1 << 2, /* binary */
    B_SQWE = 1 << 3,
    B_UIE = 1 << 4,
    B_AIE = 1 << 5,
    B_PIE = 1 << 6,
    B_SET = 1 << 7,
    C_UF = 1 << 4,
    C_AF = 1 << 5,
    C_PF = 1 << 6,
    C_IRQF = 1 << 7,
    C_FLAGS = C_UF | C_AF | C_PF,
    D_VRT = 1 << 7,
    DV_RUNNING_MAX = 2, /* 3-7: test modes and divider reset */
    HOUR_PM = 0x80,
    ERA_FIRST_YEAR = 1800,
    ERA_YEARS = 400,
    ALARM_ANY = 0xc0, /* "don't care" when both top bits are set */
};

/* UIP rises 244 us before the update cycle, which takes 1984 us with a 32768 Hz crystal (table 6).
 */
#define UIP_NS       (244000 + 1984000)
#define CRYSTAL_HZ   32768
#define FIRST_UPDATE (NS_PER_SECOND / 2) /* after the divider is released */

/* The clock as set; the registers show it in the format of register B. */
typedef struct {
    int second, minute, hour, weekday, day, month, year; /* weekday 0-6, month 1-12, year in full */
} RtcTime;

struct Mc146818 {
    Board *board;
    IrqLine irq;
    ClockTimer *timer;
    bool follows_host;
    int64_t offset; /* RTC time in ns since 1970 = source_now() + offset */
    RtcTime held;   /* the time while updates are inhibited */
    int era; /* the year shown is 400 * era later: the calendar repeats, and `offset` need hold no
                more than some centuries */
    int weekday_offset;    /* the guest's idea of the weekday less the calendar's */
    int64_t update_seen;   /* the last second whose update is in the flags */
    int64_t periodic_seen; /* the last periodic tick that is */
    uint8_t index, index_2;
    uint8_t ram[256];
};

/* --- the calendar --------------------------------------------------------------------------- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t source_now(const Mc146818 *rtc)
{
    return rtc->follows_host ? g_get_real_time() * 1000 : clock_now(rtc->board->clock);
}

static int64_t rtc_now(const Mc146818 *rtc)
{
    return source_now(rtc) + rtc->offset;
}

/* The sum is in range where the product alone may not be. */
static void shift_time(Mc146818 *rtc, int64_t seconds)
{
    rtc->offset = (int64_t)((uint64_t)rtc->offset + (uint64_t)seconds * NS_PER_SECOND);
}

static bool divider_runs(const Mc146818 *rtc)
{
    return (rtc->ram[REG_A] >> A_DV_SHIFT & 7) <= DV_RUNNING_MAX;
}

static bool is_running(const Mc146818 *rtc)
{
    return !(rtc->ram[REG_B] & B_SET) && divider_runs(rtc);
}

static RtcTime time_from_seconds(const Mc146818 *rtc, int64_t seconds)
{
    time_t t = seconds;
    struct tm tm;

    gmtime_r(&t, &tm);
    return (RtcTime){
        .second = tm.tm_sec,
        .minute = tm.tm_min,
        .hour = tm.tm_hour,
        .weekday = (tm.tm_wday + rtc->weekday_offset) % 7,
        .day = tm.tm_mday,
        .month = tm.tm_mon + 1,
        .year = tm.tm_year + 1900 + rtc->era * ERA_YEARS,
    };
}

/* Values outside their range carry over; also learns the weekday's offset and the era. */
static int64_t seconds_from_time(Mc146818 *rtc, const RtcTime *time)
{
    rtc->era = floor_div(time->year - ERA_FIRST_YEAR, ERA_YEARS);
    struct tm tm = {
        .tm_sec = time->second,
        .tm_min = time->minute,
        .tm_hour = time->hour,
        .tm_mday = time->day,
        .tm_mon = time->month - 1,
        .tm_year = time->year - rtc->era * ERA_YEARS - 1900,
    };
    int64_t seconds = timegm(&tm);
    rtc->weekday_offset = (time->weekday - tm.tm_wday + 7) % 7;
    return seconds;
}

static RtcTime current_time(const Mc146818 *rtc)
{
    if (!is_running(rtc))
        return rtc->held;
    return time_from_seconds(rtc, floor_div(rtc_now(rtc), NS_PER_SECOND));
}

/* --- register formats ----------------------------------------------------------------------- */

static uint8_t encode(const Mc146818 *rtc, int value)
{
    return rtc->ram[REG_B] & B_DM ? value : value / 10 % 10 << 4 | value % 10;
}

static int decode(const Mc146818 *rtc, uint8_t value)
{
    return rtc->ram[REG_B] & B_DM ? value : (value >> 4) * 10 + (value & 15);
}

static uint8_t encode_hour(const Mc146818 *rtc, int hour)
{
    if (rtc->ram[REG_B] & B_24)
        return encode(rtc, hour);
    return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static int decode_hour(const Mc146818 *rtc, uint8_t value)
{
    if (rtc->ram[REG_B] & B_24)
        return decode(rtc, value);
    return decode(rtc, value & ~HOUR_PM) % 12 + (value & HOUR_PM ? 12 : 0);
}

static uint8_t read_time(const Mc146818 *rtc, unsigned reg)
{
    RtcTime time = current_time(rtc);

    switch (reg) {
    case SECONDS: return encode(rtc, time.second);
    case MINUTES: return encode(rtc, time.minute);
    case HOURS: return encode_hour(rtc, time.hour);
    case DAY_OF_WEEK: return encode(rtc, time.weekday + 1);
    case DATE: return encode(rtc, time.day);
    case MONTH: return encode(rtc, time.month);
    case YEAR: return encode(rtc, time.year % 100);
    default: return encode(rtc, time.year / 100);
    }
}

static void write_time(Mc146818 *rtc, unsigned reg, uint8_t value)
{
    RtcTime time = current_time(rtc);

    switch (reg) {
    case SECONDS: time.second = decode(rtc, value); break;
    case MINUTES: time.minute = decode(rtc, value); break;
    case HOURS: time.hour = decode_hour(rtc, value); break;
    case DAY_OF_WEEK: time.weekday = (decode(rtc, value) + 6) % 7; break;
    case DATE: time.day = decode(rtc, value); break;
    case MONTH: time.month = decode(rtc, value); break;
    case YEAR: time.year = time.year / 100 * 100 + decode(rtc, value); break;
    default: time.year = decode(rtc, value) * 100 + time.year % 100; break;
    }
    if (!is_running(rtc)) {
        rtc->held = time;
        return;
    }
    int64_t before = floor_div(rtc_now(rtc), NS_PER_SECOND);
    int64_t moved = seconds_from_time(rtc, &time) - before;
    shift_time(rtc, moved);
    rtc->update_seen += moved;
}

/* --- events --------------------------------------------------------------------------------- */

/* One period in cycles of the crystal (table 5), 0: none. */
static unsigned period_cycles(const Mc146818 *rtc)
{
    unsigned rate = rtc->ram[REG_A] & A_RS;
    if (!rate || !divider_runs(rtc))
        return 0;
    return rate <= 2 ? 1u << (rate + 6) : 1u << (rate - 1);
}

static int64_t periodic_index(const Mc146818 *rtc, int64_t now)
{
    unsigned cycles = period_cycles(rtc);
    return cycles ? (int64_t)((__int128)now * CRYSTAL_HZ / NS_PER_SECOND) / cycles : 0;
}

static int64_t periodic_time(const Mc146818 *rtc, int64_t index)
{
    return ((__int128)index * period_cycles(rtc) * NS_PER_SECOND + CRYSTAL_HZ - 1) / CRYSTAL_HZ;
}

static bool matches(const Mc146818 *rtc, unsigned alarm_reg, int value)
{
    uint8_t alarm = rtc->ram[alarm_reg];
    if ((alarm & ALARM_ANY) == ALARM_ANY)
        return true;
    return value == (alarm_reg == HOURS_ALARM ? decode_hour(rtc, alarm) : decode(rtc, alarm));
}

static bool can_match(const Mc146818 *rtc, unsigned alarm_reg, int limit)
{
    for (int value = 0; value < limit; value++) {
        if (matches(rtc, alarm_reg, value))
            return true;
    }
    return false;
}

/* The first second after AFTER that the alarm matches, INT64_MAX: it never does. */
static int64_t next_alarm(const Mc146818 *rtc, int64_t after)
{
    int64_t t = after + 1, end = after + 2 * 86400;

    if (!can_match(rtc, HOURS_ALARM, 24) || !can_match(rtc, MINUTES_ALARM, 60) ||
        !can_match(rtc, SECONDS_ALARM, 60))
        return INT64_MAX;
    while (t < end) {
        int second_of_day = ((t % 86400) + 86400) % 86400;
        if (!matches(rtc, HOURS_ALARM, second_of_day / 3600))
            t += 3600 - second_of_day % 3600;
        else if (!matches(rtc, MINUTES_ALARM, second_of_day / 60 % 60))
            t += 60 - second_of_day % 60;
        else if (!matches(rtc, SECONDS_ALARM, second_of_day % 60))
            t++;
        else
            return t;
    }
    return INT64_MAX;
}

/* Brings register C up to date. With PIE set, periodic ticks are handed out one at a time by the
 * timer, so that a late host does not make a guest that counts them lose time. */
static void collect(Mc146818 *rtc, bool from_timer)
{
    int64_t now = rtc_now(rtc);

    if (is_running(rtc)) {
        int64_t second = floor_div(now, NS_PER_SECOND);
        if (second != rtc->update_seen) {
            rtc->ram[REG_C] |= C_UF;
            if (next_alarm(rtc, rtc->update_seen) <= second)
                rtc->ram[REG_C] |= C_AF;
            rtc->update_seen = second;
        }
    }
    int64_t index = periodic_index(rtc, now);
    if (index <= rtc->periodic_seen) {
        rtc->periodic_seen = index; /* the host's clock was set back */
    } else if (!(rtc->ram[REG_B] & B_PIE)) {
        rtc->ram[REG_C] |= C_PF;
        rtc->periodic_seen = index;
    } else if (from_timer && !(rtc->ram[REG_C] & C_PF)) {
        rtc->ram[REG_C] |= C_PF;
        rtc->periodic_seen++;
        if (beat_is_lost(periodic_time(rtc, rtc->periodic_seen), now))
            rtc->periodic_seen = index;
    }
}

static void update_irq(Mc146818 *rtc)
{
    bool irq = rtc->ram[REG_C] & rtc->ram[REG_B] & C_FLAGS; /* the enables have the same bits */
    rtc->ram[REG_C] = (rtc->ram[REG_C] & C_FLAGS) | (irq ? C_IRQF : 0);
    irq_set(&rtc->irq, irq);
}

/* Aims the timer at the next event that somebody is interested in. */
static void schedule(Mc146818 *rtc)
{
    uint8_t wanted = rtc->ram[REG_B] & ~rtc->ram[REG_C]; /* a flag that is set waits to be read */
    int64_t now = rtc_now(rtc), next = INT64_MAX;

    if ((wanted & B_PIE) && period_cycles(rtc)) {
        next = periodic_time(rtc, rtc->periodic_seen + 1);
        if (next <= now)
            next = now + BEAT_SPACING_NS;
    }
    if ((wanted & B_UIE) && is_running(rtc))
        next = MIN(next, (rtc->update_seen + 1) * NS_PER_SECOND);
    if ((wanted & B_AIE) && is_running(rtc)) {
        int64_t alarm = next_alarm(rtc, rtc->update_seen);
        if (alarm != INT64_MAX)
            next = MIN(next, alarm * NS_PER_SECOND);
    }
    if (next == INT64_MAX)
        clock_timer_cancel(rtc->timer);
    else
        clock_timer_set(rtc->timer, clock_now(rtc->board->clock) + MAX(next - now, 0));
}

static void timer_expired(void *opaque)
{
    Mc146818 *rtc = opaque;

    collect(rtc, true);
    update_irq(rtc);
    schedule(rtc);
}

/* --- registers ------------------------------------------------------------------------------ */

/* Puts WRITTEN into register A or B, stopping and starting the clock as its bits say. */
static void write_control(Mc146818 *rtc, unsigned reg, uint8_t value)
{
    bool ran = is_running(rtc), divided = divider_runs(rtc);
    RtcTime time = current_time(rtc);

    collect(rtc, false);
    rtc->ram[reg] = value;
    if (!divided && divider_runs(rtc)) /* the first update comes half a second later */
        rtc->offset +=
            FIRST_UPDATE - (rtc_now(rtc) - floor_div(rtc_now(rtc), NS_PER_SECOND) * NS_PER_SECOND);
    if (ran && !is_running(rtc)) {
        rtc->held = time;
    } else if (!ran && is_running(rtc)) {
        int64_t second = floor_div(rtc_now(rtc), NS_PER_SECOND);
        int64_t held = seconds_from_time(rtc, &rtc->held);
        shift_time(rtc, held - second);
        rtc->update_seen = held;
    }
    rtc->periodic_seen = periodic_index(rtc, rtc_now(rtc));
    update_irq(rtc);
    schedule(rtc);
}

static uint8_t cmos_read(Mc146818 *rtc, unsigned reg)
{
    switch (reg) {
    case SECONDS:
    case MINUTES:
    case HOURS:
    case DAY_OF_WEEK ... YEAR:
    case CMOS_CENTURY: return read_time(rtc, reg);
    case REG_A: {
        int64_t now = rtc_now(rtc);
        int64_t phase = now - floor_div(now, NS_PER_SECOND) * NS_PER_SECOND;
        return rtc->ram[REG_A] | (is_running(rtc) && phase >= NS_PER_SECOND - UIP_NS ? A_UIP : 0);
    }
    case REG_C: {
        collect(rtc, false);
        update_irq(rtc);
        uint8_t value = rtc->ram[REG_C];
        rtc->ram[REG_C] = 0;
        update_irq(rtc);
        schedule(rtc);
        return value;
    }
    case REG_D: return D_VRT;
    default: return rtc->ram[reg];
    }
}

static void cmos_write(Mc146818 *rtc, unsigned reg, uint8_t value)
{
    switch (reg) {
    case SECONDS:
    case MINUTES:
    case HOURS:
    case DAY_OF_WEEK ... YEAR:
    case CMOS_CENTURY:
        collect(rtc, false);
        write_time(rtc, reg, value);
        schedule(rtc);
        break;
    case REG_A: write_control(rtc, REG_A, value & ~A_UIP); break;
    case REG_B: write_control(rtc, REG_B, value & B_SET ? value & ~B_UIE : value); break;
    case REG_C:
    case REG_D: break; /* read-only */
    case SECONDS_ALARM:
    case MINUTES_ALARM:
    case HOURS_ALARM:
        collect(rtc, false);
        rtc->ram[reg] = value;
        update_irq(rtc);
        schedule(rtc);
        break;
    default: rtc->ram[reg] = value;
    }
}

static void rtc_write(void *opaque, uint16_t port, uint32_t value, unsigned size)
{
    Mc146818 *rtc = opaque;

    switch (port) {
    case PORT_INDEX: rtc->index = value; break;
    case PORT_DATA: cmos_write(rtc, rtc->index & 0x7f, value); break;
    case PORT_INDEX_2: rtc->index_2 = value & 0x7f; break;
    default: rtc->ram[0x80 | rtc->index_2] = value;
    }
}

static uint32_t rtc_read(void *opaque, uint16_t port, unsigned size)
{
    Mc146818 *rtc = opaque;

    switch (port) {
    case PORT_DATA: return cmos_read(rtc, rtc->index & 0x7f);
    case PORT_DATA_2: return rtc->ram[0x80 | rtc->index_2];
    default: return 0xff; /* the index registers are write-only */
    }
}

static const PortOps rtc_ops = {.read = rtc_read, .write = rtc_write, .max_size = 1};

bool mc146818_nmi_masked(const Mc146818 *rtc)
{
    return rtc->index & INDEX_NMI_MASK;
}

/* --- contents ------------------------------------------------------------------------------- */

void mc146818_set(Mc146818 *rtc, uint8_t index, uint8_t value)
{
    if (index <= REG_D)
        return;
    rtc->ram[index] = value;
    if (index >= CHECKSUM_FIRST && index <= CHECKSUM_LAST) {
        unsigned sum = 0;
        for (int i = CHECKSUM_FIRST; i <= CHECKSUM_LAST; i++)
            sum += rtc->ram[i];
        rtc->ram[CHECKSUM] = sum >> 8;
        rtc->ram[CHECKSUM + 1] = sum;
    }
}

uint8_t mc146818_get(const Mc146818 *rtc, uint8_t index)
{
    return rtc->ram[index];
}

static void set_value(Mc146818 *rtc, uint8_t index, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        mc146818_set(rtc, index + i, value >> i * 8);
}

void mc146818_set_memory(Mc146818 *rtc, uint64_t below_4g, uint64_t above_4g)
{
    const uint64_t mib = 1 << 20;
    uint64_t extended = below_4g > mib ? MIN((below_4g - mib) / 1024, 0xffff) : 0;
    uint64_t high = below_4g > 16 * mib ? MIN((below_4g - 16 * mib) / 65536, 0xffff) : 0;

    set_value(rtc, CMOS_BASE_MEMORY, MIN(below_4g / 1024, 640), 2);
    set_value(rtc, CMOS_EXTENDED_MEMORY, extended, 2);
    set_value(rtc, CMOS_EXTENDED_MEMORY_2, extended, 2);
    set_value(rtc, CMOS_MEMORY_ABOVE_16M, high, 2);
    set_value(rtc, CMOS_MEMORY_ABOVE_4G, MIN(above_4g / 65536, 0xffffff), 3);
}

void mc146818_set_boot_order(Mc146818 *rtc, const char *letters, bool check_floppy)
{
    static const char devices[] = "acdn"; /* SeaBIOS' codes 1-4 */
    unsigned codes[3] = {0};

    for (int i = 0; i < 3 && letters && letters[i]; i++) {
        const char *found = strchr(devices, letters[i]);
        codes[i] = found ? found - devices + 1 : 0;
    }
    mc146818_set(rtc, CMOS_BOOT_ORDER_1, codes[1] << 4 | codes[0]);
    mc146818_set(rtc, CMOS_BOOT_ORDER_2, codes[2] << 4 | !check_floppy);
}

void mc146818_set_floppies(Mc146818 *rtc, unsigned type_a, unsigned type_b)
{
    enum { HAS_FPU = 0x02, HAS_PS2_MOUSE = 0x04, HAS_FLOPPY = 0x01, TWO_FLOPPIES = 0x40 };
    unsigned equipment = HAS_FPU | HAS_PS2_MOUSE;

    if (type_a || type_b)
        equipment |= HAS_FLOPPY;
    if (type_a && type_b)
        equipment |= TWO_FLOPPIES;
    mc146818_set(rtc, CMOS_FLOPPY_TYPES, (type_a & 15) << 4 | (type_b & 15));
    mc146818_set(rtc, CMOS_EQUIPMENT, equipment);
}

/* --- life ----------------------------------------------------------------------------------- */

/* "YYYY-MM-DD[THH:MM:SS]" to seconds since 1970. */
static bool parse_date(const char *text, int64_t *seconds)
{
    struct tm tm = {0};
    const char *end = text ? strptime(text, "%Y-%m-%d", &tm) : NULL;

    if (end && *end == 'T')
        end = strptime(end, "T%H:%M:%S", &tm);
    if (!end || *end)
        return false;
    *seconds = timegm(&tm);
    return true;
}

bool mc146818_base_is_valid(const char *base)
{
    int64_t seconds;
    return !g_strcmp0(base, "utc") || !g_strcmp0(base, "localtime") || parse_date(base, &seconds);
}

static void set_base(Mc146818 *rtc, const char *base)
{
    int64_t seconds;

    rtc->follows_host = !parse_date(base, &seconds);
    if (!rtc->follows_host) {
        rtc->offset = seconds * NS_PER_SECOND - source_now(rtc);
    } else if (!g_strcmp0(base, "localtime")) {
        time_t now = g_get_real_time() / G_USEC_PER_SEC;
        struct tm tm;
        localtime_r(&now, &tm);
        rtc->offset = tm.tm_gmtoff * NS_PER_SECOND;
    }
}

Mc146818 *mc146818_new(Board *board, IrqLine irq, const char *base)
{
    Mc146818 *rtc = g_new0(Mc146818, 1);

    rtc->board = board;
    rtc->irq = irq;
    rtc->timer = clock_timer_new(board->clock, timer_expired, rtc);
    set_base(rtc, base);
    rtc->ram[REG_A] = DV_RUNNING_MAX << A_DV_SHIFT | 6; /* 32768 Hz crystal, 1024 Hz */
    rtc->ram[REG_B] = B_24;
    rtc->update_seen = floor_div(rtc_now(rtc), NS_PER_SECOND);
    rtc->periodic_seen = periodic_index(rtc, rtc_now(rtc));
    mc146818_set_memory(rtc, board->ram_below_4g, board->ram_above_4g);
    mc146818_set_floppies(rtc, 0, 0);
    mc146818_set(rtc, CMOS_CPU_COUNT, MAX(board->n_cpus, 1) - 1);
    port_register(board->memory, PORT_INDEX, 4, &rtc_ops, rtc);
    return rtc;
}

void mc146818_free(Mc146818 *rtc)
{
    if (!rtc)
        return;
    port_unregister(rtc->board->memory, PORT_INDEX, 4, rtc);
    clock_timer_free(rtc->timer);
    g_free(rtc);
}

void mc146818_reset(Mc146818 *rtc)
{
    rtc->ram[REG_B] &= ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    rtc->ram[REG_C] = 0;
    rtc->index = rtc->index_2 = 0;
    update_irq(rtc);
    schedule(rtc);
}

void mc146818_describe(Mc146818 *rtc, GString *out)
{
    RtcTime time = current_time(rtc);
    g_string_append_printf(out, "rtc: %04d-%02d-%02d %02d:%02d:%02d%s A=%02x B=%02x C=%02x\n",
                           time.year, time.month, time.day, time.hour, time.minute, time.second,
                           is_running(rtc) ? "" : " (stopped)", rtc->ram[REG_A], rtc->ram[REG_B],
                           rtc->ram[REG_C]);
}
