/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Ends the program where something is not as it should be. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <xeplace.h>

#define MIB ((size_t)1 << 20)

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n  last error: %s\n", __FILE__, __LINE__, #condition, xep_last_error());        \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* `call` answers `expected`, and, if that is an error, says something about it. */
#define ANSWERS(expected, call)                                                                                        \
    do {                                                                                                               \
        int answer_ = (call);                                                                                          \
        if (answer_ != (expected) || (answer_ < 0 && xep_last_error()[0] == '\0')) {                                   \
            fprintf(stderr, "%s:%d: %s\n  is %d and not %d: %s\n", __FILE__, __LINE__, #call, answer_, (expected),     \
                    xep_last_error());                                                                                 \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

#endif
