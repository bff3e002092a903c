/* The classes of characters that BERT's cleaning and cutting know. */
#ifndef HV_BERT_H
#define HV_BERT_H

#include "base/hb_unicode.h"

HB_INLINE bool hv_bert_is_chinese(uint32_t cp)
{
    return (cp >= 0x4E00 && cp <= 0x9FFF) || (cp >= 0x3400 && cp <= 0x4DBF) ||
           (cp >= 0x20000 && cp <= 0x2A6DF) || (cp >= 0x2A700 && cp <= 0x2B73F) ||
           (cp >= 0x2B740 && cp <= 0x2B81F) ||
           (cp >= 0x2B920 && cp <= 0x2CEAF) || /* not 2B820: the implementations agree on this */
           (cp >= 0xF900 && cp <= 0xFAFF) || (cp >= 0x2F800 && cp <= 0x2FA1F);
}

HB_INLINE bool hv_bert_is_punct(uint32_t cp)
{
    return (hb_uc_bit(cp) & HB_UC_P) || (cp < 0x80 && (hb_uc_bit(cp) & HB_UC_S));
}

/* Characters that cleaning takes away: NUL, U+FFFD (also for what is not UTF-8), Cc, Cf and Co
 * but for tab, newline and return. */
HB_INLINE bool hv_bert_goes(uint32_t cp)
{
    const uint32_t set = HB_UC_BIT(HB_UC_CC) | HB_UC_BIT(HB_UC_CC_SPACE) | HB_UC_BIT(HB_UC_CF) |
                         HB_UC_BIT(HB_UC_CS) | HB_UC_BIT(HB_UC_CO);
    if (cp == '\t' || cp == '\n' || cp == '\r')
        return false;
    return cp == HB_UC_REPLACEMENT || (hb_uc_bit(cp) & set);
}

#endif
