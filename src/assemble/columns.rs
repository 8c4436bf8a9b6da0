//! The facts of a document's tables, computed from every row: columns, kinds, ranges, sums, outliers,
//! missing values. No model is asked; a summary of a table rests on these and on a few of its rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::decimal::{Decimal, Point, point, unit};
use super::lexical::words;
use super::normal::{DateReading, placed_dates};
use super::record::{Cell, ColumnFacts, Common, TableFacts};
use crate::base::{Format, counted};
use crate::extract::{Block, Document, Page, Role};
use crate::jobs::DayOrder;

/// A column is of the kind of at least so many hundredths of its filled cells.
const KIND_PERCENT: usize = 90;
/// Numbers of a column from which on outliers are told.
const OUTLIERS_FROM: usize = 8;
/// Cells and values that are named in each column.
const NAMED_MAX: usize = 3;
/// What a row that sums up those above it begins with.
const TOTALS: [&str; 8] =
    ["total", "totals", "subtotal", "sum", "summe", "gesamt", "gesamtsumme", "insgesamt"];
/// Names of columns whose numbers name things: they have no sum.
const NAMING: [&str; 16] = [
    "id", "no", "nr", "nummer", "number", "code", "account", "konto", "year", "jahr", "zip", "plz",
    "phone", "page", "line", "row",
];

/// Whether documents of a format are tables throughout, and summarized as such where they hold any.
pub(super) fn is_tabular(format: Format) -> bool {
    use Format::{Csv, Ods, Tsv, Xls, Xlsb, Xlsx};
    matches!(format, Xlsx | Xlsb | Xls | Ods | Csv | Tsv)
}

/// A page's table: the rows under the one that names the columns.
pub(super) struct Table<'t> {
    page: &'t Page,
    names: Vec<String>,
    rows: Vec<Vec<&'t str>>,
    /// Rows that sum up: what they begin with, and their cells.
    totals: Vec<Vec<&'t str>>,
}

/// The tables of all pages that hold one of at least two rows and columns.
pub(super) fn tables(document: &Document) -> Vec<Table<'_>> {
    document.pages.iter().filter_map(table).collect()
}

