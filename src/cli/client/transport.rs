//! How a request gets to the server: over the network, or straight into its routes.

use std::error::Error;

use async_trait::async_trait;
use reqwest::{Body, Client, Request, Response};

pub(in crate::cli) use crate::server::http::InProcess;

/// Takes a request to the server and brings the answer back.
#[async_trait]
pub(in crate::cli) trait Transport: Send + Sync {
    async fn send(&self, request: Request) -> Result<Response, Box<dyn Error + Send + Sync>>;
}

#[async_trait]
impl Transport for Client {
    async fn send(&self, request: Request) -> Result<Response, Box<dyn Error + Send + Sync>> {
        Ok(self.execute(request).await?)
    }
}

#[async_trait]
impl Transport for InProcess {
    async fn send(&self, request: Request) -> Result<Response, Box<dyn Error + Send + Sync>> {
        let request: http::Request<Body> = request.try_into()?;
        let response = self.call(request).await;
        Ok(response.map(|body| Body::wrap_stream(body.into_data_stream())).into())
    }
}
