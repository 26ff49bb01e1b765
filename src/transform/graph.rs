//! What depends on what: datasets and the transforms between them, walked both ways.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde_json::json;

use super::Transforms;
use crate::auth::Principal;
use crate::catalog::manifest::named_type;
use crate::catalog::record::DatasetRecord;
use crate::catalog::store::Stores;
use crate::catalog::transform::{Language, TransformRecord};
use crate::dataset::schema_change::SchemaChange;
use crate::engine::{Lineage, TableRows};
use crate::error::{Code, Error, Result};
use crate::ids::{DatasetId, TransformId};

/// Nodes of one graph; what lies beyond is said to be left out.
const NODES_MAX: usize = 500;

/// A dataset or a transform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub id: String,
    pub kind: NodeKind,
    pub name: String,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    Dataset,
    Transform,
}

/// From what is read to what reads it, by ids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    pub from: String,
    pub to: String,
}

/// What a dataset comes from and what is made of it.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
    /// There is more than is shown.
    pub truncated: bool,
}

impl Transforms {
    /// What `id` comes from and what is made of it, as far as the caller sees it.
    ///
    /// # Errors
    /// `NotFound` for a dataset the caller may not see.
    pub async fn graph(&self, by: &Principal, id: &DatasetId) -> Result<Graph> {
        let start = self.datasets().get(by, id).await?;
        let mut walk = Walk { transforms: self, by, nodes: BTreeMap::new(), graph: Graph::default() };
        walk.up(start.clone()).await?;
        walk.down(start).await?;
        let mut graph = walk.graph;
        graph.edges.sort();
        graph.edges.dedup();
        graph.nodes = walk.nodes.into_values().collect();
        Ok(graph)
    }

    /// Which columns of its inputs the columns of a transform come from; none for Python, which does not tell.
    ///
    /// # Errors
    /// `NotFound`; what is wrong with the statement by now.
    pub async fn lineage(&self, by: &Principal, id: &TransformId) -> Result<Option<Lineage>> {
        let record = self.get(by, id).await?;
        if record.language == Language::Python {
            return Ok(None);
        }
        let owner = self.owner_of(&record).await?;
        let request = self.request_of(&record, &record.params, None, self.now())?;
        let spec = self.resolve(&owner, request).await?;
        self.engine().lineage(spec).await.map(Some)
    }

    /// Refuses a change of a transform after which what reads its dataset would not work any more.
    pub(super) async fn refuse_breaking(
        &self,
        owner: &Principal,
        stored: &TransformRecord,
        record: &TransformRecord,
    ) -> Result<()> {
        if record.language != Language::Sql || record.code == stored.code {
            return Ok(());
        }
        let schema = self.schema_of(owner, record, None).await?;
        let broken = self.would_break(&record.output_dataset_id, &schema).await?;
        if broken.is_empty() {
            return Ok(());
        }
        let told: Vec<_> =
            broken.iter().map(|broken| format!("`{}`: {}", broken.name, broken.reason)).collect();
        Err(Error::Conflict {
            message: format!(
                "what reads the dataset of `{}` would break; change that first, or say `force`: {}",
                record.name,
                told.join("; ")
            ),
            details: json!({ "would_break": broken }),
        })
    }

    /// Which transforms would not work any more if a dataset had these columns. Nothing is run.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn would_break(&self, id: &DatasetId, schema: &SchemaRef) -> Result<Vec<Broken>> {
        let mut broken = Vec::new();
        for reader in self.stores().transforms.readers(id).await? {
            let reason = match reader.language {
                Language::Python => python_breaks(&reader, id, schema),
                Language::Sql => match self.owner_of(&reader).await {
                    Ok(owner) => self.sql_breaks(&owner, &reader, (id, schema)).await?,
                    // It does not run any more, so nothing can break it.
                    Err(_) => None,
                },
            };
            if let Some(reason) = reason {
                broken.push(Broken { transform_id: reader.id, name: reader.name, reason });
            }
        }
        Ok(broken)
    }

    /// The same after changes that a re-import would make.
    ///
    /// # Errors
    /// As [`Transforms::would_break`].
    pub async fn would_break_by(
        &self,
        by: &Principal,
        id: &DatasetId,
        changes: &[SchemaChange],
    ) -> Result<Vec<Broken>> {
        let record = self.datasets().get(by, id).await?;
        let manifest = self.engine().manifest(&record.current).await?;
        self.would_break(id, &changed(&manifest.schema(), changes)).await
    }

    /// Why a statement could not be planned any more.
    async fn sql_breaks(
        &self,
        owner: &Principal,
        reader: &TransformRecord,
        instead: (&DatasetId, &SchemaRef),
    ) -> Result<Option<String>> {
        match self.schema_of(owner, reader, Some(instead)).await {
            Ok(_) => Ok(None),
            Err(error) => match error.code() {
                Code::InvalidSql
                | Code::UnknownName
                | Code::NotSupported
                | Code::BadData
                | Code::ValidationError
                | Code::OverLimit => Ok(Some(error.to_string())),
                _ => Err(error),
            },
        }
    }

    /// The columns that a statement makes, were one of its tables another.
    async fn schema_of(
        &self,
        owner: &Principal,
        record: &TransformRecord,
        instead: Option<(&DatasetId, &SchemaRef)>,
    ) -> Result<SchemaRef> {
        let request = self.request_of(record, &record.params, None, self.now())?;
        let spec = self.resolve(owner, request).await?;
        let mut tables = HashMap::new();
        for table in &spec.tables {
            let TableRows::Version(manifest) = &table.rows else { continue };
            let schema = match instead {
                Some((id, schema)) if *id == manifest.dataset_id => Arc::clone(schema),
                _ => manifest.schema(),
            };
            tables.insert(table.name.clone(), schema);
        }
        self.engine().check_against(&spec.statement, &spec.parameters, &tables, None).await
    }
}

