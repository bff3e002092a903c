#define _POSIX_C_SOURCE 200809L /* strdup */
#include "bn_fixtures.h"
#include "base/hb_error.h"
#include "serve/hs_sha256.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* ---- prompts ---- */

#define PROMPT_MOST_BYTES (16u << 20)
#define PROMPT_MOST_IDS   (1u << 20)

static hearth_status fixture_read(const char *path, char **bytes, size_t *n, hearth_error *err)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return hb_fail(err, HEARTH_E_NOT_FOUND, "%s is not there", path);
    *bytes = malloc(PROMPT_MOST_BYTES + 1);
    *n = *bytes ? fread(*bytes, 1, PROMPT_MOST_BYTES + 1, f) : 0;
    fclose(f);
    if (*bytes && *n <= PROMPT_MOST_BYTES)
        return HEARTH_OK;
    free(*bytes);
    return hb_fail(err, HEARTH_E_LIMIT, "%s has more than %u bytes", path, PROMPT_MOST_BYTES);
}

static hearth_status prompt_ids(const char *path, const json_t *list, struct bn_prompt *p, hearth_error *err)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n == 0 || n > PROMPT_MOST_IDS)
        return hb_fail(err, HEARTH_E_FORMAT, "%s: prompt_tokens is no list of 1 to %u ids", path, PROMPT_MOST_IDS);
    p->ids = malloc(n * sizeof *p->ids);
    if (!p->ids)
        return hb_fail(err, HEARTH_E_MEMORY, "no memory for %zu ids", n);
    for (p->n = 0; p->n < n; p->n++) {
        const json_t *id = json_array_get(list, p->n);
        json_int_t v = json_integer_value(id);
        if (!json_is_integer(id) || v < 0 || v > INT32_MAX)
            return hb_fail(err, HEARTH_E_RANGE, "%s: prompt_tokens[%zu] is no id, 0 to %d", path, p->n, INT32_MAX);
        p->ids[p->n] = (uint32_t)v;
    }
    return HEARTH_OK;
}

static hearth_status prompt_known(const char *path, const json_t *object, const char *const *names,
                                  hearth_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        size_t i = 0;
        while (names[i] && strcmp(names[i], key) != 0)
            i++;
        if (!names[i])
            return hb_fail(err, HEARTH_E_FORMAT, "%s: the key %s is not known", path, key);
    }
    return HEARTH_OK;
}

static hearth_status prompt_take(const char *path, const json_t *root, struct bn_prompt *p, hearth_error *err)
{
    static const char *const keys[] = {"id", "model_id", "prompt", "prompt_tokens", "parameters", NULL};
    static const char *const parameters[] = {"max_tokens", "temperature", NULL};
    const json_t *of = json_object_get(root, "parameters"), *text = json_object_get(root, "prompt");
    const json_t *model = json_object_get(root, "model_id"), *id = json_object_get(root, "id");
    const json_t *most = json_object_get(of, "max_tokens"), *temperature = json_object_get(of, "temperature");
    HB_TRY(prompt_known(path, root, keys, err));
    HB_TRY(prompt_known(path, of, parameters, err));
    if (!json_is_string(model) || !json_is_string(text) || !json_is_integer(most) || !json_is_number(temperature))
        return hb_fail(err, HEARTH_E_FORMAT, "%s: model_id and prompt (texts), parameters.max_tokens (a whole number) "
                       "and parameters.temperature (a number) are needed", path);
    double t = json_number_value(temperature);
    json_int_t n = json_integer_value(most);
    if (n < 1 || n > INT32_MAX || !(t >= 0 && t <= 2))
        return hb_fail(err, HEARTH_E_RANGE, "%s: max_tokens %" JSON_INTEGER_FORMAT " and temperature %g; 1 and more, and "
                       "0 to 2 are accepted", path, n, t);
    snprintf(p->id, sizeof p->id, "%s", json_is_string(id) ? json_string_value(id) : "");
    snprintf(p->model_id, sizeof p->model_id, "%s", json_string_value(model));
    p->max_tokens = (int32_t)n;
    p->temperature = (float)t;
    p->text = strdup(json_string_value(text));
    if (!p->text)
        return hb_fail(err, HEARTH_E_MEMORY, "no memory for the prompt of %s", path);
    return prompt_ids(path, json_object_get(root, "prompt_tokens"), p, err);
}

