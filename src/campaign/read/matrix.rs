//! `[matrix]`: its own keys, and every other key an axis.

use toml::de::DeValue;

use super::table::{Table, is_misplaced, join, mismatch};
use super::{Node, Reader, entries, integer, list, scalar, string};
use crate::campaign::error::Finding;
use crate::campaign::wire::{
    At, Entries, Groups, Number, Scalar, WireAxis, WireAxisTable, WireMatrix,
};

pub(super) fn matrix(reader: &mut Reader<'_>, what: &str, node: &Node<'_>) -> Option<WireMatrix> {
    let mut table = Table::open(reader, what, node)?;
    let mut matrix = WireMatrix {
        zip: table.with(reader, "zip", zip),
        when: table.string(reader, "when"),
        exclude: table.with(reader, "exclude", cells),
        include: table.with(reader, "include", cells),
        axes: Entries::default(),
    };
    for (key, span, node) in table.rest() {
        let what = join(what, key);
        if is_misplaced(reader, &what, key, &span) {
            continue;
        }
        if let Some(axis) = axis(reader, &what, node) {
            let key = At { value: key.to_owned(), span };
            matrix.axes.0.push((key, At { value: axis, span: node.span() }));
        } else {
            reader.broken.insert(what.trim_matches('`').to_owned());
        }
    }
    Some(matrix)
}

/// Groups of names. One flat list is the likeliest mistake.
fn zip(reader: &mut Reader<'_>, what: &str, node: &Node<'_>) -> Option<Groups> {
    if let DeValue::Array(elements) = node.get_ref()
        && !elements.is_empty()
        && elements.iter().all(|element| element.get_ref().is_str())
    {
        let raw = &reader.text[node.span()];
        reader.findings.push(
            Finding::error(
                "sp::campaign::wrong_type",
                "`matrix.zip` is a list of groups, each a list",
            )
            .at(&node.span(), "one group without its own brackets")
            .help(format!("write `zip = [{raw}]`")),
        );
        return None;
    }
    list(reader, what, node, |reader, what, node| list(reader, what, node, string))
}

fn cells(reader: &mut Reader<'_>, what: &str, node: &Node<'_>) -> Option<Vec<At<Entries<Scalar>>>> {
    if let (DeValue::String(text), true) = (node.get_ref(), what.ends_with("exclude`")) {
        reader.findings.push(
            Finding::error("sp::campaign::wrong_type", format!("{what} is a list of tables"))
                .at(&node.span(), "an expression")
                .help(format!(
                    "write `when = \"not ({text})\"`, or `[[matrix.exclude]]` with the values of the cell below it"
                )),
        );
        return None;
    }
    if node.get_ref().is_table() {
        let name = what.trim_matches('`');
        reader.findings.push(
            Finding::error("sp::campaign::wrong_type", format!("{what} is a list of tables"))
                .at(&node.span(), "one table")
                .help(format!("write `[[{name}]]` with two brackets, once for each cell")),
        );
        return None;
    }
    list(reader, what, node, |reader, _, node| entries(reader, what, node, scalar))
}

fn axis(reader: &mut Reader<'_>, what: &str, node: &Node<'_>) -> Option<WireAxis> {
    match node.get_ref() {
        DeValue::Array(_) => list(reader, what, node, scalar).map(WireAxis::List),
        DeValue::Table(_) => {
            let mut table = Table::open(reader, what, node)?;
            let axis = WireAxisTable {
                from: table.with(reader, "from", number),
                to: table.with(reader, "to", number),
                step: table.with(reader, "step", number),
                factor: table.with(reader, "factor", number),
                count: table.with(reader, "count", integer),
                glob: table.string(reader, "glob"),
                lines: table.string(reader, "lines"),
                expr: table.string(reader, "expr"),
            };
            let before = reader.findings.len();
            table.finish(reader);
            (before == reader.findings.len()).then(|| WireAxis::Table(Box::new(axis)))
        }
        _ => {
            let raw = &reader.text[node.span()];
            let help =
                format!("an axis has a list of values: `[{raw}]`; a constant goes to `[vars]`");
            mismatch(reader, what, "a list of values or a table", node, Some(&help));
            None
        }
    }
}

/// A number as spelled, for decimal arithmetic.
fn number(reader: &mut Reader<'_>, what: &str, node: &Node<'_>) -> Option<Number> {
    match node.get_ref() {
        DeValue::Integer(_) => integer(reader, what, node).map(|number| Number(number.to_string())),
        DeValue::Float(float) if !float.as_str().contains(['n', 'i']) => {
            let spelled = reader.text[node.span()].chars().filter(|c| !matches!(c, '_' | '+'));
            Some(Number(spelled.collect()))
        }
        _ => {
            let bare = node.get_ref().as_str().filter(|text| text.parse::<f64>().is_ok());
            let help = bare.map_or_else(
                || "a range goes over numbers; write a list for anything else".to_owned(),
                |text| format!("leave the quotes out: `{text}`"),
            );
            mismatch(reader, what, "a finite number", node, Some(&help));
            None
        }
    }
}
