use chrono_tz::Europe::London;
use domain::money::Currency;

use super::country::code_of;
use super::file::{Reading, Row, parse};
use super::matching::{Matched, undo};
use super::sorting::{Document, Reason, Sorted, sort};

const READING: Reading = Reading { currency: Currency::GBP, zone: London };
const HEADER: &str =
    "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

fn sorted(rows: &str) -> Sorted {
    let (rows, malformed) = parse(format!("{HEADER}{rows}").as_bytes(), READING).unwrap();
    sort(rows, malformed)
}

#[test]
fn one_order_per_invoice_with_its_lines_in_order() {
    let sorted = sorted(
        "1001,AAA,Mug,2,2010-12-01T08:26:00,2.55,17850,United Kingdom\n\
         1002,BBB,Cup,1,2010-12-01T08:28:00,3.39,,France\n\
         1001,POST,Postage,1,2010-12-01T08:26:00,18,17850,United Kingdom\n",
    );
    let lines: Vec<_> =
        sorted.invoices.iter().map(|it| (it.number.as_str(), it.rows.len())).collect();
    assert_eq!(lines, [("1001", 2), ("1002", 1)]);
    assert!(sorted.rejected.is_empty());
}

#[test]
fn what_is_no_order_is_counted_with_its_reason() {
    let sorted = sorted(
        "1001,AAA,damaged,-5,2010-12-01T08:26:00,0,,United Kingdom\n\
         1002,AAA,?,56,2010-12-01T08:26:00,0,,United Kingdom\n\
         1003,AMAZONFEE,AMAZON FEE,1,2010-12-01T08:26:00,13541.33,,United Kingdom\n\
         C104,AAA,Mug,1,2010-12-01T08:26:00,2.55,1,United Kingdom\n\
         1005,AAA,Mug,two,2010-12-01T08:26:00,2.55,1,United Kingdom\n",
    );
    let reasons: Vec<_> = sorted.rejected.keys().cloned().collect();
    assert_eq!(
        reasons,
        [
            Reason::Malformed,
            Reason::Bookkeeping,
            Reason::StockWriteOff,
            Reason::NothingSold,
            Reason::NotCredited
        ]
    );
    assert_eq!(sorted.rejected[&Reason::Bookkeeping].gross, 1_354_133);
    assert_eq!(
        sorted.rejected[&Reason::Malformed].examples,
        ["line 6: Quantity: `two` is no whole number"]
    );
    assert!(sorted.invoices.is_empty() && sorted.credit_notes.is_empty());
}

#[test]
fn a_free_gift_beside_paid_goods_is_part_of_the_order() {
    let sorted = sorted(
        "1001,AAA,Mug,2,2010-12-01T08:26:00,2.55,17850,United Kingdom\n\
         1001,BBB,Gift,1,2010-12-01T08:26:00,0,17850,United Kingdom\n",
    );
    assert_eq!(sorted.invoices[0].rows.len(), 2);
}

#[test]
fn a_credit_note_is_kept_apart() {
    let sorted = sorted("C536379,D,Discount,-1,2010-12-01T09:41:00,27.50,14527,United Kingdom\n");
    assert_eq!(sorted.credit_notes[0].rows[0].gross(), -2_750);
}

#[test]
fn the_same_article_in_another_case_is_the_same_sku() {
    let sorted = sorted(
        "1001,85123A,Heart,1,2010-12-01T08:26:00,2.55,1,EIRE\n\
         1001,85123a,Heart,1,2010-12-01T08:26:00,2.55,1,EIRE\n",
    );
    let rows = &sorted.invoices[0].rows;
    assert_eq!(rows[0].sku, rows[1].sku);
}

#[test]
fn local_time_follows_the_season() {
    let at = |date: &str| sorted(&format!("1,AAA,Mug,1,{date},1,,EIRE\n")).invoices[0].rows[0].date;
    assert_eq!(at("2010-12-01T08:26:00").to_rfc3339(), "2010-12-01T08:26:00+00:00");
    assert_eq!(at("2011-06-01T08:26:00").to_rfc3339(), "2011-06-01T07:26:00+00:00");
}

#[test]
fn malformed_rows_name_the_field_and_do_not_stop_the_others() {
    let sorted = sorted(
        "1001,AAA,Mug,1,yesterday,1.00,,France\n\
         1002,AAA,Mug,1,2010-12-01T08:26:00,1.005,,France\n\
         1003,AAA,Mug,0,2010-12-01T08:26:00,1.00,,France\n\
         1004,A;A,Mug,1,2010-12-01T08:26:00,1.00,,France\n\
         1005,AAA\n\
         ,AAA,Mug,1,2010-12-01T08:26:00,1.00,,France\n\
         1007,AAA,Mug,1,2010-12-01T08:26:00,1.00,,France\n",
    );
    assert_eq!(sorted.rejected[&Reason::Malformed].rows, 6);
    assert_eq!(sorted.invoices.len(), 1);
}

