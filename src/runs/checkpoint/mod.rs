//! Checkpoints: everything that a run needs to resume.
//!
//! `checkpoints/<iteration>/` holds `weights.safetensors`, `reference.safetensors` (if the objective
//! has a reference policy), `optimizer.bpk`, `policy.json` (kind, architecture and vocabulary),
//! `state.json` and, written last, `manifest.json` with the sizes and checksums of the others. The
//! folder is filled under a temporary name, synced and renamed, so a folder with a checkpoint's name was
//! complete when it got the name; the manifest shows whether it still is. Equal states give equal bytes.
//!
//! Checkpoints are treated as untrusted input: reading one executes nothing, opens no other file, and
//! takes at most 32 times the size of its files in memory plus 16 MiB (a valid one less than four
//! times).

mod files;
mod find;
mod load;
mod manifest;
mod save;
mod state;
mod tensors;

pub use files::folder;
pub use find::{
    CheckpointSelector, NewestCheckpoint, clear_leftovers, find, list, newest, set_aside,
};
pub use load::{load_initial_weights, load_weights, read_description, restore};
pub(super) use save::digest;
pub use save::save;
pub use state::{BestEvaluation, RunState, read_state};
