/* The ledger: see hs_ledger.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "serve/hs_ledger.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static size_t ledger_bytes(uint32_t n_slots)
{
    return sizeof(struct hs_ledger) + (size_t)n_slots * sizeof(struct hs_slot);
}

/* Anonymous and shared: there is no descriptor by which the worker could shorten it. */
hearth_status hs_ledger_create(uint32_t n_slots, struct hs_ledger **out, hearth_error *err)
{
    void *p = mmap(NULL, ledger_bytes(n_slots), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return hb_fail(err, HEARTH_E_MEMORY, "ledger: %zu bytes: %s", ledger_bytes(n_slots), strerror(errno));
    *out = p;
    return HEARTH_OK;
}

void hs_ledger_free(struct hs_ledger *l, uint32_t n_slots)
{
    if (l)
        munmap(l, ledger_bytes(n_slots));
}

void hs_slot_hello(struct hs_slot *s, uint32_t version, bool open, const char *session)
{
    if (!s)
        return;
    memcpy(s->session, session, strnlen(session, sizeof s->session - 1) + 1);
    atomic_store_explicit(&s->open, open, memory_order_release);
    atomic_store_explicit(&s->version, version, memory_order_release);
}

void hs_ledger_opening(struct hs_ledger *l, const char *model)
{
    if (l)
        hb_format(l->opening, sizeof l->opening, "%s", model ? model : "");
}

bool hs_ledger_refuses(const struct hs_ledger *l, const char *model)
{
    for (uint32_t i = 0; l && i < l->n_refused && i < HS_LEDGER_MODELS; i++)
        if (strncmp(l->refused[i], model, HS_LEDGER_NAME - 1) == 0)
            return true;
    return false;
}

static uint32_t slot_word(const _Atomic uint32_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

enum hs_verdict hs_slot_verdict(const struct hs_slot *s)
{
    if (slot_word(&s->cut))
        return HS_SLOT_CLOSE;
    return slot_word(&s->reading) || slot_word(&s->owes) ? HS_SLOT_ERRORS_THEN_CLOSE : HS_SLOT_GIVE;
}

size_t hs_slot_errors(const struct hs_slot *s, const struct hk_table *k, const char *text, uint8_t *out, size_t capacity)
{
    const struct hs_message *m = &hs_messages[HS_M_error];
    uint32_t version = slot_word(&s->version);
    size_t n = 0;
    for (uint64_t left = atomic_load_explicit(&s->listed, memory_order_acquire); left; left &= left - 1) {
        struct hs_error e = {0};
        HS_SET(&e, error, id, s->ids[__builtin_ctzll(left)]);
        HS_SET(&e, error, code, 503);
        HS_SET(&e, error, message, (struct hs_bytes){text, strlen(text)});
        size_t size = version == 1 ? hs_json_encode(k, m, &e, out + n, capacity - n)
                                   : hs_binary_encode(k, m, &e, out + n, capacity - n);
        if (size == 0)
            return 0;
        n += size;
    }
    return n;
}

void hs_slot_settle(struct hs_slot *s)
{
    atomic_store(&s->listed, 0);
    atomic_store(&s->finished, 0);
    atomic_store(&s->taken, 0);
    atomic_store(&s->reading, 0);
    atomic_store(&s->owes, 0);
    atomic_store(&s->cut, 0);
}

void hs_slot_clear(struct hs_slot *s)
{
    hs_slot_settle(s);
    atomic_store(&s->version, 0);
    atomic_store(&s->open, 0);
    memset(s->session, 0, sizeof s->session);
}
