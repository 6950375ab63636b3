//! What the circuits cost, in one table: a change that moves a number is seen.

use super::{Case, Document, date, single};
use zkpass_core::user_data::Profile;

/// The bank-loan shape: a date, integers, a string comparison, an output.
pub(crate) const LOAN: &str = r#"[
  {"assign": {"age": {"get_age": [{"dvar": "date_of_birth"}, "YYYY-MM-DD"]}}},
  {"assign": {"ok": {"and": [
     {">=": [{"lvar": "age"}, 21]},
     {">=": [{"dvar": "monthly_income"}, 3000]},
     {"<": [{"dvar": "debt"}, 500]},
     {"==": [{"dvar": "address.city"}, "Jakarta"]}]}}},
  {"output": {"eligible": {"lvar": "ok"}}},
  {"if": {"condition": {"lvar": "ok"},
          "then": [{"output": {"first_name": {"dvar": "first_name"}}}]}}
]"#;

pub(crate) fn loan_payload(filler: usize) -> String {
    format!(
        r#"{{"first_name":"Dewi","_first_name_zkpass_public_":true,"date_of_birth":"1990-05-17","monthly_income":4200,"debt":120,"address":{{"city":"Jakarta","street":"{}"}}}}"#,
        "x".repeat(filler)
    )
}

#[test]
fn constraints() {
    let mut rows = vec![];
    let as_of = date(2026, 3, 1);
    let mut note = |name: &str, case: Case| {
        case.holds();
        rows.push(format!(
            "{name}: {} blocks, step {}, core {}, shared {}",
            case.blocks(),
            case.step_system(0).constraints(),
            case.core_system().constraints(),
            case.plan.layout.len(),
        ));
    };
    let exists = r#"[{"output": {"e": {"exists": {"dvar": "a"}}}}]"#;
    note(
        "one boolean",
        Case::new(exists, &single(r#"{"a":1}"#), as_of),
    );
    for filler in [0, 300, 800, 2000] {
        note(
            "bank loan",
            Case::new(LOAN, &single(&loan_payload(filler)), as_of),
        );
    }
    let two = [
        ("a", "{\"data\":{\"n\":1}}", "k"),
        ("b", "{\"data\":{\"n\":1}}", "kk"),
    ]
    .map(|(tag, payload, kid)| Document {
        tag,
        profile: Profile::Zkpass,
        payload,
        kid: Some(kid),
    });
    let join = r#"[{"output": {"same": {"==": [{"dvar": "a.n"}, {"dvar": "b.n"}]}}}]"#;
    note("two documents", Case::new(join, &two, as_of));
    let expected = include_str!("counts.txt");
    assert_eq!(
        rows.join("\n"),
        expected.trim_end(),
        "\n{}\n",
        rows.join("\n")
    );
}
