//! The service on a folder of its own, with people in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::Method;
use object_store::ObjectStore;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shirabe::account::{NewKey, NewUser};
use shirabe::app::App;
use shirabe::auth::{Principal, Role, Scope};
use shirabe::catalog::store::{StoreCalls, Stores};
use shirabe::config::Config;
use shirabe::data_folder::{DataFolder, Opened};
use shirabe::ids::UserId;
use shirabe::server::http::{AppState, InProcess, router};
use tempfile::TempDir;

use super::{Call, Calls, Form, PASSWORD, Reply};

/// Somebody who may call.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) email: String,
    /// A full API key: it works like a token and costs no hash.
    pub(crate) token: String,
}

/// The service. Calls are not counted unless a test asks for it.
#[derive(Debug)]
pub(crate) struct TestApp {
    pub(crate) state: AppState,
    app: Arc<App>,
    door: InProcess,
    folder: TempDir,
}

impl TestApp {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// With settings as an operator would put them into the environment.
    pub(crate) fn with(settings: &[(&str, &str)]) -> Self {
        Self::on(tempfile::tempdir().unwrap(), settings)
    }

    /// With every call of the stores of users and datasets counted.
    pub(crate) fn counted() -> (Self, Calls) {
        let calls = Calls::default();
        let app = Self::between(tempfile::tempdir().unwrap(), &[], |stores| calls.between(stores));
        (app, calls)
    }

    /// Over a server for its records that the settings name, and the calls that are made to it.
    pub(crate) fn over_server(settings: &[(&str, &str)]) -> (Self, StoreCalls) {
        let mut calls = StoreCalls::default();
        let app = Self::between(tempfile::tempdir().unwrap(), settings, |stores| {
            calls = stores.calls.clone();
            stores
        });
        (app, calls)
    }

    /// On a folder that may hold something already.
    pub(crate) fn on(folder: TempDir, settings: &[(&str, &str)]) -> Self {
        Self::between(folder, settings, |stores| stores)
    }

    fn between(folder: TempDir, settings: &[(&str, &str)], between: impl FnOnce(Stores) -> Stores) -> Self {
        Self::opened(folder, settings, |config, data| App::open_between(config, data, between).unwrap())
    }

    /// With something between the service and its objects.
    pub(crate) fn over(
        settings: &[(&str, &str)],
        between: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::opened(folder, settings, |config, data| App::open_over(config, data, between).unwrap())
    }

    fn opened(
        folder: TempDir,
        settings: &[(&str, &str)],
        open: impl FnOnce(&Config, DataFolder) -> App,
    ) -> Self {
        let path = folder.path().to_str().unwrap().to_owned();
        let lookup = |name: &str| match (settings.iter().find(|(set, _)| *set == name), name) {
            (Some((_, value)), _) => Some((*value).to_owned()),
            (None, "DATA_DIR") => Some(path.clone()),
            (None, "RATE_LIMIT_ENABLED") => Some("false".to_owned()),
            _ => None,
        };
        let config = Config::from_lookup(&lookup).unwrap();
        let Opened::Mine(data) = DataFolder::open(folder.path()).unwrap() else {
            panic!("the folder is in use")
        };
        let app = Arc::new(open(&config, data));
        let state = app.state.clone();
        Self { door: InProcess::new(router(state.clone()), Arc::clone(&app)), app, state, folder }
    }

    /// Ends the service; its folder stays.
    pub(crate) fn close(self) -> TempDir {
        let Self { state, app, door, folder } = self;
        drop((state, door, app));
        folder
    }

    /// What the service asks of the server of its records before it serves.
    pub(crate) async fn reach_store(&self) -> Result<(), shirabe::error::Error> {
        self.app.reach_store().await
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Adds a user, with an API key to act by.
    pub(crate) async fn person(&self, name: &str, role: Role) -> Person {
        let (operator, now) = (Principal::operator(), self.state.clock.now());
        let email = format!("{name}@example.com");
        let user = NewUser { email: &email, name, role, password: PASSWORD };
        let user = self.state.accounts.users.add(&operator, user, now).await.unwrap();
        let token = self.key(&user.id, Scope::Full).await;
        Person { id: user.id.to_string(), email, token }
    }

    /// The usual one: an analyst called ana.
    pub(crate) async fn ana(&self) -> Person {
        self.person("ana", Role::User).await
    }

    /// The same person, by a key that may only read.
    pub(crate) async fn read_only(&self, person: &Person) -> Person {
        let id = UserId::parse(&person.id).unwrap();
        Person { token: self.key(&id, Scope::ReadOnly).await, ..person.clone() }
    }

    async fn key(&self, owner: &UserId, scope: Scope) -> String {
        let new = NewKey { owner, name: "test", scope, expires_at: None };
        let (operator, now) = (Principal::operator(), self.state.clock.now());
        self.state.accounts.keys.create(&operator, new, now).await.unwrap().text
    }

    /// The command line on the machine itself.
    pub(crate) fn operator(&self) -> Person {
        let token = self.state.operator_token.secret().expose_secret().to_owned();
        Person { id: Principal::operator().user_id.to_string(), email: "operator".to_owned(), token }
    }

    pub(crate) fn call(&self, method: Method, path: &str) -> Call {
        Call::new(self.door.clone(), method, path)
    }

    pub(crate) fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> Call {
        self.call(Method::POST, path)
    }

    pub(crate) fn put(&self, path: &str) -> Call {
        self.call(Method::PUT, path)
    }

    pub(crate) fn delete(&self, path: &str) -> Call {
        self.call(Method::DELETE, path)
    }

    /// Sends a sign-in.
    pub(crate) async fn login(&self, email: &str, password: &str) -> Reply {
        let body = json!({ "email": email, "password": password });
        self.post("/api/auth/login").json(&body).send().await
    }

    /// Sends a file as a new dataset.
    pub(crate) async fn upload(&self, by: &Person, file: &str, bytes: impl Into<Vec<u8>>) -> Reply {
        self.post("/api/datasets").by(by).form(Form::new().file(file, bytes)).send().await
    }

    /// A new dataset from CSV; its id.
    pub(crate) async fn dataset(&self, by: &Person, name: &str, csv: &str) -> String {
        let view = self.upload(by, &format!("{name}.csv"), csv).await.data(201);
        view["dataset_id"].as_str().unwrap().to_owned()
    }

    /// Asks in SQL, for JSON.
    pub(crate) async fn query(&self, by: &Person, sql: &str) -> Reply {
        self.post("/api/query").by(by).json(&json!({ "sql": sql })).send().await
    }

    /// The rows of a question that must work.
    pub(crate) async fn rows(&self, by: &Person, sql: &str) -> Value {
        self.query(by, sql).await.data(200)["rows"].clone()
    }

    /// Files that uploads wait in; there must be none when nothing is under way.
    pub(crate) fn spooled(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.state.settings.spool_folder).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// What `shirabe check` finds wrong with the whole folder.
    pub(crate) async fn findings(&self) -> Value {
        let report = self.post("/api/admin/check").by(&self.operator()).send().await.data(200);
        report["findings"].clone()
    }
}
