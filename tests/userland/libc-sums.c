// SPDX-License-Identifier: GPL-3.0-or-later
// Calls libc's functions that exist in several forms, of which one is chosen by the processor's
// features, and prints a sum of their results. What touches memory is held against plain loops as
// well, at every alignment and up against a page that must not be touched. The sums of libm's
// functions are those of one form: a processor with FMA rounds elsewhere.
#define _GNU_SOURCE
#include <fenv.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <wchar.h>

#define LONGEST 700         // of what is tried at all alignments; a multiple of wchar_t
#define LARGE   (24u << 20) // beyond the caches, where copies go past them
#define SAMPLES 20000
#define BASIS   0xcbf29ce484222325 // of FNV-1a
#define SEED    0x9e3779b97f4a7c15

static uint64_t seed = SEED;
static int wrong;

// xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators").
static uint64_t next(void)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * 0x2545f4914f6cdd1d;
}

// FNV-1a.
static uint64_t add(uint64_t sum, const void *data, size_t length)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < length; i++)
        sum = (sum ^ bytes[i]) * 0x100000001b3;
    return sum;
}

static void expect(const char *what, size_t length, size_t at, long have, long want)
{
    if (have != want && wrong++ < 50)
        printf("WRONG: %s, length %zu, offset %zu: %ld, not %ld\n", what, length, at, have, want);
}

// A comparison promises no more than its result's sign.
static int sign(int value)
{
    return (value > 0) - (value < 0);
}

// LENGTH bytes whose end is the end of the last page that may be touched.
static unsigned char *guarded(size_t length)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t pages = (length + page - 1) / page * page;
    unsigned char *memory =
        mmap(NULL, pages + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + pages, page, PROT_NONE) != 0) {
        perror("guarded memory");
        exit(2);
    }
    return memory + pages - length;
}

static unsigned char *room, *other; // guarded, LONGEST + 64 bytes each

// LENGTH bytes that end AT bytes from the guard; all around them must stay.

static void copies(size_t length, size_t at)
{
    unsigned char want[LONGEST + 64];
    for (size_t i = 0; i < sizeof want; i++)
        other[i] = (unsigned char)next();
    for (size_t i = 0; i < sizeof want; i++)
        want[i] = room[i] = (unsigned char)next();
    size_t end = sizeof want - at - length; // at 0, up against the guard
    for (size_t i = 0; i < length; i++)
        want[end + i] = other[end + i];
    memcpy(room + end, other + end, length);
    for (size_t i = 0; i < sizeof want; i++)
        expect("memcpy", length, at, room[i], want[i]);

    size_t shift = at % 23;
    if (end >= shift) {
        for (size_t i = 0; i < length; i++)
            want[end - shift + i] = room[end + i];
        memmove(room + end - shift, room + end, length);
        for (size_t i = 0; i < sizeof want; i++)
            expect("memmove down", length, at, room[i], want[i]);
        for (size_t i = length; i-- > 0;)
            want[end + i] = room[end - shift + i];
        memmove(room + end, room + end - shift, length);
        for (size_t i = 0; i < sizeof want; i++)
            expect("memmove up", length, at, room[i], want[i]);
    }
    for (size_t i = 0; i < length; i++)
        want[end + i] = 0xa5;
    memset(room + end, 0xa5, length);
    for (size_t i = 0; i < sizeof want; i++)
        expect("memset", length, at, room[i], want[i]);
}

