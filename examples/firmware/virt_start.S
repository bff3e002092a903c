/* A stack, floating point, cleared memory, and the MMU on with everything mapped to itself: without it all
 * memory is of the device kind, which must not be read unaligned. */
    .section .start, "ax"
    .global _start
_start:
    ldr x0, =stack_end
    mov sp, x0
    mov x0, #(3 << 20)          /* CPACR_EL1.FPEN */
    msr cpacr_el1, x0
    isb
    ldr x0, =bss_begin
    ldr x1, =bss_end
1:  cmp x0, x1
    b.hs 2f
    stp xzr, xzr, [x0], #16
    b 1b
2:  bl virt_fill_table
    ldr x0, =0xFF00             /* attribute 0: device, 1: memory, write back */
    msr mair_el1, x0
    ldr x0, =0x200803519        /* 39 bits of address, pages of 4 KiB, cached walks, 40 bits out */
    msr tcr_el1, x0
    ldr x0, =virt_table
    msr ttbr0_el1, x0
    dsb sy
    isb
    mrs x0, sctlr_el1
    mov x1, #0x1005             /* M, C, I */
    orr x0, x0, x1
    bic x0, x0, #2              /* no alignment checks */
    msr sctlr_el1, x0
    isb
    bl virt_main
3:  b 3b
