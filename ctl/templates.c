// Templates: add, list, show, remove, enable, disable.
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "ctl/compare.h"
#include "ctl/ctl.h"
#include "ctl/print.h"
#include "proto/limits.h"

enum { FILES_MAX = 10000 }; // templates of one `add`

// -- files ----------------------------------------------------------------------------------------

typedef struct {
    char *path; // as the user knows it, "-" for standard input
    char *name; // of the template, once the broker has told it
    bool compared;
} file_t;

typedef struct {
    file_t v[FILES_MAX];
    size_t n;
    bool folder; // one of them came from a folder
} files_t;

static void files_destroy(files_t **files)
{
    for (size_t i = 0; i < (*files)->n; i++) {
        free((*files)->v[i].path);
        free((*files)->v[i].name);
    }
    free(*files);
    *files = NULL;
}

static int add_path(files_t *files, const char *folder, const char *name)
{
    if (files->n == FILES_MAX) return ctl_refuse("more than %d templates at once", FILES_MAX);
    buf_t path;
    buf_init(&path, 2 * MAX_URL);
    bool slash = folder && folder[strlen(folder) - 1] != '/';
    if (buf_printf(&path, "%s%s%s", folder ? folder : "", slash ? "/" : "", name)) {
        buf_free(&path);
        return ctl_refuse("%s: the path is too long", name);
    }
    files->v[files->n++] = (file_t){.path = path.data};
    return CTL_OK;
}

static int is_template(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);
    return entry->d_name[0] != '.' && n > 5 && !strcmp(entry->d_name + n - 5, ".json");
}

