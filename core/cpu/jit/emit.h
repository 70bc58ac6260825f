/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Writes x86-64 instructions as raw bytes. Opcodes are given as they stand in the manual: 0x8b,
 * 0x0faf, 0x0f38f0. REG goes to ModRM.reg, RM or a memory operand to ModRM.rm. Registers are host
 * registers 0-15.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    uint8_t *p;
} Emit;

enum {
    H_RAX,
    H_RCX,
    H_RDX,
    H_RBX,
    H_RSP,
    H_RBP,
    H_RSI,
    H_RDI,
    H_R8,
    H_R9,
    H_R10,
    H_R11,
    H_R12,
    H_R13,
    H_R14,
    H_R15,
    H_NONE = 0xff,
};

static inline void emit8(Emit *e, unsigned value)
{
    *e->p++ = (uint8_t)value;
}

static inline void emit16(Emit *e, uint16_t value)
{
    memcpy(e->p, &value, 2);
    e->p += 2;
}

static inline void emit32(Emit *e, uint32_t value)
{
    memcpy(e->p, &value, 4);
    e->p += 4;
}

static inline void emit64(Emit *e, uint64_t value)
{
    memcpy(e->p, &value, 8);
    e->p += 8;
}

static inline void emit_bytes(Emit *e, const void *bytes, unsigned n)
{
    memcpy(e->p, bytes, n);
    e->p += n;
}

static inline void emit_opcode(Emit *e, unsigned op)
{
    if (op >> 16)
        emit8(e, op >> 16);
    if (op >> 8)
        emit8(e, op >> 8);
    emit8(e, op);
}

static inline void emit_rex(Emit *e, bool w, unsigned reg, unsigned index, unsigned base)
{
    unsigned rex = w << 3 | (reg >> 3 & 1) << 2 | (index >> 3 & 1) << 1 | (base >> 3 & 1);

    if (rex)
        emit8(e, 0x40 | rex);
}

/* ModRM, SIB and displacement of [BASE + INDEX * SCALE + DISP]; BASE or INDEX may be H_NONE. */
static inline void emit_mem(Emit *e, unsigned reg, unsigned base, unsigned index, unsigned scale,
                            int32_t disp)
{
    unsigned mod = disp == 0 && (base & 7) != 5 ? 0 : disp == (int8_t)disp ? 1 : 2;
    unsigned log2 = scale == 8 ? 3 : scale == 4 ? 2 : scale == 2 ? 1 : 0;

    reg = (reg & 7) << 3;
    if (base == H_NONE) {
        emit8(e, reg | 4);
        emit8(e, log2 << 6 | (index == H_NONE ? 4 : index & 7) << 3 | 5);
        emit32(e, disp);
        return;
    }
    if (index == H_NONE && (base & 7) != 4) {
        emit8(e, mod << 6 | reg | (base & 7));
    } else {
        emit8(e, mod << 6 | reg | 4);
        emit8(e, log2 << 6 | (index == H_NONE ? 4 : index & 7) << 3 | (base & 7));
    }
    if (mod == 1)
        emit8(e, disp);
    else if (mod == 2)
        emit32(e, disp);
}

