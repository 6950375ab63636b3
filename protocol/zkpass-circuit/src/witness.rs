//! The witness of a proof, from the tokens.

use crate::builder::Builder;
use crate::core::{self, CoreWitness, IV};
use crate::counter::Counter;
use crate::field::{F, from_be_bytes, pow2};
use crate::gadgets::base64;
use crate::gadgets::date::AsOf;
use crate::gadgets::ecdsa::SignatureWitness;
use crate::gadgets::sha256;
use crate::plan::{Plan, TokenPlan};
use crate::query;
use crate::scan;
use ff::Field;
use zkpass_query::ast::Program;

/// A token as the witness needs it: the signing input and the signature.
pub(crate) struct SignedToken {
    pub(crate) signing_input: Vec<u8>,
    pub(crate) signature: SignatureWitness,
}

/// Witness of all circuits of one proof.
pub(crate) struct Witness {
    pub(crate) shared: Vec<F>,
    pub(crate) core: CoreWitness,
}

impl Witness {
    /// Values with which circuits can be described but not satisfied.
    pub(crate) fn blank(plan: &Plan, program: &Program) -> Witness {
        Witness {
            shared: vec![F::ZERO; plan.layout.len()],
            core: CoreWitness {
                lengths: vec![0; plan.tokens.len()],
                signatures: plan
                    .tokens
                    .iter()
                    .map(|_| SignatureWitness::blank())
                    .collect(),
                needs: vec![[false; 3]; program.fields.len()],
            },
        }
    }

    /// The honest witness. `public` are the public values; of them only the date
    /// matters here. Tokens that do not fit the plan give a witness that does not
    /// satisfy the circuits.
    pub(crate) fn new(
        plan: &Plan,
        program: &Program,
        tokens: Vec<SignedToken>,
        as_of: zkpass_core::date::Date,
    ) -> Witness {
        let layout = &plan.layout;
        let mut shared = vec![F::ZERO; layout.len()];
        let mut set = |i: usize, v: F| {
            if let Some(cell) = shared.get_mut(i) {
                *cell = v;
            }
        };
        // A leaf that is never found keeps an empty token.
        let mut captures: Vec<Vec<F>> = plan
            .leaves
            .iter()
            .map(|l| scan::typed_limbs(b"", false, false, l.limbs))
            .collect();
        for (t, (token, signed)) in plan.tokens.iter().zip(&tokens).enumerate() {
            let message = &signed.signing_input;
            let blocks = padded(message, token.blocks);
            let mut chain = IV;
            let payload = payload_blocks(token, message);
            let scanned = scan::scan_token(plan, t, &payload, &mut captures);
            for (k, v) in pack_chain(&chain).into_iter().enumerate() {
                set(layout.chain(token.first_slot, k), v);
            }
            for (j, block) in blocks.iter().enumerate() {
                let index = token.first_block + j;
                let mut offset = 0;
                for (k, words) in crate::step::WORDS_PER_ELEMENT.into_iter().enumerate() {
                    let bytes = block.get(offset..offset + 4 * words).unwrap_or(&[]);
                    set(layout.word(index, k), from_be_bytes(bytes));
                    offset += 4 * words;
                }
                set(layout.control(index), control(message.len(), j));
                let words = std::array::from_fn(|w| {
                    (0..4).fold(0u32, |a, i| {
                        (a << 8) | u32::from(block.get(4 * w + i).copied().unwrap_or(0))
                    })
                });
                chain = sha256::native(chain, words);
                for (k, v) in pack_chain(&chain).into_iter().enumerate() {
                    set(layout.chain(token.first_slot + j + 1, k), v);
                }
            }
            for (j, counts) in scanned.counts.iter().enumerate() {
                for (k, v) in counts.iter().enumerate() {
                    set(layout.count(token.first_block + j, k), *v);
                }
            }
            for (j, registers) in scanned.registers.iter().enumerate() {
                let slot = token.first_slot + j;
                let head = std::array::from_fn(|i| {
                    let byte = blocks.get(j).and_then(|b| b.get(i)).copied();
                    (byte.unwrap_or(0), 64 * j + i < message.len())
                });
                for (k, v) in registers
                    .packed(head, layout.packed)
                    .into_iter()
                    .enumerate()
                {
                    set(layout.state(slot, k), v);
                }
                for (k, v) in registers.limbs().into_iter().enumerate() {
                    set(layout.limb(slot, k), v);
                }
            }
        }
        for (l, limbs) in captures.iter().enumerate() {
            for (k, v) in limbs.iter().enumerate() {
                set(layout.capture(l, k), *v);
            }
        }
        let needs = needs(plan, program, &shared, as_of);
        Witness {
            core: CoreWitness {
                lengths: tokens.iter().map(|t| t.signing_input.len()).collect(),
                signatures: tokens.into_iter().map(|t| t.signature).collect(),
                needs,
            },
            shared,
        }
    }
}

