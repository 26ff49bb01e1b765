//! Japanese encodings against Python's own tables: every character of two or three bytes, between commas
//! and between quotes, where a second byte such as 0x5C or 0x7C must not be taken for ASCII.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use shirabe::auth::Role;

use crate::support::{Form, TestApp};

/// Writes `encoded.csv` and `utf8.csv`: the same rows, one a character that Python's codec knows, and prints
/// how many there are.
const WRITE: &str = r#"
import sys
codec, folder = sys.argv[1:]
high = range(0x81, 0xFF)
found = []
candidates = [bytes([a, b]) for a in high for b in range(0x40, 0xFF)]
candidates += [bytes([0x8F, a, b]) for a in range(0xA1, 0xFF) for b in range(0xA1, 0xFF)]
for candidate in candidates:
    try:
        text = candidate.decode(codec)
    except UnicodeDecodeError:
        continue
    # A lead byte that is a character by itself, such as half-width katakana, pairs with anything.
    if len(text) == 1:
        found.append((candidate, text))
with open(f"{folder}/encoded.csv", "wb") as encoded, open(f"{folder}/utf8.csv", "wb") as utf8:
    for file in (encoded, utf8):
        file.write(b"id,bare,quoted,last\n")
    for index, (raw, text) in enumerate(found):
        encoded.write(b'%d,%s,"%s",x\n' % (index, raw, raw))
        utf8.write(('%d,%s,"%s",x\n' % (index, text, text)).encode())
print(len(found))
"#;

#[expect(clippy::disallowed_methods, reason = "Python's tables are the yardstick")]
fn write(codec: &str, folder: &Path) -> u64 {
    let output = Command::new("/usr/bin/python3")
        .args(["-c", WRITE, codec])
        .arg(folder)
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// Imports the file in `encoding`, and returns the characters it reads differently: what Python reads, and
/// what was read.
async fn differences(encoding: &str, codec: &str, least: u64) -> Vec<(String, String)> {
    let app = TestApp::new();
    let by = app.person("ana", Role::User).await;
    let count = write(codec, app.path());
    assert!(count >= least, "{codec} has {count} characters of several bytes");
    for (name, encoding) in [("encoded", encoding), ("utf8", "utf-8")] {
        let bytes = std::fs::read(app.path().join(format!("{name}.csv"))).unwrap();
        let form = Form::new()
            .text("encoding", encoding)
            .text("types", r#"{"bare": "string", "quoted": "string"}"#)
            .file(&format!("{name}.csv"), bytes);
        let view = app.post("/api/datasets").by(&by).form(form).send().await.data(201);
        assert_eq!(view["row_count"], json!(count), "{name}");
    }
    let broken =
        "select count(*) from encoded where (last is distinct from 'x') or (bare is distinct from quoted)";
    assert_eq!(
        app.rows(&by, broken).await,
        json!([[0]]),
        "{codec}: a byte was taken for a delimiter or a quote"
    );
    let rows = app
        .rows(
            &by,
            "select u.bare as python, e.bare as ours from utf8 u full join encoded e on u.id = e.id \
             where u.bare is distinct from e.bare order by u.id",
        )
        .await;
    serde_json::from_value(rows).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_character_of_cp932_is_read_as_python_reads_it() {
    assert_eq!(differences("cp932", "cp932", 9_000).await, []);
}

/// What Windows, and with it the rest of the world, reads differently from the tables of JIS, which Python's
/// codecs of these names follow.
const AS_WINDOWS: [(&str, &str); 6] = [
    ("\u{301C}", "\u{FF5E}"),
    ("\u{2016}", "\u{2225}"),
    ("\u{2212}", "\u{FF0D}"),
    ("\u{A2}", "\u{FFE0}"),
    ("\u{A3}", "\u{FFE1}"),
    ("\u{AC}", "\u{FFE2}"),
];

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(python, ours)| ((*python).to_owned(), (*ours).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_character_of_shift_jis_is_read() {
    assert_eq!(differences("shift_jis", "shift_jis", 6_800).await, owned(&AS_WINDOWS));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_character_of_euc_jp_is_read() {
    // The last is of JIS X 0212, in three bytes.
    let expected = [owned(&AS_WINDOWS), owned(&[("~", "\u{FF5E}")])].concat();
    assert_eq!(differences("euc-jp", "euc_jp", 12_000).await, expected);
}
