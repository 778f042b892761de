//! The translation by examples; what greps make of it is tested in tests/it/campaign.

use super::*;

#[test]
fn prints_what_grep_reads() {
    for (rust, ere) in [
        ("Training completed", "Training completed"),
        (r"loss: \d+\.\d{2,}", r"loss: [0-9]+\.[0-9]{2,}"),
        ("(?i)ok", "[Oo][Kk]"),
        ("(?:ab)+?c", "(ab)+c"),
        ("a|", "(a)?"),
        ("(|a)b", "((a)?)b"),
        ("^done$", "^done$"),
        (r"\x41\t", "A\t"),
        ("[^,]", "([^,HIGH]|NON_ASCII)"),
        (".", "([^HIGH]|NON_ASCII)"),
        (".?", "([^HIGH]|NON_ASCII)?"),
        ("[^-a]", "([^aHIGH-]|NON_ASCII)"),
        ("[^]-]", "([^]HIGH-]|NON_ASCII)"),
        (r"\S+", "([^\t\u{b}-\r HIGH]|NON_ASCII)+"),
        (r"[\]\[^-]", "[][^-]"),
        ("[-^]", "[-^]"),
        ("[^^]", "([^^HIGH]|NON_ASCII)"),
        ("é?", "(é)?"),
        ("(?x) a b # note", "ab"),
        ("^*a", "a"),
    ] {
        let mut between = ["HIGH", "NON_ASCII"].into_iter().cycle();
        let joined = translate(rust)
            .expect(rust)
            .into_iter()
            .reduce(|text, piece| text + between.next().expect("it is endless") + &piece);
        assert_eq!(joined.as_deref(), Some(ere), "{rust}");
    }
}

#[test]
fn refuses_what_grep_cannot_say() {
    for (rust, error) in [
        (r"\bx\b", EreError::WordBoundary),
        (r"\Ax", EreError::TextBoundary),
        (r"\p{Greek}", EreError::Unicode),
        ("[é]", EreError::Unicode),
        (r"(?u)\w", EreError::Unicode),
        (r"a\nb", EreError::Newline),
        (r"[\n]", EreError::Newline),
        (r"\x00", EreError::Byte),
        (r"\xff", EreError::Byte),
        (r"[\x80-\xff]", EreError::Byte),
        ("a{256}", EreError::Repeat),
        ("[a&&b]", EreError::Nothing),
        ("((a{255}){255}){255}", EreError::TooLarge),
    ] {
        assert_eq!(translate(rust), Err(error), "{rust}");
    }
    assert!(matches!(translate("a("), Err(EreError::Syntax(_))));
    assert!(matches!(translate("(?=a)"), Err(EreError::Syntax(_))));
}