/// Which decoders are needed: a run of the query that decodes what it can.
fn needs(
    plan: &Plan,
    program: &Program,
    shared: &[F],
    as_of: zkpass_core::date::Date,
) -> query::Needs {
    let mut cs = Counter::witness();
    let mut b = Builder::new(&mut cs);
    let shared: Vec<_> = shared.iter().map(|v| b.constant(*v)).collect();
    let captured = core::captured(&mut b, plan, &shared);
    let as_of = AsOf {
        year: b.int(u64::from(as_of.year())),
        month: b.int(u64::from(as_of.month())),
        day: b.int(u64::from(as_of.day())),
        day_number: b.constant(crate::field::from_i64(as_of.day_number())),
    };
    query::compile(&mut b, plan, program, &captured, &as_of, None).1
}

fn pack_chain(chain: &[u32; 8]) -> Vec<F> {
    chain
        .chunks(4)
        .map(|half| {
            half.iter()
                .fold(F::ZERO, |a, w| a * pow2(32) + F::from(u64::from(*w)))
        })
        .collect()
}

/// The padded message (FIPS 180-4 section 5.1.1) and blank blocks behind it.
fn padded(message: &[u8], blocks: usize) -> Vec<[u8; 64]> {
    let mut bytes = message.to_vec();
    bytes.push(0x80);
    while bytes.len() % 64 != 56 {
        bytes.push(0);
    }
    bytes.extend((8 * message.len() as u64).to_be_bytes());
    bytes.resize(64 * blocks, 0);
    bytes
        .chunks(64)
        .map(|c| {
            let mut block = [0; 64];
            for (to, from) in block.iter_mut().zip(c) {
                *to = *from;
            }
            block
        })
        .collect()
}

/// The control element of block `j` of a message.
fn control(length: usize, j: usize) -> F {
    let count = length.saturating_sub(64 * j).min(64) as u64;
    let first_pad = u64::from(length == 64 * j);
    let last = (length + 9).div_ceil(64) == j + 1;
    let field = if last { 8 * length as u64 } else { 0 };
    F::from(count + (first_pad << 7) + (u64::from(last) << 8) + (field << 9))
}

/// The 48 decoded bytes of each block, spaces where there is no payload.
fn payload_blocks(token: &TokenPlan, message: &[u8]) -> Vec<[u8; 48]> {
    (0..token.blocks)
        .map(|j| {
            let mut out = [b' '; 48];
            for (group, bytes) in out.chunks_mut(3).enumerate() {
                let from = 64 * j + token.phase() + 4 * group;
                if from < token.prefix_len {
                    continue;
                }
                let values: Vec<u32> = message
                    .iter()
                    .skip(from)
                    .take(4)
                    .map(|c| u32::from(base64::value_of(*c).unwrap_or(0)))
                    .collect();
                let bits = (0..4).fold(0u32, |a, i| (a << 6) | values.get(i).copied().unwrap_or(0));
                for (i, byte) in bytes.iter_mut().enumerate() {
                    if i + 1 < values.len() {
                        *byte = (bits >> (16 - 8 * i)) as u8;
                    }
                }
            }
            out
        })
        .collect()
}
