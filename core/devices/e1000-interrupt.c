/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Interrupt causes, mask and throttling (SDM 13.4.16-13.4.21), and the timers that delay receive
 * and transmit interrupts (RDTR 13.4.30, RADV 13.4.31, TIDV and TADV).
 *
 * The throttle is a minimum distance between two rising edges of INTA; a cause that comes earlier
 * waits for its end. The packet timers start again with each packet, the absolute ones do not.
 *
 * Frames leave here in no time, so that a driver's usual 8 us for transmit interrupts would be a
 * host timer, a wake-up and an interrupt for each frame. What may be late is therefore at least
 * TX_LATE_NS late, and goes along with whatever interrupt comes before. A driver that goes on
 * sending gets it in one of its own accesses when that time is over: the host's timer, which costs
 * more than a frame, waits as long again before it wakes the board thread.
 */

#include "core/devices/e1000-internal.h"

#define ITR_UNIT_NS   256
#define DELAY_UNIT_NS 1024
#define TX_LATE_NS    100000
/* Causes that only tell of frames sent. */
#define INT_SENT      (INT_TXDW | INT_TXQE | INT_TXD_LOW)

static int64_t now(E1000 *e1000)
{
    return clock_now(e1000->pci.device.board->clock);
}

/* The throttle holds back what is wanted. */
static void wait_for_throttle(E1000 *e1000)
{
    bool urgent = e1000->icr & e1000->ims & ~(uint32_t)INT_SENT;

    if (urgent)
        clock_timer_set(e1000->throttle_timer, e1000->throttle_until);
    else if (!clock_timer_is_set(e1000->throttle_timer))
        clock_timer_set(e1000->throttle_timer, e1000->throttle_until + TX_LATE_NS);
}

void e1000_update_interrupt(E1000 *e1000)
{
    bool wanted = e1000->icr & e1000->ims;

    if (wanted == e1000->line)
        return;
    if (wanted) {
        uint32_t interval = *e1000_reg(e1000, ITR);
        /* Without throttling the clock need not be asked. */
        if (interval || e1000->throttle_until) {
            int64_t time = now(e1000);
            if (time < e1000->throttle_until) {
                wait_for_throttle(e1000);
                return;
            }
            e1000->throttle_until = interval ? time + (int64_t)interval * ITR_UNIT_NS : 0;
            clock_timer_withdraw(e1000->throttle_timer);
        }
        if (e1000->tx_deadline) {
            e1000->tx_deadline = 0;
            clock_timer_withdraw(e1000->tx_timer);
            e1000->icr |= INT_TXDW;
        }
    }
    e1000->line = wanted;
    pci_set_intx(&e1000->pci, wanted);
}

static void throttle_ended(void *opaque)
{
    E1000 *e1000 = opaque;

    e1000->throttle_until = 0;
    e1000_update_interrupt(e1000);
}

void e1000_raise(E1000 *e1000, uint32_t causes)
{
    e1000->icr |= causes;
    e1000_update_interrupt(e1000);
}

uint32_t e1000_read_icr(E1000 *e1000)
{
    uint32_t value = e1000->icr;

    e1000->icr = 0;
    e1000_update_interrupt(e1000);
    return value;
}

/* --- delays ----------------------------------------------------------------------------------- */

/* Starts or prolongs a packet timer of PACKET ns that ends no later than ABSOLUTE ns after it began
 * (0: no such limit). The host's timer, which may be LATE ns late, is left alone while it is set
 * for earlier: what it finds then is that there is more to wait. */
static void delay(E1000 *e1000, ClockTimer *timer, int64_t *deadline, int64_t *limit,
                  int64_t packet, int64_t absolute, int64_t late)
{
    int64_t time = now(e1000);

    if (!*deadline)
        *limit = absolute ? time + absolute : INT64_MAX;
    *deadline = MIN(time + packet, *limit);
    if (!clock_timer_is_set(timer))
        clock_timer_set(timer, *deadline + late);
}

static bool delay_is_over(E1000 *e1000, ClockTimer *timer, int64_t *deadline)
{
    if (!*deadline)
        return false;
    if (now(e1000) < *deadline) {
        clock_timer_set(timer, *deadline);
        return false;
    }
    *deadline = 0;
    return true;
}

static void rx_timer_fired(void *opaque)
{
    E1000 *e1000 = opaque;

    if (delay_is_over(e1000, e1000->rx_timer, &e1000->rx_deadline))
        e1000_raise(e1000, INT_RXT0);
}

static void tx_timer_fired(void *opaque)
{
    E1000 *e1000 = opaque;

    if (delay_is_over(e1000, e1000->tx_timer, &e1000->tx_deadline))
        e1000_raise(e1000, INT_TXDW);
}

void e1000_received(E1000 *e1000, size_t length)
{
    uint32_t packet = *e1000_reg(e1000, RDTR) & 0xffff;
    uint32_t small = *e1000_reg(e1000, RSRPD) & 0xfff;

    if (small && length <= small)
        e1000_raise(e1000, INT_SRPD);
    if (packet)
        delay(e1000, e1000->rx_timer, &e1000->rx_deadline, &e1000->rx_absolute,
              (int64_t)packet * DELAY_UNIT_NS,
              (int64_t)(*e1000_reg(e1000, RADV) & 0xffff) * DELAY_UNIT_NS, 0);
    else
        e1000_raise(e1000, INT_RXT0);
}

void e1000_flush_rx_delay(E1000 *e1000)
{
    if (!e1000->rx_deadline)
        return;
    e1000->rx_deadline = 0;
    clock_timer_cancel(e1000->rx_timer);
    e1000_raise(e1000, INT_RXT0);
}

void e1000_written_back(E1000 *e1000, bool delayed)
{
    uint32_t packet = *e1000_reg(e1000, TIDV) & 0xffff;

    if (delayed && packet && !(e1000->tx_deadline && now(e1000) >= e1000->tx_deadline)) {
        int64_t absolute = (int64_t)(*e1000_reg(e1000, TADV) & 0xffff) * DELAY_UNIT_NS;
        delay(e1000, e1000->tx_timer, &e1000->tx_deadline, &e1000->tx_absolute,
              MAX((int64_t)packet * DELAY_UNIT_NS, TX_LATE_NS),
              absolute ? MAX(absolute, TX_LATE_NS) : 0, TX_LATE_NS);
        e1000_update_interrupt(e1000); /* the throttle's end may have come */
        return;
    }
    e1000->tx_deadline = 0;
    clock_timer_withdraw(e1000->tx_timer);
    e1000_raise(e1000, INT_TXDW);
}

/* --- life ------------------------------------------------------------------------------------- */

void e1000_init_interrupt(E1000 *e1000)
{
    Clock *clock = e1000->pci.device.board->clock;

    e1000->throttle_timer = clock_timer_new(clock, throttle_ended, e1000);
    e1000->rx_timer = clock_timer_new(clock, rx_timer_fired, e1000);
    e1000->tx_timer = clock_timer_new(clock, tx_timer_fired, e1000);
}

void e1000_reset_interrupt(E1000 *e1000)
{
    e1000->icr = e1000->ims = 0;
    e1000->throttle_until = e1000->rx_deadline = e1000->tx_deadline = 0;
    clock_timer_cancel(e1000->throttle_timer);
    clock_timer_cancel(e1000->rx_timer);
    clock_timer_cancel(e1000->tx_timer);
    e1000_update_interrupt(e1000);
}

void e1000_destroy_interrupt(E1000 *e1000)
{
    clock_timer_free(e1000->throttle_timer);
    clock_timer_free(e1000->rx_timer);
    clock_timer_free(e1000->tx_timer);
}
