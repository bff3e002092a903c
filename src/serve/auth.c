/* Secrets of clients: see hs_conn.h. */
#include "serve/hs_conn.h"
#include "base/hb_error.h"
#include <string.h>

static void auth_digest(const char *bytes, size_t len, uint8_t digest[HS_SHA256_BYTES])
{
    struct hs_sha256 s;
    hs_sha256_init(&s);
    hs_sha256_add(&s, bytes, len);
    hs_sha256_end(&s, digest);
}

hearth_status hs_auth_set(struct hs_auth *auth, const char *secret, size_t len, hearth_error *err)
{
    while (len > 0 && (secret[len - 1] == '\n' || secret[len - 1] == '\r' || secret[len - 1] == ' '))
        len--;
    if (len < HS_MIN_TOKEN || len > HS_MAX_TOKEN)
        return hb_fail(err, HEARTH_E_RANGE, "token of %zu bytes; %d to %d are accepted", len, HS_MIN_TOKEN,
                       HS_MAX_TOKEN);
    auth_digest(secret, len, auth->digest);
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

bool hs_auth_check(struct hs_auth *auth, const struct hs_limits *limits, uint32_t uid, const struct hs_bytes *token, uint64_t now_ns,
                   uint64_t *retry_ms)
{
    struct hs_failures *u = auth_user(auth, uid);
    uint8_t given[HS_SHA256_BYTES];
    bool known = u->count && u->uid == uid;
    *retry_ms = 0;
    if (auth->no_token)
        return true;
    if (known && u->blocked_until_ns > now_ns) {
        *retry_ms = (u->blocked_until_ns - now_ns) / 1000000 + 1;
        return false;
    }
    auth_digest(token->at, token->len, given);
    if (hs_sha256_equal(given, auth->digest)) {
        if (known)
            *u = (struct hs_failures){0};
        return true;
    }
    if (!known || now_ns - u->since_ns > (uint64_t)limits->failures_ms * 1000000)
        *u = (struct hs_failures){.uid = uid, .since_ns = now_ns};
    if (++u->count >= limits->failures) {
        u->blocked_until_ns = now_ns + (uint64_t)limits->block_ms * 1000000;
        *retry_ms = limits->block_ms;
    }
    return false;
}

bool hs_rate_take(uint64_t *paid_ns, uint32_t per_minute, uint64_t now_ns)
{
    if (per_minute == 0)
        return true;
    const uint64_t minute = 60000000000u;
    uint64_t each = minute / per_minute, start = now_ns > minute ? now_ns - minute : 0;
    if (*paid_ns < start)
        *paid_ns = start;
    if (*paid_ns + each > now_ns)
        return false;
    *paid_ns += each;
    return true;
}
