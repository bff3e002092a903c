/* KV cache in blocks of 32 with a scale: q8_0 and q4_0. Pages and arithmetic: kernels.h. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_kv_block.h"

/* ---- codes and scales of element i (0 .. e - 1) of position p ---- */

static int kv_block_k_q8_0(const uint8_t *page, size_t p, size_t i)
{
    return page[i / 4 * 64 + p * 4 + i % 4] - 128;
}

static int kv_block_k_q4_0(const uint8_t *page, size_t p, size_t i)
{
    size_t g = i % 32 / 4;
    return (page[i / 32 * 256 + g % 4 * 64 + p * 4 + i % 4] >> (g < 4 ? 0 : 4) & 15) - 8;
}

static int kv_block_v_q8_0(const uint8_t *page, size_t blocks, size_t p, size_t i)
{
    return (int8_t)page[p * blocks * 32 + i];
}

static int kv_block_v_q4_0(const uint8_t *page, size_t blocks, size_t p, size_t i)
{
    return (page[(p * blocks + i / 32) * 16 + i % 16] >> (i % 32 < 16 ? 0 : 4) & 15) - 8;
}

static void kv_block_set_k_q8_0(uint8_t *page, size_t p, size_t i, int q)
{
    page[i / 4 * 64 + p * 4 + i % 4] = (uint8_t)(q + 128);
}

/* A half of a byte: the low half comes first and clears what was there. */
static void kv_block_set_half(uint8_t *byte, bool high, int q)
{
    *byte = (uint8_t)(high ? (*byte & 15) | (q + 8) << 4 : (*byte & 0xF0) | (q + 8));
}

static void kv_block_set_k_q4_0(uint8_t *page, size_t p, size_t i, int q)
{
    size_t g = i % 32 / 4;
    kv_block_set_half(page + i / 32 * 256 + g % 4 * 64 + p * 4 + i % 4, g >= 4, q);
}

static void kv_block_set_v_q8_0(uint8_t *page, size_t blocks, size_t p, size_t i, int q)
{
    page[p * blocks * 32 + i] = (uint8_t)q;
}

static void kv_block_set_v_q4_0(uint8_t *page, size_t blocks, size_t p, size_t i, int q)
{
    kv_block_set_half(page + (p * blocks + i / 32) * 16 + i % 16, i % 32 >= 16, q);
}

/* Block b of a row of d elements, filled up with zeros; its largest |x| as bits and its minimum. */
static uint32_t kv_block_load(float *restrict x, const float *restrict row, size_t b, size_t d,
                              float *smallest)
{
    uint32_t top = 0;
    *smallest = 0;
    for (size_t i = 0; i < HK_KV_BLOCK; i++) {
        x[i] = b * HK_KV_BLOCK + i < d ? row[b * HK_KV_BLOCK + i] : 0;
        uint32_t bits = hk_to_bits(x[i]) & 0x7FFFFFFFu;
        top = bits > top ? bits : top;
        *smallest = x[i] < *smallest ? x[i] : *smallest;
    }
    return top;
}

#define KV_NAME    q8_0
#define KV_LARGEST 127
#include "kernels/kv_block_scalar_tmpl.c"

#define KV_NAME    q4_0
#define KV_LARGEST 7
#include "kernels/kv_block_scalar_tmpl.c"
