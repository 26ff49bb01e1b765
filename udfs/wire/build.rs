//! Writes a table of the hostile scripts, which the service runs against its own sandbox when it starts.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../evil");
    let mut scripts: Vec<_> = fs::read_dir(&folder)?.collect::<io::Result<_>>()?;
    scripts.retain(|entry| entry.path().extension().is_some_and(|extension| extension == "py"));
    scripts.sort_by_key(fs::DirEntry::file_name);
    let row = |entry: &fs::DirEntry| {
        let path = entry.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        format!("    (\"{name}\", include_str!({:?})),\n", path.canonicalize().unwrap_or(path))
    };
    let rows: String = scripts.iter().map(row).collect();
    #[expect(clippy::disallowed_methods, reason = "cargo tells a build script there where to write")]
    let out = env::var_os("OUT_DIR");
    let out = out.ok_or_else(|| io::Error::other("there is no folder for what is generated"))?;
    fs::write(
        Path::new(&out).join("scripts.rs"),
        format!("const SCRIPTS: &[(&str, &str)] = &[\n{rows}];\n"),
    )?;
    println!("cargo::rerun-if-changed={}", folder.display());
    Ok(())
}
