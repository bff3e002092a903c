/* The byte alphabet of byte-level BPE: each byte stands for a printable character, so that a
 * vocabulary can be a text file. Printable Latin-1 is itself, the other 68 bytes follow from
 * U+0100 in order. Source: bytes_to_unicode of the GPT-2 encoder. */
#include "tokenizer/hv_internal.h"

static bool alphabet_is_itself(uint32_t byte)
{
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

size_t hv_alphabet_put(uint8_t byte, uint8_t out[2])
{
    uint32_t cp = byte;
    if (!alphabet_is_itself(byte)) /* 00-20, 7F-A0, AD */
        cp = 0x100 + (byte <= 0x20 ? byte : byte == 0xAD ? 67u : byte - 0x7Fu + 33u);
    if (cp < 0x80) {
        out[0] = (uint8_t)cp;
        return 1;
    }
    out[0] = (uint8_t)(0xC0 | cp >> 6);
    out[1] = (uint8_t)(0x80 | (cp & 0x3F));
    return 2;
}

int hv_alphabet_byte(uint32_t cp)
{
    if (cp < 0x100)
        return alphabet_is_itself(cp) ? (int)cp : -1;
    uint32_t i = cp - 0x100;
    if (i <= 0x20)
        return (int)i;
    if (i < 67)
        return (int)(i - 33 + 0x7F);
    return i == 67 ? 0xAD : -1;
}
