/* What does the server itself cost a request? generate with 100 prompt tokens, answered by a model that does nothing
 * with 32 tokens and 95 bytes of text, over both encodings.
 *
 *   round trip   two processes and a Unix socket, closed loop of 1, 4, 16 and 64 clients, beside a bare exchange of as
 *                many bytes by the same calls: wall time for each request, and what a client sees
 *   stages       in one process, without the socket: marks at the borders of the stages of one request in its real
 *                order; a mark's own cost is taken off
 *
 *     decode     frame to message, its form and the session's rate
 *     validate   bounds of every field, limits of the session, the model, a job
 *     acquire    memory of the request, its tokens copied
 *     schedule   queue, deadline, admission, being taken
 *     result     the answer as a message
 *     encode     message to frame, books of the job
 *     release    memory wiped for the next
 *     socket     what the round trip takes more than all of these; less than nothing where client and server
 *                work at the same time
 *
 * Every answer's length is checked, and one in full. JSON lines; shares are of 20 us and of 100 ms. */
#define _GNU_SOURCE
#include "base/hb_reader.h"
#include "base/os/hb_os.h"
#include "serve/hs_server.h"
#include "serve_noop.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECRET   "0123456789abcdef"
#define REPEATS  25
#define MOST     64
#define PROMPT   100

enum stage { DECODE, VALIDATE, ACQUIRE, SCHEDULE, RESULT, ENCODE, RELEASE, STAGES };
static const char *const stage_names[STAGES] = {"decode", "validate", "acquire", "schedule", "result", "encode",
                                                "release"};

static void require(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench_serve: %s\n", what);
    exit(1);
}

/* ---- messages ---- */

static struct hk_table kernels;

static size_t put(uint8_t version, enum hs_index which, const void *msg, uint8_t *out, size_t room)
{
    size_t n = version == 1 ? hs_json_encode(&kernels, &hs_messages[which], msg, out, room)
                            : hs_binary_encode(&kernels, &hs_messages[which], msg, out, room);
    require(n > 0, "a message does not fit");
    return n;
}

static size_t put_hello(uint8_t version, uint8_t *out, size_t room)
{
    struct hs_hello h = {0};
    HS_SET(&h, hello, min_version, version);
    HS_SET(&h, hello, max_version, version);
    HS_SET(&h, hello, token, (struct hs_bytes){SECRET, sizeof SECRET - 1});
    return put(version, HS_M_hello, &h, out, room);
}

static size_t put_request(uint8_t version, uint8_t *out, size_t room)
{
    uint32_t ids[PROMPT];
    uint64_t seed = 1;
    struct hs_generate g = {0};
    for (size_t i = 0; i < PROMPT; i++) { /* log-uniform below 2^16, as bench_wire's */
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        ids[i] = (uint32_t)(seed >> 48) >> (seed >> 40 & 15);
    }
    HS_SET(&g, generate, id, 1);
    HS_SET(&g, generate, prompt_tokens, (struct hs_tokens){.values = ids, .n = PROMPT});
    HS_SET(&g, generate, max_tokens, 32);
    HS_SET(&g, generate, temperature, 0.0f);
    return put(version, HS_M_generate, &g, out, room);
}

/* ---- the server ---- */

static struct hs_engine *engine_make(const struct hs_engine_config *config)
{
    static const struct hs_engine_model model = {.name = "noop", .backend = &noop_backend};
    struct hs_engine *e;
    require(hs_engine_create(config, &e, NULL) == HEARTH_OK && hs_engine_attach(e, &model, NULL) == HEARTH_OK,
            "no engine");
    return e;
}

static void serve(int listener)
{
    struct hs_limits limits = hs_limits_default;
    struct hs_auth auth = {0};
    struct hs_server *s;
    limits.rate = 0;
    hs_auth_set(&auth, SECRET, sizeof SECRET - 1, NULL);
    const struct hs_engine_config config = {.limits = &limits};
    const struct hs_server_config server = {.engine = engine_make(&config), .auth = &auth, .listener = listener,
                                            .limits = &limits};
    require(hs_server_open(&server, &s, NULL) == HEARTH_OK, "no server");
    hs_server_run(s, NULL);
}