hearth_status bn_prompt_read(const char *path, struct bn_prompt *out, hearth_error *err)
{
    char *bytes = NULL;
    size_t n = 0;
    json_error_t why;
    struct bn_prompt p = {.n = 0};
    HB_TRY(fixture_read(path, &bytes, &n, err));
    bool mark = n >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0;
    json_t *root = mark ? NULL : json_loadb(bytes, n, JSON_REJECT_DUPLICATES, &why);
    free(bytes);
    if (mark)
        return hb_fail(err, HEARTH_E_FORMAT, "%s begins with a byte order mark (EF BB BF); JSON without one is accepted",
                       path);
    if (!root)
        return hb_fail(err, HEARTH_E_FORMAT, "%s is no JSON: line %d: %s", path, why.line, why.text);
    hearth_status status = prompt_take(path, root, &p, err);
    json_decref(root);
    if (status != HEARTH_OK)
        bn_prompt_free(&p);
    else
        *out = p;
    return status;
}

void bn_prompt_free(struct bn_prompt *prompt)
{
    free(prompt->text);
    free(prompt->ids);
    prompt->text = NULL;
    prompt->ids = NULL;
}

/* ---- models ---- */

const char *bn_origin_text(enum bn_origin origin)
{
    static const char *const text[] = {"real weights", "own weights", "synthetic weights", "unknown weights"};
    return text[origin];
}

hearth_status bn_manifest_find(const char *manifest, const char *name, struct bn_manifest_row *row, hearth_error *err)
{
    char line[1024];
    FILE *f = fopen(manifest, "r");
    if (!f)
        return hb_fail(err, HEARTH_E_NOT_FOUND, "%s is not there", manifest);
    hearth_status status = HEARTH_E_NOT_FOUND;
    for (int no = 1; status == HEARTH_E_NOT_FOUND && fgets(line, sizeof line, f); no++) {
        struct bn_manifest_row r;
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (sscanf(line, "%63[^\t]\t%" SCNu64 "\t%64[^\t]\t%31[^\t]\t%7[^\t]\t", r.name, &r.bytes, r.sha256,
                   r.licence, r.set) != 5)
            status = hb_fail(err, HEARTH_E_FORMAT, "%s, line %d: no row of name, bytes, sha256, licence, set and "
                             "sources", manifest, no);
        else if (strcmp(r.name, name) == 0)
            *row = r, status = HEARTH_OK;
    }
    fclose(f);
    return status == HEARTH_E_NOT_FOUND ? hb_fail(err, status, "%s has no row for %s", manifest, name) : status;
}

static hearth_status origin_digest(FILE *f, char hex[2 * HS_SHA256_BYTES + 1], uint64_t *bytes)
{
    struct hs_sha256 s;
    uint8_t digest[HS_SHA256_BYTES], *piece = malloc(1 << 20);
    size_t n;
    if (!piece)
        return HEARTH_E_MEMORY;
    hs_sha256_init(&s);
    for (*bytes = 0; (n = fread(piece, 1, 1 << 20, f)) > 0; *bytes += n)
        hs_sha256_add(&s, piece, n);
    free(piece);
    hs_sha256_end(&s, digest);
    hs_sha256_hex(digest, hex);
    return ferror(f) ? HEARTH_E_IO : HEARTH_OK;
}

hearth_status bn_origin_of(const char *path, const struct bn_manifest_row *row, const char *model_name,
                           enum bn_origin *origin, hearth_error *err)
{
    char hex[2 * HS_SHA256_BYTES + 1];
    uint64_t bytes;
    FILE *f = fopen(path, "rb");
    if (!f)
        return hb_fail(err, HEARTH_E_NOT_FOUND, "%s is not there", path);
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    hearth_status status = HEARTH_OK;
    *origin = BN_UNKNOWN;
    if (row && size >= 0 && (uint64_t)size < row->bytes / 2)
        status = hb_fail(err, HEARTH_E_MISMATCH, "placeholder: %ld bytes found, %" PRIu64 " expected", size, row->bytes);
    else if (model_name && strstr(model_name, "synthetic"))
        *origin = BN_SYNTHETIC;
    else if (row && (uint64_t)size == row->bytes && origin_digest(f, hex, &bytes) == HEARTH_OK &&
             strcmp(hex, row->sha256) == 0)
        *origin = strcmp(row->set, "own") == 0 ? BN_OWN : BN_REAL;
    fclose(f);
    return status;
}
