/* The ledger: after every single mark of a request's way, what the supervisor would make of it; and a process that is
 * killed anywhere between them. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "test_support.h"
#include "serve/hs_control.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct hk_table kernels;
static struct hs_ledger *ledger;
static uint8_t frames[HS_LEDGER_IDS * 256];

static struct hs_slot *fresh(void)
{
    hs_slot_clear(&ledger->slots[1]);
    hs_slot_take(&ledger->slots[1]);
    hs_slot_hello(&ledger->slots[1], 2, true, "0123");
    return &ledger->slots[1];
}

/* ids that the supervisor would write errors for, in order; returns how many */
static size_t told(const struct hs_slot *s, uint64_t *ids)
{
    size_t n = hs_slot_errors(s, &kernels, "the worker was lost", frames, sizeof frames), count = 0;
    for (size_t at = 0; at < n;) {
        struct hs_error e;
        uint32_t len = (uint32_t)frames[at] | (uint32_t)frames[at + 1] << 8;
        assert_int_equal(frames[at + HS_FRAME_HEAD], hs_messages[HS_M_error].number);
        assert_int_equal(hs_binary_decode(&hs_messages[HS_M_error], frames + at + 5, len - 1, &e, NULL), HEARTH_OK);
        assert_int_equal(e.code, 503);
        ids[count++] = e.id;
        at += HS_FRAME_HEAD + len;
        assert_true(at <= n);
    }
    return count;
}

static void at_every_mark_a_request_is_listed_or_the_slot_is_given_up(void **state)
{
    (void)state;
    uint64_t ids[HS_LEDGER_IDS];
    struct hs_slot *s = fresh();
    assert_int_equal(hs_slot_verdict(s), HS_SLOT_GIVE);
    hs_slot_reading(s, true); /* recv: bytes may be with us */
    assert_int_equal(hs_slot_verdict(s), HS_SLOT_ERRORS_THEN_CLOSE);
    hs_slot_begin(s, 7);
    hs_slot_begin(s, 9);
    hs_slot_reading(s, false);
    assert_int_equal(hs_slot_verdict(s), HS_SLOT_GIVE);
    assert_int_equal(told(s, ids), 2);
    assert_int_equal(ids[0], 7);
    assert_int_equal(ids[1], 9);
    hs_slot_finish(s, 7); /* in the buffer: not sent */
    assert_int_equal(told(s, ids), 2);
    hs_slot_sending(s, 100, true);
    assert_int_equal(hs_slot_verdict(s), HS_SLOT_GIVE); /* whole, or not at all */
    hs_slot_sent(s);
    assert_int_equal(told(s, ids), 1);
    assert_int_equal(ids[0], 9);
    hs_slot_sending(s, HS_LEDGER_WHOLE + 1, true); /* perhaps in parts */
    assert_int_equal(hs_slot_verdict(s), HS_SLOT_CLOSE);
    hs_slot_left(s, true);
    hs_slot_sending(s, 10, false);
    assert_int_equal(hs_slot_verdict(s), HS_SLOT_CLOSE);
    hs_slot_sent(s);
    assert_int_equal(hs_slot_verdict(s), HS_SLOT_GIVE);
    hs_slot_owes(s);
    assert_int_equal(hs_slot_verdict(s), HS_SLOT_ERRORS_THEN_CLOSE);
    hs_slot_sent(s);
    hs_slot_finish(s, 9);
    hs_slot_sent(s);
    assert_int_equal(told(s, ids), 0);
    assert_int_equal(hs_slot_verdict(s), HS_SLOT_GIVE);
}

static void an_id_may_be_used_again_before_its_answer_is_sent(void **state)
{
    (void)state;
    uint64_t ids[HS_LEDGER_IDS];
    struct hs_slot *s = fresh();
    hs_slot_begin(s, 1);
    hs_slot_finish(s, 1);
    hs_slot_begin(s, 1);
    hs_slot_sent(s);
    assert_int_equal(told(s, ids), 1);
    hs_slot_finish(s, 1);
    hs_slot_sent(s);
    assert_int_equal(told(s, ids), 0);
    hs_slot_finish(s, 5); /* of nothing */
    hs_slot_sent(s);
    assert_int_equal(hs_slot_verdict(s), HS_SLOT_GIVE);
}

