/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What follows stands at the end of the header. */

/** The VRAM of whichever GPU faults. */
static inline struct xep_location xep_default(void) {
    struct xep_location location = {XEP_LOCATION_DEFAULT, 0, 0, 0};
    return location;
}

/** Host memory. */
static inline struct xep_location xep_system(void) {
    struct xep_location location = {XEP_LOCATION_SYSTEM, 0, 0, 0};
    return location;
}

/** Host memory of one NUMA node. */
static inline struct xep_location xep_host_node(uint32_t node) {
    struct xep_location location = {XEP_LOCATION_HOST_NODE, 0, 0, 0};
    location.node = node;
    return location;
}

/** One region of a GPU's VRAM: 1 for the first tile. */
static inline struct xep_location xep_vram(uint32_t gpu, uint32_t region) {
    struct xep_location location = {XEP_LOCATION_VRAM, 0, 0, 0};
    location.gpu = gpu;
    location.region = region;
    return location;
}
