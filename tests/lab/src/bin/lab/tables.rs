//! Tables: for a terminal, or as Markdown for documents.

use comfy_table::{
    Cell, CellAlignment, ContentArrangement, Table as TextTable, TableComponent, presets::UTF8_HORIZONTAL_ONLY,
};
use lab::evidence::Table;

use crate::text::{COLUMNS, wrapped};

/// Prints a table.
pub(crate) fn print(table: &Table, markdown: bool) {
    if markdown {
        anstream::println!("{table}");
    } else {
        anstream::println!("{}\n{}", wrapped(&table.about, 0, 0), text(table));
    }
}

/// The table, at most 80 columns wide.
fn text(table: &Table) -> TextTable {
    let mut text = TextTable::new();
    text.load_preset(UTF8_HORIZONTAL_ONLY)
        .remove_style(TableComponent::HorizontalLines)
        .remove_style(TableComponent::MiddleIntersections)
        .remove_style(TableComponent::LeftBorderIntersections)
        .remove_style(TableComponent::RightBorderIntersections)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(COLUMNS).unwrap_or(u16::MAX))
        .set_header(table.head.iter().map(Cell::new));
    for row in &table.rows {
        text.add_row(row.iter().map(Cell::new));
    }
    // Figures are compared digit by digit.
    text.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_table_fits_80_columns() {
        let row = |name: &str| {
            let figures = ["147,129", "295,746", "12,345", "2,985", "1.1 min", "3.0 min", "3.1 min"];
            [&[name], &figures[..]].concat().into_iter().map(str::to_owned).collect()
        };
        let table = Table {
            about: String::new(),
            head: vec![
                "outage",
                "good messages dead",
                "requests in it",
                "invocations in it",
                "billed s in it",
                "half delivered after",
                "99 %",
                "all",
            ],
            rows: vec![row("200 with a sign-in page, adaptive limit + visibility"), row("503, plain")],
            violations: Vec::new(),
        };
        let text = text(&table).to_string();
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        assert_eq!(text.matches("147,129").count(), 2, "no figure is broken into two: {text}");
    }
}
