//! The writes there are, each under every failure.

use futures::future::BoxFuture;
use shirabe::auth::Principal;
use shirabe::error::{Code, Error};

use super::faulty::Failure;
use super::ground::{Ground, Layer, options};
use crate::crash::folder::{import, operator};

/// A write, from the ground it starts on.
struct Write {
    name: &'static str,
    versions: i64,
    run: for<'a> fn(&'a Ground) -> BoxFuture<'a, Result<(), Error>>,
}

const WRITES: &[Write] = &[
    Write { name: "import", versions: 0, run: |ground| Box::pin(replace(ground, 1)) },
    Write { name: "replace", versions: 1, run: |ground| Box::pin(replace(ground, 2)) },
    Write { name: "restore", versions: 2, run: |ground| Box::pin(restore(ground)) },
    Write { name: "delete", versions: 2, run: |ground| Box::pin(delete(ground)) },
    Write { name: "collect", versions: 4, run: |ground| Box::pin(collect(ground)) },
];

async fn replace(ground: &Ground, generation: i64) -> Result<(), Error> {
    import(&ground.datasets, &ground.file(generation), "t", options()).await.map(drop)
}

async fn restore(ground: &Ground) -> Result<(), Error> {
    let id = id(ground).await?;
    ground.datasets.restore(&operator(), &id, 1).await.map(drop)
}

async fn delete(ground: &Ground) -> Result<(), Error> {
    let id = id(ground).await?;
    ground.datasets.delete(&operator(), &id).await
}

async fn collect(ground: &Ground) -> Result<(), Error> {
    ground.datasets.collect(&Principal::operator(), false).await.map(drop)
}

async fn id(ground: &Ground) -> Result<shirabe::ids::DatasetId, Error> {
    let found = ground.datasets.by_name(&Principal::operator(), "t").await?;
    Ok(found.unwrap().id)
}

/// Calls of one write, at most; a write that makes more never ended.
const CALLS_MAX: usize = 300;

#[tokio::test]
async fn a_call_that_fails_changes_nothing() {
    every_call_fails(Failure::Refused, false, Layer::Folder).await;
}

#[tokio::test]
async fn a_store_that_is_gone_for_good_changes_nothing() {
    every_call_fails(Failure::Refused, true, Layer::Folder).await;
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_the_old_or_the_new() {
    every_call_fails(Failure::Lost, false, Layer::Folder).await;
}

#[tokio::test]
async fn a_store_that_is_gone_after_an_answer_was_lost_leaves_the_old_or_the_new() {
    every_call_fails(Failure::Lost, true, Layer::Folder).await;
}

#[tokio::test]
async fn a_request_to_a_bucket_that_fails_changes_nothing() {
    every_call_fails(Failure::Refused, false, Layer::Bucket).await;
}

#[tokio::test]
async fn a_bucket_that_is_gone_for_good_changes_nothing() {
    every_call_fails(Failure::Slow, true, Layer::Bucket).await;
}

#[tokio::test]
async fn an_answer_of_a_bucket_that_is_lost_leaves_the_old_or_the_new() {
    every_call_fails(Failure::Lost, false, Layer::Bucket).await;
}

#[tokio::test]
async fn what_a_bucket_gives_wrong_changes_nothing() {
    for failure in [Failure::Cut, Failure::Wrong, Failure::Archived] {
        every_call_fails(failure, false, Layer::Bucket).await;
    }
}

/// The name of an error, by what is wrong; whatever else is asked of the store meanwhile is just refused.
pub(super) fn is_named(code: Code, failure: Failure) -> bool {
    match code {
        Code::ServiceUnavailable => true,
        Code::StorageDamaged => failure == Failure::Wrong,
        Code::DatasetArchived => failure == Failure::Archived,
        _ => false,
    }
}

async fn every_call_fails(failure: Failure, and_all_after: bool, layer: Layer) {
    for write in WRITES {
        let start = Ground::with_versions(write.versions, layer).await;
        let old = start.seen().await;
        let calm = start.again();
        (write.run)(&calm).await.unwrap();
        let new = calm.seen().await;
        let mut n = 1;
        loop {
            assert!(n < CALLS_MAX, "{} never comes to an end", write.name);
            let ground = start.again();
            ground.plan.fail(n, failure, and_all_after);
            let outcome = (write.run)(&ground).await;
            let failed = ground.plan.end();
            let at = format!("{} when call {n} (`{failed:?}`) is {failure:?} in a {layer:?}", write.name);

            let seen = ground.seen().await;
            // The collector expires one version after the other; the current one never changes.
            let between =
                write.name == "collect" && seen.map(|(_, rows, _)| rows) == old.map(|(_, rows, _)| rows);
            assert!(seen == old || seen == new || between, "{seen:?}, but it was {old:?} or {new:?}: {at}");
            assert_eq!(ground.findings().await, [""; 0], "{at}");
            match &outcome {
                Ok(()) => assert_eq!(seen, new, "{at}"),
                Err(error) => assert!(is_named(error.code(), failure), "{error:?} {at}"),
            }
            // A restore or a delete whose answer was lost may have happened: doing it again is another act.
            if seen == old {
                (write.run)(&ground).await.unwrap_or_else(|error| panic!("again, {error}: {at}"));
                assert_eq!(ground.seen().await, new, "again: {at}");
            }
            collect(&ground).await.unwrap();
            let checked = ground.datasets.check(&Principal::operator()).await.unwrap();
            assert_eq!((checked.findings.as_slice(), checked.unnamed_objects), (&[][..], 0), "{at}");
            if failed.is_none() {
                break;
            }
            n += 1;
        }
        assert!(n > 1, "{} makes no call", write.name);
    }
}
