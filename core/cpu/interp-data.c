/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Moving data: MOV and its kin, exchanges, conditional moves, addresses, hints. */

#include "core/cpu/interp-memory.h"
#include "core/cpu/interp-private.h"

#include <string.h>

/* --- MOV -------------------------------------------------------------------------------------- */

INTERP_INLINE void move(Cpu *cpu, const Insn *insn, unsigned size)
{
    operand_write(cpu, insn, 0, operand_read(cpu, insn, 1, size), size);
}

static void insn_mov8(Cpu *cpu, const Insn *insn)
{
    move(cpu, insn, 1);
}

static void insn_mov16(Cpu *cpu, const Insn *insn)
{
    move(cpu, insn, 2);
}

static void insn_mov32(Cpu *cpu, const Insn *insn)
{
    move(cpu, insn, 4);
}

static void insn_mov64(Cpu *cpu, const Insn *insn)
{
    move(cpu, insn, 8);
}

static void insn_mov_from_segment(Cpu *cpu, const Insn *insn)
{
    uint16_t selector = cpu->seg[insn->operands[1].reg].selector;
    if (insn->operands[0].kind == OPERAND_REG)
        gpr_write(cpu, insn->operands[0].reg, selector, insn->opsize);
    else
        interp_store(cpu, insn_linear(cpu, insn, 2, true), selector, 2);
}

static void insn_mov_to_segment(Cpu *cpu, const Insn *insn)
{
    unsigned seg = insn->operands[0].reg;
    segment_load(cpu, seg, operand_read(cpu, insn, 1, 2));
    if (seg == SEG_SS)
        cpu->interrupt_shadow |= SHADOW_MOV_SS;
}

/* In 64-bit code control and debug registers move 64 bits, else 32, whatever the prefixes. */
static void insn_mov_from_control(Cpu *cpu, const Insn *insn)
{
    const InsnOperand *source = &insn->operands[1];
    uint64_t value = source->reg_class == REG_CLASS_CR ? system_mov_from_cr(cpu, source->reg)
                                                       : system_mov_from_dr(cpu, source->reg);
    gpr_write(cpu, insn->operands[0].reg, value, cpu_is_64bit(cpu) ? 8 : 4);
}

static void insn_mov_to_control(Cpu *cpu, const Insn *insn)
{
    const InsnOperand *destination = &insn->operands[0];
    uint64_t value = gpr_read(cpu, insn->operands[1].reg, cpu_is_64bit(cpu) ? 8 : 4);
    if (destination->reg_class == REG_CLASS_CR)
        system_mov_to_cr(cpu, destination->reg, value);
    else
        system_mov_to_dr(cpu, destination->reg, value);
}

static InterpHandler mov_handler(const Insn *insn)
{
    const InsnOperand *to = &insn->operands[0], *from = &insn->operands[1];
    if (from->kind == OPERAND_REG && from->reg_class == REG_CLASS_SEG)
        return insn_mov_from_segment;
    if (to->kind == OPERAND_REG && to->reg_class == REG_CLASS_SEG)
        return insn_mov_to_segment;
    if (from->reg_class == REG_CLASS_CR || from->reg_class == REG_CLASS_DR)
        return insn_mov_from_control;
    if (to->reg_class == REG_CLASS_CR || to->reg_class == REG_CLASS_DR)
        return insn_mov_to_control;
    switch (to->size) {
    case 1: return insn_mov8;
    case 2: return insn_mov16;
    case 4: return insn_mov32;
    default: return insn_mov64;
    }
}

/* --- extension, conditions -------------------------------------------------------------------- */

static void insn_movzx(Cpu *cpu, const Insn *insn)
{
    uint64_t value =
        insn->operands[1].size == 1 ? operand_read(cpu, insn, 1, 1) : operand_read(cpu, insn, 1, 2);
    gpr_write(cpu, insn->operands[0].reg, value, insn->operands[0].size);
}

/* MOVSX, MOVSXD. */
static void insn_movsx(Cpu *cpu, const Insn *insn)
{
    unsigned size = insn->operands[1].size;
    uint64_t value = sign_extend(operand_read(cpu, insn, 1, size), size);
    gpr_write(cpu, insn->operands[0].reg, value, insn->operands[0].size);
}

/* The source is read, and a 32-bit destination's upper half cleared, also when the condition fails.
 */
