/* The chat families of chatformats.def: one writer walks the messages with a row's texts. */
#include "base/hb_check.h"
#include "tokenizer/hv_chat.h"
#include <string.h>

#define CHATFORMAT_TRIM  1u
#define CHATFORMAT_MERGE 2u
#define CHATFORMAT_MARKS 3

struct chatformat_around {
    const char *open, *close;
};

struct hv_chatformat {
    const char *name;
    const char *marks[CHATFORMAT_MARKS];
    const char *first, *standard;
    struct chatformat_around system, user, assistant;
    const char *answer;
    uint32_t flags;
};

#define MARKS(...)          {__VA_ARGS__}
#define AROUND(open, close) {open, close}
#define TRIM                CHATFORMAT_TRIM
#define MERGE               CHATFORMAT_MERGE
static const struct hv_chatformat chatformat_table[] = {
#define HV_CHATFORMAT(name, marks, first, standard, system, user, assistant, answer, flags)        \
    {name, marks, first, standard, system, user, assistant, answer, flags},
#include "tokenizer/chatformats.def"
#undef HV_CHATFORMAT
};
#undef MARKS
#undef AROUND
#undef TRIM
#undef MERGE

/* ---- names ---- */

const struct hv_chatformat *hv_chatformat_find(const char *name)
{
    for (size_t i = 0; i < HB_COUNT(chatformat_table); i++)
        if (strcmp(name, chatformat_table[i].name) == 0)
            return &chatformat_table[i];
    return NULL;
}

const char *hv_chatformat_name(size_t index)
{
    return index < HB_COUNT(chatformat_table) ? chatformat_table[index].name : NULL;
}

const char *hv_chatformat_name_of(const struct hv_chatformat *format)
{
    return format->name;
}

void hv_chatformat_list(char *text, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < HB_COUNT(chatformat_table); i++)
        n += hb_format(text + n, size - n, "%s%s", i ? " " : "", chatformat_table[i].name);
}

static bool chatformat_contains(const char *text, size_t len, const char *part)
{
    size_t n = strlen(part);
    for (const char *p = text; n <= len && (size_t)(p - text) <= len - n; p++) {
        p = memchr(p, part[0], len - n + 1 - (size_t)(p - text));
        if (!p)
            return false;
        if (memcmp(p, part, n) == 0)
            return true;
    }
    return false;
}

const struct hv_chatformat *hv_chatformat_recognise(const char *text, size_t len)
{
    for (size_t i = 0; i < HB_COUNT(chatformat_table); i++) {
        const struct hv_chatformat *f = &chatformat_table[i];
        bool all = true;
        for (size_t k = 0; k < CHATFORMAT_MARKS && f->marks[k] && all; k++)
            all = chatformat_contains(text, len, f->marks[k]);
        if (all)
            return f;
    }
    return NULL;
}

/* ---- writing ---- */

struct chatformat_writer {
    const struct hv_chatformat *format;
    const struct hv_chat_input *in;
    struct hv_marked *out;
    hearth_error *err;
};

/* A text of the list: \1 and \2 stand for the tokens. */
static hearth_status chatformat_put(const struct chatformat_writer *w, const char *text)
{
    for (const char *p = text; *p;) {
        size_t n = 0;
        while (p[n] && p[n] != '\1' && p[n] != '\2')
            n++;
        HB_TRY(hv_marked_fill(w->out, p, n, 0, w->err));
        p += n;
        if (*p) {
            struct hv_text token = *p == '\1' ? w->in->bos : w->in->eos;
            HB_TRY(hv_marked_fill(w->out, token.bytes, token.len, 0, w->err));
            p++;
        }
    }
    return HEARTH_OK;
}

static bool chatformat_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static hearth_status chatformat_content(const struct chatformat_writer *w, struct hv_text text)
{
    size_t begin = 0, end = text.len;
    if (w->format->flags & CHATFORMAT_TRIM) {
        while (begin < end && chatformat_space(text.bytes[begin]))
            begin++;
        while (end > begin && chatformat_space(text.bytes[end - 1]))
            end--;
    }
    return hv_marked_fill(w->out, text.bytes + begin, end - begin, 1, w->err);
}

static hearth_status chatformat_system(const struct chatformat_writer *w, const struct hv_text *text)
{
    HB_TRY(chatformat_put(w, w->format->system.open));
    if (text)
        HB_TRY(chatformat_content(w, *text));
    else
        HB_TRY(chatformat_put(w, w->format->standard));
    return chatformat_put(w, w->format->system.close);
}

static bool chatformat_is(struct hv_text role, const char *name)
{
    return role.len == strlen(name) && memcmp(role.bytes, name, role.len) == 0;
}

/* One message. `held`: a system message that waits for the user turn it stands in. */
static hearth_status chatformat_message(const struct chatformat_writer *w, size_t i,
                                        const struct hv_text **held)
{
    const struct hv_chatformat *f = w->format;
    const struct hv_message *m = &w->in->messages[i];
    if (chatformat_is(m->role, "system")) {
        if (!(f->flags & CHATFORMAT_MERGE))
            return chatformat_system(w, &m->content);
        if (*held || i > 0)
            return hb_fail(w->err, HEARTH_E_RANGE, "chat: message %zu is a system message; %s takes "
                           "one, in front of all others", i, f->name);
        *held = &m->content;
        return HEARTH_OK;
    }
    bool user = chatformat_is(m->role, "user");
    if (!user && !chatformat_is(m->role, "assistant"))
        return hb_fail(w->err, HEARTH_E_RANGE, "chat: role %.*s of message %zu; %s has system, user and "
                       "assistant", (int)m->role.len, m->role.bytes, i, f->name);
    const struct chatformat_around *around = user ? &f->user : &f->assistant;
    HB_TRY(chatformat_put(w, around->open));
    if (user && *held) {
        HB_TRY(chatformat_system(w, *held));
        *held = NULL;
    }
    HB_TRY(chatformat_content(w, m->content));
    return chatformat_put(w, around->close);
}

hearth_status hv_chatformat_write(const struct hv_chatformat *format, const struct hv_chat_input *in,
                                  struct hv_marked *out, hearth_error *err)
{
    const struct chatformat_writer w = {format, in, out, err};
    const struct hv_text *held = NULL;
    HB_TRY(chatformat_put(&w, format->first));
    if (format->standard && !(in->n && chatformat_is(in->messages[0].role, "system")))
        HB_TRY(chatformat_system(&w, NULL));
    for (size_t i = 0; i < in->n; i++)
        HB_TRY(chatformat_message(&w, i, &held));
    if (held)
        return hb_fail(err, HEARTH_E_RANGE, "chat: a system message and no user message; %s writes it "
                       "into the user's", format->name);
    return in->add_generation_prompt ? chatformat_put(&w, format->answer) : HEARTH_OK;
}
