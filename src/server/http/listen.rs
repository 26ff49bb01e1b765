//! Listening: connections in, a graceful end out.
//!
//! Connections are served by hyper directly, because a silent client must not hold one for ever, and the framework's
//! own loop has no deadlines for headers and for what is not read.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use super::leftover::{self, Leftover};
use super::write_deadline::WriteDeadline;
use super::{AppState, Peer};
use crate::telemetry::{self, Metrics};

/// How long a client may take to send the head of a request, also the first after it connected.
const HEAD_DEADLINE: Duration = Duration::from_secs(15);
/// How long a client may leave what was sent to it unread.
const UNREAD_DEADLINE: Duration = Duration::from_secs(30);
/// The same for a service that makes files of the rows that it gets.
const UNREAD_BY_SERVICE_DEADLINE: Duration = Duration::from_secs(180);
/// How long answers may take to finish once the service was asked to stop.
const DRAIN_DEADLINE: Duration = Duration::from_secs(25);
/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 4096;
/// Pause after an accept that failed, most often for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is done, then says that it is not ready, lets open answers finish, and returns.
pub async fn serve(listener: TcpListener, router: Router, app: AppState, stop: impl Future<Output = ()>) {
    let stop = async {
        stop.await;
        app.readiness.set(false);
    };
    serve_until(listener, router, &app.metrics, UNREAD_DEADLINE, stop).await;
}

/// The same for an executor, whose clients are services.
pub async fn serve_executor(
    listener: TcpListener,
    router: Router,
    metrics: &Metrics,
    stop: impl Future<Output = ()>,
) {
    serve_until(listener, router, metrics, UNREAD_BY_SERVICE_DEADLINE, stop).await;
}

async fn serve_until(
    listener: TcpListener,
    router: Router,
    metrics: &Metrics,
    unread: Duration,
    stop: impl Future<Output = ()>,
) {
    let (closing, closed) = watch::channel(());
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut upkeep = tokio::time::interval(telemetry::UPKEEP_INTERVAL);
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = upkeep.tick() => metrics.upkeep(),
            Some(_) = connections.join_next() => {}
            (slot, accepted) = accept(&listener, &slots) => match accepted {
                Ok((stream, peer)) => {
                    let connection = connection(stream, peer, router.clone(), unread, closed.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(slot);
                    });
                }
                Err(cause) => {
                    tracing::warn!(error = %cause, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    // Every connection hears this, finishes the answer it is at, and closes.
    closing.send_replace(());
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_DEADLINE, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), "stopped before all answers were complete");
    }
}

/// Waits for a free slot and a connection to put into it. Dropping the future loses neither.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (Option<tokio::sync::OwnedSemaphorePermit>, std::io::Result<(TcpStream, SocketAddr)>) {
    // The semaphore is never closed, so there is always a permit in the end.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    (slot, listener.accept().await)
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    unread: Duration,
    closed: watch::Receiver<()>,
) {
    let (remover, leftovers) = mpsc::unbounded_channel();
    // Only a matter of speed: small answers should not wait for more bytes.
    let _ = stream.set_nodelay(true);
    let stream = WriteDeadline::new(stream, unread);
    tokio::join!(requests(stream, peer, router, remover, closed), leftover::remove(leftovers));
}

async fn requests(
    stream: WriteDeadline<TcpStream>,
    peer: SocketAddr,
    router: Router,
    remover: mpsc::UnboundedSender<Incoming>,
    mut closed: watch::Receiver<()>,
) {
    let service =
        service_fn(move |request: Request<Incoming>| answer(router.clone(), peer, request, remover.clone()));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        _ = closed.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(cause) = outcome {
        tracing::debug!(error = %cause, "a connection ended early");
    }
}

async fn answer(
    router: Router,
    peer: SocketAddr,
    request: Request<Incoming>,
    remover: mpsc::UnboundedSender<Incoming>,
) -> Result<Response, Infallible> {
    let (head, body) = request.into_parts();
    let (body, leftover) = Leftover::of(body);
    let mut request = Request::from_parts(head, body);
    request.extensions_mut().insert(Peer(peer));
    let response = router.oneshot(request).await;
    leftover.leave_to(&remover);
    response
}

/// Done when the process is asked to stop, by Ctrl-C or by a service manager.
///
/// # Errors
/// When the signals cannot be watched.
pub fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
