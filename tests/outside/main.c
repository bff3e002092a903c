/* Opens the model it is given and prints the first token that follows "The". A name of hearth's inside must
 * not meet this program's own. */
#include <hearth.h>
#include <stdio.h>
#include <stdlib.h>

int hk_select(void);
int hk_select(void)
{
    return 7;
}

int main(int argc, char **argv)
{
    hearth_error err;
    hearth_file *file;
    hearth_model *model;
    hearth_session *session;
    int32_t tokens[8], best = 0;
    size_t n;
    if (argc != 2 || hk_select() != 7)
        return 2;
    if (hearth_file_open(argv[1], NULL, &file, &err))
        return fprintf(stderr, "%s\n", err.text), 1;
    hearth_bytes bytes = {hearth_file_bytes(file), hearth_file_size(file)};
    if (hearth_model_open(&bytes, 1, NULL, &model, &err) || hearth_session_open(model, NULL, &session, &err) ||
        hearth_tokenize(model, "The", 3, HEARTH_TOKENIZE_SPECIAL, tokens, 8, &n, &err))
        return fprintf(stderr, "%s\n", err.text), 1;
    hearth_model_info info = {.struct_size = sizeof info};
    hearth_model_get_info(model, &info);
    float *logits = malloc((size_t)info.vocab_size * sizeof *logits);
    if (!logits || hearth_session_eval(session, tokens, n, logits, &err))
        return fprintf(stderr, "%s\n", err.text), 1;
    for (int32_t i = 1; i < info.vocab_size; i++)
        if (logits[i] > logits[best])
            best = i;
    printf("hearth %s: token %d\n", hearth_version(), (int)best);
    free(logits);
    hearth_session_close(session);
    hearth_model_close(model);
    hearth_file_close(file);
    return 0;
}