static int add_folder(files_t *files, const char *folder)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, is_template, alphasort), result = CTL_OK;
    if (n < 0) return ctl_refuse("%s: %s", folder, strerror(errno));
    for (int i = 0; i < n; i++) {
        if (result == CTL_OK) result = add_path(files, folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    files->folder = true;
    return n ? result : ctl_refuse("%s: there is no *.json in this folder", folder);
}

static int add_operand(files_t *files, const char *operand)
{
    struct stat st;
    if (!strcmp(operand, "-")) return add_path(files, NULL, operand);
    if (stat(operand, &st)) return ctl_refuse("%s: %s", operand, strerror(errno));
    return S_ISDIR(st.st_mode) ? add_folder(files, operand) : add_path(files, NULL, operand);
}

// The whole text of a template; out is the caller's to free.
static int read_template(buf_t *out, const char *path)
{
    int result = ctl_read(out, path, MAX_TEMPLATE);
    if (result != CTL_OK) return result;
    if (!out->len) return ctl_refuse("%s: empty", path);
    if (memchr(out->data, 0, out->len)) return ctl_refuse("%s: this is no text (it holds NUL bytes)", path);
    return CTL_OK;
}

// -- add ------------------------------------------------------------------------------------------

typedef struct {
    bool replace, force, dry_run;
    page_options_t page; // for comparing
} add_t;

static void tell_added(const file_t *file, yyjson_val *answer, bool dry_run)
{
    char span[TERM_SPAN_MAX];
    int64_t bound = yyjson_get_sint(yyjson_obj_get(answer, "bound_ms"));
    uint64_t sources = yyjson_get_uint(yyjson_obj_get(answer, "sources"));
    const char *action = yyjson_get_str(yyjson_obj_get(answer, "action"));
    const char *schedule = yyjson_get_str(yyjson_obj_get(answer, "schedule"));
    if (!action) action = "added";
    if (dry_run)
        action = !strcmp(action, "added")      ? "could be added"
                 : !strcmp(action, "replaced") ? "could be replaced"
                                               : action;
    term_print(stdout, file->name, false);
    printf(": %s, %llu source%s", action, (unsigned long long)sources, sources == 1 ? "" : "s");
    if (schedule && *schedule) {
        fputs(", ", stdout);
        term_print(stdout, schedule, false);
    } else if (bound > 0) {
        printf(", new posts are stored within %s", term_span(bound, span));
    }
    fputc('\n', stdout);
    yyjson_arr_iter warnings = yyjson_arr_iter_with(yyjson_obj_get(answer, "warnings"));
    for (yyjson_val *warning; (warning = yyjson_arr_iter_next(&warnings));) {
        fputs("  warning: ", stdout);
        term_print(stdout, yyjson_is_str(warning) ? yyjson_get_str(warning) : "?", false);
        fputc('\n', stdout);
    }
}

// Takes the answer to one `add`: remembers the template's name, tells the user unless quiet.
static int take_answer(ctl_t *ctl, file_t *file, const wire_reply_t *reply, bool dry_run, bool quiet)
{
    yyjson_doc *doc = yyjson_read(reply->json, strlen(reply->json), 0);
    yyjson_val *answer = yyjson_doc_get_root(doc);
    const char *name = yyjson_get_str(yyjson_obj_get(answer, "name"));
    int result = CTL_OK;
    free(file->name);
    file->name = xstrdup(name ? name : "");
    if (!name)
        result = ctl_refuse("%s: the broker's answer is not understood", file->path);
    else if (!quiet && ctl->json)
        print_object(stdout, answer, true, 0);
    else if (!quiet)
        tell_added(file, answer, dry_run);
    yyjson_doc_free(doc);
    return result;
}

static int add_file(ctl_t *ctl, file_t *file, const add_t *add, bool dry_run, bool quiet)
{
    buf_t text;
    const wire_reply_t *reply;
    int result = read_template(&text, file->path);
    if (result == CTL_OK && add->replace && !add->force && !file->compared) {
        result = compare_with_present(ctl, file->path, buf_cstr(&text), &add->page);
        file->compared = true;
    }
    if (result == CTL_OK) {
        wire_arg_t args[3] = {{.name = "template", .value = buf_cstr(&text)}};
        size_t n = 1;
        if (!args[0].value) args[0].value = "";
        if (add->replace) args[n++] = (wire_arg_t){.name = "replace", .value = "1"};
        if (dry_run) args[n++] = (wire_arg_t){.name = "dry_run", .value = "1"};
        result = ctl_ask(ctl, file->path, "add", args, n, &reply);
        if (result == CTL_OK) result = take_answer(ctl, file, reply, dry_run, quiet);
    }
    buf_free(&text);
    return result;
}

static int by_name(const void *a, const void *b)
{
    const file_t *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

// Two files may hold one name without either being wrong alone.
static int check_names(const files_t *files)
{
    const file_t **sorted = xcalloc(files->n, sizeof *sorted);
    int result = CTL_OK;
    for (size_t i = 0; i < files->n; i++) sorted[i] = &files->v[i];
    qsort(sorted, files->n, sizeof *sorted, by_name);
    for (size_t i = 1; i < files->n; i++)
        if (!strcmp(sorted[i - 1]->name, sorted[i]->name))
            result = ctl_refuse("%s and %s both name their template \"%s\"", sorted[i - 1]->path,
                                sorted[i]->path, sorted[i]->name);
    free(sorted);
    return result;
}

// All files or none: every one is tried first.
static int try_all(ctl_t *ctl, files_t *files, const add_t *add)
{
    int result = CTL_OK;
    for (size_t i = 0; i < files->n && result <= CTL_REFUSED; i++) {
        int one = add_file(ctl, &files->v[i], add, true, !add->dry_run);
        if (one != CTL_OK) result = one;
    }
    if (result == CTL_OK) result = check_names(files);
    if (result == CTL_REFUSED) ctl_refuse("nothing was changed");
    return result;
}

static int add_files(ctl_t *ctl, files_t *files, const add_t *add)
{
    bool several = files->n > 1 || files->folder;
    int result = several || add->dry_run ? try_all(ctl, files, add) : CTL_OK;
    for (size_t i = 0; i < files->n && result == CTL_OK && !add->dry_run; i++)
        result = add_file(ctl, &files->v[i], add, false, false);
    return result;
}

int run_add(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    add_t add;
    const conf_option_t own[] = {
        {"replace", CONF_FLAG, NULL, NULL, "replace a template of the same name (else that is refused)",
         &add.replace, 0, 0},
        {"force", CONF_FLAG, NULL, NULL, "replace it even where items would be lost", &add.force, 0, 0},
        PAGE_OPTIONS(add.page),
        {"dry-run", CONF_FLAG, NULL, NULL, "only check: change nothing", &add.dry_run, 0, 0},
    };
    int i = ctl_parse(command, ctl, own, sizeof own / sizeof *own, argc, argv, 1, FILES_MAX), inputs = 0,
        result = CTL_OK;
    add.replace = add.replace || add.force;
    files_t *files = xcalloc(1, sizeof *files);
    for (; i < argc && result == CTL_OK; i++) {
        inputs += !strcmp(argv[i], "-");
        result =
            inputs > 1 ? ctl_refuse("- (standard input) can be given once") : add_operand(files, argv[i]);
    }
    // standard input can be read only once, so it is never tried first
    if (result == CTL_OK && inputs && files->n > 1)
        result = ctl_refuse("- (standard input) must stand alone");
    if (result == CTL_OK) result = add_files(ctl, files, &add);
    files_destroy(&files);
    return result;
}

// -- the others -----------------------------------------------------------------------------------

int run_list(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    ctl_parse(command, ctl, NULL, 0, argc, argv, 0, 0);
    return ctl_table(ctl, "list", NULL, 0, "No templates yet: rtm-ctl add FILE adds one.");
}

static int change_one(ctl_t *ctl, const char *command, const char *name)
{
    const wire_arg_t arg = {.name = "name", .value = name};
    const wire_reply_t *reply;
    int result = ctl_ask(ctl, NULL, command, &arg, 1, &reply);
    if (result != CTL_OK) return result;
    yyjson_doc *doc = yyjson_read(reply->json, strlen(reply->json), 0);
    yyjson_val *answer = yyjson_doc_get_root(doc);
    const char *action = yyjson_get_str(yyjson_obj_get(answer, "action"));
    if (ctl->json) {
        print_object(stdout, answer, true, 0);
    } else {
        term_print(stdout, name, false);
        fputs(": ", stdout);
        term_print(stdout, action ? action : command, false);
        fputc('\n', stdout);
    }
    yyjson_doc_free(doc);
    return CTL_OK;
}

int run_change(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    int i = ctl_parse(command, ctl, NULL, 0, argc, argv, 1, FILES_MAX), result = CTL_OK;
    for (; i < argc && result <= CTL_REFUSED; i++) {
        int one = change_one(ctl, command->name, argv[i]);
        if (one != CTL_OK) result = one;
    }
    return result;
}

static void print_template(yyjson_val *template)
{
    char *pretty =
        yyjson_is_str(template) ? NULL : yyjson_val_write(template, YYJSON_WRITE_PRETTY_TWO_SPACES, NULL);
    const char *text = pretty ? pretty : yyjson_get_str(template);
    size_t len = text ? strlen(text) : 0;
    if (pretty)
        term_print_json(stdout, text, len);
    else if (text)
        term_print(stdout, text, true);
    if (len && text[len - 1] != '\n') fputc('\n', stdout);
    free(pretty);
}

int run_show(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    int i = ctl_parse(command, ctl, NULL, 0, argc, argv, 1, 1);
    const wire_arg_t arg = {.name = "name", .value = argv[i]};
    const wire_reply_t *reply;
    int result = ctl_ask(ctl, NULL, "show", &arg, 1, &reply);
    if (result != CTL_OK) return result;
    yyjson_doc *doc = yyjson_read(reply->json, strlen(reply->json), 0);
    yyjson_val *answer = yyjson_doc_get_root(doc), *template = yyjson_obj_get(answer, "template");
    if (ctl->json || !template)
        print_object(stdout, answer, true, 0);
    else
        print_template(template);
    yyjson_doc_free(doc);
    return CTL_OK;
}
