//! Executions that run in this process: what they print, and the way to stop them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::ids::ExecutionId;

/// Bytes of lines that are held for followers while an execution runs.
const HELD_BYTES_MAX: usize = 1 << 20;
/// Bytes of its beginning and of its end that are kept with an execution.
const KEPT_HALF: usize = 16 << 10;

/// Why an execution is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Somebody asked for it.
    Cancelled,
    /// This process ends. Another one may go on.
    Leaving,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Live(Arc<Mutex<HashMap<ExecutionId, Arc<Running>>>>);

/// One.
#[derive(Debug)]
pub struct Running {
    pub(super) id: ExecutionId,
    /// Whether another process may go on with it.
    goes_on_elsewhere: bool,
    stop: watch::Sender<Option<Stop>>,
    lines: Mutex<Lines>,
    changed: watch::Sender<()>,
    ended: CancellationToken,
    task: Mutex<Option<AbortOnDropHandle<()>>>,
}

#[derive(Debug, Default)]
struct Lines {
    held: Vec<Arc<str>>,
    bytes: usize,
    left_out: u64,
}

impl Live {
    pub(super) fn begin(&self, id: &ExecutionId, goes_on_elsewhere: bool) -> Arc<Running> {
        let running = Arc::new(Running {
            id: id.clone(),
            goes_on_elsewhere,
            stop: watch::Sender::new(None),
            lines: Mutex::default(),
            changed: watch::Sender::new(()),
            ended: CancellationToken::new(),
            task: Mutex::new(None),
        });
        self.all().insert(id.clone(), Arc::clone(&running));
        running
    }

    pub(super) fn end(&self, running: &Running) {
        self.all().remove(&running.id);
        running.ended.cancel();
        // Wakes followers, which then see that it has ended.
        let _ = running.changed.send(());
    }

    pub(super) fn get(&self, id: &ExecutionId) -> Option<Arc<Running>> {
        self.all().get(id).map(Arc::clone)
    }

    pub(super) fn every(&self) -> Vec<Arc<Running>> {
        self.all().values().map(Arc::clone).collect()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<ExecutionId, Arc<Running>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Keeps the task that runs it, which ends with this process.
    pub(super) fn hold(&self, task: AbortOnDropHandle<()>) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    pub(super) fn goes_on_elsewhere(&self) -> bool {
        self.goes_on_elsewhere
    }

    pub(super) fn stop(&self, why: Stop) {
        self.stop.send_if_modified(|stop| stop.is_none() && stop.replace(why).is_none());
    }

    /// Waits until it is to stop, and says why.
    pub(super) async fn stopped(&self) -> Stop {
        let mut stop = self.stop.subscribe();
        match stop.wait_for(Option::is_some).await {
            Ok(why) => why.unwrap_or(Stop::Cancelled),
            // The sender is part of this.
            Err(_) => Stop::Cancelled,
        }
    }

    /// Waits for its end.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Adds a line. Beyond what is held, lines are counted only.
    pub(super) fn print(&self, line: &str) {
        {
            let mut lines = self.lines();
            if lines.bytes + line.len() > HELD_BYTES_MAX {
                lines.left_out += 1;
            } else {
                lines.bytes += line.len() + 1;
                lines.held.push(Arc::from(line));
            }
        }
        let _ = self.changed.send(());
    }

    /// The lines from the `from`-th on that are there now, or when there are some; none once it has ended.
    pub async fn lines_from(&self, from: usize) -> Option<Vec<Arc<str>>> {
        let mut changed = self.changed.subscribe();
        loop {
            let is_over = self.ended.is_cancelled();
            let found: Vec<_> = self.lines().held.iter().skip(from).map(Arc::clone).collect();
            if !found.is_empty() {
                return Some(found);
            }
            if is_over || changed.changed().await.is_err() {
                return None;
            }
        }
    }

    /// What it printed, as far as it is kept with the execution.
    pub(super) fn log(&self) -> String {
        let lines = self.lines();
        let mut text = lines.held.join("\n");
        if lines.left_out > 0 {
            text.push_str(&format!("\n… {} more lines", lines.left_out));
        }
        shortened(&text)
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The beginning and the end of a long text.
fn shortened(text: &str) -> String {
    if text.len() <= 2 * KEPT_HALF {
        return text.to_owned();
    }
    let (head, tail) = (text.floor_char_boundary(KEPT_HALF), text.ceil_char_boundary(text.len() - KEPT_HALF));
    format!("{}\n… {} bytes left out …\n{}", &text[..head], tail - head, &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn followers_get_each_line_and_the_end() {
        let live = Live::default();
        let running = live.begin(&ExecutionId::random(), false);
        running.print("one");
        let mut seen = running.lines_from(0).await.unwrap();
        let follower = {
            let running = Arc::clone(&running);
            crate::tasks::spawn(async move { running.lines_from(1).await })
        };
        tokio::task::yield_now().await;
        running.print("two");
        seen.extend(follower.await.unwrap().unwrap());
        assert_eq!(seen.iter().map(|line| &**line).collect::<Vec<_>>(), ["one", "two"]);
        live.end(&running);
        assert_eq!(running.lines_from(2).await, None);
        assert!(live.get(&running.id).is_none());
        assert_eq!(running.log(), "one\ntwo");
    }

    #[test]
    fn a_long_log_keeps_both_ends() {
        let text = "あ".repeat(20_000);
        let kept = shortened(&text);
        assert!(kept.len() < 2 * KEPT_HALF + 100 && kept.starts_with('あ') && kept.ends_with('あ'));
        assert!(kept.contains("bytes left out"));
    }
}
