/* Secrets of clients: see hs_conn.h. */
#include "serve/hs_conn.h"
#include "base/hb_error.h"
#include <string.h>

hearth_status hs_auth_set(struct hs_auth *auth, const char *secret, size_t len, hearth_error *err)
{
    while (len > 0 && (secret[len - 1] == '\n' || secret[len - 1] == '\r' || secret[len - 1] == ' '))
        len--;
    if (len < HS_MIN_TOKEN || len > HS_MAX_TOKEN)
        return hb_fail(err, HEARTH_E_RANGE, "token of %zu bytes; %d to %d are accepted", len, HS_MIN_TOKEN,
                       HS_MAX_TOKEN);
    memset(auth->secret, 0, sizeof auth->secret);
    memcpy(auth->secret, secret, len);
    auth->secret_len = len;
    return HEARTH_OK;
}

/* The user's counter, or that of the one who was quiet longest. */
static struct hs_failures *auth_user(struct hs_auth *auth, uint32_t uid)
{
    struct hs_failures *oldest = &auth->users[0];
    for (size_t i = 0; i < HS_MAX_USERS; i++) {
        struct hs_failures *u = &auth->users[i];
        if (u->count && u->uid == uid)
            return u;
        if (u->since_ns < oldest->since_ns || (oldest->count && !u->count))
            oldest = u;
    }
    return oldest;
}

/* All bytes are looked at, whatever the first difference. */
static bool auth_same(const struct hs_auth *auth, const struct hs_bytes *token)
{
    uint8_t given[HS_MAX_TOKEN] = {0};
    memcpy(given, token->at, token->len < HS_MAX_TOKEN ? token->len : HS_MAX_TOKEN);
    volatile uint32_t differs = (uint32_t)(token->len ^ auth->secret_len);
    for (size_t i = 0; i < HS_MAX_TOKEN; i++)
        differs |= (uint32_t)(given[i] ^ auth->secret[i]);
    return differs == 0;
}

bool hs_auth_check(struct hs_auth *auth, uint32_t uid, const struct hs_bytes *token, uint64_t now_ns,
                   uint64_t *retry_ms)
{
    struct hs_failures *u = auth_user(auth, uid);
    bool known = u->count && u->uid == uid;
    *retry_ms = 0;
    if (auth->no_token)
        return true;
    if (known && u->blocked_until_ns > now_ns) {
        *retry_ms = (u->blocked_until_ns - now_ns) / 1000000 + 1;
        return false;
    }
    if (auth_same(auth, token)) {
        if (known)
            *u = (struct hs_failures){0};
        return true;
    }
    if (!known || now_ns - u->since_ns > (uint64_t)HS_FAILURES_MS * 1000000)
        *u = (struct hs_failures){.uid = uid, .since_ns = now_ns};
    if (++u->count >= HS_FAILURES) {
        u->blocked_until_ns = now_ns + (uint64_t)HS_BLOCK_MS * 1000000;
        *retry_ms = HS_BLOCK_MS;
    }
    return false;
}
