// Secrets: what the operator keeps in files of one folder on the miner, and templates only name: passwords,
// tokens, certificates. Read when they are used, so that they can be changed under a running miner.
#ifndef RTM_MINER_SECRETS_H
#define RTM_MINER_SECRETS_H

#include <stddef.h>

enum { MAX_SECRET = 4096 };

// Path of the file `name` in folder. 0; -1: there is no such folder (NULL), the name is none (letters,
// digits,
// ".", "_", "-", no "." at its start), or there is no such file that can be read. *why: in words, without
// what is in it.
__attribute__((warn_unused_result)) int secrets_path(const char *folder, const char *name, char *path,
                                                     size_t size, const char **why);
// The text of the file, without the line breaks at its end. 0, or -1 as above, also for a text that is empty,
// too long or of more than one line.
__attribute__((warn_unused_result)) int secrets_read(const char *folder, const char *name,
                                                     char text[MAX_SECRET + 1], const char **why);

#endif
