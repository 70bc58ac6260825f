/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Root of the build tree that the running program is part of, so that it finds its data there
 * without being installed; NULL when it is installed. The caller frees it. Any thread. */
char *build_tree_root(void);
