//! The allocator that the workers run on.
//!
//! They make many small objects and drop them in other threads. On jemalloc order-worker took a tenth
//! less time than on glibc (docs/performance.md); Redis brings it along on Debian, and the images have
//! it, too.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

const LIBRARY: &str = "libjemalloc.so.2";
const DIRECTORIES: [&str; 4] =
    ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];

/// The variable by which the loader is told of it.
const LOADED: &str = "LD_PRELOAD";
/// The variable that jemalloc reads.
const SETTINGS: &str = "MALLOC_CONF";
/// What was freed goes back to the system after a fifth of a second instead of ten: what large
/// batches leave had been a third of order-worker's memory.
const GIVES_BACK_SOON: &str = "dirty_decay_ms:200,muzzy_decay_ms:0";

/// The environment of a worker on jemalloc; without that, the workers run on what the system has.
/// Settings of this process's own environment stay.
pub(crate) fn environment() -> Vec<(String, OsString)> {
    let all = DIRECTORIES.iter().map(|directory| PathBuf::from(directory).join(LIBRARY));
    let Some(library) = all.into_iter().find(|library| library.is_file()) else {
        return Vec::new();
    };
    let settings = env::var_os(SETTINGS).unwrap_or_else(|| GIVES_BACK_SOON.into());
    vec![(LOADED.to_owned(), library.into()), (SETTINGS.to_owned(), settings)]
}
