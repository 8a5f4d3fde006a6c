/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The sizes that programs were compiled with. A structure of a list never changes; one that is passed with its size only
 * grows at its end. Compiled with -Wpadded: structures have no padding.
 */
#include <xeplace.h>

_Static_assert(sizeof(struct xep_unusable) == 344, "ABI");
_Static_assert(sizeof(struct xep_gpu_info) == 272, "ABI");
_Static_assert(sizeof(struct xep_region) == 32, "ABI");
_Static_assert(sizeof(struct xep_capabilities) == 40, "ABI");
_Static_assert(sizeof(struct xep_svm_counters) == 24, "ABI");
_Static_assert(sizeof(struct xep_link) == 544, "ABI");
_Static_assert(sizeof(struct xep_member) == 8, "ABI");
_Static_assert(sizeof(struct xep_location) == 16, "ABI");
_Static_assert(sizeof(struct xep_advice) == 48, "ABI");
_Static_assert(sizeof(struct xep_report) == 304, "ABI");
_Static_assert(sizeof(struct xep_answer) == 40, "ABI");
_Static_assert(sizeof(struct xep_prefetch) == 56, "ABI");
_Static_assert(sizeof(struct xep_outcome) == 56, "ABI");
_Static_assert(sizeof(struct xep_obstacle) == 256, "ABI");
_Static_assert(sizeof(struct xep_stay) == 272, "ABI");
_Static_assert(sizeof(struct xep_unmapped) == 264, "ABI");
_Static_assert(sizeof(struct xep_place) == 16, "ABI");
_Static_assert(sizeof(struct xep_run) == 32, "ABI");
_Static_assert(sizeof(struct xep_attribute_run) == 56, "ABI");
_Static_assert(sizeof(struct xep_explanation) == 312, "ABI");
_Static_assert(sizeof(struct xep_share) == 24, "ABI");
_Static_assert(sizeof(struct xep_layout) == 24, "ABI");
_Static_assert(sizeof(struct xep_step) == 32, "ABI");
_Static_assert(sizeof(struct xep_sim_counters) == 88, "ABI");
/* Version, size and 57 functions. */
_Static_assert(sizeof(struct xep_table) == 8 + 57 * sizeof(void *), "ABI");

/* What the first release had, for callers that pass its size. */
_Static_assert(offsetof(struct xep_advice, flags) == 24, "ABI");
_Static_assert(offsetof(struct xep_report, step) == 32, "ABI");
_Static_assert(offsetof(struct xep_report, passed_over) == 48, "ABI");
_Static_assert(offsetof(struct xep_prefetch, chunk) == 32, "ABI");
_Static_assert(offsetof(struct xep_outcome, bytes_in_place) == 32, "ABI");
_Static_assert(offsetof(struct xep_gpu_info, address) == 56, "ABI");
_Static_assert(offsetof(struct xep_link, text) == 32, "ABI");
