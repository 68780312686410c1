// Secrets: see the header.
#include "miner/secrets.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_name(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    return *name && *name != '.' && !name[strspn(name, allowed)];
}

int secrets_path(const char *folder, const char *name, char *path, size_t size, const char **why)
{
    if (!folder) return *why = "there is no --secrets", -1;
    if (!is_name(name)) return *why = "that is no name of a secret", -1;
    int n = snprintf(path, size, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= size || access(path, R_OK) != 0)
        return *why = "there is no such file to read", -1;
    return 0;
}

int secrets_read(const char *folder, const char *name, char text[MAX_SECRET + 1], const char **why)
{
    char path[4096];
    if (secrets_path(folder, name, path, sizeof path, why) != 0) return -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, text, MAX_SECRET + 1);
    if (fd >= 0) close(fd);
    if (n < 0) return *why = "the file cannot be read", -1;
    if (n > MAX_SECRET) return *why = "the file is too long", -1;
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r')) n--;
    text[n] = '\0';
    if (n == 0) return *why = "the file is empty", -1;
    if (strlen(text) != (size_t)n || strpbrk(text, "\r\n"))
        return *why = "the file is not one line of text", -1;
    return 0;
}
