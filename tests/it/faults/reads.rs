//! A query under every failure of its reads: the right rows or a named error, and the next one is right.

use super::faulty::Failure;
use super::ground::{Ground, Layer};
use super::writes::is_named;

/// Reads of one query, at most.
const CALLS_MAX: usize = 100;

#[tokio::test]
async fn a_read_that_fails_is_an_error_and_never_another_answer() {
    for layer in [Layer::Folder, Layer::Bucket] {
        let start = Ground::with_versions(1, layer).await;
        let right = start.query().await.unwrap();
        for failure in [Failure::Refused, Failure::Slow, Failure::Cut, Failure::Wrong, Failure::Archived] {
            let mut n = 1;
            loop {
                assert!(n < CALLS_MAX, "a query never comes to an end");
                let ground = start.again();
                ground.plan.fail(n, failure, false);
                let outcome = ground.query().await;
                let failed = ground.plan.end();
                let at = format!("when call {n} (`{failed:?}`) is {failure:?} in a {layer:?}");
                match (outcome, failed) {
                    (Ok(rows), None) => assert_eq!(rows, right, "{at}"),
                    (Err(error), Some(_)) => assert!(is_named(error.code(), failure), "{error:?} {at}"),
                    (outcome, _) => panic!("{outcome:?} {at}"),
                }
                assert_eq!(ground.query().await.unwrap(), right, "the next one, {at}");
                if failed.is_none() {
                    break;
                }
                n += 1;
            }
            assert!(n > 2, "a query makes no reads");
        }
    }
}
