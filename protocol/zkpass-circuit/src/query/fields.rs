//! Decoders of fields, and the flags that say which of them count.

use super::{Any, Compiler, Kind, Live, Needs};
use crate::builder::Lc;
use crate::field::F;
use crate::gadgets::values;
use crate::plan::STRING_LIMBS;
use bellpepper_core::ConstraintSystem;
use zkpass_query::ast::{FieldId, Type};

/// One field's decoders.
#[derive(Default)]
pub(super) struct FieldState {
    integer: Option<(Lc, Lc)>,
    string: Option<(Lc, Vec<Lc>)>,
    boolean: Option<(Lc, Lc)>,
    /// Type flags, where some use leaves the type to the data.
    any: Option<[Lc; 3]>,
    lives: [Vec<Lc>; 3],
}

impl<CS: ConstraintSystem<F>> Compiler<'_, '_, CS> {
    /// A field read as a type, or as the type it has.
    pub(super) fn field(&mut self, f: FieldId, ty: Option<Type>, live: &Live) -> Kind {
        let live = self.live_lc(live);
        match ty {
            Some(Type::Integer) => Kind::Integer(self.field_integer(f, live)),
            Some(Type::String) => Kind::String(self.field_string(f, live)),
            Some(Type::Boolean) => Kind::Boolean(self.field_boolean(f, live)),
            None => {
                let is = self.field_type(f);
                let each: Vec<Lc> = is.iter().map(|k| self.b.mul(&live, k)).collect();
                let part = |k: usize| each.get(k).cloned().unwrap_or_else(|| self.b.zero());
                let (i, s, t) = (part(0), part(1), part(2));
                Kind::Any(Box::new(Any {
                    integer: self.field_integer(f, i),
                    string: self.field_string(f, s),
                    boolean: self.field_boolean(f, t),
                    is,
                }))
            }
        }
    }

    fn leaf_limbs(&self, f: FieldId) -> Vec<Lc> {
        let leaf = self.plan.field_leaf.get(f).copied().unwrap_or(0);
        let mut limbs = self.captured.leaves.get(leaf).cloned().unwrap_or_default();
        limbs.resize(STRING_LIMBS, self.b.zero());
        limbs
    }

    fn native_token(&self, f: FieldId) -> Option<(Vec<u8>, bool)> {
        let limbs: Vec<F> = self.leaf_limbs(f).iter().map(Lc::value).collect();
        let leaf = self.plan.field_leaf.get(f).copied()?;
        self.captured
            .present
            .get(leaf)
            .filter(|p| p.is_one())
            .and_then(|_| values::token_bytes(&limbs))
    }

    /// One flag for each type, one of them set: what the data holds.
    fn field_type(&mut self, f: FieldId) -> [Lc; 3] {
        if let Some(is) = self.fields.get(f).and_then(|s| s.any.clone()) {
            return is;
        }
        let kind = match self.native_token(f) {
            Some((_, true)) => 1,
            Some((t, false)) if t == b"true" || t == b"false" => 2,
            _ => 0,
        };
        let [i, s, t] = [0, 1, 2].map(|k| self.b.bit(k == kind));
        let sum = self.b.total([&i, &s, &t]);
        let one = self.b.one();
        self.b.equal(&sum, &one);
        let is = [i, s, t];
        if let Some(state) = self.fields.get_mut(f) {
            state.any = Some(is.clone());
        }
        is
    }

    /// A `need` flag for one decoder of a field, and what the decoder reads: the
    /// captured token where it is needed, else the default.
    fn need(&mut self, f: FieldId, k: usize, decodes: bool, default: &[F]) -> (Lc, Vec<Lc>) {
        let wanted = match self.needs {
            None => decodes,
            Some(needs) => needs
                .get(f)
                .and_then(|n| n.get(k))
                .copied()
                .unwrap_or(false),
        };
        let need = self.b.bit(wanted);
        let leaf = self.plan.field_leaf.get(f).copied().unwrap_or(0);
        if let Some(present) = self.captured.present.get(leaf) {
            let absent = self.b.not(present);
            self.b.zero_product(&need, &absent);
        }
        let limbs = self.leaf_limbs(f);
        let read = limbs
            .iter()
            .zip(default)
            .map(|(limb, d)| {
                let d = self.b.constant(*d);
                self.b.select(&need, limb, &d)
            })
            .collect();
        (need, read)
    }

    fn note_live(&mut self, f: FieldId, k: usize, live: Lc) {
        if let Some(list) = self.fields.get_mut(f).and_then(|s| s.lives.get_mut(k)) {
            list.push(live);
        }
    }

    fn field_integer(&mut self, f: FieldId, live: Lc) -> Lc {
        self.note_live(f, 0, live);
        if let Some((_, v)) = self.fields.get(f).and_then(|s| s.integer.clone()) {
            return v;
        }
        let token = self.native_token(f);
        let decodes = matches!(&token, Some((t, false)) if values::parse_integer(t).is_some());
        let (need, read) = self.need(f, 0, decodes, &[values::plain(b"0")]);
        let limb = read.first().cloned().unwrap_or_else(|| self.b.zero());
        let v = values::integer(self.b, &limb);
        if let Some(state) = self.fields.get_mut(f) {
            state.integer = Some((need, v.clone()));
        }
        v
    }

    fn field_string(&mut self, f: FieldId, live: Lc) -> Vec<Lc> {
        self.note_live(f, 1, live);
        if let Some((_, v)) = self.fields.get(f).and_then(|s| s.string.clone()) {
            return v;
        }
        let decodes = matches!(self.native_token(f), Some((_, true)));
        let (need, read) = self.need(f, 1, decodes, &values::string_constant(""));
        let limbs = values::string(self.b, &read);
        if let Some(state) = self.fields.get_mut(f) {
            state.string = Some((need, limbs.clone()));
        }
        limbs
    }

    fn field_boolean(&mut self, f: FieldId, live: Lc) -> Lc {
        self.note_live(f, 2, live);
        if let Some((_, v)) = self.fields.get(f).and_then(|s| s.boolean.clone()) {
            return v;
        }
        let token = self.native_token(f);
        let decodes = matches!(&token, Some((t, false)) if t == b"true" || t == b"false");
        let (need, read) = self.need(f, 2, decodes, &[values::plain(b"false")]);
        let limb = read.first().cloned().unwrap_or_else(|| self.b.zero());
        let v = values::boolean(self.b, &limb);
        if let Some(state) = self.fields.get_mut(f) {
            state.boolean = Some((need, v.clone()));
        }
        v
    }

    /// Ties each `need` flag to "some use is live".
    pub(super) fn settle_needs(&mut self) -> Needs {
        let mut found = vec![];
        for state in std::mem::take(&mut self.fields) {
            let flags = [
                state.integer.map(|x| x.0),
                state.string.map(|x| x.0),
                state.boolean.map(|x| x.0),
            ];
            let mut row = [false; 3];
            for ((flag, lives), cell) in flags.into_iter().zip(&state.lives).zip(&mut row) {
                if let Some(flag) = flag {
                    let any = self.b.any(lives);
                    *cell = any.is_one();
                    if self.needs.is_some() {
                        self.b.equal(&flag, &any);
                    }
                }
            }
            found.push(row);
        }
        found
    }
}
