// needs: common
// Conf: precedence, the kinds of values, operands among options, and what a user sees of a mistake.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/conf.h"

static struct {
    const char *listen, *peers;
    int64_t slots, slot, buffer;
    bool alone;
} opt;

static const conf_option_t options[] = {
    {"listen", CONF_STR, "ENDPOINT", "tcp://127.0.0.1:7440", "where to listen", &opt.listen, 0, 0},
    {"slots", CONF_INT, "N", "256", "how many", &opt.slots, 1, 1000},
    {"slot", CONF_DURATION, "DURATION", "60s", "length of a slot", &opt.slot, 0, 0},
    {"max-buffer", CONF_SIZE, "SIZE", "64M", "bytes kept", &opt.buffer, 0, 0},
    {"alone", CONF_FLAG, NULL, NULL, "no other", &opt.alone, 0, 0},
    {"peer", CONF_LIST, "ENDPOINTS", "tcp://a:1", "others", &opt.peers, 0, 0},
};
static const conf_t conf = {"rtm-test", "[OPTIONS] FILE...", "Tests.", options, 6};

static int parse(char **argv)
{
    int argc = 0;
    while (argv[argc]) argc++;
    return conf_parse(&conf, argc, argv);
}
#define PARSE(...) parse((char *[]){"rtm-test", __VA_ARGS__, NULL})

// Runs the parser in a child; its exit code, and what it printed.
static int parse_in_child(char **argv, char *out, size_t size)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], 1);
        dup2(fds[1], 2);
        parse(argv);
        exit(0);
    }
    close(fds[1]);
    size_t len = 0;
    for (ssize_t n; len + 1 < size && (n = read(fds[0], out + len, size - 1 - len)) > 0;) len += (size_t)n;
    out[len] = 0;
    close(fds[0]);
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
#define REFUSED(text, ...)                                                                               \
    do {                                                                                                 \
        char out[4096];                                                                                  \
        assert_int_equal(parse_in_child((char *[]){"rtm-test", __VA_ARGS__, NULL}, out, sizeof out), 2); \
        assert_non_null(strstr(out, text));                                                              \
        assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1); /* one line */                       \
    } while (0)

static void test_defaults(void **state)
{
    (void)state;
    assert_int_equal(parse((char *[]){"rtm-test", NULL}), 1);
    assert_string_equal(opt.listen, "tcp://127.0.0.1:7440");
    assert_int_equal(opt.slots, 256);
    assert_int_equal(opt.slot, 60000);
    assert_int_equal(opt.buffer, 64 << 20);
    assert_false(opt.alone);
}

static void test_command_line_beats_environment(void **state)
{
    (void)state;
    setenv("RTM_SLOTS", "7", 1);
    setenv("RTM_MAX_BUFFER", "2K", 1);
    setenv("RTM_ALONE", "1", 1);
    setenv("RTM_SLOT", "", 1); // empty: unset
    PARSE("--slots", "9");
    assert_int_equal(opt.slots, 9);
    assert_int_equal(opt.buffer, 2048);
    assert_int_equal(opt.slot, 60000);
    assert_true(opt.alone);
    unsetenv("RTM_SLOTS");
    unsetenv("RTM_MAX_BUFFER");
    unsetenv("RTM_ALONE");
    unsetenv("RTM_SLOT");
}

static void test_operands_move_behind(void **state)
{
    (void)state;
    char *argv[] = {"rtm-test", "a", "--slots", "3", "b", "--alone", "-", "--slot=2s", "c", NULL};
    int first = parse(argv);
    assert_int_equal(first, 5);
    assert_string_equal(argv[5], "a");
    assert_string_equal(argv[6], "b");
    assert_string_equal(argv[7], "-");
    assert_string_equal(argv[8], "c");
    assert_int_equal(opt.slots, 3);
    assert_int_equal(opt.slot, 2000);
    assert_true(opt.alone);
}

static void test_double_dash_ends_options(void **state)
{
    (void)state;
    char *argv[] = {"rtm-test", "a", "--alone", "--", "--slots", NULL};
    int first = parse(argv);
    assert_int_equal(first, 3);
    assert_string_equal(argv[3], "a");
    assert_string_equal(argv[4], "--slots");
}

static void test_lists(void **state)
{
    (void)state;
    PARSE("x");
    assert_string_equal(opt.peers, "tcp://a:1");
    PARSE("--peer", "tcp://b:1", "x", "--peer=tcp://c:1,tcp://d:1", "--peer", "tcp://e:1");
    assert_string_equal(opt.peers, "tcp://b:1,tcp://c:1,tcp://d:1,tcp://e:1");
    setenv("RTM_PEER", "tcp://f:1,tcp://g:1", 1);
    PARSE("x");
    assert_string_equal(opt.peers, "tcp://f:1,tcp://g:1");
    PARSE("--peer", "tcp://b:1");
    assert_string_equal(opt.peers, "tcp://b:1");
    unsetenv("RTM_PEER");
}

static void test_mistakes(void **state)
{
    (void)state;
    REFUSED("unknown option --nope", "--nope");
    REFUSED("unknown option -x", "-x");
    REFUSED("--slots needs a value, N", "--slots");
    REFUSED("--slots: \"many\" is not a number", "--slots", "many");
    REFUSED("--slots: \"0\" is not between 1 and 1000", "--slots=0");
    REFUSED("--slot: \"5\" is not a duration", "--slot", "5");
    REFUSED("--max-buffer: \"-1\" is not a size", "--max-buffer", "-1");
    REFUSED("--alone: \"maybe\" is not 1 or 0", "--alone=maybe");
    setenv("RTM_SLOTS", "x", 1);
    REFUSED("RTM_SLOTS: \"x\" is not a number", "a");
    unsetenv("RTM_SLOTS");
}

static void test_help_and_version(void **state)
{
    (void)state;
    char out[4096];
    assert_int_equal(parse_in_child((char *[]){"rtm-test", "--help", NULL}, out, sizeof out), 0);
    assert_non_null(strstr(out, "Usage: rtm-test [OPTIONS] FILE..."));
    assert_non_null(strstr(out, "--slot DURATION"));
    assert_non_null(strstr(out, "length of a slot; default 60s [RTM_SLOT]"));
    assert_non_null(strstr(out, "[RTM_MAX_BUFFER]"));
    assert_int_equal(parse_in_child((char *[]){"rtm-test", "--version", NULL}, out, sizeof out), 0);
    assert_non_null(strstr(out, "rtm-test " RTM_VERSION));
}

static void test_units(void **state)
{
    (void)state;
    assert_int_equal(conf_duration("250ms"), 250);
    assert_int_equal(conf_duration("2s"), 2000);
    assert_int_equal(conf_duration("5m"), 300000);
    assert_int_equal(conf_duration("1h"), 3600000);
    assert_int_equal(conf_duration("1d"), 86400000);
    const char *none[] = {
        "", "s", "-1s", "1 s", "1w", "1.5s", "9223372036854775807d", "99999999999999999999ms"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) assert_int_equal(conf_duration(none[i]), -1);
    assert_int_equal(conf_size("17"), 17);
    assert_int_equal(conf_size("64K"), 65536);
    assert_int_equal(conf_size("1G"), 1 << 30);
    assert_int_equal(conf_size("1T"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_command_line_beats_environment),
        cmocka_unit_test(test_operands_move_behind),
        cmocka_unit_test(test_double_dash_ends_options),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_help_and_version),
        cmocka_unit_test(test_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
