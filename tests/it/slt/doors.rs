//! The doors that answer: each runs one statement and gives rows of text.

use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use serde_json::Value;
use shirabe::auth::Principal;
use shirabe::catalog::manifest::type_name;
use shirabe::engine::{Origin, QuerySpec, Request};
use shirabe::error::Error;
use shirabe::ids::QueryId;
use sqllogictest::{AsyncDB, DBOutput};

use super::text::{self, Kind};
use crate::support::TestApp;

type Answer = Result<DBOutput<Kind>, Refusal>;

/// Why there is no answer: `CODE: message`, the same at every door.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(String);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(format!("{}: {error}", error.code()))
    }
}

/// The engine itself.
#[derive(Debug, Clone)]
pub(super) struct EngineDoor(pub(super) Arc<TestApp>);

impl EngineDoor {
    async fn spec(&self, sql: &str) -> Result<QuerySpec, Error> {
        let state = &self.0.state;
        let request = Request::new(QueryId::random(), sql);
        let (catalog, now) = (state.catalog.as_ref(), state.clock.now());
        state.engine.resolve(catalog, state.macros.store(), &Principal::operator(), request, now).await
    }

    /// What is wrong with the lineage of a statement that has an answer.
    pub(super) async fn untraced(&self, sql: &str) -> Option<String> {
        let engine = &self.0.state.engine;
        let spec = self.spec(sql).await.ok()?;
        let rows = engine.run(spec.clone()).await.ok()?;
        let lineage = match engine.lineage(spec).await {
            Ok(lineage) => lineage,
            Err(error) => return Some(error.to_string()),
        };
        let columns = rows.schema().fields().iter().map(|field| field.name().as_str());
        let traced = lineage.columns.iter().map(|column| column.column.as_str());
        let used = |origin: &Origin| {
            let used = lineage.tables.iter().find(|used| used.table == origin.table);
            used.is_some_and(|used| used.columns.contains(&origin.column))
        };
        let origins = lineage.columns.iter().flat_map(|column| &column.from).chain(&lineage.influences);
        (!columns.eq(traced) || !origins.into_iter().all(used)).then(|| format!("{lineage:?}"))
    }
}

#[async_trait]
impl AsyncDB for EngineDoor {
    type Error = Refusal;
    type ColumnType = Kind;

    async fn run(&mut self, sql: &str) -> Answer {
        let rows = self.0.state.engine.run(self.spec(sql).await?).await?;
        let types =
            rows.schema().fields().iter().map(|field| Kind::of(&type_name(field.data_type()))).collect();
        let batches: Vec<_> = rows.try_collect().await?;
        let rows = batches.iter().flat_map(|batch| {
            let row = |row| batch.columns().iter().map(|column| text::of_array(column, row)).collect();
            (0..batch.num_rows()).map(row)
        });
        Ok(DBOutput::Rows { types, rows: rows.collect() })
    }

    async fn shutdown(&mut self) {}
}

/// `POST /api/query`, for JSON.
#[derive(Debug, Clone)]
pub(super) struct HttpDoor(pub(super) Arc<TestApp>);

#[async_trait]
impl AsyncDB for HttpDoor {
    type Error = Refusal;
    type ColumnType = Kind;

    async fn run(&mut self, sql: &str) -> Answer {
        let reply = self.0.query(&self.0.operator(), sql).await;
        let body = reply.json();
        let error = if reply.status == 200 { &body["data"]["error"] } else { &body["error"] };
        if !error.is_null() {
            return Err(Refusal(format!("{}: {}", word(&error["code"]), word(&error["message"]))));
        }
        let data = reply.data(200);
        assert_eq!((&data["complete"], &data["truncated"]), (&Value::Bool(true), &Value::Bool(false)));
        let names: Vec<&str> = items(&data["columns"]).iter().map(|column| word(&column["type"])).collect();
        let rows = items(&data["rows"]).iter().map(|row| {
            items(row).iter().zip(&names).map(|(value, name)| text::of_json(value, name)).collect()
        });
        let types = names.iter().map(|name| Kind::of(name)).collect();
        Ok(DBOutput::Rows { types, rows: rows.collect() })
    }

    async fn shutdown(&mut self) {}
}

fn items(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap()
}
