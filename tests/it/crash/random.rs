//! SIGKILL at two hundred random moments, on one folder that lives on.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant};

use shirabe::dataset::import::ImportOptions;

use super::csv::{self, Rows};
use super::folder::Folder;

const KILLS: u32 = 200;
/// Rows of a file, besides one for each generation.
const ROWS: i64 = 3000;
/// Imports that are left alone, to learn how long one takes.
const UNDISTURBED: u32 = 3;

/// SplitMix64: the same moments again for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn up_to(&mut self, longest: Duration) -> Duration {
        let micros = u64::try_from(longest.as_micros()).unwrap();
        Duration::from_micros(self.next() % micros.max(1))
    }
}

/// A dataset as the test knows it.
struct Known {
    name: String,
    /// The generation that was acknowledged last; 0 before the first.
    acknowledged: i64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_leaves_the_old_version_or_the_new_one() {
    let seed = RandomState::new().build_hasher().finish();
    let (folder, mut random) = (Folder::new(), Random(seed));
    let mut known = Known { name: "t0".to_owned(), acknowledged: 0 };
    let (mut generation, mut cut_short) = (0, 0);

    let started = Instant::now();
    for _ in 0..UNDISTURBED {
        generation += 1;
        let file = csv::write(folder.root.path(), generation, ROWS, false);
        assert!(folder.import_command(&file, &known.name).status().unwrap().success());
        known.acknowledged = generation;
    }
    // A little longer, so that some imports come through and are acknowledged.
    let longest = started.elapsed() / UNDISTURBED * 11 / 10;

    for kill in 0..KILLS {
        // In turn a dataset that is new and one that there is.
        if kill % 2 == 0 && known.acknowledged > 0 {
            known = Known { name: format!("t{}", kill + 1), acknowledged: 0 };
        }
        generation += 1;
        let file = csv::write(folder.root.path(), generation, ROWS, false);
        let mut child = folder.import_command(&file, &known.name).spawn().unwrap();
        let moment = random.up_to(longest);
        // Nothing to wait for: the moment itself is what is tried.
        let _ = tokio::time::timeout(moment, std::future::pending::<()>()).await;
        child.kill().unwrap();
        let finished = child.wait().unwrap().success();
        let at = format!("kill {kill} after {moment:?}, seed {seed}");

        let service = folder.open();
        let found = service.find(&known.name).await.map(|(_, rows)| rows);
        let old = (known.acknowledged > 0).then(|| Rows::of(known.acknowledged, ROWS));
        let new = Some(Rows::of(generation, ROWS));
        assert!(
            found == new || (found == old && !finished),
            "{found:?}, but it was {old:?} or {new:?}: {at}"
        );
        if found == new {
            known.acknowledged = generation;
        }
        std::fs::remove_file(file).unwrap();
        // Now and then, because each reads all there is.
        if kill % 20 == 19 {
            cut_short += service.check().await.unnamed_objects;
            service.collect().await;
        }
    }
    let service = folder.open();
    service.check().await;
    service.collect().await;
    assert!(cut_short > 0, "no kill came in the middle of an import: seed {seed}");
    let last = csv::write(folder.root.path(), generation + 1, ROWS, false);
    service.import(&last, "last", ImportOptions::default()).await.unwrap();
}