/// The facts of each table. `order` decides on 03/04/2019.
pub(super) fn facts(tables: &[Table<'_>], order: Option<DayOrder>) -> Vec<TableFacts> {
    tables.iter().map(|table| table_facts(table, order)).collect()
}

/// The first rows of each table under its columns' names, as long as `fits` says that there is room.
pub(super) fn sample(tables: &[Table<'_>], fits: &dyn Fn(&str) -> bool) -> String {
    let mut text = String::new();
    for table in tables {
        let head = format!("First rows of {}:\n{}\n", named(table.page), table.names.join(" | "));
        if !fits(&(text.clone() + &head)) {
            break;
        }
        text.push_str(&head);
        for row in table.rows.iter().take(SAMPLE_ROWS) {
            let line = row.join(" | ") + "\n";
            if !fits(&(text.clone() + &line)) {
                break;
            }
            text.push_str(&line);
        }
    }
    text
}

/// Rows of each table that the model is shown.
const SAMPLE_ROWS: usize = 12;

fn table(page: &Page) -> Option<Table<'_>> {
    let text = |block: &Block| -> Vec<&str> {
        page.verbatim_of(block).split('\t').map(str::trim).collect()
    };
    let blocks = page.blocks.iter();
    let header = page.blocks.iter().position(|block| block.role == Role::TableHeader);
    let rows = blocks.skip(header.map_or(0, |at| at + 1));
    let mut rows: Vec<Vec<&str>> =
        rows.filter(|block| block.role == Role::TableRow).map(text).collect();
    let width = rows.iter().map(Vec::len).max()?;
    if rows.len() < 2 || width < 2 {
        return None;
    }
    let mut totals = Vec::new();
    while rows.last().is_some_and(|row| sums_up(row)) {
        totals.extend(rows.pop());
    }
    let mut names: Vec<String> = header
        .map_or(Vec::new(), |at| text(&page.blocks[at]).into_iter().map(str::to_owned).collect());
    names.resize(names.len().max(width), String::new());
    for (name, number) in names.iter_mut().zip(1..) {
        if name.is_empty() {
            *name = format!("column {number}");
        }
    }
    Some(Table { page, names, rows, totals })
}

fn sums_up(row: &[&str]) -> bool {
    let first = row.iter().find(|cell| !cell.is_empty());
    first.is_some_and(|cell| words(cell).first().is_some_and(|word| TOTALS.contains(&&**word)))
}

fn named(page: &Page) -> String {
    match label(page) {
        "" => "the table".to_owned(),
        label => format!("“{label}”"),
    }
}

/// What a person calls the table; a file that is one table has no name of its own.
fn label(page: &Page) -> &str {
    match page.label.as_str() {
        "csv" | "tsv" => "",
        label => label,
    }
}

fn table_facts(table: &Table<'_>, order: Option<DayOrder>) -> TableFacts {
    let looks_numeric = |cell: &&str| {
        [Point::Dot, Point::Comma].iter().any(|point| Decimal::read(cell, *point).is_some())
    };
    let all = table.rows.iter().flat_map(|row| row.iter().copied());
    let (point, doubt) = point(all.filter(looks_numeric));
    let mut notes = Vec::new();
    if doubt {
        let mark = if point == Point::Dot { "dot" } else { "comma" };
        notes.push(format!(
            "numbers such as 1,000 and 1.000 can be read in two ways; the {mark} is taken for the point"
        ));
    }
    let columns: Vec<Column> = (0..table.names.len())
        .map(|at| {
            let cells: Vec<&str> =
                table.rows.iter().map(|row| *row.get(at).unwrap_or(&"")).collect();
            column(&table.names[at], &cells, point, order)
        })
        .collect();
    for total in &table.totals {
        for ((cell, column), name) in total.iter().zip(&columns).zip(&table.names) {
            let said = Decimal::read(cell, point);
            let differs = said.zip(column.sum).filter(|(said, sum)| said != sum);
            if differs.is_some() {
                let first = total.iter().find(|cell| !cell.is_empty()).unwrap_or(&"");
                let sum = &column.facts.sum;
                notes.push(format!(
                    "the row “{first}” says {cell} for {name}; the rows shown above it sum to {sum}"
                ));
            }
        }
    }
    let mut seen = BTreeSet::new();
    let repeated = table.rows.iter().filter(|row| !seen.insert(*row)).count() as u64;
    TableFacts {
        page: table.page.number,
        label: label(table.page).to_owned(),
        rows: table.rows.len() as u64,
        repeated,
        columns: columns.into_iter().map(|column| column.facts).collect(),
        notes,
    }
}

/// A column's facts, and its exact sum where it has one.
struct Column {
    facts: ColumnFacts,
    sum: Option<Decimal>,
}

fn column(name: &str, cells: &[&str], point: Point, order: Option<DayOrder>) -> Column {
    let mut facts = ColumnFacts { name: name.to_owned(), ..ColumnFacts::default() };
    let filled: Vec<(u64, &str)> =
        (1..).zip(cells.iter().copied()).filter(|(_, cell)| !cell.is_empty()).collect();
    facts.filled = filled.len() as u64;
    facts.missing = (cells.len() - filled.len()) as u64;
    let mut times: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, cell) in &filled {
        *times.entry(cell).or_default() += 1;
    }
    facts.distinct = times.len() as u64;
    let enough = |found: usize| found > 0 && 100 * found >= KIND_PERCENT * filled.len();

    let numbers: Vec<(u64, Decimal, &str)> = filled
        .iter()
        .filter_map(|(row, cell)| Some((*row, Decimal::read(cell, point)?, *cell)))
        .collect();
    if enough(numbers.len()) {
        facts.kind = "number".to_owned();
        facts.other = (filled.len() - numbers.len()) as u64;
        let sum = of_numbers(&mut facts, &numbers);
        return Column { facts, sum };
    }
    let dates: Vec<String> = filled.iter().filter_map(|(_, cell)| date(cell, order)).collect();
    if enough(dates.len()) {
        facts.kind = "date".to_owned();
        facts.other = (filled.len() - dates.len()) as u64;
        facts.least = dates.iter().min().cloned().unwrap_or_default();
        facts.most = dates.iter().max().cloned().unwrap_or_default();
        return Column { facts, sum: None };
    }
    facts.kind = if filled.is_empty() { "empty" } else { "text" }.to_owned();
    let mut common: Vec<(&str, u64)> = times.into_iter().filter(|(_, times)| *times > 1).collect();
    common.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    let named = common.into_iter().take(NAMED_MAX);
    facts.common = named.map(|(value, times)| Common { value: value.to_owned(), times }).collect();
    Column { facts, sum: None }
}