static inline void emit_rr(Emit *e, bool w, unsigned op, unsigned reg, unsigned rm)
{
    emit_rex(e, w, reg, 0, rm);
    emit_opcode(e, op);
    emit8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static inline void emit_rmx(Emit *e, bool w, unsigned op, unsigned reg, unsigned base,
                            unsigned index, unsigned scale, int32_t disp)
{
    emit_rex(e, w, reg, index == H_NONE ? 0 : index, base == H_NONE ? 0 : base);
    emit_opcode(e, op);
    emit_mem(e, reg, base, index, scale, disp);
}

static inline void emit_rm(Emit *e, bool w, unsigned op, unsigned reg, unsigned base, int32_t disp)
{
    emit_rmx(e, w, op, reg, base, H_NONE, 1, disp);
}

static inline void emit_mov_rr(Emit *e, unsigned to, unsigned from)
{
    emit_rr(e, true, 0x89, from, to);
}

/* rorx TO, FROM, BY with registers of 32 bits: leaves EFLAGS alone, wants BMI2. */
static inline void emit_rorx(Emit *e, unsigned to, unsigned from, unsigned by)
{
    emit8(e, 0xc4);
    emit8(e, 0x43 | (to < 8) << 7 | (from < 8) << 5); /* not R, X, not B; map 0f 3a */
    emit8(e, 0x7b);                                   /* W0, no second source, L0, f2 */
    emit8(e, 0xf0);
    emit8(e, 0xc0 | (to & 7) << 3 | (from & 7));
    emit8(e, by);
}

static inline void emit_mov_imm(Emit *e, unsigned to, uint64_t value)
{
    if (value == (uint32_t)value) {
        emit_rex(e, false, 0, 0, to);
        emit8(e, 0xb8 | (to & 7));
        emit32(e, (uint32_t)value);
    } else if ((int64_t)value == (int32_t)value) {
        emit_rr(e, true, 0xc7, 0, to);
        emit32(e, (uint32_t)value);
    } else {
        emit_rex(e, true, 0, 0, to);
        emit8(e, 0xb8 | (to & 7));
        emit64(e, value);
    }
}

/* Group 1 (ADD 0, OR 1, AND 4, SUB 5, XOR 6, CMP 7) with an immediate. */
static inline void emit_alu_imm(Emit *e, bool w, unsigned op, unsigned rm, int32_t value)
{
    bool small = value == (int8_t)value;

    emit_rr(e, w, small ? 0x83 : 0x81, op, rm);
    if (small)
        emit8(e, value);
    else
        emit32(e, value);
}

static inline void emit_alu_mem_imm(Emit *e, bool w, unsigned op, unsigned base, int32_t disp,
                                    int32_t value)
{
    bool small = value == (int8_t)value;

    emit_rm(e, w, small ? 0x83 : 0x81, op, base, disp);
    if (small)
        emit8(e, value);
    else
        emit32(e, value);
}

/* A rel32 field that ends at SITE + 4 now leads to TARGET (both in the writable mapping). */
static inline void emit_patch(uint8_t *site, const uint8_t *target)
{
    int32_t relative = (int32_t)(target - (site + 4));

    memcpy(site, &relative, 4);
}

static inline void emit_jmp(Emit *e, const uint8_t *target)
{
    emit8(e, 0xe9);
    emit_patch(e->p, target);
    e->p += 4;
}

/* lea REG, [TARGET]; returns its rel32 field, for emit_patch(). */
static inline uint8_t *emit_lea_rip(Emit *e, unsigned reg, const uint8_t *target)
{
    emit_rex(e, true, reg, 0, 0);
    emit8(e, 0x8d);
    emit8(e, (uint8_t)((reg & 7) << 3 | 5));
    e->p += 4;
    emit_patch(e->p - 4, target);
    return e->p - 4;
}

static inline void emit_call(Emit *e, const uint8_t *target)
{
    emit8(e, 0xe8);
    emit_patch(e->p, target);
    e->p += 4;
}

/* Returns the rel8 field. */
static inline uint8_t *emit_jrcxz(Emit *e)
{
    emit8(e, 0xe3);
    return e->p++;
}

/* A rel8 field now leads to TARGET, which is near. */
static inline void emit_patch8(uint8_t *site, const uint8_t *target)
{
    *site = (uint8_t)(target - (site + 1));
}

/* CONDITION as in the opcode's low nibble. Returns the rel32 field. */
static inline uint8_t *emit_jcc(Emit *e, unsigned condition, const uint8_t *target)
{
    emit8(e, 0x0f);
    emit8(e, 0x80 | condition);
    emit_patch(e->p, target);
    e->p += 4;
    return e->p - 4;
}

enum {
    CC_O,
    CC_NO,
    CC_B,
    CC_AE,
    CC_E,
    CC_NE,
    CC_BE,
    CC_A,
    CC_S,
    CC_NS,
    CC_P,
    CC_NP,
    CC_L,
    CC_GE,
    CC_LE,
    CC_G
};
