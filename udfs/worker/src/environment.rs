//! What libraries read from the environment. The process was started with none, so this is all there is.

use std::path::Path;

/// Threads of polars in one run; the contract gives a transform two processors.
const POLARS_THREADS: &str = "2";

const VARIABLES: &[(&str, &str)] = &[
    // The process that is forked from must have one thread.
    ("JE_ARROW_MALLOC_CONF", "background_thread:false"),
    ("_RJEM_MALLOC_CONF", "background_thread:false"),
    ("OPENBLAS_NUM_THREADS", "1"),
    ("OMP_NUM_THREADS", "1"),
    ("MKL_NUM_THREADS", "1"),
    ("ARROW_DEFAULT_MEMORY_POOL", "system"),
    ("POLARS_MAX_THREADS", POLARS_THREADS),
    // No window, and no fonts but matplotlib's own.
    ("MPLBACKEND", "agg"),
    ("MPL_IGNORE_SYSTEM_FONTS", "1"),
    ("LC_ALL", "C.UTF-8"),
    ("TZ", "UTC"),
    ("HOME", "/tmp"),
    ("TMPDIR", "/tmp"),
];

/// Sets it, while there is one thread and nothing has read it yet.
pub(crate) fn set(home: &Path) {
    let folder = home.join("matplotlib");
    let variables = VARIABLES.iter().map(|(name, value)| (*name, value.as_ref()));
    for (name, value) in variables.chain([("MPLCONFIGDIR", folder.as_os_str())]) {
        #[expect(unsafe_code, reason = "libraries read their settings from the environment")]
        // SAFETY: `main` calls this first of all, when there is one thread, so nobody reads the environment meanwhile.
        unsafe {
            std::env::set_var(name, value);
        }
    }
}
