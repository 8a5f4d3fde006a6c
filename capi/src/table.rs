// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every function of the header, once: for `dlsym` of a single symbol, and for the tests.

use crate::{
    raw::Function,
    status::{Failure, value},
    *,
};
use std::{mem::size_of, ptr};

/// The version of struct xep_table. Within one version it only grows at its end.
pub const XEP_TABLE_VERSION: u32 = 1;

/// Every function of this header as a pointer, under its name without xep_, behind the table's version and size.
#[repr(C)]
pub struct xep_table {
    table_version: u32,
    table_size: u32,
    functions: [Function; FUNCTIONS.len()],
}

macro_rules! functions {
    ($($name:ident),* $(,)?) => {
        /// The functions of the header, in the order of the table: append only.
        pub const FUNCTIONS: &[&str] = &[$(stringify!($name)),*];

        static TABLE: xep_table = xep_table {
            table_version: XEP_TABLE_VERSION,
            table_size: size_of::<xep_table>() as u32,
            functions: [$(Function($name as *const ())),*],
        };
    };
}

functions! {
    xep_version,
    xep_last_error,
    xep_machine_open,
    xep_machine_open_with_ioctl,
    xep_machine_open_named,
    xep_machine_open_simulated,
    xep_machine_open_recorded,
    xep_machine_record,
    xep_machine_close,
    xep_machine_gpu_count,
    xep_machine_is_simulated,
    xep_machine_unusable,
    xep_machine_groups,
    xep_machine_link,
    xep_machine_probe_link,
    xep_gpu_describe,
    xep_gpu_regions,
    xep_gpu_usage,
    xep_gpu_capabilities,
    xep_gpu_counters,
    xep_space_create,
    xep_space_create_empty,
    xep_space_close,
    xep_space_add,
    xep_space_attach,
    xep_space_detach,
    xep_space_members,
    xep_space_vm,
    xep_space_declare_stable,
    xep_space_touch,
    xep_space_advise,
    xep_space_reset,
    xep_space_prefetch,
    xep_space_start_prefetch,
    xep_prefetch_job_step,
    xep_prefetch_job_cancel,
    xep_prefetch_job_outcome,
    xep_prefetch_job_close,
    xep_space_residency,
    xep_space_attributes,
    xep_space_explain,
    xep_layout_plan,
    xep_space_allocate,
    xep_memory_address,
    xep_memory_length,
    xep_memory_close,
    xep_sim_cpu_touched,
    xep_sim_unmapped,
    xep_sim_moved,
    xep_sim_inject,
    xep_sim_fill_vram,
    xep_sim_pin,
    xep_sim_unpin,
    xep_sim_unplug,
    xep_sim_replug,
    xep_sim_set_privileged,
    xep_sim_counters,
}

/// Returns every function of this header in one table, for hosts that load the library with dlopen(3).
///
/// `version` and `size` are XEP_TABLE_VERSION and sizeof(struct xep_table) as the caller was compiled with. NULL if the
/// library has no such version, or is older than the caller and has fewer functions.
#[unsafe(no_mangle)]
pub extern "C" fn xep_get_table(version: u32, size: usize) -> *const xep_table {
    value(ptr::null(), || {
        if version != XEP_TABLE_VERSION || size > size_of::<xep_table>() {
            let words = format!("no table of version {version} with {size} bytes here");
            return Err(Failure::new(libc::ENOTSUP, words));
        }
        Ok(&raw const TABLE)
    })
}
