/* SPDX-License-Identifier: GPL-3.0-or-later */

/* Control flow within a segment, and the doors to far transfers and interrupts. */

#include "core/cpu/interp-memory.h"
#include "core/cpu/interp-private.h"

/* --- targets ---------------------------------------------------------------------------------- */

static bool is_beyond_code(const Cpu *cpu, uint64_t target)
{
    return cpu_is_64bit(cpu) ? !cpu_canonical(target) : target > cpu->seg[SEG_CS].limit;
}

/* A near target, truncated to the operand size and checked against CS before anything is committed.
 */
static uint64_t near_target(Cpu *cpu, uint64_t target, unsigned opsize)
{
    target &= size_mask(opsize);
    if (is_beyond_code(cpu, target))
        cpu_raise_error(cpu, EXC_GP, 0);
    return target;
}

INTERP_INLINE void branch_relative(Cpu *cpu, const Insn *insn)
{
    uint64_t target = cpu->next_rip + insn->immediate;
    if (cpu_is_64bit(cpu) && insn->opsize == 8 && cpu_canonical(target))
        cpu->next_rip = target;
    else
        cpu->next_rip = near_target(cpu, target, insn->opsize);
}

/* --- near ------------------------------------------------------------------------------------- */

static void insn_jcc(Cpu *cpu, const Insn *insn)
{
    if (interp_condition(cpu->rflags, insn->opcode & 15))
        branch_relative(cpu, insn);
}

static void insn_jmp_relative(Cpu *cpu, const Insn *insn)
{
    branch_relative(cpu, insn);
}

static void insn_jmp_indirect(Cpu *cpu, const Insn *insn)
{
    cpu->next_rip = near_target(cpu, operand_read(cpu, insn, 0, insn->opsize), insn->opsize);
}

/* The stack is checked before the target is (SDM 2, CALL) and written afterwards. */
static void call_near(Cpu *cpu, uint64_t target, unsigned opsize)
{
    if (is_beyond_code(cpu, target & size_mask(opsize)))
        mmu_probe(cpu,
                  interp_linear(cpu, SEG_SS, stack_offset(cpu, -(int64_t)opsize), opsize, true),
                  opsize, ACCESS_WRITE);
    target = near_target(cpu, target, opsize);
    interp_push(cpu, cpu->next_rip, opsize);
    cpu->next_rip = target;
}

static void insn_call_relative(Cpu *cpu, const Insn *insn)
{
    call_near(cpu, cpu->next_rip + insn->immediate, insn->opsize);
}

static void insn_call_indirect(Cpu *cpu, const Insn *insn)
{
    call_near(cpu, operand_read(cpu, insn, 0, insn->opsize), insn->opsize);
}

static void insn_ret_near(Cpu *cpu, const Insn *insn)
{
    cpu->next_rip = near_target(cpu, interp_peek(cpu, 0, insn->opsize), insn->opsize);
    stack_adjust(cpu, insn->opsize + (insn->imm_size ? insn->immediate & 0xffff : 0));
}

/* LOOP, LOOPE, LOOPNE: the counter has the address size. */
static void insn_loop(Cpu *cpu, const Insn *insn)
{
    uint64_t count = (cpu->gpr[RCX] - 1) & size_mask(insn->address_size);
    bool taken = count;
    if (insn->mnemonic == ZYDIS_MNEMONIC_LOOPE)
        taken = taken && (cpu->rflags & RFLAGS_ZF);
    else if (insn->mnemonic == ZYDIS_MNEMONIC_LOOPNE)
        taken = taken && !(cpu->rflags & RFLAGS_ZF);
    if (taken)
        branch_relative(cpu, insn);
    gpr_write(cpu, RCX, count, insn->address_size);
}

static void insn_jrcxz(Cpu *cpu, const Insn *insn)
{
    if (!gpr_read(cpu, RCX, insn->address_size))
        branch_relative(cpu, insn);
}

/* --- far -------------------------------------------------------------------------------------- */

static void far_pointer(Cpu *cpu, const Insn *insn, uint16_t *selector, uint64_t *offset)
{
    if (insn->operands[0].kind == OPERAND_MEM) {
        unsigned size = insn->opsize;
        uint64_t linear = insn_linear(cpu, insn, size + 2, false);
        *selector = interp_load(cpu, linear + size, 2);
        *offset = interp_load(cpu, linear, size);
    } else {
        *selector = insn->immediate2;
        *offset = insn->immediate;
    }
}

static void insn_jmp_far(Cpu *cpu, const Insn *insn)
{
    uint16_t selector;
    uint64_t offset;
    far_pointer(cpu, insn, &selector, &offset);
    far_jump(cpu, selector, offset, insn->opsize);
}

static void insn_call_far(Cpu *cpu, const Insn *insn)
{
    uint16_t selector;
    uint64_t offset;
    far_pointer(cpu, insn, &selector, &offset);
    far_call(cpu, selector, offset, insn->opsize);
}

static void insn_ret_far(Cpu *cpu, const Insn *insn)
{
    far_return(cpu, insn->opsize, insn->imm_size ? insn->immediate & 0xffff : 0);
}

