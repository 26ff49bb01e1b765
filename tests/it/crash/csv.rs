//! Files whose rows tell which file they came from, so that a mixture of two would be seen.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What a query finds in one whole file of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) count: i64,
    pub(crate) sum: i64,
    /// Least and greatest generation; equal, unless versions were mixed.
    pub(crate) generations: (i64, i64),
}

impl Rows {
    /// The rows of generation `generation`, when each file has `count` more rows than generations.
    pub(crate) fn of(generation: i64, count: i64) -> Self {
        let count = count + generation;
        Self {
            count,
            sum: (0..count).map(|row| amount(generation, row)).sum(),
            generations: (generation, generation),
        }
    }
}

/// Scattered, so that it neither compresses to nothing nor repeats between generations.
fn amount(generation: i64, row: i64) -> i64 {
    (row * 7919 + generation * 104_729) % 1_000_003
}

/// Writes generation `generation` below `folder`. With `broken` one row more, which has too few fields.
pub(crate) fn write(folder: &Path, generation: i64, count: i64, broken: bool) -> PathBuf {
    let mut text = "generation,day,amount\n".to_owned();
    for row in 0..count + generation {
        let day = row % 3 + 1;
        writeln!(text, "{generation},2024-01-0{day},{}", amount(generation, row)).unwrap();
    }
    if broken {
        text.push_str("1,2024-01-01\n");
    }
    let path = folder.join(format!("generation-{generation}.csv"));
    std::fs::write(&path, text).unwrap();
    path
}