#[test]
fn a_file_without_a_column_is_refused_by_name() {
    let error = parse("InvoiceNo,StockCode\n".as_bytes(), READING).unwrap_err();
    assert!(error.to_string().starts_with("the file has no column Description"), "{error}");
}

#[test]
fn countries_go_by_name_code_or_unknown() {
    assert_eq!(code_of("EIRE").as_str(), "IE");
    assert_eq!(code_of("FR").as_str(), "FR");
    assert_eq!(code_of("Unspecified").as_str(), "ZZ");
}

/// Note, invoice, units by line.
type TakenBack = (String, String, Vec<(usize, i64)>);
/// Note, units.
type Kept = (String, Vec<i64>);

/// What a file's credit notes take back, and what stays a credit note.
fn undone(rows: &str) -> (Vec<TakenBack>, Vec<Kept>) {
    let Sorted { invoices, credit_notes, .. } = sorted(rows);
    let in_all = |documents: &[Document]| -> i128 {
        documents.iter().flat_map(|it| &it.rows).map(Row::gross).sum()
    };
    let (count, sum) = (credit_notes.iter().map(|it| it.rows.len()).sum(), in_all(&credit_notes));
    let Matched { returned, credited } = undo(invoices.iter().collect(), credit_notes);
    let rows: u64 =
        returned.iter().map(|it| it.rows).chain(credited.iter().map(|it| it.rows)).sum();
    assert_eq!(usize::try_from(rows), Ok(count), "every row is somewhere, once");
    let left: Vec<_> = credited.into_iter().map(|it| it.document).collect();
    assert_eq!(returned.iter().map(|it| it.gross).sum::<i128>() + in_all(&left), sum);
    let units = |it: &Document| it.rows.iter().map(|row| -row.quantity).collect();
    (
        returned
            .into_iter()
            .map(|it| (it.note, it.invoice, it.lines.into_iter().collect()))
            .collect(),
        left.iter().map(|it| (it.number.clone(), units(it))).collect(),
    )
}

fn from(note: &str, invoice: &str, lines: &[(usize, i64)]) -> TakenBack {
    (note.to_owned(), invoice.to_owned(), lines.to_vec())
}

fn kept(note: &str, units: &[i64]) -> Kept {
    (note.to_owned(), units.to_vec())
}

#[test]
fn a_credit_note_undoes_the_latest_order_before_it_of_that_customer_article_and_price() {
    let (returned, credited) = undone(
        "1001,AAA,Mug,2,2010-12-01T08:00:00,2.55,7,France\n\
         1002,BBB,Cup,1,2010-12-02T08:00:00,2.55,7,France\n\
         1002,AAA,Mug,2,2010-12-02T08:00:00,2.55,7,France\n\
         1003,AAA,Mug,2,2010-12-03T08:00:00,2.10,7,France\n\
         1004,AAA,Mug,2,2010-12-03T08:00:00,2.55,8,France\n\
         C105,AAA,Mug,-1,2010-12-04T08:00:00,2.55,7,France\n\
         1006,AAA,Mug,2,2010-12-05T08:00:00,2.55,7,France\n",
    );
    assert_eq!(returned, [from("C105", "1002", &[(1, 1)])]);
    assert_eq!(credited, []);
}

#[test]
fn a_row_is_spread_over_orders_and_what_is_left_stays_a_credit_note() {
    let (returned, credited) = undone(
        "1001,AAA,Mug,2,2010-12-01T08:00:00,2.55,7,France\n\
         1002,AAA,Mug,1,2010-12-02T08:00:00,2.55,7,France\n\
         1002,AAA,Mug,3,2010-12-02T08:00:00,2.55,7,France\n\
         C103,AAA,Mug,-9,2010-12-04T08:00:00,2.55,7,France\n\
         C103,D,Discount,-1,2010-12-04T08:00:00,5,7,France\n",
    );
    assert_eq!(
        returned,
        [from("C103", "1001", &[(0, 2)]), from("C103", "1002", &[(0, 1), (1, 3)])]
    );
    assert_eq!(credited, [kept("C103", &[3, 1])]);
}

#[test]
fn no_unit_comes_back_twice_whatever_the_order_of_the_file() {
    let (returned, credited) = undone(
        "C103,AAA,Mug,-2,2010-12-04T08:00:00,2.55,7,France\n\
         C102,AAA,Mug,-2,2010-12-03T08:00:00,2.55,7,France\n\
         1001,AAA,Mug,3,2010-12-01T08:00:00,2.55,7,France\n",
    );
    assert_eq!(returned, [from("C102", "1001", &[(0, 2)]), from("C103", "1001", &[(0, 1)])]);
    assert_eq!(credited, [kept("C103", &[1])]);
}

#[test]
fn a_guest_cannot_be_recognised() {
    let (returned, credited) = undone(
        "1001,AAA,Mug,3,2010-12-01T08:00:00,2.55,,France\n\
         C102,AAA,Mug,-2,2010-12-03T08:00:00,2.55,,France\n",
    );
    assert_eq!(returned, []);
    assert_eq!(credited, [kept("C102", &[2])]);
}
