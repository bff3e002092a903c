/* qemu-system-aarch64 -M virt: a PL011 at 0x09000000, PSCI to switch the machine off. */
#include "demo.h"

#define VIRT_UART ((volatile uint32_t *)0x09000000)

extern const unsigned char model_begin[], model_end[];
static _Alignas(64) unsigned char virt_model_mem[8 << 20], virt_session_mem[2 << 20];
/* A page table of 512 blocks of 1 GiB: the first holds devices, the others are memory. */
_Alignas(4096) uint64_t virt_table[512];

void board_put(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        while (VIRT_UART[6] & 1u << 5) /* flags: the queue is full */
            ;
        VIRT_UART[0] = (unsigned char)text[i];
    }
}

/* Entries: a block, accessed, inner shareable for memory; attribute 0 is device, 1 memory (virt_start.S). */
void virt_fill_table(void)
{
    for (uint64_t i = 0; i < 512; i++)
        virt_table[i] = i << 30 | (i ? 1u << 10 | 3u << 8 | 1u << 2 | 1u : 1u << 10 | 1u);
}

void virt_main(void)
{
    demo_run(model_begin, (size_t)(model_end - model_begin), virt_model_mem, sizeof virt_model_mem,
             virt_session_mem, sizeof virt_session_mem, "The old man", 16);
    register uint64_t x0 __asm__("x0") = 0x84000008; /* SYSTEM_OFF */
    __asm__ volatile("hvc #0" : "+r"(x0));
    for (;;)
        ;
}
