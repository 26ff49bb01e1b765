//! Callers who ask for results while runs start, stream, end, fail and are given up.

use std::collections::HashMap;
use std::sync::Mutex;

use futures::stream::{self, FuturesUnordered};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::error::Error;

const ROOM: usize = 1 << 20;
/// The most that one result may have in [`ROOM`].
const ENTRY: usize = ROOM / 16;

fn results() -> Results {
    Results::new(ROOM).unwrap()
}

fn key(number: u64) -> ResultKey {
    ResultKey::numbered(number)
}

fn ended(rows: u64) -> Result<Ended> {
    Ok(Ended { rows, truncated: false })
}

/// A run that is there at once.
fn made(text: impl Into<Bytes>) -> Running {
    let text = text.into();
    Running { frames: stream::iter([Ok(text)]).boxed(), end: Box::new(|| ended(1)) }
}

async fn bytes(body: Body) -> Result<Vec<u8>> {
    match body {
        Body::Whole(kept) => Ok(kept.pieces.concat()),
        Body::Frames(frames) => frames.map_ok(|frame| frame.to_vec()).try_concat().await,
    }
}

async fn text(answer: Answer) -> String {
    String::from_utf8(bytes(answer.body).await.unwrap()).unwrap()
}

/// A run that a test leads: it starts, writes and ends when told to.
struct Led {
    start: oneshot::Sender<Result<()>>,
    frames: mpsc::UnboundedSender<Result<Bytes>>,
    end: Arc<Mutex<Option<Error>>>,
}

fn led() -> (Led, impl Future<Output = Result<Running>> + Send + 'static) {
    let (start, started) = oneshot::channel();
    let (frames, receiver) = mpsc::unbounded_channel();
    let end = Arc::new(Mutex::new(None));
    let failure = Arc::clone(&end);
    let run = async move {
        started.await.map_err(Error::internal)??;
        let frames = stream::unfold(receiver, |mut from| async move { Some((from.recv().await?, from)) });
        let end = move || failure.lock().unwrap().take().map_or_else(|| ended(1), Err);
        Ok(Running { frames: frames.boxed(), end: Box::new(end) })
    };
    (Led { start, frames, end }, run)
}

impl Led {
    fn begin(self) -> Writing {
        self.start.send(Ok(())).unwrap();
        Writing { frames: self.frames, end: self.end }
    }
}

/// A led run that has started. It ends when this is dropped.
struct Writing {
    frames: mpsc::UnboundedSender<Result<Bytes>>,
    end: Arc<Mutex<Option<Error>>>,
}

impl Writing {
    fn write(&self, frame: impl Into<Bytes>) {
        self.frames.send(Ok(frame.into())).unwrap();
    }

    fn fail(self, error: Error) {
        *self.end.lock().unwrap() = Some(error);
    }
}

fn never() -> std::future::Pending<Result<Running>> {
    panic!("it must not run")
}

#[tokio::test]
async fn a_result_is_made_once_and_then_kept() {
    let results = results();
    let first = results.ask(key(1), || async { Ok(made("abc")) }).await.unwrap();
    assert_eq!(first.cache, CacheUse::Miss);
    assert_eq!(text(first).await, "abc");
    let second = results.ask(key(1), never).await.unwrap();
    assert_eq!(second.cache, CacheUse::Hit);
    assert_eq!(text(second).await, "abc");
    let other = results.ask(key(2), || async { Ok(made("def")) }).await.unwrap();
    assert_eq!((other.cache, text(other).await.as_str()), (CacheUse::Miss, "def"));
    let fill = results.fill();
    assert_eq!((fill.entries, fill.hits, fill.misses), (2, 1, Some(2)));
}

#[tokio::test]
async fn equal_queries_in_flight_run_once() {
    let results = results();
    let (led, run) = led();
    let mut run = Some(run);
    let asked: FuturesUnordered<_> = (0..200)
        .map(|_| {
            let run = run.take();
            results.ask(key(1), move || run.expect("only the first one runs"))
        })
        .collect();
    let lead = async {
        let writing = led.begin();
        writing.write("ab");
        writing.write("cd");
    };
    let answers = asked.and_then(|answer| async { Ok((answer.cache, text(answer).await)) });
    let (answers, ()) = futures::join!(answers.try_collect::<Vec<_>>(), lead);
    let answers = answers.unwrap();
    assert_eq!(answers.iter().filter(|(cache, _)| *cache == CacheUse::Miss).count(), 1);
    assert_eq!(answers.iter().filter(|(_, text)| text == "abcd").count(), 200);
    assert_eq!(results.0.flights.count(), 0);
}

