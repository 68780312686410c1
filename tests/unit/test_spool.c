// needs: sink proto common
// The spool gives back what it took, in order, through restarts, torn tails, damage and full disks.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/check.h"
#include "sink/crc32c.h"
#include "sink/spool.h"

enum { FRAME = 1000 };

static char folder[64], err[256];
static spool_t *spool;

static void open_spool(uint64_t max)
{
    spool = spool_open(folder, max, err, sizeof err);
    assert_non_null(spool);
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/rtm-spool-XXXXXX");
    assert_non_null(mkdtemp(folder));
    open_spool(1 << 30);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[100];
    spool_close(&spool);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static job_t *job_of(uint64_t number, size_t len)
{
    job_t *job = xcalloc(1, sizeof *job + len);
    job->len = len;
    job->broker_offset = (int64_t)number - 7;
    memcpy(job->frame, &number, sizeof number);
    return job;
}

static int append(uint64_t first, size_t n, size_t len)
{
    const char *why;
    job_t **jobs = xcalloc(n, sizeof *jobs);
    for (size_t i = 0; i < n; i++) jobs[i] = job_of(first + i, len);
    int status = spool_append(spool, (const job_t *const *)jobs, n, &why);
    for (size_t i = 0; i < n; i++) free(jobs[i]);
    free(jobs);
    return status;
}

// Reads everything and checks that it is first .. last; then it is done with.
static void assert_holds(uint64_t first, uint64_t last)
{
    for (uint64_t n = first; n <= last;) {
        uint64_t got;
        job_t *job = spool_read(spool);
        if (!job) {
            assert_false(spool_is_empty(spool));
            spool_done(spool);
            continue;
        }
        memcpy(&got, job->frame, sizeof got);
        assert_int_equal(got, n);
        assert_int_equal(job->broker_offset, (int64_t)n - 7);
        free(job);
        n++;
    }
    assert_null(spool_read(spool));
    spool_done(spool);
}

static void segment_path(char *path, size_t size, unsigned number, const char *suffix)
{
    snprintf(path, size, "%s/%016x.%s", folder, number, suffix);
}

static int open_file(unsigned number)
{
    char path[128];
    segment_path(path, sizeof path, number, "spool");
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    return fd;
}

static void checksum_is_crc32c(void **state)
{
    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(crc32c(0, "12345", 5), "6789", 4), 0xe3069283);
    uint8_t zeros[32] = {0}; // RFC 3720, B.4
    assert_int_equal(crc32c(0, zeros, sizeof zeros), 0x8a9136aa);
    uint8_t bytes[300];
    uint32_t sum = 1, other = 1;
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * i + 7 * i);
    for (size_t len = 0; len < 260; len++) { // of any length, from any place
        sum = crc32c(sum, bytes + len % 37, len);
        other = crc32c_by_tables(other, bytes + len % 37, len);
        assert_int_equal(sum, other);
    }
}

static void it_gives_back_in_order(void **state)
{
    (void)state;
    assert_true(spool_is_empty(spool));
    assert_int_equal(append(1, 10, FRAME), 0);
    assert_int_equal(append(11, 10, FRAME), 0);
    assert_holds(1, 20);
    assert_true(spool_is_empty(spool));
    assert_int_equal(spool_bytes(spool), 0);
    assert_int_equal(append(21, 1, FRAME), 0);
    assert_holds(21, 21);
}

static void it_survives_a_restart_and_many_segments(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 40; n++) assert_int_equal(append(n, 1, 1 << 20), 0);
    spool_close(&spool);
    open_spool(1 << 30);
    assert_int_equal(append(41, 2, FRAME), 0);
    assert_holds(1, 42);
    assert_true(spool_is_empty(spool));
}

static void what_was_not_done_is_read_again(void **state)
{
    (void)state;
    assert_int_equal(append(1, 4, FRAME), 0);
    free(spool_read(spool));
    spool_done(spool);
    free(spool_read(spool));
    free(spool_read(spool));
    spool_unread(spool);
    free(spool_read(spool));
    spool_rewind(spool);
    assert_holds(2, 4);
    assert_int_equal(append(5, 1, FRAME), 0);
    free(spool_read(spool));
    spool_close(&spool); // a crash forgets what was done within a segment: it comes again, which does no harm
    open_spool(1 << 30);
    assert_holds(5, 5);
}

