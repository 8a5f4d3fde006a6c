// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an engine does with commands.
