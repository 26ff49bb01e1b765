//! The service behind a real listener.

use std::net::SocketAddr;

use shirabe::server::http::{router, serve};
use shirabe::tasks;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::TestApp;

/// Serves on a free port until `stop` is done.
pub(crate) async fn serving(
    app: &TestApp,
    stop: impl Future<Output = ()> + Send + 'static,
) -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let state = app.state.clone();
    let serving = async move { serve(listener, router(state.clone()), state, stop).await };
    (address, tasks::spawn(serving))
}
