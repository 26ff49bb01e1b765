//! Imports of one CSV file into a folder, a bucket, and a bucket that is far.
//!
//! Compared: the same import, alternating, with everything but the place of the files the same.
//! Measured: megabytes of CSV a second, from the file to the commit; the median of the rounds and their spread.
//! Not measured: the upload of the file to the service.

use std::sync::Arc;
use std::time::Instant;

use object_store::ObjectStore;
use shirabe::dataset::import::ImportOptions;
use shirabe::storage::DurableLocal;
use shirabe_benches::{Outcome, Service, lineitem_csv, median};

use super::super::ground::Ground;
use super::super::report;
use super::{Place, bucket};

pub(super) async fn measure(ground: &Ground, place: &Place) -> Outcome<()> {
    report::title("imports of TPC-H lineitem");
    let csv = lineitem_csv(&ground.data, ground.peers.as_deref(), 1)?.canonicalize()?;
    let bytes = std::fs::metadata(&csv)?.len();
    let folder = tempfile::tempdir_in(&ground.data)?;
    let places: [(&str, Arc<dyn ObjectStore>); 3] = [
        ("folder", Arc::new(DurableLocal::open(&folder.path().join("objects"))?)),
        ("S3", bucket(&place.near).await?),
        ("far S3", bucket(&place.far.url).await?),
    ];
    let mut rates = places.each_ref().map(|_| Vec::new());
    let mut rows = None;
    for round in 0..ground.rounds {
        for ((name, objects), rates) in places.iter().zip(&mut rates) {
            let records = tempfile::tempdir_in(&ground.data)?;
            let service = Service::with_objects(records.path(), Arc::clone(objects))?;
            let started = Instant::now();
            let record = service.import(&csv, "lineitem", ImportOptions::default()).await?;
            let rate = report::mb(bytes) / started.elapsed().as_secs_f64();
            report::note(&format!("round {} {name:<8} {rate:>7.1} MB/s", round + 1));
            rates.push(rate);
            let found = record.current.row_count;
            if *rows.get_or_insert(found) != found {
                return Err(format!("{name}: {found} rows, elsewhere {rows:?}").into());
            }
        }
    }
    let medians = rates.each_ref().map(|rates| median(rates.clone(), f64::total_cmp));
    for ((name, _), (rates, middle)) in places.iter().zip(rates.iter().zip(medians)) {
        let slowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
        let fastest = rates.iter().copied().fold(0.0, f64::max);
        let spread = (fastest - slowest) / middle * 100.0;
        report::plain(&format!("import into {name} (spread {spread:.0} %)"), middle, "MB/s");
    }
    report::plain("import into S3 / folder", medians[1] / medians[0], "");
    report::plain("import into far S3 / folder", medians[2] / medians[0], "");
    Ok(())
}
