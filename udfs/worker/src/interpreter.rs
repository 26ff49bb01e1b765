//! CPython in this process: started once, loaded once, forked often, and asked to run one job in a child.

use std::ffi::CStr;
use std::io;
use std::path::{Path, PathBuf};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyModule};

use crate::process::Side;
use crate::writable;

/// The modules of `udfs/python`, in the order in which they need each other.
const MODULES: &[(&CStr, &CStr, &CStr)] = &[
    (c"shirabe", c"shirabe.py", source(concat!(include_str!("../../python/shirabe.py"), "\0"))),
    (
        c"shirabe_load",
        c"shirabe_load.py",
        source(concat!(include_str!("../../python/shirabe_load.py"), "\0")),
    ),
];
/// Those that import libraries, after these were loaded.
const MODULES_OF_RUNS: &[(&CStr, &CStr, &CStr)] = &[
    (
        c"shirabe_frames",
        c"shirabe_frames.py",
        source(concat!(include_str!("../../python/shirabe_frames.py"), "\0")),
    ),
    (c"shirabe_run", c"shirabe_run.py", source(concat!(include_str!("../../python/shirabe_run.py"), "\0"))),
];

const fn source(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("a module of Python has a zero byte in it"),
    }
}

#[expect(unsafe_code, reason = "pyo3 does not declare these functions of CPython")]
// SAFETY: CPython's headers declare each of them as here, without arguments or result.
unsafe extern "C" {
    fn PyOS_BeforeFork();
    fn PyOS_AfterFork_Parent();
    fn PyOS_AfterFork_Child();
}

/// Starts the interpreter: no environment, no `site`, no signal handlers, no files written.
pub(crate) fn start() -> Result<(), String> {
    let mut config = std::mem::MaybeUninit::<ffi::PyConfig>::uninit();
    #[expect(unsafe_code, reason = "the settings of an interpreter have no safe interface")]
    // SAFETY: the call writes all of `config`.
    unsafe {
        ffi::PyConfig_InitIsolatedConfig(config.as_mut_ptr());
    }
    #[expect(unsafe_code, reason = "the settings of an interpreter have no safe interface")]
    // SAFETY: the call above has written all of it.
    let mut config = unsafe { config.assume_init() };
    config.site_import = 0;
    config.write_bytecode = 0;
    config.install_signal_handlers = 0;
    config.pathconfig_warnings = 0;
    let program: Vec<libc::wchar_t> = "/usr/bin/python3\0".chars().map(|c| c as libc::wchar_t).collect();
    let field = &raw mut config.program_name;
    #[expect(unsafe_code, reason = "the settings of an interpreter have no safe interface")]
    // SAFETY: `field` belongs to `config`, and `program` ends with a zero and lives during the call, which copies it.
    let set = unsafe { ffi::PyConfig_SetString(&raw mut config, field, program.as_ptr()) };
    failed(set)?;
    #[expect(unsafe_code, reason = "an interpreter with these settings has no safe interface")]
    // SAFETY: `config` is whole, and no interpreter was started before in this process.
    let started = unsafe { ffi::Py_InitializeFromConfig(&raw const config) };
    #[expect(unsafe_code, reason = "the settings of an interpreter have no safe interface")]
    // SAFETY: `config` was made by `PyConfig_InitIsolatedConfig` and is not used afterwards.
    unsafe {
        ffi::PyConfig_Clear(&raw mut config);
    }
    failed(started)
}

fn failed(status: ffi::PyStatus) -> Result<(), String> {
    #[expect(unsafe_code, reason = "a status has no safe interface")]
    // SAFETY: `status` came from the interpreter, and the call only looks at it.
    let failed = unsafe { ffi::PyStatus_Exception(status) } != 0;
    if failed { Err("the interpreter refuses its settings".to_owned()) } else { Ok(()) }
}

/// The interpreter with all libraries. This thread is the only one that uses it.
#[derive(Debug)]
pub(crate) struct Loaded {
    run: Py<PyAny>,
    run_nothing: Py<PyAny>,
    pub(crate) version: String,
    pub(crate) libraries: Vec<String>,
}