static void more_than_can_be_listed_gives_the_connection_up(void **state)
{
    (void)state;
    uint64_t ids[HS_LEDGER_IDS];
    struct hs_slot *s = fresh();
    for (uint64_t i = 0; i < HS_LEDGER_IDS; i++)
        hs_slot_begin(s, i);
    assert_int_equal(hs_slot_verdict(s), HS_SLOT_GIVE);
    assert_int_equal(told(s, ids), HS_LEDGER_IDS);
    hs_slot_begin(s, 1000);
    assert_int_equal(hs_slot_verdict(s), HS_SLOT_ERRORS_THEN_CLOSE);
    assert_int_equal(told(s, ids), HS_LEDGER_IDS);
    for (uint64_t i = 0; i < HS_LEDGER_IDS; i++)
        hs_slot_finish(s, i);
    hs_slot_sent(s);
    assert_int_equal(hs_slot_verdict(s), HS_SLOT_GIVE);
    assert_int_equal(told(s, ids), 0);
}

static void no_slot_and_no_ledger_are_fine(void **state)
{
    (void)state;
    const struct hs_worker alone = {.control = -1, .files = -1};
    hearth_error err = {0};
    int fd;
    hs_slot_take(NULL), hs_slot_drop(NULL), hs_slot_reading(NULL, true), hs_slot_begin(NULL, 1);
    hs_slot_finish(NULL, 1), hs_slot_owes(NULL), hs_slot_sending(NULL, 1, false), hs_slot_left(NULL, true);
    hs_slot_sent(NULL), hs_slot_hello(NULL, 2, true, ""), hs_ledger_opening(NULL, "a");
    hs_worker_ready(&alone, 2), hs_worker_closed(&alone, 0);
    assert_false(hs_ledger_refuses(NULL, "a"));
    assert_null(hs_worker_slot(&alone, 0));
    assert_int_equal(hs_worker_open(&alone, "a", &fd, &err), HEARTH_E_UNSUPPORTED);
}

/* A process marks and sends as a worker does, echoing request numbers, and is killed somewhere. What was sent and
 * what the ledger lists must cover all that was asked, and no more than one request twice. */
static void echoes(int socket, struct hs_slot *s)
{
    for (;;) {
        uint8_t in[64], out[64];
        hs_slot_reading(s, true);
        ssize_t n = recv(socket, in, sizeof in, 0);
        if (n <= 0)
            _exit(0);
        for (ssize_t i = 0; i < n; i++)
            hs_slot_begin(s, in[i]);
        hs_slot_reading(s, false);
        for (ssize_t i = 0; i < n; i++) {
            hs_slot_finish(s, in[i]);
            out[i] = in[i];
        }
        hs_slot_sending(s, (size_t)n, true);
        if (send(socket, out, (size_t)n, MSG_NOSIGNAL) != n)
            _exit(1);
        hs_slot_sent(s);
    }
}

