/* Arm's MPS2 and MPS3 boards as qemu-system-arm has them: a CMSDK UART, and semihosting to end.
 *   -M mps2-an500  Cortex-M7     UART 0x40004000
 *   -M mps3-an547  Cortex-M55    UART 0x59303000 */
#include "demo.h"

#define MPS_UART ((volatile uint32_t *)DEMO_UART)

extern const unsigned char model_begin[], model_end[];
extern unsigned char bss_begin[], bss_end[], stack_end[];
static _Alignas(64) unsigned char mps_model_mem[DEMO_MODEL_MEM], mps_session_mem[DEMO_SESSION_MEM];

void board_put(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        while (MPS_UART[1] & 1) /* the transmitter is full */
            ;
        MPS_UART[0] = (unsigned char)text[i];
    }
}

static void mps_end(int failed)
{
    register uint32_t r0 __asm__("r0") = 0x18; /* SYS_EXIT */
    register uint32_t r1 __asm__("r1") = failed ? 0x20024 : 0x20026;
    __asm__ volatile("bkpt #0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

static void mps_fault(void)
{
    board_put("fault\n", 6);
    mps_end(1);
    for (;;)
        ;
}

void mps_main(void)
{
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: floating point */
    __asm__ volatile("dsb\n\tisb");
    for (unsigned char *p = bss_begin; p < bss_end; p++)
        *p = 0;
    MPS_UART[4] = 16; /* divider of the baud rate */
    MPS_UART[2] = 1;  /* transmitter on */
    int failed = demo_run(model_begin, (size_t)(model_end - model_begin), mps_model_mem, sizeof mps_model_mem,
                          mps_session_mem, sizeof mps_session_mem, "The old man", 16);
    mps_end(failed);
    for (;;)
        ;
}

__attribute__((section(".vectors"), used)) static const void *const mps_vectors[16] = {
    stack_end,         (void *)mps_main,  (void *)mps_fault, (void *)mps_fault,
    (void *)mps_fault, (void *)mps_fault, (void *)mps_fault, (void *)mps_fault,
};