// In a text of LENGTH times "m" AT bytes from the guard, as it is and with another letter at PLACE.
static void searches(size_t length, size_t at, size_t place)
{
    char *text = (char *)room + LONGEST + 63 - at - length;
    char *same = (char *)other + LONGEST + 63 - at % 13 - length;
    memset(text, 'm', length);
    memset(same, 'm', length);
    text[length] = same[length] = 0;
    expect("strlen", length, at, (long)strlen(text), (long)length);
    expect("strnlen", length, at, (long)strnlen(text, place), (long)place);
    expect("rawmemchr", length, at, (char *)rawmemchr(text, 0) - text, (long)length);
    expect("strcmp", length, at, strcmp(text, same), 0);
    expect("memcmp", length, at, memcmp(text, same, length + 1), 0);
    expect("strchr of none", length, at, strchr(text, 'x') != NULL, 0);
    expect("memchr of none", length, at, memchr(text, 'x', length) != NULL, 0);
    expect("strchrnul", length, at, strchrnul(text, 'x') - text, (long)length);
    expect("strspn", length, at, (long)strspn(text, "lmn"), (long)length);
    if (place >= length)
        return;
    text[place] = 'X';
    expect("strchr", length, at, strchr(text, 'X') - text, (long)place);
    expect("strrchr", length, at, strrchr(text, 'X') - text, (long)place);
    expect("memchr", length, at, (char *)memchr(text, 'X', length) - text, (long)place);
    expect("memrchr", length, at, (char *)memrchr(text, 'X', length) - text, (long)place);
    expect("strcspn", length, at, (long)strcspn(text, "WXY"), (long)place);
    expect("strpbrk", length, at, strpbrk(text, "YXW") - text, (long)place);
    expect("strstr", length, at, strstr(text, "X") - text, (long)place);
    expect("strcmp of less", length, at, sign(strcmp(text, same)), -1);
    expect("memcmp of less", length, at, sign(memcmp(text, same, length)), -1);
    expect("strncmp before", length, at, strncmp(text, same, place), 0);
    expect("strncmp", length, at, sign(strncmp(same, text, place + 1)), 1);
    same[place] = 'x';
    expect("strcasecmp", length, at, strcasecmp(text, same), 0);
    expect("strncasecmp", length, at, strncasecmp(text, same, length), 0);
    strcpy(same, text);
    expect("strcpy", length, at, memcmp(same, text, length + 1), 0);
    memset(same, 'z', length + 1);
    expect("stpncpy", length, at, stpncpy(same, text, place + 1) - same, (long)place + 1);
    expect("stpncpy's end", length, at, same[place + 1], 'z');
}

static void wide(size_t length, size_t at)
{
    wchar_t *text = (wchar_t *)room + LONGEST / 4 + 15 - at - length;
    wmemset(text, L'm', length);
    text[length] = 0;
    expect("wcslen", length, at, (long)wcslen(text), (long)length);
    expect("wmemchr of none", length, at, wmemchr(text, L'x', length) != NULL, 0);
    if (length > 0) {
        text[length - 1] = L'X';
        expect("wcschr", length, at, wcschr(text, L'X') - text, (long)length - 1);
        expect("wcsrchr", length, at, wcsrchr(text, L'X') - text, (long)length - 1);
        expect("wmemchr", length, at, wmemchr(text, L'X', length) - text, (long)length - 1);
        expect("wmemcmp", length, at, wmemcmp(text, text, length), 0);
    }
}

static void large(void)
{
    unsigned char *from = malloc(LARGE + 4096), *to = calloc(1, LARGE + 4096);
    if (!from || !to) {
        perror("memory");
        exit(2);
    }
    for (size_t i = 0; i < (LARGE + 4096) / 8; i++)
        ((uint64_t *)from)[i] = next();
    for (size_t at = 0; at < 4; at++) {
        size_t length = (LARGE >> at) + 17 * at;
        memcpy(to + at, from + 5 * at, length);
        size_t same = 0;
        while (same < length && to[at + same] == from[5 * at + same])
            same++;
        expect("large memcpy", length, at, (long)same, (long)length);
        memmove(to + 64 + at, to, length);
        uint64_t sum = add(BASIS, to, length);
        printf("large memmove %zu: %016llx\n", at, (unsigned long long)sum);
    }
    free(from);
    free(to);
}

static void memory(void)
{
    room = guarded(LONGEST + 64);
    other = guarded(LONGEST + 64);
    for (size_t length = 0; length <= LONGEST; length += length < 300 ? 1 : 13)
        for (size_t at = 0; at < 64; at += 1 + length / 80) {
            copies(length, at);
            if (length + at <= LONGEST + 40) {
                searches(length, at, length ? next() % length : 0);
                searches(length, at, length);
            }
            if (length < LONGEST / 4 && at < 15)
                wide(length, at);
        }
    large();
    printf("memory and strings: %d wrong\n", wrong);
}

// Of all sizes: of any exponent, near 1, and of a size that angles have.
static double sample(unsigned i)
{
    uint64_t bits = next();
    double value;
    memcpy(&value, &bits, sizeof value);
    if (i % 4 == 0)
        return value;
    double part = (double)(int64_t)bits / 9223372036854775808.0;
    return part * (i % 4 == 1 ? 1 : i % 4 == 2 ? 700 : 1e6);
}

