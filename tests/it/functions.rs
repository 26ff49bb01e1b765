//! What is said about our functions is true: every documented example runs through the engine and gives what it says,
//! and both pages of functions hold it.

use arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt as _;
use shirabe::auth::Principal;
use shirabe::engine::Request;
use shirabe::engine::functions::{Function, catalogue};
use shirabe::ids::QueryId;

use crate::support::TestApp;

/// Our own functions, as the service lists them.
fn ours() -> Vec<Function> {
    let names: Vec<String> =
        shirabe_native::functions().iter().map(|function| function.name().to_owned()).collect();
    let ours: Vec<_> = catalogue().into_iter().filter(|function| names.contains(&function.name)).collect();
    assert_eq!(ours.len(), names.len(), "each is listed once");
    ours
}

/// The statements of an example, each with the table that it says comes out.
fn examples(function: &Function) -> Vec<(String, String)> {
    let text = function.example.as_ref().unwrap();
    let text = text.strip_prefix("```sql\n").and_then(|text| text.strip_suffix("\n```")).unwrap();
    let parts = text.split("> ").skip(1).map(|part| {
        let (statement, table) = part.split_once(";\n").unwrap_or((part, ""));
        (statement.to_owned(), table.trim_end().to_owned())
    });
    parts.collect()
}

#[tokio::test]
async fn examples_give_what_they_say() {
    let app = TestApp::new();
    let (state, operator) = (&app.state, Principal::operator());
    let mut wrong = Vec::new();
    for function in ours() {
        let examples = examples(&function);
        assert!(!examples.is_empty(), "`{}` has no example", function.name);
        for (statement, expected) in examples {
            assert!(statement.contains(&function.name), "`{}`: {statement}", function.name);
            let request = Request::new(QueryId::random(), statement.clone());
            let (catalog, macros) = (state.catalog.as_ref(), state.macros.store());
            let spec =
                state.engine.resolve(catalog, macros, &operator, request, state.clock.now()).await.unwrap();
            let (_, batches, _) = state.engine.run(spec).await.unwrap().into_parts();
            let batches: Vec<_> = batches.try_collect().await.unwrap();
            let table = pretty_format_batches(&batches).unwrap().to_string();
            if table != expected {
                wrong.push(format!("> {statement};\n{table}"));
            }
        }
    }
    assert!(wrong.is_empty(), "these examples give something else:\n{}", wrong.join("\n"));
}

#[test]
fn the_pages_hold_every_function() {
    for page in ["docs/functions.md", "docs/functions.ja.md"] {
        let text = std::fs::read_to_string(format!("{}/{page}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let mut headings: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
        headings.sort_unstable();
        let expected: Vec<String> = ours().into_iter().map(|function| function.syntax).collect();
        assert_eq!(headings, expected, "{page}");
        for function in ours() {
            let (_, section) = text.split_once(&format!("### `{}`\n", function.syntax)).unwrap();
            let section = section.split("\n#").next().unwrap();
            let example = function.example.unwrap();
            assert!(section.contains(&example), "{page}: `{}` lacks its example:\n{example}", function.name);
            if page == "docs/functions.md" {
                let described = section.contains(&function.description);
                assert!(described, "{page}: `{}` lacks:\n{}", function.name, function.description);
            }
        }
    }
}