/* As many bytes back for as many bytes, by the same calls and nothing else. */
static void echo(int listener, size_t request, size_t answer)
{
    static uint8_t bytes[1 << 16];
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener}, events[MOST];
    int poll = epoll_create1(0);
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &ev);
    for (;;) {
        int n = epoll_wait(poll, events, MOST, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                ev.data.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                epoll_ctl(poll, EPOLL_CTL_ADD, ev.data.fd, &ev);
                continue;
            }
            struct iovec part = {bytes, sizeof bytes};
            struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1};
            ssize_t got = recvmsg(fd, &head, 0);
            if (got <= 0)
                close(fd);
            else if ((size_t)got % request == 0)
                (void)!send(fd, bytes, answer, MSG_NOSIGNAL);
        }
    }
}

/* ---- clients ---- */

static void send_all(int fd, const uint8_t *bytes, size_t n)
{
    require(send(fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n, "the server has gone");
}

static size_t receive_frame(int fd, uint8_t *bytes, size_t room)
{
    size_t have = 0;
    while (have < 4 || have < 4 + (size_t)hb_load_u32le(bytes)) {
        ssize_t n = recv(fd, bytes + have, room - have, 0);
        require(n > 0, "no answer");
        have += (size_t)n;
    }
    return have;
}

static int client(const char *path, uint8_t version)
{
    uint8_t bytes[4096];
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    require(fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof a) == 0, "cannot connect");
    if (version) {
        send_all(fd, bytes, put_hello(version, bytes, sizeof bytes));
        receive_frame(fd, bytes, sizeof bytes);
        require(bytes[4] == (version == 1 ? '{' : hs_messages[HS_M_welcome].number), "no welcome");
    }
    return fd;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Closed loop over all clients: each sends, then each takes its answer. Microseconds for each request. version 0:
 * the bare exchange. */
static void round_trips(const char *path, uint8_t version, int clients, size_t request_len, size_t answer_len,
                        double *median, double *best)
{
    static uint8_t request[1 << 16], answer[1 << 16];
    int fds[MOST];
    double us[REPEATS];
    int rounds = (version == 1 ? 300 : 2000) / clients + 20;
    size_t n = version ? put_request(version, request, sizeof request) : request_len;
    for (int i = 0; i < clients; i++)
        fds[i] = client(path, version);
    for (int r = -3; r < REPEATS; r++) {
        uint64_t start = hb_os_now_ns();
        for (int k = 0; k < rounds; k++) {
            for (int i = 0; i < clients; i++)
                send_all(fds[i], request, n);
            for (int i = 0; i < clients; i++) {
                size_t got = version ? receive_frame(fds[i], answer, sizeof answer)
                                     : (size_t)recv(fds[i], answer, answer_len, MSG_WAITALL);
                require(got > NOOP_TOKENS && (version || got == answer_len), "a wrong answer");
            }
        }
        if (r >= 0)
            us[r] = (double)(hb_os_now_ns() - start) / 1e3 / rounds / clients;
    }
    if (version == 2) {
        union hs_any msg;
        size_t len = hb_load_u32le(answer);
        require(answer[4] == hs_messages[HS_M_done].number &&
                    hs_binary_decode(&hs_messages[HS_M_done], answer + 5, len - 1, &msg, NULL) == HEARTH_OK &&
                    msg.done.generated_tokens == NOOP_TOKENS && msg.done.prompt_tokens == PROMPT &&
                    msg.done.text.len == sizeof NOOP_TEXT - 1, "the answer is another");
    }
    for (int i = 0; i < clients; i++)
        close(fds[i]);
    qsort(us, REPEATS, sizeof *us, compare);
    *median = us[REPEATS / 2];
    *best = us[0];
}

/* ---- stages ---- */

static uint64_t marks[STAGES + 1];

static void mark(int i)
{
    marks[i] = hb_os_now_ns();
}

/* In front of the engine's own (the linker's --wrap). */
void __real_hs_engine_submit(struct hs_engine *e, struct hs_client *c, const struct hs_message *m, const void *msg,
                             uint64_t now_ns);
void __wrap_hs_engine_submit(struct hs_engine *e, struct hs_client *c, const struct hs_message *m, const void *msg,
                             uint64_t now_ns);
void __wrap_hs_engine_submit(struct hs_engine *e, struct hs_client *c, const struct hs_message *m, const void *msg,
                             uint64_t now_ns)
{
    mark(VALIDATE);
    __real_hs_engine_submit(e, c, m, msg, now_ns);
}

static hearth_status stage_accept(struct hs_lane *lane, struct hs_job *job, const struct hs_message *m,
                                  const void *msg, hearth_error *err)
{
    mark(ACQUIRE);
    hearth_status status = noop_accept(lane, job, m, msg, err);
    mark(SCHEDULE);
    return status;
}

static bool stage_step(struct hs_lane *lane, uint64_t until_ns)
{
    mark(RESULT);
    return noop_step(lane, until_ns);
}

static bool (*stage_sends)(void *user, const struct hs_message *m, const void *msg);
static bool stage_send(void *user, const struct hs_message *m, const void *msg)
{
    mark(ENCODE);
    bool more = stage_sends(user, m, msg);
    mark(RELEASE);
    return more;
}

static void take_answer(struct hs_conn *c)
{
    const uint8_t *at;
    size_t n = hs_conn_pending(c, &at);
    require(n > NOOP_TOKENS, "no answer");
    hs_conn_sent(c, n, 1);
}

static void give(struct hs_conn *c, const uint8_t *bytes, size_t n)
{
    uint8_t *at;
    require(hs_conn_room(c, &at) >= n, "no room");
    memcpy(at, bytes, n);
    mark(DECODE);
    hs_conn_took(c, n, marks[DECODE]);
}

/* ns of each stage, and of the whole, medians of runs. */
static double stages(uint8_t version, double ns[STAGES])
{
    struct hs_backend backend = noop_backend;
    struct hs_limits limits = hs_limits_default;
    struct hs_auth auth = {0};
    struct hs_conn c;
    struct hs_conn_host host = {.auth = &auth, .owner_uid = 1, .min_version = 1, .max_version = 2, .name = "bench"};
    uint8_t request[4096];
    uint64_t cost = UINT64_MAX;
    int rounds = version == 1 ? 200 : 2000;
    backend.accept = stage_accept;
    backend.step = stage_step;
    limits.rate = 0;
    host.limits = limits;
    host.kernels = kernels;
    hb_arena_init_growing(&host.scratch, hb_os_heap());
    hs_auth_set(&auth, SECRET, sizeof SECRET - 1, NULL);
    const struct hs_engine_config config = {.limits = &limits};
    const struct hs_engine_model model = {.name = "stages", .backend = &backend};
    require(hs_engine_create(&config, &host.engine, NULL) == HEARTH_OK &&
                hs_engine_attach(host.engine, &model, NULL) == HEARTH_OK &&
                hs_conn_open(&c, &host, 1, 1, NULL) == HEARTH_OK, "no connection");
    give(&c, request, put_hello(version, request, sizeof request));
    take_answer(&c);
    stage_sends = c.client.send;
    c.client.send = stage_send;
    size_t n = put_request(version, request, sizeof request);
    for (int i = 0; i < 1000; i++) { /* of a mark */
        mark(0);
        mark(1);
        cost = marks[1] - marks[0] < cost ? marks[1] - marks[0] : cost;
    }
    double all[STAGES + 1][REPEATS] = {{0}};
    for (int r = -2; r < REPEATS; r++) {
        uint64_t sums[STAGES + 1] = {0};
        for (int i = 0; i < rounds; i++) {
            uint64_t begin = hb_os_now_ns();
            give(&c, request, n);
            hs_engine_step(host.engine, begin);
            mark(STAGES);
            take_answer(&c);
            for (int s = 0; s < STAGES; s++)
                sums[s] += marks[s + 1] - marks[s];
            sums[STAGES] += marks[STAGES] - begin;
        }
        for (int s = 0; s <= STAGES && r >= 0; s++)
            all[s][r] = (double)sums[s] / rounds - (double)cost * (s < STAGES ? 1 : STAGES + 1);
    }
    for (int s = 0; s <= STAGES; s++) {
        qsort(all[s], REPEATS, sizeof **all, compare);
        if (s < STAGES)
            ns[s] = all[s][REPEATS / 2] > 0 ? all[s][REPEATS / 2] : 0;
    }
    hs_conn_close(&c, 1);
    hs_engine_detach(host.engine, "stages", 1);
    hs_engine_destroy(host.engine);
    hb_arena_release(&host.scratch);
    return all[STAGES][REPEATS / 2];
}

/* ---- */

static pid_t start(int listener, void (*run)(int listener))
{
    pid_t pid = fork();
    if (pid == 0) {
        run(listener);
        _exit(0);
    }
    return pid;
}

static size_t echo_request, echo_answer;
static void echo_run(int listener)
{
    echo(listener, echo_request, echo_answer);
}

static void print_share(const char *does, const char *form, int clients, double ns)
{
    printf("{\"bench\":\"serve\",\"does\":\"%s\",\"form\":\"%s\",\"clients\":%d,\"ns\":%.0f,\"of_20us\":%.4f,"
           "\"of_100ms\":%.8f}\n", does, form, clients, ns, ns / 20e3, ns / 100e6);
}

int main(void)
{
    static const int counts[] = {1, 4, 16, 64};
    char directory[] = "/tmp/hearth-bench-XXXXXX", path[2][64];
    int listener[2];
    uint8_t bytes[4096];
    double ns[STAGES];
    hk_select(&kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    require(mkdtemp(directory) != NULL, "no directory");
    for (int i = 0; i < 2; i++) {
        snprintf(path[i], sizeof path[i], "%s/%d", directory, i);
        require(hs_listen(path[i], &listener[i], NULL) == HEARTH_OK, "no socket");
    }
    echo_request = put_request(2, bytes, sizeof bytes);
    echo_answer = 215; /* of done */
    pid_t children[2] = {start(listener[0], serve), start(listener[1], echo_run)};
    for (uint8_t version = 2; version >= (HEARTH_WITH_JSON ? 1 : 2); version--) {
        const char *form = version == 1 ? "json" : "binary";
        double inside = stages(version, ns), sum = 0;
        for (int s = 0; s < STAGES; s++) {
            print_share(stage_names[s], form, 1, ns[s]);
            sum += ns[s];
        }
        print_share("all stages", form, 1, sum);
        print_share("in process", form, 1, inside);
        for (size_t i = 0; i < HB_COUNT(counts); i++) {
            double median, best, bare, bare_best;
            round_trips(path[0], version, counts[i], 0, 0, &median, &best);
            round_trips(path[1], 0, counts[i], echo_request, echo_answer, &bare, &bare_best);
            printf("{\"bench\":\"serve\",\"does\":\"round trip\",\"form\":\"%s\",\"clients\":%d,\"ns\":%.0f,"
                   "\"best_ns\":%.0f,\"bare_ns\":%.0f,\"bare_best_ns\":%.0f,\"ours_ns\":%.0f,\"of_20us\":%.4f,"
                   "\"of_100ms\":%.8f}\n", form, counts[i], median * 1e3, best * 1e3, bare * 1e3, bare_best * 1e3,
                   (best - bare_best) * 1e3, median / 20, median / 100e3);
            print_share("socket", form, counts[i], best * 1e3 - sum);
            fflush(stdout);
        }
    }
    for (int i = 0; i < 2; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
        unlink(path[i]);
    }
    rmdir(directory);
    return 0;
}