static void insn_cmov(Cpu *cpu, const Insn *insn)
{
    unsigned size = insn->operands[0].size, reg = insn->operands[0].reg;
    uint64_t value = operand_read(cpu, insn, 1, size);
    if (!interp_condition(cpu->rflags, insn->opcode & 15))
        value = cpu->gpr[reg];
    gpr_write(cpu, reg, value, size);
}

static void insn_setcc(Cpu *cpu, const Insn *insn)
{
    operand_write(cpu, insn, 0, interp_condition(cpu->rflags, insn->opcode & 15), 1);
}

/* --- addresses, bytes ------------------------------------------------------------------------- */

static void insn_lea(Cpu *cpu, const Insn *insn)
{
    gpr_write(cpu, insn->operands[0].reg, insn_offset(cpu, insn), insn->operands[0].size);
}

static uint64_t swap_bytes(uint64_t value, unsigned size)
{
    switch (size) {
    case 2: return __builtin_bswap16(value);
    case 4: return __builtin_bswap32(value);
    default: return __builtin_bswap64(value);
    }
}

/* With a 16-bit operand the result is undefined; processors give zero. */
static void insn_bswap(Cpu *cpu, const Insn *insn)
{
    unsigned size = insn->operands[0].size, reg = insn->operands[0].reg;
    gpr_write(cpu, reg, size == 2 ? 0 : swap_bytes(cpu->gpr[reg], size), size);
}

static void insn_movbe(Cpu *cpu, const Insn *insn)
{
    unsigned size = insn->opsize;
    operand_write(cpu, insn, 0, swap_bytes(operand_read(cpu, insn, 1, size), size), size);
}

static void insn_xlat(Cpu *cpu, const Insn *insn)
{
    uint64_t offset = (cpu->gpr[RBX] + (cpu->gpr[RAX] & 0xff)) & size_mask(insn->address_size);
    gpr_write(cpu, RAX, interp_load(cpu, interp_linear(cpu, insn->mem_seg, offset, 1, false), 1),
              1);
}

/* LDS, LES, LSS, LFS, LGS. */
static void insn_load_far_pointer(Cpu *cpu, const Insn *insn)
{
    unsigned size = insn->operands[0].size, seg;
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_LDS: seg = SEG_DS; break;
    case ZYDIS_MNEMONIC_LES: seg = SEG_ES; break;
    case ZYDIS_MNEMONIC_LFS: seg = SEG_FS; break;
    case ZYDIS_MNEMONIC_LGS: seg = SEG_GS; break;
    default: seg = SEG_SS; break;
    }
    uint64_t linear = insn_linear(cpu, insn, size + 2, false);
    uint16_t selector = interp_load(cpu, linear + size, 2);
    uint64_t offset = interp_load(cpu, linear, size);
    segment_load(cpu, seg, selector);
    gpr_write(cpu, insn->operands[0].reg, offset, size);
}

/* --- exchanges -------------------------------------------------------------------------------- */

static void insn_xchg(Cpu *cpu, const Insn *insn)
{
    const InsnOperand *first = &insn->operands[0], *second = &insn->operands[1];
    unsigned size = first->size;
    if (first->kind == OPERAND_REG && second->kind == OPERAND_REG) {
        uint64_t a = register_read(cpu, first, size), b = register_read(cpu, second, size);
        register_write(cpu, first, b, size);
        register_write(cpu, second, a, size);
        return;
    }
    const InsnOperand *reg = first->kind == OPERAND_REG ? first : second;
    uint64_t value = register_read(cpu, reg, size);
    InterpRmw rmw;
    rmw_begin(cpu, insn, &rmw, size, true); /* locked without the prefix */
    while (!rmw_commit(cpu, &rmw, value))
        ;
    register_write(cpu, reg, rmw.old, size);
}

static void insn_xadd(Cpu *cpu, const Insn *insn)
{
    unsigned size = insn->operands[0].size;
    uint64_t addend = register_read(cpu, &insn->operands[1], size), old;
    if (insn->operands[0].kind == OPERAND_REG) {
        old = register_read(cpu, &insn->operands[0], size);
        register_write(cpu, &insn->operands[1], old, size);
        register_write(cpu, &insn->operands[0], old + addend, size);
    } else {
        InterpRmw rmw;
        rmw_begin(cpu, insn, &rmw, size, insn->lock);
        while (!rmw_commit(cpu, &rmw, rmw.old + addend))
            ;
        old = rmw.old;
        register_write(cpu, &insn->operands[1], old, size);
    }
    set_sum_flags(cpu, old, addend, size, false);
}

