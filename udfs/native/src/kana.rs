//! The characters of Japanese text that exist twice: hiragana beside katakana, and wide beside narrow.

/// Katakana and signs of full width, each with its half-width form, which for voiced kana are two characters.
const WIDE_AND_NARROW: [(char, &str); 91] = [
    ('。', "｡"),
    ('「', "｢"),
    ('」', "｣"),
    ('、', "､"),
    ('・', "･"),
    ('ヲ', "ｦ"),
    ('ァ', "ｧ"),
    ('ィ', "ｨ"),
    ('ゥ', "ｩ"),
    ('ェ', "ｪ"),
    ('ォ', "ｫ"),
    ('ャ', "ｬ"),
    ('ュ', "ｭ"),
    ('ョ', "ｮ"),
    ('ッ', "ｯ"),
    ('ー', "ｰ"),
    ('ア', "ｱ"),
    ('イ', "ｲ"),
    ('ウ', "ｳ"),
    ('エ', "ｴ"),
    ('オ', "ｵ"),
    ('カ', "ｶ"),
    ('キ', "ｷ"),
    ('ク', "ｸ"),
    ('ケ', "ｹ"),
    ('コ', "ｺ"),
    ('サ', "ｻ"),
    ('シ', "ｼ"),
    ('ス', "ｽ"),
    ('セ', "ｾ"),
    ('ソ', "ｿ"),
    ('タ', "ﾀ"),
    ('チ', "ﾁ"),
    ('ツ', "ﾂ"),
    ('テ', "ﾃ"),
    ('ト', "ﾄ"),
    ('ナ', "ﾅ"),
    ('ニ', "ﾆ"),
    ('ヌ', "ﾇ"),
    ('ネ', "ﾈ"),
    ('ノ', "ﾉ"),
    ('ハ', "ﾊ"),
    ('ヒ', "ﾋ"),
    ('フ', "ﾌ"),
    ('ヘ', "ﾍ"),
    ('ホ', "ﾎ"),
    ('マ', "ﾏ"),
    ('ミ', "ﾐ"),
    ('ム', "ﾑ"),
    ('メ', "ﾒ"),
    ('モ', "ﾓ"),
    ('ヤ', "ﾔ"),
    ('ユ', "ﾕ"),
    ('ヨ', "ﾖ"),
    ('ラ', "ﾗ"),
    ('リ', "ﾘ"),
    ('ル', "ﾙ"),
    ('レ', "ﾚ"),
    ('ロ', "ﾛ"),
    ('ワ', "ﾜ"),
    ('ン', "ﾝ"),
    ('゛', "ﾞ"),
    ('゜', "ﾟ"),
    ('ヴ', "ｳﾞ"),
    ('ガ', "ｶﾞ"),
    ('ギ', "ｷﾞ"),
    ('グ', "ｸﾞ"),
    ('ゲ', "ｹﾞ"),
    ('ゴ', "ｺﾞ"),
    ('ザ', "ｻﾞ"),
    ('ジ', "ｼﾞ"),
    ('ズ', "ｽﾞ"),
    ('ゼ', "ｾﾞ"),
    ('ゾ', "ｿﾞ"),
    ('ダ', "ﾀﾞ"),
    ('ヂ', "ﾁﾞ"),
    ('ヅ', "ﾂﾞ"),
    ('デ', "ﾃﾞ"),
    ('ド', "ﾄﾞ"),
    ('バ', "ﾊﾞ"),
    ('ビ', "ﾋﾞ"),
    ('ブ', "ﾌﾞ"),
    ('ベ', "ﾍﾞ"),
    ('ボ', "ﾎﾞ"),
    ('パ', "ﾊﾟ"),
    ('ピ', "ﾋﾟ"),
    ('プ', "ﾌﾟ"),
    ('ペ', "ﾍﾟ"),
    ('ポ', "ﾎﾟ"),
    ('ヷ', "ﾜﾞ"),
    ('ヺ', "ｦﾞ"),
];

/// From an ASCII character to its wide form.
const WIDE_OFFSET: u32 = 0xFEE0;

/// From hiragana to katakana.
const KATAKANA_OFFSET: u32 = 0x60;

pub(crate) fn katakana(c: char) -> char {
    match c {
        'ぁ'..='ゖ' | 'ゝ' | 'ゞ' => char::from_u32(u32::from(c) + KATAKANA_OFFSET).unwrap_or(c),
        _ => c,
    }
}

pub(crate) fn hiragana(c: char) -> char {
    match c {
        'ァ'..='ヶ' | 'ヽ' | 'ヾ' => char::from_u32(u32::from(c) - KATAKANA_OFFSET).unwrap_or(c),
        _ => c,
    }
}

/// Appends the narrow form of `c`, or `c`.
pub(crate) fn push_narrow(c: char, out: &mut String) {
    match c {
        '\u{3000}' => out.push(' '),
        '！'..='～' => out.push(char::from_u32(u32::from(c) - WIDE_OFFSET).unwrap_or(c)),
        // Nothing else that has a narrow form lies outside of these.
        '\u{3001}'..='\u{30FF}' => match WIDE_AND_NARROW.iter().find(|(wide, _)| *wide == c) {
            Some((_, narrow)) => out.push_str(narrow),
            None => out.push(c),
        },
        _ => out.push(c),
    }
}

/// The wide form of `c`, taking in a voicing mark that follows it as a character of its own.
pub(crate) fn wide(c: char, next: Option<char>) -> (char, bool) {
    match c {
        ' ' => ('\u{3000}', false),
        '!'..='~' => (char::from_u32(u32::from(c) + WIDE_OFFSET).unwrap_or(c), false),
        '｡'..='ﾟ' => {
            let is = |narrow: &str, voiced: Option<char>| {
                narrow.chars().eq([Some(c), voiced].into_iter().flatten())
            };
            let find = |mark: Option<char>| {
                WIDE_AND_NARROW.iter().find(|(_, narrow)| is(narrow, mark)).map(|(wide, _)| *wide)
            };
            let mark = next.filter(|next| matches!(next, 'ﾞ' | 'ﾟ'));
            match mark.and_then(|mark| find(Some(mark))) {
                Some(voiced) => (voiced, true),
                None => (find(None).unwrap_or(c), false),
            }
        }
        _ => (c, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_normalization::UnicodeNormalization as _;

    #[test]
    fn every_pair_is_one_of_unicode() {
        for (wide, narrow) in WIDE_AND_NARROW {
            let composed: String = narrow.nfkc().collect();
            // The marks alone become combining ones there.
            assert!(
                composed == wide.to_string() || matches!(wide, '゛' | '゜'),
                "{wide} {narrow} {composed}"
            );
        }
        let n_narrow = WIDE_AND_NARROW.iter().filter(|(_, narrow)| narrow.chars().count() == 1).count();
        assert_eq!(n_narrow, ('｡'..='ﾟ').count(), "each half-width character has its pair");
    }

    #[test]
    fn kana_go_both_ways() {
        for c in 'ぁ'..='ゖ' {
            assert_eq!(hiragana(katakana(c)), c);
        }
        assert_eq!(
            (katakana('ん'), katakana('ゞ'), katakana('漢'), katakana('ー')),
            ('ン', 'ヾ', '漢', 'ー')
        );
        assert_eq!(
            (hiragana('ヴ'), hiragana('ヶ'), hiragana('ヷ'), hiragana('ー')),
            ('ゔ', 'ゖ', 'ヷ', 'ー')
        );
    }
}
