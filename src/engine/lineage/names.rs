//! From places of tables and columns to their names.

use std::collections::BTreeSet;

use datafusion::catalog::TableProvider;
use datafusion::logical_expr::{LogicalPlan, TableScan};

use super::found::{Source, Sources};
use super::walk::Walked;
use super::{ColumnOrigin, Lineage, Origin, TableUse};
use crate::engine::spec::{SpecTable, TableRows};
use crate::engine::system;
use crate::engine::table::DatasetTable;

/// The lineage of `plan`, which was walked.
pub(super) fn lineage(plan: &LogicalPlan, tables: &[SpecTable], walked: Walked) -> Lineage {
    let names: Vec<_> = tables.iter().map(Names::of).collect();
    let named = |sources: &Sources| sources.iter().filter_map(|source| origin(&names, *source)).collect();
    let read = read(&walked, tables.len());
    let columns = plan.schema().fields().iter().zip(&walked.columns).map(|(field, traced)| ColumnOrigin {
        column: field.name().clone(),
        from: named(&traced.from),
        direct: named(&traced.direct),
        how: traced.how,
    });
    let columns = columns.collect();
    let influences = named(&walked.influences);
    let tables = tables.iter().zip(&names).zip(read).map(|((table, names), read)| TableUse {
        table: names.table.clone(),
        dataset_id: match &table.rows {
            TableRows::Version(manifest) => Some(manifest.dataset_id.clone()),
            TableRows::Queries(_) => None,
        },
        columns: read.into_iter().map(|column| names.columns[column].clone()).collect(),
    });
    Lineage { tables: tables.collect(), columns, influences }
}

/// Which columns of each table were found.
pub(super) fn read(walked: &Walked, tables: usize) -> Vec<BTreeSet<usize>> {
    let mut read = vec![BTreeSet::new(); tables];
    for source in walked.columns.iter().flat_map(|column| column.from.iter()).chain(&walked.influences) {
        if let Source::Table(table, column) = source {
            read[*table].insert(*column);
        }
    }
    read
}

/// The place of the table that `scan` reads; None when a function stands for it.
pub(super) fn place(tables: &[SpecTable], scan: &TableScan, provider: &dyn TableProvider) -> Option<usize> {
    let name = &scan.table_name;
    tables.iter().position(|table| match &table.rows {
        TableRows::Version(_) => {
            name.schema().is_none() && name.table() == table.name && provider.is::<DatasetTable>()
        }
        TableRows::Queries(_) => name.schema() == Some(system::SCHEMA) && name.table() == table.name,
    })
}

/// How a table and its columns are called.
struct Names {
    table: String,
    columns: Vec<String>,
}

impl Names {
    fn of(table: &SpecTable) -> Self {
        match &table.rows {
            TableRows::Version(manifest) => {
                let columns = manifest.columns.iter().map(|column| column.name.clone());
                Self { table: table.name.clone(), columns: columns.collect() }
            }
            TableRows::Queries(_) => {
                let columns = system::queries_schema().fields().iter().map(|field| field.name().clone());
                Self { table: format!("{}.{}", system::SCHEMA, table.name), columns: columns.collect() }
            }
        }
    }
}

fn origin(names: &[Names], source: Source) -> Option<Origin> {
    // A step of a recursive query has been put in terms of tables where that query ended.
    let Source::Table(table, column) = source else { return None };
    let names = &names[table];
    Some(Origin { table: names.table.clone(), column: names.columns[column].clone() })
}
