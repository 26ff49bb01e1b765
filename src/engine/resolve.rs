//! From a statement and a caller to a [`QuerySpec`]: the last step that asks the catalogue.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::classify::with_hint;
use super::list::QueryFilter;
use super::parameter::Parameters;
use super::spec::{AsOf, Limits, QuerySpec, Request, SpecTable, TableRows};
use super::statement::TableName;
use super::{Engine, bind, deep, macros, near, system};
use crate::auth::{Action, Object, Principal, authorize};
use crate::catalog::Manifest;
use crate::catalog::name::NameKey;
use crate::catalog::record::{DatasetRecord, QueryKind, VersionRecord};
use crate::catalog::store::{DatasetStore, MacroStore, Owner, PageRequest};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::ids::{DatasetId, QueryId, UserId};

/// How many names are looked at for suggestions.
const CANDIDATES_MAX: usize = 200;

/// Near names to offer.
const SUGGESTIONS_MAX: usize = 3;

/// Versions read at a time while looking for an old one.
const VERSIONS_PAGE: usize = 100;

impl Engine {
    /// Finds what `request` needs: parses it, writes its macros out, looks all its tables up in one batch, and
    /// picks their versions.
    ///
    /// # Errors
    /// `InvalidSql` and `NotSupported` for a statement that is not one query; `Invalid` for parameters that it does
    /// not ask for, or that it lacks; `UnknownName`, with place
    /// and near names, for a table that is not there or that `principal` may not read; `Invalid` for an
    /// `as_of` that does not fit; `NotFound` for a version that is not kept.
    pub async fn resolve(
        &self,
        datasets: &dyn DatasetStore,
        macros: &dyn MacroStore,
        principal: &Principal,
        request: Request,
        now: Timestamp,
    ) -> Result<QuerySpec> {
        let (text, statement) =
            macros::parse(&self.0.statements, macros, principal, request.statement).await?;
        deep::on_stack_for(&text, || bind::check(&statement.parsed, &request.parameters))?;
        let tables = statement.tables.iter().cloned();
        let (own, named): (Vec<_>, Vec<_>) = tables.partition(|table| table.system);
        let records = lookup(datasets, principal, &named, &request.names).await?;
        if let (Some(AsOf::Number(number)), true) = (request.as_of, distinct(&records) != 1) {
            return Err(Error::invalid_field(
                "as_of",
                format!(
                    "`as_of` is version {number}, but the statement names {} datasets, whose versions count apart: give a time",
                    distinct(&records)
                ),
            ));
        }
        let mut tables = Vec::with_capacity(records.len() + own.len());
        for (table, record) in named.into_iter().zip(records) {
            let version = self.version_as_of(datasets, &record, request.as_of).await?;
            let rows = TableRows::Version(self.manifest(&version).await?);
            tables.push(SpecTable { name: table.name, rows });
        }
        for table in own {
            tables.push(self.system_table(principal, table).await?);
        }
        Ok(QuerySpec {
            query_id: request.query_id,
            user_id: principal.user_id.clone(),
            kind: request.kind,
            statement: text,
            parameters: request.parameters,
            tables,
            limits: Limits {
                rows: request.row_limit,
                result_bytes: self.0.config.result_bytes_max,
                scan_bytes: self.scan_bytes_max(principal),
                deadline_ms: self.deadline_ms(request.timeout),
            },
            time_zone: request
                .time_zone
                .map_or_else(|| self.time_zone().to_owned(), |zone| zone.name().to_owned()),
            now,
            in_order: false,
        })
    }

    /// A statement of our own over versions that the caller has been found to read, each under a name.
    #[must_use]
    pub fn over(
        &self,
        user_id: UserId,
        statement: String,
        parameters: Parameters,
        tables: impl IntoIterator<Item = (String, Arc<Manifest>)>,
        (deadline, now): (Duration, Timestamp),
    ) -> QuerySpec {
        let tables =
            tables.into_iter().map(|(name, manifest)| SpecTable { name, rows: TableRows::Version(manifest) });
        QuerySpec {
            query_id: QueryId::random(),
            user_id,
            kind: QueryKind::Transform,
            statement,
            parameters,
            tables: tables.collect(),
            limits: Limits {
                rows: None,
                result_bytes: None,
                scan_bytes: None,
                deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
            },
            time_zone: self.time_zone().to_owned(),
            now,
            in_order: false,
        }
    }