impl Loaded {
    /// Loads the libraries of the virtual environment at `home`.
    pub(crate) fn load(home: &Path) -> Result<Self, String> {
        python(|py| {
            let version = py.version_info();
            let folder = packages(home, version.major, version.minor);
            if !folder.is_dir() {
                return Err(format!("there are no libraries at `{}`", folder.display()));
            }
            let loaded = || -> PyResult<Self> {
                let sys = py.import("sys")?;
                sys.getattr("path")?.cast::<PyList>()?.append(folder.as_os_str())?;
                let mut last = install(py, MODULES)?;
                let libraries = last.call_method0("load")?.extract()?;
                last = install(py, MODULES_OF_RUNS)?;
                let version = Python::version_str().split(' ').next().unwrap_or_default().to_owned();
                let (run, run_nothing) =
                    (last.getattr("run")?.unbind(), last.getattr("run_nothing")?.unbind());
                Ok(Self { run, run_nothing, version, libraries })
            };
            loaded().map_err(|error| format!("the libraries cannot be loaded: {error}"))
        })
    }

    /// Makes a copy of this process by `copy`, with what Python does before and after.
    pub(crate) fn fork(&self, copy: impl FnOnce() -> io::Result<Side>) -> io::Result<Side> {
        #[expect(unsafe_code, reason = "pyo3 has no interface for it")]
        // SAFETY: this thread holds the interpreter's lock, for it never gave it up.
        unsafe {
            PyOS_BeforeFork();
        }
        let side = copy();
        if !matches!(side, Ok(Side::Child)) {
            #[expect(unsafe_code, reason = "pyo3 has no interface for it")]
            // SAFETY: this is the process that called `PyOS_BeforeFork`, with the lock still held.
            unsafe {
                PyOS_AfterFork_Parent();
            }
        }
        side
    }

    /// What Python does in the copy, once that is where it will stay.
    pub(crate) fn after_fork(&self) {
        #[expect(unsafe_code, reason = "pyo3 has no interface for it")]
        // SAFETY: this is a copy of the process that called `PyOS_BeforeFork`, whose only thread held the lock.
        unsafe {
            PyOS_AfterFork_Child();
        }
    }

    /// Runs a job of ours that does nothing, so that the memory which each run writes to is this process's own by then.
    pub(crate) fn run_nothing(&self) -> Result<(), String> {
        python(|py| self.run_nothing.bind(py).call0().map(drop))
            .map_err(|error| format!("a run of nothing: {error}"))
    }

    /// Runs a job, and returns its report.
    pub(crate) fn run(
        &self,
        job: &[u8],
        inputs: &[Vec<(usize, usize)>],
        output_bytes_max: u64,
        tier: &str,
    ) -> Vec<u8> {
        python(|py| {
            let run = || {
                let make_writable = wrap_pyfunction!(writable::make_writable, py)?;
                let job = PyBytes::new(py, job);
                let arguments = (job, inputs.to_vec(), output_bytes_max, tier, make_writable);
                self.run.bind(py).call1(arguments)?.extract::<Vec<u8>>()
            };
            let report = run();
            // Only what user code did to our own modules can bring this about.
            report.unwrap_or_else(|error| {
                let text = format!("the run ended without a result: {error}");
                serde_json::to_vec(&shirabe_wire::Report::BadOutput(text)).unwrap_or_default()
            })
        })
    }
}

/// Where a virtual environment keeps its libraries.
fn packages(home: &Path, major: u8, minor: u8) -> PathBuf {
    home.join(format!("lib/python{major}.{minor}/site-packages"))
}

fn install<'py>(py: Python<'py>, modules: &[(&CStr, &CStr, &CStr)]) -> PyResult<Bound<'py, PyModule>> {
    let mut last = None;
    for (name, file, code) in modules {
        last = Some(PyModule::from_code(py, code, file, name)?);
    }
    last.ok_or_else(|| pyo3::exceptions::PyImportError::new_err("there is no module"))
}

fn python<T>(work: impl FnOnce(Python<'_>) -> T) -> T {
    #[expect(unsafe_code, reason = "attaching the usual way would give the lock up in between")]
    // SAFETY: this process has one thread of its own that uses Python, which took the lock when it started the
    // interpreter and never gives it up outside of Python code.
    let py = unsafe { Python::assume_attached() };
    work(py)
}