/// A transform that would not work any more.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct Broken {
    #[schema(value_type = String)]
    pub transform_id: TransformId,
    pub name: String,
    pub reason: String,
}

/// Why code that declares what it reads, or names a column that is not there any more, would not work. What other code
/// reads, nobody can tell without running it.
fn python_breaks(reader: &TransformRecord, id: &DatasetId, schema: &SchemaRef) -> Option<String> {
    let input = reader.inputs.iter().find(|input| input.dataset_id == *id)?;
    let missing = input.columns.iter().flatten().find(|column| schema.index_of(column).is_err());
    missing.map(|column| format!("it asks for the column `{column}`"))
}

/// A schema after changes.
fn changed(schema: &SchemaRef, changes: &[SchemaChange]) -> SchemaRef {
    let mut fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    for change in changes {
        match change {
            SchemaChange::ColumnAdded { column, new_type } => {
                fields.push(Field::new(column, named_type(new_type).unwrap_or(DataType::Utf8), true));
            }
            SchemaChange::ColumnRemoved { column, .. } => fields.retain(|field| field.name() != column),
            SchemaChange::TypeChanged { column, new_type, .. } => {
                for field in fields.iter_mut().filter(|field| field.name() == column) {
                    if let Some(data_type) = named_type(new_type) {
                        *field = field.clone().with_data_type(data_type);
                    }
                }
            }
        }
    }
    Arc::new(Schema::new(fields))
}

struct Walk<'a> {
    transforms: &'a Transforms,
    by: &'a Principal,
    nodes: BTreeMap<String, Node>,
    graph: Graph,
}

impl Walk<'_> {
    fn dataset(&mut self, record: &DatasetRecord) -> bool {
        self.add(record.id.as_str(), NodeKind::Dataset, &record.name)
    }

    fn transform(&mut self, record: &TransformRecord) -> bool {
        self.add(record.id.as_str(), NodeKind::Transform, &record.name)
    }

    /// Whether there was room.
    fn add(&mut self, id: &str, kind: NodeKind, name: &str) -> bool {
        if self.nodes.len() >= NODES_MAX && !self.nodes.contains_key(id) {
            self.graph.truncated = true;
            return false;
        }
        let node = Node { id: id.to_owned(), kind, name: name.to_owned() };
        self.nodes.insert(id.to_owned(), node);
        true
    }

    fn edge(&mut self, from: &str, to: &str) {
        self.graph.edges.push(Edge { from: from.to_owned(), to: to.to_owned() });
    }

    async fn up(&mut self, start: DatasetRecord) -> Result<()> {
        let mut seen = HashSet::from([start.id.clone()]);
        let mut waiting = VecDeque::from([start]);
        while let Some(dataset) = waiting.pop_front() {
            if !self.dataset(&dataset) {
                break;
            }
            let Some(made_by) = &dataset.source.made_by else { continue };
            let Ok(transform) = self.transforms.get(self.by, &made_by.transform_id).await else { continue };
            if !self.transform(&transform) {
                break;
            }
            self.edge(transform.id.as_str(), dataset.id.as_str());
            for input in transform.input_ids() {
                let Ok(record) = self.transforms.datasets().get(self.by, input).await else { continue };
                self.edge(input.as_str(), transform.id.as_str());
                if seen.insert(input.clone()) {
                    waiting.push_back(record);
                }
            }
        }
        Ok(())
    }

    async fn down(&mut self, start: DatasetRecord) -> Result<()> {
        let mut seen = HashSet::from([start.id.clone()]);
        let mut waiting = VecDeque::from([start]);
        while let Some(dataset) = waiting.pop_front() {
            if !self.dataset(&dataset) {
                break;
            }
            for transform in self.transforms.stores().transforms.readers(&dataset.id).await? {
                if self.transforms.get(self.by, &transform.id).await.is_err() {
                    continue;
                }
                if !self.transform(&transform) {
                    return Ok(());
                }
                self.edge(dataset.id.as_str(), transform.id.as_str());
                let output = &transform.output_dataset_id;
                let Ok(record) = self.transforms.datasets().get(self.by, output).await else { continue };
                self.edge(transform.id.as_str(), output.as_str());
                if seen.insert(output.clone()) {
                    waiting.push_back(record);
                }
            }
        }
        Ok(())
    }
}

/// Refuses a transform that would read what it makes, be it by way of others.
pub(super) async fn refuse_cycles(stores: &Stores, record: &TransformRecord) -> Result<()> {
    let mut seen = HashSet::new();
    // Each dataset with the way that led to it.
    let mut waiting: VecDeque<(DatasetId, Vec<String>)> =
        record.input_ids().map(|id| (id.clone(), vec![record.name.clone()])).collect();
    while let Some((id, way)) = waiting.pop_front() {
        if id == record.output_dataset_id {
            let message = format!(
                "the transform would read what it makes, by way of {}",
                way.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" from ")
            );
            return Err(Error::Invalid {
                message,
                details: json!({ "field": "input_dataset_ids", "cycle": way }),
            });
        }
        if !seen.insert(id.clone()) || seen.len() > NODES_MAX {
            continue;
        }
        let Some(dataset) = stores.datasets.lookup(std::slice::from_ref(&id), &[]).await?.pop() else {
            continue;
        };
        let Some(made_by) = &dataset.source.made_by else { continue };
        let found = stores.transforms.lookup(std::slice::from_ref(&made_by.transform_id)).await?;
        for maker in found {
            let way = [way.clone(), vec![maker.name.clone()]].concat();
            waiting.extend(maker.input_ids().map(|input| (input.clone(), way.clone())));
        }
    }
    Ok(())
}