static void insn_iret(Cpu *cpu, const Insn *insn)
{
    interrupt_return(cpu, insn->opsize);
}

/* --- interrupts and traps --------------------------------------------------------------------- */

static void insn_int(Cpu *cpu, const Insn *insn)
{
    interrupt_deliver(cpu, insn->immediate & 0xff, INT_SOFTWARE, false, 0);
}

static void insn_int3(Cpu *cpu, const Insn *insn)
{
    interrupt_deliver(cpu, EXC_BP, INT_BREAKPOINT, false, 0);
}

static void insn_int1(Cpu *cpu, const Insn *insn)
{
    interrupt_deliver(cpu, EXC_DB, INT_ICEBP, false, 0);
}

static void insn_into(Cpu *cpu, const Insn *insn)
{
    if (cpu->rflags & RFLAGS_OF)
        interrupt_deliver(cpu, EXC_OF, INT_OVERFLOW, false, 0);
}

static void insn_bound(Cpu *cpu, const Insn *insn)
{
    unsigned size = insn->opsize;
    uint64_t linear = insn_linear(cpu, insn, size * 2, false);
    int64_t index = sign_extend(cpu->gpr[insn->operands[0].reg], size);
    int64_t lower = sign_extend(interp_load(cpu, linear, size), size);
    int64_t upper = sign_extend(interp_load(cpu, linear + size, size), size);
    if (index < lower || index > upper)
        cpu_raise(cpu, EXC_BR);
}

static void insn_undefined(Cpu *cpu, const Insn *insn)
{
    cpu_raise(cpu, EXC_UD);
}

static void insn_syscall(Cpu *cpu, const Insn *insn)
{
    system_syscall(cpu);
}

static void insn_sysret(Cpu *cpu, const Insn *insn)
{
    system_sysret(cpu, insn->opsize == 8 ? 8 : 4);
}

static void insn_sysenter(Cpu *cpu, const Insn *insn)
{
    system_sysenter(cpu);
}

static void insn_sysexit(Cpu *cpu, const Insn *insn)
{
    system_sysexit(cpu, insn->opsize == 8 ? 8 : 4);
}

/* --- table ------------------------------------------------------------------------------------ */

/* Far when the opcode says so: 9A, EA, FF /3, FF /5, CA, CB. */
static bool is_far(const Insn *insn)
{
    switch (insn->opcode) {
    case 0x9a:
    case 0xea:
    case 0xca:
    case 0xcb: return true;
    case 0xff: return ((insn->modrm >> 3) & 7) == 3 || ((insn->modrm >> 3) & 7) == 5;
    default: return false;
    }
}

InterpHandler interp_flow_handler(const Insn *insn)
{
    bool relative = insn->operands[0].kind == OPERAND_IMM;
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_JB:
    case ZYDIS_MNEMONIC_JBE:
    case ZYDIS_MNEMONIC_JL:
    case ZYDIS_MNEMONIC_JLE:
    case ZYDIS_MNEMONIC_JNB:
    case ZYDIS_MNEMONIC_JNBE:
    case ZYDIS_MNEMONIC_JNL:
    case ZYDIS_MNEMONIC_JNLE:
    case ZYDIS_MNEMONIC_JNO:
    case ZYDIS_MNEMONIC_JNP:
    case ZYDIS_MNEMONIC_JNS:
    case ZYDIS_MNEMONIC_JNZ:
    case ZYDIS_MNEMONIC_JO:
    case ZYDIS_MNEMONIC_JP:
    case ZYDIS_MNEMONIC_JS:
    case ZYDIS_MNEMONIC_JZ: return insn_jcc;
    case ZYDIS_MNEMONIC_JMP:
        return is_far(insn) ? insn_jmp_far : relative ? insn_jmp_relative : insn_jmp_indirect;
    case ZYDIS_MNEMONIC_CALL:
        return is_far(insn) ? insn_call_far : relative ? insn_call_relative : insn_call_indirect;
    case ZYDIS_MNEMONIC_RET: return is_far(insn) ? insn_ret_far : insn_ret_near;
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ: return insn_iret;
    case ZYDIS_MNEMONIC_LOOP:
    case ZYDIS_MNEMONIC_LOOPE:
    case ZYDIS_MNEMONIC_LOOPNE: return insn_loop;
    case ZYDIS_MNEMONIC_JCXZ:
    case ZYDIS_MNEMONIC_JECXZ:
    case ZYDIS_MNEMONIC_JRCXZ: return insn_jrcxz;
    case ZYDIS_MNEMONIC_INT: return insn_int;
    case ZYDIS_MNEMONIC_INT3: return insn_int3;
    case ZYDIS_MNEMONIC_INT1: return insn_int1;
    case ZYDIS_MNEMONIC_INTO: return insn_into;
    case ZYDIS_MNEMONIC_BOUND: return insn_bound;
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2: return insn_undefined;
    case ZYDIS_MNEMONIC_SYSCALL: return insn_syscall;
    case ZYDIS_MNEMONIC_SYSRET: return insn_sysret;
    case ZYDIS_MNEMONIC_SYSENTER: return insn_sysenter;
    case ZYDIS_MNEMONIC_SYSEXIT: return insn_sysexit;
    default: return NULL;
    }
}
