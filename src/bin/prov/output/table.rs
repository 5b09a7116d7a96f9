//! Aligned columns.

use comfy_table::{ContentArrangement, Table, presets};

/// Rows under headings, columns two spaces apart, as plain text. Without headings, only the rows.
pub(crate) fn columns(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if !headings.is_empty() {
        table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    }
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_tail() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["long name".to_owned(), String::new()]];
        assert_eq!(columns(&["name", "n"], &rows), "NAME       N\na          1\nlong name\n");
        assert_eq!(columns(&[], &rows), "a          1\nlong name\n");
        assert_eq!(columns(&[], &[]), "");
    }
}
