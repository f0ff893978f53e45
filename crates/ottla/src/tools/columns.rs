//! Columns as Java's `printf` makes them.

/// A text, with spaces behind it up to a width.
pub(super) fn left(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

/// Columns of these widths with a space between two; the last one of a row is as wide as it is
/// where its width is 0.
pub(super) fn row(widths: &[usize], cells: &[&str]) -> String {
    assert_eq!(widths.len(), cells.len(), "a row has a cell in each column");
    let cells: Vec<String> =
        widths.iter().zip(cells).map(|(width, cell)| left(cell, *width)).collect();
    cells.join(" ")
}

/// The widest of texts, and at least so wide.
pub(super) fn widest<'a>(least: usize, texts: impl IntoIterator<Item = &'a str>) -> usize {
    texts.into_iter().map(|text| text.chars().count()).max().unwrap_or(0).max(least)
}

/// A table whose columns are as wide as their widest cell, tabs behind each.
pub(super) fn table(titles: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |column: usize| rows.iter().map(move |row| row[column].as_str());
    let widths: Vec<usize> = (0..titles.len())
        .map(|column| widest(titles[column].chars().count(), cells(column)))
        .collect();
    let line = |cells: &[&str]| {
        let cells: Vec<String> =
            widths.iter().zip(cells).map(|(width, cell)| left(cell, *width)).collect();
        format!("{}\t\n", cells.join("\t"))
    };
    let mut text = line(titles);
    for row in rows {
        text.push_str(&line(&row.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    text
}

/// Numbers with commas between them.
pub(super) fn numbers(numbers: &[i32]) -> String {
    numbers.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_have_to_be() {
        assert_eq!(row(&[4, 3, 0], &["a", "long", "c"]), "a    long c");
        assert_eq!(widest(3, ["a", "abcde"]), 5);
        assert_eq!(
            table(&["Id", "Name"], &[vec!["10".into(), "a".into()]]),
            "Id\tName\t\n10\ta   \t\n"
        );
    }
}
