// rtm-ctl: the command line. `rtm-ctl COMMAND ...`; options of all commands may also stand before the
// command.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"

static const command_t commands[] = {
    {"add", "FILE...", "add templates: files, folders of *.json, or - for standard input",
     "Adds templates. FILE is a template, a folder (all its *.json), or - for standard input. Each is\n"
     "checked by the broker; of several, none is added when one is bad. The command returns when the\n"
     "change is durable; first rows follow within seconds. `rtm-ctl try FILE` shows beforehand what a\n"
     "template finds. With --replace, a template that reads its lists differently from the one in its\n"
     "place is first compared with it on a fresh document; where items would be lost, or nothing can\n"
     "be fetched, only --force replaces it.",
     run_add},
    {"import", "FILE...", "the same as add: for many templates, or a folder of them", NULL, run_add},
    {"list", "", "templates, and how their last polls went", NULL, run_list},
    {"show", "NAME", "a template as it was added", NULL, run_show},
    {"remove", "NAME...", "remove templates; rows that are stored stay", NULL, run_change},
    {"enable", "NAME...", "poll templates again; let templates or sources out of quarantine", NULL,
     run_change},
    {"disable", "NAME...", "stop polling templates, but keep them", NULL, run_change},
    {"wait", "NAME", "wait until every enabled source of a template has been stored", NULL, run_wait},
    {"try", "TEMPLATE", "show what a template finds, without storing anything",
     "Fetches the template's pages and shows the items found in them, how often each selector matched,\n"
     "and how long it took. Nothing is stored and no broker is needed. --save keeps the documents, and\n"
     "--file reads one of them instead of the web, with the URL and type that it came with.",
     run_try},
    {"select", "SELECTOR [FILE]", "show what a selector finds in a document",
     "Prints each match as one line of JSON. SELECTOR is CSS (with ::text or ::attr(name)),\n"
     "xpath:EXPRESSION, or JSONPath; FILE a saved page or document, standard input without it. XML\n"
     "takes XPath only; `_:name` is of its default namespace. With --kind html it is read as templates\n"
     "of that kind read it.",
     run_select},
    {"url", "URL [BASE]", "what a link means, and the normal form that groups rows of one story",
     "Prints {\"url\": ..., \"url_norm\": ...}: URL resolved against BASE (a page's URL), and its\n"
     "normal form as it stands in items.url_norm. Exit status: 0, or 1 where it is no http or https\n"
     "URL.",
     run_url},
    {"robots", "URL", "whether robots.txt lets a URL be fetched, and which line says so",
     "Fetches the robots.txt of the URL's host, or reads --file, and says what holds for the URL, the\n"
     "crawl delay and sitemaps. Exit status: 0 allowed, 1 not.",
     run_robots},
    {"status", "", "the cluster in a few lines", NULL, run_status},
    {"miners", "", "miners, their load and last outcome; those that are gone for 10 minutes", NULL,
     run_miners},
    {"sources", "[NAME]", "sources (of one template): who polls them, when, with what result", NULL,
     run_sources},
    {"gaps", "[NAME]", "where posts may have been missed between two polls",
     "Lists (of one template) whose polls could not prove that nothing was missed since the poll\n"
     "before: open, or closed by paging back. With NAME also the sources that can prove nothing: lists\n"
     "in no order of time, or too short.",
     run_gaps},
    {"history", "[NAME|SOURCE]", "what became of polls, the newest first",
     "What became of the polls of a template, or of a source (its id, or its URL); without either, of\n"
     "all. What repeats is one row: count dues from first to last. Changes and the first failure of\n"
     "each kind are rows of their own, with what went wrong in words. The broker's --history-keep and\n"
     "--history-rows bound it, and a source keeps at most 200 rows. What came out unchanged reaches\n"
     "the file every few minutes; asking for a template or source fetches it.",
     run_history},
    {"errors", "[NAME]", "errors that recur, grouped: how often, since when, where",
     "Failed polls, grouped by template, kind of error, status and words (without numbers and URLs):\n"
     "first and last time, how often, in how many sources, and an example. At most 2000 groups are\n"
     "kept; sources counts those in the history that is kept.",
     run_errors},
    {"replay", "ID", "poll the source of a row of the history again, now",
     "ID is that of a row of `rtm-ctl history`. Its source is polled again at once, and its document\n"
     "read as if for the first time: validators and what the miner remembers are ignored. Rows stored\n"
     "already stay as they are; what was lost is stored again.",
     run_replay},
    {"trigger", "NAME|SOURCE", "poll a template or a source once, now or at a time",
     "Makes a task: each source of the template (or the one that is named by its id or URL) is polled\n"
     "once, beside its schedule. It is executed at least once, whatever dies meanwhile; rows are\n"
     "stored once. A task whose attempts are used up goes to the dead letters.",
     run_trigger},
    {"tasks", "[NAME]", "tasks: those that wait or run, and the last 1000 that ended", NULL, run_tasks},
    {"cancel", "ID", "give up a task that has not ended", NULL, run_one},
    {"next", "", "what will run next, in order", NULL, run_next},
    {"explain", "SOURCE", "why a source is or is not running now, and when it will be next",
     "SOURCE is an id or a URL, or the name of a template that has one source.", run_one},
    {"dlq", "[list|show|retry|drop] [ID|NAME]", "dead letters: work that was given up",
     "Tasks whose attempts are used up, and sources in quarantine, grouped by source and error.\n"
     "`retry` lets the source out and polls it; `drop` forgets the letter. ID is one letter, NAME all\n"
     "of a template, --all all.",
     run_dlq},
    {"drain", "MINER", "have a miner finish what it does, hand the rest back, and exit", NULL, run_one},
    {"refetch", "", "mine sources again whose stored items are lost",
     "For a database that was restored to an earlier state. The sources' validators and what miners\n"
     "remember of them are void, so that their next polls send all that is still listed. What is\n"
     "stored already stays as it is; what comes back is marked as backfill, since nobody knows when it\n"
     "appeared.",
     run_refetch},
    {"backup", "FILE", "have the broker write a copy of its state, while it runs",
     "The broker writes FILE on its own machine; a path that is not absolute counts from its --state\n"
     "folder. A file that exists is not overwritten. `rtm-broker --restore FILE` starts from a copy.",
     run_backup},
    {"tail", "", "print items as they are stored",
     "Follows the stream of a sink that has --api, and goes on where it was when the connection ends.\n"
     "Each line is an item: when it was stored (UTC), template, title, URL; with --json, all of it.",
     run_tail},
    {"items", "[WORDS]", "print stored items, the newest first",
     "Asks a sink that has --api. WORDS must all occur in title, summary, author or URL.", run_items},
    {"health", "HOST:PORT", "ask a process for its health (its --health address)", NULL, run_health},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static int print_help(void)
{
    puts("Usage: rtm-ctl COMMAND [OPTIONS]\n\nTalks to rtm's broker: adds templates, shows what goes "
         "on.\n\nCommands:");
    for (size_t i = 0; i < N_COMMANDS; i++) {
        int n = printf("  %s %s", commands[i].name, commands[i].usage);
        printf("%*s%s\n", n < 20 ? 20 - n : 1, "", commands[i].summary);
    }
    puts("  help [COMMAND]    this, or the options of one command\n"
         "  version           print the version\n\n"
         "Options of every command (or, in the environment, the name in brackets):\n"
         "  --json            print JSON, for programs [RTM_JSON]\n"
         "  --broker ENDPOINT where the broker is; default " CTL_BROKER " [RTM_BROKER]\n"
         "  --reach DURATION  how long to try to reach it; default " CTL_REACH " [RTM_REACH]\n"
         "  --help            more about a command\n\n"
         "Exit status: 0 done, 1 refused, 2 wrong usage, 3 the broker cannot be reached.");
    return CTL_OK;
}

static const command_t *find(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (!strcmp(commands[i].name, name)) return &commands[i];
    return NULL;
}

// The index of the command's name: the first that is no option and no option's value; argc if there is none.
static int command_index(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') return i;
        if (!strcmp(argv[i], "--broker") || !strcmp(argv[i], "--reach")) i++;
    }
    return argc;
}