/* Memory is written whatever the comparison says (SDM 2A, CMPXCHG). */
static void insn_cmpxchg(Cpu *cpu, const Insn *insn)
{
    unsigned size = insn->operands[0].size;
    uint64_t expected = gpr_read(cpu, RAX, size), old;
    uint64_t source = register_read(cpu, &insn->operands[1], size);
    if (insn->operands[0].kind == OPERAND_REG) {
        old = register_read(cpu, &insn->operands[0], size);
        if (old == expected)
            register_write(cpu, &insn->operands[0], source, size);
        else
            gpr_write(cpu, RAX, old, size);
    } else {
        InterpRmw rmw;
        rmw_begin(cpu, insn, &rmw, size, insn->lock);
        while (!rmw_commit(cpu, &rmw, rmw.old == expected ? source : rmw.old))
            ;
        old = rmw.old;
        if (old != expected)
            gpr_write(cpu, RAX, old, size);
    }
    set_sum_flags(cpu, expected, old, size, true);
}

static void set_zf(Cpu *cpu, bool zero)
{
    cpu->rflags = zero ? cpu->rflags | RFLAGS_ZF : cpu->rflags & ~(uint64_t)RFLAGS_ZF;
}

static void insn_cmpxchg8b(Cpu *cpu, const Insn *insn)
{
    uint64_t expected = gpr_read(cpu, RDX, 4) << 32 | gpr_read(cpu, RAX, 4);
    uint64_t source = gpr_read(cpu, RCX, 4) << 32 | gpr_read(cpu, RBX, 4);
    InterpRmw rmw;
    rmw_begin(cpu, insn, &rmw, 8, insn->lock);
    while (!rmw_commit(cpu, &rmw, rmw.old == expected ? source : rmw.old))
        ;
    set_zf(cpu, rmw.old == expected);
    if (rmw.old != expected) {
        gpr_write(cpu, RAX, rmw.old, 4);
        gpr_write(cpu, RDX, rmw.old >> 32, 4);
    }
}

static void insn_cmpxchg16b(Cpu *cpu, const Insn *insn)
{
    insn_require_alignment(cpu, insn, 16);
    uint64_t linear = insn_linear(cpu, insn, 16, true);
    uint64_t low = cpu->gpr[RAX], high = cpu->gpr[RDX];
    bool equal;
    void *host = mmu_locked_pointer(cpu, linear, 16);
    if (host) {
        __asm__ volatile("lock cmpxchg16b %[memory]"
                         : "=@ccz"(equal), "+a"(low),
                           "+d"(high), [memory] "+m"(*(unsigned __int128 *)host)
                         : "b"(cpu->gpr[RBX]), "c"(cpu->gpr[RCX])
                         : "memory");
        mmu_locked_done(cpu, linear, 16);
    } else {
        uint64_t old[2], store[2] = {cpu->gpr[RBX], cpu->gpr[RCX]};
        mmu_probe(cpu, linear, 16, ACCESS_WRITE);
        if (insn->lock)
            cpu_bus_lock(cpu);
        mmu_load_bytes(cpu, linear, old, 16);
        equal = old[0] == low && old[1] == high;
        mmu_store_bytes(cpu, linear, equal ? store : old, 16);
        cpu_bus_unlock(cpu);
        low = old[0];
        high = old[1];
    }
    set_zf(cpu, equal);
    if (!equal) {
        cpu->gpr[RAX] = low;
        cpu->gpr[RDX] = high;
    }
}

/* --- hints ------------------------------------------------------------------------------------ */

static void insn_nop(Cpu *cpu, const Insn *insn)
{
}

static void insn_pause(Cpu *cpu, const Insn *insn)
{
    __builtin_ia32_pause();
}

static void insn_fence(Cpu *cpu, const Insn *insn)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* CLFLUSH, CLFLUSHOPT, CLWB: checked like a byte load (SDM 2A, CLFLUSH); the caches are the host's.
 */
static void insn_flush_line(Cpu *cpu, const Insn *insn)
{
    uint64_t linear = insn_linear(cpu, insn, 1, false);
    if (!tlb_load_pointer(cpu, linear, 1))
        mmu_probe(cpu, linear, 1, ACCESS_READ);
}

/* --- table ------------------------------------------------------------------------------------ */