    /// The version of a dataset that `as_of` means; the current one when it is none.
    ///
    /// # Errors
    /// `NotFound` when no kept version has that number, or none is that old.
    pub async fn version_as_of(
        &self,
        datasets: &dyn DatasetStore,
        record: &DatasetRecord,
        as_of: Option<AsOf>,
    ) -> Result<VersionRecord> {
        let fits = |version: &VersionRecord| match as_of {
            None => true,
            Some(AsOf::Number(number)) => version.number == number,
            Some(AsOf::Time(time)) => version.created_at <= time,
        };
        if fits(&record.current) {
            return Ok(record.current.clone());
        }
        // Newest first: the first that fits is the one.
        let mut page = PageRequest::first(VERSIONS_PAGE);
        loop {
            let found = datasets.versions(&record.id, page).await?;
            if let Some(version) = found.items.into_iter().find(&fits) {
                return Ok(version);
            }
            match found.next {
                Some(after) => page = PageRequest { after: Some(after), limit: VERSIONS_PAGE },
                None => break,
            }
        }
        Err(match as_of {
            Some(AsOf::Time(time)) => Error::not_found("version as of", time.rfc3339()),
            Some(AsOf::Number(number)) => Error::not_found("version", number),
            None => Error::internal("the current version fits always"),
        })
    }

    /// A table of the service's own, with the rows that the caller may see.
    async fn system_table(&self, principal: &Principal, table: TableName) -> Result<SpecTable> {
        system::check_name(&table)?;
        let (records, _) = self.queries(principal, QueryFilter::default(), system::QUERIES_MAX).await?;
        let rows = TableRows::Queries(records.into_iter().map(Arc::new).collect());
        Ok(SpecTable { name: table.name, rows })
    }
}

