//! Schema migrations: numbered SQL files, each applied once, in a transaction that also records it.
//! A process that dies in one leaves the schema of the one before, and the next start goes on there.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use crate::catalog::store::StoreError;

/// One step of the schema.
#[derive(Debug, Clone)]
pub(super) struct Migration {
    /// 1, 2, 3 … without gaps.
    pub(super) number: i64,
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
}

/// All of them, in order. An applied one is never edited: add another.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration {
        number: 1,
        name: "metadata",
        sql: include_str!("../../../../sql/migrations/0001_metadata.sql"),
    },
    Migration {
        number: 2,
        name: "queries",
        sql: include_str!("../../../../sql/migrations/0002_queries.sql"),
    },
    Migration { number: 3, name: "macros", sql: include_str!("../../../../sql/migrations/0003_macros.sql") },
    Migration {
        number: 4,
        name: "transforms",
        sql: include_str!("../../../../sql/migrations/0004_transforms.sql"),
    },
    Migration {
        number: 5,
        name: "commit age",
        sql: include_str!("../../../../sql/migrations/0005_commit_age.sql"),
    },
];

/// Applies what the file lacks.
///
/// # Errors
/// `Unusable` when the file has a migration that this program does not know.
pub(super) fn apply(connection: &mut Connection, migrations: &[Migration]) -> Result<(), StoreError> {
    connection.execute_batch(include_str!("../../../../sql/store/migrations_table.sql"))?;
    let found = applied(connection)?;
    let known = migrations.last().map_or(0, |migration| migration.number);
    if found > known {
        return Err(StoreError::Unusable(format!(
            "was written by a newer version: its schema has number {found}, this program knows numbers \
             up to {known}; start the version that wrote it, or a newer one"
        )));
    }
    for migration in migrations.iter().filter(|migration| migration.number > found) {
        apply_one(connection, migration)?;
    }
    Ok(())
}

fn apply_one(connection: &mut Connection, migration: &Migration) -> Result<(), StoreError> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster; under the lock the answer is final.
    if applied(&tx)? >= migration.number {
        return Ok(());
    }
    tx.execute_batch(migration.sql)?;
    tx.execute("insert into migrations (number, name) values (?, ?)", (migration.number, migration.name))?;
    tx.commit()?;
    tracing::info!(number = migration.number, name = migration.name, "migrated the metadata store");
    Ok(())
}

/// The number of the last migration that the file has; 0 for a new file.
fn applied(connection: &Connection) -> Result<i64, StoreError> {
    let newest = "select number from migrations order by number desc limit 1";
    Ok(connection.query_row(newest, [], |row| row.get(0)).optional()?.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the schema is made of, and which migrations it says it has.
    fn schema(connection: &Connection) -> (Vec<String>, i64) {
        let mut statement =
            connection.prepare("select sql from sqlite_schema where sql is not null").unwrap();
        let sql = statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        (sql, applied(connection).unwrap())
    }

    fn fresh(migrations: &[Migration]) -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        apply(&mut connection, migrations).unwrap();
        connection
    }

    #[test]
    fn numbers_have_no_gaps() {
        let numbers: Vec<_> = MIGRATIONS.iter().map(|migration| migration.number).collect();
        assert_eq!(numbers, (1..).take(MIGRATIONS.len()).collect::<Vec<_>>());
    }

    #[test]
    fn applying_twice_changes_nothing() {
        let mut connection = fresh(MIGRATIONS);
        let before = schema(&connection);
        apply(&mut connection, MIGRATIONS).unwrap();
        assert_eq!(schema(&connection), before);
    }

    /// Stops each migration after each of its statements; the schema must be the one before it, and a
    /// second start must arrive where an undisturbed one does.
    #[test]
    fn a_stop_inside_a_migration_is_resumed() {
        let more = [
            Migration { number: 101, name: "b", sql: "create table b (x); create index b_x on b (x);" },
            Migration { number: 102, name: "c", sql: "alter table b add column y; create table c (z);" },
        ];
        let all: Vec<Migration> = MIGRATIONS.iter().chain(&more).cloned().collect();
        let expected = schema(&fresh(&all));
        for (stopped, migration) in all.iter().enumerate() {
            let statements: Vec<&str> = migration.sql.split_inclusive(';').collect();
            for n_done in 0..=statements.len() {
                let broken = format!("{}\nselect no_such_function();", statements[..n_done].concat());
                let mut stopping = all.clone();
                stopping[stopped].sql = broken.leak();

                let mut connection = Connection::open_in_memory().unwrap();
                apply(&mut connection, &stopping).unwrap_err();
                assert_eq!(schema(&connection), schema(&fresh(&all[..stopped])), "{}", migration.name);

                apply(&mut connection, &all).unwrap();
                assert_eq!(schema(&connection), expected, "{} after {n_done}", migration.name);
            }
        }
    }

    #[test]
    fn a_newer_file_is_refused_with_both_numbers() {
        let mut connection = fresh(MIGRATIONS);
        connection.execute("insert into migrations values (999, 'later')", []).unwrap();
        let error = apply(&mut connection, MIGRATIONS).unwrap_err().to_string();
        let known = format!("up to {}", MIGRATIONS.last().unwrap().number);
        assert!(error.contains("number 999") && error.contains(&known), "{error}");
    }
}