#[tokio::test]
async fn the_first_caller_reads_while_the_run_writes() {
    let results = results();
    let (led, run) = led();
    let writing = led.begin();
    let answer = results.ask(key(1), || run).await.unwrap();
    let Body::Frames(mut frames) = answer.body else { panic!("{answer:?}") };
    for part in ["a", "b"] {
        writing.write(part);
        assert_eq!(frames.next().await.unwrap().unwrap(), part);
    }
    drop(writing);
    assert!(frames.next().await.is_none());
}

#[tokio::test]
async fn a_first_caller_who_does_not_read_holds_nobody_up() {
    let results = results();
    let (led, run) = led();
    let writing = led.begin();
    let slow = results.ask(key(1), || run).await.unwrap();
    writing.write(vec![b'x'; ENTRY]);
    drop(writing);
    let other = results.ask(key(1), never).await.unwrap();
    assert_eq!(text(other).await.len(), ENTRY);
    assert_eq!(text(slow).await.len(), ENTRY);
}

#[tokio::test]
async fn the_run_goes_on_when_the_first_caller_goes_away() {
    let results = results();
    let (led, run) = led();
    let writing = led.begin();
    let first = results.ask(key(1), || run).await.unwrap();
    let mut second = Box::pin(results.ask(key(1), never));
    assert!(second.as_mut().now_or_never().is_none(), "it waits");
    drop(first);
    writing.write("abc");
    drop(writing);
    assert_eq!(text(second.await.unwrap()).await, "abc");
}

#[tokio::test]
async fn a_run_that_nobody_waits_for_is_cancelled() {
    let results = results();
    let (led, run) = led();
    let writing = led.begin();
    let first = results.ask(key(1), || run).await.unwrap();
    let mut second = Box::pin(results.ask(key(1), never));
    assert!(second.as_mut().now_or_never().is_none());
    drop((first, second));
    writing.frames.closed().await;
    // Its end is the task's, which may come after that of its frames.
    let again = results.ask(key(1), || async { Ok(made("again")) }).await.unwrap();
    assert_eq!((again.cache, text(again).await.as_str()), (CacheUse::Miss, "again"));
}

#[tokio::test]
async fn what_is_too_large_is_streamed_to_the_first_and_run_again_by_the_others() {
    let results = results();
    let (led, run) = led();
    let writing = led.begin();
    let first = results.ask(key(1), || run).await.unwrap();
    let mut second = Box::pin(results.ask(key(1), || async { Ok(made("my own")) }));
    assert!(second.as_mut().now_or_never().is_none());
    writing.write(vec![b'x'; ENTRY]);
    writing.write("y");
    writing.write("z");
    drop(writing);
    let second = second.await.unwrap();
    assert_eq!((second.cache, text(second).await.as_str()), (CacheUse::Miss, "my own"));
    let whole = text(first).await;
    assert_eq!((whole.len(), &whole[ENTRY..]), (ENTRY + 2, "yz"));
    assert_eq!(results.fill().entries, 0);
    // The next one does not even wait.
    let third = results.ask(key(1), || async { Ok(made("alone")) }).await.unwrap();
    assert_eq!((third.cache, text(third).await.as_str()), (CacheUse::Miss, "alone"));
}

#[tokio::test]
async fn a_failure_is_everybodys_and_is_not_kept() {
    let results = results();
    // Before the first rows.
    let (led, run) = led();
    let mut first = Box::pin(results.ask(key(1), || run));
    assert!(first.as_mut().now_or_never().is_none());
    let lead = async { led.start.send(Err(Error::BadData("division by zero".to_owned()))).unwrap() };
    let (first, second, ()) = futures::join!(first, results.ask(key(1), never), lead);
    for outcome in [first, second] {
        assert_eq!(outcome.unwrap_err().to_string(), "division by zero");
    }
    let next = results.ask(key(1), || async { Ok(made("well")) }).await.unwrap();
    assert_eq!(text(next).await, "well");
}

