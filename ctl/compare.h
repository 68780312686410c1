// Compare: what a changed template finds in a fresh document, against what the one in its place finds.
#ifndef RTM_CTL_COMPARE_H
#define RTM_CTL_COMPARE_H

#include "ctl/ctl.h"
#include "ctl/page.h"

// text is that of a template about to replace the one of the same name. If the broker has that one, and it
// reads lists differently, both read a fresh document and added, lost and changed items are told on stdout
// (with --json, and where quiet: not). CTL_OK: it may go in; CTL_REFUSED: items would be lost, or nothing
// could be fetched, which was told.
int compare_with_present(ctl_t *ctl, const char *path, const char *text, const page_options_t *options);

#endif