static uint64_t add_double(uint64_t sum, double value)
{
    return isnan(value) ? add(sum, "nan", 3) : add(sum, &value, sizeof value);
}

static uint64_t add_float(uint64_t sum, float value)
{
    return isnan(value) ? add(sum, "nan", 3) : add(sum, &value, sizeof value);
}

static uint64_t add_long_double(uint64_t sum, long double value)
{
    return isnan(value) ? add(sum, "nan", 3) : add(sum, &value, 10); // x87's ten bytes
}

struct Function {
    const char *name;
    double (*of_double)(double);
    float (*of_float)(float);
    long double (*of_long_double)(long double);
};

struct Function2 {
    const char *name;
    double (*of_double)(double, double);
    float (*of_float)(float, float);
    long double (*of_long_double)(long double, long double);
};

#define OF(name)                                                                                   \
    {                                                                                              \
#name, name, name##f, name##l                                                              \
    }

static const struct Function functions[] = {
    OF(sin),   OF(cos),       OF(tan),  OF(asin),   OF(acos),   OF(atan), OF(sinh),
    OF(cosh),  OF(tanh),      OF(exp),  OF(exp2),   OF(expm1),  OF(log),  OF(log2),
    OF(log10), OF(log1p),     OF(sqrt), OF(cbrt),   OF(floor),  OF(ceil), OF(trunc),
    OF(rint),  OF(nearbyint), OF(erf),  OF(lgamma), OF(tgamma), OF(j0),
};

static const struct Function2 functions2[] = {
    OF(pow), OF(atan2), OF(fmod), OF(remainder), OF(hypot),
};

static void show(const char *what, uint64_t sum)
{
    printf("%s: %016llx\n", what, (unsigned long long)sum);
}

static uint64_t sum_of(const struct Function *function)
{
    uint64_t sum = BASIS;
    seed = SEED;
    for (unsigned i = 0; i < SAMPLES; i++) {
        double x = sample(i);
        sum = add_double(sum, function->of_double(x));
        sum = add_float(sum, function->of_float((float)x));
        sum = add_long_double(sum, function->of_long_double(x));
    }
    return sum;
}

static uint64_t sum_of2(const struct Function2 *function)
{
    uint64_t sum = BASIS;
    seed = SEED;
    for (unsigned i = 0; i < SAMPLES; i++) {
        double x = sample(i), y = sample(i / 4);
        sum = add_double(sum, function->of_double(x, y));
        sum = add_float(sum, function->of_float((float)x, (float)y));
        sum = add_long_double(sum, function->of_long_double(x, y));
    }
    return sum;
}

static uint64_t sum_of_fma(void)
{
    uint64_t sum = BASIS;
    seed = SEED;
    for (unsigned i = 0; i < SAMPLES; i++) {
        double x = sample(i), y = sample(i / 2), z = sample(i / 4);
        sum = add_double(sum, fma(x, y, z));
        sum = add_float(sum, fmaf((float)x, (float)y, (float)z));
    }
    return sum;
}

static void mathematics(void)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        show(functions[i].name, sum_of(&functions[i]));
    for (size_t i = 0; i < sizeof functions2 / sizeof *functions2; i++)
        show(functions2[i].name, sum_of2(&functions2[i]));
    show("fma", sum_of_fma());
}

static void conversions(void)
{
    uint64_t sum = BASIS;
    seed = SEED;
    for (unsigned i = 0; i < SAMPLES; i++) {
        char text[400];
        double x = sample(i);
        int length = snprintf(text, sizeof text, "%.17g %a %.3Lf %lld", x, x,
                              (long double)(x / 1e280), (long long)next());
        if (isnan(x))
            continue;
        sum = add(sum, text, (size_t)length);
        double back = strtod(text, NULL);
        expect("strtod", i, 0, memcmp(&back, &x, sizeof x), 0);
    }
    show("printf and strtod", sum);
}

int main(void)
{
    static const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    memory();
    conversions();
    for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) {
        printf("rounding %u\n", i);
        fesetround(modes[i]);
        mathematics();
    }
    return wrong ? 1 : 0;
}
