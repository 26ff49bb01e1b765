//! The way to a server that is far: each of its answers begins later, by a random time that is the same in every run.
//!
//! Bytes pass as they are, so requests stay signed. Whoever asks sends nothing while an answer comes, so the first byte
//! that comes back after one went there is the first of an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shirabe::tasks;
use shirabe_benches::Outcome;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

const BUFFER_BYTES: usize = 256 << 10;
const SEED: u64 = 20_240_105;

/// How late answers are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Late {
    pub(super) from: Duration,
    pub(super) to: Duration,
    /// One answer in so many takes this long instead.
    pub(super) stuck_every: Option<(u64, Duration)>,
}

/// Another address of a server.
#[derive(Debug)]
pub(super) struct Distance {
    pub(super) url: String,
    _relay: AbortOnDropHandle<()>,
}

impl Distance {
    pub(super) async fn to(url: &str, late: Late) -> Outcome<Self> {
        let server = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let relay = tasks::spawn(async move {
            let (mut passing, mut seed) = (JoinSet::new(), SEED);
            // A connection that cannot be made or is cut is for its two ends to notice.
            while let Ok((near, _)) = listener.accept().await {
                while passing.try_join_next().is_some() {}
                seed += 1;
                passing.spawn(pass(near, server.clone(), late, Random(seed)));
            }
        });
        Ok(Self { url, _relay: relay })
    }
}

async fn pass(near: TcpStream, server: String, late: Late, mut random: Random) -> std::io::Result<()> {
    let far = TcpStream::connect(server).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (from_near, to_near) = near.into_split();
    let (from_far, to_far) = far.into_split();
    let is_asked = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&is_asked);
    let there = copy(from_near, to_far, move || {
        asked.store(true, Ordering::SeqCst);
        Duration::ZERO
    });
    let back = copy(from_far, to_near, move || match is_asked.swap(false, Ordering::SeqCst) {
        true => random.wait(late),
        false => Duration::ZERO,
    });
    tokio::try_join!(there, back).map(drop)
}

/// Passes bytes on until there are no more, each piece after the time that `wait` says.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut wait: impl FnMut() -> Duration,
) -> std::io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        let wait = wait();
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        to.write_all(&buffer[..length]).await?;
    }
}

/// SplitMix64.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn wait(&mut self, late: Late) -> Duration {
        if let Some((_, stuck)) = late.stuck_every.filter(|(every, _)| self.next().is_multiple_of(*every)) {
            return stuck;
        }
        let micros = u64::try_from((late.to - late.from).as_micros()).unwrap_or(u64::MAX).max(1);
        late.from + Duration::from_micros(self.next() % micros)
    }
}
