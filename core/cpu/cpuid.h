/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * What CPUID says: a model is a set of features, a topology and the host's TSC frequency, made from
 * a
 * `-cpu` string. One model serves all vCPUs of a machine and outlives them; it never changes.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct CpuidModel CpuidModel;
typedef struct Cpu Cpu;

enum { CPUID_PHYSICAL_BITS = 40, CPUID_LINEAR_BITS = 48 };

/* The local APIC timer counts at this rate (divider 1); leaf 15h calls it the crystal. */
#define CPUID_APIC_HZ 1000000000u

/* In the order of the table in cpuid.c. */
typedef enum {
    /* 1:EDX */
    CPUID_FPU,
    CPUID_VME,
    CPUID_DE,
    CPUID_PSE,
    CPUID_TSC,
    CPUID_MSR,
    CPUID_PAE,
    CPUID_MCE,
    CPUID_CX8,
    CPUID_APIC,
    CPUID_SEP,
    CPUID_MTRR,
    CPUID_PGE,
    CPUID_MCA,
    CPUID_CMOV,
    CPUID_PAT,
    CPUID_PSE36,
    CPUID_CLFLUSH,
    CPUID_MMX,
    CPUID_FXSR,
    CPUID_SSE,
    CPUID_SSE2,
    /* 1:ECX */
    CPUID_SSE3,
    CPUID_PCLMULQDQ,
    CPUID_SSSE3,
    CPUID_FMA,
    CPUID_CX16,
    CPUID_PCID,
    CPUID_SSE4_1,
    CPUID_SSE4_2,
    CPUID_X2APIC,
    CPUID_MOVBE,
    CPUID_POPCNT,
    CPUID_TSC_DEADLINE,
    CPUID_AES,
    CPUID_XSAVE,
    CPUID_AVX,
    CPUID_F16C,
    CPUID_RDRAND,
    CPUID_HYPERVISOR,
    /* 7.0:EBX, ECX, EDX */
    CPUID_FSGSBASE,
    CPUID_TSC_ADJUST,
    CPUID_BMI1,
    CPUID_AVX2,
    CPUID_SMEP,
    CPUID_BMI2,
    CPUID_ERMS,
    CPUID_INVPCID,
    CPUID_RDSEED,
    CPUID_ADX,
    CPUID_SMAP,
    CPUID_CLFLUSHOPT,
    CPUID_CLWB,
    CPUID_SHA,
    CPUID_UMIP,
    CPUID_RDPID,
    CPUID_FSRM,
    CPUID_SPEC_CTRL,
    CPUID_ARCH_CAPABILITIES,
    /* 0Dh.1:EAX */
    CPUID_XSAVEOPT,
    CPUID_XSAVEC,
    CPUID_XGETBV1,
    /* 80000001h:EDX, ECX */
    CPUID_SYSCALL,
    CPUID_NX,
    CPUID_PDPE1GB,
    CPUID_RDTSCP,
    CPUID_LM,
    CPUID_LAHF_LM,
    CPUID_CR8_LEGACY,
    CPUID_ABM,
    CPUID_MISALIGNSSE,
    CPUID_PREFETCHW,
    /* 80000021h:EAX (AMD) */
    CPUID_LFENCE_RDTSC,
    CPUID_NULL_SEL_CLR_BASE,
    CPUID_AUTO_IBRS,
    /* 80000007h:EDX */
    CPUID_INVTSC,
    N_CPUID_FEATURES,
} CpuidFeature;

/* SPEC is NAME[,+feature][,-feature][,feature=on|off]...; NAME is max, host, qemu64, x86-64-v1 to
 * -v3. NULL means max. N_CPUS is the number of vCPUs, 1 to 255. Fails for names it does not know
 * and for features that the host or this program lacks. */
CpuidModel *cpuid_model_new(const char *spec, unsigned n_cpus, GError **error);
void cpuid_model_free(CpuidModel *model);

bool cpuid_has(const CpuidModel *model, CpuidFeature feature);
/* Bytes of an area of XSAVE for COMPONENTS, bits as XCR0's (SDM 1, 13.4). */
static inline uint32_t cpuid_xsave_size(uint64_t components)
{
    return 576 + (components & 4 ? 256 : 0);
}
bool cpuid_is_amd(const CpuidModel *model);
/* Family, model and stepping as in leaf 1 EAX. */
uint32_t cpuid_signature(const CpuidModel *model);
uint32_t cpuid_tsc_khz(const CpuidModel *model);
/* Host TSC when the model was made: zero of the guests' TSC. */
uint64_t cpuid_tsc_origin(const CpuidModel *model);
/* XCR0 bits that may be set. */
uint64_t cpuid_xcr0_mask(const CpuidModel *model);
/* The answer for CPU in its present state. OUT: EAX, EBX, ECX, EDX. */
void cpuid_query(const Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* One line a model name, one a feature: `-cpu help`. */
void cpuid_describe_models(GString *out);
