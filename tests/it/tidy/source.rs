//! A Rust file as the rules see it: its text, and its words with their lines. Comments and docs are left out of the words, so
//! a rule never fires on prose; what a string says is one word.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

#[derive(Debug)]
pub(super) struct Source {
    /// From the root of the repository, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    pub(super) words: Vec<Word>,
}

/// An identifier, a literal, `::`, or one character of punctuation or bracket.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) line: usize,
    pub(super) line_end: usize,
    /// How many inline modules (`mod x { … }`) enclose it.
    pub(super) module_depth: usize,
    pub(super) in_test: bool,
}

impl Word {
    pub(super) fn is_literal(&self) -> bool {
        let start = self.text.trim_start_matches(['b', 'c', 'r', '#']);
        start.starts_with(['"', '\''])
    }
}

/// Where the walk stands; copied into each group.
#[derive(Clone, Copy, Default)]
struct Place {
    module_depth: usize,
    in_test: bool,
}

impl Source {
    /// # Errors
    /// A text that is not Rust.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, String> {
        let tokens: TokenStream = text.parse().map_err(|error| format!("{path}: {error}"))?;
        let mut words = Vec::new();
        let place = Place { module_depth: 0, in_test: is_test_path(path) };
        flatten(tokens, place, &mut words);
        Ok(Self { path: path.to_owned(), text: text.to_owned(), words })
    }

    /// The folder or file of `src/` that the path belongs to: `engine` for `src/engine/session.rs`.
    /// `None` outside `src/`, and for `lib.rs` and `main.rs`, which tie the stages together.
    pub(super) fn stage(&self) -> Option<&str> {
        let inner = self.path.strip_prefix("src/")?;
        let stage = inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs");
        (!matches!(stage, "lib" | "main")).then_some(stage)
    }

    /// The positions at which the words `pattern` stand one after the other.
    pub(super) fn find<'a>(&'a self, pattern: &'a [&'a str]) -> impl Iterator<Item = usize> + 'a {
        self.words
            .windows(pattern.len())
            .enumerate()
            .filter(move |(_, window)| window.iter().zip(pattern).all(|(word, text)| word.text == *text))
            .map(|(at, _)| at)
    }
}

/// Files that are tests as a whole: `tests/`, and modules that their parent compiles for tests only, which we name so.
fn is_test_path(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.starts_with("tests/") || path.contains("/tests/") || matches!(name, "tests.rs" | "contract.rs")
}

fn flatten(tokens: TokenStream, place: Place, words: &mut Vec<Word>) {
    // An item that starts with `#[cfg(test)]` ends with its body or its `;`.
    let mut in_test_item = false;
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let here = Place { in_test: place.in_test || in_test_item, ..place };
        match token {
            TokenTree::Punct(hash) if hash.as_char() == '#' => {
                // `#![…]` is an attribute too.
                if let Some(TokenTree::Punct(_)) = tokens.peek() {
                    tokens.next();
                }
                let Some(TokenTree::Group(attribute)) = tokens.peek() else { continue };
                let attribute = attribute.clone();
                tokens.next();
                in_test_item |= is_cfg_test(&attribute);
                let here = Place { in_test: place.in_test || in_test_item, ..place };
                if !is_doc(&attribute) {
                    push(words, "#", attribute.span_open().start().line, here);
                    flatten_group(&attribute, here, words);
                }
            }
            TokenTree::Punct(punct) => {
                let line = punct.span().start().line;
                let joined = matches!(tokens.peek(), Some(TokenTree::Punct(next)) if next.as_char() == ':');
                if punct.as_char() == ':' && punct.spacing() == proc_macro2::Spacing::Joint && joined {
                    tokens.next();
                    push(words, "::", line, here);
                } else {
                    push(words, &punct.as_char().to_string(), line, here);
                }
                in_test_item &= punct.as_char() != ';';
            }
            TokenTree::Group(group) => {
                let is_body = group.delimiter() == Delimiter::Brace;
                let is_module = is_body && words.len() >= 2 && words[words.len() - 2].text == "mod";
                let inner = Place { module_depth: here.module_depth + usize::from(is_module), ..here };
                flatten_group(&group, inner, words);
                in_test_item &= !is_body;
            }
            TokenTree::Ident(ident) => push(words, &ident.to_string(), ident.span().start().line, here),
            TokenTree::Literal(literal) => {
                let (start, end) = (literal.span().start().line, literal.span().end().line);
                push(words, &literal.to_string(), start, here);
                if let Some(word) = words.last_mut() {
                    word.line_end = end;
                }
            }
        }
    }
}

fn flatten_group(group: &Group, place: Place, words: &mut Vec<Word>) {
    let (open, close) = match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    };
    push(words, open, group.span_open().start().line, place);
    flatten(group.stream(), place, words);
    push(words, close, group.span_close().end().line, place);
}

fn push(words: &mut Vec<Word>, text: &str, line: usize, place: Place) {
    let Place { module_depth, in_test } = place;
    words.push(Word { text: text.to_owned(), line, line_end: line, module_depth, in_test });
}

fn is_doc(attribute: &Group) -> bool {
    let mut tokens = attribute.stream().into_iter();
    matches!(tokens.next(), Some(TokenTree::Ident(name)) if name == "doc")
        && matches!(tokens.next(), Some(TokenTree::Punct(equals)) if equals.as_char() == '=')
}

/// `cfg(test)`, also inside `all(…)`. A `not(test)` is code that ships.
fn is_cfg_test(attribute: &Group) -> bool {
    let text = attribute.stream().to_string().replace(' ', "");
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

#[test]
fn words_know_their_line_their_module_and_whether_they_are_a_test() {
    let text = "//! docs\nuse a::b;\n#[cfg(test)]\nuse c;\nmod x {\n    fn y() {}\n}\n#[cfg(test)]\nmod tests {\n    fn z() {}\n}\n";
    let source = Source::parse("src/engine/mod.rs", text).unwrap();
    check(&source, "docs", None);
    check(&source, "b", Some((2, 0, false)));
    check(&source, "c", Some((4, 0, true)));
    check(&source, "y", Some((6, 1, false)));
    check(&source, "z", Some((10, 1, true)));

    #[track_caller]
    fn check(source: &Source, text: &str, expected: Option<(usize, usize, bool)>) {
        let word = source.words.iter().find(|word| word.text == text);
        assert_eq!(word.map(|word| (word.line, word.module_depth, word.in_test)), expected, "{text}");
    }
}

#[test]
fn a_path_belongs_to_a_stage() {
    check("src/engine/session.rs", Some("engine"));
    check("src/clock.rs", Some("clock"));
    check("src/lib.rs", None);
    check("tests/it/main.rs", None);

    #[track_caller]
    fn check(path: &str, expected: Option<&str>) {
        assert_eq!(Source::parse(path, "").unwrap().stage(), expected, "{path}");
    }
}