#[tokio::test]
async fn a_failure_on_the_way_reaches_each_caller_in_their_own_way() {
    let results = results();
    // The format tells it: who reads already gets the format's own end, who waits gets the error.
    let (led_run, run) = led();
    let writing = led_run.begin();
    let first = results.ask(key(1), || run).await.unwrap();
    let second = results.ask(key(1), never);
    writing.write("[1");
    writing.write(",\"error\"]");
    writing.fail(Error::BadData("division by zero".to_owned()));
    let (first, second) = futures::join!(text(first), second);
    assert_eq!(first, "[1,\"error\"]");
    assert_eq!(second.unwrap_err().to_string(), "division by zero");

    // The format cannot tell it: the body of who reads already breaks.
    let (led_run, run) = led();
    let writing = led_run.begin();
    let first = results.ask(key(2), || run).await.unwrap();
    writing.write("1,2");
    writing.frames.send(Err(Error::BadData("division by zero".to_owned()))).unwrap();
    assert_eq!(bytes(first.body).await.unwrap_err().to_string(), "division by zero");
    assert_eq!(results.fill().entries, 0);
}

#[tokio::test]
async fn a_deadline_or_a_full_queue_is_one_callers_own() {
    let results = results();
    check(&results, Error::TimedOut("too late".to_owned())).await;
    check(&results, Error::Cancelled).await;
    check(&results, Error::RateLimited { retry_after_s: 1 }).await;

    async fn check(results: &Results, error: Error) {
        let name = error.to_string();
        let (led, run) = led();
        let mut first = Box::pin(results.ask(key(1), || run));
        assert!(first.as_mut().now_or_never().is_none());
        let asked = || async { Ok(made(vec![b'x'; ENTRY + 1])) };
        let lead = async { led.start.send(Err(error)).unwrap() };
        let (first, second, ()) = futures::join!(first, results.ask(key(1), asked), lead);
        assert_eq!(first.unwrap_err().to_string(), name);
        let second = second.unwrap();
        assert_eq!((second.cache, text(second).await.len()), (CacheUse::Miss, ENTRY + 1), "{name}");
        results.0.flights.forget_large();
    }
}

#[tokio::test]
async fn a_large_result_that_ends_in_a_panic_breaks_off() {
    let results = results();
    let frames = [vec![b'x'; ENTRY + 1], b"y".to_vec()].map(|frame| Ok(Bytes::from(frame)));
    let frames = stream::iter(frames).chain(stream::once(async { panic!("a bug") }));
    let run = async { Ok(Running { frames: frames.boxed(), end: Box::new(|| ended(1)) }) };
    let answer = results.ask(key(1), || run).await.unwrap();
    assert!(matches!(bytes(answer.body).await, Err(Error::Internal(_))));
}

#[tokio::test]
async fn a_run_that_panics_is_an_error_for_all() {
    let results = results();
    let mut first = Box::pin(results.ask(key(1), || async { panic!("a bug") }));
    assert!(first.as_mut().now_or_never().is_none());
    let (first, second) = futures::join!(first, results.ask(key(1), never));
    for outcome in [first, second] {
        assert!(matches!(outcome, Err(Error::Internal(_))), "{outcome:?}");
    }
    assert_eq!(results.0.flights.count(), 0);
}

/// Two callers with different rights ask for the same few questions in all orders; their keys differ, and no
/// byte of the one's answers ever reaches the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn results_of_two_callers_never_mix() {
    const QUESTIONS: u64 = 64;
    let results = Results::new(16 << 10).unwrap();
    let ask = |number: u64| {
        let results = results.clone();
        async move {
            let (user, question) = (number % 2, number / 2 * 7 % QUESTIONS);
            let expected = format!("{user}: {question}").repeat(1 + usize::try_from(question).unwrap());
            let run = {
                let expected = expected.clone();
                || async { Ok(made(expected)) }
            };
            let answer = results.ask(key(user * QUESTIONS + question), run).await.unwrap();
            let cache = answer.cache;
            assert_eq!(text(answer).await, expected);
            cache
        }
    };
    let uses = stream::iter(0..100_000).map(ask).map(crate::tasks::spawn).buffer_unordered(64);
    let uses = uses.map(Result::unwrap).fold(HashMap::new(), |mut uses, cache| async move {
        *uses.entry(cache).or_insert(0_u64) += 1;
        uses
    });
    let uses = uses.await;
    // Evicted now and then, as there is not room for all.
    assert!(uses[&CacheUse::Miss] > 2 * QUESTIONS && uses[&CacheUse::Hit] > 1000, "{uses:?}");
    assert_eq!(results.0.flights.count(), 0);
}