/// Fills in what is said of numbers; the sum, where they have one.
fn of_numbers(facts: &mut ColumnFacts, numbers: &[(u64, Decimal, &str)]) -> Option<Decimal> {
    let units: BTreeSet<String> = numbers.iter().map(|(.., cell)| unit(cell)).collect();
    if let (1, Some(only)) = (units.len(), units.first()) {
        facts.unit.clone_from(only);
    }
    let mut sorted: Vec<Decimal> = numbers.iter().map(|(_, number, _)| *number).collect();
    sorted.sort();
    facts.least = sorted.first().map(Decimal::to_string).unwrap_or_default();
    facts.most = sorted.last().map(Decimal::to_string).unwrap_or_default();
    let name_words = words(&facts.name);
    let names = name_words.last().is_some_and(|word| NAMING.contains(&&**word))
        || counted_up(numbers) && units.iter().all(String::is_empty);
    if names {
        facts.names = true;
        return None;
    }
    let sum = numbers.iter().try_fold(Decimal::ZERO, |sum, (_, number, _)| sum.plus(*number))?;
    facts.mean = sum.over(numbers.len() as u64).map(|mean| mean.to_string()).unwrap_or_default();
    if let Some((low, high)) = fences(&sorted) {
        let beyond = numbers.iter().filter(|(_, number, _)| {
            number.times(8).is_some_and(|number| number < low || number > high)
        });
        let beyond: Vec<Cell> =
            beyond.map(|(row, _, cell)| Cell { row: *row, value: (*cell).to_owned() }).collect();
        facts.outliers = beyond.len() as u64;
        facts.outlying = beyond.into_iter().take(NAMED_MAX).collect();
    }
    // Shares of different wholes do not add up, nor do amounts in several currencies.
    if units.len() > 1 || facts.unit == "%" {
        return None;
    }
    facts.sum = sum.to_string();
    Some(sum)
}

/// Whether the numbers are whole and count up by one, row by row, as identifiers do.
fn counted_up(numbers: &[(u64, Decimal, &str)]) -> bool {
    let one = Decimal::read("1", Point::Dot);
    let whole = numbers.iter().all(|(_, number, _)| number.is_whole());
    whole && numbers.len() > 2 && numbers.windows(2).all(|two| two[1].1.minus(two[0].1) == one)
}

/// Eight times the bounds beyond which a value is an outlier: one and a half times the middle half's
/// width below and above it (Tukey 1977), quartiles by linear interpolation between the values.
fn fences(sorted: &[Decimal]) -> Option<(Decimal, Decimal)> {
    if sorted.len() < OUTLIERS_FROM {
        return None;
    }
    // Four times the quartile at `quarter` quarters of the way.
    let quartile = |quarter: usize| {
        let (at, rest) = ((sorted.len() - 1) * quarter / 4, (sorted.len() - 1) * quarter % 4);
        let low = sorted[at];
        let step = sorted.get(at + 1).unwrap_or(&low).minus(low)?;
        low.times(4)?.plus(step.times(rest as i128)?)
    };
    let (low, high) = (quartile(1)?, quartile(3)?);
    let reach = high.minus(low)?.times(3)?;
    (reach > Decimal::ZERO).then_some(())?;
    Some((low.times(2)?.minus(reach)?, high.times(2)?.plus(reach)?))
}

/// The day or month that a cell names and nothing else.
fn date(cell: &str, order: Option<DayOrder>) -> Option<String> {
    match placed_dates(cell, order).as_slice() {
        [(place, DateReading::Iso(date))] if place.start == 0 => {
            let rest = cell[place.end..].trim_start_matches(['T', ' ']);
            let time = rest.chars().all(|c| c.is_ascii_digit() || ": .Z+AMP".contains(c));
            time.then(|| date.clone())
        }
        _ => None,
    }
}

