//! Tables: for a terminal, or as Markdown for documents.

use lab::evidence::Table;

use crate::text::{COLUMNS, wrapped};

/// What is left free between two columns.
const GAP: usize = 1;

/// Prints a table.
pub(crate) fn print(table: &Table, markdown: bool) {
    if markdown {
        anstream::println!("{table}");
    } else {
        anstream::println!("{}\n\n{}", wrapped(&table.about, 0, 0), text(table));
    }
}

/// The table on lines of 80 columns. Where the names of the rows are too long, they have lines of their own.
fn text(table: &Table) -> String {
    let widths: Vec<usize> = (1..table.head.len()).map(|column| width(table, column)).collect();
    let figures: usize = widths.iter().map(|width| width + GAP).sum();
    let names =
        table.rows.iter().map(|row| chars(&row[0])).max().unwrap_or_default().max(chars(table.head[0]));
    let is_stacked = names + figures > COLUMNS;
    let first = if is_stacked { COLUMNS - figures } else { names };
    let mut lines = head(table, first, &widths);
    lines.push("-".repeat(first + figures));
    for row in &table.rows {
        let name = if is_stacked { "" } else { &row[0] };
        lines.extend(is_stacked.then(|| row[0].clone()));
        lines.push(line(name, &row[1..], first, &widths));
    }
    lines.join("\n")
}

/// The lines of the head. Its names are broken between words.
fn head(table: &Table, first: usize, widths: &[usize]) -> Vec<String> {
    let names = table.head[1..].iter().zip(widths);
    let names: Vec<Vec<String>> = names
        .map(|(name, width)| textwrap::wrap(name, *width).into_iter().map(Into::into).collect())
        .collect();
    let height = names.iter().map(Vec::len).max().unwrap_or_default();
    let word = |name: &Vec<String>, index: usize| {
        // The last words stand above the figures.
        (index + name.len()).checked_sub(height).map_or_else(String::new, |index| name[index].clone())
    };
    (0..height)
        .map(|index| {
            let cells: Vec<String> = names.iter().map(|name| word(name, index)).collect();
            line(if index + 1 == height { table.head[0] } else { "" }, &cells, first, widths)
        })
        .collect()
}

/// The width of a column: that of its longest figure, and of the longest word of its name.
fn width(table: &Table, column: usize) -> usize {
    let figures = table.rows.iter().map(|row| chars(&row[column]));
    figures.chain(table.head[column].split(' ').map(chars)).max().unwrap_or_default()
}

fn line(name: &str, figures: &[String], first: usize, widths: &[usize]) -> String {
    let cells = figures.iter().zip(widths).map(|(figure, width)| format!("{figure:>0$}", width + GAP));
    format!("{name:<first$}{}", cells.collect::<String>())
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> Table {
        let row =
            |figures: [&str; 3]| [&[name], &figures[..]].concat().into_iter().map(str::to_owned).collect();
        Table {
            about: String::new(),
            head: vec!["outage", "good messages dead", "99 %", "all"],
            rows: vec![row(["147,129", "1.1 min", "3.1 min"]), row(["0", "5 s", "10.9 min"])],
            violations: Vec::new(),
        }
    }

    #[test]
    fn figures_stand_below_each_other() {
        let expected = "
           good                 
       messages                 
outage     dead    99 %      all
--------------------------------
503     147,129 1.1 min  3.1 min
503           0     5 s 10.9 min";
        assert_eq!(text(&table("503")), expected[1..]);
    }

    #[test]
    fn a_long_name_has_a_line_of_its_own() {
        let text = text(&table("200 with a sign-in page, adaptive limit and visibility control"));
        assert!(text.lines().all(|line| chars(line) <= COLUMNS), "{text}");
        let lines: Vec<&str> = text.lines().skip(4).collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[0].starts_with("200 with") && lines[1].ends_with("147,129 1.1 min  3.1 min"), "{text}");
    }
}