static void killed_anywhere_every_request_is_answered_or_listed(void **state)
{
    (void)state;
    uint64_t seed = 1, twice = 0, given_up = 0;
    for (int round = 0; round < 300; round++) {
        int pair[2];
        struct hs_slot *s = fresh();
        uint8_t sent = 0, answered[256] = {0}, byte;
        uint64_t ids[HS_LEDGER_IDS];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        pid_t pid = fork();
        if (pid == 0) {
            close(pair[0]);
            echoes(pair[1], s);
        }
        int asks = (int)(test_rand(&seed) % 200) + 1;
        for (int i = 0; i < asks; i++) { /* keep it busy; it answers meanwhile */
            assert_int_equal(send(pair[0], &sent, 1, MSG_NOSIGNAL), 1);
            sent++;
            while (recv(pair[0], &byte, 1, MSG_DONTWAIT) == 1)
                answered[byte]++;
        }
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        while (recv(pair[0], &byte, 1, MSG_DONTWAIT) == 1)
            answered[byte]++;
        size_t n = told(s, ids);
        given_up += hs_slot_verdict(s) != HS_SLOT_GIVE;
        for (size_t i = 0; i < n; i++)
            answered[ids[i]]++;
        int waiting = 0; /* not yet read: the next worker's */
        while (recv(pair[1], &byte, 1, MSG_DONTWAIT) == 1) {
            answered[byte]++;
            waiting++;
        }
        for (int i = 0; i < sent; i++) {
            twice += answered[i] > 1;
            assert_true(answered[i] <= 2);
            if (answered[i] == 0) /* taken and not listed: only where the slot says so */
                assert_int_not_equal(hs_slot_verdict(s), HS_SLOT_GIVE);
        }
        close(pair[0]), close(pair[1]);
    }
    print_message("300 kills: %d connections given up, %d requests answered and listed\n", (int)given_up, (int)twice);
}

static void descriptors_travel_and_strangers_are_closed(void **state)
{
    (void)state;
    int pair[2], fd, more[2];
    struct hs_control m = {.kind = HS_CONTROL_CONNECTION, .slot = 3, .uid = 4, .text = "abc"}, got;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(hs_control_recv(pair[1], &got, &fd), 0);
    assert_int_equal(pipe(more), 0);
    assert_true(hs_control_send(pair[0], &m, more[1]));
    assert_int_equal(hs_control_recv(pair[1], &got, &fd), 1);
    assert_memory_equal(&got, &m, sizeof m);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
    assert_int_equal(send(pair[0], "short", 5, 0), 5); /* no message of ours: passed over */
    assert_true(hs_control_send(pair[0], &m, -1));
    assert_int_equal(hs_control_recv(pair[1], &got, &fd), 1);
    assert_int_equal(fd, -1);
    int sent = 0;
    while (hs_control_send(pair[0], &m, -1) && sent < 100000)
        sent++; /* full: told, not waited for */
    assert_true(sent > 0 && sent < 100000);
    close(pair[0]);
    while (hs_control_recv(pair[1], &got, &fd) == 1)
        sent--;
    assert_int_equal(sent, 0);
    assert_int_equal(hs_control_recv(pair[1], &got, &fd), -1);
    close(pair[1]), close(more[0]), close(more[1]);
}

/* All marks of one request; the bound is for a machine that does much else. */
static void marks_cost_nanoseconds(void **state)
{
    (void)state;
    uint64_t best = UINT64_MAX;
    struct hs_slot *s = fresh();
    for (int round = 0; round < 50; round++) {
        uint64_t start = hb_os_now_ns();
        for (uint64_t i = 0; i < 10000; i++) {
            hs_slot_reading(s, true);
            hs_slot_begin(s, i);
            hs_slot_reading(s, false);
            hs_slot_finish(s, i);
            hs_slot_sending(s, 64, true);
            hs_slot_sent(s);
        }
        uint64_t took = hb_os_now_ns() - start;
        best = took < best ? took : best;
    }
    print_message("a request's six marks take %.1f ns\n", (double)best / 10000);
    assert_true(best / 10000 < 1000);
}

static int setup(void **state)
{
    (void)state;
    hk_select(&kernels, 0, HK_LEVEL_COUNT);
    return hs_ledger_create(4, &ledger, NULL) != HEARTH_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_every_mark_a_request_is_listed_or_the_slot_is_given_up),
        cmocka_unit_test(an_id_may_be_used_again_before_its_answer_is_sent),
        cmocka_unit_test(more_than_can_be_listed_gives_the_connection_up),
        cmocka_unit_test(no_slot_and_no_ledger_are_fine),
        cmocka_unit_test(killed_anywhere_every_request_is_answered_or_listed),
        cmocka_unit_test(descriptors_travel_and_strangers_are_closed),
        cmocka_unit_test(marks_cost_nanoseconds),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