static int usage_error(const char *what, const char *name)
{
    fprintf(stderr, "rtm-ctl: %s%s (rtm-ctl --help lists the commands)\n", what, name);
    return CTL_USAGE;
}

// Without a command: --help and --version, and all else is wrong.
static int run_none(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return print_help();
        if (!strcmp(argv[i], "--version")) {
            puts("rtm-ctl " RTM_VERSION);
            return CTL_OK;
        }
    }
    return usage_error(argc > 1 ? "no command in " : "no command given", argc > 1 ? argv[1] : "");
}

static int run(ctl_t *ctl, int argc, char **argv)
{
    static char help_option[] = "--help";
    int at = command_index(argc, argv);
    if (at == argc) return run_none(argc, argv);
    char *name = argv[at];
    if (!strcmp(name, "version")) {
        puts("rtm-ctl " RTM_VERSION);
        return CTL_OK;
    }
    if (!strcmp(name, "help")) {
        if (at + 1 == argc) return print_help();
        name = argv[at + 1];
        argv[at + 1] = help_option;
    }
    const command_t *command = find(name);
    if (!command) return usage_error("there is no command ", name);
    // the command's name leaves argv: what stood before it is parsed with what stands behind
    memmove(&argv[at], &argv[at + 1], (size_t)(argc - at) * sizeof *argv);
    return command->run(command, ctl, argc - 1, argv);
}

int main(int argc, char **argv)
{
    ctl_t ctl = {0};
    int result = run(&ctl, argc, argv);
    if (fflush(stdout) || ferror(stdout)) {
        fputs("rtm-ctl: cannot write to standard output\n", stderr);
        if (result == CTL_OK) result = CTL_REFUSED;
    }
    // a name server that is silent holds up the end of the connection, which nobody needs to wait for
    if (result != CTL_UNREACHABLE) link_destroy(&ctl.link);
    return result;
}
