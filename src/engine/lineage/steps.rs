//! Recursive queries: a step reads the rows of the step before, so its columns come from where those came from.
//!
//! The step is walked once, with a stand-in for each column that it reads of the rows before. Walking it again until
//! nothing is added would take as many walks as there are columns, and as many again for each query inside of it.

use std::sync::Arc;

use super::found::{Source, Sources, Traced, either};

/// The columns of a recursive query at `level`, from those that it starts with and those that a step makes.
pub(super) fn close(level: usize, start: &[Traced], step: &[Traced]) -> Vec<Traced> {
    let close_one = |column: usize| {
        let reached = reach(level, column, step, |traced| &traced.from);
        let copied = reach(level, column, step, |traced| &traced.direct);
        let known =
            |sources: &Sources| sources.iter().copied().filter(|source| !is_step(*source, level)).collect();
        let all = |columns: &[usize], of: fn(&Traced) -> &Arc<Sources>| {
            let both = columns.iter().flat_map(|column| [of(&start[*column]), of(&step[*column])]);
            Arc::new(both.flat_map(|sources| -> Sources { known(sources) }).collect())
        };
        Traced {
            from: all(&reached, |traced| &traced.from),
            direct: all(&copied, |traced| &traced.direct),
            how: reached
                .iter()
                .flat_map(|column| [start[*column].how, step[*column].how])
                .reduce(either)
                .unwrap_or(super::Derivation::Constant),
        }
    };
    (0..start.len()).map(close_one).collect()
}

/// `sources`, with `columns` in the place of their stand-ins.
pub(super) fn put(sources: &Sources, level: usize, columns: &[Traced]) -> Sources {
    let mut put = Sources::new();
    for source in sources {
        match source {
            Source::Step(of, column) if *of == level => put.extend(columns[*column].from.iter()),
            other => {
                put.insert(*other);
            }
        }
    }
    put
}

/// The columns that values of `column` may have been in, with itself.
fn reach(level: usize, column: usize, step: &[Traced], of: fn(&Traced) -> &Arc<Sources>) -> Vec<usize> {
    let mut seen = vec![false; step.len()];
    let mut reached = vec![column];
    seen[column] = true;
    let mut next = 0;
    while next < reached.len() {
        for source in of(&step[reached[next]]).iter() {
            if let Source::Step(at, before) = *source
                && at == level
                && !std::mem::replace(&mut seen[before], true)
            {
                reached.push(before);
            }
        }
        next += 1;
    }
    reached
}

fn is_step(source: Source, level: usize) -> bool {
    matches!(source, Source::Step(of, _) if of == level)
}
