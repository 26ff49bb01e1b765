//! Decoded CSV text as cells.

use super::{
    cells::Cells,
    chunk::{Split, Texts},
    plan::Plan,
    tokenise::tokenise,
};

pub(super) fn split(texts: Texts, plan: &Plan) -> Split {
    let cells = Cells::in_spare(plan.columns.len());
    let mut split = Split { bad: texts.bad, misfits: texts.misfits, cells };
    for (text, line) in texts.runs {
        let base = split.cells.text.len();
        if base == 0 {
            split.cells.text = text;
        } else {
            split.cells.text.push_str(&text);
        }
        tokenise(&mut split.cells, base, line, plan.grammar, &plan.limits, &mut split.bad);
    }
    split
}
