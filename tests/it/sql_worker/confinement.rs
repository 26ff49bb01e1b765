//! What a statement reaches that has taken its worker over: nothing. The program as tests build it does what the first
//! comment of a statement says, and tells what came of it.
#![cfg(feature = "failpoints")]

use shirabe::error::Code;

use super::Ground;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_in_reach() {
    let ground = Ground::new().await;
    let process = ground.workers.idle_processes();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let database = ground.app.path().join("shirabe.db");
    let mine = database.display();
    let refused = "Operation not permitted (os error 1)";
    for (deed, expected) in [
        ("open /etc/passwd".to_owned(), refused),
        ("open .".to_owned(), refused),
        ("open /proc/self/environ".to_owned(), refused),
        (format!("open {mine}"), refused),
        ("write /tmp/shirabe-worker-was-here".to_owned(), refused),
        ("list /".to_owned(), refused),
        (format!("connect {address}"), refused),
        ("socket".to_owned(), refused),
        (format!("signal {}", std::process::id()), refused),
        ("spawn /bin/true".to_owned(), refused),
        ("environment".to_owned(), "0 variables"),
    ] {
        let error = ground.fail(&format!("-- hostile: {deed}\nselect 1")).await;
        assert_eq!(error.code(), Code::BadData, "{deed}: {error:?}");
        let told = error.to_string();
        assert!(told.ends_with(&format!(": {expected}")), "{deed}: {told}");
    }
    ground.quiet().await;
    assert_eq!(ground.workers.idle_processes(), process, "a worker that only tried stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_files_of_the_query_s_tables_are_handed_out() {
    let ground = Ground::new().await;
    let [mine, other] = ["select * from cities", "select * from numbers"].map(|sql| ground.spec(sql));
    let [mine, other] = [mine.await, other.await].map(|spec| Ground::first_file(&spec));
    check(&ground, &mine, "read: done").await;
    check(&ground, &other, "no file of the query's tables").await;
    check(&ground, "../shirabe.db", "no file of the query's tables").await;
    check(&ground, "", "no file of the query's tables").await;

    async fn check(ground: &Ground, key: &str, expected: &str) {
        let error = ground.fail(&format!("-- hostile: read {key}\nselect * from cities")).await.to_string();
        assert!(error.contains(expected), "{key}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starting_a_program_ends_the_worker() {
    let ground = Ground::new().await;
    let error = ground.fail("-- hostile: exec /bin/true\nselect 1").await;
    assert_eq!(error.code(), Code::InternalError, "{error:?}");
    assert!(format!("{error:?}").contains("SIGSYS"), "the kernel ended it: {error:?}");
    assert_eq!(ground.workers.report().lost, 1);
    assert!(ground.ask("select 1").await.is_ok(), "the next one works");
}