static void writing_goes_on_while_it_is_read(void **state)
{
    (void)state;
    assert_int_equal(append(1, 2, FRAME), 0);
    free(spool_read(spool));
    free(spool_read(spool));
    assert_int_equal(append(3, 1, FRAME), 0);
    spool_done(spool);
    assert_false(spool_is_empty(spool));
    assert_holds(3, 3);
    assert_true(spool_is_empty(spool));
}

static void a_torn_tail_is_cut(void **state)
{
    (void)state;
    const int cuts[] = {1, 11, 13, 500, 1019};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        assert_int_equal(append(1, 3, FRAME), 0);
        struct stat st;
        int fd = open_file((unsigned)i);
        assert_int_equal(fstat(fd, &st), 0);
        spool_close(&spool);
        assert_int_equal(ftruncate(fd, st.st_size - cuts[i]), 0); // the seal was not written either
        close(fd);
        open_spool(1 << 30);
        assert_holds(1, 2);
        assert_true(spool_is_empty(spool));
    }
}

static void damage_is_set_aside_and_the_rest_is_read(void **state)
{
    (void)state;
    char path[128];
    assert_int_equal(append(1, 5, FRAME), 0);
    spool_close(&spool);
    int fd = open_file(0);
    assert_int_equal(pwrite(fd, "XXXX", 4, 16 + 2 * (FRAME + 20) + 300), 4); // in the third record
    close(fd);
    open_spool(1 << 30);
    free(spool_read(spool));
    free(spool_read(spool));
    assert_holds(4, 5);
    assert_true(spool_is_empty(spool));
    segment_path(path, sizeof path, 0, "damaged");
    assert_int_equal(access(path, F_OK), 0);
}

static void a_damaged_length_hides_nothing_behind_it(void **state)
{
    (void)state;
    assert_int_equal(append(1, 5, FRAME), 0);
    spool_close(&spool);
    int fd = open_file(0);
    assert_int_equal(pwrite(fd, "\xff\xff\xff\x7f", 4, 16 + FRAME + 20 + 4), 4); // the second record's length
    close(fd);
    open_spool(1 << 30);
    free(spool_read(spool));
    assert_holds(3, 5);
}

static void a_foreign_file_is_set_aside(void **state)
{
    (void)state;
    char path[128];
    segment_path(path, sizeof path, 3, "spool");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("this is no segment of a spool, whatever its name says", f);
    fclose(f);
    spool_close(&spool);
    open_spool(1 << 30);
    assert_true(spool_is_empty(spool));
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(append(1, 1, FRAME), 0);
    assert_holds(1, 1);
}

static void it_is_bounded(void **state)
{
    (void)state;
    spool_close(&spool);
    open_spool(10 * FRAME);
    assert_int_equal(append(1, 5, FRAME), 0);
    assert_int_equal(append(6, 5, FRAME), -1);
    assert_int_equal(append(6, 2, FRAME), 0);
    assert_holds(1, 7);
    assert_int_equal(append(8, 5, FRAME), 0);
    assert_holds(8, 12);
}

static void one_process_at_a_time(void **state)
{
    (void)state;
    assert_null(spool_open(folder, 1 << 20, err, sizeof err));
    assert_non_null(strstr(err, "another sink"));
    assert_null(spool_open("/proc/nowhere", 1 << 20, err, sizeof err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksum_is_crc32c),
        cmocka_unit_test_setup_teardown(it_gives_back_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(it_survives_a_restart_and_many_segments, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_not_done_is_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(writing_goes_on_while_it_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_torn_tail_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_set_aside_and_the_rest_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_length_hides_nothing_behind_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_foreign_file_is_set_aside, setup, teardown),
        cmocka_unit_test_setup_teardown(it_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(one_process_at_a_time, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