/// A table's facts as lines that a person and the model read, one for the table and one for each column.
pub fn lines(table: &TableFacts) -> Vec<String> {
    let named = match table.label.as_str() {
        "" => "Table".to_owned(),
        label => format!("Table “{label}”"),
    };
    let mut first = format!(
        "{named}: {}, {}",
        counted(table.rows, "row"),
        counted(table.columns.len() as u64, "column")
    );
    if table.repeated > 0 {
        let _ = write!(first, "; {} repeat an earlier row", table.repeated);
    }
    let mut lines = vec![first];
    for column in &table.columns {
        let ColumnFacts { name, kind, filled, unit, least, most, sum, mean, .. } = column;
        let mut line = format!("{name}: {kind}");
        if column.names {
            line.push_str(" (names things)");
        }
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        if !least.is_empty() {
            let _ = write!(line, ", {least} to {most}{unit}");
        }
        if !sum.is_empty() {
            let _ = write!(line, ", sum {sum}{unit}");
        }
        if !mean.is_empty() {
            let _ = write!(line, ", mean {mean}{unit}");
        }
        if kind == "text" {
            let _ = write!(line, ", {} different", column.distinct);
            let common = column.common.iter().map(|one| format!("{} ({})", one.value, one.times));
            let common: Vec<String> = common.collect();
            if !common.is_empty() {
                let _ = write!(line, ", most often {}", common.join(", "));
            }
        }
        if column.outliers > 0 {
            let named =
                column.outlying.iter().map(|cell| format!("{} in row {}", cell.value, cell.row));
            let named: Vec<String> = named.collect();
            let more = column.outliers as usize - named.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let _ = write!(line, ", far from the others: {}{more}", named.join(", "));
        }
        if column.other > 0 {
            let _ = write!(line, ", {} of another kind", column.other);
        }
        if column.missing > 0 {
            let _ = write!(line, ", {} missing", column.missing);
        }
        debug_assert!(*filled + column.missing == table.rows);
        lines.push(line);
    }
    lines.extend(table.notes.iter().cloned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Limits;
    use crate::extract::{Options, extract};

    fn of_csv(text: &str) -> Vec<TableFacts> {
        let read = extract(text.as_bytes(), Format::Csv, &Options::default(), &Limits::default());
        facts(&tables(&read.expect("a table").output), None)
    }

    /// python3: the amounts are `(i * 7919) % 1000 / 100` with two digits for i = 1 … 40, row 33 is
    /// 950.00; sums and means by `decimal`, quartiles by `statistics.quantiles(v, n=4,
    /// method="inclusive")`.
    fn forty_rows() -> String {
        let mut text = String::from("No,Day,Shop,Amount,Rate\n");
        for i in 1..=40u32 {
            let cents = (i * 7919) % 1000;
            let amount = match i {
                33 => "950.00".to_owned(),
                7 => String::new(),
                _ => format!("{}.{:02}", cents / 100, cents % 100),
            };
            let shop = ["North", "South", "East"][i as usize % 3];
            text += &format!(
                "{i},2024-{:02}-{:02},{shop},{amount},{}%\n",
                i % 12 + 1,
                i % 28 + 1,
                i % 5
            );
        }
        text + "Total,,,1129.24,\n"
    }

    #[test]
    fn what_is_said_of_columns_is_what_python_computes() {
        let found = of_csv(&forty_rows());
        let table = &found[0];
        assert_eq!((table.rows, table.columns.len()), (40, 5));
        let [number, day, shop, amount, rate] = &table.columns[..] else { panic!("five columns") };
        assert!(number.names && number.sum.is_empty());
        assert_eq!(
            (day.kind.as_str(), day.least.as_str(), day.most.as_str()),
            ("date", "2024-01-09", "2024-12-24")
        );
        assert_eq!(
            (shop.distinct, shop.common[0].value.as_str(), shop.common[0].times),
            (3, "South", 14)
        );
        assert_eq!((amount.filled, amount.missing), (39, 1));
        assert_eq!((amount.least.as_str(), amount.most.as_str()), ("0.03", "950.00"));
        assert_eq!((amount.sum.as_str(), amount.mean.as_str()), ("1148.20", "29.4410"));
        assert_eq!((amount.outliers, amount.outlying[0].row), (1, 33));
        assert_eq!((rate.unit.as_str(), rate.sum.as_str(), rate.mean.as_str()), ("%", "", "2.00"));
        assert_eq!(
            table.notes,
            ["the row “Total” says 1129.24 for Amount; the rows shown above it sum to 1148.20"]
        );
        assert!(lines(table).iter().any(|line| line.contains("950.00 in row 33")));
    }

    #[test]
    fn german_numbers_are_read_by_what_the_column_can_only_mean() {
        let found =
            of_csv("Datum;Betrag (€)\n01.02.2024;-1.072,63\n02.02.2024;85,78\n03.02.2024;-85,78\n");
        let amount = &found[0].columns[1];
        assert_eq!((amount.sum.as_str(), amount.least.as_str()), ("-1072.63", "-1072.63"));
        assert_eq!(found[0].columns[0].most, "2024-02-03");
    }
}