InterpHandler interp_data_handler(const Insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_MOV: return mov_handler(insn);
    case ZYDIS_MNEMONIC_MOVNTI: return insn->operands[0].size == 8 ? insn_mov64 : insn_mov32;
    case ZYDIS_MNEMONIC_MOVZX: return insn_movzx;
    case ZYDIS_MNEMONIC_MOVSX:
    case ZYDIS_MNEMONIC_MOVSXD: return insn_movsx;
    case ZYDIS_MNEMONIC_CMOVB:
    case ZYDIS_MNEMONIC_CMOVBE:
    case ZYDIS_MNEMONIC_CMOVL:
    case ZYDIS_MNEMONIC_CMOVLE:
    case ZYDIS_MNEMONIC_CMOVNB:
    case ZYDIS_MNEMONIC_CMOVNBE:
    case ZYDIS_MNEMONIC_CMOVNL:
    case ZYDIS_MNEMONIC_CMOVNLE:
    case ZYDIS_MNEMONIC_CMOVNO:
    case ZYDIS_MNEMONIC_CMOVNP:
    case ZYDIS_MNEMONIC_CMOVNS:
    case ZYDIS_MNEMONIC_CMOVNZ:
    case ZYDIS_MNEMONIC_CMOVO:
    case ZYDIS_MNEMONIC_CMOVP:
    case ZYDIS_MNEMONIC_CMOVS:
    case ZYDIS_MNEMONIC_CMOVZ: return insn_cmov;
    case ZYDIS_MNEMONIC_SETB:
    case ZYDIS_MNEMONIC_SETBE:
    case ZYDIS_MNEMONIC_SETL:
    case ZYDIS_MNEMONIC_SETLE:
    case ZYDIS_MNEMONIC_SETNB:
    case ZYDIS_MNEMONIC_SETNBE:
    case ZYDIS_MNEMONIC_SETNL:
    case ZYDIS_MNEMONIC_SETNLE:
    case ZYDIS_MNEMONIC_SETNO:
    case ZYDIS_MNEMONIC_SETNP:
    case ZYDIS_MNEMONIC_SETNS:
    case ZYDIS_MNEMONIC_SETNZ:
    case ZYDIS_MNEMONIC_SETO:
    case ZYDIS_MNEMONIC_SETP:
    case ZYDIS_MNEMONIC_SETS:
    case ZYDIS_MNEMONIC_SETZ: return insn_setcc;
    case ZYDIS_MNEMONIC_LEA: return insn_lea;
    case ZYDIS_MNEMONIC_BSWAP: return insn_bswap;
    case ZYDIS_MNEMONIC_MOVBE: return insn_movbe;
    case ZYDIS_MNEMONIC_XLAT: return insn_xlat;
    case ZYDIS_MNEMONIC_LDS:
    case ZYDIS_MNEMONIC_LES:
    case ZYDIS_MNEMONIC_LFS:
    case ZYDIS_MNEMONIC_LGS:
    case ZYDIS_MNEMONIC_LSS: return insn_load_far_pointer;
    case ZYDIS_MNEMONIC_XCHG: return insn_xchg;
    case ZYDIS_MNEMONIC_XADD: return insn_xadd;
    case ZYDIS_MNEMONIC_CMPXCHG: return insn_cmpxchg;
    case ZYDIS_MNEMONIC_CMPXCHG8B: return insn_cmpxchg8b;
    case ZYDIS_MNEMONIC_CMPXCHG16B: return insn_cmpxchg16b;
    case ZYDIS_MNEMONIC_NOP:
    case ZYDIS_MNEMONIC_PREFETCH:
    case ZYDIS_MNEMONIC_PREFETCHNTA:
    case ZYDIS_MNEMONIC_PREFETCHT0:
    case ZYDIS_MNEMONIC_PREFETCHT1:
    case ZYDIS_MNEMONIC_PREFETCHT2:
    case ZYDIS_MNEMONIC_PREFETCHW:
    case ZYDIS_MNEMONIC_PREFETCHWT1: return insn_nop;
    case ZYDIS_MNEMONIC_PAUSE: return insn_pause;
    case ZYDIS_MNEMONIC_LFENCE:
    case ZYDIS_MNEMONIC_MFENCE:
    case ZYDIS_MNEMONIC_SFENCE: return insn_fence;
    case ZYDIS_MNEMONIC_CLFLUSH:
    case ZYDIS_MNEMONIC_CLFLUSHOPT:
    case ZYDIS_MNEMONIC_CLWB: return insn_flush_line;
    default: return NULL;
    }
}