fn distinct(records: &[DatasetRecord]) -> usize {
    let mut ids: Vec<_> = records.iter().map(|record| &record.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.len()
}

/// Whether the caller may read the dataset. One they may not read is unknown to them.
fn may_read(principal: &Principal, record: &DatasetRecord) -> bool {
    let object = Object::Dataset { id: &record.id, owner: &record.owner_id };
    authorize(principal, Action::ReadDataset, &object).is_ok()
}

/// The datasets behind `tables`, in their order.
async fn lookup(
    datasets: &dyn DatasetStore,
    principal: &Principal,
    tables: &[TableName],
    own_names: &BTreeMap<String, DatasetId>,
) -> Result<Vec<DatasetRecord>> {
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    // No name has the form of an id, so each table is one or the other.
    let id_of = |table: &TableName| {
        own_names.get(&table.name).cloned().or_else(|| DatasetId::parse(&table.name).ok())
    };
    let (mut ids, mut names) = (Vec::new(), Vec::new());
    for table in tables {
        match id_of(table) {
            Some(id) => ids.push(id),
            None => names.push(NameKey::of(&table.name)),
        }
    }
    let found = datasets.lookup(&ids, &names).await?;
    let found: Vec<_> = found.into_iter().filter(|record| may_read(principal, record)).collect();
    let by_id: HashMap<&str, &DatasetRecord> =
        found.iter().map(|record| (record.id.as_str(), record)).collect();
    let by_name: HashMap<&str, &DatasetRecord> =
        found.iter().map(|record| (record.name_key.as_str(), record)).collect();
    let mut records = Vec::with_capacity(tables.len());
    for table in tables {
        let record = match id_of(table) {
            Some(id) => by_id.get(id.as_str()),
            None => by_name.get(NameKey::of(&table.name).as_str()),
        };
        match record {
            Some(record) => records.push((*record).clone()),
            None => return Err(unknown(datasets, principal, table).await),
        }
    }
    Ok(records)
}

/// The error for a table that is not there, with what the caller may have meant.
async fn unknown(datasets: &dyn DatasetStore, principal: &Principal, table: &TableName) -> Error {
    let owner = if principal.sees_all() { Owner::Anyone } else { Owner::User(principal.user_id.clone()) };
    let candidates = match datasets.list(&owner, PageRequest::first(CANDIDATES_MAX)).await {
        Ok((page, _)) => page.items,
        Err(error) => return error.into(),
    };
    let names =
        candidates.iter().filter(|record| may_read(principal, record)).map(|record| record.name.as_str());
    let suggestions = near::near(&table.name, names, SUGGESTIONS_MAX);
    Error::UnknownName {
        message: with_hint(format!("no dataset `{}`", table.name), &suggestions),
        place: table.place,
        suggestions,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::{Role, Scope};
    use crate::catalog::store::sqlite::SqliteStore;
    use crate::catalog::store::{Change, Commit, Stores};
    use crate::engine::testing::{self, Fixture, text, trips};
    use crate::error::Place;
    use crate::ids::{CommitId, QueryId, UserId};

    const NOW: Timestamp = Timestamp::from_seconds(1_714_521_600);

    /// A service in which Ana has `Trips 2024` in two versions, and Ben has `売上`.
    struct World {
        fixture: Fixture,
        stores: Stores,
        ana: Principal,
        ben: Principal,
    }

    fn user() -> Principal {
        let user_id = UserId::random();
        let email = "somebody@example.com".to_owned();
        Principal {
            user_id,
            email,
            role: Role::User,
            scope: Scope::Full,
            operator: false,
            scan_bytes_max: None,
        }
    }

    async fn commit(stores: &Stores, change: Change) {
        let commit = Commit { id: CommitId::random(), change, audit: None, execution: None };
        stores.datasets.commit(commit).await.unwrap();
    }

    /// Publishes a version, made `number` thousand seconds after the epoch.
    async fn version(
        fixture: &Fixture,
        id: &DatasetId,
        number: u64,
        rows: std::ops::Range<i64>,
    ) -> VersionRecord {
        let files = vec![trips(rows)];
        let mut manifest = testing::publish(&fixture.objects, "trips", number, files, None).await;
        manifest.dataset_id = id.clone();
        manifest.created_at = Timestamp::from_seconds(i64::try_from(number).unwrap() * 1000);
        testing::store_manifest(&fixture.objects, &manifest).await
    }

    async fn world() -> World {
        let fixture = Fixture::new().await;
        let stores = SqliteStore::open(fixture.folder.path().join("meta.db")).unwrap().stores();
        let (ana, ben) = (user(), user());

        let (trips, sales) = (DatasetId::random(), DatasetId::random());
        let mut record = testing::dataset_record("Trips 2024", &version(&fixture, &trips, 1, 0..3).await);
        record.owner_id = ana.user_id.clone();
        commit(&stores, Change::Create(record)).await;
        let stored = stores.datasets.lookup(std::slice::from_ref(&trips), &[]).await.unwrap().remove(0);
        let current = version(&fixture, &trips, 2, 0..5).await;
        commit(&stores, Change::Publish(DatasetRecord { current, ..stored })).await;

        let mut record = testing::dataset_record("売上", &version(&fixture, &sales, 1, 0..7).await);
        record.owner_id = ben.user_id.clone();
        commit(&stores, Change::Create(record)).await;
        World { fixture, stores, ana, ben }
    }

    impl World {
        async fn ask(&self, who: &Principal, statement: &str, as_of: Option<&str>) -> Result<Vec<String>> {
            let mut request = Request::new(QueryId::random(), statement);
            request.as_of = as_of.map(|text| text.parse().unwrap());
            let (datasets, macros) = (self.stores.datasets.as_ref(), self.stores.macros.as_ref());
            let spec = self.fixture.engine.resolve(datasets, macros, who, request, NOW).await?;
            text(self.fixture.engine.run(spec).await?).await
        }
    }

    #[tokio::test]
    async fn a_dataset_is_found_by_name_or_id() {
        let world = world().await;
        let trips = world.stores.datasets.lookup(&[], &[NameKey::of("trips 2024")]).await.unwrap().remove(0);
        check(&world, &world.ana, r#"select count(*) from "Trips 2024""#, "5").await;
        check(&world, &world.ana, r#"select count(*) from "ｔｒｉｐｓ 2024""#, "5").await;
        check(&world, &world.ana, &format!("select count(*) from {}", trips.id), "5").await;
        check(&world, &world.ben, "select count(*) from 売上", "7").await;
        check(&world, &Principal::operator(), r#"select count(*) from 売上, "trips 2024""#, "35").await;
        check(&world, &world.ben, "select 1", "1").await;

        async fn check(world: &World, who: &Principal, statement: &str, expected: &str) {
            assert_eq!(world.ask(who, statement, None).await.unwrap(), [expected], "{statement}");
        }
    }

    #[tokio::test]
    async fn what_the_caller_may_not_see_is_unknown() {
        let world = world().await;
        let theirs = world.ask(&world.ana, "select * from 売上", None).await.unwrap_err();
        let nothing = world.ask(&world.ana, "select * from 売下", None).await.unwrap_err();
        assert_eq!(theirs.to_string(), "no dataset `売上`");
        assert_eq!(nothing.to_string(), "no dataset `売下`");
        assert_eq!(theirs.details(), nothing.details());

        let slip = world.ask(&world.ana, "select 1\nfrom \"Trip 2024\"", None).await.unwrap_err();
        let Error::UnknownName { message, place, suggestions } = slip else { panic!("{slip:?}") };
        assert_eq!(message, "no dataset `Trip 2024`; did you mean `Trips 2024`?");
        assert_eq!(place, Some(Place { line: 2, column: 6 }));
        assert_eq!(suggestions, ["Trips 2024"]);
    }

    #[tokio::test]
    async fn old_versions_stay_readable() {
        let world = world().await;
        check(&world, "2", Ok("5")).await;
        check(&world, "1", Ok("3")).await;
        check(&world, "1970-01-01T00:33:20Z", Ok("5")).await;
        check(&world, "1970-01-01T00:33:19Z", Ok("3")).await;
        check(&world, "3", Err("no version `3`")).await;
        check(&world, "1970-01-01T00:00:00Z", Err("no version as of `1970-01-01T00:00:00.000000Z`")).await;
        let both = r#"select 1 from "Trips 2024", 売上"#;
        let error = world.ask(&Principal::operator(), both, Some("1")).await.unwrap_err();
        assert!(error.to_string().contains("names 2 datasets"), "{error}");

        async fn check(world: &World, as_of: &str, expected: std::result::Result<&str, &str>) {
            let statement = r#"select count(*) from "Trips 2024""#;
            match (world.ask(&world.ana, statement, Some(as_of)).await, expected) {
                (Ok(got), Ok(want)) => assert_eq!(got, [want], "{as_of}"),
                (Err(got), Err(want)) => assert_eq!(got.to_string(), want, "{as_of}"),
                (got, want) => panic!("{as_of}: {got:?}, expected {want:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_caller_may_ask_for_less_time_but_not_for_more() {
        let world = world().await;
        check(&world, None, 300_000).await;
        check(&world, Some(5), 5_000).await;
        check(&world, Some(1_000_000), 300_000).await;

        async fn check(world: &World, asked_s: Option<u64>, expected_ms: u64) {
            let mut request = Request::new(QueryId::random(), "select 1");
            request.timeout = asked_s.map(Duration::from_secs);
            let (datasets, macros) = (world.stores.datasets.as_ref(), world.stores.macros.as_ref());
            let spec =
                world.fixture.engine.resolve(datasets, macros, &world.ana, request, NOW).await.unwrap();
            assert_eq!(spec.limits.deadline_ms, expected_ms);
        }
    }
}
