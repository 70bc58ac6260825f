/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Instruction bytes to a compact description, by Zydis. Shared by the interpreter and the JIT. */

#include "core/cpu/cpu.h"

#include <Zydis/Zydis.h>

#define INSN_MAX_BYTES 15

typedef enum { OPERAND_NONE, OPERAND_REG, OPERAND_MEM, OPERAND_IMM, OPERAND_FAR } OperandKind;
typedef enum {
    REG_CLASS_NONE,
    REG_CLASS_GPR8,
    REG_CLASS_GPR8_HIGH /* AH CH DH BH: index 0-3 */,
    REG_CLASS_GPR16,
    REG_CLASS_GPR32,
    REG_CLASS_GPR64,
    REG_CLASS_SEG,
    REG_CLASS_CR,
    REG_CLASS_DR,
    REG_CLASS_X87,
    REG_CLASS_MMX,
    REG_CLASS_XMM,
    REG_CLASS_YMM,
    REG_CLASS_OTHER,
} RegClass;

typedef struct {
    uint8_t kind;         /* OperandKind */
    uint8_t reg_class;    /* RegClass */
    uint8_t reg;          /* register number as encoded, REX applied */
    uint8_t size;         /* bytes (0: none or more than 255, e.g. FXSAVE) */
    uint8_t actions;      /* ZYDIS_OPERAND_ACTION_* as Zydis gives */
    uint8_t hidden : 1;   /* implied, not encoded */
    uint8_t encoding : 7; /* ZydisOperandEncoding: which field names it */
} InsnOperand;

typedef struct {
    uint16_t mnemonic; /* ZydisMnemonic */
    uint16_t isa_set;  /* ZydisISASet */
    uint8_t length;
    uint8_t opsize;       /* operand width in bytes: 1, 2, 4, 8 */
    uint8_t address_size; /* 2, 4, 8 */
    uint8_t n_operands;   /* visible and hidden */
    uint8_t n_visible;
    uint8_t encoding;       /* ZydisInstructionEncoding: legacy, VEX ... */
    uint8_t category_flags; /* INSN_* below */
    bool lock : 1;
    bool rep : 1, repne : 1; /* string instructions only: the F3 or F2 that counts */
    bool mem_may_mask : 1;   /* MEM_ALIGN does not count with MXCSR.MM (APM 1, 4.2.2) */
    bool imm_signed : 1;     /* IMMEDIATE is its field's sign-extended value */
    /* The one memory operand, if any. String instructions: MEM_SEG is the segment of rSI (of rDI
     * for STOS, SCAS, INS). XLAT and MASKMOV: the implied operand. */
    uint8_t mem_seg;  /* SEG_* after overrides and defaults */
    uint8_t mem_base; /* 0-15, INSN_REG_RIP or INSN_REG_NONE */
    uint8_t mem_index;
    uint8_t mem_scale; /* 1, 2, 4, 8 */
    uint8_t mem_size;  /* bytes; 0 for LEA and areas over 255 bytes */
    uint8_t mem_align; /* alignment whose lack is #GP(0); 0: any */
    uint8_t opcode;    /* the last opcode byte */
    uint8_t modrm;     /* 0 when absent */
    uint8_t rex;
    uint8_t opcode_map;  /* ZydisOpcodeMap */
    uint16_t immediate2; /* ENTER level, EXTRQ; far selector */
    int64_t displacement;
    uint64_t immediate; /* sign-extended as the instruction does */
    InsnOperand operands[6];
    /* RFLAGS_* masks (arithmetic flags only). MODIFIED includes what is set, cleared or left
     * undefined; shifts by a masked count of 0 and REP SCAS/CMPS with rCX 0 leave all unchanged. */
    uint16_t flags_tested, flags_modified, flags_undefined;
    uint16_t gpr_written; /* a bit for each general register that changes, or part of it */
    uint8_t bytes[INSN_MAX_BYTES];
    /* Where things are in bytes[], for re-encoding: offsets, 0xff when absent. */
    uint8_t rex_offset, opcode_offset /* its first byte: 0F, or the one after VEX */, modrm_offset,
        sib_offset, disp_offset, disp_size, imm_offset, imm_size, vex_offset;
} Insn;

#define INSN_REG_NONE 0xff
#define INSN_REG_RIP  0xfe
enum {
    INSN_IS_STRING = 1,
    INSN_IS_BRANCH = 2, /* changes RIP other than by falling through (incl. far, INT, SYSCALL) */
    INSN_IS_X87 = 4,
    INSN_IS_VECTOR = 8,   /* MMX, SSE, AVX: touches or may touch vector state */
    INSN_IS_SYSTEM = 16,  /* may change mode, or needs CPL checks */
    INSN_MAY_TRAP = 64,   /* x87, MMX, vectors: not for its operand's address, but #MF, #XM, #GP */
    INSN_HAS_MEMORY = 32, /* accesses memory through a ModRM operand (not LEA/NOP, not moffs) */
};

typedef enum { DECODE_OK, DECODE_NEED_MORE, DECODE_INVALID, DECODE_TOO_LONG } DecodeResult;

/* Decodes at most AVAILABLE bytes in the CPU's MODE (MODE_CS64 / MODE_CS32 or 16-bit).
 *
 * DECODE_INVALID is #UD. Extensions that no CPUID model of ours shows (AVX-512, XOP, AMX, VMX ...)
 * are invalid; those that are hints on processors without them (MPX, CET's ENDBR, CLDEMOTE) decode
 * as the NOPs they are there. Whether an instruction exists in real and virtual-8086 mode is left
 * to its execution.
 *
 * A 66h prefix on a near branch in 64-bit code is ignored by Intel processors and honoured by AMD's
 * (APM 3, "operand-size prefix"); the guest's processor is of the host's make, so OPSIZE follows
 * the host's vendor. */
DecodeResult insn_decode(const uint8_t *bytes, unsigned available, uint32_t mode, Insn *insn);

/* Instructions decoded lately, found by their bytes, also for those that only have another
 * displacement or immediate. All zero at first; one thread's. */
enum { DECODE_CACHE_BITS = 11, DECODE_WAYS = 2 };
typedef struct {
    _Alignas(64) uint64_t first; /* the eight bytes it was decoded from, or that and more behind */
    uint32_t mode;
    uint8_t fixed; /* bytes that must be the same; 0: none */
    Insn insn;
} DecodeEntry;
_Static_assert(sizeof(DecodeEntry) == 128, "two cache lines: most are not at hand");
typedef struct {
    DecodeEntry entries[1 << DECODE_CACHE_BITS][DECODE_WAYS]; /* the newest first */
} DecodeCache;
/* insn_decode() by way of CACHE. */
DecodeResult insn_decode_cached(DecodeCache *cache, const uint8_t *bytes, unsigned available,
                                uint32_t mode, Insn *insn);

/* Whether an operand in memory is written. */
bool insn_writes_memory(const Insn *insn);
/* With LOCK, or XCHG with memory, which needs none (SDM 2, XCHG). */
bool insn_is_locked(const Insn *insn);
/* SHL, SHR, SAR, SHLD, SHRD and the rotations. */
bool insn_is_shift(const Insn *insn);
/* One of those, by a count that may be 0: it then leaves all flags as they were. */
bool insn_may_shift_by_0(const Insn *insn);
